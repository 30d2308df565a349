//! Tool calls of members that wait until somebody decides (MobKit contract, section 15.4, as a [`ToolGate`]).
//!
//! A profile says how much is at stake in a call. One of tier `r3` is held: that it waits is in the turn's row, what there is to decide
//! in one of gating's, so that a reload or an eviction changes nothing. When somebody has decided, the run reads that and forgets
//! it in the commit with which the call begins, or is refused.

use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use crate::agent::tool::{ToolContext, ToolDecision, ToolGate, ToolRequest};
use crate::mob::MobError;
use crate::modules::gating::{GatingEvaluateRequest, GatingOutcome, HeldCall, PendingRow};
use crate::modules::{Inner, Late};
use crate::storage::Batch;
use crate::wire::RiskTier;

/// The gate before the application's own.
pub(crate) struct Gate {
    modules: Late,
    next: Option<Rc<dyn ToolGate>>,
}

impl Gate {
    /// A gate that asks `next` about what gating lets through.
    pub fn new(modules: &Late, next: Option<Rc<dyn ToolGate>>) -> Self {
        Self {
            modules: modules.clone(),
            next,
        }
    }

    fn tier(&self, request: &ToolRequest) -> Option<(Rc<Inner>, RiskTier)> {
        let inner = self.modules.borrow().upgrade()?;
        let state = inner.core.definition();
        let member = inner.core.members.get(&request.context.identity)?;
        let profile = inner.core.profile(&state.definition, &member)?;
        let tier = *profile.tools.gate.get(request.call.name.as_str())?;
        Some((inner, tier))
    }
}

impl ToolGate for Gate {
    fn decide(&self, request: ToolRequest) -> LocalBoxFuture<'static, ToolDecision> {
        let judged = self.tier(&request);
        let next = self.next.clone();
        async move {
            if let Some((inner, tier)) = judged {
                let decision = match inner.judge(tier, &request).await {
                    Ok(decision) => decision,
                    // What cannot be decided is denied.
                    Err(error) => ToolDecision::Deny {
                        reason: error.to_string(),
                    },
                };
                if decision != ToolDecision::Approve {
                    return decision;
                }
            }
            match next {
                Some(next) => next.decide(request).await,
                None => ToolDecision::Approve,
            }
        }
        .boxed_local()
    }

    fn holds(&self, request: &ToolRequest) -> bool {
        let tier = self.tier(request).map(|(_, tier)| tier);
        tier == Some(RiskTier::R3) || self.next.as_ref().is_some_and(|next| next.holds(request))
    }

    fn heard(&self, batch: &mut Batch, context: &ToolContext) {
        if let Some(inner) = self.modules.borrow().upgrade() {
            for row in inner.state.pending.staged_range(..) {
                if is_about(&row, context) {
                    inner.state.pending.delete(batch, &row.number);
                }
            }
        }
        if let Some(next) = &self.next {
            next.heard(batch, context);
        }
    }
}

fn is_about(row: &PendingRow, context: &ToolContext) -> bool {
    let call = row.entry.tool_call.as_ref();
    call.is_some_and(|call| {
        call.member_id == context.identity
            && call.interaction_id == context.interaction_id
            && call.call_id == context.call_id
    })
}

impl Inner {
    /// What becomes of a call; one of tier `r3` waits.
    async fn judge(
        self: &Rc<Self>,
        tier: RiskTier,
        request: &ToolRequest,
    ) -> Result<ToolDecision, MobError> {
        if self.row_about(&request.context).is_none() {
            let asked = self.question(tier, request);
            // A call that does not say what it is about says so of nothing in memory.
            let block = match (&asked.entity, &asked.topic) {
                (Some(entity), Some(topic)) if tier == RiskTier::R2 || tier == RiskTier::R3 => {
                    self.block(Some(entity), Some(topic)).await
                }
                _ => None,
            };
            let held = HeldCall {
                member_id: request.context.identity.clone(),
                interaction_id: request.context.interaction_id.clone(),
                call_id: request.context.call_id.clone(),
                tool: request.call.name.clone(),
                args: request.call.args.clone(),
            };
            let result = self.evaluate(asked, block, Some(held)).await?;
            match result.outcome {
                GatingOutcome::Allowed | GatingOutcome::AllowedWithAudit => {
                    return Ok(ToolDecision::Approve);
                }
                GatingOutcome::SafeDraft => {
                    let reason = result.fallback_reason.unwrap_or_default();
                    return Ok(ToolDecision::Deny { reason });
                }
                GatingOutcome::PendingApproval => {}
            }
        }
        loop {
            let changed = self.state.changed.notified();
            if let Some(decision) = self.decision(&request.context) {
                return Ok(decision);
            }
            changed.await;
        }
    }

    fn row_about(&self, context: &ToolContext) -> Option<Rc<PendingRow>> {
        let rows = self.state.pending.all();
        rows.into_iter().find(|row| is_about(row, context))
    }

    /// What gating is asked about a call.
    fn question(&self, tier: RiskTier, request: &ToolRequest) -> GatingEvaluateRequest {
        let call = &request.call;
        let text = |name: &str| {
            call.args
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let limits = &self.core.definition().definition.limits;
        GatingEvaluateRequest {
            action: call.name.clone(),
            actor_id: request.context.identity.to_string(),
            risk_tier: tier,
            rationale: None,
            requested_approver: None,
            approval_recipient: None,
            approval_channel: None,
            approval_timeout_ms: Some(limits.approval_timeout_ms()),
            entity: text("entity"),
            topic: text("topic"),
        }
    }

    /// What was decided about a call that waits; none as long as nothing was.
    fn decision(&self, context: &ToolContext) -> Option<ToolDecision> {
        let reason = match self.row_about(context) {
            None => "too many calls wait for a decision".to_owned(),
            Some(row) => match &row.answer {
                None => return None,
                Some(answer) if answer.approved => return Some(ToolDecision::Approve),
                Some(answer) => answer.reason.clone(),
            },
        };
        Some(ToolDecision::Deny { reason })
    }
}
