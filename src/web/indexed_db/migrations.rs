//! The version of the database itself: which object stores it has.
//!
//! The layout of the rows has a version of its own, see
//! [`storage::migrations`](crate::storage::migrations).

use wasm_bindgen::JsValue;
use web_sys::IdbDatabase;

/// The current version.
pub(super) use v1 as current;

/// The first version: one object store of rows, keys and values both from outside.
pub(super) mod v1 {
    use super::{IdbDatabase, JsValue};

    pub(in super::super) const VERSION: u32 = 1;
    pub(in super::super) const ROWS: &str = "rows";

    pub(super) fn upgrade(database: &IdbDatabase) -> Result<(), JsValue> {
        database.create_object_store(ROWS).map(drop)
    }
}

/// Every step, oldest first, with the version that it leads to.
type Step = (u32, fn(&IdbDatabase) -> Result<(), JsValue>);
const STEPS: &[Step] = &[(v1::VERSION, v1::upgrade)];

/// Brings a database of an older version (0 if it is new) to the current one. Runs inside the
/// version-change transaction, which an error aborts.
pub(super) fn upgrade(database: &IdbDatabase, old_version: u32) -> Result<(), JsValue> {
    let due = STEPS.iter().filter(|(version, _)| *version > old_version);
    for (_, step) in due {
        step(database)?;
    }
    Ok(())
}
