//! What a reader gets.

use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::storage::StorageError;
use crate::wire::Cursor;

/// Why entries are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// They were deleted because the log may only grow so old, long or large.
    Retention,
    /// They were shown, or may have been, but never stored: the host died, or storage refused for
    /// too long.
    UncleanStop,
}

impl GapReason {
    /// The stable `snake_case` name.
    pub fn as_str(self) -> &'static str {
        match self {
            GapReason::Retention => "retention",
            GapReason::UncleanStop => "unclean_stop",
        }
    }
}

/// An entry, or the place where entries are missing.
#[derive(Debug, PartialEq, Eq)]
pub enum LogItem<T> {
    /// An entry.
    Entry {
        /// Its number.
        cursor: Cursor,
        /// The entry, shared with all readers.
        entry: Rc<T>,
    },
    /// Entries that existed, or may have existed, and are gone. Every missing number lies in
    /// exactly one gap.
    Gap {
        /// The first missing number.
        from: Cursor,
        /// The last missing number.
        to: Cursor,
        /// Why they are missing.
        reason: GapReason,
    },
}

impl<T> LogItem<T> {
    /// Where to read on after this item.
    pub fn cursor(&self) -> Cursor {
        match self {
            LogItem::Entry { cursor, .. } => *cursor,
            LogItem::Gap { to, .. } => *to,
        }
    }

    /// The entry; `None` for a gap.
    pub fn entry(&self) -> Option<&Rc<T>> {
        match self {
            LogItem::Entry { entry, .. } => Some(entry),
            LogItem::Gap { .. } => None,
        }
    }

    pub(super) fn new(number: u64, entry: Rc<T>) -> LogItem<T> {
        LogItem::Entry {
            cursor: Cursor::new(number),
            entry,
        }
    }
}

// Not derived: sharing needs no `T: Clone`.
impl<T> Clone for LogItem<T> {
    fn clone(&self) -> LogItem<T> {
        match self {
            LogItem::Entry { cursor, entry } => LogItem::Entry {
                cursor: *cursor,
                entry: entry.clone(),
            },
            LogItem::Gap { from, to, reason } => LogItem::Gap {
                from: *from,
                to: *to,
                reason: *reason,
            },
        }
    }
}

/// Why a log could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The reader claims to have seen what does not exist: its cursor is of another log, or of
    /// storage that was erased since.
    #[error("the cursor {after_cursor} is ahead of the latest, {latest_cursor}")]
    Stale {
        /// Where the reader wanted to go on.
        after_cursor: Cursor,
        /// The newest number.
        latest_cursor: Cursor,
    },
    /// The rows could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl LogError {
    /// An entry that is not what its log holds.
    pub(crate) fn corrupt(cursor: Cursor, reason: impl fmt::Display) -> LogError {
        LogError::Storage(StorageError::Corrupt {
            key: format!("entry {cursor}"),
            reason: reason.to_string(),
        })
    }

    /// The stable `snake_case` name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            LogError::Stale { .. } => "event_query_stale",
            LogError::Storage(error) => error.code(),
        }
    }
}
