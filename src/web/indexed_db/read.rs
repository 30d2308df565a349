//! Reads: one read-only transaction each.

use std::cell::RefCell;
use std::ops::Bound;
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{Either, LocalBoxFuture, ready, select};
use futures::{FutureExt, pin_mut};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{
    IdbCursorDirection, IdbCursorWithValue, IdbKeyRange, IdbObjectStore, IdbRequest, IdbTransaction,
};

use super::connection::Connection;
use super::error::{classify, exception_data, thrown};
use super::migrations::current;
use crate::storage::{ClosedReason, Direction, DomError, Key, KeyRange, Row, StorageError};

/// The browser's form of a range; `None` for everything. Must not be asked of an empty range.
pub(super) fn key_range(range: &KeyRange) -> Result<Option<IdbKeyRange>, JsValue> {
    fn bound(bound: &Bound<Key>) -> Option<(JsValue, bool)> {
        match bound {
            Bound::Included(key) => Some((JsValue::from_str(key.as_str()), false)),
            Bound::Excluded(key) => Some((JsValue::from_str(key.as_str()), true)),
            Bound::Unbounded => None,
        }
    }
    Ok(match (bound(range.start()), bound(range.end())) {
        (None, None) => None,
        (Some((lower, open)), None) => Some(IdbKeyRange::lower_bound_with_open(&lower, open)?),
        (None, Some((upper, open))) => Some(IdbKeyRange::upper_bound_with_open(&upper, open)?),
        (Some((lower, lower_open)), Some((upper, upper_open))) => {
            Some(IdbKeyRange::bound_with_lower_open_and_upper_open(
                &lower, &upper, lower_open, upper_open,
            )?)
        }
    })
}

pub(super) fn get(
    connection: &Rc<Connection>,
    key: &Key,
) -> Result<impl Future<Output = Result<Option<Vec<u8>>, StorageError>> + use<>, StorageError> {
    let (transaction, store) = begin(connection)?;
    let request = store
        .get(&JsValue::from_str(key.as_str()))
        .map_err(|error| thrown(&error))?;
    let name = key.to_string();
    let done = wait(connection, &transaction, &request, |_| true);
    Ok(async move {
        done.await?;
        let found = request.result().map_err(|error| thrown(&error))?;
        if found.is_undefined() {
            return Ok(None);
        }
        bytes(&name, found).map(Some)
    })
}

type Answer<T> = LocalBoxFuture<'static, Result<T, StorageError>>;

pub(super) fn scan(
    connection: &Rc<Connection>,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
) -> Result<Answer<Vec<Row>>, StorageError> {
    connection.guard()?;
    // The browser refuses an empty range, and takes a limit of 0 for none.
    if range.is_empty() || limit == 0 {
        return Ok(ready(Ok(Vec::new())).boxed_local());
    }
    let query = key_range(range).map_err(|error| thrown(&error))?;
    let query = query.map_or(JsValue::UNDEFINED, JsValue::from);
    match direction {
        Direction::Forward => scan_forward(connection, &query, limit),
        Direction::Backward => scan_backward(connection, &query, limit),
    }
}

fn scan_forward(
    connection: &Rc<Connection>,
    query: &JsValue,
    limit: usize,
) -> Result<Answer<Vec<Row>>, StorageError> {
    let (transaction, store) = begin(connection)?;
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let keys = store.get_all_keys_with_key_and_limit(query, limit);
    let keys = keys.map_err(|error| thrown(&error))?;
    let values = store.get_all_with_key_and_limit(query, limit);
    let values = values.map_err(|error| thrown(&error))?;
    // Requests are answered in order, so with the second both are there.
    let done = wait(connection, &transaction, &values, |_| true);
    Ok(async move {
        done.await?;
        let keys = keys.result().map_err(|error| thrown(&error))?;
        let values = values.result().map_err(|error| thrown(&error))?;
        let (keys, values): (Array, Array) = (keys.unchecked_into(), values.unchecked_into());
        keys.iter()
            .zip(values.iter())
            .map(|(key, value)| row(&key, value))
            .collect()
    }
    .boxed_local())
}

fn scan_backward(
    connection: &Rc<Connection>,
    query: &JsValue,
    limit: usize,
) -> Result<Answer<Vec<Row>>, StorageError> {
    let (transaction, store) = begin(connection)?;
    let request = store
        .open_cursor_with_range_and_direction(query, IdbCursorDirection::Prev)
        .map_err(|error| thrown(&error))?;
    let rows = Rc::new(RefCell::new(Ok(Vec::new())));
    let found = rows.clone();
    let done = wait(connection, &transaction, &request, move |request| {
        let mut rows = found.borrow_mut();
        match step(request, &mut rows, limit) {
            Ok(done) => done,
            Err(error) => {
                *rows = Err(error);
                true
            }
        }
    });
    Ok(async move {
        done.await?;
        rows.replace(Ok(Vec::new()))
    }
    .boxed_local())
}

/// Takes the row under the cursor and moves on; answers whether that was the last.
fn step(
    request: &IdbRequest,
    rows: &mut Result<Vec<Row>, StorageError>,
    limit: usize,
) -> Result<bool, StorageError> {
    let Ok(rows) = rows else { return Ok(true) };
    let cursor = request.result().map_err(|error| thrown(&error))?;
    if cursor.is_null() {
        return Ok(true);
    }
    let cursor: IdbCursorWithValue = cursor.unchecked_into();
    let key = cursor.key().map_err(|error| thrown(&error))?;
    let value = cursor.value().map_err(|error| thrown(&error))?;
    rows.push(row(&key, value)?);
    if rows.len() >= limit {
        return Ok(true);
    }
    cursor.continue_().map_err(|error| thrown(&error))?;
    Ok(false)
}

fn begin(connection: &Rc<Connection>) -> Result<(IdbTransaction, IdbObjectStore), StorageError> {
    let transaction = connection.read()?;
    let store = transaction.object_store(current::ROWS);
    Ok((transaction, store.map_err(|error| thrown(&error))?))
}

fn row(key: &JsValue, value: JsValue) -> Result<Row, StorageError> {
    let name = key.as_string().unwrap_or_else(|| format!("{key:?}"));
    let key = Key::parse(&name)?;
    Ok((key, bytes(&name, value)?))
}

fn bytes(key: &str, value: JsValue) -> Result<Vec<u8>, StorageError> {
    match value.dyn_into::<Uint8Array>() {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(_) => Err(StorageError::Corrupt {
            key: key.to_owned(),
            reason: "it is no array of bytes".to_owned(),
        }),
    }
}

/// Waits until `on_success` says that the request is done with, or the transaction aborts, or the
/// connection is lost. Starts to listen at once.
fn wait<F: Fn(&IdbRequest) -> bool + 'static>(
    connection: &Rc<Connection>,
    transaction: &IdbTransaction,
    request: &IdbRequest,
    on_success: F,
) -> impl Future<Output = Result<(), StorageError>> + use<F> {
    let (reply, outcome) = oneshot::channel();
    let reply = Rc::new(RefCell::new(Some(reply)));
    let success = {
        let (request, reply) = (request.clone(), reply.clone());
        Closure::<dyn FnMut()>::new(move || {
            if on_success(&request)
                && let Some(reply) = reply.borrow_mut().take()
            {
                // Whoever asked may have given up.
                let _ = reply.send(Ok(()));
            }
        })
    };
    let abort = {
        let transaction = transaction.clone();
        Closure::<dyn FnMut()>::new(move || {
            if let Some(reply) = reply.borrow_mut().take() {
                let _ = reply.send(Err(classify(exception_data(transaction.error()))));
            }
        })
    };
    request.set_onsuccess(Some(success.as_ref().unchecked_ref()));
    transaction.set_onabort(Some(abort.as_ref().unchecked_ref()));
    let listening = Listening {
        request: request.clone(),
        transaction: transaction.clone(),
        _handlers: [success, abort],
    };
    let connection = connection.clone();
    async move {
        let _listening = listening;
        let lost = lost(&connection);
        pin_mut!(lost);
        match select(outcome, lost).await {
            Either::Left((outcome, _)) => outcome.unwrap_or(Err(StorageError::Closed)),
            Either::Right((dom, _)) => Err(StorageError::Aborted(dom)),
        }
    }
}

/// Resolves when the browser has ended the connection. Other ends let reads finish.
async fn lost(connection: &Connection) -> DomError {
    match connection.closed().await {
        ClosedReason::Lost(dom) => dom,
        _ => futures::future::pending().await,
    }
}

/// The browser must not call closures that are gone.
struct Listening {
    request: IdbRequest,
    transaction: IdbTransaction,
    _handlers: [Closure<dyn FnMut()>; 2],
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.request.set_onsuccess(None);
        self.transaction.set_onabort(None);
    }
}
