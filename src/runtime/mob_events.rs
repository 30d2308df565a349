//! The structural events: the ledger as labelled envelopes, live, replayed and queried (MobKit contract, section 10).

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};

use crate::log::{Checkpointer, LogError, LogItem, RawItem, RawReader};
use crate::mob::{Core, Indexes, MobError};
use crate::runtime::SubscriptionStart;
use crate::runtime::health::Task;
use crate::runtime::hooks::Errors;
use crate::runtime::metadata::HostCursor;
use crate::shim::{Fault, Notify};
use crate::storage::{Direction, Writer};
use crate::wire::{Cursor, ErrorEvent, EventQuery, MobEventsPage, MobStructuralEventEnvelope};

/// Ledger entries that one look reads at most (MobKit contract, section 10.1).
const QUERY_BATCH_SIZE: usize = 128;
/// Entries that do not match, after which a query without an index answers with what it has found.
const MAX_MISSES: usize = 4_096;

/// What a ledger entry looks like from outside.
pub(crate) fn project(
    core: &Core,
    cursor: Cursor,
    entry: &[u8],
) -> Result<MobStructuralEventEnvelope, LogError> {
    Ok(core.labelled(core.envelope(cursor, entry)?))
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
        let item = futures::ready!(Pin::new(&mut self.log).poll_next(cx));
        Poll::Ready(item.map(|item| match item? {
            LogItem::Entry { cursor, entry } => Ok(project(&self.core, cursor, entry.json())?),
            // The ledger is dense and is not pruned: somebody has taken rows from the storage. What is left comes after it.
            LogItem::Gap { from, to, .. } => {
                let missing = format!("the ledger's entries {from} to {to} are missing");
                Err(LogError::corrupt(to, missing).into())
            }
        }))
    }
}

/// A look for entries: where it is, and what it goes by.
struct Search<'a> {
    core: &'a Core,
    indexes: Option<Indexes>,
    latest: Cursor,
}

impl Search<'_> {
    /// The next entries behind a place, in the direction of the search, and the place to go on from; none at the end.
    async fn step(
        &self,
        place: Cursor,
        direction: Direction,
    ) -> Result<Option<(Vec<Hit>, Cursor)>, MobError> {
        let ledger = &self.core.ledger;
        let forwards = direction == Direction::Forward;
        // Both ends are exclusive.
        let end = if forwards {
            self.latest
        } else {
            Cursor::START.next()
        };
        if (forwards && place >= end) || (!forwards && place <= end) {
            return Ok(None);
        }
        let Some(indexes) = &self.indexes else {
            let mut items = if forwards {
                ledger.read_undecoded(place, QUERY_BATCH_SIZE).await?
            } else {
                ledger
                    .read_before_undecoded(place, QUERY_BATCH_SIZE)
                    .await?
            };
            if !forwards {
                // A window is ascending.
                items.reverse();
            }
            let reached = items.last().map(|item| match item {
                LogItem::Gap { from, .. } if !forwards => *from,
                item => item.cursor(),
            });
            let hits = items.into_iter().map(Hit::Entry).collect();
            return Ok(reached.map(|reached| (hits, reached)));
        };
        let found = self.core.candidates(indexes, place, direction).await?;
        let numbers = found.numbers.into_iter();
        let hits = numbers.filter(|number| *number <= self.latest);
        let hits = hits.map(Hit::Number).collect();
        // Rows may be stored whose entries are not shown yet: those are for the next page.
        let covered = found.covered.unwrap_or(end);
        Ok(Some((
            hits,
            if forwards { covered.min(end) } else { covered },
        )))
    }

    /// The entry of a hit; none for a gap.
    async fn fetch(&self, hit: Hit) -> Result<Option<MobStructuralEventEnvelope>, MobError> {
        let item = match hit {
            Hit::Entry(item) => Some(item),
            Hit::Number(number) => {
                let ledger = &self.core.ledger;
                let found = ledger.read_undecoded(number.previous(), 1).await?;
                found.into_iter().next()
            }
        };
        Ok(match item {
            Some(LogItem::Entry { cursor, entry }) => {
                Some(project(self.core, cursor, entry.json())?)
            }
            _ => None,
        })
    }
}

/// What a search has come upon.
enum Hit {
    /// An entry of the ledger, or a gap.
    Entry(RawItem),
    /// The place of an entry that an index names; it is read when it is its turn.
    Number(Cursor),
}

/// Queries the ledger: forwards after a cursor, or the newest that match, ascending (MobKit contract, section 10.4).
///
/// A filter by run, step, member or kind goes by an index. Without one, a query forwards looks at [`MAX_MISSES`] entries that do
/// not match at most, and says in `resume_after_seq` where to go on.
pub(crate) async fn query(core: &Core, query: &EventQuery) -> Result<MobEventsPage, MobError> {
    let latest = core.ledger.latest();
    let limit = query.limit_or_default();
    let (direction, mut place) = match query.after_seq {
        Some(after) if after > latest => {
            return Err(MobError::StaleEventCursor {
                after_cursor: after,
                latest_cursor: latest,
            });
        }
        Some(after) => (Direction::Forward, after),
        None => (Direction::Backward, latest.next()),
    };
    let search = Search {
        core,
        indexes: core.indexes_for(query).await?,
        latest,
    };
    let mut events = Vec::new();
    let mut misses = 0;
    'search: while events.len() < limit && (query.after_seq.is_none() || misses < MAX_MISSES) {
        let Some((hits, reached)) = search.step(place, direction).await? else {
            break;
        };
        for hit in hits {
            let Some(envelope) = search.fetch(hit).await? else {
                continue;
            };
            let cursor = envelope.cursor;
            if query.envelope_matches(&envelope) {
                events.push(envelope);
            } else {
                misses += 1;
            }
            if events.len() == limit {
                place = cursor;
                break 'search;
            }
        }
        place = reached;
        core.host.yield_now().await;
    }
    let resume_after_seq = match direction {
        Direction::Forward => place,
        Direction::Backward => {
            events.reverse();
            latest
        }
    };
    let last = events.last().map(|event| event.cursor);
    Ok(MobEventsPage {
        next_after_seq: last.or(query.after_seq).unwrap_or(latest),
        events,
        resume_after_seq,
    })
}

/// How far the structural projection has come.
#[derive(Default)]
pub(crate) struct Projection {
    projected: Cell<Cursor>,
    moved: Notify,
}

/// Who hears each projected envelope.
pub(crate) type Projected = Rc<dyn Fn(&MobStructuralEventEnvelope)>;

/// Who hears of what is projected.
pub(crate) struct Heard {
    pub hook: Option<Projected>,
    pub host_cursor: Option<Rc<HostCursor>>,
}

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

/// Where the projection begins: behind the cursor that the application's store knows, else the persisted one, else where `start`
/// says. A cursor that is ahead of the ledger is told of; the mob's own row, else the latest entry, takes its place. What the
/// row does not say yet travels with the next commit, before which the ledger cannot grow.
pub(crate) async fn begin(
    checkpoint: &Checkpointer,
    known: Option<Cursor>,
    start: SubscriptionStart,
    latest: Cursor,
    errors: &Errors,
) -> Result<Cursor, MobError> {
    let stored = checkpoint.load().await?;
    // A cursor of another ledger says nothing of this one, whose own row does.
    let foreign = known.filter(|known| *known > latest && stored.is_some());
    if let Some(known) = foreign {
        errors.fire(cursor_failure(format!(
            "stale mob event cursor: requested {known}, latest {latest}; going on where this mob was"
        )));
    }
    let known = known.filter(|_| foreign.is_none());
    let wanted = known.or(stored).unwrap_or(match start {
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
        heard: Heard,
        errors: Errors,
        task: Task,
    ) {
        let told = |error: String| {
            errors.fire(ErrorEvent::HostLoopCrash {
                member_id: String::new(),
                error,
            });
        };
        let ended = |error: String| {
            task.gives_up(&error);
            told(error);
        };
        let mut log = match core.ledger.follow(start) {
            Ok(log) => log.undecoded(),
            Err(error) => return ended(format!("the ledger cannot be followed: {error}")),
        };
        self.projected.set(start);
        let mut pause = RETRY_FIRST;
        while let Some(item) = log.next().await {
            let item = match item {
                Ok(item) => item,
                Err(LogError::Storage(error)) if !error.is_fatal() => {
                    let error = format!("the ledger cannot be read: {error}; will retry");
                    task.retries(&error);
                    told(error);
                    core.host.sleep(pause).await;
                    pause = (pause * 2).min(RETRY_LONGEST);
                    continue;
                }
                // The connection is gone, and the writer ends with it.
                Err(error) => return ended(format!("the ledger cannot be read: {error}")),
            };
            if pause > RETRY_FIRST {
                task.works();
                pause = RETRY_FIRST;
            }
            let cursor = item.cursor();
            if core.host.planted(Fault::CursorBeforeProjection) {
                checkpoint.advance(cursor);
                core.host.yield_now().await;
            }
            match item {
                LogItem::Entry { cursor, entry } => match project(&core, cursor, entry.json()) {
                    Ok(envelope) => {
                        if let Some(hook) = &heard.hook {
                            hook(&envelope);
                        }
                    }
                    Err(error) => return ended(format!("the ledger cannot be read: {error}")),
                },
                LogItem::Gap { from, to, reason } => {
                    task.loses(to.get() - from.get() + 1);
                    told(format!(
                        "the ledger's entries {from} to {to} are missing ({})",
                        reason.as_str()
                    ));
                }
            }
            self.projected.set(cursor);
            self.moved.notify_waiters();
            checkpoint.advance(cursor);
            if let Some(host_cursor) = &heard.host_cursor {
                host_cursor.advance(cursor);
            }
        }
    }
}
