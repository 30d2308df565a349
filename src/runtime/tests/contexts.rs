//! More than one context on one storage, storage that refuses, and a runtime that has nothing to do.

use super::*;
use crate::runtime::{IfLocked, Role, UnifiedRuntimeBuilderError};
use crate::storage::{AcquireMode, ClosedReason, Lease, LocalLease, LocalSignal};
use crate::wire::{MemberActivity, SpawnMemberSpec};

#[test]
fn a_second_context_follows_and_may_take_over() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = teamwork(&host);
        let (lease, signal) = (Rc::new(LocalLease::new()), LocalSignal::new());
        let open = |if_locked| {
            builder(&host, &disk, &model)
                .lease(lease.clone())
                .signal(Rc::new(signal.peer()))
                .if_locked(if_locked)
                .build()
        };
        sim.block_on(async {
            let first = open(IfLocked::Fail).await.unwrap();
            assert!(matches!(
                open(IfLocked::Fail).await,
                Err(UnifiedRuntimeBuilderError::Locked { .. })
            ));
            let second = open(IfLocked::Follow).await.unwrap();
            assert_eq!(
                (first.role(), second.role()),
                (Role::Leader, Role::Follower)
            );

            first
                .spawn(SpawnMemberSpec::new("worker", "cid").unwrap())
                .await
                .unwrap();
            let asked = first
                .ask(&id("lead"), SendRequest::new("build a house"))
                .await
                .unwrap();
            host.sleep(Duration::from_secs(2)).await;
            assert_eq!(second.members().len(), 4, "seed {seed}");
            assert_eq!(
                second
                    .interaction_outcome(&asked.interaction_id)
                    .unwrap()
                    .result,
                "all done"
            );
            assert_eq!(
                all_events(&second).await.len(),
                all_events(&first).await.len(),
                "seed {seed}"
            );
            let refused = second
                .send(&id("lead"), SendRequest::new("me too"))
                .await
                .unwrap_err();
            assert_eq!(refused.code(), "not_leader");

            let third = open(IfLocked::Steal).await.unwrap();
            first.retired().await;
            assert_eq!((first.role(), third.role()), (Role::Retired, Role::Leader));
            assert_eq!(
                first
                    .send(&id("lead"), SendRequest::new("still me"))
                    .await
                    .unwrap_err()
                    .code(),
                "not_leader"
            );
            assert_eq!(
                third
                    .ask(&id("lead"), SendRequest::new("again"))
                    .await
                    .unwrap()
                    .result,
                "all done"
            );
        });
    }
}

#[test]
fn a_follower_of_nothing_waits_for_the_first_row_or_for_the_lease() {
    for holder_dies in [false, true] {
        let sim = Sim::new(9);
        let (host, disk) = (sim.host(), SimDisk::new());
        let model = teamwork(&host);
        let (lease, signal) = (Rc::new(LocalLease::new()), LocalSignal::new());
        let open = |if_locked| {
            builder(&host, &disk, &model)
                .lease(lease.clone())
                .signal(Rc::new(signal.peer()))
                .if_locked(if_locked)
                .build()
        };
        sim.block_on(async {
            let holder = lease.acquire(AcquireMode::IfAvailable).await.unwrap();
            let follower = host.spawn(open(IfLocked::Follow));
            host.sleep(Duration::from_secs(1)).await;
            assert!(!follower.is_finished());
            if holder_dies {
                drop(holder);
                let led = follower.await.unwrap().unwrap();
                assert_eq!(led.role(), Role::Leader);
                let done = led.ask(&id("lead"), SendRequest::new("build")).await;
                assert_eq!(done.unwrap().result, "all done");
            } else {
                let leader = open(IfLocked::Steal).await.unwrap();
                let followed = follower.await.unwrap().unwrap();
                assert_eq!(
                    (leader.role(), followed.role()),
                    (Role::Leader, Role::Follower)
                );
            }
        });
    }
}

#[test]
fn row_6_an_idle_runtime_holds_no_timer() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = teamwork(&host);
    let runtime = sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        runtime
            .ask(&id("lead"), SendRequest::new("build a house"))
            .await
            .unwrap();
        host.sleep(Duration::from_secs(5)).await;
        runtime
    });
    assert_eq!(sim.armed_timers(), 0);
    let (fired, commits) = (sim.timers_fired(), disk.commits());
    sim.advance(Duration::from_secs(3_600));
    assert_eq!((sim.timers_fired(), disk.commits()), (fired, commits));
    drop(runtime);
}

#[test]
fn a_full_disk_refuses_by_name_and_leaves_nothing_half_done() {
    let sim = Sim::new(2);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = teamwork(&host);
    sim.block_on(async {
        builder(&host, &disk, &model)
            .build()
            .await
            .unwrap()
            .shutdown()
            .await;
        let used: usize = disk
            .rows()
            .iter()
            .map(|(key, bytes)| key.as_str().len() + bytes.len())
            .sum();
        let plan = StoragePlan {
            quota_bytes: Some(used as u64 + 400),
            ..StoragePlan::default()
        };
        let runtime = builder(&host, &disk, &model)
            .storage(disk.open(&host, plan))
            .build()
            .await
            .unwrap();
        let before = disk.rows().len();
        let refused = runtime
            .send(&id("lead"), SendRequest::new("x".repeat(2_000)))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "storage_quota_exceeded");
        assert_eq!(
            refused.data().data,
            json!({ "name": "QuotaExceededError", "message": "the simulated disk is full" })
        );
        assert_eq!(disk.rows().len(), before);
        assert_eq!(
            runtime
                .members()
                .iter()
                .filter(|member| member.activity != MemberActivity::Dormant)
                .count(),
            0
        );
        runtime.shutdown().await;
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        assert_eq!(
            runtime
                .ask(&id("lead"), SendRequest::new("now"))
                .await
                .unwrap()
                .result,
            "all done"
        );
    });
}

#[test]
fn row_31_a_clock_that_jumps_breaks_nothing() {
    let sim = Sim::new(3);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = teamwork(&host);
    sim.block_on(async {
        let runtime = builder(&host, &disk, &model).build().await.unwrap();
        let accepted = runtime
            .send(&id("lead"), SendRequest::new("build a house"))
            .await
            .unwrap();
        for jump in [0, 4_000_000_000_000, 1_000] {
            sim.set_wall_clock(jump);
            host.sleep(Duration::from_millis(3)).await;
        }
        let outcome = runtime
            .mob_handle()
            .wait_interaction(&accepted.interaction_id)
            .await
            .unwrap();
        assert_eq!(outcome.result, "all done");
    });
}

#[test]
fn a_tab_that_is_closed_at_rest_leaves_no_gap() {
    let disk = SimDisk::new();
    for life in 0..4 {
        let sim = Sim::new(life);
        let host = sim.host();
        let model = teamwork(&host);
        sim.block_on(async {
            let runtime = builder(&host, &disk, &model).build().await.unwrap();
            let page = runtime
                .query_events(&EventQuery {
                    after_seq: Some(Cursor::START),
                    ..EventQuery::default()
                })
                .await;
            assert_eq!(page.unwrap().gaps, [], "life {life}");
            runtime
                .ask(&id("lead"), SendRequest::new("build a house"))
                .await
                .unwrap();
            host.sleep(Duration::from_secs(1)).await;
        });
        // Killed, not shut down.
        sim.crash();
    }
}

#[test]
fn who_waits_for_an_answer_hears_that_another_context_took_over() {
    let sim = Sim::new(4);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::hang());
    let lease = Rc::new(LocalLease::new());
    let open = |if_locked| {
        builder(&host, &disk, &model)
            .lease(lease.clone())
            .if_locked(if_locked)
            .build()
    };
    sim.block_on(async {
        let first = open(IfLocked::Fail).await.unwrap();
        let asking = first.clone();
        let asked =
            host.spawn(async move { asking.ask(&id("ann"), SendRequest::new("hello?")).await });
        host.sleep(Duration::from_secs(1)).await;
        let second = open(IfLocked::Steal).await.unwrap();
        assert_eq!(asked.await.unwrap().unwrap_err().code(), "not_leader");
        let late = first.send(&id("ann"), SendRequest::new("still me")).await;
        assert_eq!(late.unwrap_err().code(), "not_leader");
        second.shutdown().await;
    });
}

#[test]
fn a_leader_whose_storage_is_gone_says_so() {
    let sim = Sim::new(5);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = ScriptedModel::answering(host.clone(), |_| Reply::hang());
    sim.block_on(async {
        let storage = disk.open(&host, StoragePlan::default());
        let runtime = builder(&host, &disk, &model)
            .storage(storage.clone())
            .build()
            .await
            .unwrap();
        let asking = runtime.clone();
        let asked =
            host.spawn(async move { asking.ask(&id("ann"), SendRequest::new("hello?")).await });
        host.sleep(Duration::from_secs(1)).await;
        storage.lose(ClosedReason::VersionChange);
        let at_once = runtime.send(&id("bob"), SendRequest::new("and you?")).await;
        assert_eq!(at_once.unwrap_err().code(), "storage_version_change");
        assert_eq!(
            asked.await.unwrap().unwrap_err().code(),
            "storage_version_change"
        );
        let later = runtime.send(&id("bob"), SendRequest::new("and you?")).await;
        assert_eq!(later.unwrap_err().code(), "storage_version_change");
        assert_eq!(runtime.role(), Role::Retired);
    });
}

#[test]
fn a_follower_sees_what_members_used() {
    let sim = Sim::new(6);
    let (host, disk) = (sim.host(), SimDisk::new());
    let model = teamwork(&host);
    let (lease, signal) = (Rc::new(LocalLease::new()), LocalSignal::new());
    let open = |if_locked| {
        builder(&host, &disk, &model)
            .lease(lease.clone())
            .signal(Rc::new(signal.peer()))
            .if_locked(if_locked)
            .build()
    };
    sim.block_on(async {
        let first = open(IfLocked::Fail).await.unwrap();
        let second = open(IfLocked::Follow).await.unwrap();
        first
            .ask(&id("lead"), SendRequest::new("build a house"))
            .await
            .unwrap();
        host.sleep(Duration::from_secs(2)).await;
        let used = |runtime: UnifiedRuntime| async move {
            runtime
                .member_status(&id("lead"))
                .await
                .unwrap()
                .tokens_used
        };
        let (led, followed) = (used(first).await, used(second).await);
        assert!(led > 0);
        assert_eq!(followed, led);
    });
}
