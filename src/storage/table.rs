//! A table of small rows that is held in memory: what is committed, and over it what the running commit has staged.
//!
//! Commands validate against the *staged* rows and readers see the *committed* ones. The writer settles both: after a
//! commit the staged rows become the committed ones, after a failure they are forgotten.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

use serde::Serialize;
use serde_json::Value;

use super::{Batch, Direction, Key, KeyRange, Storage, StorageError, value};
use crate::wire::json::FromJson;

/// A value that knows where it is stored.
pub trait Record: Serialize + FromJson + 'static {
    /// What a row is found by; sorts as its storage keys do.
    type Key: Ord + Clone + 'static;

    /// This row's key.
    fn key(&self) -> Self::Key;

    /// The storage key of the row with this key in the table that begins at `prefix`.
    fn place(key: &Self::Key, prefix: &Key) -> Key;
}

/// The rows of one kind.
///
/// The typed face of [`Rows`]: everything that needs no type is there, once, for tables of all kinds.
#[derive(Debug)]
pub struct Table<V: Record> {
    prefix: Key,
    rows: Rows,
    kind: PhantomData<fn() -> V>,
}

/// Rows read per round trip to storage.
const PAGE: usize = 512;

impl<V: Record> Table<V> {
    /// An empty table; [`load`](Self::load) fills it.
    pub fn new(prefix: Key) -> Self {
        Self {
            prefix,
            rows: Rows::default(),
            kind: PhantomData,
        }
    }

    /// What reads all rows below the table's prefix, in place of those that it held.
    pub fn loader(&self) -> Loader<'_> {
        Loader {
            prefix: &self.prefix,
            rows: &self.rows,
            decode: decode::<V>,
        }
    }

    /// Reads the rows below `prefix`, a part of the table, beside those that it holds.
    pub async fn load_part(&self, storage: &dyn Storage, prefix: &Key) -> Result<(), StorageError> {
        let rows = read(storage, prefix.clone(), decode::<V>).await?;
        self.rows.committed.borrow_mut().extend(rows);
        Ok(())
    }

    /// Rows as they are stored, at most `limit` of those in `range`; the table does not hold them for it.
    pub async fn look(
        &self,
        storage: &dyn Storage,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<V>, StorageError> {
        let rows = storage.scan(range, direction, limit).await?;
        rows.iter()
            .map(|(key, bytes)| value::decode(key, bytes))
            .collect()
    }

    /// Forgets the committed rows in `range`; storage keeps them.
    pub fn unload(&self, range: impl RangeBounds<V::Key>) {
        self.rows.unload(self.places(&range));
    }

    /// The table's place in storage.
    pub fn prefix(&self) -> &Key {
        &self.prefix
    }

    /// The committed row.
    pub fn get(&self, key: &V::Key) -> Option<Rc<V>> {
        self.rows.get(&self.place(key)).map(typed)
    }

    /// All committed rows, by key.
    pub fn all(&self) -> Vec<Rc<V>> {
        self.range(..)
    }

    /// The number of committed rows.
    pub fn len(&self) -> usize {
        self.rows.committed.borrow().len()
    }

    /// Whether there is no committed row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The committed rows in `range`, by key.
    pub fn range(&self, range: impl RangeBounds<V::Key>) -> Vec<Rc<V>> {
        let rows = self.rows.range(self.places(&range));
        rows.into_iter().map(typed).collect()
    }

    /// The row as the running commit would leave it.
    pub fn staged(&self, key: &V::Key) -> Option<Rc<V>> {
        self.rows.staged(&self.place(key)).map(typed)
    }

    /// The rows in `range` as the running commit would leave them, by key.
    pub fn staged_range(&self, range: impl RangeBounds<V::Key>) -> Vec<Rc<V>> {
        let rows = self.rows.staged_range(self.places(&range));
        rows.into_iter().map(typed).collect()
    }

    /// The last key in `range` as the running commit would leave it.
    pub fn last_staged_key(&self, range: impl RangeBounds<V::Key>) -> Option<V::Key> {
        let last = self.rows.last_staged(self.places(&range))?;
        Some(typed::<V>(last).key())
    }

    /// Stages a row, replacing the one with its key.
    pub fn put(&self, batch: &mut Batch, row: V) -> Rc<V> {
        let row = Rc::new(row);
        let place = self.place(&row.key());
        batch.put(place.clone(), value::encode(row.as_ref()));
        self.rows.stage(place, Some(row.clone()));
        row
    }

    /// Stages the removal of a row.
    pub fn delete(&self, batch: &mut Batch, key: &V::Key) {
        let place = self.place(key);
        batch.delete(place.clone());
        self.rows.stage(place, None);
    }

    /// Stages the removal of all rows below `prefix`, a part of the table, those that it does not hold included.
    pub fn delete_part(&self, batch: &mut Batch, prefix: &Key) {
        let range = prefix.prefix_range();
        self.rows
            .stage_removal((range.start().clone(), range.end().clone()));
        batch.delete_range(range);
    }

    /// The rows that the running commit puts, and those that it deletes.
    pub fn touched(&self) -> Vec<Rc<V>> {
        self.rows.touched().into_iter().map(typed).collect()
    }

    /// Ends the running commit: applies what it staged, or forgets it. Answers the keys that changed.
    pub fn settle(&self, committed: bool) -> Vec<V::Key> {
        let touched = self.rows.settle(committed);
        let keys = touched.into_iter().map(|row| typed::<V>(row).key());
        keys.collect()
    }

    /// The same for who need not know which: answers whether any row changed.
    pub fn settles(&self, committed: bool) -> bool {
        !self.rows.settle(committed).is_empty()
    }

    fn place(&self, key: &V::Key) -> Key {
        V::place(key, &self.prefix)
    }

    fn places(&self, range: &impl RangeBounds<V::Key>) -> Places {
        (
            range.start_bound().map(|key| self.place(key)),
            range.end_bound().map(|key| self.place(key)),
        )
    }
}

type Row = Rc<dyn Any>;
/// Rows, or that there is none, by place. What is committed has rows only; it is of the same type so that there is one kind of map.
type Changes = BTreeMap<Key, Option<Row>>;
type Places = (Bound<Key>, Bound<Key>);

/// The row as what its table put in.
fn typed<V: Record>(row: Row) -> Rc<V> {
    row.downcast()
        .expect("a table holds rows of its own kind only")
}

/// Rows of any kind by their places in storage, which sort as their keys do. Not generic, so that the maps and the walks
/// over them are compiled once and not once for each kind of row.
#[derive(Default)]
struct Rows {
    committed: RefCell<Changes>,
    staged: RefCell<Changes>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("committed", &self.committed.borrow().len())
            .field("staged", &self.staged.borrow().len())
            .finish()
    }
}

impl Rows {
    fn get(&self, place: &Key) -> Option<Row> {
        self.committed.borrow().get(place)?.clone()
    }

    fn range(&self, places: Places) -> Vec<Row> {
        let committed = self.committed.borrow();
        committed
            .range(places)
            .filter_map(|(_, row)| row.clone())
            .collect()
    }

    fn unload(&self, places: Places) {
        let mut committed = self.committed.borrow_mut();
        let doomed: Vec<Key> = committed.range(places).map(|(at, _)| at.clone()).collect();
        for place in doomed {
            committed.remove(&place);
        }
    }

    fn staged(&self, place: &Key) -> Option<Row> {
        match self.staged.borrow().get(place) {
            Some(change) => change.clone(),
            None => self.get(place),
        }
    }

    fn staged_range(&self, places: Places) -> Vec<Row> {
        let committed = self.committed.borrow();
        let staged = self.staged.borrow();
        let mut kept = committed.range(places.clone()).peekable();
        let mut rows = Vec::new();
        // Two walks in the same order, merged: where both have a place, the staged change replaces the row.
        for (place, change) in staged.range(places) {
            while let Some((_, row)) = kept.next_if(|(at, _)| *at < place) {
                rows.extend(row.clone());
            }
            kept.next_if(|(at, _)| *at == place);
            rows.extend(change.clone());
        }
        rows.extend(kept.filter_map(|(_, row)| row.clone()));
        rows
    }

    fn last_staged(&self, places: Places) -> Option<Row> {
        let committed = self.committed.borrow();
        let staged = self.staged.borrow();
        let fresh = staged
            .range(places.clone())
            .rev()
            .find(|(_, change)| change.is_some());
        let kept = committed
            .range(places)
            .rev()
            .find(|(place, _)| !staged.contains_key(*place));
        let last = match (fresh, kept) {
            (Some(fresh), Some(kept)) if kept.0 > fresh.0 => kept.1,
            (Some(fresh), _) => fresh.1,
            (None, kept) => kept?.1,
        };
        last.clone()
    }

    fn stage(&self, place: Key, change: Option<Row>) {
        self.staged.borrow_mut().insert(place, change);
    }

    fn stage_removal(&self, places: Places) {
        let mut staged = self.staged.borrow_mut();
        for (_, change) in staged.range_mut(places.clone()) {
            *change = None;
        }
        for (place, _) in self.committed.borrow().range(places) {
            staged.insert(place.clone(), None);
        }
    }

    /// The rows that are staged, and those that stood where a removal is.
    fn touched(&self) -> Vec<Row> {
        let staged = self.staged.borrow();
        let rows = staged
            .iter()
            .filter_map(|(place, change)| change.clone().or_else(|| self.get(place)));
        rows.collect()
    }

    /// The rows that were put, and those that were there before they were deleted.
    fn settle(&self, applied: bool) -> Vec<Row> {
        let staged = self.staged.take();
        let mut touched = Vec::new();
        if !applied {
            return touched;
        }
        let mut committed = self.committed.borrow_mut();
        for (place, change) in staged {
            match change {
                Some(row) => {
                    committed.insert(place, Some(row.clone()));
                    touched.push(row);
                }
                None => touched.extend(committed.remove(&place).flatten()),
            }
        }
        touched
    }
}

/// Reads the rows of one table, of whatever kind; see [`Table::loader`].
#[derive(Debug)]
pub struct Loader<'a> {
    prefix: &'a Key,
    rows: &'a Rows,
    decode: Decode,
}

impl Loader<'_> {
    /// Reads them.
    pub async fn load(&self, storage: &dyn Storage) -> Result<(), StorageError> {
        let rows = read(storage, self.prefix.clone(), self.decode).await?;
        self.rows.committed.replace(rows);
        Ok(())
    }
}

type Decode = fn(Value) -> Result<Row, serde_json::Error>;

fn decode<V: Record>(value: Value) -> Result<Row, serde_json::Error> {
    Ok(Rc::new(V::from_json(value)?))
}

/// The rows below a prefix, by their places.
async fn read(storage: &dyn Storage, prefix: Key, decode: Decode) -> Result<Changes, StorageError> {
    let mut rows = BTreeMap::new();
    let mut range = prefix.prefix_range();
    loop {
        let page = storage
            .scan(range.clone(), Direction::Forward, PAGE)
            .await?;
        let Some((last, _)) = page.last() else {
            return Ok(rows);
        };
        range = range.after(last);
        let full = page.len() == PAGE;
        for (key, bytes) in page {
            let row = decode(value::parse(&key, &bytes)?)
                .map_err(|error| value::corrupt(&key, &error))?;
            rows.insert(key, Some(row));
        }
        if !full {
            return Ok(rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::COMPARISONS;
    use super::*;

    /// A row of many below the same part.
    #[derive(Debug, PartialEq, Serialize)]
    struct Line(u64, u64);

    impl FromJson for Line {
        fn from_json(value: Value) -> Result<Line, serde_json::Error> {
            <(u64, u64)>::from_json(value).map(|(page, number)| Line(page, number))
        }
    }

    impl Record for Line {
        type Key = (u64, u64);
        fn key(&self) -> (u64, u64) {
            (self.0, self.1)
        }
        fn place((page, number): &(u64, u64), prefix: &Key) -> Key {
            prefix.number(*page).number(*number)
        }
    }

    #[test]
    fn unloading_looks_at_what_it_unloads_and_not_at_the_table() {
        const PAGES: u64 = 1_000;
        const LINES: u64 = 10;
        let table = Table::new(Key::root().part("book"));
        let mut batch = Batch::new();
        for page in 0..PAGES {
            for line in 0..LINES {
                table.put(&mut batch, Line(page, line));
            }
        }
        table.settle(true);
        let before = COMPARISONS.get();
        table.unload((7, 0)..=(7, u64::MAX));
        let compared = COMPARISONS.get() - before;
        assert!(compared < 1_000, "{compared} comparisons for {LINES} rows");
        assert_eq!(table.len() as u64, (PAGES - 1) * LINES);
        assert_eq!(table.get(&(7, LINES - 1)), None);
        assert_eq!(table.get(&(8, 0)).as_deref(), Some(&Line(8, 0)));
    }
}
