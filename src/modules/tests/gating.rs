//! Who may do what (gating_policy of the contract's tests).

use super::routing::route;
use super::*;
use crate::modules::gating::{
    Block, GatingDecideRequest, GatingDecision, GatingEvaluateRequest, GatingEvaluateResult,
    GatingOutcome, verdict,
};
use crate::modules::memory::MemoryIndexRequest;
use crate::wire::RiskTier;

fn action(tier: RiskTier) -> GatingEvaluateRequest {
    GatingEvaluateRequest {
        action: "drain the tank".to_owned(),
        actor_id: "ada".to_owned(),
        risk_tier: tier,
        rationale: None,
        requested_approver: None,
        approval_recipient: None,
        approval_channel: None,
        approval_timeout_ms: None,
        entity: None,
        topic: None,
    }
}

fn decide(pending: &str, approver: &str, decision: GatingDecision) -> GatingDecideRequest {
    GatingDecideRequest {
        pending_id: pending.to_owned(),
        approver_id: approver.to_owned(),
        decision,
        reason: Some("because".to_owned()),
    }
}

async fn ask(modules: &Modules, request: GatingEvaluateRequest) -> GatingEvaluateResult {
    modules.evaluate_gating(request).await.unwrap()
}

async fn audited(modules: &Modules) -> Vec<String> {
    let lines = modules.gating_audit(500).await.unwrap();
    lines.into_iter().map(|line| line.event_type).collect()
}

#[test]
fn what_each_tier_leads_to() {
    use GatingOutcome::{Allowed, AllowedWithAudit, PendingApproval, SafeDraft};
    let cases = [
        (RiskTier::R0, Allowed, Allowed),
        (RiskTier::R1, Allowed, Allowed),
        (RiskTier::R2, AllowedWithAudit, SafeDraft),
        (RiskTier::R3, PendingApproval, SafeDraft),
    ];
    for (tier, free, blocked) in cases {
        assert_eq!(verdict(tier, None), free);
        for block in [Block::Conflict, Block::ContextMissing, Block::LookupFailed] {
            assert_eq!(verdict(tier, Some(block)), blocked);
        }
    }
    in_sim(1, async |_, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        for (tier, outcome, _) in cases {
            let result = ask(modules, action(tier)).await;
            assert_eq!(
                (result.outcome, result.pending_id.is_some()),
                (outcome, tier == RiskTier::R3)
            );
        }
        let lines = modules.gating_audit(50).await.unwrap();
        let policies: Vec<_> = lines
            .iter()
            .map(|line| line.detail["policy"].clone())
            .collect();
        assert_eq!(
            policies[..3],
            [
                "allow_immediate",
                "allow_immediate",
                "consequence_mode_allow_with_audit_v0_1"
            ]
        );
        assert_eq!(
            (lines[0].action_id.as_str(), lines[0].audit_id.as_str()),
            ("gate-action-000000", "gate-audit-000001")
        );
        let pending = modules.gating_pending().await.unwrap().remove(0);
        assert_eq!(
            pending.deadline_at_ms.get() - pending.created_at_ms.get(),
            60_000
        );
    });
}

#[test]
fn who_may_decide() {
    in_sim(2, async |_, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        let request = GatingEvaluateRequest {
            requested_approver: Some("bob".to_owned()),
            ..action(RiskTier::R3)
        };
        let pending = ask(modules, request).await.pending_id.unwrap();
        let try_it =
            |approver: &str, decision| modules.decide_gating(decide(&pending, approver, decision));
        for decision in [
            GatingDecision::Approve,
            GatingDecision::Reject,
            GatingDecision::Escalate,
        ] {
            let refused = try_it("carl", decision).await.unwrap_err();
            assert_eq!(
                refused.data().data,
                json!({ "expected": "bob", "provided": "carl" })
            );
        }
        assert_eq!(
            kind(try_it("ada", GatingDecision::Approve).await),
            ModuleErrorKind::SelfApprovalForbidden
        );
        let unknown = modules
            .decide_gating(decide("gate-pending-9", "bob", GatingDecision::Approve))
            .await;
        assert_eq!(
            unknown.unwrap_err().to_string(),
            "pending_id 'gate-pending-9' was not found"
        );
        assert_eq!(
            modules.gating_pending().await.unwrap().len(),
            1,
            "a refused decision changes nothing"
        );
        let result = try_it(" bob ", GatingDecision::Approve).await.unwrap();
        assert_eq!(
            (result.outcome, result.approver_id.as_str()),
            (GatingOutcome::Allowed, "bob")
        );
        assert_eq!(
            kind(try_it("bob", GatingDecision::Approve).await),
            ModuleErrorKind::UnknownPendingId
        );
        let other = ask(modules, action(RiskTier::R3)).await.pending_id.unwrap();
        let result = modules
            .decide_gating(decide(&other, "ada", GatingDecision::Reject))
            .await
            .unwrap();
        assert_eq!(
            result.outcome,
            GatingOutcome::SafeDraft,
            "whoever acts may give up"
        );
        assert_eq!(
            audited(modules).await,
            ["pending_created", "approved", "pending_created", "rejected"]
        );
    });
}

#[test]
fn row_27_an_escalation_keeps_who_may_not_decide() {
    in_sim(3, async |_, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        let request = GatingEvaluateRequest {
            requested_approver: Some("bob".to_owned()),
            ..action(RiskTier::R3)
        };
        let first = ask(modules, request).await.pending_id.unwrap();
        let before = modules.gating_pending().await.unwrap().remove(0);
        host.sleep(Duration::from_secs(20)).await;
        let result = modules
            .decide_gating(decide(&first, "bob", GatingDecision::Escalate))
            .await
            .unwrap();
        assert_eq!(result.outcome, GatingOutcome::PendingApproval);
        let second = result.next_pending_id.unwrap();
        let entry = modules.gating_pending().await.unwrap().remove(0);
        assert_eq!(
            (&entry.pending_id, &entry.requested_approver),
            (&second, &None)
        );
        assert_eq!(
            entry.deadline_at_ms, before.deadline_at_ms,
            "an escalation buys no time"
        );
        assert_eq!(entry.action_id, before.action_id);
        for (who, wanted) in [
            ("bob", ModuleErrorKind::ApproverMismatch),
            ("ada", ModuleErrorKind::SelfApprovalForbidden),
        ] {
            let refused = modules
                .decide_gating(decide(&second, who, GatingDecision::Approve))
                .await;
            assert_eq!(kind(refused), wanted);
        }
        modules
            .decide_gating(decide(&second, "carl", GatingDecision::Approve))
            .await
            .unwrap();
        assert_eq!(
            audited(modules).await,
            ["pending_created", "escalated", "approved"]
        );
    });
}

#[test]
fn nobody_in_time_is_a_draft_and_is_written_down_with_the_next_call() {
    in_sim(4, async |sim, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        let request = GatingEvaluateRequest {
            approval_timeout_ms: Some(5_000),
            ..action(RiskTier::R3)
        };
        let pending = ask(modules, request).await.pending_id.unwrap();
        host.sleep(Duration::from_millis(4_999)).await;
        assert_eq!(modules.gating_pending().await.unwrap().len(), 1);
        host.sleep(Duration::from_millis(1)).await;
        assert_eq!(sim.armed_timers(), 0, "nobody waits for it");
        let late = modules
            .decide_gating(decide(&pending, "bob", GatingDecision::Approve))
            .await;
        assert_eq!(kind(late), ModuleErrorKind::UnknownPendingId);
        let line = modules.gating_audit(1).await.unwrap().remove(0);
        assert_eq!(line.event_type, "timeout_fallback");
        assert_eq!(
            line.detail,
            json!({ "fallback": "safe_draft", "reason": "approval_timeout", "action": "drain the tank" })
        );
        assert_eq!(modules.gating_pending().await.unwrap(), []);
    });
}

#[test]
fn row_27_what_goes_for_want_of_room_is_written_down() {
    in_sim(5, async |_, host, disk| {
        let runtime = builder(&host, &disk).build().await.unwrap();
        let modules = runtime.modules();
        for _ in 0..513 {
            ask(modules, action(RiskTier::R3)).await;
        }
        assert_eq!(modules.gating_pending().await.unwrap().len(), 512);
        let lines = modules.gating_audit(500).await.unwrap();
        let evicted: Vec<_> = lines
            .iter()
            .filter(|line| line.event_type == "pending_evicted")
            .collect();
        assert_eq!(evicted.len(), 1);
        assert_eq!(evicted[0].action_id, "gate-action-000000");
        assert_eq!(modules.gating_audit(1_000).await.unwrap().len(), 512);
    });
}

#[test]
fn memory_speaks_against_actions() {
    in_sim(6, async |_, host, disk| {
        let memory =
            Script::new(&host).tool("memory.conflict_read", |args, _| {
                match args["entity"].as_str() {
                    Some("broken") => Err(failed("lost")),
                    Some("odd") => Ok(json!({})),
                    Some("doubtful") => Ok(json!({ "conflict": { "reason": "two sources" } })),
                    _ => Ok(json!({ "conflict": null })),
                }
            });
        let runtime = builder(&host, &disk)
            .module(memory.config("memory"))
            .build()
            .await
            .unwrap();
        let modules = runtime.modules();
        let about = |tier, entity: &str| GatingEvaluateRequest {
            entity: Some(entity.to_owned()),
            topic: Some("t".to_owned()),
            ..action(tier)
        };
        let reason = async |request| ask(modules, request).await.fallback_reason;
        let said = |text: &str| Some(text.to_owned());
        // As long as there is no conflict at all, nobody has to say what it is about.
        assert_eq!(reason(action(RiskTier::R2)).await, None);
        assert_eq!(reason(about(RiskTier::R2, "fine")).await, None);
        assert_eq!(
            reason(about(RiskTier::R2, "doubtful")).await,
            said("memory_conflict")
        );
        assert_eq!(
            reason(about(RiskTier::R3, "broken")).await,
            said("memory_conflict_lookup_failed")
        );
        assert_eq!(
            reason(about(RiskTier::R3, "odd")).await,
            said("memory_conflict_lookup_failed")
        );
        assert_eq!(reason(about(RiskTier::R1, "doubtful")).await, None);
        let conflict = MemoryIndexRequest {
            entity: "Here".to_owned(),
            topic: "T".to_owned(),
            conflict: Some(true),
            ..MemoryIndexRequest::default()
        };
        modules.memory_index(conflict).await.unwrap();
        assert_eq!(
            reason(about(RiskTier::R3, " here ")).await,
            said("memory_conflict")
        );
        assert_eq!(
            reason(action(RiskTier::R2)).await,
            said("memory_conflict_context_missing")
        );
        assert_eq!(reason(about(RiskTier::R2, "fine")).await, None);
        modules
            .resolve_conflict("here".into(), "t".into(), None)
            .await
            .unwrap();
        assert_eq!(reason(about(RiskTier::R2, "here")).await, None);
        let lines = audited(modules).await;
        assert_eq!(
            lines.iter().filter(|it| *it == "conflict_blocked").count(),
            3
        );
        assert_eq!(
            lines
                .iter()
                .filter(|it| *it == "memory_conflict_lookup_failed")
                .count(),
            2
        );
    });
}

#[test]
fn somebody_is_told_that_there_is_something_to_decide() {
    let request = |recipient: &str| GatingEvaluateRequest {
        approval_recipient: Some(recipient.to_owned()),
        approval_channel: Some("notification".to_owned()),
        ..action(RiskTier::R3)
    };
    in_sim(7, async |_, host, disk| {
        let runtime = routed(&host, &disk).await;
        let modules = runtime.modules();
        modules
            .add_route(route("m", "*", None, "mob_member"))
            .await
            .unwrap();
        ask(modules, request("ada")).await;
        let entry = modules.gating_pending().await.unwrap().remove(0);
        assert_eq!(entry.approval_route_id.as_deref(), Some("route-000000"));
        assert_eq!(
            entry.approval_delivery_id.as_deref(),
            Some("delivery-000000")
        );
        let sent = modules.delivery_history(None, None, 1).remove(0);
        assert_eq!(sent.payload["kind"], "gating_approval_request");
        assert_eq!(
            sent.idempotency_key.as_deref(),
            Some("gating-approval-gate-pending-000001")
        );
        ask(modules, request("nobody")).await;
        ask(modules, request(" ")).await;
        let lines = modules.gating_audit(50).await.unwrap();
        let errors: Vec<_> = lines
            .iter()
            .filter(|line| line.event_type == "notified")
            .map(|line| line.detail["approval_notification_error"].clone())
            .collect();
        assert_eq!(
            errors,
            [
                Value::Null,
                json!("delivery_status:failed:delivery-000001"),
                json!("routing:recipient must be a non-empty string"),
            ]
        );
        assert_eq!(
            modules.gating_pending().await.unwrap().len(),
            3,
            "it fails no evaluation"
        );
    });
    in_sim(8, async |_, host, disk| {
        let runtime = builder(&host, &disk)
            .module(ModuleConfig::built_in("router").unwrap())
            .build()
            .await
            .unwrap();
        ask(runtime.modules(), request("ada")).await;
        let line = runtime.modules().gating_audit(1).await.unwrap().remove(0);
        assert_eq!(
            line.detail["approval_notification_error"],
            "notification_modules_unavailable:delivery"
        );
    });
}
