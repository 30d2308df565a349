//! What JavaScript threw, as data.

use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue};

use crate::storage::DomError;

/// Keeps the name and the message of what was thrown. Anything but an error object is named `Error` and worded as JavaScript
/// would print it.
pub(crate) fn dom_error(thrown: &JsValue) -> DomError {
    let text = |property: &str| {
        Reflect::get(thrown, &JsValue::from_str(property))
            .ok()
            .and_then(|value| value.as_string())
    };
    if thrown.is_object()
        && let Some(name) = text("name")
    {
        return DomError::new(name, text("message").unwrap_or_default());
    }
    let printed = match thrown.dyn_ref::<js_sys::JsString>() {
        Some(string) => String::from(string),
        None => format!("{thrown:?}"),
    };
    DomError::new("Error", printed)
}
