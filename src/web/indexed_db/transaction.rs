//! A commit: one transaction, driven by the browser's callbacks to its end.
//!
//! Requests run in the order in which they are made. So the checks' reads are made first, the
//! writes right behind them without waiting, and the callback of the last read decides: `abort`,
//! which takes the writes back, or `commit`. A check costs no round trip of its own.

use std::rc::Rc;

use futures::channel::oneshot;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use web_sys::{IdbObjectStore, IdbRequest, IdbTransaction};

use super::connection::Connection;
use super::error::{classify, exception_data, thrown};
use super::migrations::current;
use super::read::key_range;
use crate::storage::{Batch, Check, Durability, StorageError, Write};

// `web-sys` has it marked as deprecated, for what it was in a draft.
#[wasm_bindgen]
extern "C" {
    type Transaction;

    #[wasm_bindgen(method, catch)]
    fn commit(this: &Transaction) -> Result<(), JsValue>;
}

/// Tells the browser that no more requests come: it need not wait for the event loop to turn.
fn send(transaction: &IdbTransaction) -> Result<(), JsValue> {
    transaction.unchecked_ref::<Transaction>().commit()
}

type Reply = oneshot::Sender<Result<(), StorageError>>;

/// A commit that the browser has not answered yet.
pub(super) struct Commit {
    transaction: IdbTransaction,
    reply: Reply,
    /// Why we aborted it ourselves.
    refused: Option<StorageError>,
    /// `commit` was called: from here on an abort that nobody explains leaves the outcome open.
    sent: bool,
    /// Kept until the end: the browser calls them.
    _handlers: Vec<Closure<dyn FnMut()>>,
}

impl Commit {
    /// Answers the caller, if it still waits.
    pub(super) fn end(self, outcome: Result<(), StorageError>) {
        self.transaction.set_oncomplete(None);
        self.transaction.set_onabort(None);
        let _ = self.reply.send(outcome);
    }

    fn aborted(mut self) {
        let outcome = match self.refused.take() {
            Some(error) => error,
            None => {
                let dom = exception_data(self.transaction.error());
                let unexplained = matches!(dom.name.as_str(), "AbortError" | "UnknownError");
                match classify(dom) {
                    _ if self.sent && unexplained => StorageError::OutcomeUnknown,
                    StorageError::Other(dom) => StorageError::Aborted(dom),
                    error => error,
                }
            }
        };
        self.end(Err(outcome));
    }
}

/// Starts the commit. It goes its way whether or not the answer is awaited.
pub(super) fn commit(
    connection: &Rc<Connection>,
    batch: Batch,
    durability: Durability,
) -> Result<oneshot::Receiver<Result<(), StorageError>>, StorageError> {
    let transaction = connection.write(durability)?;
    let (reply, outcome) = oneshot::channel();
    let id = connection.next_commit();
    let (checks, writes) = batch.into_parts();

    let mut handlers = Vec::with_capacity(3);
    let ends = [
        (
            handler(connection, id, |commit| commit.end(Ok(()))),
            IdbTransaction::set_oncomplete as fn(&IdbTransaction, Option<&js_sys::Function>),
        ),
        (
            handler(connection, id, Commit::aborted),
            IdbTransaction::set_onabort,
        ),
    ];
    for (closure, set) in ends {
        set(&transaction, Some(closure.as_ref().unchecked_ref()));
        handlers.push(closure);
    }

    let requested = request(&transaction, &checks, &writes);
    let mut sent = false;
    let mut refused = None;
    match requested {
        Ok(reads) => match reads.last() {
            Some(last) => {
                let last = last.clone();
                let decide = decider(connection, id, checks, reads);
                last.set_onsuccess(Some(decide.as_ref().unchecked_ref()));
                handlers.push(decide);
            }
            None => match send(&transaction) {
                Ok(()) => sent = true,
                Err(error) => refused = Some(thrown(&error)),
            },
        },
        Err(error) => refused = Some(thrown(&error)),
    }
    if refused.is_some() {
        // If it has ended already, its own event answers.
        let _ = transaction.abort();
    }
    connection.await_answer(
        id,
        Commit {
            transaction,
            reply,
            refused,
            sent,
            _handlers: handlers,
        },
    );
    Ok(outcome)
}

/// A callback that ends the commit.
fn handler(
    connection: &Rc<Connection>,
    id: u64,
    end: impl FnOnce(Commit) + 'static,
) -> Closure<dyn FnMut()> {
    let connection = connection.clone();
    Closure::once(move || {
        // Gone if the connection was lost first. The borrow ends before anybody is woken.
        let commit = connection.answered(id);
        if let Some(commit) = commit {
            end(commit);
        }
    })
}

/// Makes the requests: all reads, then all writes.
fn request(
    transaction: &IdbTransaction,
    checks: &[Check],
    writes: &[Write],
) -> Result<Vec<IdbRequest>, JsValue> {
    let store = transaction.object_store(current::ROWS)?;
    let reads = checks
        .iter()
        .map(|check| store.get(&JsValue::from_str(check.key().as_str())))
        .collect::<Result<Vec<_>, _>>()?;
    for write in writes {
        request_write(&store, write)?;
    }
    Ok(reads)
}

fn request_write(store: &IdbObjectStore, write: &Write) -> Result<(), JsValue> {
    match write {
        Write::Put(key, value) => {
            let bytes = Uint8Array::from(value.as_slice());
            store.put_with_key(&bytes, &JsValue::from_str(key.as_str()))?;
        }
        Write::Delete(key) => {
            store.delete(&JsValue::from_str(key.as_str()))?;
        }
        // The browser refuses an empty range.
        Write::DeleteRange(range) if range.is_empty() => {}
        Write::DeleteRange(range) => {
            match key_range(range)? {
                Some(range) => store.delete(&range)?,
                None => store.clear()?,
            };
        }
    }
    Ok(())
}

/// The callback of the last read: compares, and commits or aborts.
fn decider(
    connection: &Rc<Connection>,
    id: u64,
    checks: Vec<Check>,
    reads: Vec<IdbRequest>,
) -> Closure<dyn FnMut()> {
    let connection = connection.clone();
    Closure::once(move || {
        let failed = checks.iter().zip(&reads).find(|(check, read)| {
            let found = read.result().ok();
            let found = found.as_ref().and_then(JsCast::dyn_ref::<Uint8Array>);
            !check.passes(found.map(Uint8Array::to_vec).as_deref())
        });
        connection.with_commit(id, |commit| {
            match failed {
                Some((check, _)) => {
                    commit.refused = Some(StorageError::CheckFailed {
                        key: check.key().to_string(),
                    });
                }
                None => match send(&commit.transaction) {
                    Ok(()) => {
                        commit.sent = true;
                        return;
                    }
                    Err(error) => commit.refused = Some(thrown(&error)),
                },
            }
            // If it has ended already, its own event answers.
            let _ = commit.transaction.abort();
        });
    })
}
