//! Errors as data: what every error of the runtime looks like outside of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An error that crosses a boundary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ErrorData {
    /// A stable snake_case name to branch on, e.g. `stale_event_cursor`.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// Particulars that belong to the code, e.g. `{"after_cursor": 9, "latest_cursor": 4}`; `null` when there are none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

impl ErrorData {
    /// An error without particulars.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            data: Value::Null,
        }
    }

    /// The same error with particulars.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }
}
