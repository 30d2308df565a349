//! Logs: append at the end, read after a cursor, await the next entry.
//!
//! A [`Log`] keeps its newest entries in memory and all that are stored in chunk rows, many
//! entries to a row. Everybody reads it with a cursor: live followers, replay, a slow subscriber
//! that catches up, a client that comes back. A reader behind the memory reads on from storage.
//! What is missing is said in a typed [`LogItem::Gap`].
//!
//! Entries come in by two doors. [`Log::stage`] shows them when the commit that carries them is
//! through (the structural ledger: dense numbers from 1). [`Log::append`] shows them at once, with
//! numbers from blocks that were durably reserved before (agent events): after an unclean stop the
//! log goes on with the next block, so that a number somebody has seen never names another entry.

mod checkpoint;
mod chunk;
mod config;
mod entry;
mod flusher;
mod item;
mod read;
mod reader;
mod retention;
mod state;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;

use serde::Serialize;

use crate::shim::{Fault, Host, Instant, Notify, Tail};
use crate::storage::{Batch, Direction, Key, Participant, Storage, value};
use crate::wire::Cursor;
use crate::wire::json::FromJson;

pub use checkpoint::Checkpointer;
pub use config::{LogConfig, Retention};
pub use item::{GapReason, LogError, LogItem};
pub(crate) use read::{RawItem, decoded};
pub use reader::LogReader;
pub(crate) use reader::RawReader;

use chunk::{BlockRow, ChunkHead, TrimRow};
use entry::Entry;
use state::{Opened, State};

/// A log over a key prefix of a storage. A cheap handle; clones are the same log.
///
/// One context at a time may own a log and write to it; add the handle to that context's
/// [`Writer`](crate::storage::Writer) with [`Log::participant`]. Others open it
/// [read-only](LogConfig::read_only).
///
/// It holds its entries as text, so that all of its code but this face is without the type.
pub struct Log<T> {
    inner: Rc<Inner>,
    kind: PhantomData<fn() -> T>,
}

struct Inner {
    host: Host,
    storage: Rc<dyn Storage>,
    keys: Keys,
    config: LogConfig,
    state: RefCell<State>,
    /// What is visible, newest part.
    tail: Tail<Rc<Entry>>,
    /// Wakes the flusher when entries begin to wait, or become too many.
    dirty: Notify,
    closed: Cell<bool>,
    end: Notify,
    /// About how many entries a chunk row has, as reading has found.
    entries_per_row: Cell<usize>,
    /// When retention last looked for what is too old.
    looked_at_age: Cell<Option<Instant>>,
    /// Up to where the log was stored when retention last looked.
    looked_at: Cell<u64>,
}

/// The rows of a log.
struct Keys {
    chunks: Key,
    overflow: Key,
    block: Key,
    trim: Key,
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Log<T> {
        Log {
            inner: self.inner.clone(),
            kind: PhantomData,
        }
    }
}

impl<T: Serialize + FromJson + 'static> Log<T> {
    /// Opens the log under `prefix`, or begins it. Writes nothing.
    ///
    /// If the last owner stopped without [`Log::release`], the numbers that it had reserved and
    /// perhaps shown are skipped and read as one gap.
    ///
    /// # Errors
    /// [`LogError::Storage`] if the rows cannot be read.
    pub async fn open(
        host: &Host,
        storage: Rc<dyn Storage>,
        prefix: Key,
        config: LogConfig,
    ) -> Result<Log<T>, LogError> {
        let inner = Inner::open(host, storage, prefix, config).await?;
        Ok(Log {
            inner: Rc::new(inner),
            kind: PhantomData,
        })
    }

    /// The same log for whoever writes entries of another type between those of `T`; a reader has to tell them apart.
    pub(crate) fn beside<U>(&self) -> Log<U> {
        Log {
            inner: self.inner.clone(),
            kind: PhantomData,
        }
    }

    /// Appends an entry that is shown at once: its number lies in a durably reserved block.
    ///
    /// If the block is used up and the next one not yet reserved, or if an entry that is staged
    /// stands before it, it is shown a little later, still in order. It is stored with the next
    /// commit of the writer, whoever causes it; see [`Log::run_flusher`].
    ///
    /// In a log that is read-only the entry is dropped and counted as [shed](Log::shed).
    pub fn append(&self, entry: T) -> Cursor {
        self.inner.append(|| Entry::new(entry))
    }

    /// Stages entries, from inside a command's stage closure: they take the next numbers, which
    /// are returned, and are shown when the commit is through. If it fails the numbers are handed
    /// out again, unless an appended entry has taken one after them.
    ///
    /// The rows are added when the log takes part in the commit, so a log that is staged to must
    /// be a [participant](Log::participant) of that writer.
    pub fn stage(&self, _batch: &mut Batch, entries: Vec<T>) -> Range<Cursor> {
        let mut state = self.inner.state.borrow_mut();
        let first = state.next;
        for entry in entries {
            state.stage(Entry::new(entry));
        }
        Cursor::new(first)..Cursor::new(state.next)
    }

    /// The handle with which the log takes part in a writer's commits.
    pub fn participant(&self) -> Rc<dyn Participant> {
        self.inner.clone()
    }

    /// Gives back the reserved numbers that were not used, with the next commit: the orderly stop,
    /// after which no gap is left. Entries that come later are shown when they are stored.
    pub fn release(&self) {
        self.inner.state.borrow_mut().released = true;
    }

    /// Takes [`Log::release`] back: the next commit reserves a block again.
    pub fn reserve(&self) {
        self.inner.state.borrow_mut().released = false;
    }

    /// Ends every follower, once it has read what is visible.
    pub fn close(&self) {
        self.inner.closed.set(true);
        self.inner.end.notify_waiters();
        self.inner.dirty.notify_waiters();
    }

    /// The newest visible number; 0 if there is none.
    pub fn latest(&self) -> Cursor {
        Cursor::new(self.inner.state.borrow().visible)
    }

    /// The newest stored number; 0 if there is none.
    pub fn durable(&self) -> Cursor {
        Cursor::new(self.inner.state.borrow().stored)
    }

    /// The oldest number that retention has left; one more than [`Log::latest`] if it left none.
    pub fn first(&self) -> Cursor {
        Cursor::new(self.inner.state.borrow().trimmed + 1)
    }

    /// How many entries wait for the next commit.
    pub fn waiting(&self) -> usize {
        self.inner.state.borrow().waiting()
    }

    /// How many entries were given up before they were stored, because storage refused for so long
    /// that [`LogConfig::pending_limit`] was reached.
    pub fn shed(&self) -> u64 {
        self.inner.state.borrow().shed
    }

    /// How many entries are stored, and in how many bytes.
    pub fn stored_totals(&self) -> (u64, u64) {
        self.inner.state.borrow().retained()
    }

    /// Reads again what another context has stored; a log that is read-only follows its owner by
    /// this. Answers whether anything was new.
    ///
    /// # Errors
    /// [`LogError::Storage`] if the rows cannot be read.
    pub async fn refresh(&self) -> Result<bool, LogError> {
        self.inner.refresh().await
    }
}

impl Inner {
    async fn open(
        host: &Host,
        storage: Rc<dyn Storage>,
        prefix: Key,
        config: LogConfig,
    ) -> Result<Inner, LogError> {
        let keys = Keys {
            chunks: prefix.part("c"),
            overflow: prefix.part("x"),
            block: prefix.part("block"),
            trim: prefix.part("trim"),
        };
        let block = match storage.get(&keys.block).await? {
            Some(bytes) => Some(value::decode::<BlockRow>(&keys.block, &bytes)?.reserved),
            None => None,
        };
        let trim = read_trim(&*storage, &keys).await?;
        let range = keys.chunks.prefix_range();
        let last = storage.scan(range, Direction::Backward, 1).await?;
        let last = ChunkHead::of(last.first())?;
        let stored = last.as_ref().map_or(trim.through, |head| head.last);
        let totals = last.as_ref().map_or(trim.totals, ChunkHead::totals_after);
        // A reader cannot tell a crash from a running owner whose entries are not flushed yet, so
        // it takes the reserved numbers for what is to come.
        let shown = if config.read_only || host.planted(Fault::SequenceNumberReused) {
            0
        } else {
            block.unwrap_or(0)
        };
        let state = State::new(Opened {
            stored,
            settled: stored.max(shown),
            block,
            trimmed: trim.through,
            totals,
            totals_trimmed: trim.totals,
        });
        Ok(Inner {
            host: host.clone(),
            storage,
            keys,
            tail: Tail::new(config.tail_capacity, state.visible),
            config,
            state: RefCell::new(state),
            dirty: Notify::new(),
            closed: Cell::new(false),
            end: Notify::new(),
            entries_per_row: Cell::new(64),
            looked_at_age: Cell::new(None),
            looked_at: Cell::new(0),
        })
    }

    fn append(&self, entry: impl FnOnce() -> Rc<Entry>) -> Cursor {
        if self.config.read_only {
            let mut state = self.state.borrow_mut();
            state.shed += 1;
            return Cursor::new(state.visible);
        }
        let number = {
            let entry = entry();
            let mut state = self.state.borrow_mut();
            let number = state.append(entry);
            state.shed_beyond(self.config.pending_limit);
            number
        };
        self.show();
        let waiting = self.state.borrow().waiting();
        if waiting == 1 || waiting == self.config.flush_entries || self.is_urgent() {
            self.dirty.notify_waiters();
        }
        Cursor::new(number)
    }

    async fn refresh(&self) -> Result<bool, LogError> {
        if !self.config.read_only {
            return Ok(false);
        }
        let trim = read_trim(&*self.storage, &self.keys).await?;
        let range = self.keys.chunks.prefix_range();
        let last = self.storage.scan(range, Direction::Backward, 1).await?;
        let Some(row) = last.first() else {
            return Ok(self.state.borrow_mut().follow_trim(&trim));
        };
        let chunk = self.decode_chunk(row).await?;
        let seen = {
            let mut state = self.state.borrow_mut();
            let trimmed = state.follow_trim(&trim);
            if chunk.last <= state.visible {
                return Ok(trimmed);
            }
            let seen = state.visible;
            state.follow(chunk.last, chunk.totals_after);
            seen
        };
        if chunk.first <= seen + 1 {
            let news = chunk.rows.into_iter().filter(|(number, _)| *number > seen);
            self.tail.push_all(news);
        }
        // Also moves over numbers at the end of a chunk that name no entry.
        if self.tail.latest() < chunk.last {
            self.tail.restart_after(chunk.last);
        }
        Ok(true)
    }

    /// Makes visible what may be, in order.
    fn show(&self) {
        let (shown, jump) = {
            let mut state = self.state.borrow_mut();
            let jump = state.jump.take();
            (state.show(), jump)
        };
        if let Some(jump) = jump
            && self.tail.latest() < jump
        {
            self.tail.restart_after(jump);
        }
        self.tail.push_all(shown);
    }

    /// Whether entries wait that nobody sees before a commit.
    fn is_urgent(&self) -> bool {
        self.state.borrow().is_urgent()
    }
}

impl Participant for Inner {
    fn stage(&self, batch: &mut Batch) {
        if self.config.read_only {
            return;
        }
        let limits = self.storage.limits();
        let now = self.host.now_ms();
        let mut state = self.state.borrow_mut();
        state.write(batch, &self.keys, &self.config, limits, now);
    }

    fn settle(&self, ok: bool) {
        let dense = self.config.block == 0;
        self.state.borrow_mut().settle(ok, dense);
        self.show();
        // A failed commit leaves entries waiting, a good one may make room for a trim.
        self.dirty.notify_waiters();
    }
}

impl<T> fmt::Debug for Log<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state.borrow();
        f.debug_struct("Log")
            .field("prefix", &self.inner.keys.chunks)
            .field("visible", &state.visible)
            .field("stored", &state.stored)
            .finish_non_exhaustive()
    }
}

async fn read_trim(storage: &dyn Storage, keys: &Keys) -> Result<TrimRow, LogError> {
    Ok(match storage.get(&keys.trim).await? {
        Some(bytes) => value::decode(&keys.trim, &bytes)?,
        None => TrimRow::default(),
    })
}
