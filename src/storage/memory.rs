//! Storage in memory: for tests, for throw-away mobs, and for hosts without storage.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{FutureExt, LocalBoxFuture, ready};

use super::batch::{Batch, Write};
use super::error::StorageError;
use super::key::Key;
use super::port::{ClosedReason, Durability, Row, Storage, StorageLimits, StorageUsage};
use super::range::{Direction, KeyRange};

/// Bytes, of the type of the tables' maps: another kind of B-tree would be eight kilobytes in the package.
type Rows = BTreeMap<Key, Option<Rc<dyn Any>>>;

fn bytes(value: &Option<Rc<dyn Any>>) -> &Vec<u8> {
    let value = value.as_ref().and_then(|value| value.downcast_ref());
    value.expect("rows in memory are bytes")
}

/// A connection to rows in memory.
///
/// The rows live as long as a connection to them does. [`MemoryStorage::reopen`] makes another
/// connection to the same rows, as a second tab or a restart would.
pub struct MemoryStorage {
    rows: Rc<RefCell<Rows>>,
    open: Cell<bool>,
    waiting: RefCell<Vec<oneshot::Sender<ClosedReason>>>,
}

impl MemoryStorage {
    /// A connection to a store without rows.
    pub fn new() -> MemoryStorage {
        MemoryStorage::over(Rc::default())
    }

    /// Another connection to the same rows; it is open even if this one is closed.
    pub fn reopen(&self) -> MemoryStorage {
        MemoryStorage::over(self.rows.clone())
    }

    /// All rows, in order, whether the connection is open or not: for tests that look behind it.
    pub fn rows(&self) -> Vec<Row> {
        let rows = self.rows.borrow();
        rows.iter()
            .map(|(key, value)| (key.clone(), bytes(value).clone()))
            .collect()
    }

    fn over(rows: Rc<RefCell<Rows>>) -> MemoryStorage {
        MemoryStorage {
            rows,
            open: Cell::new(true),
            waiting: RefCell::default(),
        }
    }

    fn guard(&self) -> Result<(), StorageError> {
        if self.open.get() {
            Ok(())
        } else {
            Err(StorageError::Closed)
        }
    }

    fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, StorageError> {
        self.guard()?;
        Ok(self
            .rows
            .borrow()
            .get(key)
            .map(|value| bytes(value).clone()))
    }

    fn list(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StorageError> {
        self.guard()?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.rows.borrow();
        let hits = rows.range((range.start().clone(), range.end().clone()));
        let copy = |(key, value): (&Key, &Option<Rc<dyn Any>>)| (key.clone(), bytes(value).clone());
        Ok(match direction {
            Direction::Forward => hits.take(limit).map(copy).collect(),
            Direction::Backward => hits.rev().take(limit).map(copy).collect(),
        })
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.guard()?;
        batch.validate(&self.limits())?;
        let mut rows = self.rows.borrow_mut();
        let (checks, writes) = batch.into_parts();
        for check in &checks {
            if !check.passes(rows.get(check.key()).map(|value| bytes(value).as_slice())) {
                return Err(StorageError::CheckFailed {
                    key: check.key().to_string(),
                });
            }
        }
        for write in writes {
            match write {
                Write::Put(key, value) => {
                    rows.insert(key, Some(Rc::new(value)));
                }
                Write::Delete(key) => {
                    rows.remove(&key);
                }
                Write::DeleteRange(range) if range.is_empty() => {}
                Write::DeleteRange(range) => {
                    let bounds = (range.start().clone(), range.end().clone());
                    let doomed: Vec<Key> = rows.range(bounds).map(|(k, _)| k.clone()).collect();
                    for key in doomed {
                        rows.remove(&key);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Default for MemoryStorage {
    fn default() -> MemoryStorage {
        MemoryStorage::new()
    }
}

impl std::fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStorage")
            .field("rows", &self.rows.borrow().len())
            .field("open", &self.open.get())
            .finish()
    }
}

impl Storage for MemoryStorage {
    fn limits(&self) -> StorageLimits {
        StorageLimits {
            max_value_bytes: 32 << 20,
        }
    }

    fn get<'a>(
        &'a self,
        key: &'a Key,
    ) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        ready(self.read(key)).boxed_local()
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> LocalBoxFuture<'_, Result<Vec<Row>, StorageError>> {
        ready(self.list(&range, direction, limit)).boxed_local()
    }

    fn commit(
        &self,
        batch: Batch,
        _durability: Durability,
    ) -> LocalBoxFuture<'_, Result<(), StorageError>> {
        ready(self.write(batch)).boxed_local()
    }

    fn usage(&self) -> LocalBoxFuture<'_, Result<StorageUsage, StorageError>> {
        let rows = self.rows.borrow();
        let used: usize = rows
            .iter()
            .map(|(key, value)| key.as_str().len() + bytes(value).len())
            .sum();
        ready(self.guard().map(|()| StorageUsage {
            used_bytes: Some(used as u64),
            quota_bytes: None,
        }))
        .boxed_local()
    }

    fn closed(&self) -> LocalBoxFuture<'static, ClosedReason> {
        if !self.open.get() {
            return ready(ClosedReason::Requested).boxed_local();
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push(sender);
        // A connection that is dropped is closed as well.
        async move { receiver.await.unwrap_or(ClosedReason::Requested) }.boxed_local()
    }

    fn close(&self) {
        self.open.set(false);
        for waiting in self.waiting.take() {
            // Whoever waited may have gone; nothing is owed to them.
            let _ = waiting.send(ClosedReason::Requested);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::super::conformance;
    use super::*;

    #[test]
    fn conforms() {
        block_on(async {
            for case in conformance::CASES {
                case.run(Rc::new(MemoryStorage::new())).await;
            }
        });
    }

    #[test]
    fn another_connection_sees_the_rows() {
        block_on(async {
            let one = MemoryStorage::new();
            let mut batch = Batch::new();
            batch.put(Key::root().part("a"), vec![1]);
            one.commit(batch, Durability::Relaxed).await.unwrap();
            one.close();
            let two = one.reopen();
            assert_eq!(two.get(&Key::root().part("a")).await, Ok(Some(vec![1])));
        });
    }
}
