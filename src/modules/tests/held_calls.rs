//! Tool calls of members that wait for a decision, over crashes and evictions.

use super::*;
use crate::agent::model::{ChatMessage, ModelDelta, ToolDefinition as Definition};
use crate::agent::tool::{Tool, ToolContext, ToolError, ToolOutput};
use crate::mob::{InteractionStatus, SendRequest};
use crate::modules::gating::{GatingDecideRequest, GatingDecision, GatingPendingEntry};
use crate::runtime::UnifiedRuntimeBuilder;
use crate::wire::{InteractionId, MemberActivity, StopReason};

/// Counts its calls, over all lives.
#[derive(Clone)]
struct Pay(Rc<Cell<u32>>);

impl Tool for Pay {
    fn definition(&self) -> Definition {
        Definition {
            name: "pay".into(),
            description: "pays".into(),
            input_schema: json!({ "type": "object" }),
        }
    }

    fn call(
        &self,
        _: Value,
        _: ToolContext,
    ) -> LocalBoxFuture<'static, Result<ToolOutput, ToolError>> {
        self.0.set(self.0.get() + 1);
        futures::future::ready(Ok(ToolOutput::text("paid"))).boxed_local()
    }
}

/// Calls the tool once, and says what came of it; asks again if nobody knows.
fn payer(host: &Host) -> ScriptedModel {
    ScriptedModel::answering(host.clone(), |request| match request.messages.last() {
        Some(ChatMessage::Tool { content, .. }) if content.starts_with("interrupted") => {
            Reply::call("pay", json!({ "euros": 5 }))
        }
        Some(ChatMessage::Tool { content, .. }) => Reply::text(content.clone()),
        _ => Reply::call("pay", json!({ "euros": 5 })),
    })
}

fn paying(
    host: &Host,
    disk: &SimDisk,
    plan: StoragePlan,
    paid: &Rc<Cell<u32>>,
) -> UnifiedRuntimeBuilder {
    UnifiedRuntime::builder()
        .definition(definition("tools = { gate = { pay = \"r3\" } }"))
        .host(host.clone())
        .storage(disk.open(host, plan))
        .model("scripted", Rc::new(payer(host)))
        .tool(Rc::new(Pay(paid.clone())))
}

async fn begin(runtime: &UnifiedRuntime) -> InteractionId {
    let request = SendRequest::new("pay them");
    runtime
        .send(&id("ada"), request)
        .await
        .unwrap()
        .interaction_id
}

async fn inbox(runtime: &UnifiedRuntime) -> Vec<GatingPendingEntry> {
    runtime.modules().gating_pending().await.unwrap()
}

async fn decide(runtime: &UnifiedRuntime, pending: &str, decision: GatingDecision) {
    let request = GatingDecideRequest {
        pending_id: pending.to_owned(),
        approver_id: "carl".to_owned(),
        decision,
        reason: Some("too much".to_owned()),
    };
    runtime.modules().decide_gating(request).await.unwrap();
}

async fn end(runtime: &UnifiedRuntime, interaction: &InteractionId) -> String {
    let outcome = runtime
        .mob_handle()
        .wait_interaction(interaction)
        .await
        .unwrap();
    outcome.result
}

fn activity(runtime: &UnifiedRuntime) -> MemberActivity {
    runtime.members()[0].activity
}

#[test]
fn a_call_waits_until_somebody_decides() {
    for (decision, paid_often, said) in [
        (GatingDecision::Approve, 1, "paid"),
        (
            GatingDecision::Reject,
            0,
            "the call was denied: carl rejected it: too much",
        ),
    ] {
        in_sim(1, async |_, host, disk| {
            let paid = Rc::new(Cell::new(0));
            let runtime = paying(&host, &disk, StoragePlan::default(), &paid)
                .build()
                .await
                .unwrap();
            let interaction = begin(&runtime).await;
            host.sleep(Duration::from_secs(3_600)).await;
            assert_eq!(paid.get(), 0);
            assert_eq!(activity(&runtime), MemberActivity::WaitingApproval);
            let entry = inbox(&runtime).await.remove(0);
            let call = entry.tool_call.unwrap();
            assert_eq!(
                (call.member_id.as_str(), call.tool.as_str()),
                ("ada", "pay")
            );
            assert_eq!(call.args, json!({ "euros": 5 }));
            assert_eq!(
                (entry.action.as_str(), entry.actor_id.as_str()),
                ("pay", "ada")
            );
            decide(&runtime, &entry.pending_id, decision).await;
            assert_eq!(end(&runtime, &interaction).await, said);
            assert_eq!(paid.get(), paid_often);
            assert_eq!(inbox(&runtime).await, []);
            // Nothing is left of it.
            assert_eq!(
                disk.rows()
                    .iter()
                    .filter(|row| row.0.as_str().contains("/module/pending/"))
                    .count(),
                0
            );
        });
    }
}

#[test]
fn a_held_call_survives_a_reload_and_an_eviction() {
    in_sim(2, async |_, host, disk| {
        let paid = Rc::new(Cell::new(0));
        let life = async || {
            paying(&host, &disk, StoragePlan::default(), &paid)
                .build()
                .await
                .unwrap()
        };
        let runtime = life().await;
        let interaction = begin(&runtime).await;
        host.sleep(Duration::from_secs(1)).await;
        let entry = inbox(&runtime).await.remove(0);
        // More often than work may be interrupted: a call that waits is no failure of anybody's.
        for round in 0..5 {
            if round % 2 == 0 {
                runtime.shutdown().await;
            }
            let runtime = life().await;
            host.sleep(Duration::from_secs(1)).await;
            assert_eq!(
                inbox(&runtime).await,
                std::slice::from_ref(&entry),
                "the same one, once"
            );
            assert_eq!(activity(&runtime), MemberActivity::WaitingApproval);
            drop(runtime);
        }
        let runtime = life().await;
        decide(&runtime, &entry.pending_id, GatingDecision::Approve).await;
        assert_eq!(end(&runtime, &interaction).await, "paid");
        assert_eq!(paid.get(), 1);
    });
}

#[test]
fn a_decision_that_comes_before_the_member_is_back_is_heard() {
    in_sim(3, async |_, host, disk| {
        let paid = Rc::new(Cell::new(0));
        let build = || paying(&host, &disk, StoragePlan::default(), &paid);
        let runtime = build().build().await.unwrap();
        let interaction = begin(&runtime).await;
        host.sleep(Duration::from_secs(1)).await;
        let pending = inbox(&runtime).await.remove(0).pending_id;
        runtime.stop().await.unwrap();
        decide(&runtime, &pending, GatingDecision::Approve).await;
        assert_eq!(paid.get(), 0, "the mob is stopped");
        drop(runtime);
        let runtime = build().build().await.unwrap();
        runtime.resume().await.unwrap();
        assert_eq!(end(&runtime, &interaction).await, "paid");
        assert_eq!(paid.get(), 1);
    });
}

#[test]
fn an_escalated_call_waits_for_the_next_one() {
    in_sim(4, async |_, host, disk| {
        let paid = Rc::new(Cell::new(0));
        let runtime = paying(&host, &disk, StoragePlan::default(), &paid)
            .build()
            .await
            .unwrap();
        let interaction = begin(&runtime).await;
        host.sleep(Duration::from_secs(1)).await;
        let pending = inbox(&runtime).await.remove(0).pending_id;
        decide(&runtime, &pending, GatingDecision::Escalate).await;
        host.sleep(Duration::from_secs(1)).await;
        let next = inbox(&runtime).await.remove(0);
        assert_eq!((next.escalated_by.len(), paid.get()), (1, 0));
        let request = GatingDecideRequest {
            pending_id: next.pending_id,
            approver_id: "dora".to_owned(),
            decision: GatingDecision::Approve,
            reason: None,
        };
        runtime.modules().decide_gating(request).await.unwrap();
        assert_eq!(end(&runtime, &interaction).await, "paid");
    });
}

#[test]
fn nobody_in_time_denies_the_call_by_itself() {
    in_sim(5, async |sim, host, disk| {
        let paid = Rc::new(Cell::new(0));
        let runtime = paying(&host, &disk, StoragePlan::default(), &paid)
            .build()
            .await
            .unwrap();
        let begun = host.now_ms();
        let interaction = begin(&runtime).await;
        assert_eq!(
            end(&runtime, &interaction).await,
            "the call was denied: nobody decided in time"
        );
        assert_eq!(
            (host.now_ms() - begun) / 3_600_000,
            24,
            "a day, if nothing is said"
        );
        assert_eq!(paid.get(), 0);
        host.sleep(Duration::from_secs(5)).await;
        assert_eq!(sim.armed_timers(), 0);
    });
}

#[test]
fn a_call_whose_work_is_cancelled_is_withdrawn() {
    in_sim(6, async |_, host, disk| {
        let paid = Rc::new(Cell::new(0));
        let runtime = paying(&host, &disk, StoragePlan::default(), &paid)
            .build()
            .await
            .unwrap();
        let interaction = begin(&runtime).await;
        host.sleep(Duration::from_secs(1)).await;
        let pending = inbox(&runtime).await.remove(0).pending_id;
        runtime.cancel(&interaction).await.unwrap();
        assert_eq!(inbox(&runtime).await, []);
        let late = GatingDecideRequest {
            pending_id: pending,
            approver_id: "carl".to_owned(),
            decision: GatingDecision::Approve,
            reason: None,
        };
        assert_eq!(
            kind(runtime.modules().decide_gating(late).await),
            ModuleErrorKind::UnknownPendingId
        );
        let lines = runtime.modules().gating_audit(50).await.unwrap();
        assert_eq!(lines.last().unwrap().event_type, "withdrawn");
        assert_eq!(paid.get(), 0);
    });
}

#[test]
fn an_old_decision_says_nothing_about_a_later_call_of_the_same_name() {
    in_sim(10, async |_, host, disk| {
        let paid = Rc::new(Cell::new(0));
        // Some providers number the calls of each answer anew.
        let model =
            ScriptedModel::answering(host.clone(), |request| match request.messages.last() {
                Some(ChatMessage::Tool { content, .. }) => Reply::text(content.clone()),
                _ => Reply::deltas([
                    ModelDelta::ToolCall {
                        index: 0,
                        id: Some("call_0".to_owned()),
                        name: Some("pay".to_owned()),
                        args: "{}".to_owned(),
                    },
                    ModelDelta::Stop(StopReason::ToolUse),
                ]),
            });
        let runtime =
            paying(&host, &disk, StoragePlan::default(), &paid).model("scripted", Rc::new(model));
        let runtime = runtime.build().await.unwrap();
        let first = begin(&runtime).await;
        host.sleep(Duration::from_secs(1)).await;
        let pending = inbox(&runtime).await.remove(0);
        assert_eq!(pending.tool_call.unwrap().call_id, "call_0");
        // Approved while the mob is stopped, and cancelled before it goes on.
        runtime.stop().await.unwrap();
        decide(&runtime, &pending.pending_id, GatingDecision::Approve).await;
        runtime.cancel(&first).await.unwrap();
        runtime.resume().await.unwrap();
        let second = begin(&runtime).await;
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(
            (paid.get(), inbox(&runtime).await.len()),
            (0, 1),
            "it is asked about anew"
        );
        let pending = inbox(&runtime).await.remove(0).pending_id;
        decide(&runtime, &pending, GatingDecision::Reject).await;
        assert!(
            end(&runtime, &second)
                .await
                .starts_with("the call was denied")
        );
        assert_eq!(paid.get(), 0);
    });
}

#[test]
fn whoever_waits_keeps_no_host_awake() {
    in_sim(7, async |sim, host, disk| {
        let (paid, alarm) = (Rc::new(Cell::new(0)), Rc::new(Alarm::default()));
        let build = || paying(&host, &disk, StoragePlan::default(), &paid).wake(alarm.clone());
        let runtime = build().build().await.unwrap();
        begin(&runtime).await;
        host.sleep(Duration::from_secs(6)).await;
        let deadline = inbox(&runtime).await[0].deadline_at_ms.get();
        assert_eq!(
            alarm.0.get(),
            (Some(deadline), false),
            "it rings when nobody decides any more"
        );
        assert_eq!(sim.armed_timers(), 0);
        drop(runtime);
        // Evicted over its time: the alarm opens the mob, which denies the call and goes on.
        host.sleep(Duration::from_millis(deadline - host.now_ms()))
            .await;
        let runtime = build().build().await.unwrap();
        runtime.woken();
        host.sleep(Duration::from_secs(6)).await;
        assert_eq!(inbox(&runtime).await, []);
        assert_eq!(runtime.members()[0].activity, MemberActivity::Idle);
        assert_eq!(alarm.0.get(), (None, false));
    });
}

#[test]
fn tiers_that_need_nobody_are_written_down_and_do_not_wait() {
    for (tier, line) in [
        ("r0", "allow_immediate"),
        ("r2", "consequence_mode_allow_with_audit_v0_1"),
    ] {
        in_sim(8, async |_, host, disk| {
            let paid = Rc::new(Cell::new(0));
            let gate = format!("tools = {{ gate = {{ pay = \"{tier}\" }} }}");
            let runtime = paying(&host, &disk, StoragePlan::default(), &paid)
                .definition(definition(&gate))
                .build()
                .await
                .unwrap();
            let interaction = begin(&runtime).await;
            assert_eq!(end(&runtime, &interaction).await, "paid");
            let lines = runtime.modules().gating_audit(50).await.unwrap();
            assert_eq!((lines.len(), &lines[0].detail["policy"]), (1, &json!(line)));
        });
    }
}

/// A life in which somebody approves as soon as there is something to decide.
async fn pay(host: Host, disk: &SimDisk, storage: Rc<dyn Storage>, paid: &Rc<Cell<u32>>) -> String {
    let runtime = paying(&host, disk, StoragePlan::default(), paid).storage(storage);
    let runtime = runtime.build().await.unwrap();
    let request = SendRequest {
        idempotency_key: Some("once".to_owned()),
        ..SendRequest::new("pay them")
    };
    let interaction = runtime
        .send(&id("ada"), request)
        .await
        .unwrap()
        .interaction_id;
    loop {
        let outcome = runtime.interaction_outcome(&interaction).unwrap();
        if outcome.status != InteractionStatus::Open {
            host.sleep(Duration::from_secs(5)).await;
            return outcome.result;
        }
        if let Some(entry) = inbox(&runtime).await.first() {
            decide(&runtime, &entry.pending_id, GatingDecision::Approve).await;
        }
        host.sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_held_call_survives_a_crash_at_every_commit() {
    let whole = |seed, disk: &SimDisk, plan, paid: &Rc<Cell<u32>>| {
        life(seed, disk, plan, async |host, storage| {
            pay(host, disk, storage, paid).await
        })
    };
    let disk = SimDisk::new();
    let said = whole(9, &disk, StoragePlan::default(), &Rc::default());
    assert_eq!(said.unwrap(), "paid");
    let commits = disk.commits();
    assert!(commits > 8, "{commits}");
    at_every_commit(commits, |at, plan, name| {
        let (disk, paid) = (SimDisk::new(), Rc::new(Cell::new(0)));
        if let Ok(said) = whole(at, &disk, plan, &paid) {
            assert_eq!(said, "paid", "{name}");
        }
        let before = paid.get();
        let said = whole(at + 1_000, &disk, StoragePlan::default(), &paid);
        assert_eq!(said.unwrap(), "paid", "{name}");
        // Between its start and its result nobody knows whether a call ran; otherwise it ran once.
        let most = 1 + before;
        assert!(
            (1..=most).contains(&paid.get()),
            "{name}: {} times",
            paid.get()
        );
        let left = disk.rows();
        let left = left
            .iter()
            .filter(|row| row.0.as_str().contains("/module/pending/"));
        assert_eq!(left.count(), 0, "{name}");
    });
}
