//! `Reader`: a stream of events, read in batches.

use std::cell::RefCell;
use std::rc::Rc;

use futures::stream::{AbortHandle, LocalBoxStream, abortable};
use futures::{FutureExt, StreamExt};
use js_sys::Promise;
use wasm_bindgen::prelude::*;

use super::convert;
use super::error::Failure;

/// Items as JSON text.
pub(super) type Items = LocalBoxStream<'static, Result<String, Failure>>;

/// A stream of events, read in batches: one string crosses per batch.
#[wasm_bindgen]
pub struct Reader {
    inner: Rc<Inner>,
    closing: AbortHandle,
}

struct Inner {
    /// None while a batch is being read, and after the end.
    items: RefCell<Option<Items>>,
    /// What came after the items of the last batch.
    failure: RefCell<Option<Failure>>,
}

impl Reader {
    pub(super) fn new(items: Items) -> Self {
        let (items, closing) = abortable(items);
        let inner = Inner {
            items: RefCell::new(Some(items.fuse().boxed_local())),
            failure: RefCell::new(None),
        };
        Self {
            inner: Rc::new(inner),
            closing,
        }
    }
}

#[wasm_bindgen]
impl Reader {
    /// JSON text of an array with at least one and at most `max` items, as soon as there are any; undefined at the end.
    /// One call at a time.
    pub fn next(&self, max: usize) -> Promise {
        let inner = self.inner.clone();
        convert::promise(async move {
            let batch = inner.next(max).await.map_err(Failure::into_js)?;
            Ok(batch.map_or(JsValue::UNDEFINED, JsValue::from))
        })
    }

    /// Ends the stream; a batch that is waited for is the end.
    pub fn close(&self) {
        self.closing.abort();
        let items = self.inner.items.borrow_mut().take();
        drop(items);
    }
}

impl Inner {
    async fn next(&self, max: usize) -> Result<Option<String>, Failure> {
        let failed = self.failure.borrow_mut().take();
        if let Some(failure) = failed {
            return Err(failure);
        }
        let items = self.items.borrow_mut().take();
        let Some(mut items) = items else {
            return Ok(None);
        };
        let Some(first) = items.next().await else {
            return Ok(None);
        };
        let mut batch = String::from("[");
        batch.push_str(&first?);
        for _ in 1..max {
            match items.next().now_or_never().flatten() {
                // Nothing more for now. An end is met again by the next call.
                None => break,
                Some(Err(failure)) => {
                    *self.failure.borrow_mut() = Some(failure);
                    break;
                }
                Some(Ok(item)) => {
                    batch.push(',');
                    batch.push_str(&item);
                }
            }
        }
        batch.push(']');
        *self.items.borrow_mut() = Some(items);
        Ok(Some(batch))
    }
}
