//! The panic hook: the last thing that runs in an instance.

use std::cell::RefCell;

use js_sys::Function;
use wasm_bindgen::JsValue;

thread_local! {
    /// Outside of everything that a panic may have left borrowed.
    static CALLBACK: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Sends the message of a panic to `callback`. The trap that follows ends the instance.
pub(super) fn install(callback: Function) {
    CALLBACK.set(Some(callback));
    std::panic::set_hook(Box::new(|info| {
        // A panic in here would hide the first one: nothing is unwrapped, and what the callback throws is of no use.
        CALLBACK.with(|callback| {
            if let Ok(callback) = callback.try_borrow()
                && let Some(callback) = callback.as_ref()
            {
                let _ = callback.call1(&JsValue::UNDEFINED, &info.to_string().into());
            }
        });
    }));
}
