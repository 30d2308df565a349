//! The newest entries of a log, in memory: a ring that is read with a cursor.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::notify::{Notified, Notify};

/// The newest entries of a log, each under its cursor. A cheap handle; clones are the same ring.
///
/// Cursors grow and may leave gaps. A reader says after which cursor it wants to go on; if the ring no longer holds
/// everything after it, the reader is [`Behind`](TailRead::Behind) and gets the missing part from storage. Readers keep no place in the
/// ring: a slow one costs nothing and loses nothing.
///
/// ```
/// use mobkit_web::shim::{Tail, TailRead};
///
/// let tail = Tail::new(2, 0);
/// for (cursor, word) in [(1, "a"), (2, "b"), (3, "c")] {
///     tail.push(cursor, word);
/// }
/// assert_eq!(tail.read(1, 10), TailRead::Items(vec![(2, "b"), (3, "c")]));
/// assert_eq!(tail.read(0, 10), TailRead::Behind { floor: 1 }); // "a" was dropped
/// ```
pub struct Tail<T> {
    ring: Rc<RefCell<Ring<T>>>,
    grown: Notify,
}

struct Ring<T> {
    entries: VecDeque<(u64, T)>,
    capacity: usize,
    /// Everything after it is in the ring.
    floor: u64,
    latest: u64,
    durable: u64,
    shed: u64,
}

/// What [`Tail::read`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailRead<T> {
    /// The next entries with their cursors, ascending. Empty when the reader has seen the latest.
    Items(Vec<(u64, T)>),
    /// The ring holds only what comes after `floor`; the entries after the reader's cursor up to and including `floor`
    /// are not in memory.
    Behind {
        /// The cursor after which the ring can be read.
        floor: u64,
    },
}

impl<T> Tail<T> {
    /// An empty ring for `capacity` entries (at least one) that continues a log whose latest cursor is `latest`.
    pub fn new(capacity: usize, latest: u64) -> Self {
        Self {
            ring: Rc::new(RefCell::new(Ring {
                entries: VecDeque::new(),
                capacity: capacity.max(1),
                floor: latest,
                latest,
                durable: latest,
                shed: 0,
            })),
            grown: Notify::new(),
        }
    }

    /// Appends an entry and wakes those who wait. When the ring is full the oldest entry leaves it, and counts as
    /// [`shed`](Self::shed) unless it was [marked as durable](Self::mark_durable).
    ///
    /// # Panics
    ///
    /// When `cursor` is not above the latest: a log that hands out a number twice must not go on.
    pub fn push(&self, cursor: u64, entry: T) {
        self.push_all([(cursor, entry)]);
    }

    /// Appends entries as [`push`](Self::push) does and wakes those who wait once.
    ///
    /// # Panics
    ///
    /// As [`push`](Self::push).
    pub fn push_all(&self, entries: impl IntoIterator<Item = (u64, T)>) {
        let mut grown = false;
        for (cursor, entry) in entries {
            // The borrow ends before the oldest entry is dropped: dropping it may run foreign code.
            let oldest = self.ring.borrow_mut().push(cursor, entry);
            drop(oldest);
            grown = true;
        }
        if grown {
            self.grown.notify_waiters();
        }
    }

    /// The cursor of the newest entry that was pushed, or the one the ring was made with.
    pub fn latest(&self) -> u64 {
        self.ring.borrow().latest
    }

    /// The cursor after which the ring can be read.
    pub fn floor(&self) -> u64 {
        self.ring.borrow().floor
    }

    /// How many entries the ring holds.
    pub fn len(&self) -> usize {
        self.ring.borrow().entries.len()
    }

    /// Whether the ring holds no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries the ring can hold.
    pub fn capacity(&self) -> usize {
        self.ring.borrow().capacity
    }

    /// Says that everything up to and including `cursor` is in storage. Never goes back.
    pub fn mark_durable(&self, cursor: u64) {
        let mut ring = self.ring.borrow_mut();
        ring.durable = ring.durable.max(cursor);
    }

    /// How many entries left the ring before they were durable: nobody can read them any more.
    pub fn shed(&self) -> u64 {
        self.ring.borrow().shed
    }

    /// Drops the entries up to and including `cursor`, which retention has deleted from storage as well. They do not count as
    /// shed.
    pub fn forget_through(&self, cursor: u64) {
        let forgotten = {
            let mut ring = self.ring.borrow_mut();
            let count = ring.entries.partition_point(|(at, _)| *at <= cursor);
            ring.floor = ring.floor.max(cursor.min(ring.latest));
            ring.entries.drain(..count).collect::<Vec<_>>()
        };
        drop(forgotten);
    }

    /// Empties the ring and lets it continue after `latest`, and wakes those who wait: another context has appended what
    /// this one did not see. The entries dropped do not count as shed.
    ///
    /// # Panics
    ///
    /// When `latest` is below the ring's own latest.
    pub fn restart_after(&self, latest: u64) {
        let dropped = {
            let mut ring = self.ring.borrow_mut();
            assert!(latest >= ring.latest, "a log never goes back");
            ring.latest = latest;
            ring.floor = latest;
            ring.durable = ring.durable.max(latest);
            std::mem::take(&mut ring.entries)
        };
        drop(dropped);
        self.grown.notify_waiters();
    }

    /// Resolves at the next push after this call. Take it before reading, and await it when the read was empty.
    pub fn grown(&self) -> Notified {
        self.grown.notified()
    }
}

impl<T: Clone> Tail<T> {
    /// The first `limit` entries after the cursor `after`, or where the ring begins when it no longer holds all of them.
    /// Entries are cloned: let `T` be cheap to clone.
    pub fn read(&self, after: u64, limit: usize) -> TailRead<T> {
        let ring = self.ring.borrow();
        if after < ring.floor {
            return TailRead::Behind { floor: ring.floor };
        }
        let start = ring.entries.partition_point(|(at, _)| *at <= after);
        TailRead::Items(ring.entries.range(start..).take(limit).cloned().collect())
    }

    /// Like [`read`](Self::read) with a `limit` above zero, and waits while there is nothing after `after`.
    pub async fn read_next(&self, after: u64, limit: usize) -> TailRead<T> {
        loop {
            let grown = self.grown();
            match self.read(after, limit.max(1)) {
                TailRead::Items(items) if items.is_empty() => grown.await,
                found => return found,
            }
        }
    }
}

impl<T> Ring<T> {
    fn push(&mut self, cursor: u64, entry: T) -> Option<(u64, T)> {
        assert!(
            cursor > self.latest,
            "cursor {cursor} was pushed after {}",
            self.latest
        );
        self.latest = cursor;
        let oldest = if self.entries.len() == self.capacity {
            self.entries.pop_front()
        } else {
            None
        };
        if let Some((at, _)) = &oldest {
            self.floor = *at;
            if *at > self.durable {
                self.shed += 1;
            }
        }
        self.entries.push_back((cursor, entry));
        oldest
    }
}

impl<T> Clone for Tail<T> {
    fn clone(&self) -> Self {
        Self {
            ring: self.ring.clone(),
            grown: self.grown.clone(),
        }
    }
}

impl<T> fmt::Debug for Tail<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ring = self.ring.borrow();
        f.debug_struct("Tail")
            .field("floor", &ring.floor)
            .field("latest", &ring.latest)
            .field("len", &ring.entries.len())
            .field("shed", &ring.shed)
            .finish_non_exhaustive()
    }
}
