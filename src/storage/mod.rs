//! Durable rows: one ordered key-value port with atomic batches, and the one writer above it.
//!
//! Everything that lasts is a row. Rooms add rows to a [`Batch`] that the [`Writer`] hands down to
//! them; nobody else commits. An adapter for a host implements [`Storage`] and passes
//! [`conformance`].

mod batch;
pub mod conformance;
mod error;
mod key;
pub mod lease;
mod local;
mod memory;
pub mod migrations;
mod port;
mod range;
mod table;
pub mod value;
mod writer;

pub use batch::{Batch, BatchMark, Check, Write};
pub use error::{DomError, StorageError};
pub use key::{Key, MAX_KEY_BYTES};
pub use lease::{
    AcquireMode, Lease, LeaseError, LeaseGuard, Signal, take_token, token_key, token_value,
};
pub use local::{LocalLease, LocalSignal};
pub use memory::MemoryStorage;
pub use port::{
    ClosedReason, Durability, Row, Storage, StorageLimits, StorageUsage, export, scan_all,
};
pub use range::{Direction, KeyRange};
pub use table::{Record, Table};
pub use writer::{
    Participant, Staged, SubmitError, Writer, WriterClosed, WriterConfig, WriterStats,
};
