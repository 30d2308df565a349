//! Members as seen from outside, and what a new one is made from (MobKit contract, section 18.3).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AgentIdentity, ContentInput, HandlingMode, InvalidIdentity, ProfileName, SessionId,
    TimestampMs, WireEdge,
};

/// How a member gets to work. In this version all members are autonomous hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MobRuntimeMode {
    /// It takes work out of its mailbox whenever there is some.
    #[default]
    AutonomousHost,
    /// It works one turn at a time, when told to.
    TurnDriven,
}

/// Whether a member belongs to the roster for good. Written in lower case; both cases are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// It does.
    #[default]
    #[serde(alias = "Active")]
    Active,
    /// It is about to leave.
    #[serde(alias = "Retiring")]
    Retiring,
}

/// How a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    /// Fit for work.
    #[default]
    Active,
    /// About to leave.
    Retiring,
    /// It cannot work; the entry's `error` says why.
    Broken,
    /// Done for good.
    Completed,
    /// Not known.
    Unknown,
}

/// What a member does right now (an addition to the contract).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberActivity {
    /// Restored and not yet activated.
    #[default]
    Dormant,
    /// Waiting for work.
    Idle,
    /// At work.
    Running,
    /// It has work, and its model is not there.
    WaitingModel,
    /// It cannot work.
    Broken,
}

/// Where a member's kick-off is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KickoffPhase {
    /// To come.
    Pending,
    /// Under way.
    Starting,
    /// It waits for a callback.
    CallbackPending,
    /// Done.
    Started,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// A member's kick-off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KickoffSnapshot {
    /// Where it is.
    pub phase: KickoffPhase,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when.
    #[serde(with = "super::rfc3339")]
    pub updated_at: TimestampMs,
}

/// A row of the roster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MobMemberListEntry {
    /// Which member.
    pub agent_identity: AgentIdentity,
    /// Its role (profile).
    pub role: ProfileName,
    /// How it gets to work.
    #[serde(default)]
    pub runtime_mode: MobRuntimeMode,
    /// Whether it stays.
    #[serde(default)]
    pub state: MemberState,
    /// The peers it is wired to, in order.
    #[serde(default)]
    pub wired_to: BTreeSet<AgentIdentity>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How it is.
    #[serde(default)]
    pub status: MemberStatus,
    /// Why it is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether its status is its last.
    #[serde(default)]
    pub is_final: bool,
    /// Its kick-off, when it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kickoff: Option<KickoffSnapshot>,
    /// What it does right now (an addition to the contract).
    #[serde(default)]
    pub activity: MemberActivity,
    /// The model it works with (an addition to the contract).
    #[serde(default)]
    pub model: String,
}

/// A member, looked at more closely.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MobMemberSnapshot {
    /// How it is.
    pub status: MemberStatus,
    /// The end of its last text.
    pub output_preview: Option<String>,
    /// Its last error.
    pub error: Option<String>,
    /// The tokens it has used, over all generations that the storage knows.
    pub tokens_used: u64,
    /// Whether its status is its last.
    pub is_final: bool,
    /// Its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_session_id: Option<SessionId>,
    /// Its kick-off, when it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kickoff: Option<KickoffSnapshot>,
    /// What it does right now (an addition to the contract).
    #[serde(default)]
    pub activity: MemberActivity,
    /// How many work items wait in its mailbox (an addition to the contract).
    #[serde(default)]
    pub mailbox_depth: u64,
}

/// What a new member is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpawnMemberSpec {
    /// Its role: a profile of the definition. `profile` is read too.
    #[serde(alias = "profile")]
    pub role_name: ProfileName,
    /// Its identity, unique in the mob. `meerkat_id` and `agent_identity` are read too.
    #[serde(alias = "meerkat_id", alias = "agent_identity")]
    pub identity: AgentIdentity,
    /// What it is told first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_message: Option<ContentInput>,
    /// Data of the application's, put into the system prompt as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Put behind the profile's instructions, each as a paragraph.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_instructions: Vec<String>,
    /// Another model than the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_override: Option<String>,
    /// Other instructions than the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt_override: Option<String>,
}

impl SpawnMemberSpec {
    /// A member with nothing special about it.
    ///
    /// # Errors
    /// [`InvalidIdentity`] when one of the names breaks the rules.
    pub fn new(
        role_name: impl AsRef<str>,
        identity: impl AsRef<str>,
    ) -> Result<Self, InvalidIdentity> {
        Ok(Self::of(
            ProfileName::new(role_name)?,
            AgentIdentity::new(identity)?,
        ))
    }

    /// A member with nothing special about it, from names already checked.
    pub fn of(role_name: ProfileName, identity: AgentIdentity) -> Self {
        Self {
            role_name,
            identity,
            initial_message: None,
            context: None,
            labels: BTreeMap::new(),
            additional_instructions: Vec::new(),
            model_override: None,
            system_prompt_override: None,
        }
    }
}

/// A respawn was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRespawnReceipt {
    /// Of whom.
    pub identity: AgentIdentity,
}

/// A message was put into a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberDeliveryReceipt {
    /// Whose.
    pub identity: AgentIdentity,
    /// In which mode.
    pub handling_mode: HandlingMode,
}

/// A batch of edges was wired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireBatchReceipt {
    /// How many were asked for.
    pub requested: u64,
    /// Those that were there before.
    pub already_wired: Vec<WireEdge>,
    /// Those that are new.
    pub wired: Vec<WireEdge>,
}
