//! Commands on work: accepting a message, taking it from a mailbox, growing the transcript, closing the turn.
//!
//! Each work item carries its cause. An interaction is complete when no open item carries it; the asked member's last
//! words are its answer.

mod accept;
mod end;
mod turn;

use std::rc::Rc;

use crate::agent::model::AssembledTurn;
use crate::agent::run::RunFailure;
use crate::mob::rows::OpenTurn;
use crate::wire::{
    AgentErrorClass, AgentIdentity, ContentInput, HandlingMode, InteractionId, SessionId, WorkId,
};

pub use accept::MAILBOX_LIMIT;

/// How a turn ended.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// With the model's last answer.
    Completed(Rc<AssembledTurn>),
    Failed {
        class: AgentErrorClass,
        error: String,
        cause_kind: Option<String>,
    },
}

impl Ending {
    pub fn failed(class: AgentErrorClass, error: impl Into<String>, cause_kind: &str) -> Self {
        Self::Failed {
            class,
            error: error.into(),
            cause_kind: Some(cause_kind.to_owned()),
        }
    }

    pub fn cancelled(by: &str) -> Self {
        Self::failed(
            AgentErrorClass::Cancelled,
            format!("cancelled: {by}"),
            "cancelled",
        )
    }
}

impl From<RunFailure> for Ending {
    fn from(failure: RunFailure) -> Self {
        Self::Failed {
            class: failure.class,
            error: failure.error,
            cause_kind: failure.cause_kind,
        }
    }
}

/// A person's message on its way in.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub to: AgentIdentity,
    pub content: ContentInput,
    pub mode: HandlingMode,
    pub origin: String,
    /// The mob itself says it, also to those whom nobody outside may address.
    pub by_mob: bool,
    pub interaction_id: InteractionId,
    pub work_id: WorkId,
    /// Equal for equal messages; checked when the interaction is known already.
    pub fingerprint: String,
}

/// What became of an admission.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    pub interaction_id: InteractionId,
    pub session_id: SessionId,
    /// The same message was accepted before, under the same idempotency key.
    pub repeated: bool,
}

/// What a pump finds when it looks for work.
pub(crate) enum Taken {
    /// A turn is open and may run.
    Turn(Rc<OpenTurn>),
    /// Something was refused or failed; look again.
    Again,
    /// Nothing to do.
    Nothing,
}

/// Whether two rows are the same start of the same work.
pub(crate) fn same_run(a: &OpenTurn, b: &OpenTurn) -> bool {
    a.item.work_id == b.item.work_id
        && a.fence_token == b.fence_token
        && a.item.attempt == b.item.attempt
}
