//! What can go wrong with storage, as data.

use std::fmt;

use serde_json::Value;

use crate::wire::json::object;

/// A DOM exception (or what else the host threw), kept as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomError {
    /// The exception's name, for instance `QuotaExceededError`.
    pub name: String,
    /// The exception's message, as the host words it.
    pub message: String,
}

impl DomError {
    /// An error with this name and message.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> DomError {
        DomError {
            name: name.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for DomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}: {}", self.name, self.message)
        }
    }
}

/// Why a call on storage failed.
///
/// Unless it is [`StorageError::OutcomeUnknown`], a failed commit has changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A check of the batch did not hold.
    #[error("the row `{key}` is not as the change expects it")]
    CheckFailed {
        /// The row that the check looked at.
        key: String,
    },
    /// The host has no room left for this origin.
    #[error("storage is full ({0})")]
    QuotaExceeded(DomError),
    /// Another connection holds the database and does not let go, so it cannot be opened or
    /// deleted now.
    #[error("storage is blocked by another open connection")]
    Blocked,
    /// Another context wants to upgrade or delete the database; this connection has been closed
    /// to let it.
    #[error("storage was closed because another context upgrades or deletes it")]
    VersionChange,
    /// The connection is closed.
    #[error("storage is closed")]
    Closed,
    /// The host offers no storage here: private mode, blocked site data, an opaque origin.
    #[error("this browser offers no storage here ({0})")]
    Unavailable(DomError),
    /// The host gave up the transaction; nothing was written.
    #[error("the transaction was aborted ({0})")]
    Aborted(DomError),
    /// The connection went away while a commit was on its way: it may be stored or not. Read
    /// again, or stop; never assume.
    #[error("the connection was lost during a commit, which may or may not be stored")]
    OutcomeUnknown,
    /// The key is empty, too long or not printable ASCII.
    #[error("the key `{key}` {reason}")]
    InvalidKey {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The value is larger than the adapter takes.
    #[error("the value of `{key}` has {len} bytes, the limit is {max}")]
    ValueTooLarge {
        /// The row.
        key: String,
        /// The value's length in bytes.
        len: usize,
        /// The adapter's limit in bytes.
        max: usize,
    },
    /// A stored value cannot be read.
    #[error("the row `{key}` cannot be read: {reason}")]
    Corrupt {
        /// The row.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The rows were written by a newer version of this library.
    #[error("storage has schema version {found}, this version reads up to {supported}")]
    SchemaTooNew {
        /// The version found.
        found: u32,
        /// The newest version that can be read.
        supported: u32,
    },
    /// Anything else that the host threw.
    #[error("storage failed ({0})")]
    Other(DomError),
}

impl StorageError {
    /// The stable `snake_case` name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            StorageError::CheckFailed { .. } => "storage_check_failed",
            StorageError::QuotaExceeded(_) => "storage_quota_exceeded",
            StorageError::Blocked => "storage_blocked",
            StorageError::VersionChange => "storage_version_change",
            StorageError::Closed => "storage_closed",
            StorageError::Unavailable(_) => "storage_unavailable",
            StorageError::Aborted(_) => "storage_aborted",
            StorageError::OutcomeUnknown => "storage_outcome_unknown",
            StorageError::InvalidKey { .. } => "storage_invalid_key",
            StorageError::ValueTooLarge { .. } => "storage_value_too_large",
            StorageError::Corrupt { .. } => "storage_corrupt",
            StorageError::SchemaTooNew { .. } => "storage_schema_too_new",
            StorageError::Other(_) => "storage_failed",
        }
    }

    /// The exception behind it, if a host threw one.
    pub fn dom(&self) -> Option<&DomError> {
        match self {
            StorageError::QuotaExceeded(dom)
            | StorageError::Unavailable(dom)
            | StorageError::Aborted(dom)
            | StorageError::Other(dom) => Some(dom),
            _ => None,
        }
    }

    /// Whether the same change can never be stored, however often it is tried: a value is too large or a key is none.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            StorageError::ValueTooLarge { .. } | StorageError::InvalidKey { .. }
        )
    }

    /// The exception behind it as an error's data, `null` if there is none.
    pub(crate) fn dom_json(&self) -> Value {
        self.dom().map_or(
            Value::Null,
            |DomError { name, message }| object!({ "name": name, "message": message }),
        )
    }

    /// Whether the connection is of no more use: whoever owns it must stop and open anew.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            StorageError::OutcomeUnknown | StorageError::Closed | StorageError::VersionChange
        )
    }
}
