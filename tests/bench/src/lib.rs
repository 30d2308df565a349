//! A log over IndexedDB for `cargo xtask bench`, set up as the runtime sets up its own: the same type of entry, the same
//! writer with its fencing token, the same configuration. `www/bench/page/contenders/log.ts` is the caller.
#![cfg(target_arch = "wasm32")]

mod event;
mod log;

pub use log::BenchLog;

use wasm_bindgen::prelude::*;

/// The JSON of an event: what the contenders store is the same to the byte.
#[wasm_bindgen(js_name = eventJson)]
pub fn event_json(number: u32) -> Result<String, JsError> {
    Ok(serde_json::to_string(&event::event(number))?)
}
