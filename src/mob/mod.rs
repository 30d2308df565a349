//! The mob: definition, roster, wiring, ledger, mailboxes, and the members at work.
//!
//! Every change is a command on [`core::Core`]: it validates against the staged rows, adds rows and ledger entries to one
//! batch, and is answered when that is durable. [`MobHandle`] is the way in.

mod core;
pub mod definition;
mod delegate_tools;
mod delegates;
mod dispatch;
mod error;
mod handle;
mod index;
mod member_run;
mod member_tools;
mod open;
mod prompt;
mod reconcile;
mod roster;
mod rows;
mod transcripts;
mod trouble;
mod wake;
mod work;

pub use error::MobError;
pub(crate) use error::WRITER_BACKLOG;
pub(crate) use handle::digest;
pub use handle::{
    Accepted, HistoryMessage, InteractionOutcome, MobHandle, SendRequest, SpawnManyReport,
    SpawnReceipt,
};
pub use rows::{InteractionError, InteractionStatus, MobStatus};
pub(crate) use work::Admission;
pub use work::MAILBOX_LIMIT;

pub use self::core::Pending;
pub(crate) use self::core::{Core, Ids, Kit, Models};
#[cfg(test)]
pub(crate) use delegates::idle_after;
pub(crate) use delegates::{IDLE_RETIRE, SOURCE_MOB};
pub(crate) use index::Indexes;
pub(crate) use open::{Installed, MobOptions, open};
#[cfg(test)]
pub(crate) use prompt::PEERS_LINE;
pub(crate) use rows::{Edge, Interaction, LabelRow, Member, TranscriptRow};
