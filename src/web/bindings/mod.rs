//! What the npm package is made of: the exports of the wasm module.
//!
//! `www/sdk/src/glue.ts` is the other side of every line here, and the only caller. Values cross as JSON text, one string
//! per call or batch; functions and objects cross in a list beside it, and the text names them by their place. So
//! the wasm needs no second serialiser and few exports. Everything typed is in TypeScript.
//!
//! Rules: exports take `&self`, clone an `Rc` and return a promise. Foreign code is called by tasks only, never under a
//! borrow. Every error is a real `Error` object.

mod body;
mod callback;
mod convert;
mod error;
mod hooks;
mod methods;
mod model;
mod model_test;
mod module;
mod options;
mod panic;
mod reader;
mod runtime;
mod tool;

use std::rc::Rc;

use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;

use error::Failure;

/// Installs the panic hook: `callback` gets the message of a panic, before the instance traps and is not to be used again.
#[wasm_bindgen(js_name = onPanic)]
pub fn on_panic(callback: Function) {
    panic::install(callback);
}

/// Builds a runtime, restoring what its storage holds. `options` is JSON text, see [`options::BuildOptions`].
#[wasm_bindgen(js_name = buildRuntime)]
pub fn build_runtime(options: String, objects: Array) -> Promise {
    convert::promise(async move {
        let hosted = runtime::build(&options, &objects).await;
        let hosted = hosted.map_err(Failure::into_js)?;
        Ok(runtime::RuntimeHandle::new(Rc::new(hosted)).into())
    })
}

/// One short request to a model, outside of any mob. `model` is JSON text, see [`options::ModelChoice`]. Answers JSON text
/// `{provider, text}`.
#[wasm_bindgen(js_name = testModel)]
pub fn test_model(model: String, objects: Array) -> Promise {
    convert::promise(async move {
        let answer = model_test::run(&model, &objects).await;
        Ok(answer.map_err(Failure::into_js)?.into())
    })
}
