//! Gating, kept: what waits for a decision, and the record of all that was allowed and decided (MobKit contract, section 15.4).

use std::rc::Rc;

use futures::future::{FutureExt, ready};
use serde_json::Value;

use crate::mob::{Core, MobError, Pending};
use crate::modules::delivery::{DeliverySendRequest, DeliveryStatus};
use crate::modules::gating::{
    APPROVAL_TIMEOUT_MS, AuditRow, Block, GatingAuditEntry, GatingDecideRequest, GatingDecision,
    GatingDecisionResult, GatingEvaluateRequest, GatingEvaluateResult, GatingOutcome,
    GatingPendingEntry, HeldAnswer, HeldCall, MAX_AUDIT, MAX_PENDING, PENDING, PendingRow,
    check_decision, verdict,
};
use crate::modules::routing::{DELIVERY, ROUTER, RoutingResolution, RoutingResolveRequest};
use crate::modules::state::{bound, number_of, numbered};
use crate::modules::{Inner, Modules, events};
use crate::storage::{Batch, Durability};
use crate::wire::json::{object, value_of};
use crate::wire::{ModuleError, ModuleErrorKind, RiskTier, TimestampMs};

impl Modules {
    /// Whether something may be done.
    ///
    /// # Errors
    /// Storage's.
    pub fn evaluate_gating(&self, request: GatingEvaluateRequest) -> Pending<GatingEvaluateResult> {
        let inner = self.0.clone();
        async move {
            inner.check_works()?;
            let block = match request.risk_tier {
                RiskTier::R0 | RiskTier::R1 => None,
                RiskTier::R2 | RiskTier::R3 => {
                    let (entity, topic) = (request.entity.as_deref(), request.topic.as_deref());
                    inner.block(entity, topic).await
                }
            };
            inner.evaluate(request, block, None).await
        }
        .boxed_local()
    }

    /// What waits for a decision, in the order in which it came.
    ///
    /// # Errors
    /// Storage's, for what has waited too long is written down first.
    pub fn gating_pending(&self) -> Pending<Vec<GatingPendingEntry>> {
        let inner = self.0.clone();
        let swept = self.0.sweep().map(move |swept| {
            swept?;
            let mut waiting = Vec::new();
            for row in inner.state.pending.all() {
                if row.answer.is_none() && !inner.is_over(&row) {
                    waiting.push(row.entry.clone());
                }
            }
            Ok(waiting)
        });
        swept.boxed_local()
    }

    /// Decides about something. A tool call that waits for it hears of it.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `UnknownPendingId`, `SelfApprovalForbidden`, `ApproverMismatch`; storage's.
    pub fn decide_gating(&self, request: GatingDecideRequest) -> Pending<GatingDecisionResult> {
        let inner = self.0.clone();
        async move {
            inner.check_leads()?;
            // What is over is written down though the decision may be refused.
            inner.sweep().await?;
            let staging = inner.clone();
            let decided = inner.core.execute(Durability::Strict, move |core, batch| {
                staging.stage_decision(core, batch, &request)
            });
            decided.await
        }
        .boxed_local()
    }

    /// The newest `limit` lines of the record, the oldest first.
    ///
    /// # Errors
    /// Storage's, for what has waited too long is written down first.
    pub fn gating_audit(&self, limit: usize) -> Pending<Vec<GatingAuditEntry>> {
        let inner = self.0.clone();
        let swept = self.0.sweep().map(move |swept| {
            swept?;
            let rows = inner.state.audit.all();
            let mut newest = Vec::new();
            for row in &rows[rows.len().saturating_sub(limit)..] {
                newest.push(row.entry.clone());
            }
            Ok(newest)
        });
        swept.boxed_local()
    }
}

impl Inner {
    /// Writes down what nobody decides about any more, if there is such and this context may.
    fn sweep(self: &Rc<Self>) -> Pending<()> {
        let over = |row: &Rc<PendingRow>| self.is_over(row);
        if self.core.writer.is_none() || !self.state.pending.all().iter().any(over) {
            return ready(Ok(())).boxed_local();
        }
        let inner = self.clone();
        self.core.execute(Durability::Strict, move |core, batch| {
            inner.stage_overdue(core, batch);
            Ok(())
        })
    }

    pub(super) fn evaluate(
        self: &Rc<Self>,
        request: GatingEvaluateRequest,
        block: Option<Block>,
        tool_call: Option<HeldCall>,
    ) -> Pending<GatingEvaluateResult> {
        let notify = request
            .approval_recipient
            .clone()
            .zip(request.approval_channel.clone());
        let (inner, staging) = (self.clone(), self.clone());
        let evaluated = self.core.execute(Durability::Strict, move |core, batch| {
            staging.stage_overdue(core, batch);
            Ok(staging.stage_evaluation(core, batch, &request, block, tool_call.clone()))
        });
        async move {
            let result = evaluated.await?;
            if let (Some(id), Some((recipient, channel))) = (&result.pending_id, notify) {
                inner.notify(id.clone(), recipient, channel).await?;
            }
            Ok(result)
        }
        .boxed_local()
    }

    fn stage_evaluation(
        &self,
        core: &Core,
        batch: &mut Batch,
        request: &GatingEvaluateRequest,
        block: Option<Block>,
        tool_call: Option<HeldCall>,
    ) -> GatingEvaluateResult {
        let outcome = verdict(request.risk_tier, block);
        let action_id = numbered("gate-action-", self.state.next(batch, SEQUENCE));
        let mut result = GatingEvaluateResult {
            action_id,
            action: request.action.clone(),
            actor_id: request.actor_id.clone(),
            risk_tier: request.risk_tier,
            outcome,
            pending_id: None,
            fallback_reason: None,
        };
        let (event_type, detail) = match (outcome, block) {
            (GatingOutcome::SafeDraft, Some(block)) => {
                let (reason, event_type) = block.words();
                result.fallback_reason = Some(reason.to_owned());
                let detail = object!({
                    "reason": reason, "entity": request.entity, "topic": request.topic,
                });
                (event_type, detail)
            }
            (GatingOutcome::AllowedWithAudit, _) => {
                let policy = "consequence_mode_allow_with_audit_v0_1";
                let rationale = &request.rationale;
                (
                    "evaluated",
                    object!({ "policy": policy, "rationale": rationale }),
                )
            }
            (GatingOutcome::PendingApproval, _) => {
                let number = self.state.next(batch, SEQUENCE);
                let now = core.now();
                let timeout = request.approval_timeout_ms.unwrap_or(APPROVAL_TIMEOUT_MS);
                let entry = GatingPendingEntry {
                    pending_id: numbered(PENDING, number),
                    action_id: result.action_id.clone(),
                    action: request.action.clone(),
                    actor_id: request.actor_id.clone(),
                    risk_tier: request.risk_tier,
                    rationale: request.rationale.clone(),
                    requested_approver: request.requested_approver.clone(),
                    approval_recipient: request.approval_recipient.clone(),
                    approval_channel: request.approval_channel.clone(),
                    approval_route_id: None,
                    approval_delivery_id: None,
                    created_at_ms: now,
                    deadline_at_ms: TimestampMs::new(now.get().saturating_add(timeout)),
                    escalated_by: Vec::new(),
                    tool_call,
                };
                result.pending_id = Some(entry.pending_id.clone());
                let detail = object!({
                    "requested_approver": entry.requested_approver,
                    "deadline_at_ms": entry.deadline_at_ms.get(),
                });
                self.stage_room(core, batch);
                self.put_pending(batch, number, entry);
                ("pending_created", detail)
            }
            _ => ("evaluated", object!({ "policy": "allow_immediate" })),
        };
        let line = Line {
            event_type,
            action: &result.action,
            action_id: &result.action_id,
            pending_id: result.pending_id.as_deref(),
            actor_id: &result.actor_id,
            risk_tier: result.risk_tier,
            outcome,
        };
        self.stage_audit(core, batch, &line, detail);
        result
    }

    fn put_pending(&self, batch: &mut Batch, number: u64, entry: GatingPendingEntry) {
        let row = PendingRow {
            number,
            entry,
            answer: None,
        };
        self.state.pending.put(batch, row);
    }

    /// Makes room for one more: the oldest goes, and the record says so.
    fn stage_room(&self, core: &Core, batch: &mut Batch) {
        for row in bound(&self.state.pending, batch, MAX_PENDING) {
            let detail = object!({ "fallback": "safe_draft", "reason": "too_many_pending" });
            self.stage_line(
                core,
                batch,
                &row.entry,
                "pending_evicted",
                GatingOutcome::SafeDraft,
                detail,
            );
        }
    }

    /// Whether somebody still decides about it: neither is its time over nor the tool call gone that waits for it.
    fn is_over(&self, row: &PendingRow) -> bool {
        row.entry.deadline_at_ms <= self.core.now() || self.is_withdrawn(row)
    }

    fn is_withdrawn(&self, row: &PendingRow) -> bool {
        row.entry.tool_call.as_ref().is_some_and(|call| {
            let turn = self.core.turns.staged(&call.member_id);
            !turn.is_some_and(|turn| {
                turn.item.cause.interaction_id == call.interaction_id
                    && turn.held.contains(&call.call_id)
            })
        })
    }

    /// Ends what nobody decides about any more. A tool call that waits hears of it.
    pub(super) fn stage_overdue(&self, core: &Core, batch: &mut Batch) {
        let now = core.now();
        for row in self.state.pending.staged_range(..) {
            if self.is_withdrawn(&row) {
                if row.answer.is_none() {
                    let detail = object!({ "reason": "the tool call is gone" });
                    let outcome = GatingOutcome::SafeDraft;
                    self.stage_line(core, batch, &row.entry, "withdrawn", outcome, detail);
                }
                self.state.pending.delete(batch, &row.number);
            } else if row.answer.is_none() && row.entry.deadline_at_ms <= now {
                let detail = object!({ "fallback": "safe_draft", "reason": "approval_timeout" });
                let outcome = GatingOutcome::SafeDraft;
                self.stage_line(core, batch, &row.entry, "timeout_fallback", outcome, detail);
                self.stage_answer(batch, &row, false, "nobody decided in time".to_owned());
            }
        }
    }

    /// What was decided goes to the tool call that waits; without one there is nothing more to decide.
    fn stage_answer(&self, batch: &mut Batch, row: &PendingRow, approved: bool, reason: String) {
        if row.entry.tool_call.is_none() {
            return self.state.pending.delete(batch, &row.number);
        }
        let mut row = row.clone();
        row.answer = Some(HeldAnswer { approved, reason });
        self.state.pending.put(batch, row);
    }

    fn stage_decision(
        &self,
        core: &Core,
        batch: &mut Batch,
        request: &GatingDecideRequest,
    ) -> Result<GatingDecisionResult, MobError> {
        let row = number_of(&request.pending_id, PENDING)
            .and_then(|number| self.state.pending.staged(&number))
            .filter(|row| row.answer.is_none() && !self.is_over(row))
            .ok_or_else(|| unknown(&request.pending_id))?;
        check_decision(&row.entry, request)?;
        let approver = request.approver_id.trim();
        let entry = &row.entry;
        let mut next_pending_id = None;
        let said = || match &request.reason {
            Some(reason) => format!("{approver} rejected it: {reason}"),
            None => format!("{approver} rejected it"),
        };
        let (event_type, outcome) = match request.decision {
            GatingDecision::Approve => {
                self.stage_answer(batch, &row, true, String::new());
                ("approved", GatingOutcome::Allowed)
            }
            GatingDecision::Reject => {
                self.stage_answer(batch, &row, false, said());
                ("rejected", GatingOutcome::SafeDraft)
            }
            GatingDecision::Escalate => {
                let number = self.state.next(batch, SEQUENCE);
                let mut successor = entry.clone();
                successor.pending_id = numbered(PENDING, number);
                successor.requested_approver = None;
                successor.escalated_by.push(approver.to_owned());
                next_pending_id = Some(successor.pending_id.clone());
                self.state.pending.delete(batch, &row.number);
                self.put_pending(batch, number, successor);
                ("escalated", GatingOutcome::PendingApproval)
            }
        };
        let detail = object!({
            "approver_id": approver,
            "decision": request.decision,
            "reason": request.reason,
            "next_pending_id": next_pending_id,
        });
        self.stage_line(core, batch, entry, event_type, outcome, detail);
        Ok(GatingDecisionResult {
            pending_id: entry.pending_id.clone(),
            action_id: entry.action_id.clone(),
            approver_id: approver.to_owned(),
            decision: request.decision,
            outcome,
            decided_at_ms: core.now(),
            reason: request.reason.clone(),
            next_pending_id,
        })
    }

    fn stage_line(
        &self,
        core: &Core,
        batch: &mut Batch,
        entry: &GatingPendingEntry,
        event_type: &str,
        outcome: GatingOutcome,
        detail: Value,
    ) {
        let line = Line {
            event_type,
            action: &entry.action,
            action_id: &entry.action_id,
            pending_id: Some(&entry.pending_id),
            actor_id: &entry.actor_id,
            risk_tier: entry.risk_tier,
            outcome,
        };
        self.stage_audit(core, batch, &line, detail);
    }

    /// Writes a line of the record. What is about a decision is told as an event too, so that whoever decides hears of it.
    fn stage_audit(&self, core: &Core, batch: &mut Batch, line: &Line<'_>, mut detail: Value) {
        detail["action"] = line.action.into();
        let number = self.state.next(batch, SEQUENCE);
        bound(&self.state.audit, batch, MAX_AUDIT);
        let entry = GatingAuditEntry {
            audit_id: numbered("gate-audit-", number),
            timestamp_ms: core.now(),
            event_type: line.event_type.to_owned(),
            action_id: line.action_id.to_owned(),
            pending_id: line.pending_id.map(str::to_owned),
            actor_id: line.actor_id.to_owned(),
            risk_tier: line.risk_tier,
            outcome: line.outcome,
            detail,
        };
        if entry.pending_id.is_some() {
            let id = ["evt-", &entry.audit_id].concat();
            let told = events::event(SEQUENCE, id, line.event_type, core.now(), value_of(&entry));
            events::stage(core, batch, vec![told]);
        }
        self.state.audit.put(batch, AuditRow { number, entry });
    }

    /// Tells somebody that there is something to decide. That it cannot be told fails nothing; the record has it.
    async fn notify(
        self: Rc<Self>,
        pending_id: String,
        recipient: String,
        channel: String,
    ) -> Result<(), MobError> {
        let Some(number) = number_of(&pending_id, PENDING) else {
            return Ok(());
        };
        let mut told = Told::default();
        let failed = self.tell_approver(number, recipient, channel, &mut told);
        told.error = failed.await.err();
        let inner = self.clone();
        let noted = self.core.execute(Durability::Strict, move |core, batch| {
            inner.stage_told(core, batch, number, &told);
            Ok(())
        });
        noted.await
    }

    fn stage_told(&self, core: &Core, batch: &mut Batch, number: u64, told: &Told) {
        let Some(row) = self.state.pending.staged(&number) else {
            return;
        };
        let mut row = row.as_ref().clone();
        let detail = object!({
            "approval_route_id": told.route,
            "approval_delivery_id": told.delivery,
            "approval_notification_error": told.error,
        });
        row.entry.approval_route_id.clone_from(&told.route);
        row.entry.approval_delivery_id.clone_from(&told.delivery);
        let outcome = GatingOutcome::PendingApproval;
        self.stage_line(core, batch, &row.entry, "notified", outcome, detail);
        self.state.pending.put(batch, row);
    }

    /// Says by which route and which delivery somebody was told.
    async fn tell_approver(
        self: &Rc<Self>,
        number: u64,
        recipient: String,
        channel: String,
        told: &mut Told,
    ) -> Result<(), String> {
        self.check_notifies()?;
        let Some(row) = self.state.pending.get(&number) else {
            return Ok(());
        };
        let request = RoutingResolveRequest {
            recipient,
            channel: Some(channel),
            ..RoutingResolveRequest::default()
        };
        let resolution = self.resolve(request).await;
        let resolution = resolution.map_err(|error| format!("routing:{error}"))?;
        told.route = Some(resolution.route_id.clone());
        let sent = self.deliver(approval_request(&row.entry, resolution)).await;
        let record = sent.map_err(|error| format!("delivery:{error}"))?;
        let (status, id) = (record.status, record.delivery_id);
        let sent = match status {
            DeliveryStatus::Sent => Ok(()),
            status => Err(format!("delivery_status:{}:{id}", status.as_str())),
        };
        told.delivery = Some(id);
        sent
    }

    fn check_notifies(&self) -> Result<(), String> {
        let mut missing = Vec::new();
        for id in [ROUTER, DELIVERY] {
            if !self.find(id).is_some_and(|slot| slot.is_wanted()) {
                missing.push(id);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(",");
        Err(["notification_modules_unavailable:", &missing].concat())
    }
}

/// What is delivered to who is to decide.
fn approval_request(
    entry: &GatingPendingEntry,
    resolution: RoutingResolution,
) -> DeliverySendRequest {
    let payload = object!({
        "kind": "gating_approval_request",
        "pending_id": entry.pending_id,
        "action_id": entry.action_id,
        "action": entry.action,
        "actor_id": entry.actor_id,
        "risk_tier": entry.risk_tier,
        "requested_approver": entry.requested_approver,
        "deadline_at_ms": entry.deadline_at_ms.get(),
    });
    DeliverySendRequest {
        resolution,
        payload,
        idempotency_key: Some(["gating-approval-", &entry.pending_id].concat()),
    }
}

/// By which route and which delivery somebody was told, and what went wrong.
#[derive(Default)]
struct Told {
    route: Option<String>,
    delivery: Option<String>,
    error: Option<String>,
}

/// What a line of the record is about.
struct Line<'a> {
    event_type: &'a str,
    action: &'a str,
    action_id: &'a str,
    pending_id: Option<&'a str>,
    actor_id: &'a str,
    risk_tier: RiskTier,
    outcome: GatingOutcome,
}

/// The sequence that all names of gating share, and whose events are gating's.
const SEQUENCE: &str = "gating";

fn unknown(pending_id: &str) -> ModuleError {
    ModuleError::new(
        ModuleErrorKind::UnknownPendingId,
        format!("pending_id '{pending_id}' was not found"),
    )
    .with(object!({ "pending_id": pending_id }))
}
