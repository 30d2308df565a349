//! The structural events: the ledger as labelled envelopes, live, replayed and queried (MobKit contract, section 10).

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};

use crate::log::{Checkpointer, LogError, LogItem, LogReader};
use crate::mob::{Core, LedgerEntry, MobError};
use crate::shim::Notify;
use crate::wire::{Cursor, EventQuery, MobEvent, MobEventsPage, MobStructuralEventEnvelope};

/// Ledger entries that one look reads at most (MobKit contract, section 10.1).
const QUERY_BATCH_SIZE: usize = 128;

/// What a ledger entry looks like from outside.
pub(crate) fn project(
    core: &Core,
    cursor: Cursor,
    entry: &LedgerEntry,
) -> MobStructuralEventEnvelope {
    let event = MobEvent {
        cursor,
        timestamp: entry.timestamp_ms,
        mob_id: core.mob_id.clone(),
        kind: entry.kind.clone(),
    };
    MobStructuralEventEnvelope::project(&event, Default::default(), Default::default())
}

/// Structural events in order, each once.
pub struct MobEventReader {
    core: Rc<Core>,
    log: LogReader<LedgerEntry>,
}

impl MobEventReader {
    pub(crate) fn open(core: &Rc<Core>, after: Option<Cursor>) -> Result<Self, MobError> {
        let after = after.unwrap_or_else(|| core.ledger.latest());
        Ok(Self {
            core: core.clone(),
            log: core.ledger.follow(after)?,
        })
    }
}

impl Stream for MobEventReader {
    type Item = Result<MobStructuralEventEnvelope, MobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return Poll::Ready(
                match futures::ready!(Pin::new(&mut self.log).poll_next(cx)) {
                    None => None,
                    Some(Err(error)) => Some(Err(error.into())),
                    Some(Ok(LogItem::Entry { cursor, entry })) => {
                        Some(Ok(project(&self.core, cursor, &entry)))
                    }
                    // The ledger is dense and is not pruned.
                    Some(Ok(LogItem::Gap { .. })) => continue,
                },
            );
        }
    }
}

/// Queries the ledger: forwards after a cursor, or the newest that match, ascending (MobKit contract, section 10.4).
pub(crate) async fn query(core: &Core, query: &EventQuery) -> Result<MobEventsPage, MobError> {
    let latest = core.ledger.latest();
    let limit = query.limit_or_default();
    let mut events = Vec::new();
    match query.after_seq {
        Some(after) => {
            if after > latest {
                return Err(MobError::StaleEventCursor {
                    after_cursor: after,
                    latest_cursor: latest,
                });
            }
            let mut frontier = after;
            while events.len() < limit {
                let items = core.ledger.read(frontier, QUERY_BATCH_SIZE).await?;
                if items.is_empty() {
                    break;
                }
                for item in items {
                    let LogItem::Entry { cursor, entry } = item else {
                        continue;
                    };
                    if events.len() == limit {
                        break;
                    }
                    frontier = cursor;
                    let envelope = project(core, cursor, &entry);
                    if query.envelope_matches(&envelope) {
                        events.push(envelope);
                    }
                }
                core.host.yield_now().await;
            }
            let next = events.last().map_or(after, |event| event.cursor);
            Ok(MobEventsPage {
                events,
                next_after_seq: next,
                resume_after_seq: frontier,
            })
        }
        None => {
            let mut before = latest.next();
            while events.len() < limit {
                let items = core.ledger.read_before(before, QUERY_BATCH_SIZE).await?;
                if items.is_empty() {
                    break;
                }
                // A window is ascending.
                for item in items.into_iter().rev() {
                    let LogItem::Entry { cursor, entry } = item else {
                        continue;
                    };
                    before = cursor;
                    let envelope = project(core, cursor, &entry);
                    if events.len() < limit && query.envelope_matches(&envelope) {
                        events.push(envelope);
                    }
                }
                core.host.yield_now().await;
            }
            events.reverse();
            let next = events
                .last()
                .map_or(latest, |event: &MobStructuralEventEnvelope| event.cursor);
            Ok(MobEventsPage {
                events,
                next_after_seq: next,
                resume_after_seq: latest,
            })
        }
    }
}

/// How far the structural projection has come.
#[derive(Default)]
pub(crate) struct Projection {
    projected: Cell<Cursor>,
    moved: Notify,
}

/// Who hears each projected envelope.
pub(crate) type Projected = Rc<dyn Fn(&MobStructuralEventEnvelope)>;

impl Projection {
    /// The newest entry that was projected.
    pub fn cursor(&self) -> Cursor {
        self.projected.get()
    }

    /// Waits until everything up to `cursor` is projected.
    pub async fn reach(&self, cursor: Cursor) {
        loop {
            let moved = self.moved.notified();
            if self.projected.get() >= cursor {
                return;
            }
            moved.await;
        }
    }

    /// Projects the ledger from the persisted cursor on, for as long as the runtime lives: project, then tell, then
    /// checkpoint. A persisted cursor beyond the ledger goes on at the latest entry.
    pub async fn run(
        self: Rc<Self>,
        core: Rc<Core>,
        checkpoint: Checkpointer,
        start: Cursor,
        heard: Option<Projected>,
    ) {
        let mut log = match core.ledger.follow(start) {
            Ok(log) => log,
            Err(LogError::Stale { latest_cursor, .. }) => match core.ledger.follow(latest_cursor) {
                Ok(log) => log,
                Err(_) => return,
            },
            Err(_) => return,
        };
        self.projected.set(start.min(core.ledger.latest()));
        while let Some(item) = log.next().await {
            let Ok(LogItem::Entry { cursor, entry }) = item else {
                continue;
            };
            let envelope = project(&core, cursor, &entry);
            if let Some(heard) = &heard {
                heard(&envelope);
            }
            self.projected.set(cursor);
            self.moved.notify_waiters();
            checkpoint.advance(cursor);
        }
    }
}
