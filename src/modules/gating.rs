//! Whether somebody may do something: what a tier of risk leads to, and who may decide, without a clock (MobKit contract,
//! section 15.4).

use serde::Serialize;
use serde_json::Value;

use crate::storage::{Key, Record};
use crate::wire::json::{from_json, object, words};
use crate::wire::{AgentIdentity, InteractionId, RiskTier, TimestampMs, ToolCallId};
use crate::wire::{ModuleError, ModuleErrorKind};

/// What waits for a decision at most; the oldest goes for a newer one.
pub const MAX_PENDING: usize = 512;
/// Audit entries that are kept.
pub const MAX_AUDIT: usize = 512;
/// How long a decision is waited for when nothing else is said.
pub const APPROVAL_TIMEOUT_MS: u64 = 60_000;

words! {
    /// What becomes of an action.
    pub enum GatingOutcome {
        /// It may be done.
        Allowed = "allowed",
        /// It may be done, and is written down.
        AllowedWithAudit = "allowed_with_audit",
        /// Somebody has to approve.
        PendingApproval = "pending_approval",
        /// It may not be done; a draft may be made.
        SafeDraft = "safe_draft",
    }
}

words! {
    /// What somebody decides.
    pub enum GatingDecision {
        /// It may be done.
        Approve = "approve",
        /// It may not.
        Reject = "reject",
        /// Somebody else is to decide.
        Escalate = "escalate",
    }
}

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatingEvaluateRequest {
    /// What.
    pub action: String,
    /// Who.
    pub actor_id: String,
    /// How much is at stake.
    pub risk_tier: RiskTier,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
    /// Who is to decide; anybody but the actor if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_approver: Option<String>,
    /// Who is told that there is something to decide; with `approval_channel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_recipient: Option<String>,
    /// On which channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_channel: Option<String>,
    /// How long a decision is waited for; a minute if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_timeout_ms: Option<u64>,
    /// What it is about, for conflicts in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// What of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

from_json!(GatingEvaluateRequest deserialize { action, actor_id, risk_tier, rationale, requested_approver, approval_recipient, approval_channel, approval_timeout_ms, entity, topic } deny);

/// Whether it may be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatingEvaluateResult {
    /// The action's name from here on.
    pub action_id: String,
    /// What.
    pub action: String,
    /// Who.
    pub actor_id: String,
    /// How much is at stake.
    pub risk_tier: RiskTier,
    /// What becomes of it.
    pub outcome: GatingOutcome,
    /// What there is to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_id: Option<String>,
    /// Why it is a draft only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_reason: Option<String>,
}

/// A tool call of a member that waits for a decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldCall {
    /// Who calls.
    pub member_id: AgentIdentity,
    /// For which interaction.
    pub interaction_id: InteractionId,
    /// The model's id of the call; some number them anew for each answer.
    pub call_id: ToolCallId,
    /// Which tool.
    pub tool: String,
    /// With what.
    pub args: Value,
}

from_json!(HeldCall deserialize { member_id, interaction_id, call_id, tool, args = default });

/// What somebody has to decide.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GatingPendingEntry {
    /// Its name.
    pub pending_id: String,
    /// The action.
    pub action_id: String,
    /// What.
    pub action: String,
    /// Who; may not approve it.
    pub actor_id: String,
    /// How much is at stake.
    pub risk_tier: RiskTier,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
    /// Who is to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_approver: Option<String>,
    /// Who was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_recipient: Option<String>,
    /// On which channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_channel: Option<String>,
    /// By which route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_route_id: Option<String>,
    /// By which delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_delivery_id: Option<String>,
    /// Since when.
    pub created_at_ms: TimestampMs,
    /// Until when; then it is a draft.
    pub deadline_at_ms: TimestampMs,
    /// Who passed it on, and may not approve it any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub escalated_by: Vec<String>,
    /// The tool call that waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<HeldCall>,
}

from_json!(GatingPendingEntry deserialize { pending_id, action_id, action, actor_id, risk_tier, rationale, requested_approver, approval_recipient, approval_channel, approval_route_id, approval_delivery_id, created_at_ms, deadline_at_ms, escalated_by = default, tool_call });

/// What somebody has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatingDecideRequest {
    /// About what.
    pub pending_id: String,
    /// Who decides.
    pub approver_id: String,
    /// What.
    pub decision: GatingDecision,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

from_json!(GatingDecideRequest deserialize { pending_id, approver_id, decision, reason } deny);

/// What came of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatingDecisionResult {
    /// About what.
    pub pending_id: String,
    /// The action.
    pub action_id: String,
    /// Who decided.
    pub approver_id: String,
    /// What.
    pub decision: GatingDecision,
    /// What becomes of the action.
    pub outcome: GatingOutcome,
    /// When.
    pub decided_at_ms: TimestampMs,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What there is to decide now, after an escalation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_pending_id: Option<String>,
}

/// A line of the record of what was allowed and decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GatingAuditEntry {
    /// Its name.
    pub audit_id: String,
    /// When.
    pub timestamp_ms: TimestampMs,
    /// What happened: `evaluated`, `pending_created`, `conflict_blocked`, `memory_conflict_lookup_failed`, `approved`, `rejected`,
    /// `escalated`, `timeout_fallback`, `pending_evicted`, `withdrawn`, `notified`.
    pub event_type: String,
    /// The action.
    pub action_id: String,
    /// What there was to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_id: Option<String>,
    /// Who acts.
    pub actor_id: String,
    /// How much is at stake.
    pub risk_tier: RiskTier,
    /// What becomes of the action.
    pub outcome: GatingOutcome,
    /// Particulars.
    pub detail: Value,
}

from_json!(GatingAuditEntry deserialize { audit_id, timestamp_ms, event_type, action_id, pending_id, actor_id, risk_tier, outcome, detail = default });

/// What somebody has to decide, as it is stored.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PendingRow {
    /// The number in its name.
    pub number: u64,
    pub entry: GatingPendingEntry,
    /// What was decided about a tool call that has not heard of it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<HeldAnswer>,
}

from_json!(PendingRow {
    number,
    entry,
    answer
});

/// What became of a tool call that waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HeldAnswer {
    pub approved: bool,
    /// Why not.
    pub reason: String,
}

from_json!(HeldAnswer { approved, reason });

/// A line of the record, as it is stored.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuditRow {
    /// The number in its name.
    pub number: u64,
    pub entry: GatingAuditEntry,
}

from_json!(AuditRow { number, entry });

impl Record for PendingRow {
    type Key = u64;
    fn key(&self) -> u64 {
        self.number
    }
    fn place(key: &u64, prefix: &Key) -> Key {
        prefix.number(*key)
    }
}

impl Record for AuditRow {
    type Key = u64;
    fn key(&self) -> u64 {
        self.number
    }
    fn place(key: &u64, prefix: &Key) -> Key {
        prefix.number(*key)
    }
}

/// Why an action is a draft only, because of what memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// There are conflicts, and nobody says what the action is about.
    ContextMissing,
    /// Whether there is a conflict cannot be found out.
    LookupFailed,
    /// There is one.
    Conflict,
}

impl Block {
    /// The contract's words: the reason, and what the record says.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::ContextMissing => ("memory_conflict_context_missing", "conflict_blocked"),
            Self::LookupFailed => (
                "memory_conflict_lookup_failed",
                "memory_conflict_lookup_failed",
            ),
            Self::Conflict => ("memory_conflict", "conflict_blocked"),
        }
    }
}

/// What becomes of an action of this tier.
pub fn verdict(tier: RiskTier, block: Option<Block>) -> GatingOutcome {
    match tier {
        RiskTier::R0 | RiskTier::R1 => GatingOutcome::Allowed,
        RiskTier::R2 | RiskTier::R3 if block.is_some() => GatingOutcome::SafeDraft,
        RiskTier::R2 => GatingOutcome::AllowedWithAudit,
        RiskTier::R3 => GatingOutcome::PendingApproval,
    }
}

/// Whether somebody may decide so. Whoever acts does not approve; where an approver was named, nobody else decides; who has passed it
/// on has given up the say.
///
/// # Errors
/// [`ModuleErrorKind`]: `ApproverMismatch`, `SelfApprovalForbidden`.
pub fn check_decision(
    entry: &GatingPendingEntry,
    request: &GatingDecideRequest,
) -> Result<(), ModuleError> {
    let approver = request.approver_id.trim();
    if request.decision == GatingDecision::Approve && approver == entry.actor_id.trim() {
        return Err(ModuleError::new(
            ModuleErrorKind::SelfApprovalForbidden,
            format!("actor '{approver}' cannot approve its own action"),
        )
        .with(object!({ "actor_id": entry.actor_id })));
    }
    if let Some(expected) = entry
        .requested_approver
        .as_ref()
        .filter(|expected| expected.trim() != approver)
    {
        return Err(ModuleError::new(
            ModuleErrorKind::ApproverMismatch,
            format!("approver '{approver}' does not match the requested approver '{expected}'"),
        )
        .with(object!({ "expected": expected, "provided": approver })));
    }
    if entry.escalated_by.iter().any(|by| by == approver) {
        return Err(ModuleError::new(
            ModuleErrorKind::ApproverMismatch,
            format!("'{approver}' has escalated it and does not decide about it any more"),
        )
        .with(object!({ "escalated_by": entry.escalated_by, "provided": approver })));
    }
    Ok(())
}

/// How names of pending decisions begin.
pub(crate) const PENDING: &str = "gate-pending-";
