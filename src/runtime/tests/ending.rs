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

#[test]
fn a_reader_of_an_interaction_that_has_ended_ends_wherever_it_begins() {
    let sim = Sim::new(5);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = teamwork(&host);
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let lead = id("lead");
        let first = runtime.send(&lead, SendRequest::new("one")).await.unwrap();
        let handle = runtime.mob_handle();
        handle
            .wait_interaction(&first.interaction_id)
            .await
            .unwrap();
        let ended = runtime.status().latest_event_cursor;
        // One that has caught up when the others begin, and reads what comes between.
        let mut late = runtime
            .interaction(&first.interaction_id, Some(ended))
            .unwrap();
        runtime.ask(&lead, SendRequest::new("two")).await.unwrap();
        assert!(late.next().await.is_none());
        for (after, last) in [
            (ended.get() - 1, "interaction_complete"),
            (0, "interaction_complete"),
        ] {
            let heard: Vec<_> = runtime
                .interaction(&first.interaction_id, Some(Cursor::new(after)))
                .unwrap()
                .collect()
                .await;
            match heard.last().unwrap().as_ref().unwrap() {
                LogItem::Entry { entry, .. } => assert_eq!(entry.event.agent_event_type(), last),
                LogItem::Gap { .. } => panic!("a gap"),
            }
        }
        runtime.retire(&lead).await.unwrap();
        let again = runtime.interaction(&first.interaction_id, Some(ended));
        assert_eq!(again.unwrap().count().await, 0);
    });
}

#[test]
fn a_reader_that_has_read_all_hears_that_the_interaction_ended_without_a_word() {
    let sim = Sim::new(6);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = handed_over(&host);
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let sent = runtime.send(&id("lead"), SendRequest::new("go")).await;
        let id = sent.unwrap().interaction_id;
        let reader = runtime.interaction(&id, None).unwrap();
        let heard = host.spawn(reader.count());
        host.sleep(Duration::from_secs(1)).await;
        // As a row of an earlier version, whose last event was not kept.
        let core = runtime.inner.core.clone();
        core.execute(crate::storage::Durability::Relaxed, move |core, batch| {
            let mut row = core.interactions.staged(&id).unwrap().as_ref().clone();
            row.status = InteractionStatus::Completed;
            core.interactions.put(batch, row);
            Ok(())
        })
        .await
        .unwrap();
        assert!(heard.await.unwrap() > 0);
    });
}

#[test]
fn who_waits_for_an_answer_hears_that_the_runtime_ends_before_it() {
    let sim = Sim::new(7);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::hang());
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let asking = runtime.clone();
        let asked =
            host.spawn(async move { asking.ask(&id("ann"), SendRequest::new("hello?")).await });
        host.sleep(Duration::from_secs(1)).await;
        runtime.shutdown().await;
        let error = asked.await.unwrap().unwrap_err();
        assert_eq!(error.code(), "runtime_shutting_down");
    });
}
