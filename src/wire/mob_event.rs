//! The structural ledger's events and their envelopes (MobKit contract, sections 1.1, 10.3 and 18.5).

use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use serde_json::{Error, Value};

use super::json::{self, Blank, Fields, FromJson, deserialize_by_json, from_json, take_field};
use super::{
    AgentIdentity, AgentRuntimeId, Cursor, FenceToken, FlowId, Generation, KickoffSnapshot, MobId,
    MobRuntimeMode, ProfileName, RunId, StepId, TimestampMs,
};

/// Labels of a mob, a run or a member.
pub type Labels = LiteMap<String, String>;

/// Two members that are wired. The order says nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct WireEdge {
    /// One end.
    pub a: AgentIdentity,
    /// The other end.
    pub b: AgentIdentity,
}

from_json!(WireEdge deserialize { a, b });

/// The incarnation of a member that a flow's step was given to.
pub type FlowTarget = AgentRuntimeId;

/// An entry of the structural ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MobEvent {
    /// Its place; the first is 1, and there are no gaps.
    pub cursor: Cursor,
    /// When, by the wall clock; RFC 3339 in JSON.
    #[serde(with = "super::rfc3339")]
    pub timestamp: TimestampMs,
    /// In which mob.
    pub mob_id: MobId,
    /// What happened.
    pub kind: MobEventKind,
}

macro_rules! mob_event_kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident $tag:literal $({ $($(#[$($attr:tt)*])* $field:ident: $type:ty,)* })?)*) => {
        /// What happened to the mob's structure, tagged `type`.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "type")]
        pub enum MobEventKind {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $tag)]
                $variant $({ $($(#[$($attr)*])* $field: $type,)* })?,
            )*
        }

        impl MobEventKind {
            fn from_fields(mut fields: Fields) -> Result<Self, Error> {
                let tag = fields.tag("type")?;
                Ok(match tag.as_str() {
                    $($tag => Self::$variant $({ $($field: take_field!(fields $field $(#[$($attr)*])*),)* })?,)*
                    other => return Err(json::unknown("variant", other, &MOB_EVENT_KINDS)),
                })
            }
        }

        impl Blank for MobEventKind {
            fn blank() -> Self {
                Self::MobReset
            }
        }

        impl FromJson for MobEventKind {
            fn from_json(value: Value) -> Result<Self, Error> {
                Self::from_fields(Fields::of(value)?)
            }
        }

        deserialize_by_json!(MobEventKind);

        /// The labels of all kinds of ledger entries.
        pub const MOB_EVENT_KINDS: [&str; 27] = [$($tag,)*];

        impl MobEventKind {
            /// The kind's label: the same text as the `type` of the JSON.
            pub fn label(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $tag,)*
                }
            }
        }
    };
}

mob_event_kinds! {
    /// The mob was made, or a new definition took force.
    MobCreated "mob_created" {
        /// The definition in force from here on, as JSON.
        definition: Value,
    }
    /// The mob is done.
    MobCompleted "mob_completed"
    /// The mob is being destroyed.
    MobDestroying "mob_destroying"
    /// The destroyed mob's storage is being cleared.
    MobDestroyStorageFinalizing "mob_destroy_storage_finalizing"
    /// All members were retired; what follows is a new epoch.
    MobReset "mob_reset"
    /// A member joined, or was respawned.
    MemberSpawned "member_spawned" {
        /// Which.
        agent_identity: AgentIdentity,
        /// Which incarnation of it.
        generation: Generation,
        /// The token its work carries.
        fence_token: FenceToken,
        /// Identity and generation together.
        agent_runtime_id: AgentRuntimeId,
        /// Its role (profile).
        role: ProfileName,
        /// How it gets to work.
        runtime_mode: MobRuntimeMode,
        /// Its labels.
        #[serde(default, skip_serializing_if = "LiteMap::is_empty")]
        labels: Labels,
    }
    /// A member left.
    MemberRetired "member_retired" {
        /// Which.
        agent_identity: AgentIdentity,
        /// Which incarnation of it.
        generation: Generation,
        /// Its role (profile).
        role: ProfileName,
    }
    /// A member was made anew, its edges kept.
    MemberReset "member_reset" {
        /// Which.
        agent_identity: AgentIdentity,
        /// The generation before.
        previous_generation: Generation,
        /// The generation from here on.
        new_generation: Generation,
        /// The token its work carries from here on.
        fence_token: FenceToken,
        /// Identity and new generation together.
        agent_runtime_id: AgentRuntimeId,
    }
    /// A member's kick-off went on.
    MemberKickoffUpdated "member_kickoff_updated" {
        /// Whose.
        member: AgentIdentity,
        /// Where it is now.
        kickoff: KickoffSnapshot,
    }
    /// Two members were wired.
    MembersWired "members_wired" {
        /// One end.
        a: AgentIdentity,
        /// The other end.
        b: AgentIdentity,
    }
    /// Several pairs of members were wired at once.
    MembersWiredBatch "members_wired_batch" {
        /// The pairs.
        edges: Vec<WireEdge>,
    }
    /// Two members were unwired.
    MembersUnwired "members_unwired" {
        /// One end.
        a: AgentIdentity,
        /// The other end.
        b: AgentIdentity,
    }
    /// A member was wired to a peer of another mob.
    ExternalPeerWired "external_peer_wired" {
        /// The member.
        local: AgentIdentity,
        /// The peer.
        spec: Value,
    }
    /// A member was unwired from a peer of another mob.
    ExternalPeerUnwired "external_peer_unwired" {
        /// The member.
        local: AgentIdentity,
        /// The peer.
        peer_name: String,
    }
    /// A run of a flow began.
    FlowStarted "flow_started" {
        /// Which run.
        run_id: RunId,
        /// Of which flow.
        flow_id: FlowId,
        /// With which parameters.
        params: Value,
    }
    /// A run of a flow ended well.
    FlowCompleted "flow_completed" {
        /// Which run.
        run_id: RunId,
        /// Of which flow.
        flow_id: FlowId,
        /// Its result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        structured_output: Option<Value>,
    }
    /// A run of a flow failed.
    FlowFailed "flow_failed" {
        /// Which run.
        run_id: RunId,
        /// Of which flow.
        flow_id: FlowId,
        /// Why.
        reason: String,
    }
    /// A run of a flow was cancelled.
    FlowCanceled "flow_canceled" {
        /// Which run.
        run_id: RunId,
        /// Of which flow.
        flow_id: FlowId,
    }
    /// A step was given to a member.
    StepDispatched "step_dispatched" {
        /// Of which run.
        run_id: RunId,
        /// Which step.
        step_id: StepId,
        /// To whom.
        target: FlowTarget,
    }
    /// A member finished a step.
    StepTargetCompleted "step_target_completed" {
        /// Of which run.
        run_id: RunId,
        /// Which step.
        step_id: StepId,
        /// Who.
        target: FlowTarget,
    }
    /// A member failed at a step.
    StepTargetFailed "step_target_failed" {
        /// Of which run.
        run_id: RunId,
        /// Which step.
        step_id: StepId,
        /// Who.
        target: FlowTarget,
        /// Why.
        reason: String,
        /// The error as data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_report: Option<Value>,
        /// The error, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }
    /// A step is finished.
    StepCompleted "step_completed" {
        /// Of which run.
        run_id: RunId,
        /// Which step.
        step_id: StepId,
    }
    /// A step failed.
    StepFailed "step_failed" {
        /// Of which run.
        run_id: RunId,
        /// Which step.
        step_id: StepId,
        /// Why.
        reason: String,
    }
    /// A step was left out.
    StepSkipped "step_skipped" {
        /// Of which run.
        run_id: RunId,
        /// Which step.
        step_id: StepId,
        /// Why.
        reason: String,
    }
    /// A message went where the topology does not allow it.
    TopologyViolation "topology_violation" {
        /// From which role.
        from_role: ProfileName,
        /// To which role.
        to_role: ProfileName,
    }
    /// A step was handed to the supervisor.
    SupervisorEscalation "supervisor_escalation" {
        /// Of which run.
        run_id: RunId,
        /// Which step.
        step_id: StepId,
        /// To whom.
        escalated_to: AgentIdentity,
    }
    /// Somebody who manages the mob did something.
    OperatorActionRecorded "operator_action_recorded" {
        /// With which tool.
        tool_name: String,
        /// On whose authority.
        principal_token: String,
        /// Who called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caller_provenance: Option<Value>,
        /// Where it is audited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audit_invocation_id: Option<String>,
    }
}

/// A ledger entry as clients see it: flat, with the labels of mob and run (MobKit contract, section 1.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MobStructuralEventEnvelope {
    /// `mob-evt-{cursor}`.
    pub event_id: String,
    /// The entry's place in the ledger.
    pub cursor: Cursor,
    /// In which mob.
    pub mob_id: MobId,
    /// When, by the wall clock.
    pub timestamp_ms: TimestampMs,
    /// The kind's label.
    pub kind: String,
    /// The run it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The step it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<StepId>,
    /// The member it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_identity: Option<AgentIdentity>,
    /// The mob's labels as of now.
    #[serde(default, skip_serializing_if = "LiteMap::is_empty")]
    pub mob_labels: Labels,
    /// The run's labels as of now; empty when it is about no run.
    #[serde(default, skip_serializing_if = "LiteMap::is_empty")]
    pub run_labels: Labels,
    /// The kind with its fields and its `type`.
    pub data: Value,
}

impl MobStructuralEventEnvelope {
    /// The envelope of an entry, without labels.
    pub fn project(event: &MobEvent) -> Self {
        // A kind has string keys only, so that it always is JSON.
        let data = json::value_of(&event.kind);
        Self::of(&event.mob_id, event.cursor, event.timestamp, data)
    }

    /// The envelope of an entry whose kind is `data`. Which member it is about, the contract says (section 10.3): an entry
    /// about two or more names none, and neither does one that a step has left behind.
    pub(crate) fn of(
        mob_id: &MobId,
        cursor: Cursor,
        timestamp_ms: TimestampMs,
        data: Value,
    ) -> Self {
        let text = |name: &str| data[name].as_str();
        let kind = text("type").unwrap_or_default();
        let agent_identity = match kind {
            "member_kickoff_updated" => text("member"),
            "external_peer_wired" | "external_peer_unwired" => text("local"),
            "supervisor_escalation" => text("escalated_to"),
            kind if kind.starts_with("step_") => data["target"]["identity"].as_str(),
            kind if kind.starts_with("member_") => text("agent_identity"),
            _ => None,
        };
        Self {
            event_id: format!("mob-evt-{cursor}"),
            cursor,
            mob_id: mob_id.clone(),
            timestamp_ms,
            kind: kind.to_owned(),
            run_id: text("run_id").map(Into::into),
            step_id: text("step_id").map(Into::into),
            agent_identity: agent_identity.and_then(|name| AgentIdentity::new(name).ok()),
            mob_labels: Labels::new(),
            run_labels: Labels::new(),
            data,
        }
    }

    /// The same with its labels. Those of a run are left out where it is about none.
    #[must_use]
    pub fn labelled(mut self, mob_labels: Labels, run_labels: Labels) -> Self {
        self.mob_labels = mob_labels;
        if self.run_id.is_some() {
            self.run_labels = run_labels;
        }
        self
    }
}
