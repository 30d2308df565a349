//! Feeding a store of somebody else's from the agent events: the event log and the console log.
//!
//! The mob's log is the buffer: it is durable, so that a store that fails costs nothing but time, and nothing is dropped for
//! being too much. The feed keeps a cursor behind what the store has taken: at least once, in order, each event under one id.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, LocalBoxFuture, select};

use crate::log::{Checkpointer, GapReason, LogError, LogItem, RawItem, RawReader};
use crate::mob::{Core, MobError};
use crate::runtime::health::{Health, Task};
use crate::runtime::hooks::Errors;
use crate::shim::Notify;
use crate::storage::Writer;
use crate::wire::agent_record::RecordText;
use crate::wire::{Cursor, ErrorEvent};

/// Events in a batch, when the configuration does not say (MobKit contract, section 9.1).
pub(super) const BATCH_SIZE: usize = 64;
/// How long the first event of a batch waits for others, when the configuration does not say.
pub(super) const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// The first pause after the store refused.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest pause while it refuses.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// Which entries are sent; each is an agent event.
pub(super) type Wants = Rc<dyn Fn(&RawItem) -> bool>;
/// Gives entries to the store: all of them are agent events, ascending.
pub(super) type Deliver = Box<dyn Fn(Vec<RawItem>) -> LocalBoxFuture<'static, Result<(), String>>>;

/// Where a feed leads.
pub(super) struct Sink {
    /// The task's name, and its cursor's.
    pub name: &'static str,
    /// Which; all, if none.
    pub wants: Option<Wants>,
    pub deliver: Deliver,
    /// How many at a time, at most.
    pub batch_size: usize,
    /// How long the first of a batch waits for others.
    pub flush_interval: Duration,
}

/// Feeds a store.
pub(crate) struct Feed {
    core: Rc<Core>,
    sink: Sink,
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
    events: Vec<RawItem>,
    /// Up to where it goes, with what the filter left out.
    last: Cursor,
}

impl Feed {
    /// Begins behind what the store was given before, else at the oldest event that is kept.
    pub async fn begin(
        core: &Rc<Core>,
        writer: &Writer,
        sink: Sink,
        errors: &Errors,
        health: &Health,
    ) -> Result<Rc<Self>, MobError> {
        let (told, name) = (errors.clone(), sink.name);
        let key = Core::prefix(&core.mob_id).part("cursor").part(name);
        let checkpoint = Checkpointer::new(&core.host, writer, key, move |error| {
            let error = format!("its cursor could not be stored: {error}");
            told.fire(failed(name, &error));
        });
        let stored = checkpoint.load().await?;
        let begin = stored.unwrap_or(Cursor::START).min(core.events.latest());
        Ok(Rc::new(Self {
            core: core.clone(),
            sink: Sink {
                batch_size: sink.batch_size.max(1),
                flush_interval: sink.flush_interval.max(Duration::from_millis(1)),
                ..sink
            },
            checkpoint,
            errors: errors.clone(),
            task: health.begin(name),
            sent: Cell::new(begin),
            wanted: Cell::new(Cursor::START),
            moved: Notify::new(),
            hurry: Notify::new(),
            failure: RefCell::new(None),
            over: Cell::new(false),
        }))
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
                    store: self.sink.name,
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
        let full = self.core.host.sleep(self.sink.flush_interval);
        futures::pin_mut!(full);
        while batch.events.len() < self.sink.batch_size {
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
            LogItem::Entry { cursor, ref entry } => {
                if RecordText::of(entry.json()).is_none() {
                    self.task.loses(1);
                    let error = format!("entry {cursor} is no agent event");
                    return self.errors.fire(failed(self.sink.name, &error));
                }
                let wants = self.sink.wants.as_ref();
                if wants.is_none_or(|wants| wants(&item)) {
                    batch.events.push(item);
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
                self.errors.fire(failed(self.sink.name, &error));
            }
            // These were never stored, or shown to nobody.
            LogItem::Gap { .. } => {}
        }
    }

    /// Gives a batch to the store until it takes it.
    async fn deliver(&self, batch: Batch) {
        let mut pause = RETRY_FIRST;
        while !batch.events.is_empty() {
            match (self.sink.deliver)(batch.events.clone()).await {
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
        self.errors.fire(failed(self.sink.name, error));
    }
}

fn failed(name: &str, error: &str) -> ErrorEvent {
    let name = name.replace('_', " ");
    ErrorEvent::EventLogFlushFailure {
        error: format!("{name} flush failed: {error}"),
    }
}
