//! How interactions end that do not come to an answer, and who hears of it.

use super::*;
use crate::wire::{AgentErrorClass, HandlingMode, SpawnMemberSpec};

/// The lead hands everything to ann, who never answers.
fn handed_over(host: &Host) -> ScriptedModel {
    ScriptedModel::answering(host.clone(), |request| match asked(request).as_str() {
        "lead" if matches!(news(request).first(), Some(ChatMessage::Tool { .. })) => {
            Reply::text("I wait for ann")
        }
        "lead" => Reply::call("send_message", json!({ "to": "ann", "content": "do it" })),
        _ => Reply::hang(),
    })
}

#[test]
fn a_retired_member_ends_what_it_was_asked_also_while_a_peer_works_on_it() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = handed_over(&host);
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let accepted = runtime
            .send(&id("lead"), SendRequest::new("go"))
            .await
            .unwrap();
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(model.running(), 1, "ann works for the lead");
        runtime.retire(&id("lead")).await.unwrap();
        let heard: Vec<_> = runtime
            .interaction(&accepted.interaction_id, None)
            .unwrap()
            .map(|item| match item.unwrap() {
                LogItem::Entry { entry, .. } => entry.event.agent_event_type().to_owned(),
                LogItem::Gap { .. } => panic!("a gap"),
            })
            .collect()
            .await;
        assert_eq!(
            heard[heard.len() - 2..],
            ["run_failed", "interaction_failed"],
            "ann's run, and then the interaction"
        );
        let outcome = runtime
            .interaction_outcome(&accepted.interaction_id)
            .unwrap();
        let error = outcome.error.unwrap();
        assert_eq!(
            (outcome.status, error.class, error.message.as_str()),
            (
                InteractionStatus::Cancelled,
                AgentErrorClass::Cancelled,
                "lead was retired"
            )
        );
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(model.running(), 0);
    });
}

#[test]
fn a_message_that_was_passed_on_too_often_ends_its_interaction() {
    let sim = Sim::new(2);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |request| {
        let to = if asked(request) == "ann" {
            "lead"
        } else {
            "ann"
        };
        if matches!(news(request).first(), Some(ChatMessage::Tool { .. })) {
            return Reply::text("sent");
        }
        Reply::call("send_message", json!({ "to": to, "content": "and you?" })).with_usage(1, 1)
    });
    let bounded = format!("{TEAM}\n[limits]\nmax_hops = 2\n");
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .definition(MobDefinition::from_toml(&bounded).unwrap())
            .build()
            .await
            .unwrap();
        let outcome = runtime
            .ask(&id("lead"), SendRequest::new("talk"))
            .await
            .unwrap();
        // The lead to ann, ann to the lead, and the third was one too many.
        assert_eq!(
            (outcome.status, outcome.turns),
            (InteractionStatus::Failed, 3)
        );
        let error = outcome.error.unwrap();
        assert_eq!(error.class, AgentErrorClass::DepthLimit);
        assert!(error.message.contains("its 2 hops"), "{}", error.message);
        host.sleep(Duration::from_secs(60)).await;
        let lead = kinds(&all_events(&runtime).await, "lead");
        let last = [
            "tool_execution_completed",
            "tool_result_received",
            "run_failed",
            "interaction_failed",
        ];
        assert_eq!(lead[lead.len() - 4..], last, "the call is answered");
        let (history, _) = runtime.session_history(&id("lead"), 0, 100).await.unwrap();
        let calls = history.iter().filter_map(|row| match &row.message {
            ChatMessage::Tool { is_error, .. } => Some(*is_error),
            _ => None,
        });
        assert_eq!(calls.collect::<Vec<_>>(), [false, true]);
    });
}

#[test]
fn a_message_that_steered_work_which_was_cancelled_is_told_once() {
    let sim = Sim::new(3);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    model.push(Reply::call("peers", json!({})).after(Duration::from_secs(2)));
    model.push(Reply::hang());
    model.push(Reply::text("as you say"));
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let first = runtime
            .send(&id("ann"), SendRequest::new("walk"))
            .await
            .unwrap();
        host.sleep(Duration::from_secs(1)).await;
        let steer = SendRequest {
            mode: HandlingMode::Steer,
            ..SendRequest::new("run instead")
        };
        let second = runtime.send(&id("ann"), steer).await.unwrap();
        host.sleep(Duration::from_secs(5)).await;
        runtime.cancel(&first.interaction_id).await.unwrap();
        let outcome = runtime
            .mob_handle()
            .wait_interaction(&second.interaction_id)
            .await
            .unwrap();
        assert_eq!(outcome.result, "as you say");
        let (history, _) = runtime.session_history(&id("ann"), 0, 100).await.unwrap();
        let told: Vec<String> = history
            .iter()
            .filter_map(|row| match &row.message {
                ChatMessage::User { content, .. } => Some(content.text()),
                _ => None,
            })
            .collect();
        assert_eq!(told, ["walk", "run instead"]);
    });
}

#[test]
fn whom_nobody_may_address_nobody_addresses_whatever_they_call_themselves() {
    let sim = Sim::new(4);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::text("hello"));
    let closed = TEAM.replace(
        "instructions = \"You work.\"",
        "instructions = \"You work.\"\nexternal_addressable = false",
    );
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .definition(MobDefinition::from_toml(&closed).unwrap())
            .build()
            .await
            .unwrap();
        for origin in ["host", "spawn"] {
            let request = SendRequest {
                origin: origin.into(),
                ..SendRequest::new("psst")
            };
            let refused = runtime.send(&id("ann"), request).await.unwrap_err();
            assert_eq!(refused.code(), "not_addressable", "{origin}");
        }
        let mut spec = SpawnMemberSpec::new("worker", "cid").unwrap();
        spec.initial_message = Some("begin".into());
        runtime.spawn(spec).await.unwrap();
        host.sleep(Duration::from_secs(1)).await;
        let (_, messages) = runtime.session_history(&id("cid"), 0, 10).await.unwrap();
        assert_eq!(messages, 2, "its first message comes from the mob");
    });
}
