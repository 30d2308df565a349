//! Messages: accepted, worked on, answered, bounded, cancelled.

use super::*;
use crate::mob::MobError;
use crate::wire::{AgentErrorClass, HandlingMode, PersistedEvent, SpawnMemberSpec};

#[test]
fn a_message_sets_off_work_among_wired_members_and_is_answered() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = teamwork(&host);
        let outcome = sim.block_on(async {
            let runtime = builder(&host, &disk, &model).build().await.unwrap();
            let outcome = runtime
                .ask(&id("lead"), SendRequest::new("build a house"))
                .await
                .unwrap();
            let events = all_events(&runtime).await;
            let lead = kinds(&events, "lead");
            assert_eq!(lead.first().unwrap(), "user_input", "seed {seed}");
            assert_eq!(lead.last().unwrap(), "interaction_complete", "seed {seed}");
            let cursors: Vec<u64> = events.iter().map(|(cursor, _, _)| *cursor).collect();
            assert!(
                cursors.windows(2).all(|pair| pair[0] < pair[1]),
                "seed {seed}: {cursors:?}"
            );
            outcome
        });
        assert_eq!(
            outcome.status,
            InteractionStatus::Completed,
            "seed {seed}: {outcome:?}"
        );
        assert_eq!(outcome.result, "all done", "seed {seed}");
        assert_eq!(outcome.turns, 5, "seed {seed}");
    }
}

#[test]
fn the_events_of_a_run_come_in_a_readers_order() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = teamwork(&host);
    let kinds = sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        runtime
            .ask(&id("ann"), SendRequest::new("say hello to the lead"))
            .await
            .unwrap();
        kinds(&all_events(&runtime).await, "ann")
    });
    let expected = [
        "user_input",
        "run_started",
        "turn_started",
        "tool_call_requested",
        "turn_completed",
        "tool_execution_started",
        "tool_execution_completed",
        "tool_result_received",
        "turn_started",
        "text_delta",
        "text_complete",
        "turn_completed",
        "run_completed",
    ];
    assert_eq!(kinds[..expected.len()], expected);
}

#[test]
fn each_run_tells_once_of_the_skills_in_its_prompt() {
    let skilled = format!(
        "{}\n[skills.tidy]\ncontent = \"Be tidy. \"\n[skills.brief]\ncontent = \"Be brief.\"\n",
        TEAM.replace(
            "instructions = \"You work.\"",
            "instructions = \"You work.\"\nskills = [\"tidy\", \"brief\"]"
        )
    );
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = teamwork(&host);
    let events = sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .definition(MobDefinition::from_toml(&skilled).unwrap())
            .build()
            .await
            .unwrap();
        let mut own = SpawnMemberSpec::new("worker", "cid").unwrap();
        own.system_prompt_override = Some("You are `cid`.".into());
        runtime.spawn(own).await.unwrap();
        for name in ["ann", "ann", "cid", "lead"] {
            let request = SendRequest::new("say hello to the lead");
            runtime.ask(&id(name), request).await.unwrap();
        }
        all_events(&runtime).await
    });
    let told: Vec<&(u64, String, AgentEvent)> = events
        .iter()
        .filter(|(_, _, event)| event.agent_event_type() == "skills_resolved")
        .collect();
    let runs = |name: &str| {
        let kinds = kinds(&events, name);
        kinds.iter().filter(|kind| *kind == "run_started").count()
    };
    assert_eq!(told.len(), runs("ann") + runs("bob"));
    assert!(told.len() >= 4 && runs("cid") == 1);
    assert_eq!(
        told[0].2,
        AgentEvent::SkillsResolved {
            skills: vec!["tidy".into(), "brief".into()],
            injection_bytes: 17
        }
    );
    assert_eq!(
        kinds(&events, "ann")[..4],
        [
            "user_input",
            "run_started",
            "skills_resolved",
            "turn_started"
        ]
    );
}

#[test]
fn a_reader_of_one_interaction_sees_it_from_acceptance_to_its_end() {
    let sim = Sim::new(2);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = teamwork(&host);
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let first = runtime
            .send(&id("lead"), SendRequest::new("one"))
            .await
            .unwrap();
        let second = runtime
            .send(&id("lead"), SendRequest::new("two"))
            .await
            .unwrap();
        for accepted in [second, first] {
            let events: Vec<_> = runtime
                .interaction(&accepted.interaction_id, None)
                .unwrap()
                .collect()
                .await;
            let records: Vec<_> = events
                .into_iter()
                .map(|item| match item.unwrap() {
                    LogItem::Entry { entry, .. } => entry,
                    LogItem::Gap { .. } => panic!("a gap"),
                })
                .collect();
            assert!(
                records
                    .iter()
                    .all(|record| record.interaction_id.as_ref() == Some(&accepted.interaction_id))
            );
            assert_eq!(
                records.first().unwrap().event.agent_event_type(),
                "user_input"
            );
            assert_eq!(
                records.last().unwrap().event.agent_event_type(),
                "interaction_complete"
            );
            let filter = EventFilter {
                identity: Some(id("ann")),
                interaction_id: Some(accepted.interaction_id.clone()),
                after: Some(Cursor::START),
            };
            let of_ann = records.iter().filter(|record| record.identity == "ann");
            let texts: Vec<String> = runtime
                .event_texts(&filter)
                .unwrap()
                .take(of_ann.clone().count())
                .map(Result::unwrap)
                .collect()
                .await;
            assert!(!texts.is_empty());
            for (text, record) in texts.iter().zip(of_ann) {
                let persisted: PersistedEvent = serde_json::from_str(text).unwrap();
                assert_eq!(persisted, record.to_persisted(persisted.seq));
            }
        }
    });
}

#[test]
fn the_same_key_is_accepted_once_and_another_message_under_it_is_refused() {
    let sim = Sim::new(3);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = teamwork(&host);
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let keyed = |text: &str| SendRequest {
            idempotency_key: Some("k".into()),
            ..SendRequest::new(text)
        };
        let first = runtime.send(&id("lead"), keyed("one")).await.unwrap();
        let again = runtime.send(&id("lead"), keyed("one")).await.unwrap();
        assert_eq!(
            (first.interaction_id.clone(), false, true),
            (again.interaction_id, first.repeated, again.repeated)
        );
        let other = runtime.send(&id("lead"), keyed("two")).await.unwrap_err();
        assert_eq!(other.code(), "idempotency_conflict");
        let handle = runtime.mob_handle();
        handle
            .wait_interaction(&first.interaction_id)
            .await
            .unwrap();
        let told = kinds(&all_events(&runtime).await, "lead");
        assert_eq!(told.iter().filter(|kind| *kind == "user_input").count(), 1);
    });
}

#[test]
fn bad_messages_are_refused_by_name() {
    let sim = Sim::new(4);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let unknown = runtime
            .send(&id("nobody"), SendRequest::new("hello"))
            .await
            .unwrap_err();
        assert_eq!(unknown.data().code, "member_not_found");
        assert_eq!(unknown.data().data["member_id"], "nobody");
        let blank = runtime
            .send(&id("lead"), SendRequest::new("  "))
            .await
            .unwrap_err();
        assert_eq!(blank.data().data["field"], "content");
        let stale = runtime
            .events(EventFilter {
                after: Some(Cursor::new(99)),
                ..EventFilter::default()
            })
            .err()
            .unwrap();
        assert_eq!(stale.code(), "stale_event_cursor");
        let stale = runtime.event_texts(&EventFilter {
            after: Some(Cursor::new(99)),
            ..EventFilter::default()
        });
        assert_eq!(stale.err().unwrap().code(), "stale_event_cursor");
        let ghost = runtime
            .cancel(&InteractionId::from("ghost"))
            .await
            .unwrap_err();
        assert!(matches!(ghost, MobError::InteractionNotFound(_)));
        assert!(
            runtime
                .query_events(&EventQuery::default())
                .await
                .unwrap()
                .events
                .is_empty()
        );
    });
}

#[test]
fn each_peer_has_one_line_however_it_is_described() {
    let wordy = TEAM.replace(
        "peer_description = \"works\"",
        "peer_description = \"works\\n\\n  - hard\\tand long\\n\"",
    );
    let sim = Sim::new(11);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::text("hello"));
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .definition(MobDefinition::from_toml(&wordy).unwrap())
            .build()
            .await
            .unwrap();
        runtime
            .ask(&id("lead"), SendRequest::new("who is there?"))
            .await
            .unwrap();
        let system = model.requests().pop().unwrap().system;
        let (_, peers) = system.split_once(crate::mob::PEERS_LINE).unwrap();
        assert_eq!(
            peers.trim(),
            "- ann (worker): works - hard and long\n- bob (worker): works - hard and long"
        );
    });
}

#[test]
fn two_members_cannot_talk_for_ever() {
    let sim = Sim::new(5);
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
        Reply::call("send_message", json!({ "to": to, "content": "and you?" }))
    });
    let outcome = sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        runtime
            .ask(&id("lead"), SendRequest::new("talk"))
            .await
            .unwrap()
    });
    assert_eq!(outcome.status, InteractionStatus::Failed);
    assert_eq!(outcome.error.unwrap().class, AgentErrorClass::MaxTurns);
    assert!(outcome.turns <= 32, "{}", outcome.turns);
}

#[test]
fn a_peer_that_fails_is_told_to_the_one_who_asked() {
    let sim = Sim::new(6);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |request| {
        let said = |message: &&ChatMessage| matches!(message, ChatMessage::User { content, from: Some(_) } if content.text().contains("could not do this"));
        match asked(request).as_str() {
            "ann" => Reply::fail(crate::agent::model::ModelError::Auth {
                status: 401,
                message: "no".into(),
            }),
            _ if news(request).iter().any(said) => Reply::text("ann failed me"),
            _ if matches!(news(request).first(), Some(ChatMessage::Tool { .. })) => {
                Reply::text("waiting")
            }
            _ => Reply::call("send_message", json!({ "to": "ann", "content": "do it" })),
        }
    });
    let outcome = sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        runtime
            .ask(&id("lead"), SendRequest::new("go"))
            .await
            .unwrap()
    });
    assert_eq!(
        (outcome.status, outcome.result.as_str()),
        (InteractionStatus::Completed, "ann failed me")
    );
}

#[test]
fn cancelling_an_interaction_ends_its_work_everywhere() {
    let sim = Sim::new(7);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |request| match asked(request).as_str() {
        "lead" if matches!(news(request).first(), Some(ChatMessage::Tool { .. })) => {
            Reply::text("waiting")
        }
        "lead" => Reply::call("send_message", json!({ "to": "ann", "content": "do it" })),
        _ => Reply::hang(),
    });
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let accepted = runtime
            .send(&id("lead"), SendRequest::new("go"))
            .await
            .unwrap();
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(model.running(), 1, "ann hangs");
        assert!(runtime.cancel(&accepted.interaction_id).await.unwrap());
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(model.running(), 0);
        let outcome = runtime
            .interaction_outcome(&accepted.interaction_id)
            .unwrap();
        assert_eq!(outcome.status, InteractionStatus::Cancelled);
        assert!(
            !runtime.cancel(&accepted.interaction_id).await.unwrap(),
            "a second cancel changes nothing"
        );
        let events = all_events(&runtime).await;
        assert_eq!(
            kinds(&events, "ann").last().unwrap(),
            "run_failed",
            "nothing is heard after the end"
        );
        assert_eq!(kinds(&events, "lead").last().unwrap(), "interaction_failed");
    });
}

#[test]
fn a_steering_message_reaches_the_running_work() {
    let sim = Sim::new(8);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    model.push(Reply::call("peers", json!({})).after(Duration::from_secs(2)));
    model.push(Reply::text("as you say"));
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let first = runtime.send(&id("ann"), SendRequest::new("walk")).await.unwrap();
        host.sleep(Duration::from_secs(1)).await;
        let steer = SendRequest { mode: HandlingMode::Steer, ..SendRequest::new("run instead") };
        let second = runtime.ask(&id("ann"), steer).await.unwrap();
        assert_eq!((second.status, second.result.as_str()), (InteractionStatus::Completed, "as you say"));
        assert_eq!(runtime.interaction_outcome(&first.interaction_id).unwrap().status, InteractionStatus::Completed);
        let last = model.requests().pop().unwrap();
        assert!(matches!(last.messages.last(), Some(ChatMessage::User { content, .. }) if content.text() == "run instead"));
    });
}

#[test]
fn a_tool_that_throws_or_never_ends_is_answered_for() {
    let sim = Sim::new(9);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    model.push(Reply::calls([
        ("broken", json!({})),
        ("endless", json!({})),
        ("unknown", json!({})),
    ]));
    model.push(Reply::text("so be it"));
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .tool(Rc::new(TestTool("broken")))
            .tool(Rc::new(TestTool("endless")))
            .build()
            .await
            .unwrap();
        let outcome = runtime
            .ask(&id("ann"), SendRequest::new("try"))
            .await
            .unwrap();
        assert_eq!(outcome.result, "so be it");
        let last = model.requests().pop().unwrap();
        let results: Vec<_> = news(&last)
            .into_iter()
            .map(|message| match message {
                ChatMessage::Tool {
                    name,
                    content,
                    is_error,
                    ..
                } => (name.as_str(), content.as_str(), *is_error),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(results[0], ("broken", "it broke", true));
        assert_eq!(
            results[1],
            ("endless", "the tool did not answer within 60 s", true)
        );
        assert!(
            results[2].1.starts_with("there is no tool `unknown`"),
            "in the order of the calls: {results:?}"
        );
    });
}

struct TestTool(&'static str);

impl crate::agent::tool::Tool for TestTool {
    fn definition(&self) -> crate::agent::model::ToolDefinition {
        crate::agent::model::ToolDefinition {
            name: self.0.into(),
            description: "for tests".into(),
            input_schema: json!({ "type": "object" }),
        }
    }

    fn call(
        &self,
        _: serde_json::Value,
        _: crate::agent::tool::ToolContext,
    ) -> futures::future::LocalBoxFuture<
        'static,
        Result<crate::agent::tool::ToolOutput, crate::agent::tool::ToolError>,
    > {
        let endless = self.0 == "endless";
        Box::pin(async move {
            if endless {
                futures::future::pending::<()>().await;
            }
            Err(crate::agent::tool::ToolError::new("it broke"))
        })
    }
}

#[test]
fn a_run_tells_the_tokens_of_all_its_turns() {
    let sim = Sim::new(10);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    model.push(Reply::call("peers", json!({})).with_usage(100, 10));
    model.push(Reply::text("two").with_usage(120, 5));
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let outcome = runtime
            .ask(&id("ann"), SendRequest::new("who?"))
            .await
            .unwrap();
        let told = all_events(&runtime)
            .await
            .into_iter()
            .find_map(|(_, _, event)| match event {
                AgentEvent::RunCompleted { usage, .. } => Some(usage.total()),
                _ => None,
            });
        assert_eq!((told, outcome.usage.total()), (Some(235), 235));
        assert_eq!(
            runtime.member_status(&id("ann")).await.unwrap().tokens_used,
            235
        );
    });
}
