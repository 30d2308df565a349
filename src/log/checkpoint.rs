//! The checkpointer: how far a projection has come, kept in a row.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::pin_mut;

use super::LogError;
use crate::shim::{Fault, Host, Notify};
use crate::storage::{
    Batch, Durability, Key, Participant, Staged, StorageError, SubmitError, Writer, value,
};
use crate::wire::Cursor;

/// So many advances are written at the latest.
const EVERY: u64 = 256;
/// So long after the first unwritten advance it is written, if the allowance lasts.
const AFTER: Duration = Duration::from_secs(1);
/// Writes by time beyond those by count that a new checkpointer may make...
const ALLOWANCE: u64 = 32;
/// ...and one more for so many advances, so that a slow stream too costs at most one write for a
/// hundred advances in the long run.
const EARN_EVERY: u64 = 512;
/// The longest pause while storage refuses.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// Keeps a cursor in a row, behind what it stands for.
///
/// The caller advances it after the projection of an entry is done. The row never goes back and is
/// never ahead of what was advanced. Writes are merged: 10 000 advances cost at most 100. What a
/// crash forgets is projected again, so a projection is idempotent. When storage refuses it tries
/// again after growing pauses, and says so each time. An idle checkpointer holds no timer.
#[derive(Clone)]
pub struct Checkpointer {
    inner: Rc<Inner>,
}

struct Inner {
    host: Host,
    writer: Writer,
    key: Key,
    /// Told by the caller.
    advanced: Cell<u64>,
    /// In the row.
    written: Cell<u64>,
    /// Advances since the last write.
    unwritten: Cell<u64>,
    /// Advances in total.
    total: Cell<u64>,
    /// Writes by time.
    timed: Cell<u64>,
    writes: Cell<u64>,
    running: Cell<bool>,
    changed: Notify,
    on_error: Box<dyn Fn(StorageError)>,
}

impl Checkpointer {
    /// A checkpointer over the row `key`. Writes nothing yet. `on_error` is told whenever a write
    /// that nobody waits for has failed and is to be tried again.
    pub fn new(
        host: &Host,
        writer: &Writer,
        key: Key,
        on_error: impl Fn(StorageError) + 'static,
    ) -> Checkpointer {
        Checkpointer {
            inner: Rc::new(Inner {
                host: host.clone(),
                writer: writer.clone(),
                key,
                advanced: Cell::new(0),
                written: Cell::new(0),
                unwritten: Cell::new(0),
                total: Cell::new(0),
                timed: Cell::new(0),
                writes: Cell::new(0),
                running: Cell::new(false),
                changed: Notify::new(),
                on_error: Box::new(on_error),
            }),
        }
    }

    /// Reads the row; `None` if there is none yet. From then on the cursor is at least that.
    ///
    /// # Errors
    /// [`LogError::Storage`] if the row cannot be read.
    pub async fn load(&self) -> Result<Option<Cursor>, LogError> {
        let inner = &self.inner;
        let Some(bytes) = inner.writer.storage().get(&inner.key).await? else {
            return Ok(None);
        };
        let stored = value::decode::<Cursor>(&inner.key, &bytes)?;
        inner.written.set(inner.written.get().max(stored.get()));
        inner.advanced.set(inner.advanced.get().max(stored.get()));
        Ok(Some(stored))
    }

    /// Begins at `cursor`, whatever the row says: it is in the row with the next commit, whoever
    /// causes it. A crash before that commit has changed nothing, one after it does not forget
    /// where the projection began. Call it once, before advancing.
    pub fn begin(&self, cursor: Cursor) {
        let inner = &self.inner;
        inner.written.set(cursor.get());
        inner.advanced.set(cursor.get());
        inner.writer.add_participant(Rc::new(Beginning {
            inner: inner.clone(),
            is_stored: Cell::new(false),
        }));
    }

    /// Everything up to the cursor is projected. A cursor that is not ahead of the last one, or of
    /// the row as [`Checkpointer::load`] found it, changes nothing; so load before advancing.
    pub fn advance(&self, cursor: Cursor) {
        let inner = &self.inner;
        if cursor.get() <= inner.advanced.get() {
            return;
        }
        inner.advanced.set(cursor.get());
        inner.unwritten.set(inner.unwritten.get() + 1);
        inner.total.set(inner.total.get() + 1);
        if inner.unwritten.get() == EVERY {
            inner.changed.notify_waiters();
        }
        let due = inner.unwritten.get() >= EVERY || inner.may_write_by_time();
        if due && !inner.running.get() {
            inner.running.set(true);
            let inner = inner.clone();
            let host = inner.host.clone();
            host.spawn(async move { inner.run().await });
        }
    }

    /// Writes now what is not written yet, and waits for it.
    ///
    /// # Errors
    /// Those of the writer.
    pub async fn flush(&self) -> Result<(), SubmitError<Infallible>> {
        if self.inner.is_dirty() {
            self.inner.write().await?;
        }
        Ok(())
    }

    /// What was advanced to.
    pub fn advanced(&self) -> Cursor {
        Cursor::new(self.inner.advanced.get())
    }

    /// What is in the row.
    pub fn written(&self) -> Cursor {
        Cursor::new(self.inner.written.get())
    }

    /// How many times the row was written.
    pub fn writes(&self) -> u64 {
        self.inner.writes.get()
    }
}

impl Inner {
    fn is_dirty(&self) -> bool {
        self.advanced.get() > self.written.get()
    }

    fn may_write_by_time(&self) -> bool {
        self.timed.get() < ALLOWANCE + self.total.get() / EARN_EVERY
    }

    /// Writes until nothing is due, then ends.
    async fn run(&self) {
        let _running = ResetOnDrop(&self.running);
        let mut pause = AFTER;
        while self.is_dirty() {
            if self.unwritten.get() < EVERY {
                if !self.may_write_by_time() {
                    return;
                }
                let changed = self.changed.notified();
                let sleep = self.host.sleep(AFTER);
                pin_mut!(changed, sleep);
                if let Either::Right(_) = select(changed, sleep).await {
                    if !self.is_dirty() {
                        // A flush was faster.
                        return;
                    }
                    self.timed.set(self.timed.get() + 1);
                }
            }
            match self.write().await {
                Ok(()) => pause = AFTER,
                Err(SubmitError::Storage(error)) if !error.is_fatal() => {
                    (self.on_error)(error);
                    self.host.sleep(pause).await;
                    pause = (pause * 2).min(RETRY_LONGEST);
                }
                Err(SubmitError::BacklogFull) => self.host.sleep(pause).await,
                // The writer has ended, and says why to whoever owns it.
                Err(_) => return,
            }
        }
    }

    async fn write(&self) -> Result<(), SubmitError<Infallible>> {
        let key = self.key.clone();
        let cursor = self.advanced.get();
        let counted = self.unwritten.get();
        let ahead = u64::from(self.host.planted(Fault::CursorBeforeProjection));
        let outcome = self
            .writer
            .submit(Durability::Relaxed, move |batch: &mut Batch| {
                batch.put(key.clone(), value::encode(&Cursor::new(cursor + ahead)));
                Ok(Staged::answer(()))
            })
            .await;
        if outcome.is_ok() {
            self.written.set(self.written.get().max(cursor));
            self.unwritten
                .set(self.unwritten.get().saturating_sub(counted));
            self.writes.set(self.writes.get() + 1);
        }
        outcome
    }
}

/// Puts the cursor where a projection begins into the first commit that is through.
struct Beginning {
    inner: Rc<Inner>,
    is_stored: Cell<bool>,
}

impl Participant for Beginning {
    fn stage(&self, batch: &mut Batch) {
        if !self.is_stored.get() {
            // What was advanced meanwhile may be in the same batch, and must not go back.
            let cursor = Cursor::new(self.inner.advanced.get());
            batch.put(self.inner.key.clone(), value::encode(&cursor));
        }
    }

    fn settle(&self, ok: bool) {
        if ok {
            self.is_stored.set(true);
        }
    }
}

/// A task that is aborted must not count as running.
struct ResetOnDrop<'a>(&'a Cell<bool>);

impl Drop for ResetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer")
            .field("key", &self.inner.key)
            .field("advanced", &self.inner.advanced.get())
            .field("written", &self.inner.written.get())
            .finish_non_exhaustive()
    }
}
