//! `Body`: the body of a response that is still being made.

use std::cell::RefCell;
use std::rc::Rc;

use futures::StreamExt;
use futures::stream::{AbortHandle, LocalBoxStream, abortable};
use js_sys::Promise;
use wasm_bindgen::prelude::*;

use super::convert;

type Chunks = LocalBoxStream<'static, Vec<u8>>;

/// A body, read chunk by chunk. Nothing is made that is not read.
#[wasm_bindgen]
pub struct Body {
    /// None while a chunk is being read, and after the end.
    chunks: Rc<RefCell<Option<Chunks>>>,
    closing: AbortHandle,
}

impl Body {
    pub(super) fn new(chunks: Chunks) -> Self {
        let (chunks, closing) = abortable(chunks);
        Self {
            chunks: Rc::new(RefCell::new(Some(chunks.boxed_local()))),
            closing,
        }
    }
}

#[wasm_bindgen]
impl Body {
    /// The next chunk, a `Uint8Array`; undefined at the end. One call at a time.
    pub fn next(&self) -> Promise {
        let place = self.chunks.clone();
        convert::promise(async move {
            let chunks = place.borrow_mut().take();
            let Some(mut chunks) = chunks else {
                return Ok(JsValue::UNDEFINED);
            };
            let Some(chunk) = chunks.next().await else {
                return Ok(JsValue::UNDEFINED);
            };
            *place.borrow_mut() = Some(chunks);
            Ok(convert::bytes_to_js(&chunk))
        })
    }

    /// Ends the body; a chunk that is waited for is the end.
    pub fn close(&self) {
        self.closing.abort();
        let chunks = self.chunks.borrow_mut().take();
        drop(chunks);
    }
}
