//! The operational log of somebody else: agent events, fed from the mob's own log to a store of the application's (MobKit
//! contract, section 9).
//!
//! The mob's log is the buffer: it is durable, so that a store that fails costs nothing but time, and nothing is dropped for
//! being too much. The feed keeps a cursor behind what the store has taken: at least once, in order, each event under one id.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, LocalBoxFuture, ready, select};
use futures::{FutureExt, StreamExt};

use crate::log::{Checkpointer, GapReason, LogError, LogItem, RawItem, RawReader};
use crate::mob::{Core, MobError};
use crate::runtime::health::{Health, Task};
use crate::runtime::hooks::Errors;
use crate::shim::Notify;
use crate::storage::Writer;
use crate::wire::agent_record::RecordText;
use crate::wire::{Cursor, ErrorEvent, EventQuery, PersistedEvent, UnifiedEvent};

/// Events in a batch, when the configuration does not say (MobKit contract, section 9.1).
const BATCH_SIZE: usize = 64;
/// How long the first event of a batch waits for others, when the configuration does not say.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// The first pause after the store refused.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest pause while it refuses.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// A store of the application's for agent events.
pub trait EventLogStore {
    /// Takes events, ascending. Must know an event that it has by its `id`: a batch whose answer was lost comes again. An error
    /// says why not; the batch comes again after a pause.
    fn append_batch(
        &self,
        events: Vec<PersistedEvent>,
    ) -> LocalBoxFuture<'static, Result<(), String>>;

    /// The matching events, ascending by `seq`. A store that is written alone has none of it.
    fn query(
        &self,
        _query: EventQuery,
    ) -> LocalBoxFuture<'static, Result<Vec<PersistedEvent>, String>> {
        ready(Err("the store cannot be queried".to_owned())).boxed_local()
    }
}

/// Which events the store takes.
pub type EventLogFilter = Rc<dyn Fn(&UnifiedEvent) -> bool>;

/// How events come to a store of the application's.
#[derive(Clone)]
pub struct EventLogConfig {
    /// Where to.
    pub store: Rc<dyn EventLogStore>,
    /// Which; all, if none. What is left out leaves a hole in the numbers.
    pub filter: Option<EventLogFilter>,
    /// How many at a time, at most; at least 1.
    pub batch_size: usize,
    /// How long the first of a batch waits for others; at least a millisecond.
    pub flush_interval: Duration,
}

impl EventLogConfig {
    /// All events, 64 at a time, within a second.
    pub fn new(store: Rc<dyn EventLogStore>) -> Self {
        Self {
            store,
            filter: None,
            batch_size: BATCH_SIZE,
            flush_interval: FLUSH_INTERVAL,
        }
    }
}

/// Feeds a store.
pub(crate) struct EventLog {
    core: Rc<Core>,
    config: EventLogConfig,
    checkpoint: Checkpointer,
    errors: Errors,
    task: Task,
    /// Up to where the store has everything.
    sent: Cell<Cursor>,
    /// Up to where somebody waits for it.
    wanted: Cell<Cursor>,
    /// Told when `sent` moves, and when an attempt failed.
    moved: Notify,
    hurry: Notify,
    failure: RefCell<Option<String>>,
    /// It has given up: the failure stays.
    over: Cell<bool>,
}

/// What waits to be sent.
struct Batch {
    events: Vec<PersistedEvent>,
    /// Up to where it goes, with what the filter left out.
    last: Cursor,
}

impl EventLog {
    /// Begins behind what the store was given before, else at the oldest event that is kept.
    pub async fn begin(
        core: &Rc<Core>,
        writer: &Writer,
        config: EventLogConfig,
        errors: &Errors,
        health: &Health,
    ) -> Result<Rc<Self>, MobError> {
        let told = errors.clone();
        let key = Core::prefix(&core.mob_id).part("cursor").part("event_log");
        let checkpoint = Checkpointer::new(&core.host, writer, key, move |error| {
            told.fire(failed(&format!("its cursor could not be stored: {error}")));
        });
        let stored = checkpoint.load().await?;
        let begin = stored.unwrap_or(Cursor::START).min(core.events.latest());
        Ok(Rc::new(Self {
            core: core.clone(),
            config: EventLogConfig {
                batch_size: config.batch_size.max(1),
                flush_interval: config.flush_interval.max(Duration::from_millis(1)),
                ..config
            },
            checkpoint,
            errors: errors.clone(),
            task: health.begin("event_log"),
            sent: Cell::new(begin),
            wanted: Cell::new(Cursor::START),
            moved: Notify::new(),
            hurry: Notify::new(),
            failure: RefCell::new(None),
            over: Cell::new(false),
        }))
    }

    /// Where the events go.
    pub fn store(&self) -> Rc<dyn EventLogStore> {
        self.config.store.clone()
    }

    /// Waits until the store has everything that is shown now.
    ///
    /// # Errors
    /// [`MobError::HostStore`] if it refuses meanwhile; it is tried again all the same.
    pub async fn flush(&self) -> Result<(), MobError> {
        let wanted = self.core.events.latest();
        self.wanted.set(self.wanted.get().max(wanted));
        if !self.over.get() {
            self.failure.borrow_mut().take();
        }
        self.hurry.notify_waiters();
        loop {
            let moved = self.moved.notified();
            if self.sent.get() >= wanted {
                return self.checkpoint.flush().await.map_err(MobError::from);
            }
            if let Some(reason) = self.failure.borrow().clone() {
                return Err(MobError::HostStore {
                    store: "event_log",
                    reason,
                });
            }
            moved.await;
        }
    }

    /// Feeds the store for as long as the runtime lives.
    pub async fn run(self: Rc<Self>) {
        let mut reader = match self.core.events.follow(self.sent.get()) {
            Ok(reader) => reader.undecoded(),
            Err(error) => return self.give_up(error.to_string()),
        };
        let mut pause = RETRY_FIRST;
        loop {
            match self.collect(&mut reader).await {
                Ok(Some(batch)) => {
                    self.deliver(batch).await;
                    pause = RETRY_FIRST;
                }
                Ok(None) => return,
                Err(LogError::Storage(error)) if !error.is_fatal() => {
                    let error = format!("the events cannot be read: {error}");
                    self.trouble(&error);
                    self.refused(error);
                    select(self.core.host.sleep(pause), self.hurry.notified()).await;
                    pause = (pause * 2).min(RETRY_LONGEST);
                }
                Err(error) => return self.give_up(error.to_string()),
            }
        }
    }

    /// The next batch: full, or as old as a batch may grow, or wanted now. None when the log has ended.
    async fn collect(&self, reader: &mut RawReader) -> Result<Option<Batch>, LogError> {
        let Some(first) = reader.next().await else {
            return Ok(None);
        };
        let mut batch = Batch {
            events: Vec::new(),
            last: Cursor::START,
        };
        self.take(&mut batch, first?);
        let full = self.core.host.sleep(self.config.flush_interval);
        futures::pin_mut!(full);
        while batch.events.len() < self.config.batch_size {
            let hurry = self.hurry.notified();
            // Whoever flushes does not wait for what comes later.
            let wanted = self.wanted.get();
            if wanted > self.sent.get() && batch.last >= wanted {
                break;
            }
            let next = select(reader.next(), select(&mut full, hurry));
            match next.await {
                Either::Left((Some(Ok(item)), _)) => self.take(&mut batch, item),
                // What was read is sent all the same; the reader meets the error, or the end, again.
                Either::Left((None | Some(Err(_)), _)) | Either::Right((Either::Left(_), _)) => {
                    break;
                }
                Either::Right((Either::Right(_), _)) => {}
            }
        }
        Ok(Some(batch))
    }

    fn take(&self, batch: &mut Batch, item: RawItem) {
        batch.last = item.cursor();
        match item {
            LogItem::Entry { cursor, entry } => {
                let record = RecordText::of(entry.json());
                let event = record.and_then(|record| record.to_persisted_event(cursor));
                let Some(event) = event else {
                    self.task.loses(1);
                    let error = format!("entry {cursor} is no agent event");
                    return self.errors.fire(failed(&error));
                };
                let filter = self.config.filter.as_ref();
                if filter.is_none_or(|wants| wants(&event.event)) {
                    batch.events.push(event);
                }
            }
            LogItem::Gap {
                from,
                to,
                reason: GapReason::Retention,
            } => {
                let lost = to.get() - from.get() + 1;
                self.task.loses(lost);
                let error = format!("{lost} oldest events were deleted before they could be sent");
                self.errors.fire(failed(&error));
            }
            // These were never stored, or shown to nobody.
            LogItem::Gap { .. } => {}
        }
    }

    /// Gives a batch to the store until it takes it.
    async fn deliver(&self, batch: Batch) {
        let mut pause = RETRY_FIRST;
        while !batch.events.is_empty() {
            match self.config.store.append_batch(batch.events.clone()).await {
                Ok(()) => break,
                Err(error) => {
                    self.trouble(&format!("{error}; will retry"));
                    self.refused(error);
                    select(self.core.host.sleep(pause), self.hurry.notified()).await;
                    pause = (pause * 2).min(RETRY_LONGEST);
                }
            }
        }
        self.task.works();
        self.failure.borrow_mut().take();
        self.sent.set(batch.last);
        self.checkpoint.advance(batch.last);
        self.moved.notify_waiters();
    }

    fn give_up(&self, error: String) {
        self.task.gives_up(&error);
        self.over.set(true);
        self.refused(error);
    }

    /// Tells whoever flushes.
    fn refused(&self, error: String) {
        *self.failure.borrow_mut() = Some(error);
        self.moved.notify_waiters();
    }

    fn trouble(&self, error: &str) {
        self.task.retries(error);
        self.errors.fire(failed(error));
    }
}

fn failed(error: &str) -> ErrorEvent {
    ErrorEvent::EventLogFlushFailure {
        error: format!("event log flush failed: {error}"),
    }
}
