//! The structural events: the ledger as labelled envelopes, live, replayed and queried (MobKit contract, section 10).

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};

use crate::log::{Checkpointer, LogError, LogItem, RawReader};
use crate::mob::{Core, MobError};
use crate::runtime::SubscriptionStart;
use crate::runtime::hooks::Errors;
use crate::shim::{Fault, Notify};
use crate::storage::Writer;
use crate::wire::json::{self, Fields};
use crate::wire::{Cursor, ErrorEvent, EventQuery, MobEventsPage, MobStructuralEventEnvelope};

/// Ledger entries that one look reads at most (MobKit contract, section 10.1).
const QUERY_BATCH_SIZE: usize = 128;

/// What a ledger entry looks like from outside.
pub(crate) fn project(
    core: &Core,
    cursor: Cursor,
    entry: &[u8],
) -> Result<MobStructuralEventEnvelope, LogError> {
    let read = || {
        let mut fields = Fields::of(json::parse_own(entry)?)?;
        let at = fields.take("timestamp_ms")?;
        let kind = fields.take("kind")?;
        let envelope = MobStructuralEventEnvelope::of(&core.mob_id, cursor, at, kind);
        Ok(core.labelled(envelope))
    };
    read().map_err(|error: serde_json::Error| LogError::corrupt(cursor, error))
}

/// Structural events in order, each once.
pub struct MobEventReader {
    core: Rc<Core>,
    log: RawReader,
}

impl MobEventReader {
    pub(crate) fn open(core: &Rc<Core>, after: Option<Cursor>) -> Result<Self, MobError> {
        let after = after.unwrap_or_else(|| core.ledger.latest());
        Ok(Self {
            core: core.clone(),
            log: core.ledger.follow(after)?.undecoded(),
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
                        Some(project(&self.core, cursor, entry.json()).map_err(Into::into))
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
                let items = core
                    .ledger
                    .read_undecoded(frontier, QUERY_BATCH_SIZE)
                    .await?;
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
                    let envelope = project(core, cursor, entry.json())?;
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
                let items = core
                    .ledger
                    .read_before_undecoded(before, QUERY_BATCH_SIZE)
                    .await?;
                if items.is_empty() {
                    break;
                }
                // A window is ascending.
                for item in items.into_iter().rev() {
                    let LogItem::Entry { cursor, entry } = item else {
                        continue;
                    };
                    before = cursor;
                    let envelope = project(core, cursor, entry.json())?;
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

/// The name of the projection's cursor.
const CURSOR: &str = "mob_events";
/// The first pause after the ledger could not be read.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest pause while it cannot be read.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// Keeps the projection's cursor; tells of each write that failed.
pub(crate) fn checkpointer(core: &Core, writer: &Writer, errors: &Errors) -> Checkpointer {
    let key = Core::prefix(&core.mob_id).part("cursor").part(CURSOR);
    let errors = errors.clone();
    Checkpointer::new(&core.host, writer, key, move |error| {
        errors.fire(cursor_failure(format!(
            "the cursor could not be stored: {error}; will retry"
        )));
    })
}

fn cursor_failure(error: String) -> ErrorEvent {
    ErrorEvent::CheckpointFailure {
        session_id: CURSOR.into(),
        error,
    }
}

/// Where the projection begins: behind the persisted cursor, else where `start` says. A cursor that is ahead of the ledger
/// is told of, and the latest entry takes its place. What the row does not say yet travels with the next commit, before
/// which the ledger cannot grow.
pub(crate) async fn begin(
    checkpoint: &Checkpointer,
    start: SubscriptionStart,
    latest: Cursor,
    errors: &Errors,
) -> Result<Cursor, MobError> {
    let stored = checkpoint.load().await?;
    let wanted = stored.unwrap_or(match start {
        SubscriptionStart::Latest => latest,
        SubscriptionStart::Earliest => Cursor::START,
        SubscriptionStart::After(cursor) => cursor,
    });
    let begin = wanted.min(latest);
    if begin < wanted {
        errors.fire(cursor_failure(format!(
            "stale mob event cursor: requested {wanted}, latest {latest}; going on at the latest"
        )));
    }
    if stored != Some(begin) {
        checkpoint.begin(begin);
    }
    Ok(begin)
}

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

    /// Projects the ledger after `start` for as long as the runtime lives: project, then tell, then checkpoint. What cannot
    /// be read is told of and read again after growing pauses; nothing is passed over unsaid.
    pub async fn run(
        self: Rc<Self>,
        core: Rc<Core>,
        checkpoint: Checkpointer,
        start: Cursor,
        heard: Option<Projected>,
        errors: Errors,
    ) {
        let troubled = |error: String| {
            errors.fire(ErrorEvent::HostLoopCrash {
                member_id: String::new(),
                error,
            });
        };
        let mut log = match core.ledger.follow(start) {
            Ok(log) => log.undecoded(),
            Err(error) => return troubled(format!("the ledger cannot be followed: {error}")),
        };
        self.projected.set(start);
        let mut pause = RETRY_FIRST;
        while let Some(item) = log.next().await {
            let item = match item {
                Ok(item) => item,
                Err(LogError::Storage(error)) if !error.is_fatal() => {
                    troubled(format!("the ledger cannot be read: {error}; will retry"));
                    core.host.sleep(pause).await;
                    pause = (pause * 2).min(RETRY_LONGEST);
                    continue;
                }
                // The connection is gone, and the writer ends with it.
                Err(error) => return troubled(format!("the ledger cannot be read: {error}")),
            };
            pause = RETRY_FIRST;
            let cursor = item.cursor();
            if core.host.planted(Fault::CursorBeforeProjection) {
                checkpoint.advance(cursor);
                core.host.yield_now().await;
            }
            match item {
                LogItem::Entry { cursor, entry } => match project(&core, cursor, entry.json()) {
                    Ok(envelope) => {
                        if let Some(heard) = &heard {
                            heard(&envelope);
                        }
                    }
                    Err(error) => return troubled(format!("the ledger cannot be read: {error}")),
                },
                LogItem::Gap { from, to, reason } => troubled(format!(
                    "the ledger's entries {from} to {to} are missing ({})",
                    reason.as_str()
                )),
            }
            self.projected.set(cursor);
            self.moved.notify_waiters();
            checkpoint.advance(cursor);
        }
    }
}
