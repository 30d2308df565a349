//! DOM exceptions as errors of storage.

use wasm_bindgen::JsValue;
use web_sys::DomException;

use super::super::js_error::dom_error;
use crate::storage::{DomError, StorageError};

/// The error of a DOM exception, by its name (Indexed Database API 3.0, section 3).
pub(super) fn classify(dom: DomError) -> StorageError {
    match dom.name.as_str() {
        "QuotaExceededError" => StorageError::QuotaExceeded(dom),
        "SecurityError" | "NotSupportedError" => StorageError::Unavailable(dom),
        "AbortError" => StorageError::Aborted(dom),
        _ => StorageError::Other(dom),
    }
}

/// The error of what a call threw.
pub(super) fn thrown(error: &JsValue) -> StorageError {
    classify(dom_error(error))
}

/// The error of an open or delete request: what elsewhere may be anything, here says that this
/// browser does not let us (Firefox's private mode of old answers `InvalidStateError`).
pub(super) fn refused(exception: Option<DomException>) -> StorageError {
    let dom = exception_data(exception);
    match dom.name.as_str() {
        "InvalidStateError" | "NotAllowedError" => StorageError::Unavailable(dom),
        _ => classify(dom),
    }
}

/// Name and message of an exception; an absent one is an abort that nobody explained.
pub(super) fn exception_data(exception: Option<DomException>) -> DomError {
    match exception {
        Some(exception) => DomError::new(exception.name(), exception.message()),
        None => DomError::new("AbortError", ""),
    }
}
