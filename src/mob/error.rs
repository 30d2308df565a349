//! What a mob can refuse or fail at (MobKit contract, section 18.7), as data for every boundary.

use std::convert::Infallible;

use serde_json::Value;

use crate::log::LogError;
use crate::storage::{StorageError, SubmitError};
use crate::wire::console::console_cursor;
use crate::wire::json::object;
use crate::wire::{
    AgentIdentity, Cursor, ErrorData, FenceToken, InteractionId, ModuleError, ProfileName,
};

/// Commands that wait for the writer; more are refused (MobKit contract, appendix A).
pub(crate) const WRITER_BACKLOG: usize = 4_096;

/// Why a mob did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MobError {
    /// No profile of this name is in the definition.
    #[error("profile not found: {0}")]
    ProfileNotFound(ProfileName),
    /// Nobody of this name is in the roster.
    #[error("mob member not found: {0}")]
    MemberNotFound(AgentIdentity),
    /// The name is taken.
    #[error("mob member already exists: {0}")]
    MemberAlreadyExists(AgentIdentity),
    /// Somebody of this name was in the roster, and left it.
    #[error("mob member was retired: {0}")]
    MemberRetired(AgentIdentity),
    /// People may not send to this member.
    #[error("mob member is not externally addressable: {0}")]
    NotAddressable(AgentIdentity),
    /// The member cannot be restored or cannot work.
    #[error("member {identity} cannot work: {reason}")]
    MemberBroken {
        /// The member.
        identity: AgentIdentity,
        /// What is missing.
        reason: String,
    },
    /// Two members cannot be wired or unwired.
    #[error("wiring error: {0}")]
    Wiring(String),
    /// The mob's status does not allow it.
    #[error("invalid state transition: {from} -> {to}")]
    InvalidTransition {
        /// The status now.
        from: String,
        /// The status that was asked for.
        to: String,
    },
    /// An argument was not usable.
    #[error("invalid {field}: {reason}")]
    InvalidInput {
        /// The argument.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No such interaction is known, or its row was pruned.
    #[error("interaction not found: {0}")]
    InteractionNotFound(InteractionId),
    /// No bytes of this id are kept.
    #[error("blob not found: {0}")]
    BlobNotFound(String),
    /// The same idempotency key was used for another message.
    #[error("idempotency key was used before with other content: interaction {interaction_id}")]
    IdempotencyConflict {
        /// The interaction that the key belongs to.
        interaction_id: InteractionId,
    },
    /// The member's mailbox, or the mob's queue of commands, is full.
    #[error("admission backlog is full: {what} holds {limit}")]
    AdmissionBacklogFull {
        /// What is full.
        what: String,
        /// How many it takes.
        limit: usize,
    },
    /// Somebody acts for a member in an incarnation that is over.
    #[error("stale fence token for {identity}: expected {expected}, got {actual}")]
    StaleFenceToken {
        /// The member.
        identity: AgentIdentity,
        /// The token in force.
        expected: FenceToken,
        /// The token that was shown.
        actual: FenceToken,
    },
    /// A cursor beyond the end of the ledger.
    #[error("stale mob event cursor: requested {after_cursor}, latest {latest_cursor}")]
    StaleEventCursor {
        /// What was asked for.
        after_cursor: Cursor,
        /// The newest entry.
        latest_cursor: Cursor,
    },
    /// A place that the timeline does not have.
    #[error("the timeline cannot be replayed from {requested_cursor}: its latest is {}", console_cursor(*.latest_cursor))]
    ReplayUnavailable {
        /// What was asked for.
        requested_cursor: String,
        /// The newest place.
        latest_cursor: Cursor,
    },
    /// Another context holds the mob; this one only follows.
    #[error("the mob is in use elsewhere: this runtime follows it read-only")]
    NotLeader,
    /// The runtime is shut down.
    #[error("the runtime is shutting down")]
    ShuttingDown,
    /// A store of the application's refused.
    #[error("the application's store `{store}` failed: {reason}")]
    HostStore {
        /// Which.
        store: &'static str,
        /// Why.
        reason: String,
    },
    /// The module runtime refused or failed.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// Storage failed.
    #[error("storage error: {0}")]
    Storage(#[from] StorageError),
}

impl MobError {
    /// The stable snake_case name of the kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ProfileNotFound(_) => "profile_not_found",
            Self::MemberNotFound(_) => "member_not_found",
            Self::MemberAlreadyExists(_) => "member_already_exists",
            Self::MemberRetired(_) => "member_retired",
            Self::NotAddressable(_) => "not_addressable",
            Self::MemberBroken { .. } => "member_broken",
            Self::Wiring(_) => "wiring_error",
            Self::InvalidTransition { .. } => "invalid_state_transition",
            Self::InvalidInput { .. } => "invalid_input",
            Self::InteractionNotFound(_) => "interaction_not_found",
            Self::BlobNotFound(_) => "blob_not_found",
            Self::IdempotencyConflict { .. } => "idempotency_conflict",
            Self::AdmissionBacklogFull { .. } => "admission_backlog_full",
            Self::StaleFenceToken { .. } => "stale_fence_token",
            Self::StaleEventCursor { .. } => "stale_event_cursor",
            Self::ReplayUnavailable { .. } => "replay_unavailable",
            Self::NotLeader => "not_leader",
            Self::ShuttingDown => "runtime_shutting_down",
            Self::HostStore { .. } => "host_store_failed",
            Self::Module(error) => error.kind.as_str(),
            Self::Storage(error) => error.code(),
        }
    }

    /// The error as every boundary shows it.
    pub fn data(&self) -> ErrorData {
        let data = match self {
            Self::ProfileNotFound(profile) => object!({ "profile": profile }),
            Self::MemberNotFound(id)
            | Self::MemberAlreadyExists(id)
            | Self::MemberRetired(id)
            | Self::NotAddressable(id) => {
                object!({ "member_id": id })
            }
            Self::MemberBroken { identity, reason } => {
                object!({ "member_id": identity, "reason": reason })
            }
            Self::HostStore { store, reason } => object!({ "store": *store, "reason": reason }),
            Self::InvalidTransition { from, to } => object!({ "from": from, "to": to }),
            Self::InvalidInput { field, reason } => object!({ "field": field, "reason": reason }),
            Self::InteractionNotFound(id) | Self::IdempotencyConflict { interaction_id: id } => {
                object!({ "interaction_id": id })
            }
            // The contract's word for it.
            Self::BlobNotFound(id) => object!({ "kind": "not_found", "blob_id": id }),
            Self::AdmissionBacklogFull { what, limit } => object!({ "what": what, "limit": limit }),
            Self::StaleFenceToken {
                identity,
                expected,
                actual,
            } => {
                object!({ "member_id": identity, "expected": expected, "actual": actual })
            }
            Self::StaleEventCursor {
                after_cursor,
                latest_cursor,
            } => {
                object!({ "after_cursor": after_cursor, "latest_cursor": latest_cursor })
            }
            Self::ReplayUnavailable {
                requested_cursor,
                latest_cursor,
            } => {
                object!({ "requested_cursor": requested_cursor, "latest_cursor": console_cursor(*latest_cursor) })
            }
            Self::Module(error) => error.data.clone(),
            Self::Storage(error) => error.dom_json(),
            Self::Wiring(_) | Self::NotLeader | Self::ShuttingDown => Value::Null,
        };
        ErrorData::new(self.code(), self.to_string()).with_data(data)
    }

    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidInput {
            field,
            reason: reason.into(),
        }
    }
}

impl<E: Into<MobError>> From<SubmitError<E>> for MobError {
    fn from(error: SubmitError<E>) -> Self {
        match error {
            SubmitError::Rejected(error) => error.into(),
            SubmitError::Storage(error) => Self::Storage(error),
            SubmitError::BacklogFull => Self::AdmissionBacklogFull {
                what: "the writer".into(),
                limit: WRITER_BACKLOG,
            },
            SubmitError::Closed => Self::ShuttingDown,
            SubmitError::NotLeader => Self::NotLeader,
        }
    }
}

impl From<Infallible> for MobError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<LogError> for MobError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Stale {
                after_cursor,
                latest_cursor,
            } => Self::StaleEventCursor {
                after_cursor,
                latest_cursor,
            },
            LogError::Storage(error) => Self::Storage(error),
        }
    }
}
