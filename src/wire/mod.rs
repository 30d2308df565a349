//! The types that cross a boundary: identifiers, envelopes, events, queries, views, reports and error data.
//!
//! Everything here is plain data with serde; the shapes are those of the MobKit contract (snake_case, `type` tags) so that
//! a row in storage, a line on an event stream and a value handed to JavaScript are the same JSON. This room knows no other.

mod agent_event;
pub(crate) mod agent_record;
pub(crate) mod base64;
pub(crate) mod calendar;
pub(crate) mod console;
mod content;
mod discovery;
mod error;
mod ids;
pub mod json;
mod member;
mod mob_event;
mod module_error;
mod query;
pub(crate) mod raw_json;
mod report;
mod rfc3339;
mod risk;

pub use agent_event::{
    AgentErrorClass, AgentEvent, AssistantImage, BackgroundJobStatus, BudgetType, HandlingMode,
    StopReason, ToolConfigChange, ToolConfigOperation, Usage,
};
pub use agent_record::{
    AgentEventRecord, Cause, EventEnvelope, ModuleEvent, ModuleEventRecord, UnifiedEvent,
};
pub use console::{
    ConsoleFrame, ConsoleFrameSource, ConsoleFrameSourceKind, ConsoleFrameStatus,
    ConsoleIdentityInspection, ConsoleIdentityRecord, ConsoleInteractionAccepted,
    ConsoleSendRequest, ConsoleTimelineEvent, ConsoleTimelinePage, ConsoleTimelineQuery,
    ConsoleVisibility, DEFAULT_TIMELINE_LIMIT, MAX_TIMELINE_LIMIT, ResponsePhase, SendInput,
    SendState, TimelineMode,
};
pub use content::{ContentBlock, ContentInput, MediaSource};
pub use discovery::{AgentDiscoverySpec, EdgeMemberView, discovery_spec_to_spawn_spec};
pub use error::ErrorData;
pub use ids::{
    AgentIdentity, AgentRuntimeId, Cursor, FenceToken, FlowId, Generation, InteractionId,
    InvalidIdentity, MobId, ProfileName, RunId, SessionId, StepId, TimestampMs, ToolCallId, WorkId,
};
pub use member::{
    KickoffPhase, KickoffSnapshot, MemberActivity, MemberDeliveryReceipt, MemberRespawnReceipt,
    MemberState, MemberStatus, MobMemberListEntry, MobMemberSnapshot, MobRuntimeMode,
    SpawnMemberSpec, WireBatchReceipt,
};
pub use mob_event::{
    FlowTarget, Labels, MOB_EVENT_KINDS, MobEvent, MobEventKind, MobStructuralEventEnvelope,
    WireEdge,
};
pub use module_error::{ModuleError, ModuleErrorKind, ModuleErrorParts};
pub use query::{DEFAULT_QUERY_LIMIT, EventQuery, MobEventsPage, PersistedEvent, QueryGap};
pub use report::{
    DesiredPeerEdge, EdgeReconcileFailure, ErrorEvent, InvalidEdge, MobReconcileFailure,
    MobReconcileReport, MobReconcileStage, ModuleShutdownReport, RediscoverReport,
    ShutdownDrainReport, SpawnedMember, UnifiedRuntimeReconcileEdgesReport,
    UnifiedRuntimeReconcileReport, UnifiedRuntimeReconcileRoutingReport, UnifiedRuntimeRunReport,
    UnifiedRuntimeShutdownReport,
};
pub use risk::RiskTier;

#[cfg(test)]
pub(crate) mod tests;
