//! The roster and its wiring, brought to what they ought to be: reconcile, discovery, rediscover, edges, hooks, labels.

use std::cell::{Cell, RefCell};

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};

use super::*;
use crate::agent::model::RetryPolicy;
use crate::mob::MobError;
use crate::runtime::{
    DefinitionEdges, Ensured, IfLocked, PreSpawnContext, Role, UnifiedRuntimeBuilderError,
    UnifiedRuntimeReconcileError,
};
use crate::storage::{
    AcquireMode, ClosedReason, DomError, Lease, LeaseError, LeaseGuard, LocalLease,
};
use crate::wire::{
    AgentDiscoverySpec, DesiredPeerEdge, EdgeMemberView, ErrorEvent, Labels, MobReconcileStage,
    SpawnMemberSpec,
};

/// What the hooks of one runtime were told, in order.
type Told = Rc<RefCell<Vec<String>>>;

fn told(told: &Told) -> Vec<String> {
    told.borrow_mut().drain(..).collect()
}

/// A team whose hooks and errors are written down.
fn watched(host: &Host, disk: &SimDisk, log: &Told) -> UnifiedRuntimeBuilder {
    let (errors, spawned, reconciled) = (log.clone(), log.clone(), log.clone());
    builder(host, disk, &ScriptedModel::new(host.clone()))
        .on_error(Rc::new(move |event: ErrorEvent| {
            errors.borrow_mut().push(event.to_string());
            ready(()).boxed_local()
        }))
        .post_spawn_hook(Rc::new(move |names: Vec<String>| {
            spawned
                .borrow_mut()
                .push(format!("spawned {}", names.join(" ")));
            ready(()).boxed_local()
        }))
        .post_reconcile_hook(Rc::new(move |report| {
            let failures = report.mob.failures.len();
            let told = format!("reconciled with {failures} failures");
            reconciled.borrow_mut().push(told);
            ready(()).boxed_local()
        }))
}

fn worker(name: &str) -> SpawnMemberSpec {
    SpawnMemberSpec::new("worker", name).unwrap()
}

fn found(name: &str) -> AgentDiscoverySpec {
    AgentDiscoverySpec {
        profile: "worker".into(),
        meerkat_id: name.into(),
        ..AgentDiscoverySpec::default()
    }
}

fn edge(a: &str, b: &str) -> DesiredPeerEdge {
    DesiredPeerEdge::new(a, b).unwrap()
}

fn names(runtime: &UnifiedRuntime) -> Vec<String> {
    let members = runtime.members().into_iter();
    members
        .map(|member| member.agent_identity.to_string())
        .collect()
}

fn wiring(runtime: &UnifiedRuntime) -> Vec<String> {
    let mut wiring = Vec::new();
    for member in runtime.members() {
        for peer in member.wired_to {
            if member.agent_identity < peer {
                wiring.push(format!("{}-{peer}", member.agent_identity));
            }
        }
    }
    wiring
}

/// An edge discovery that answers what is in the cell at the time.
type Wanted = Rc<RefCell<Result<Vec<DesiredPeerEdge>, String>>>;

fn wanting(wanted: &Wanted) -> Rc<dyn crate::runtime::EdgeDiscovery> {
    let wanted = wanted.clone();
    Rc::new(move |_members: Vec<EdgeMemberView>| ready(wanted.borrow().clone()).boxed_local())
}

#[test]
fn reconcile_is_one_batch_and_its_report_says_what_became_of_everybody() {
    let sim = Sim::new(1);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    sim.block_on(async {
        let runtime = watched(&host, &disk, &log).build().await.unwrap();
        assert_eq!(told(&log), ["spawned lead ann bob"]);
        let before = disk.commits();
        let lead = SpawnMemberSpec::new("lead", "lead").unwrap();
        let report = runtime
            .reconcile(vec![worker("cid"), lead, worker("ann"), worker("dot")])
            .await
            .unwrap();
        assert_eq!(disk.commits(), before + 1);
        assert_eq!(report.mob.desired, ["cid", "lead", "ann", "dot"].map(id));
        assert_eq!(report.mob.retained, ["lead", "ann"].map(id));
        assert_eq!(report.mob.retired, [id("bob")]);
        let spawned: Vec<_> = report
            .mob
            .spawned
            .iter()
            .map(|one| &one.agent_identity)
            .collect();
        assert_eq!(spawned, [&id("cid"), &id("dot")]);
        assert!(report.edges.is_complete() && !report.routing.router_module_loaded);
        assert_eq!(names(&runtime), ["ann", "cid", "dot", "lead"]);
        assert_eq!(wiring(&runtime), ["ann-lead", "cid-lead", "dot-lead"]);
        assert_eq!(told(&log), ["reconciled with 0 failures"]);
        let again = runtime
            .reconcile(["lead", "ann", "cid", "dot"].map(worker).to_vec())
            .await
            .unwrap();
        assert_eq!(again.mob.retained.len(), 4);
        assert_eq!((again.mob.spawned.len(), again.mob.retired.len()), (0, 0));
    });
}

/// MobKit contract, section 24.3, row 17: the original is silent about it on this path.
#[test]
fn row_17_an_incomplete_reconcile_is_told_on_every_path_and_after_it_the_hook_and_the_failure() {
    let sim = Sim::new(2);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    let wanted: Wanted = Rc::new(RefCell::new(Ok(vec![edge("ann", "ghost")])));
    sim.block_on(async {
        let built = watched(&host, &disk, &log).edge_discovery(wanting(&wanted));
        let runtime = built.build().await.unwrap();
        host.yield_now().await;
        let incomplete = "reconcile_incomplete: 0 failures, 1 skipped";
        assert_eq!(told(&log), ["spawned lead ann bob", incomplete]);

        let missing = SpawnMemberSpec::new("nothing", "eve").unwrap();
        let desired = vec![worker("ann"), missing, worker("ann"), worker("cid")];
        let error = runtime.reconcile(desired).await.unwrap_err();
        let UnifiedRuntimeReconcileError::PartialFailure(report) = error else {
            panic!("{error}")
        };
        host.yield_now().await;
        let mut said = told(&log);
        // The error hook is detached: it may be the later one.
        said.sort_unstable_by_key(|line| line.starts_with("reconcile_incomplete"));
        assert_eq!(
            said,
            [
                "reconciled with 2 failures",
                "reconcile_incomplete: 2 failures, 1 skipped"
            ]
        );
        let failures: Vec<(&str, &str)> = report
            .mob
            .failures
            .iter()
            .map(|failure| (failure.agent_identity.as_str(), failure.error.as_str()))
            .collect();
        assert_eq!(
            failures,
            [
                ("eve", "profile not found: nothing"),
                ("ann", "mob member already exists: ann")
            ]
        );
        assert!(
            report
                .mob
                .failures
                .iter()
                .all(|failure| failure.stage == MobReconcileStage::Spawn)
        );
        assert_eq!(names(&runtime), ["ann", "cid"], "the rest was done");

        runtime.reconcile_edges().await.unwrap();
        host.yield_now().await;
        assert_eq!(told(&log), [incomplete]);

        *wanted.borrow_mut() = Err("no map".into());
        let error = runtime.reconcile(vec![worker("ann")]).await.unwrap_err();
        assert_eq!(error.data().code, "discovery_failed");
        host.yield_now().await;
        assert_eq!(told(&log), ["reconcile_incomplete: 1 failures, 0 skipped"]);
        assert_eq!(names(&runtime), ["ann"]);
    });
}

/// MobKit contract, section 24.3, row 16: the original fails all edges of a batch for one that is bad.
#[test]
fn row_16_an_edge_whose_end_leaves_while_the_discovery_thinks_is_skipped_alone() {
    let sim = Sim::new(3);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    let slow = {
        let host = host.clone();
        move |_members: Vec<EdgeMemberView>| {
            let host = host.clone();
            async move {
                host.sleep(Duration::from_secs(1)).await;
                Ok(vec![
                    edge("ann", "bob"),
                    edge("ann", "cid"),
                    edge("bob", "cid"),
                ])
            }
            .boxed_local()
        }
    };
    sim.block_on(async {
        let built = watched(&host, &disk, &log);
        let runtime = built.edge_discovery(Rc::new(slow)).build().await.unwrap();
        runtime.spawn(worker("cid")).await.unwrap();
        runtime.unwire(&id("ann"), &id("bob")).await.unwrap();
        let leaving = async {
            host.sleep(Duration::from_millis(500)).await;
            runtime.retire(&id("bob")).await.unwrap();
        };
        let (report, ()) = futures::join!(runtime.reconcile_edges(), leaving);
        let report = report.unwrap();
        assert_eq!(report.wired_edges, [edge("ann", "cid")]);
        assert_eq!(
            report.skipped_missing_members,
            [edge("ann", "bob"), edge("bob", "cid")]
        );
        assert!(report.failures.is_empty() && !report.is_complete());
    });
}

#[test]
fn only_edges_that_a_reconciliation_made_are_removed_by_one_over_restarts_too() {
    let sim = Sim::new(4);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    let wanted: Wanted = Rc::new(RefCell::new(Ok(vec![
        edge("bob", "ann"),
        edge("lead", "ann"),
    ])));
    sim.block_on(async {
        let built = watched(&host, &disk, &log).edge_discovery(wanting(&wanted));
        let runtime = built.build().await.unwrap();
        let report = runtime.bootstrap_edges_report().unwrap();
        assert_eq!(report.wired_edges, [edge("ann", "bob")]);
        assert_eq!(report.preexisting_edges, [edge("ann", "lead")]);
        assert_eq!(wiring(&runtime), ["ann-bob", "ann-lead", "bob-lead"]);
        drop(runtime);

        let built = watched(&host, &disk, &log).edge_discovery(wanting(&wanted));
        let runtime = built.build().await.unwrap();
        let report = runtime.bootstrap_edges_report().unwrap();
        assert_eq!(report.retained_edges, [edge("ann", "bob")], "not forgotten");
        assert_eq!(
            report.preexisting_edges,
            [edge("ann", "lead")],
            "not stolen"
        );

        runtime.spawn(worker("cid")).await.unwrap();
        runtime.wire(&id("cid"), &id("bob")).await.unwrap();
        let owners: Vec<String> = runtime
            .list_edges()
            .iter()
            .map(|edge| format!("{}-{} {}", edge.a, edge.b, edge.owner.as_str()))
            .collect();
        assert_eq!(
            owners,
            [
                "ann-bob discovery",
                "ann-lead definition",
                "bob-cid hand",
                "bob-lead definition",
                "cid-lead definition"
            ]
        );
        runtime.retire(&id("cid")).await.unwrap();

        // Unwired by hand, and wanted: healed, and managed as before.
        runtime.unwire(&id("ann"), &id("bob")).await.unwrap();
        let report = runtime.reconcile_edges().await.unwrap();
        assert_eq!(report.wired_edges, [edge("ann", "bob")]);

        *wanted.borrow_mut() = Ok(Vec::new());
        let report = runtime.reconcile_edges().await.unwrap();
        assert_eq!(report.unwired_edges, [edge("ann", "bob")]);
        assert_eq!(wiring(&runtime), ["ann-lead", "bob-lead"]);

        // Unwired by hand, and no longer wanted: nothing to do but to forget it.
        *wanted.borrow_mut() = Ok(vec![edge("ann", "bob")]);
        runtime.reconcile_edges().await.unwrap();
        runtime.unwire(&id("ann"), &id("bob")).await.unwrap();
        *wanted.borrow_mut() = Ok(Vec::new());
        let report = runtime.reconcile_edges().await.unwrap();
        assert_eq!(report.pruned_stale_managed_edges, [edge("ann", "bob")]);
        let report = runtime.reconcile_edges().await.unwrap();
        assert_eq!(report, Default::default());

        // Unwired and wired again by hand: it is theirs now.
        *wanted.borrow_mut() = Ok(vec![edge("ann", "bob")]);
        runtime.reconcile_edges().await.unwrap();
        runtime.unwire(&id("ann"), &id("bob")).await.unwrap();
        runtime.wire(&id("ann"), &id("bob")).await.unwrap();
        *wanted.borrow_mut() = Ok(Vec::new());
        let report = runtime.reconcile_edges().await.unwrap();
        assert_eq!(report, Default::default());
        assert_eq!(wiring(&runtime), ["ann-bob", "ann-lead", "bob-lead"]);
    });
}

#[test]
fn the_pre_spawn_hook_comes_before_the_discovery_which_is_given_its_value() {
    let sim = Sim::new(5);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    let discovery = |log: &Told| {
        let log = log.clone();
        Rc::new(move |context: PreSpawnContext| {
            log.borrow_mut().push(format!("discovery of {context}"));
            let mut spec = found("cid");
            spec.labels = Some(Labels::from_iter([("from".into(), "discovery".into())]));
            ready(Ok(vec![found("ann"), spec])).boxed_local()
        })
    };
    sim.block_on(async {
        let hooked = log.clone();
        let runtime = watched(&host, &disk, &log)
            .discovery(discovery(&log))
            .pre_spawn_hook(Box::new(move || {
                hooked.borrow_mut().push("pre-spawn".into());
                ready(Ok(json!({ "tenant": 7 }))).boxed_local()
            }))
            .build()
            .await
            .unwrap();
        assert_eq!(
            told(&log),
            [
                "spawned lead ann bob",
                "pre-spawn",
                "discovery of {\"tenant\":7}",
                "spawned cid"
            ]
        );
        assert_eq!(runtime.find_members("from", "discovery").len(), 1);
        drop(runtime);
        // After a reload everybody is there: the discovery spawns nobody.
        let built = watched(&host, &disk, &log).discovery(discovery(&log));
        let runtime = built.build().await.unwrap();
        assert_eq!(told(&log), ["discovery of null"]);
        assert_eq!(names(&runtime), ["ann", "bob", "cid", "lead"]);
    });
}

/// MobKit contract, section 24.3, row 13: the original leaves the mob running.
#[test]
fn row_13_a_build_that_fails_late_leaves_no_task_and_no_lease_behind() {
    type Spoilt = Box<dyn Fn(UnifiedRuntimeBuilder) -> UnifiedRuntimeBuilder>;
    let refused = || -> Vec<(&str, Spoilt)> {
        vec![
            (
                "pre_spawn_hook_failed",
                Box::new(|builder| {
                    let fail = || ready(Err("no".to_owned())).boxed_local();
                    builder.pre_spawn_hook(Box::new(fail))
                }),
            ),
            (
                "discovery_failed",
                Box::new(|builder| {
                    let fail = |_: PreSpawnContext| ready(Err("no".to_owned())).boxed_local();
                    builder.discovery(Rc::new(fail))
                }),
            ),
            (
                "profile_not_found",
                Box::new(|builder| {
                    let unknown = |_: PreSpawnContext| {
                        let mut spec = found("cid");
                        spec.profile = "nothing".into();
                        ready(Ok(vec![found("dot"), spec])).boxed_local()
                    };
                    builder.discovery(Rc::new(unknown))
                }),
            ),
            (
                "invalid_input",
                Box::new(|builder| {
                    let broken = |_: PreSpawnContext| ready(Ok(vec![found("a b")])).boxed_local();
                    builder.discovery(Rc::new(broken))
                }),
            ),
            (
                "discovery_failed",
                Box::new(|builder| {
                    let fail = |_: Vec<EdgeMemberView>| ready(Err("no".to_owned())).boxed_local();
                    builder.edge_discovery(Rc::new(fail))
                }),
            ),
        ]
    };
    for (code, late) in refused() {
        let sim = Sim::new(6);
        let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
        let lease = crate::storage::LocalLease::new();
        sim.block_on(async {
            let built = watched(&host, &disk, &log).lease(Rc::new(lease.clone()));
            let error = late(built).build().await.err().unwrap();
            assert_eq!(error.data().code, code);
            host.sleep(Duration::from_secs(1)).await;
            let unfinished = sim.unfinished();
            assert!(unfinished.tasks.is_empty(), "{code}: {unfinished:?}");
            let fail = crate::runtime::IfLocked::Fail;
            let built = watched(&host, &disk, &log).lease(Rc::new(lease.clone()));
            let runtime = built.if_locked(fail).build().await.unwrap();
            assert_eq!(runtime.role(), Role::Leader, "{code}");
            assert_eq!(names(&runtime), ["ann", "bob", "lead"], "{code}");
        });
    }
}

#[test]
fn row_13_both_errors_are_kept_when_the_mob_cannot_be_put_down_either() {
    let sim = Sim::new(7);
    let host = sim.host();
    let storage = SimDisk::new().open(&host, StoragePlan::default());
    sim.block_on(async {
        let broken = storage.clone();
        let model = ScriptedModel::new(host.clone());
        let error = UnifiedRuntime::builder()
            .definition(team())
            .host(host.clone())
            .storage(storage.clone())
            .model("scripted", Rc::new(model))
            .pre_spawn_hook(Box::new(move || {
                broken.lose(ClosedReason::Lost(DomError::new("UnknownError", "gone")));
                ready(Err("no".to_owned())).boxed_local()
            }))
            .build()
            .await
            .err()
            .unwrap();
        let UnifiedRuntimeBuilderError::RollbackFailed { startup_error, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(startup_error.data().code, "pre_spawn_hook_failed");
        assert_eq!(
            error.data().data["startup_error"]["code"],
            "pre_spawn_hook_failed"
        );
    });
}

/// A lease that knows whether it was asked for.
struct Asked {
    lease: LocalLease,
    times: Cell<u32>,
}

impl Lease for Asked {
    fn acquire(
        &self,
        mode: AcquireMode,
    ) -> LocalBoxFuture<'static, Result<Option<LeaseGuard>, LeaseError>> {
        self.times.set(self.times.get() + 1);
        self.lease.acquire(mode)
    }
}

/// MobKit contract, section 24.3, row 14: the original looks at a part of its options when the mob has been started.
#[test]
fn row_14_a_faulty_configuration_is_found_before_anything_is_taken_read_or_written() {
    let sim = Sim::new(14);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    let lease = Rc::new(Asked {
        lease: LocalLease::new(),
        times: Cell::new(0),
    });
    let whole = || {
        let (discovered, hooked) = (log.clone(), log.clone());
        watched(&host, &disk, &log)
            .lease(lease.clone())
            .if_locked(IfLocked::Steal)
            .pre_spawn_hook(Box::new(move || {
                hooked.borrow_mut().push("pre-spawn".into());
                ready(Ok(PreSpawnContext::Null)).boxed_local()
            }))
            .discovery(Rc::new(move |_: PreSpawnContext| {
                discovered.borrow_mut().push("discovery".into());
                ready(Ok(Vec::new())).boxed_local()
            }))
    };
    let mut bad = team();
    bad.members[1].profile = "ghost".parse().unwrap();
    let storage = || disk.open(&host, StoragePlan::default());
    let bare = || UnifiedRuntime::builder().lease(lease.clone());
    let conflict = "conflicting_configuration";
    let missing = "missing_required_field";
    let faulty = [
        (
            missing,
            "definition",
            bare().host(host.clone()).storage(storage()),
        ),
        (
            missing,
            "host",
            bare().definition(team()).storage(storage()),
        ),
        (
            missing,
            "storage",
            bare().definition(team()).host(host.clone()),
        ),
        (
            "invalid_definition",
            "members[1].profile",
            whole().definition(bad),
        ),
        (conflict, "max_sessions()", whole().max_sessions(0)),
        (conflict, "tail_capacity()", whole().tail_capacity(0)),
        (
            conflict,
            "retry_policy()",
            whole().retry_policy(RetryPolicy {
                max_attempts: 0,
                ..RetryPolicy::default()
            }),
        ),
    ];
    sim.block_on(async {
        let runtime = whole().build().await.unwrap();
        told(&log);
        lease.times.set(0);
        let before = (disk.rows(), disk.commits(), sim.unfinished().tasks.len());
        for (code, part, faulty) in faulty {
            let error = faulty.build().await.err().unwrap();
            assert_eq!(error.data().code, code);
            assert!(error.to_string().contains(part), "{part}: {error}");
            let after = (disk.rows(), disk.commits(), sim.unfinished().tasks.len());
            assert_eq!(after, before, "{part}");
            assert_eq!((lease.times.get(), told(&log).len()), (0, 0), "{part}");
        }
        assert_eq!(runtime.role(), Role::Leader, "nobody took it over");
    });
}

/// MobKit contract, section 24.3, row 15: the original empties the mob first.
#[test]
fn row_15_a_rediscovery_that_fails_leaves_the_mob_alone_and_one_that_does_not_is_one_batch() {
    let sim = Sim::new(8);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    let answer: Rc<RefCell<Result<Vec<AgentDiscoverySpec>, String>>> =
        Rc::new(RefCell::new(Ok(Vec::new())));
    let wanted: Wanted = Rc::new(RefCell::new(Ok(Vec::new())));
    sim.block_on(async {
        let answers = answer.clone();
        let runtime = watched(&host, &disk, &log)
            .discovery(Rc::new(move |_: PreSpawnContext| {
                ready(answers.borrow().clone()).boxed_local()
            }))
            .edge_discovery(wanting(&wanted))
            .build()
            .await
            .unwrap();
        told(&log);
        let before = runtime.status().latest_mob_cursor;
        let mut unknown = found("cid");
        unknown.profile = "nothing".into();
        let refused = [
            (Err("offline".to_owned()), "discovery failed: offline"),
            (
                Ok(vec![found("dot"), unknown]),
                "profile not found: nothing",
            ),
            (
                Ok(vec![found("dot"), found("dot")]),
                "mob member already exists: dot",
            ),
        ];
        for (found, text) in refused {
            *answer.borrow_mut() = found;
            let error = runtime.rediscover().await.unwrap_err();
            assert_eq!(error.to_string(), text);
            host.yield_now().await;
            assert_eq!(told(&log), [format!("rediscover_failure: {text}")]);
        }
        assert_eq!(names(&runtime), ["ann", "bob", "lead"]);
        assert_eq!(runtime.status().latest_mob_cursor, before);

        *wanted.borrow_mut() = Ok(vec![edge("dot", "eve")]);
        runtime.reconcile_edges().await.unwrap();
        *answer.borrow_mut() = Ok(vec![found("dot"), found("eve")]);
        let commits = disk.commits();
        let report = runtime.rediscover().await.unwrap().unwrap();
        assert_eq!(report.spawned, ["dot", "eve"].map(id));
        assert_eq!(report.edges.wired_edges, [edge("dot", "eve")]);
        assert_eq!(disk.commits(), commits + 2, "the members, the edges");
        assert_eq!(names(&runtime), ["dot", "eve"]);
        let query = EventQuery {
            after_seq: Some(before),
            ..EventQuery::default()
        };
        let page = runtime.query_mob_events(&query).await.unwrap();
        let kinds: Vec<&str> = page
            .events
            .iter()
            .map(|event| event.kind.as_str())
            .collect();
        assert_eq!(
            kinds,
            [
                "member_retired",
                "member_retired",
                "member_retired",
                "mob_created",
                "mob_reset",
                "member_spawned",
                "member_spawned",
                "members_wired"
            ]
        );
    });
}

#[test]
fn without_a_discovery_there_is_nothing_to_rediscover_and_a_reset_empties_the_mob() {
    let sim = Sim::new(9);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    sim.block_on(async {
        let runtime = watched(&host, &disk, &log).build().await.unwrap();
        assert!(runtime.rediscover().await.unwrap().is_none());
        assert_eq!(names(&runtime).len(), 3);
        let asked = runtime
            .send(&id("ann"), SendRequest::new("hi"))
            .await
            .unwrap();
        runtime.reset().await.unwrap();
        assert!(names(&runtime).is_empty() && wiring(&runtime).is_empty());
        let outcome = runtime.interaction_outcome(&asked.interaction_id).unwrap();
        assert_eq!(outcome.status, InteractionStatus::Cancelled);
        drop(runtime);
        let runtime = watched(&host, &disk, &log).build().await.unwrap();
        assert!(names(&runtime).is_empty(), "it stays so over a reload");
    });
}

#[test]
fn a_member_is_ensured_once() {
    let sim = Sim::new(10);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    sim.block_on(async {
        let runtime = watched(&host, &disk, &log).build().await.unwrap();
        told(&log);
        let (first, second) = futures::join!(
            runtime.ensure_member(worker("cid")),
            runtime.ensure_member(worker("cid"))
        );
        let mut how = [first.unwrap().1, second.unwrap().1];
        how.sort_by_key(|ensured| *ensured == Ensured::Existed);
        assert_eq!(how, [Ensured::Spawned, Ensured::Existed]);
        assert_eq!(
            told(&log)
                .iter()
                .filter(|line| *line == "spawned cid")
                .count(),
            1
        );

        let session = "0191d9b2-7c3e-7aaa-8bbb-0123456789ab";
        let mut resumed = worker("dot");
        resumed.resume_session_id = Some(session.into());
        let receipt = runtime.spawn(resumed.clone()).await.unwrap();
        assert_eq!(receipt.session_id.as_str(), session);
        resumed.identity = id("eve");
        let taken = runtime.spawn(resumed.clone()).await.unwrap_err();
        assert_eq!(taken.data().data["field"], "resume_session_id");
        resumed.resume_session_id = Some("yesterday".into());
        let wrong = runtime.ensure_member(resumed).await.unwrap_err();
        assert!(wrong.to_string().contains("`yesterday`"), "{wrong}");
    });
}

#[test]
fn a_session_goes_on_when_its_member_leaves_in_the_same_batch_and_is_nobody_elses() {
    let sim = Sim::new(13);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    let answer: Rc<RefCell<Vec<AgentDiscoverySpec>>> = Rc::default();
    sim.block_on(async {
        let answers = answer.clone();
        let model = ScriptedModel::answering(host.clone(), |_| Reply::text("noted"));
        let runtime = watched(&host, &disk, &log)
            .model("scripted", Rc::new(model))
            .discovery(Rc::new(move |_: PreSpawnContext| {
                ready(Ok(answers.borrow().clone())).boxed_local()
            }))
            .build()
            .await
            .unwrap();
        let said = async |name: &str| {
            let asked = runtime.ask(&id(name), SendRequest::new("hi")).await;
            assert_eq!(asked.unwrap().result, "noted");
            runtime.session_history(&id(name), 0, 100).await.unwrap().1
        };
        assert_eq!(said("ann").await, 2);
        let status = runtime.member_status(&id("ann")).await.unwrap();
        let session = status.current_session_id.unwrap();
        let resuming = |name: &str| SpawnMemberSpec {
            resume_session_id: Some(session.clone()),
            ..worker(name)
        };
        // Of one who stays, and twice.
        for desired in [
            vec![worker("ann"), resuming("cid")],
            vec![worker("ann"), worker("bob"), worker("ann"), resuming("dot")],
        ] {
            let error = runtime.reconcile(desired).await.unwrap_err();
            assert_eq!(error.data().code, "partial_failure");
        }
        let twice = runtime
            .reconcile(vec![resuming("cid"), resuming("dot")])
            .await;
        let Err(UnifiedRuntimeReconcileError::PartialFailure(report)) = twice else {
            panic!("{twice:?}")
        };
        assert!(report.mob.failures[0].error.contains("is resumed twice"));
        assert_eq!(names(&runtime), ["cid"]);
        assert_eq!(said("cid").await, 4, "it goes on where ann was");

        *answer.borrow_mut() = vec![AgentDiscoverySpec {
            resume_session_id: Some(session.to_string()),
            ..found("eve")
        }];
        runtime.rediscover().await.unwrap();
        assert_eq!(said("eve").await, 6);
        runtime.retire(&id("eve")).await.unwrap();
        runtime.spawn(resuming("eve")).await.unwrap();
        assert_eq!(said("eve").await, 2, "a transcript goes with its member");
    });
}

/// MobKit contract, section 24.3, row 29: a hook that calls back into the runtime must find it free.
#[test]
fn row_29_hooks_may_call_back_into_the_runtime() {
    let sim = Sim::new(11);
    let (host, disk) = (sim.host(), SimDisk::new());
    let runtime: Rc<RefCell<Option<UnifiedRuntime>>> = Rc::default();
    let depth = Rc::new(Cell::new(0));
    let (inside, calls) = (runtime.clone(), depth.clone());
    sim.block_on(async {
        let built = builder(&host, &disk, &ScriptedModel::new(host.clone()))
            .post_spawn_hook(Rc::new(move |_| {
                let (inside, calls) = (inside.clone(), calls.clone());
                async move {
                    let runtime = inside.borrow().clone();
                    if let Some(runtime) = runtime
                        && calls.replace(calls.get() + 1) < 3
                    {
                        let name = format!("w{}", calls.get());
                        runtime.spawn(worker(&name)).await.unwrap();
                        runtime.set_mob_labels(Labels::new()).await.unwrap();
                    }
                }
                .boxed_local()
            }))
            .build()
            .await
            .unwrap();
        *runtime.borrow_mut() = Some(built.clone());
        built.spawn(worker("w0")).await.unwrap();
        assert_eq!(depth.get(), 4);
        assert_eq!(
            names(&built),
            ["ann", "bob", "lead", "w0", "w1", "w2", "w3"]
        );
        runtime.borrow_mut().take();
    });
}

/// MobKit contract, section 24.3, row 20: the original forgets labels.
#[test]
fn row_20_labels_are_kept_joined_when_read_and_isolated() {
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    };
    let sim = Sim::new(12);
    let (host, disk, log) = (sim.host(), SimDisk::new(), Told::default());
    sim.block_on(async {
        let runtime = watched(&host, &disk, &log).build().await.unwrap();
        assert!(runtime.get_mob_labels().is_empty());
        runtime
            .set_mob_labels(labels(&[("env", "dev"), ("a", "1")]))
            .await
            .unwrap();
        runtime
            .set_mob_labels(labels(&[("env", "prod")]))
            .await
            .unwrap();
        runtime
            .set_run_labels("r1", labels(&[("ticket", "42")]))
            .await
            .unwrap();
        runtime
            .set_run_labels("r2", labels(&[("ticket", "43")]))
            .await
            .unwrap();
        runtime.delete_run_labels("r2").await.unwrap();
        runtime.delete_run_labels("r2").await.unwrap();
        drop(runtime);

        let runtime = watched(&host, &disk, &log).build().await.unwrap();
        assert_eq!(
            runtime.get_mob_labels(),
            labels(&[("env", "prod")]),
            "replaced as a whole"
        );
        assert_eq!(runtime.get_run_labels("r1"), labels(&[("ticket", "42")]));
        assert!(runtime.get_run_labels("r2").is_empty() && runtime.get_run_labels("?").is_empty());
        let page = runtime
            .query_mob_events(&EventQuery::default())
            .await
            .unwrap();
        assert!(
            page.events
                .iter()
                .all(|event| event.mob_labels == labels(&[("env", "prod")]))
        );
        assert!(page.events.iter().all(|event| event.run_labels.is_empty()));
        let mut reader = runtime.mob_events(Some(Cursor::START)).unwrap();
        let first = reader.next().await.unwrap().unwrap();
        assert_eq!(first.mob_labels, labels(&[("env", "prod")]));
        runtime.set_mob_labels(Labels::new()).await.unwrap();
        let second = reader.next().await.unwrap().unwrap();
        assert!(second.mob_labels.is_empty(), "as of when it is read");

        for wrong in ["", "  ", &"x".repeat(301)] {
            let error = runtime
                .set_run_labels(wrong, labels(&[("a", "b")]))
                .await
                .unwrap_err();
            assert_eq!(error.data().data["field"], "run_id");
        }
        runtime.shutdown().await;
        let late = runtime.set_mob_labels(Labels::new()).await.unwrap_err();
        assert!(matches!(late, MobError::ShuttingDown));
    });
}

#[test]
fn what_was_open_opens_again_though_its_discovery_fails() {
    let (disk, log) = (SimDisk::new(), Told::default());
    let fails = |what: &'static str| -> LocalBoxFuture<'static, Result<_, String>> {
        ready(Err(what.to_owned())).boxed_local()
    };
    for (reopen, hook) in [(false, false), (true, false), (true, true)] {
        let sim = Sim::new(77);
        let host = sim.host();
        sim.block_on(async {
            let mut build = watched(&host, &disk, &log).reopen(reopen);
            build = match hook {
                true => build.pre_spawn_hook(Box::new(move || {
                    ready(Err("no key".to_owned())).boxed_local()
                })),
                false => {
                    let discovery = move |_: PreSpawnContext| fails("no net");
                    build.discovery(Rc::new(discovery))
                }
            };
            let built = build.build().await;
            host.sleep(Duration::from_millis(1)).await;
            let heard = told(&log).join("; ");
            match built {
                Err(error) => {
                    assert!(!reopen, "{error}");
                    assert!(error.to_string().contains("no net"));
                }
                Ok(runtime) => {
                    assert!(reopen);
                    assert_eq!(runtime.members().len(), 3, "as it is stored");
                    let why = if hook { "no key" } else { "no net" };
                    assert!(
                        heard.contains("rediscover_failure") && heard.contains(why),
                        "{heard}"
                    );
                    runtime.shutdown().await;
                }
            }
        });
    }
}

#[test]
fn the_definitions_rules_are_a_discovery_of_their_own() {
    let sim = Sim::new(5);
    let (host, disk) = (sim.host(), SimDisk::new());
    sim.block_on(async {
        let edges = DefinitionEdges::of(&team());
        let runtime = builder(&host, &disk, &ScriptedModel::new(host.clone()))
            .edge_discovery(Rc::new(edges))
            .build()
            .await
            .unwrap();
        // What the rules have wired already stays the definition's.
        let report = runtime.bootstrap_edges_report().unwrap();
        assert_eq!(
            (report.preexisting_edges.len(), report.wired_edges.len()),
            (2, 0)
        );
        runtime.unwire(&id("lead"), &id("ann")).await.unwrap();
        runtime.wire(&id("ann"), &id("bob")).await.unwrap();
        let report = runtime.reconcile_edges().await.unwrap();
        assert!(report.is_complete());
        let mended = DesiredPeerEdge::new("lead", "ann").unwrap();
        assert_eq!(report.wired_edges, [mended]);
        // What somebody else has wired is theirs.
        let lead = runtime.mob_handle().get_member(&id("ann")).unwrap();
        assert_eq!(lead.wired_to, [id("bob"), id("lead")]);
    });
}
