//! Calls of JavaScript functions that take JSON text and give text.

use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::storage::DomError;
use crate::web::js_error::dom_error;

/// Calls a function and awaits its text; none if it gave no text. To be awaited by a task, so that no borrow is held.
///
/// # Errors
/// What it threw, or what its promise was rejected with.
pub(super) async fn call(
    function: &Function,
    args: &[JsValue],
) -> Result<Option<String>, DomError> {
    let args: Array = args.iter().collect();
    let answer = function
        .apply(&JsValue::UNDEFINED, &args)
        .map_err(|thrown| dom_error(&thrown))?;
    // Whatever can be awaited is; anything else is its own answer.
    let answer = JsFuture::from(Promise::resolve(&answer))
        .await
        .map_err(|thrown| dom_error(&thrown))?;
    Ok(answer.as_string())
}
