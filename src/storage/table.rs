//! A table of small rows that is held in memory: what is committed, and over it what the running commit has staged.
//!
//! Commands validate against the *staged* rows and readers see the *committed* ones. The writer settles both: after a
//! commit the staged rows become the committed ones, after a failure they are forgotten.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Batch, Direction, Key, Storage, StorageError, value};

/// A value that knows where it is stored.
pub trait Record: Serialize + DeserializeOwned + 'static {
    /// What a row is found by; sorts as its storage keys do.
    type Key: Ord + Clone + 'static;

    /// This row's key.
    fn key(&self) -> Self::Key;

    /// The storage key of the row with this key in the table that begins at `prefix`.
    fn place(key: &Self::Key, prefix: &Key) -> Key;
}

/// The rows of one kind.
#[derive(Debug)]
pub struct Table<V: Record> {
    prefix: Key,
    committed: RefCell<BTreeMap<V::Key, Rc<V>>>,
    staged: RefCell<BTreeMap<V::Key, Option<Rc<V>>>>,
}

/// Rows read per round trip to storage.
const PAGE: usize = 512;

impl<V: Record> Table<V> {
    /// An empty table; [`load`](Self::load) fills it.
    pub fn new(prefix: Key) -> Self {
        Self {
            prefix,
            committed: RefCell::default(),
            staged: RefCell::default(),
        }
    }

    /// Reads all rows below the table's prefix, in place of those that it held.
    pub async fn load(&self, storage: &dyn Storage) -> Result<(), StorageError> {
        let rows = read(storage, &self.prefix).await?;
        *self.committed.borrow_mut() = rows
            .into_iter()
            .map(|row: V| (row.key(), Rc::new(row)))
            .collect();
        Ok(())
    }

    /// Reads the rows below `prefix`, a part of the table, beside those that it holds.
    pub async fn load_part(&self, storage: &dyn Storage, prefix: &Key) -> Result<(), StorageError> {
        let rows = read(storage, prefix).await?;
        self.committed
            .borrow_mut()
            .extend(rows.into_iter().map(|row: V| (row.key(), Rc::new(row))));
        Ok(())
    }

    /// Forgets the committed rows in `range`; storage keeps them.
    pub fn unload(&self, range: impl RangeBounds<V::Key>) {
        self.committed
            .borrow_mut()
            .retain(|key, _| !range.contains(key));
    }

    /// The table's place in storage.
    pub fn prefix(&self) -> &Key {
        &self.prefix
    }

    /// The committed row.
    pub fn get(&self, key: &V::Key) -> Option<Rc<V>> {
        self.committed.borrow().get(key).cloned()
    }

    /// All committed rows, by key.
    pub fn all(&self) -> Vec<Rc<V>> {
        self.committed.borrow().values().cloned().collect()
    }

    /// The number of committed rows.
    pub fn len(&self) -> usize {
        self.committed.borrow().len()
    }

    /// Whether there is no committed row.
    pub fn is_empty(&self) -> bool {
        self.committed.borrow().is_empty()
    }

    /// The committed rows in `range`, by key.
    pub fn range(&self, range: impl RangeBounds<V::Key>) -> Vec<Rc<V>> {
        self.committed
            .borrow()
            .range(range)
            .map(|(_, row)| row.clone())
            .collect()
    }

    /// The row as the running commit would leave it.
    pub fn staged(&self, key: &V::Key) -> Option<Rc<V>> {
        match self.staged.borrow().get(key) {
            Some(change) => change.clone(),
            None => self.get(key),
        }
    }

    /// The rows in `range` as the running commit would leave them, by key.
    pub fn staged_range(&self, range: impl RangeBounds<V::Key>) -> Vec<Rc<V>> {
        let bounds: (Bound<V::Key>, Bound<V::Key>) =
            (range.start_bound().cloned(), range.end_bound().cloned());
        let staged = self.staged.borrow();
        let committed = self.committed.borrow();
        let mut rows: BTreeMap<&V::Key, &Rc<V>> = committed.range(bounds.clone()).collect();
        for (key, change) in staged.range(bounds) {
            match change {
                Some(row) => rows.insert(key, row),
                None => rows.remove(key),
            };
        }
        rows.into_values().cloned().collect()
    }

    /// The last key in `range` as the running commit would leave it.
    pub fn last_staged_key(&self, range: impl RangeBounds<V::Key>) -> Option<V::Key> {
        let bounds: (Bound<V::Key>, Bound<V::Key>) =
            (range.start_bound().cloned(), range.end_bound().cloned());
        let staged = self.staged.borrow();
        let fresh = staged
            .range(bounds.clone())
            .rev()
            .find(|(_, change)| change.is_some())
            .map(|(key, _)| key.clone());
        let gone: BTreeSet<&V::Key> = staged
            .iter()
            .filter(|(_, change)| change.is_none())
            .map(|(key, _)| key)
            .collect();
        let committed = self.committed.borrow();
        let kept = committed
            .range(bounds)
            .rev()
            .map(|(key, _)| key)
            .find(|key| !gone.contains(key))
            .cloned();
        fresh.max(kept)
    }

    /// Stages a row, replacing the one with its key.
    pub fn put(&self, batch: &mut Batch, row: V) -> Rc<V> {
        let row = Rc::new(row);
        batch.put(
            V::place(&row.key(), &self.prefix),
            value::encode(row.as_ref()),
        );
        self.staged
            .borrow_mut()
            .insert(row.key(), Some(row.clone()));
        row
    }

    /// Stages the removal of a row.
    pub fn delete(&self, batch: &mut Batch, key: &V::Key) {
        batch.delete(V::place(key, &self.prefix));
        self.staged.borrow_mut().insert(key.clone(), None);
    }

    /// Ends the running commit: applies what it staged, or forgets it. Answers the keys that changed.
    pub fn settle(&self, committed: bool) -> Vec<V::Key> {
        let staged = std::mem::take(&mut *self.staged.borrow_mut());
        if !committed {
            return Vec::new();
        }
        let mut rows = self.committed.borrow_mut();
        let touched = staged.keys().cloned().collect();
        for (key, change) in staged {
            match change {
                Some(row) => rows.insert(key, row),
                None => rows.remove(&key),
            };
        }
        touched
    }
}

async fn read<V: Record>(storage: &dyn Storage, prefix: &Key) -> Result<Vec<V>, StorageError> {
    let mut rows = Vec::new();
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
            rows.push(value::decode(&key, &bytes)?);
        }
        if !full {
            return Ok(rows);
        }
    }
}
