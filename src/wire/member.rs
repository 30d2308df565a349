//! Members as seen from outside, and what a new one is made from (MobKit contract, section 18.3).

use serde::{Deserialize, Serialize};
use serde_json::{Error, Value};

use super::json::{Blank, Fields, FromJson, deserialize_by_json, words};
use super::rfc3339;
use super::{
    AgentIdentity, ContentInput, HandlingMode, InvalidIdentity, Labels, ProfileName, SessionId,
    TimestampMs, WireEdge,
};

words! {
    /// How a member gets to work. In this version all members are autonomous hosts.
    #[derive(Default)]
    pub enum MobRuntimeMode {
        /// It takes work out of its mailbox whenever there is some.
        #[default]
        AutonomousHost = "autonomous_host",
        /// It works one turn at a time, when told to.
        TurnDriven = "turn_driven",
    }
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

words! {
    /// How a member is.
    #[derive(Default)]
    pub enum MemberStatus {
        /// Fit for work.
        #[default]
        Active = "active",
        /// About to leave.
        Retiring = "retiring",
        /// It cannot work; the entry's `error` says why.
        Broken = "broken",
        /// Done for good.
        Completed = "completed",
        /// Not known.
        Unknown = "unknown",
    }
}

words! {
    /// What a member does right now (an addition to the contract).
    #[derive(Default)]
    pub enum MemberActivity {
        /// Restored and not yet activated.
        #[default]
        Dormant = "dormant",
        /// Waiting for work.
        Idle = "idle",
        /// At work.
        Running = "running",
        /// It has work, and its model is not there.
        WaitingModel = "waiting_model",
        /// It waits for somebody to decide about a tool call.
        WaitingApproval = "waiting_approval",
        /// It cannot work.
        Broken = "broken",
    }
}

words! {
    /// Where a member's kick-off is.
    pub enum KickoffPhase {
        /// To come.
        Pending = "pending",
        /// Under way.
        Starting = "starting",
        /// It waits for a callback.
        CallbackPending = "callback_pending",
        /// Done.
        Started = "started",
        /// It failed.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}

/// A member's kick-off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KickoffSnapshot {
    /// Where it is.
    pub phase: KickoffPhase,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when.
    #[serde(serialize_with = "super::rfc3339::serialize")]
    pub updated_at: TimestampMs,
}

impl FromJson for KickoffSnapshot {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        Ok(Self {
            phase: fields.take("phase")?,
            error: fields.take("error")?,
            updated_at: rfc3339::timestamp(&fields.take::<String>("updated_at")?)?,
        })
    }
}

deserialize_by_json!(KickoffSnapshot);

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
    pub wired_to: Vec<AgentIdentity>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
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
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpawnMemberSpec {
    /// Its role: a profile of the definition. `role` and `profile` are read too.
    pub role_name: ProfileName,
    /// Its identity, unique in the mob. `meerkat_id` and `agent_identity` are read too.
    pub identity: AgentIdentity,
    /// What it is told first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_message: Option<ContentInput>,
    /// Data of the application's, put into the system prompt as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
    /// Its labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Put behind the profile's instructions, each as a paragraph.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_instructions: Vec<String>,
    /// Another model than the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_override: Option<String>,
    /// Other instructions than the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt_override: Option<String>,
    /// The session that it has; a new one if none. The transcript goes on when its member leaves in the same reconciliation, reset
    /// or rediscovery; otherwise it begins empty, for a transcript goes with its member. It must not be another member's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_session_id: Option<SessionId>,
}

impl Blank for SpawnMemberSpec {
    fn blank() -> Self {
        Self {
            role_name: Blank::blank(),
            identity: Blank::blank(),
            initial_message: None,
            context: None,
            labels: Labels::default(),
            additional_instructions: Vec::new(),
            model_override: None,
            system_prompt_override: None,
            resume_session_id: None,
        }
    }
}

impl FromJson for SpawnMemberSpec {
    fn from_json(value: Value) -> Result<Self, Error> {
        const KNOWN: &[&str] = &[
            "role_name",
            "role",
            "profile",
            "identity",
            "meerkat_id",
            "agent_identity",
            "initial_message",
            "context",
            "labels",
            "additional_instructions",
            "model_override",
            "system_prompt_override",
            "resume_session_id",
        ];
        let mut this = Self::blank();
        let mut fields = Fields::of(value)?;
        fields.only(KNOWN)?;
        fields.put_named(&KNOWN[..3], &mut this.role_name);
        fields.put_named(&KNOWN[3..6], &mut this.identity);
        fields.put("initial_message", false, &mut this.initial_message);
        fields.put("context", false, &mut this.context);
        fields.put("labels", true, &mut this.labels);
        let instructions = &mut this.additional_instructions;
        fields.put("additional_instructions", true, instructions);
        fields.put("model_override", false, &mut this.model_override);
        let prompt = &mut this.system_prompt_override;
        fields.put("system_prompt_override", false, prompt);
        fields.put("resume_session_id", false, &mut this.resume_session_id);
        fields.end()?;
        Ok(this)
    }
}

deserialize_by_json!(SpawnMemberSpec);

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
            labels: Labels::new(),
            additional_instructions: Vec::new(),
            model_override: None,
            system_prompt_override: None,
            resume_session_id: None,
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
