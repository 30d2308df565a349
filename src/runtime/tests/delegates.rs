//! Members that members make: their tasks, their answers, and their end when nobody needs them.

use super::*;
use crate::mob::{IDLE_RETIRE, SOURCE_MOB, idle_after};
use crate::runtime::{ConsoleVisibilityPolicy, MobBootstrapSpec, RuntimeOptions};
use crate::sim::{CommitFault, SimError};
use crate::wire::{Labels, SpawnMemberSpec};

/// The team, where the lead may make members and there is a profile for delegates.
fn makers() -> MobDefinition {
    let text = TEAM.replace(
        "instructions = \"You lead.\"",
        "instructions = \"You lead.\"\ntools = { mob = true }",
    );
    let delegate = "\n[profiles.delegate]\nmodel = \"scripted\"\n";
    MobDefinition::from_toml(&(text + delegate)).unwrap()
}

fn built(host: &Host, disk: &SimDisk, model: &ScriptedModel) -> UnifiedRuntimeBuilder {
    builder(host, disk, model).definition(makers())
}

/// A lead that delegates what it is asked with these arguments, and gathers; everybody else answers at once.
fn delegating(host: &Host, args: serde_json::Value) -> ScriptedModel {
    delegating_with(host, "delegate", args)
}

fn delegating_with(host: &Host, tool: &'static str, args: serde_json::Value) -> ScriptedModel {
    ScriptedModel::answering(host.clone(), move |request| {
        let told = news(request);
        let after = Duration::from_millis(20);
        if asked(request) != "lead" {
            return Reply::words(&format!("{} is done", request.system.len() % 7)).after(after);
        }
        match told.first() {
            Some(ChatMessage::User { from: None, .. }) => Reply::call(tool, args.clone()),
            Some(ChatMessage::Tool { content, .. }) if content.starts_with("interrupted") => {
                Reply::call(tool, args.clone())
            }
            Some(ChatMessage::Tool { content, .. }) => Reply::text(format!("waiting: {content}")),
            Some(ChatMessage::User { content, .. }) => {
                Reply::text(format!("it said: {}", content.text()))
            }
            _ => Reply::text("nothing"),
        }
    })
}

fn delegates(runtime: &UnifiedRuntime) -> Vec<String> {
    let members = runtime.members();
    let made = members
        .iter()
        .filter(|member| member.labels.contains_key(SOURCE_MOB));
    made.map(|member| member.agent_identity.to_string())
        .collect()
}

async fn ask(runtime: &UnifiedRuntime) -> String {
    let request = SendRequest::new("build a house");
    let outcome = runtime.ask(&id("lead"), request).await.unwrap();
    assert_eq!(outcome.status, InteractionStatus::Completed, "{outcome:?}");
    outcome.result
}

fn in_sim<F: Future>(seed: u64, test: impl FnOnce(Rc<Sim>, Host, SimDisk) -> F) -> F::Output {
    let sim = Rc::new(Sim::new(seed));
    sim.block_on(test(sim.clone(), sim.host(), SimDisk::new()))
}

#[test]
fn whoever_asked_for_it_is_retired_when_idle_by_call_label_and_default() {
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    const MADE: (&str, &str) = (SOURCE_MOB, "team.lead");
    type Case = (
        &'static [(&'static str, &'static str)],
        Option<u64>,
        Option<u64>,
    );
    let cases: &[Case] = &[
        // Whoever is no delegate is watched only when a label asks for it.
        (&[], Some(300), None),
        (&[("team", "a")], Some(300), None),
        (&[(IDLE_RETIRE, "5")], Some(300), Some(5)),
        (&[(IDLE_RETIRE, "5")], None, Some(5)),
        (&[(IDLE_RETIRE, "nonsense")], Some(300), Some(300)),
        (&[(IDLE_RETIRE, "-1")], Some(300), Some(300)),
        (&[(IDLE_RETIRE, "1.5")], None, None),
        (&[(IDLE_RETIRE, "disabled")], Some(300), None),
        // A delegate by the label, else by the default.
        (&[MADE], Some(300), Some(300)),
        (&[MADE], None, None),
        (&[MADE, (IDLE_RETIRE, "0")], Some(300), Some(0)),
        (&[MADE, (IDLE_RETIRE, " 7 ")], None, Some(7)),
        (&[MADE, (IDLE_RETIRE, "DISABLED")], Some(300), None),
        (&[MADE, (IDLE_RETIRE, "")], Some(300), Some(300)),
    ];
    for (pairs, default, want) in cases {
        assert_eq!(idle_after(&labels(pairs), *default), *want, "{pairs:?}");
    }
}

#[test]
fn a_delegate_does_its_task_and_its_answer_comes_back_in_the_same_interaction() {
    in_sim(1, async |_, host, disk| {
        let model = delegating(&host, json!({ "task": "lay bricks" }));
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        let answer = ask(&runtime).await;
        assert!(
            answer.starts_with("it said: ") && answer.ends_with("is done"),
            "{answer}"
        );
        let made = delegates(&runtime);
        let [name] = made.as_slice() else {
            panic!("{made:?}")
        };
        assert!(name.starts_with("lead-delegate-"), "{name}");
        let member = runtime.mob_handle().get_member(&id(name)).unwrap();
        assert_eq!(
            (
                member.role.as_str(),
                member.labels.get(SOURCE_MOB).unwrap().as_str()
            ),
            ("delegate", "team.lead")
        );
        assert_eq!(member.wired_to, [id("lead")]);
        // Heard from birth, by everybody who hears the mob.
        let events = all_events(&runtime).await;
        assert_eq!(
            kinds(&events, name).first().map(String::as_str),
            Some("peer_message")
        );
        let task = model
            .requests()
            .into_iter()
            .find(|request| asked(request) == *name);
        let task = task.unwrap();
        assert!(
            task.system.contains("`lead` made you for one task"),
            "{}",
            task.system
        );
        assert_eq!(news(&task).len(), 1);
    });
}

#[test]
fn a_delegates_failure_is_told_to_its_parent() {
    in_sim(2, async |_, host, disk| {
        let model = ScriptedModel::answering(host.clone(), |request| {
            if asked(request) != "lead" {
                return Reply::fail(crate::agent::model::ModelError::BadRequest {
                    status: 400,
                    body: "no bricks".into(),
                });
            }
            match news(request).first() {
                Some(ChatMessage::User { from: None, .. }) => {
                    Reply::call("delegate", json!({ "task": "lay bricks" }))
                }
                Some(ChatMessage::User { content, .. }) => Reply::text(content.text()),
                _ => Reply::text("waiting"),
            }
        });
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        let answer = ask(&runtime).await;
        assert!(
            answer.contains("could not do this") && answer.contains("no bricks"),
            "{answer}"
        );
    });
}

#[test]
fn an_idle_delegate_leaves_at_its_instant_and_no_timer_stays() {
    in_sim(3, async |sim, host, disk| {
        let model = delegating(
            &host,
            json!({ "task": "lay bricks", "idle_retire_secs": 60 }),
        );
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        assert_eq!(sim.armed_timers(), 0, "nobody is watched");
        ask(&runtime).await;
        host.sleep(Duration::from_secs(5)).await;
        assert_eq!(sim.armed_timers(), 1, "one for whoever is next");
        host.sleep(Duration::from_secs(54)).await;
        assert_eq!(delegates(&runtime).len(), 1);
        host.sleep(Duration::from_secs(2)).await;
        assert_eq!(delegates(&runtime), Vec::<String>::new());
        // What tells of it may still wait to be written.
        host.sleep(Duration::from_secs(5)).await;
        assert_eq!(sim.armed_timers(), 0, "nobody is watched any more");
        let due = disk.rows();
        assert!(due.iter().all(|(key, _)| !key.as_str().contains("/due/")));
        let left = runtime
            .query_mob_events(&EventQuery {
                event_types: vec!["member_retired".into()],
                ..EventQuery::default()
            })
            .await
            .unwrap();
        assert_eq!(left.events.len(), 1);
        // The rest of the mob is as it was.
        assert_eq!(runtime.members().len(), 3);
    });
}

#[test]
fn work_keeps_a_delegate_and_its_time_begins_anew() {
    in_sim(4, async |_, host, disk| {
        let model = delegating(
            &host,
            json!({ "task": "lay bricks", "name": "mason", "idle_retire_secs": 60 }),
        );
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        ask(&runtime).await;
        host.sleep(Duration::from_secs(50)).await;
        let more = SendRequest::new("and a chimney");
        runtime.ask(&id("mason"), more).await.unwrap();
        host.sleep(Duration::from_secs(50)).await;
        assert_eq!(delegates(&runtime), ["mason"]);
        host.sleep(Duration::from_secs(11)).await;
        assert_eq!(delegates(&runtime), Vec::<String>::new());
    });
}

#[test]
fn long_work_is_not_idleness() {
    in_sim(5, async |_, host, disk| {
        let model =
            ScriptedModel::answering(host.clone(), |request| match asked(request).as_str() {
                "lead"
                    if matches!(
                        news(request).first(),
                        Some(ChatMessage::User { from: None, .. })
                    ) =>
                {
                    Reply::call(
                        "delegate",
                        json!({ "task": "think", "idle_retire_secs": 1 }),
                    )
                }
                "lead" => Reply::text("so it is"),
                _ => Reply::text("42").after(Duration::from_secs(50)),
            });
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        assert_eq!(ask(&runtime).await, "so it is");
    });
}

#[test]
fn never_means_never_and_the_default_is_the_runtimes() {
    for (args, default, stays) in [
        (
            json!({ "task": "t", "idle_retire_secs": null }),
            Some(1),
            true,
        ),
        (json!({ "task": "t" }), None, true),
        (json!({ "task": "t" }), Some(1), false),
        (json!({ "task": "t", "idle_retire_secs": 5 }), None, false),
    ] {
        in_sim(6, async |sim, host, disk| {
            let model = delegating(&host, args.clone());
            let runtime = built(&host, &disk, &model)
                .runtime_options(RuntimeOptions {
                    implicit_delegate_idle_retire_secs: default,
                    ..RuntimeOptions::default()
                })
                .build()
                .await
                .unwrap();
            ask(&runtime).await;
            host.sleep(Duration::from_secs(100)).await;
            assert_eq!(delegates(&runtime).len() == 1, stays, "{args} {default:?}");
            assert_eq!(sim.armed_timers(), 0);
        });
    }
}

#[test]
fn a_due_row_outlives_the_runtime_and_a_clock_that_jumps() {
    let disk = SimDisk::new();
    let wall = {
        let sim = Sim::new(7);
        let host = sim.host();
        sim.block_on(async {
            let model = delegating(&host, json!({ "task": "t", "idle_retire_secs": 60 }));
            let runtime = built(&host, &disk, &model).build().await.unwrap();
            ask(&runtime).await;
            ask(&runtime).await;
            assert_eq!(delegates(&runtime).len(), 2);
            // Killed: no shutdown.
            host.now_ms()
        })
    };
    let sim = Sim::new(8);
    sim.set_wall_clock(wall + 30_000);
    let host = sim.host();
    sim.block_on(async {
        let model = delegating(&host, json!({ "task": "t" }));
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        host.sleep(Duration::from_millis(100)).await;
        assert_eq!(delegates(&runtime).len(), 2, "not yet");
        runtime.shutdown().await;
    });
    let sim = Sim::new(9);
    sim.set_wall_clock(wall + 600_000);
    let host = sim.host();
    let commits = disk.commits();
    sim.block_on(async {
        let model = delegating(&host, json!({ "task": "t" }));
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        host.sleep(Duration::from_millis(100)).await;
        assert_eq!(delegates(&runtime).len(), 0, "both were overdue");
        let left = runtime
            .query_mob_events(&EventQuery {
                event_types: vec!["member_retired".into()],
                ..EventQuery::default()
            })
            .await
            .unwrap();
        assert_eq!(left.events.len(), 2);
        assert_eq!(
            left.events[0].timestamp_ms, left.events[1].timestamp_ms,
            "in one batch"
        );
    });
    assert!(disk.commits() - commits < 10);
}

#[test]
fn a_stopped_mob_keeps_its_delegates() {
    in_sim(10, async |sim, host, disk| {
        let model = delegating(&host, json!({ "task": "t", "idle_retire_secs": 10 }));
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        ask(&runtime).await;
        runtime.stop().await.unwrap();
        host.sleep(Duration::from_secs(60)).await;
        assert_eq!((delegates(&runtime).len(), sim.armed_timers()), (1, 0));
        runtime.resume().await.unwrap();
        host.sleep(Duration::from_millis(10)).await;
        assert_eq!(delegates(&runtime).len(), 0);
    });
}

#[test]
fn storage_that_refuses_is_told_of_and_asked_again() {
    /// A life with a delegate: how many commits there were before its end, and what went wrong.
    fn live(plan: StoragePlan) -> (u64, Vec<String>) {
        in_sim(11, async |_, host, disk| {
            let model = delegating(&host, json!({ "task": "t", "idle_retire_secs": 10 }));
            let storage = disk.open(&host, plan);
            let told: Rc<std::cell::RefCell<Vec<String>>> = Rc::default();
            let hear = told.clone();
            let runtime = built(&host, &disk, &model)
                .storage(storage.clone())
                .on_error(Rc::new(move |event: crate::wire::ErrorEvent| {
                    hear.borrow_mut().push(event.to_string());
                    Box::pin(std::future::ready(()))
                }))
                .build()
                .await
                .unwrap();
            ask(&runtime).await;
            host.sleep(Duration::from_secs(5)).await;
            let commits = storage.commits();
            assert_eq!(delegates(&runtime).len(), 1);
            host.sleep(Duration::from_secs(30)).await;
            assert_eq!(delegates(&runtime).len(), 0);
            let told = told.borrow().clone();
            (commits, told)
        })
    }
    let (commits, told) = live(StoragePlan::default());
    assert_eq!(told, Vec::<String>::new());
    let refused = || {
        let error = crate::storage::DomError::new("AbortError", "no");
        CommitFault::Fail(crate::storage::StorageError::Aborted(error))
    };
    let plan = (1..=4).fold(StoragePlan::default(), |plan, number| {
        plan.at(commits + number, refused())
    });
    let (_, told) = live(plan);
    assert!(!told.is_empty() && told.len() <= 4, "{told:?}");
    assert!(
        told.iter()
            .all(|told| told.contains("could not be retired")),
        "{told:?}"
    );
}

#[test]
fn a_conversation_with_a_delegate_survives_a_crash_at_every_commit() {
    let mut reached = 0;
    for number in 1.. {
        for fault in [
            CommitFault::CrashBefore,
            CommitFault::CrashTorn,
            CommitFault::CrashAfter,
        ] {
            let disk = SimDisk::new();
            let mut crashed = false;
            for life in 0..2 {
                let sim = Sim::new(number * 3 + life);
                let host = sim.host();
                let plan = match life {
                    0 => StoragePlan::default().at(number, fault.clone()),
                    _ => StoragePlan::default(),
                };
                let storage = disk.open(&host, plan);
                let crash = sim.crash_switch();
                storage.on_crash(move || crash.crash());
                let ended = sim.try_block_on(async {
                    let model = delegating(&host, json!({ "task": "t", "name": "mason" }));
                    let runtime = built(&host, &disk, &model).storage(storage).build();
                    let Ok(runtime) = runtime.await else { return };
                    let request = || SendRequest {
                        idempotency_key: Some("once".into()),
                        ..SendRequest::new("build a house")
                    };
                    let Ok(outcome) = runtime.ask(&id("lead"), request()).await else {
                        return;
                    };
                    assert_eq!(outcome.status, InteractionStatus::Completed);
                    assert!(outcome.result.starts_with("it said: "), "{outcome:?}");
                    // One delegate, whose one answer came back once, whatever died.
                    assert_eq!(delegates(&runtime), ["mason"]);
                    let events = all_events(&runtime).await;
                    let back = events.iter().filter(|(_, who, event)| {
                        who == "lead" && event.agent_event_type() == "peer_message"
                    });
                    assert_eq!(back.count(), 1, "commit {number}, {fault:?}");
                    let complete = kinds(&events, "lead");
                    let complete = complete
                        .iter()
                        .filter(|kind| *kind == "interaction_complete");
                    assert_eq!(complete.count(), 1);
                    let due = disk.rows();
                    let due = due.iter().filter(|(key, _)| key.as_str().contains("/due/"));
                    assert_eq!(due.count(), 1);
                });
                match ended {
                    Ok(()) => {}
                    Err(SimError::Crashed) => crashed = true,
                    Err(stuck) => panic!("commit {number}, {fault:?}: {stuck}"),
                }
                if !crashed {
                    break;
                }
            }
            reached = if crashed { number } else { reached };
        }
        if reached < number {
            break;
        }
    }
    assert!(reached >= 10, "the conversation has {reached} commits");
}

#[test]
fn a_call_that_makes_no_sense_is_answered_by_its_field() {
    let cases = [
        ("delegate", json!({}), "`task` is missing"),
        (
            "delegate",
            json!({ "task": " " }),
            "`task` must be a non-empty string",
        ),
        (
            "delegate",
            json!({ "task": "t", "role": "mason" }),
            "must be one of: delegate, lead, worker",
        ),
        (
            "delegate",
            json!({ "task": "t", "role": 7 }),
            "`role` must be a non-empty string, got 7",
        ),
        (
            "delegate",
            json!({ "task": "t", "name": "a b" }),
            "white space",
        ),
        (
            "delegate",
            json!({ "task": "t", "name": "ann" }),
            "already exists",
        ),
        (
            "delegate",
            json!({ "task": "t", "idle_retire_secs": -1 }),
            "`idle_retire_secs` must be a whole number of seconds, or null for never, got -1",
        ),
        (
            "delegate",
            json!({ "task": "t", "idle_retire_secs": "5" }),
            "got \"5\"",
        ),
        (
            "mob_spawn_member",
            json!({ "identity": "x" }),
            "`profile` is missing",
        ),
        (
            "mob_spawn_member",
            json!({ "profile": "worker" }),
            "`identity` is missing",
        ),
        (
            "mob_spawn_member",
            json!({ "profile": "nobody", "identity": "x" }),
            "profile not found: nobody",
        ),
        (
            "mob_spawn_member",
            json!({ "profile": "worker", "identity": "bob" }),
            "already exists",
        ),
        (
            "mob_spawn_member",
            json!({ "profile": "worker", "identity": "x", "labels": { "a": 1 } }),
            "`labels` must be an object of strings",
        ),
        (
            "mob_spawn_member",
            json!({ "profile": "worker", "identity": "x", "auto_wire_parent": 1 }),
            "`auto_wire_parent` must be true or false, got 1",
        ),
    ];
    for (tool, args, want) in cases {
        in_sim(12, async |_, host, disk| {
            let model = delegating_with(&host, tool, args.clone());
            let runtime = built(&host, &disk, &model).build().await.unwrap();
            let answer = ask(&runtime).await;
            assert!(answer.contains(want), "{tool} {args}: {answer}");
            assert_eq!(runtime.members().len(), 3, "nothing is half done");
        });
    }
}

#[test]
fn a_member_may_be_added_to_stay() {
    in_sim(13, async |_, host, disk| {
        let args = json!({
            "profile": "worker", "identity": "carl", "labels": { "team": "core" }, "initial_message": "hello",
            "idle_retire_secs": 30,
        });
        let model = delegating_with(&host, "mob_spawn_member", args);
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        let answer = ask(&runtime).await;
        assert!(answer.contains("carl"), "{answer}");
        let carl = runtime.mob_handle().get_member(&id("carl")).unwrap();
        assert_eq!(carl.wired_to, [id("lead")]);
        assert_eq!(
            (
                carl.labels.get("team").unwrap().as_str(),
                carl.labels.get(IDLE_RETIRE).unwrap().as_str(),
                carl.labels.get(SOURCE_MOB)
            ),
            ("core", "30", None)
        );
        let events = all_events(&runtime).await;
        assert!(kinds(&events, "carl").contains(&"run_completed".to_owned()));
        host.sleep(Duration::from_secs(40)).await;
        assert!(runtime.mob_handle().get_member(&id("carl")).is_err());

        let args = json!({ "profile": "delegate", "identity": "dora", "auto_wire_parent": false, "initial_message": "hi" });
        let model = delegating_with(&host, "mob_spawn_member", args);
        runtime.set_model("scripted", Some(Rc::new(model)));
        ask(&runtime).await;
        host.sleep(Duration::from_secs(400)).await;
        let dora = runtime.mob_handle().get_member(&id("dora")).unwrap();
        // Who leads is wired to everybody by the definition, whoever makes them.
        assert_eq!(dora.wired_to, [id("lead")]);
        assert!(dora.labels.is_empty());
    });
}

#[test]
fn one_member_has_sixteen_delegates_and_not_more() {
    in_sim(14, async |_, host, disk| {
        let model = ScriptedModel::answering(host.clone(), |request| {
            if asked(request) != "lead" {
                return Reply::text("done");
            }
            match news(request).first() {
                Some(ChatMessage::User { from: None, .. }) => {
                    Reply::calls((0..18).map(|_| ("delegate", json!({ "task": "t" }))))
                }
                Some(ChatMessage::Tool { .. }) => {
                    let refused = news(request).into_iter().filter(|message| {
                        matches!(message, ChatMessage::Tool { is_error: true, content, .. } if content.contains("has 16 delegates already"))
                    });
                    Reply::text(format!("{} were refused", refused.count()))
                }
                _ => Reply::text("gathered"),
            }
        });
        let mut definition = makers();
        definition.limits.max_turns_per_interaction = Some(100);
        let runtime = builder(&host, &disk, &model)
            .definition(definition)
            .build()
            .await
            .unwrap();
        assert_eq!(ask(&runtime).await, "gathered");
        assert_eq!(delegates(&runtime).len(), 16);
        let said = model.requests();
        let last = said
            .iter()
            .rfind(|request| asked(request) == "lead")
            .unwrap();
        let refused = last.messages.iter().any(|message| {
            matches!(message, ChatMessage::Assistant { text, .. } if text.contains("2 were refused"))
        });
        assert!(refused);
    });
}

#[test]
fn delegates_for_ever_end_by_the_bound_on_hops() {
    let endless = makers();
    let mut endless = serde_json::to_value(&endless).unwrap();
    endless["profiles"]["delegate"]["tools"] = json!({ "mob": true });
    endless["limits"] = json!({ "max_hops": 5 });
    let endless = MobDefinition::from_value(&endless).unwrap();
    in_sim(15, async |_, host, disk| {
        let model = ScriptedModel::answering(host.clone(), |request| match news(request).first() {
            Some(ChatMessage::Tool { .. }) => Reply::text("waiting"),
            _ => Reply::call("delegate", json!({ "task": "pass it on" })),
        });
        let runtime = builder(&host, &disk, &model)
            .definition(endless)
            .build()
            .await
            .unwrap();
        let request = SendRequest::new("go");
        let outcome = runtime.ask(&id("lead"), request).await.unwrap();
        assert_eq!(outcome.status, InteractionStatus::Failed, "{outcome:?}");
        let made = delegates(&runtime);
        assert!((5..=32).contains(&made.len()), "{made:?}");
    });
}

#[test]
fn a_reconciliation_leaves_delegates_to_whoever_made_them() {
    in_sim(16, async |_, host, disk| {
        let model = delegating(&host, json!({ "task": "t", "name": "mason" }));
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        ask(&runtime).await;
        let spec = |role: &str, name: &str| SpawnMemberSpec::new(role, name).unwrap();
        let report = runtime.reconcile(vec![spec("lead", "lead")]).await.unwrap();
        let retired = serde_json::to_value(&report).unwrap();
        assert!(!retired.to_string().contains("mason"), "{retired}");
        assert_eq!(delegates(&runtime), ["mason"]);
        // Its parent leaves, and it goes with it.
        runtime
            .reconcile(vec![spec("worker", "ann")])
            .await
            .unwrap();
        assert_eq!(delegates(&runtime), Vec::<String>::new());
        assert_eq!(runtime.members().len(), 1);
    });
}

#[test]
fn an_answer_to_a_parent_that_is_gone_harms_nothing() {
    in_sim(17, async |_, host, disk| {
        let model = ScriptedModel::answering(host.clone(), |request| {
            let told_by_user = matches!(
                news(request).first(),
                Some(ChatMessage::User { from: None, .. })
            );
            match (asked(request).as_str(), told_by_user) {
                ("lead", true) => Reply::call(
                    "delegate",
                    json!({ "task": "t", "name": "mason", "idle_retire_secs": 10 }),
                ),
                ("lead", false) => Reply::text("waiting"),
                _ => Reply::text("late").after(Duration::from_secs(1)),
            }
        });
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        let request = SendRequest::new("go");
        let sent = runtime.send(&id("lead"), request).await.unwrap();
        host.sleep(Duration::from_millis(200)).await;
        runtime.retire(&id("lead")).await.unwrap();
        let handle = runtime.mob_handle();
        let outcome = handle.wait_interaction(&sent.interaction_id).await.unwrap();
        assert_eq!(outcome.status, InteractionStatus::Cancelled);
        host.sleep(Duration::from_secs(5)).await;
        assert_eq!(delegates(&runtime), ["mason"]);
        host.sleep(Duration::from_secs(10)).await;
        assert_eq!(delegates(&runtime), Vec::<String>::new());
    });
}

#[test]
fn only_a_profile_that_says_so_makes_members() {
    in_sim(18, async |_, host, disk| {
        let model = teamwork(&host);
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        ask(&runtime).await;
        for request in model.requests() {
            let tools: Vec<&str> = request
                .tools
                .iter()
                .map(|tool| tool.name.as_str())
                .collect();
            let makes = tools.contains(&"delegate") && tools.contains(&"mob_spawn_member");
            assert_eq!(makes, asked(&request) == "lead", "{tools:?}");
        }
    });
}

#[test]
fn a_console_may_leave_delegates_out() {
    for (policy, listed) in [
        (ConsoleVisibilityPolicy::AllowAll, true),
        (ConsoleVisibilityPolicy::HideImplicitDelegateMembers, false),
    ] {
        in_sim(19, async |_, host, disk| {
            let model = delegating(&host, json!({ "task": "t", "name": "mason" }));
            let runtime = built(&host, &disk, &model).console_visibility(policy);
            let runtime = runtime.build().await.unwrap();
            ask(&runtime).await;
            // By another role it is a member of its own right.
            let mut other = SpawnMemberSpec::new("worker", "carl").unwrap();
            other.labels.insert(SOURCE_MOB.into(), "team.lead".into());
            runtime.spawn(other).await.unwrap();
            let names: Vec<String> = runtime
                .console_identities()
                .iter()
                .map(|one| one.identity.to_string())
                .collect();
            assert_eq!(names.contains(&"mason".to_owned()), listed, "{names:?}");
            assert!(names.contains(&"carl".to_owned()));
            let mason = runtime
                .inspect_identity(&id("mason"))
                .await
                .unwrap()
                .identity;
            assert_eq!(mason.visibility.as_str() == "hidden", !listed);
        });
    }
}

#[test]
fn a_mob_is_opened_from_a_spec_alone_and_with_options() {
    in_sim(20, async |_, host, disk| {
        let spec = || MobBootstrapSpec {
            definition: makers(),
            host: host.clone(),
            storage: disk.open(&host, StoragePlan::default()),
            models: vec![(
                "scripted".into(),
                Rc::new(delegating(&host, json!({ "task": "t" }))),
            )],
        };
        let runtime = UnifiedRuntime::bootstrap(spec()).await.unwrap();
        ask(&runtime).await;
        host.sleep(Duration::from_secs(299)).await;
        assert_eq!(delegates(&runtime).len(), 1);
        host.sleep(Duration::from_secs(2)).await;
        assert_eq!(
            delegates(&runtime).len(),
            0,
            "the contract's default is 300 s"
        );
        runtime.shutdown().await;

        let options = RuntimeOptions {
            implicit_delegate_idle_retire_secs: None,
            ..RuntimeOptions::default()
        };
        let runtime = UnifiedRuntime::bootstrap_with_options(spec(), options, None);
        let runtime = runtime.await.unwrap();
        ask(&runtime).await;
        host.sleep(Duration::from_secs(1_000)).await;
        assert_eq!(delegates(&runtime).len(), 1);
        runtime.shutdown().await;

        let mut wrong = spec();
        wrong.definition.profiles.clear();
        let refused = UnifiedRuntime::bootstrap(wrong).await;
        assert!(refused.is_err());
    });
}

#[test]
fn another_default_holds_for_those_who_are_idle_already() {
    for (defaults, stays) in [([Some(60), None], true), ([None, Some(60)], false)] {
        let disk = SimDisk::new();
        for (life, default) in (0..).zip(defaults) {
            let sim = Sim::new(21 + life);
            let host = sim.host();
            sim.block_on(async {
                let model = delegating(&host, json!({ "task": "t" }));
                let options = RuntimeOptions {
                    implicit_delegate_idle_retire_secs: default,
                    ..RuntimeOptions::default()
                };
                let runtime = built(&host, &disk, &model).runtime_options(options);
                let runtime = runtime.build().await.unwrap();
                if life == 0 {
                    ask(&runtime).await;
                }
                host.sleep(Duration::from_secs(1)).await;
                let armed = usize::from(default.is_some());
                assert_eq!((delegates(&runtime).len(), sim.armed_timers()), (1, armed));
                if life == 1 {
                    host.sleep(Duration::from_secs(900)).await;
                    assert_eq!(delegates(&runtime).len() == 1, stays);
                    assert_eq!(sim.armed_timers(), 0);
                }
            });
        }
    }
}

#[test]
fn whoever_waits_for_others_is_not_idle() {
    in_sim(23, async |_, host, disk| {
        let model = ScriptedModel::answering(host.clone(), |request| {
            let told = news(request).into_iter().next();
            let asks = matches!(told, Some(ChatMessage::User { from: None, .. }));
            match (asked(request).as_str(), told) {
                ("lead", _) if asks => Reply::call(
                    "delegate",
                    json!({ "task": "t", "name": "mason", "idle_retire_secs": 5 }),
                ),
                // Asked by a person, it asks somebody who takes his time, and ends its turn.
                ("mason", _) if asks => {
                    Reply::call("send_message", json!({ "to": "lead", "content": "may I?" }))
                }
                ("mason", Some(ChatMessage::User { content, .. })) => Reply::text(content.text()),
                ("lead", Some(ChatMessage::User { content, .. })) if content.text() == "may I?" => {
                    Reply::call(
                        "send_message",
                        json!({ "to": "mason", "content": "you may" }),
                    )
                    .after(Duration::from_secs(60))
                }
                _ => Reply::text("waiting"),
            }
        });
        let runtime = built(&host, &disk, &model).build().await.unwrap();
        ask(&runtime).await;
        let request = SendRequest::new("and a chimney?");
        let outcome = runtime.ask(&id("mason"), request).await.unwrap();
        assert_eq!(outcome.status, InteractionStatus::Completed, "{outcome:?}");
        assert_eq!(outcome.result, "you may");
        host.sleep(Duration::from_secs(4)).await;
        assert_eq!(delegates(&runtime), ["mason"]);
        host.sleep(Duration::from_secs(2)).await;
        assert_eq!(delegates(&runtime), Vec::<String>::new());
    });
}

#[test]
fn a_delegate_waits_for_its_own_delegate() {
    let mut nested = serde_json::to_value(makers()).unwrap();
    nested["profiles"]["delegate"]["tools"] = json!({ "mob": true });
    let nested = MobDefinition::from_value(&nested).unwrap();
    in_sim(24, async |_, host, disk| {
        let model = ScriptedModel::answering(host.clone(), |request| {
            let told = news(request).into_iter().next();
            match (asked(request).as_str(), told) {
                ("lead", Some(ChatMessage::User { from: None, .. })) => Reply::call(
                    "delegate",
                    json!({ "task": "t", "name": "mason", "idle_retire_secs": 5 }),
                ),
                (
                    "mason",
                    Some(ChatMessage::User {
                        from: Some(from), ..
                    }),
                ) if from == "lead" => Reply::call(
                    "delegate",
                    json!({ "task": "t", "name": "digger", "idle_retire_secs": 1 }),
                ),
                ("digger", _) => Reply::text("dug").after(Duration::from_secs(60)),
                (_, Some(ChatMessage::User { content, .. })) => Reply::text(content.text()),
                _ => Reply::text("waiting"),
            }
        });
        let runtime = builder(&host, &disk, &model)
            .definition(nested)
            .build()
            .await
            .unwrap();
        let request = SendRequest::new("go");
        let sent = runtime.send(&id("lead"), request).await.unwrap();
        host.sleep(Duration::from_secs(50)).await;
        assert_eq!(delegates(&runtime), ["digger", "mason"], "it waits");
        let handle = runtime.mob_handle();
        handle.wait_interaction(&sent.interaction_id).await.unwrap();
        let heard = kinds(&all_events(&runtime).await, "mason");
        assert_eq!(
            heard.iter().filter(|kind| *kind == "peer_message").count(),
            2
        );
        host.sleep(Duration::from_secs(6)).await;
        assert_eq!(delegates(&runtime), Vec::<String>::new());

        // Cancelled in the middle, it waits for nobody.
        let request = SendRequest::new("go");
        let sent = runtime.send(&id("lead"), request).await.unwrap();
        host.sleep(Duration::from_secs(20)).await;
        assert_eq!(delegates(&runtime), ["digger", "mason"]);
        runtime.cancel(&sent.interaction_id).await.unwrap();
        host.sleep(Duration::from_secs(6)).await;
        assert_eq!(delegates(&runtime), Vec::<String>::new());
    });
}
