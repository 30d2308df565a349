//! Reading: from memory where the entries are there, else from the chunk rows.

use std::rc::Rc;

use super::chunk::{Chunk, Split};
use super::entry::Entry;
use super::item::{GapReason, LogError, LogItem};
use super::reader::{LogReader, RawReader};
use super::{Inner, Log};
use crate::shim::TailRead;
use crate::storage::{Direction, Row, StorageError};
use crate::wire::Cursor;
use crate::wire::json::FromJson;

/// The most chunk rows fetched at once.
const PAGE_ROWS: usize = 64;

/// What reading found, and up to where it has looked: there may be nothing in between.
pub(super) struct Found {
    pub(super) items: Vec<RawItem>,
    pub(super) reached: Place,
}

/// Where a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// It has looked at everything up to this number.
    pub(super) after: u64,
    /// The next number begins a chunk: there is no need to look for the chunk that covers it.
    pub(super) at_chunk: bool,
}

impl Place {
    pub(super) fn after(number: u64) -> Place {
        Place {
            after: number,
            at_chunk: false,
        }
    }
}

/// An item whose entry is not decoded.
pub(crate) type RawItem = LogItem<Entry>;

/// An item with its entry decoded.
pub(crate) fn decoded<T: FromJson + 'static>(item: &RawItem) -> Result<LogItem<T>, LogError> {
    Ok(match *item {
        LogItem::Entry { cursor, ref entry } => LogItem::Entry {
            cursor,
            entry: entry
                .value()
                .map_err(|error| LogError::corrupt(cursor, error))?,
        },
        LogItem::Gap { from, to, reason } => LogItem::Gap { from, to, reason },
    })
}

impl<T: FromJson + 'static> Log<T> {
    /// The items after a cursor, ascending, at most `limit`; none if the reader has seen the
    /// newest. A gap counts as one item.
    ///
    /// # Errors
    /// [`LogError::Stale`] if the cursor is ahead of the newest, [`LogError::Storage`] if rows
    /// cannot be read.
    pub async fn read(&self, after: Cursor, limit: usize) -> Result<Vec<LogItem<T>>, LogError> {
        let items = self.inner.read(after, limit).await?;
        items.iter().map(decoded).collect()
    }

    /// The newest items before a cursor, ascending, at most `limit`: for reading a log backwards,
    /// window by window. A gap counts as one item.
    ///
    /// # Errors
    /// [`LogError::Storage`] if rows cannot be read.
    pub async fn read_before(
        &self,
        before: Cursor,
        limit: usize,
    ) -> Result<Vec<LogItem<T>>, LogError> {
        let items = self.inner.read_before(before.get(), limit).await?;
        items.iter().map(decoded).collect()
    }

    /// As [`read`](Log::read), for somebody who wants the entries as they are stored.
    pub(crate) async fn read_undecoded(
        &self,
        after: Cursor,
        limit: usize,
    ) -> Result<Vec<RawItem>, LogError> {
        self.inner.read(after, limit).await
    }

    /// As [`read_before`](Log::read_before), for somebody who wants the entries as they are stored.
    pub(crate) async fn read_before_undecoded(
        &self,
        before: Cursor,
        limit: usize,
    ) -> Result<Vec<RawItem>, LogError> {
        self.inner.read_before(before.get(), limit).await
    }

    /// Follows the log: everything after the cursor, then what comes.
    ///
    /// # Errors
    /// [`LogError::Stale`] if the cursor is ahead of the newest.
    pub fn follow(&self, after: Cursor) -> Result<LogReader<T>, LogError> {
        self.inner.check(after)?;
        let raw = RawReader::new(self.inner.clone(), after.get());
        Ok(LogReader::new(raw))
    }
}

impl Inner {
    async fn read(&self, after: Cursor, limit: usize) -> Result<Vec<RawItem>, LogError> {
        self.check(after)?;
        let mut items = Vec::new();
        let mut at = Place::after(after.get());
        while items.len() < limit {
            let found = self.read_some(at, limit - items.len()).await?;
            if found.reached.after == at.after {
                break;
            }
            at = found.reached;
            items.extend(found.items);
        }
        items.truncate(limit);
        Ok(items)
    }

    fn check(&self, after: Cursor) -> Result<(), LogError> {
        let latest_cursor = Cursor::new(self.state.borrow().visible);
        if after > latest_cursor {
            return Err(LogError::Stale {
                after_cursor: after,
                latest_cursor,
            });
        }
        Ok(())
    }

    /// Items that are in memory; `None` if the next one is not.
    pub(super) fn read_memory(&self, after: u64, limit: usize) -> Option<Found> {
        let entries = match self.tail.read(after, limit) {
            TailRead::Items(entries) => entries,
            TailRead::Behind { .. } => {
                let state = self.state.borrow();
                if after < state.settled {
                    return None;
                }
                state.unstored(after, limit)
            }
        };
        let reached = entries.last().map_or(after, |(number, _)| *number);
        let items = entries.into_iter().map(|(n, e)| LogItem::new(n, e));
        Some(Found {
            items: items.collect(),
            reached: Place::after(reached),
        })
    }

    /// Some of the next items, from memory or storage; `reached` stays at `after` only if there
    /// are none. A chunk that was decoded is answered whole, even beyond the limit.
    pub(super) async fn read_some(&self, at: Place, limit: usize) -> Result<Found, LogError> {
        match self.read_memory(at.after, limit) {
            Some(found) => Ok(found),
            None => self.read_stored(at, limit).await,
        }
    }

    /// The next items up to what is settled now.
    async fn read_stored(&self, at: Place, limit: usize) -> Result<Found, LogError> {
        let (settled, stored) = {
            let state = self.state.borrow();
            (state.settled, state.stored)
        };
        let mut walk = Walk {
            items: Vec::new(),
            reached: at,
        };
        let chunks = self.keys.chunks.prefix_range();
        let next = self.keys.chunks.number(at.after + 1);
        let (mut rows, mut rest) = if at.at_chunk {
            (Vec::new(), chunks.from(&next))
        } else {
            // The chunk that covers the next number is the last one that begins at or before it.
            let covering = self
                .storage
                .scan(chunks.up_to(&next), Direction::Backward, 1)
                .await?;
            let rest = match covering.first() {
                Some((key, _)) => chunks.after(key),
                None => chunks,
            };
            (covering, rest)
        };
        loop {
            for row in &rows {
                // A commit after this look may have begun a row, and before that lengthened this one, of which no more was
                // taken than was stored: what lies between them is no gap.
                if walk.reached.after >= stored {
                    break;
                }
                let chunk = self.decode_chunk(row).await?;
                if chunk.last <= walk.reached.after {
                    continue;
                }
                walk.gap_before(chunk.first, self.state.borrow().trimming());
                walk.take(chunk, stored);
                if walk.items.len() >= limit {
                    return Ok(walk.into_found());
                }
            }
            if walk.reached.after >= stored {
                break;
            }
            let wanted = self.rows_for(limit - walk.items.len());
            rows = self
                .storage
                .scan(rest.clone(), Direction::Forward, wanted)
                .await?;
            match rows.last() {
                Some((key, _)) => rest = rest.after(key),
                None => break,
            }
        }
        // What is settled and not stored was lost.
        walk.gap_before(settled + 1, self.state.borrow().trimming());
        Ok(walk.into_found())
    }

    pub(super) async fn read_before(
        &self,
        before: u64,
        limit: usize,
    ) -> Result<Vec<RawItem>, LogError> {
        let (settled, stored) = {
            let state = self.state.borrow();
            (state.settled, state.stored)
        };
        // Newest first; turned at the end.
        let unstored = self.state.borrow().unstored_before(before, limit);
        let mut items: Vec<RawItem> = unstored
            .into_iter()
            .map(|(number, entry)| LogItem::new(number, entry))
            .collect();
        // The number above the part that is still to be looked at.
        let mut above = before.min(settled + 1);
        let chunks = self.keys.chunks.prefix_range();
        let mut rest = chunks.before(&self.keys.chunks.number(above));
        while items.len() < limit && above > 1 {
            let wanted = self.rows_for(limit - items.len());
            let rows = self
                .storage
                .scan(rest.clone(), Direction::Backward, wanted)
                .await?;
            let Some((lowest, _)) = rows.last() else {
                break;
            };
            rest = rest.before(lowest);
            for row in &rows {
                let chunk = self.decode_chunk(row).await?;
                if chunk.last + 1 < above {
                    let trimmed = self.state.borrow().trimming();
                    push_gaps_down(&mut items, chunk.last + 1, above - 1, trimmed);
                }
                let entries = chunk.rows.into_iter().rev();
                let wanted = entries.filter(|(number, _)| *number < above && *number <= stored);
                items.extend(wanted.map(|(number, entry)| LogItem::new(number, entry)));
                above = above.min(chunk.first);
            }
        }
        if items.len() < limit && above > 1 {
            let trimmed = self.state.borrow().trimming();
            push_gaps_down(&mut items, 1, above - 1, trimmed);
        }
        items.truncate(limit);
        items.reverse();
        Ok(items)
    }

    /// How many rows hold about so many entries: a long replay pays one round trip for many rows,
    /// a short page does not read what it throws away.
    fn rows_for(&self, entries: usize) -> usize {
        let per_row = self.entries_per_row.get().max(1);
        (entries / per_row).saturating_add(1).min(PAGE_ROWS)
    }

    /// Decodes a chunk row, with the entries that lie in rows of their own.
    pub(super) async fn decode_chunk(&self, row: &Row) -> Result<Chunk, StorageError> {
        let (key, bytes) = row;
        let mut chunk = Chunk::decode(key, bytes)?;
        let (before, now) = (self.entries_per_row.get(), chunk.rows.len());
        self.entries_per_row.set((3 * before + now).div_ceil(4));
        for Split(number, len) in std::mem::take(&mut chunk.split) {
            let entry = self.read_parts(number, len).await?;
            let at = chunk.rows.partition_point(|(other, _)| *other < number);
            chunk.rows.insert(at, (number, entry));
        }
        Ok(chunk)
    }

    async fn read_parts(&self, number: u64, len: u64) -> Result<Rc<Entry>, StorageError> {
        let rows = self.keys.overflow.number(number);
        let corrupt = |reason: String| StorageError::Corrupt {
            key: rows.to_string(),
            reason,
        };
        let mut json: Vec<u8> = Vec::new();
        let mut rest = rows.prefix_range();
        while (json.len() as u64) < len {
            let page = self
                .storage
                .scan(rest.clone(), Direction::Forward, PAGE_ROWS)
                .await?;
            let Some((last, _)) = page.last() else {
                return Err(corrupt("a part is missing".to_owned()));
            };
            rest = rest.after(last);
            for (key, bytes) in &page {
                json.extend_from_slice(crate::storage::value::json(key, bytes)?);
            }
        }
        Ok(Entry::stored(&json))
    }
}

/// A walk upwards through the chunks.
struct Walk {
    items: Vec<RawItem>,
    reached: Place,
}

impl Walk {
    /// Says what is missing below `first`.
    fn gap_before(&mut self, first: u64, trimmed: u64) {
        let (from, to) = (self.reached.after + 1, first - 1);
        if from <= to {
            self.items.extend(gaps(from, to, trimmed));
            self.reached = Place::after(to);
        }
    }

    /// Takes what is stored for good: the rest belongs to a commit that is not through yet.
    fn take(&mut self, chunk: Chunk, stored: u64) {
        for (number, entry) in chunk.rows {
            if number > stored {
                return;
            }
            if number > self.reached.after {
                self.items.push(LogItem::new(number, entry));
                self.reached = Place::after(number);
            }
        }
        // The numbers at its end may name nothing. Only a chunk that ends before the newest entry
        // is sure not to grow.
        self.reached = Place {
            after: self.reached.after.max(chunk.last.min(stored)),
            at_chunk: chunk.last < stored,
        };
    }

    fn into_found(self) -> Found {
        Found {
            items: self.items,
            reached: self.reached,
        }
    }
}

/// The missing numbers, in the gaps that they fall into: what retention deleted, and the rest.
fn gaps(from: u64, to: u64, trimmed: u64) -> impl Iterator<Item = RawItem> {
    let split = trimmed.clamp(from - 1, to);
    let gap = |from: u64, to: u64, reason| {
        (from <= to).then(|| LogItem::Gap {
            from: Cursor::new(from),
            to: Cursor::new(to),
            reason,
        })
    };
    gap(from, split, GapReason::Retention)
        .into_iter()
        .chain(gap(split + 1, to, GapReason::UncleanStop))
}

fn push_gaps_down(items: &mut Vec<RawItem>, from: u64, to: u64, trimmed: u64) {
    let mut found: Vec<RawItem> = gaps(from, to, trimmed).collect();
    found.reverse();
    items.extend(found);
}
