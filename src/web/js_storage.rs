//! Storage that JavaScript keeps: an object with a few functions over whatever the host has.

use std::cell::{Cell, RefCell};
use std::ops::Bound;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{LocalBoxFuture, ready};
use js_sys::{Array, Function, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use super::http::{get, settle};
use super::js_error::dom_error;
use crate::storage::{
    Batch, Check, ClosedReason, Direction, DomError, Durability, Key, KeyRange, Row, Storage,
    StorageError, StorageLimits, StorageUsage, Write,
};

/// Values up to which an object is trusted that names no limit.
const DEFAULT_MAX_VALUE_BYTES: usize = 1 << 20;

/// A JS object as a [`Storage`].
///
/// Keys are strings of printable ASCII, ordered as their bytes are; values are `Uint8Array`s. A range is a first key and a key
/// before which it ends, undefined where it has no end. Functions answer at once or by a promise, and take effect in the order in
/// which they are called:
///
/// - `maxValueBytes`: the longest value;
/// - `get(key)`: the value, or undefined;
/// - `scan(from, to, reverse, limit)`: `[key, value]` pairs in order;
/// - `commit(checks, writes, strict)`: all or nothing. `checks` are `[key, value]` pairs, where undefined says that there is no such
///   row; the answer is the key of the first that does not hold, undefined when the batch is committed. `writes` are `[key, value]`
///   to put, `[key]` to delete and `[from, to, null]` to delete a range. What it throws says that nothing was written;
/// - `usage()` (optional): `[used, quota]` in bytes;
/// - `close()` (optional).
pub struct JsStorage {
    driver: JsValue,
    limits: StorageLimits,
    is_closed: Cell<bool>,
    waiting: RefCell<Vec<oneshot::Sender<ClosedReason>>>,
}

impl JsStorage {
    /// Wraps an object. One without these functions fails when it is used.
    pub fn new(driver: JsValue) -> Self {
        let most = get(&driver, "maxValueBytes").ok().and_then(|n| n.as_f64());
        let max_value_bytes = most.map_or(DEFAULT_MAX_VALUE_BYTES, |most| most as usize);
        Self {
            driver,
            limits: StorageLimits { max_value_bytes },
            is_closed: Cell::new(false),
            waiting: RefCell::default(),
        }
    }

    /// Calls a function now; the future waits for its answer.
    fn call(
        &self,
        name: &str,
        arguments: &Array,
    ) -> LocalBoxFuture<'static, Result<JsValue, StorageError>> {
        if self.is_closed.get() {
            return ready(Err(StorageError::Closed)).boxed_local();
        }
        let called = get(&self.driver, name)
            .and_then(|function| function.dyn_into::<Function>())
            .and_then(|function| Reflect::apply(&function, &self.driver, arguments));
        async move {
            let answer = called.map_err(|thrown| refused(&thrown))?;
            settle(&answer).await.map_err(|thrown| refused(&thrown))
        }
        .boxed_local()
    }
}

impl std::fmt::Debug for JsStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsStorage").finish_non_exhaustive()
    }
}

/// What was thrown, as the kind of failure that the runtime knows.
fn refused(thrown: &JsValue) -> StorageError {
    let error = dom_error(thrown);
    let full = ["SQLITE_FULL", "database or disk is full", "storage limit"];
    if error.name == "QuotaExceededError" || full.iter().any(|words| error.message.contains(words))
    {
        return StorageError::QuotaExceeded(error);
    }
    match error.name.as_str() {
        "OutcomeUnknownError" => StorageError::OutcomeUnknown,
        _ => StorageError::Other(error),
    }
}

/// A first key and a key before which the range ends. No key comes between one and the same with a control character after it.
fn half_open(range: &KeyRange) -> (JsValue, JsValue) {
    let behind = |key: &Key| JsValue::from([key.as_str(), "\u{1}"].concat());
    let from = match range.start() {
        Bound::Unbounded => "".into(),
        Bound::Included(key) => key.as_str().into(),
        Bound::Excluded(key) => behind(key),
    };
    let to = match range.end() {
        Bound::Unbounded => JsValue::UNDEFINED,
        Bound::Included(key) => behind(key),
        Bound::Excluded(key) => key.as_str().into(),
    };
    (from, to)
}

/// Bytes of their own, outside of the wasm's memory.
fn bytes(value: &[u8]) -> JsValue {
    Uint8Array::from(value).into()
}

fn malformed(what: &str) -> StorageError {
    let message = format!("the storage's object answers {what}");
    StorageError::Other(DomError::new("TypeError", message))
}

fn value(found: JsValue) -> Result<Vec<u8>, StorageError> {
    let found: Result<Uint8Array, _> = found.dyn_into();
    found
        .map(|found| found.to_vec())
        .map_err(|_| malformed("a value that is no Uint8Array"))
}

fn row(pair: JsValue) -> Result<Row, StorageError> {
    let pair: Array = pair
        .dyn_into()
        .map_err(|_| malformed("a row that is no pair"))?;
    let key = pair.get(0).as_string().unwrap_or_default();
    let key = Key::parse(&key).map_err(|_| malformed("a row whose key is none"))?;
    Ok((key, value(pair.get(1))?))
}

impl Storage for JsStorage {
    fn limits(&self) -> StorageLimits {
        self.limits
    }

    fn get<'a>(
        &'a self,
        key: &'a Key,
    ) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        let answer = self.call("get", &Array::of1(&key.as_str().into()));
        answer
            .map(|found| match found? {
                found if found.is_undefined() => Ok(None),
                found => value(found).map(Some),
            })
            .boxed_local()
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> LocalBoxFuture<'_, Result<Vec<Row>, StorageError>> {
        if range.is_empty() && !self.is_closed.get() {
            return ready(Ok(Vec::new())).boxed_local();
        }
        let (from, to) = half_open(&range);
        let reverse = direction == Direction::Backward;
        // More than JavaScript can count are all.
        let limit = JsValue::from(limit.min(u32::MAX as usize) as u32);
        let answer = self.call("scan", &Array::of4(&from, &to, &reverse.into(), &limit));
        answer
            .map(|rows| {
                let rows: Array = rows?
                    .dyn_into()
                    .map_err(|_| malformed("rows that are no array"))?;
                rows.iter().map(row).collect()
            })
            .boxed_local()
    }

    fn commit(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> LocalBoxFuture<'_, Result<(), StorageError>> {
        if let Err(error) = batch.validate(&self.limits) {
            return ready(Err(error)).boxed_local();
        }
        let checks: Array = batch
            .checks()
            .iter()
            .map(|check| match check {
                Check::Absent(key) => Array::of2(&key.as_str().into(), &JsValue::UNDEFINED),
                Check::Equals(key, value) => Array::of2(&key.as_str().into(), &bytes(value)),
            })
            .collect();
        let writes: Array = batch
            .writes()
            .iter()
            .filter_map(|write| match write {
                Write::Put(key, value) => Some(Array::of2(&key.as_str().into(), &bytes(value))),
                Write::Delete(key) => Some(Array::of1(&key.as_str().into())),
                Write::DeleteRange(range) if range.is_empty() => None,
                Write::DeleteRange(range) => {
                    let (from, to) = half_open(range);
                    Some(Array::of3(&from, &to, &JsValue::NULL))
                }
            })
            .collect();
        let strict = durability == Durability::Strict;
        let answer = self.call("commit", &Array::of3(&checks, &writes, &strict.into()));
        answer
            .map(|failed| match failed?.as_string() {
                None => Ok(()),
                Some(key) => Err(StorageError::CheckFailed { key }),
            })
            .boxed_local()
    }

    fn usage(&self) -> LocalBoxFuture<'_, Result<StorageUsage, StorageError>> {
        let has_none = get(&self.driver, "usage").is_ok_and(|usage| usage.is_undefined());
        if has_none && !self.is_closed.get() {
            return ready(Ok(StorageUsage::default())).boxed_local();
        }
        let answer = self.call("usage", &Array::new());
        answer
            .map(|usage| {
                let usage = Array::from(&usage?);
                let bytes = |at| usage.get(at).as_f64().map(|bytes| bytes as u64);
                Ok(StorageUsage {
                    used_bytes: bytes(0),
                    quota_bytes: bytes(1),
                })
            })
            .boxed_local()
    }

    fn closed(&self) -> LocalBoxFuture<'static, ClosedReason> {
        if self.is_closed.get() {
            return ready(ClosedReason::Requested).boxed_local();
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push(sender);
        // Dropping the storage closes it.
        receiver
            .map(|reason| reason.unwrap_or(ClosedReason::Requested))
            .boxed_local()
    }

    fn close(&self) {
        if self.is_closed.replace(true) {
            return;
        }
        if let Ok(close) = get(&self.driver, "close").and_then(|close| close.dyn_into::<Function>())
        {
            // Nobody waits for it, and what was committed is.
            let _ = close.call0(&self.driver);
        }
        for waiting in self.waiting.take() {
            let _ = waiting.send(ClosedReason::Requested);
        }
    }
}
