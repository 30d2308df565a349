//! What the runtime reports of its own doings (MobKit contract, section 2.8).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{self, Fields, FromJson, deserialize_by_json};
use super::{AgentIdentity, ErrorData, ProfileName, SessionId};

/// Something went wrong that no caller is there to be told of. Tagged `category`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "category", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorEvent {
    /// A member could not be made.
    SpawnFailure {
        /// Which.
        member_id: AgentIdentity,
        /// From which profile.
        profile: ProfileName,
        /// Why.
        error: String,
    },
    /// A reconciliation left edges undone.
    ReconcileIncomplete {
        /// How many failed.
        failures: usize,
        /// How many had an end that is not there.
        skipped: usize,
    },
    /// How far something has come could not be stored, or was not what it can be; it goes on all the same.
    CheckpointFailure {
        /// Which session; `mob_events` for the cursor of the structural projection.
        session_id: SessionId,
        /// Why.
        error: String,
    },
    /// A member's run failed, or the runtime's own work was held up.
    HostLoopCrash {
        /// Whose; empty for the runtime's own.
        member_id: String,
        /// How.
        error: String,
    },
    /// The roster could not be discovered anew.
    RediscoverFailure {
        /// Why.
        error: String,
    },
    /// Events could not be stored; they are kept and tried again.
    EventLogFlushFailure {
        /// Why.
        error: String,
    },
}

impl fmt::Display for ErrorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpawnFailure {
                member_id, error, ..
            } => write!(f, "spawn_failure: {member_id}: {error}"),
            Self::ReconcileIncomplete { failures, skipped } => {
                write!(
                    f,
                    "reconcile_incomplete: {failures} failures, {skipped} skipped"
                )
            }
            Self::CheckpointFailure { session_id, error } => {
                write!(f, "checkpoint_failure: {session_id}: {error}")
            }
            Self::HostLoopCrash { member_id, error } => {
                write!(f, "host_loop_crash: {member_id}: {error}")
            }
            Self::RediscoverFailure { error } => write!(f, "rediscover_failure: {error}"),
            Self::EventLogFlushFailure { error } => write!(f, "event_log_flush_failure: {error}"),
        }
    }
}

/// An edge that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEdge {
    /// An end is empty.
    #[error("an edge must have two ends")]
    EmptyEndpoint,
    /// Both ends are the same.
    #[error("an edge must not lead from {0} to itself")]
    SelfEdge(String),
    /// An end is not a member's name.
    #[error(transparent)]
    InvalidEndpoint(#[from] super::InvalidIdentity),
}

/// An edge that ought to be, in canonical order (MobKit contract, section 6.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DesiredPeerEdge {
    a: AgentIdentity,
    b: AgentIdentity,
}

impl DesiredPeerEdge {
    /// Trims both ends, checks them and puts the smaller first.
    ///
    /// # Errors
    /// [`InvalidEdge`], which says what is wrong.
    pub fn new(a: &str, b: &str) -> Result<Self, InvalidEdge> {
        let (a, b) = (a.trim(), b.trim());
        if a.is_empty() || b.is_empty() {
            return Err(InvalidEdge::EmptyEndpoint);
        }
        if a == b {
            return Err(InvalidEdge::SelfEdge(a.to_owned()));
        }
        let (a, b) = if a < b { (a, b) } else { (b, a) };
        Ok(Self {
            a: AgentIdentity::new(a)?,
            b: AgentIdentity::new(b)?,
        })
    }

    /// The edge between two different members, whichever is named first.
    pub(crate) fn between(a: &AgentIdentity, b: &AgentIdentity) -> Self {
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        Self {
            a: a.clone(),
            b: b.clone(),
        }
    }

    /// The smaller end.
    pub fn a(&self) -> &AgentIdentity {
        &self.a
    }

    /// The greater end.
    pub fn b(&self) -> &AgentIdentity {
        &self.b
    }
}

impl FromJson for DesiredPeerEdge {
    /// `{a, b}` or `[a, b]`.
    fn from_json(value: Value) -> Result<Self, serde_json::Error> {
        let (a, b): (String, String) = match value {
            Value::Array(_) => {
                let ends: Vec<String> = FromJson::from_json(value)?;
                let [a, b] = ends
                    .try_into()
                    .map_err(|_| json::wrong(&InvalidEdge::EmptyEndpoint))?;
                (a, b)
            }
            value => {
                let mut fields = Fields::of(value)?;
                (fields.take("a")?, fields.take("b")?)
            }
        };
        Self::new(&a, &b).map_err(|error| json::wrong(&error))
    }
}

deserialize_by_json!(DesiredPeerEdge);

/// An edge that could not be made as it ought to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeReconcileFailure {
    /// Which.
    pub edge: DesiredPeerEdge,
    /// `wire`, `wire (heal)` or `unwire`.
    pub operation: String,
    /// Why.
    pub error: String,
}

/// How the edges were brought to what they ought to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnifiedRuntimeReconcileEdgesReport {
    /// What ought to be.
    pub desired_edges: Vec<DesiredPeerEdge>,
    /// What was wired.
    pub wired_edges: Vec<DesiredPeerEdge>,
    /// What was unwired.
    pub unwired_edges: Vec<DesiredPeerEdge>,
    /// What was there and stays.
    pub retained_edges: Vec<DesiredPeerEdge>,
    /// What was there, and not made by a reconciliation.
    pub preexisting_edges: Vec<DesiredPeerEdge>,
    /// What has an end that is not there.
    pub skipped_missing_members: Vec<DesiredPeerEdge>,
    /// What is no longer kept track of.
    pub pruned_stale_managed_edges: Vec<DesiredPeerEdge>,
    /// What failed.
    pub failures: Vec<EdgeReconcileFailure>,
}

impl UnifiedRuntimeReconcileEdgesReport {
    /// Whether nothing failed and nothing was skipped.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.skipped_missing_members.is_empty()
    }
}

/// A member that a reconciliation made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnedMember {
    /// Its name for other parts.
    pub member_ref: String,
    /// Its identity.
    pub agent_identity: AgentIdentity,
}

/// At which point a reconciliation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MobReconcileStage {
    /// Making a member.
    Spawn,
    /// Retiring a member.
    Retire,
}

/// A member that could not be made or retired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MobReconcileFailure {
    /// Which.
    pub agent_identity: AgentIdentity,
    /// At which point.
    pub stage: MobReconcileStage,
    /// Why.
    pub error: String,
}

/// How the roster was brought to what it ought to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MobReconcileReport {
    /// Who ought to be there.
    pub desired: Vec<AgentIdentity>,
    /// Who was there and stays.
    pub retained: Vec<AgentIdentity>,
    /// Who was made.
    pub spawned: Vec<SpawnedMember>,
    /// Who was retired.
    pub retired: Vec<AgentIdentity>,
    /// What failed.
    pub failures: Vec<MobReconcileFailure>,
}

/// How the routes were brought to what they ought to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnifiedRuntimeReconcileRoutingReport {
    /// Whether there is a router.
    pub router_module_loaded: bool,
    /// The members it knows.
    pub active_members: Vec<AgentIdentity>,
    /// Routes that were added.
    pub added_route_keys: Vec<String>,
    /// Routes that were removed.
    pub removed_route_keys: Vec<String>,
}

/// A whole reconciliation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnifiedRuntimeReconcileReport {
    /// The roster.
    pub mob: MobReconcileReport,
    /// The edges.
    pub edges: UnifiedRuntimeReconcileEdgesReport,
    /// The routes.
    pub routing: UnifiedRuntimeReconcileRoutingReport,
}

/// The roster was discovered anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RediscoverReport {
    /// Who was made.
    pub spawned: Vec<AgentIdentity>,
    /// What became of the edges.
    pub edges: UnifiedRuntimeReconcileEdgesReport,
}

/// What was still under way at a shutdown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShutdownDrainReport {
    /// How many events were brought home.
    pub drained_count: usize,
    /// Whether it took too long.
    pub timed_out: bool,
    /// How long it took, in milliseconds.
    pub drain_duration_ms: u64,
}

/// How the modules ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleShutdownReport {
    /// Which were ended.
    pub terminated_modules: Vec<String>,
    /// How many could not be.
    pub orphan_processes: u32,
}

/// A shutdown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnifiedRuntimeShutdownReport {
    /// What was still under way.
    pub drain: ShutdownDrainReport,
    /// How the modules ended.
    pub module_shutdown: ModuleShutdownReport,
    /// How the mob ended; `{"Ok":null}` or `{"Err":{…}}` in JSON.
    pub mob_stop: Result<(), ErrorData>,
}

/// A run from start to shutdown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnifiedRuntimeRunReport {
    /// How serving ended.
    pub serve_result: Result<(), ErrorData>,
    /// The shutdown after it.
    pub shutdown: UnifiedRuntimeShutdownReport,
}
