//! How a runtime stands: its role, its models, its cursors.

use crate::mob::MobStatus;
use crate::mob::definition::DefinitionChange;
use crate::runtime::health::TaskHealth;
use crate::wire::{Cursor, MobId};

/// What a context is to its mob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It writes.
    Leader,
    /// It reads what the leader writes.
    Follower,
    /// It was the leader and another context took the mob over.
    Retired,
    /// It is shut down.
    Closed,
}

impl Role {
    /// The role as the contract writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Retired => "retired",
            Self::Closed => "closed",
        }
    }
}

/// A model as status shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStatus {
    /// Its name.
    pub name: String,
    /// Who answers.
    pub provider: String,
    /// It is a scripted demo.
    pub is_demo: bool,
    /// Why it cannot be asked now; none when it can.
    pub waiting: Option<String>,
}

/// How a runtime stands.
#[derive(Clone, Debug)]
pub struct RuntimeStatus {
    /// The mob.
    pub mob_id: MobId,
    /// Whether members work.
    pub mob_state: MobStatus,
    /// What this context is to the mob.
    pub role: Role,
    /// The newest structural event.
    pub latest_mob_cursor: Cursor,
    /// How far the structural projection has come.
    pub projected_cursor: Cursor,
    /// The newest agent event.
    pub latest_event_cursor: Cursor,
    /// The models that were given, in the order of their names.
    pub models: Vec<ModelStatus>,
    /// How the definition differs from the one that was stored before this start.
    pub definition_changes: Vec<DefinitionChange>,
    /// How the supervised tasks fare; none in a context that follows.
    pub tasks: Vec<TaskHealth>,
}
