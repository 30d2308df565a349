//! The roster and the runtime's own life: spawn, wire, retire, respawn, stop, shutdown, hooks, models that come and go.

use std::cell::RefCell;

use futures::FutureExt;

use super::*;
use crate::agent::model::Availability;
use crate::mob::{MobError, MobStatus};
use crate::runtime::UnifiedRuntimeBuilderError;
use crate::wire::{ErrorEvent, MemberActivity, ProfileName, SpawnMemberSpec};

fn spec(profile: &str, name: &str) -> SpawnMemberSpec {
    SpawnMemberSpec::new(profile, name).unwrap()
}

async fn ledger(runtime: &UnifiedRuntime) -> Vec<String> {
    let page = runtime
        .query_mob_events(&EventQuery {
            after_seq: Some(Cursor::START),
            ..EventQuery::default()
        })
        .await
        .unwrap();
    page.events.iter().map(|event| event.kind.clone()).collect()
}

#[test]
fn the_definition_gives_members_and_wiring_once() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    sim.block_on(async {
        for _ in 0..2 {
            let runtime = builder(&host, &disk, &model).build().await.unwrap();
            let members = runtime.members();
            let names: Vec<_> = members
                .iter()
                .map(|member| member.agent_identity.to_string())
                .collect();
            assert_eq!(names, ["ann", "bob", "lead"]);
            assert_eq!(members[2].wired_to.len(), 2);
            assert_eq!(
                ledger(&runtime).await,
                [
                    "mob_created",
                    "member_spawned",
                    "member_spawned",
                    "members_wired",
                    "member_spawned",
                    "members_wired"
                ]
            );
            runtime.shutdown().await;
        }
    });
}

#[test]
fn spawn_many_keeps_the_valid_prefix_as_one_batch() {
    let sim = Sim::new(2);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    let told: Rc<RefCell<Vec<Vec<String>>>> = Rc::default();
    let heard = told.clone();
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .post_spawn_hook(Rc::new(move |names| {
                heard.borrow_mut().push(names);
                futures::future::ready(()).boxed_local()
            }))
            .build()
            .await
            .unwrap();
        let before = disk.commits();
        let report = runtime
            .spawn_many(vec![spec("worker", "w1"), spec("worker", "w2"), spec("ghost", "w3"), spec("worker", "w4")])
            .await
            .unwrap();
        assert_eq!(report.spawned.len(), 2);
        assert!(matches!(report.refused, Some(MobError::ProfileNotFound(profile)) if profile.as_str() == "ghost"));
        assert_eq!(disk.commits() - before, 1, "one batch");
        assert_eq!(runtime.members().len(), 5);
        let twice = runtime.spawn(spec("worker", "w1")).await.unwrap_err();
        assert_eq!(twice.code(), "member_already_exists");
        runtime.spawn_many(vec![spec("worker", "w5"), spec("worker", "w6")]).await.unwrap();
        assert_eq!(told.borrow().as_slice(), [vec!["lead", "ann", "bob"], vec!["w5", "w6"]]);
    });
}

#[test]
fn wiring_is_checked_and_repeating_it_changes_nothing() {
    let sim = Sim::new(3);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        assert!(runtime.wire(&id("ann"), &id("bob")).await.unwrap());
        assert!(!runtime.wire(&id("bob"), &id("ann")).await.unwrap());
        assert!(runtime.unwire(&id("bob"), &id("ann")).await.unwrap());
        assert!(!runtime.unwire(&id("ann"), &id("bob")).await.unwrap());
        assert_eq!(
            runtime
                .wire(&id("ann"), &id("ann"))
                .await
                .unwrap_err()
                .code(),
            "wiring_error"
        );
        assert_eq!(
            runtime
                .wire(&id("ann"), &id("nobody"))
                .await
                .unwrap_err()
                .code(),
            "member_not_found"
        );
        let kinds = ledger(&runtime).await;
        assert_eq!(
            kinds[kinds.len() - 2..],
            ["members_wired", "members_unwired"]
        );
    });
}

#[test]
fn a_retired_member_takes_its_edges_and_its_work_with_it() {
    let sim = Sim::new(4);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::hang());
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let accepted = runtime
            .send(&id("ann"), SendRequest::new("work"))
            .await
            .unwrap();
        host.sleep(Duration::from_secs(1)).await;
        runtime.retire(&id("ann")).await.unwrap();
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(model.running(), 0);
        assert!(
            runtime
                .members()
                .iter()
                .all(|member| !member.wired_to.contains(&id("ann")))
        );
        let outcome = runtime
            .interaction_outcome(&accepted.interaction_id)
            .unwrap();
        assert_eq!(outcome.status, InteractionStatus::Cancelled);
        assert_eq!(
            runtime.retire(&id("ann")).await.unwrap_err().code(),
            "member_not_found"
        );
        let fresh = runtime.spawn(spec("worker", "ann")).await.unwrap();
        assert!(fresh.fence_token.get() > 3, "a token is never given twice");
    });
}

#[test]
fn a_respawned_member_keeps_its_wiring_and_forgets_its_talk() {
    let sim = Sim::new(5);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::text("hello"));
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        runtime
            .ask(&id("ann"), SendRequest::new("hi"))
            .await
            .unwrap();
        assert_eq!(
            runtime.session_history(&id("ann"), 0, 10).await.unwrap().1,
            2
        );
        let receipt = runtime.respawn(&id("ann")).await.unwrap();
        assert_eq!(receipt.generation.get(), 1);
        assert_eq!(
            runtime.session_history(&id("ann"), 0, 10).await.unwrap().1,
            0
        );
        assert!(runtime.members()[0].wired_to.contains(&id("lead")));
        let kinds = ledger(&runtime).await;
        assert_eq!(
            kinds[kinds.len() - 3..],
            ["member_retired", "member_spawned", "members_wired_batch"]
        );
        assert_eq!(
            runtime
                .ask(&id("ann"), SendRequest::new("hi again"))
                .await
                .unwrap()
                .result,
            "hello"
        );
    });
}

/// MobKit contract, section 24.3, row 33: in the original the ids of sessions in a browser are in no order.
#[test]
fn row_33_the_ids_of_sessions_sort_by_their_making_whatever_the_clock_does() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = ScriptedModel::new(host.clone());
        let mut sessions = Vec::new();
        sim.block_on(async {
            let runtime = builder(&host, &disk, &model).build().await.unwrap();
            let start = host.now_ms();
            // It goes on, stands still, is set back by a day, and stands still in the past.
            for offset in [0, 1, 0, 0, -86_400_000, 0, 0, 5] {
                sim.set_wall_clock(host.now_ms().saturating_add_signed(offset));
                let team = (0..40).map(|n| spec("worker", &format!("w{}-{n}", sessions.len())));
                let report = runtime.spawn_many(team.collect()).await.unwrap();
                sessions.extend(report.spawned.into_iter().map(|one| one.session_id));
                sessions.push(runtime.respawn(&id("ann")).await.unwrap().session_id);
            }
            assert!(host.now_ms() < start, "it was set back");
            let first = u64::from_str_radix(&sessions[0].as_str().replace('-', "")[..12], 16);
            assert!(first.unwrap().abs_diff(start) < 1_000);
        });
        assert_eq!(sessions.len(), 8 * 41);
        assert!(
            sessions.is_sorted_by(|one, next| one < next),
            "{sessions:?}"
        );
        for session in sessions {
            let id = session.as_str();
            assert!(session.is_uuid() && &id[14..15] == "7", "{id}");
            assert!("89ab".contains(&id[19..20]), "{id}");
        }
    }
}

#[test]
fn a_stopped_mob_puts_its_work_down_and_takes_it_up_again() {
    let sim = Sim::new(6);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| {
        Reply::text("done").after(Duration::from_secs(5))
    });
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let accepted = runtime
            .send(&id("ann"), SendRequest::new("work"))
            .await
            .unwrap();
        for _ in 0..5 {
            host.sleep(Duration::from_secs(1)).await;
            assert!(runtime.stop().await.unwrap());
            assert_eq!(runtime.status().mob_state, MobStatus::Stopped);
            host.sleep(Duration::from_secs(60)).await;
            assert_eq!(model.running(), 0);
            assert!(runtime.resume().await.unwrap());
        }
        let outcome = runtime
            .mob_handle()
            .wait_interaction(&accepted.interaction_id)
            .await
            .unwrap();
        assert_eq!(
            (outcome.status, outcome.result.as_str()),
            (InteractionStatus::Completed, "done")
        );
    });
}

#[test]
fn work_whose_model_is_not_there_waits_and_says_so() {
    let sim = Sim::new(7);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::text("here I am"));
    model.set_availability(Availability::Waiting {
        reason: "its key is asked for again".into(),
    });
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let accepted = runtime
            .send(&id("ann"), SendRequest::new("hello?"))
            .await
            .unwrap();
        host.sleep(Duration::from_secs(1)).await;
        let ann = runtime.members().remove(0);
        assert_eq!(ann.activity, MemberActivity::WaitingModel);
        assert_eq!(ann.error.as_deref(), Some("its key is asked for again"));
        assert_eq!(
            kinds(&all_events(&runtime).await, "ann"),
            ["user_input", "model_unavailable"]
        );
        model.set_availability(Availability::Ready);
        runtime.set_model("scripted", Some(Rc::new(model.clone())));
        let outcome = runtime
            .mob_handle()
            .wait_interaction(&accepted.interaction_id)
            .await
            .unwrap();
        assert_eq!((outcome.result.as_str(), outcome.turns), ("here I am", 1));
    });
}

#[test]
fn a_failed_run_reaches_the_error_hook() {
    let sim = Sim::new(8);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    let heard: Rc<RefCell<Vec<ErrorEvent>>> = Rc::default();
    let hook = heard.clone();
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .on_error(Rc::new(move |event| {
                hook.borrow_mut().push(event);
                futures::future::ready(()).boxed_local()
            }))
            .build()
            .await
            .unwrap();
        let outcome = runtime
            .ask(&id("ann"), SendRequest::new("hi"))
            .await
            .unwrap();
        assert_eq!(outcome.status, InteractionStatus::Failed);
        host.sleep(Duration::from_millis(1)).await;
        assert!(runtime.spawn(spec("ghost", "g")).await.is_err());
        host.sleep(Duration::from_millis(1)).await;
    });
    let heard: Vec<String> = heard.borrow().iter().map(ToString::to_string).collect();
    assert!(
        heard[0].starts_with("host_loop_crash: ann: agent run failed (event_id: evt-agent-"),
        "{heard:?}"
    );
    assert_eq!(heard[1], "spawn_failure: g: profile not found: ghost");
}

#[test]
fn a_spawn_waits_for_its_hook_and_nobody_waits_for_the_error_hook() {
    let sim = Sim::new(14);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    let told: Rc<RefCell<Vec<String>>> = Rc::default();
    let (spawned, failed, clock) = (told.clone(), told.clone(), host.clone());
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model)
            .post_spawn_hook(Rc::new(move |names| {
                let (told, clock) = (spawned.clone(), clock.clone());
                async move {
                    clock.sleep(Duration::from_secs(7)).await;
                    told.borrow_mut().push(names.join(" "));
                }
                .boxed_local()
            }))
            .on_error(Rc::new(move |event| {
                failed.borrow_mut().push(event.to_string());
                futures::future::pending().boxed_local()
            }))
            .build()
            .await
            .unwrap();
        let told = || std::mem::take(&mut *told.borrow_mut());
        assert_eq!(told(), ["lead ann bob"]);
        let begun = host.instant();
        runtime.spawn(spec("worker", "cid")).await.unwrap();
        assert_eq!(told(), ["cid"]);
        assert!(host.instant() - begun >= Duration::from_secs(7));

        // Nobody to tell of: none was to come, or not all of them came.
        assert!(runtime.spawn_many(vec![]).await.unwrap().spawned.is_empty());
        let broken = vec![spec("worker", "dan"), spec("ghost", "g")];
        assert!(runtime.spawn_many(broken).await.unwrap().refused.is_some());
        assert_eq!(told(), [""; 0]);

        for name in ["g", "h"] {
            runtime.spawn(spec("ghost", name)).await.unwrap_err();
            host.yield_now().await;
            let failure = format!("spawn_failure: {name}: profile not found: ghost");
            assert_eq!(told(), [failure]);
        }
        let report = runtime.shutdown().await;
        assert!(report.mob_stop.is_ok() && !report.drain.timed_out);
    });
}

#[test]
fn a_mob_without_members_is_shut_down_at_once() {
    let sim = Sim::new(15);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    let mut nobody = team();
    nobody.members.clear();
    sim.block_on(async {
        let built = builder(&host, &disk, &model).definition(nobody);
        let runtime = built.build().await.unwrap();
        host.sleep(Duration::from_secs(1)).await;
        let fired = sim.timers_fired();
        let report = runtime.shutdown().await;
        assert_eq!(sim.timers_fired(), fired, "nothing is waited for");
        let report = json::value_of(&report);
        let expected = json!({
            "drain": { "drained_count": 0, "timed_out": false, "drain_duration_ms": 0 },
            "module_shutdown": { "terminated_modules": [], "orphan_processes": 0 },
            "mob_stop": { "Ok": null },
        });
        assert_eq!(report, expected);
        host.yield_now().await;
        assert_eq!(sim.unfinished().tasks.len(), 0);
    });
}

#[test]
fn a_shutdown_counts_the_events_that_it_brings_home_and_takes_no_command_meanwhile() {
    let sim = Sim::new(16);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| {
        Reply::words("one two three four five six").pace(Duration::from_millis(10))
    });
    sim.block_on(async {
        let plan = StoragePlan {
            max_delay: Duration::from_millis(200),
            ..StoragePlan::seeded(16)
        };
        let storage = disk.open(&host, plan);
        let built = builder(&host, &disk, &model).storage(storage);
        let runtime = built.build().await.unwrap();
        runtime
            .send(&id("ann"), SendRequest::new("count"))
            .await
            .unwrap();
        let events = runtime.inner.core.events.clone();
        while events.durable() == events.latest() {
            host.sleep(Duration::from_millis(1)).await;
        }
        let before = events.durable().get();
        let ending = runtime.clone();
        let ending = host.spawn(async move { ending.shutdown().await });
        host.yield_now().await;
        assert!(!ending.is_finished(), "storage takes its time");
        let bob = id("bob");
        let late = [
            runtime.send(&bob, SendRequest::new("hi")).await.err(),
            runtime.spawn(spec("worker", "cid")).await.err(),
            runtime.retire(&bob).await.err(),
            runtime.respawn(&bob).await.err(),
            runtime.wire(&bob, &id("ann")).await.err(),
            runtime.reset().await.err(),
            runtime.stop().await.err(),
        ];
        for error in late {
            assert_eq!(error.unwrap().code(), "runtime_shutting_down");
        }
        let report = ending.await.unwrap();
        let latest = runtime.status().latest_event_cursor.get();
        assert!(latest > before);
        assert_eq!(report.drain.drained_count as u64, latest - before);
        assert!(report.drain.drain_duration_ms > 0 && !report.drain.timed_out);
    });
}

#[test]
fn after_a_shutdown_nothing_is_taken_and_a_second_one_answers_the_same() {
    let sim = Sim::new(9);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| {
        Reply::words("one two three").pace(Duration::from_secs(1))
    });
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let accepted = runtime
            .send(&id("ann"), SendRequest::new("count"))
            .await
            .unwrap();
        host.sleep(Duration::from_millis(1_500)).await;
        let report = runtime.shutdown().await;
        assert!(report.mob_stop.is_ok(), "{report:?}");
        assert!(!report.drain.timed_out);
        assert_eq!(runtime.shutdown().await, report);
        let refused = runtime
            .send(&id("ann"), SendRequest::new("more"))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "runtime_shutting_down");

        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let outcome = runtime
            .mob_handle()
            .wait_interaction(&accepted.interaction_id)
            .await
            .unwrap();
        assert_eq!(outcome.status, InteractionStatus::Completed);
        assert_eq!(outcome.result, "one two three");
    });
}

#[test]
fn several_shutdowns_are_one_and_a_given_up_one_is_begun_anew() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = ScriptedModel::answering(host.clone(), |_| {
            Reply::words("one two three").pace(Duration::from_secs(1))
        });
        let plan = || StoragePlan {
            max_delay: Duration::from_millis(50),
            ..StoragePlan::seeded(seed)
        };
        let open = || {
            builder(&host, &disk, &model)
                .storage(disk.open(&host, plan()))
                .build()
        };
        sim.block_on(async {
            for patience in [0, 20] {
                let runtime = open().await.unwrap();
                let sent = runtime.send(&id("ann"), SendRequest::new("count")).await;
                host.sleep(Duration::from_millis(1_500)).await;
                let given_up = Duration::from_millis(patience);
                if let Ok(report) = host.timeout(given_up, runtime.shutdown()).await {
                    assert!(report.mob_stop.is_ok(), "seed {seed}: {report:?}");
                }
                let (one, two) = futures::join!(runtime.shutdown(), runtime.shutdown());
                assert!(one.mob_stop.is_ok(), "seed {seed}: {one:?}");
                assert_eq!(one, two, "seed {seed}");
                let runtime = open().await.unwrap();
                let handle = runtime.mob_handle();
                let id = sent.unwrap().interaction_id;
                let outcome = handle.wait_interaction(&id).await.unwrap();
                assert_eq!(outcome.result, "one two three", "seed {seed}");
                let page = runtime
                    .query_events(&EventQuery {
                        after_seq: Some(Cursor::START),
                        ..EventQuery::default()
                    })
                    .await;
                assert_eq!(page.unwrap().gaps, [], "seed {seed}: all was put down");
                runtime.shutdown().await;
            }
        });
    }
}

#[test]
fn a_builder_without_its_parts_names_what_is_missing() {
    let sim = Sim::new(10);
    let error = sim
        .block_on(UnifiedRuntime::builder().build())
        .err()
        .unwrap();
    assert!(matches!(
        error,
        UnifiedRuntimeBuilderError::MissingRequiredField(_)
    ));
    assert_eq!(
        error.to_string(),
        "missing required builder field: definition"
    );
}

#[test]
fn a_definition_made_by_hand_is_checked_before_anything_is_written() {
    let sim = Sim::new(12);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    let mut bad = team();
    bad.members[1].profile = ProfileName::new("ghost").unwrap();
    sim.block_on(async {
        let refused = builder(&host, &disk, &model)
            .definition(bad.clone())
            .build()
            .await
            .err()
            .unwrap();
        assert_eq!(refused.data().code, "invalid_definition");
        assert!(refused.to_string().contains("members[1].profile"));
        assert_eq!(disk.rows(), []);

        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let before = ledger(&runtime).await;
        bad.members[1].identity = id("cid");
        bad.members.swap(0, 1);
        bad.members.push(bad.members[0].clone());
        bad.members[0].profile = ProfileName::new("worker").unwrap();
        bad.members[0].identity = id("dan");
        // A refused command leaves nothing behind that the next one would carry along.
        let refused = runtime.inner.core.install(bad).await.unwrap_err();
        assert_eq!(refused.code(), "profile_not_found");
        runtime.wire(&id("ann"), &id("bob")).await.unwrap();
        assert_eq!(runtime.definition(), team());
        assert_eq!(runtime.members().len(), 3);
        let after = ledger(&runtime).await;
        assert_eq!(after[..before.len()], before);
        assert_eq!(after[before.len()..], ["members_wired"]);
    });
}

#[test]
fn a_changed_definition_wins_and_shows_what_changed() {
    let sim = Sim::new(11);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::new(host.clone());
    sim.block_on(async {
        builder(&host, &disk, &model)
            .build()
            .await
            .unwrap()
            .shutdown()
            .await;
        let edited = TEAM.replace("You work.", "You work hard.")
            + "\n[[members]]\nprofile = \"worker\"\nidentity = \"cid\"\n";
        let edited = MobDefinition::from_toml(&edited).unwrap();
        let runtime = builder(&host, &disk, &model)
            .definition(edited)
            .build()
            .await
            .unwrap();
        let status = runtime.status();
        let paths: Vec<_> = status
            .definition_changes
            .iter()
            .map(|change| change.path.as_str())
            .collect();
        assert!(paths.contains(&"profiles.worker.instructions"), "{paths:?}");
        assert_eq!(
            runtime.members().len(),
            4,
            "a member that was added to the definition is spawned"
        );
        runtime.retire(&id("cid")).await.unwrap();
        runtime.shutdown().await;
        let gone = TEAM
            .replace("[profiles.worker]", "[profiles.drone]")
            .replace("profile = \"worker\"", "profile = \"drone\"");
        let runtime = builder(&host, &disk, &model)
            .definition(MobDefinition::from_toml(&gone).unwrap())
            .build()
            .await
            .unwrap();
        let ann = runtime.members().remove(0);
        assert_eq!(ann.activity, MemberActivity::Broken);
        assert!(ann.error.unwrap().contains("`worker`"));
    });
}
