//! How a log is kept.

use std::time::Duration;

/// How much of a log is kept. Old chunks go as a whole as soon as one limit is passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Entries older than this go.
    pub max_age: Option<Duration>,
    /// At most so many entries stay.
    pub max_entries: Option<u64>,
    /// At most so many bytes of rows stay.
    pub max_bytes: Option<u64>,
}

/// How a log is kept and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How many of the newest visible entries stay in memory.
    pub tail_capacity: usize,
    /// How many numbers are reserved at a time for [`append`](super::Log::append). With 0 nothing
    /// is reserved, and appended entries are shown when they are stored.
    pub block: u64,
    /// The most entries in one row.
    pub chunk_max_entries: usize,
    /// A row takes no further entry once it has this many bytes.
    pub chunk_max_bytes: usize,
    /// A commit goes on writing the newest row, instead of beginning another, while it has fewer
    /// bytes than this: a slow trickle does not become thousands of rows.
    pub chunk_merge_bytes: usize,
    /// The flusher commits as soon as so many entries wait.
    pub flush_entries: usize,
    /// The flusher commits so long after the first entry began to wait.
    pub flush_after: Duration,
    /// The most entries that wait while storage refuses; beyond it the oldest are given up.
    pub pending_limit: usize,
    /// What is kept.
    pub retention: Retention,
    /// Whether another context owns the log: this one reads what is stored and follows with
    /// [`refresh`](super::Log::refresh).
    pub read_only: bool,
}

impl Default for LogConfig {
    /// A log that is shown early: numbers in blocks of 1024, no limit to what is kept.
    fn default() -> LogConfig {
        LogConfig {
            tail_capacity: 1024,
            block: 1024,
            chunk_max_entries: 512,
            // Chromium keeps a value above 64 KiB in a file of its own.
            chunk_max_bytes: 60 << 10,
            chunk_merge_bytes: 16 << 10,
            flush_entries: 64,
            flush_after: Duration::from_millis(250),
            pending_limit: 16_384,
            retention: Retention::default(),
            read_only: false,
        }
    }
}

impl LogConfig {
    /// A log that is shown when committed, with numbers from 1 and no gaps but those of retention.
    pub fn dense() -> LogConfig {
        LogConfig {
            block: 0,
            ..LogConfig::default()
        }
    }
}
