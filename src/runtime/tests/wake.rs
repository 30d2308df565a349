//! The alarm of a host that may die: set while somebody is at work or due, and set when what was answered depends on it.

use std::cell::{Cell, RefCell};

use super::*;
use crate::shim::Wake;
use crate::sim::{CommitFault, SimError};
use crate::wire::SpawnMemberSpec;

/// An alarm that outlives its host, and remembers what it was set to.
#[derive(Default)]
struct Alarm {
    at: Cell<Option<u64>>,
    works: Cell<bool>,
    set: RefCell<Vec<(Option<u64>, bool)>>,
}

impl Wake for Alarm {
    fn arm(&self, at: Option<u64>, works: bool) {
        self.at.set(at);
        self.works.set(works);
        self.set.borrow_mut().push((at, works));
    }
}

fn in_sim<F: Future>(
    seed: u64,
    test: impl FnOnce(Rc<Sim>, Host, SimDisk, Rc<Alarm>) -> F,
) -> F::Output {
    let sim = Rc::new(Sim::new(seed));
    sim.block_on(test(sim.clone(), sim.host(), SimDisk::new(), Rc::default()))
}

async fn ask(runtime: &UnifiedRuntime) {
    let request = SendRequest::new("build a house");
    runtime.ask(&id("lead"), request).await.unwrap();
}

/// Lets everything run that needs no time.
async fn settle(host: &Host) {
    host.sleep(Duration::from_millis(1)).await;
}

/// Lets the last writes go out that wait for company.
async fn quiet(host: &Host) {
    host.sleep(Duration::from_secs(5)).await;
}

#[test]
fn a_conversation_arms_once_and_disarms_once() {
    in_sim(1, async |sim, host, disk, alarm| {
        let model = teamwork(&host);
        let runtime = builder(&host, &disk, &model).wake(alarm.clone());
        let runtime = runtime.build().await.unwrap();
        assert_eq!(
            *alarm.set.borrow(),
            [(None, false)],
            "an earlier life may have left one"
        );
        let begun = host.now_ms();
        ask(&runtime).await;
        quiet(&host).await;
        let set = alarm.set.borrow().clone();
        assert_eq!(
            set,
            [(None, false), (Some(begun + 30_000), true), (None, false)]
        );
        assert_eq!(sim.armed_timers(), 0);
    });
}

#[test]
fn long_work_is_guarded_anew_each_time_it_rings() {
    in_sim(2, async |_, host, disk, alarm| {
        let model = ScriptedModel::answering(host.clone(), |_| {
            Reply::text("at last").after(Duration::from_secs(70))
        });
        let runtime = builder(&host, &disk, &model).wake(alarm.clone());
        let runtime = runtime.build().await.unwrap();
        let begun = host.now_ms();
        runtime
            .send(&id("lead"), SendRequest::new("think"))
            .await
            .unwrap();
        for ring in 1..=2 {
            let at = alarm.at.get().unwrap();
            assert_eq!(at, begun + 30_000 * ring);
            host.sleep(Duration::from_millis(at - host.now_ms())).await;
            runtime.woken();
        }
        assert_eq!(alarm.at.get(), Some(begun + 90_000));
        host.sleep(Duration::from_secs(11)).await;
        assert_eq!((alarm.at.get(), alarm.works.get()), (None, false));
        // One that rings for nothing changes nothing.
        runtime.woken();
        assert_eq!(alarm.at.get(), None);
    });
}

#[test]
fn who_is_due_leaves_when_it_rings_and_no_timer_waits_for_that() {
    in_sim(3, async |sim, host, disk, alarm| {
        let model = teamwork(&host);
        let runtime = builder(&host, &disk, &model).wake(alarm.clone());
        let runtime = runtime.build().await.unwrap();
        let begun = host.now_ms();
        for (name, seconds) in [("late", "90"), ("soon", "60")] {
            let mut spec = SpawnMemberSpec::new("worker", name).unwrap();
            let label = "implicit_delegate_idle_retire_secs".to_owned();
            spec.labels.insert(label, seconds.to_owned());
            runtime.spawn(spec).await.unwrap();
        }
        quiet(&host).await;
        assert_eq!(
            (alarm.at.get(), alarm.works.get()),
            (Some(begun + 60_000), false)
        );
        assert_eq!(sim.armed_timers(), 0);
        host.sleep(Duration::from_secs(200)).await;
        assert_eq!(runtime.members().len(), 5, "nobody has woken it");
        runtime.woken();
        quiet(&host).await;
        assert_eq!(runtime.members().len(), 3);
        assert_eq!((alarm.at.get(), sim.armed_timers()), (None, 0));
    });
}

#[test]
fn work_that_cannot_go_on_is_not_guarded() {
    in_sim(4, async |_, host, disk, alarm| {
        let model = ScriptedModel::answering(host.clone(), |_| {
            Reply::text("done").after(Duration::from_secs(10))
        });
        let runtime = builder(&host, &disk, &model).wake(alarm.clone());
        let runtime = runtime.build().await.unwrap();
        let is_set = async || {
            settle(&host).await;
            alarm.at.get().is_some()
        };
        runtime
            .send(&id("lead"), SendRequest::new("go"))
            .await
            .unwrap();
        assert!(is_set().await);
        runtime.stop().await.unwrap();
        assert!(!is_set().await, "stopped");
        runtime.resume().await.unwrap();
        assert!(is_set().await, "resumed");
        runtime.set_model("scripted", None);
        runtime.cancel_all().await.unwrap();
        assert!(!is_set().await, "cancelled");
        runtime
            .send(&id("lead"), SendRequest::new("go"))
            .await
            .unwrap();
        assert!(!is_set().await, "without a model");
        runtime.set_model("scripted", Some(Rc::new(model.clone())));
        assert!(is_set().await, "the model is back");
        runtime.shutdown().await;
        assert!(is_set().await, "whoever opens it again has work to do");
    });
}

#[test]
fn storage_that_refuses_to_retire_is_not_rung_at_without_end() {
    in_sim(5, async |_, host, disk, alarm| {
        let model = teamwork(&host);
        let storage = disk.open(&host, StoragePlan::default());
        let runtime = builder(&host, &disk, &model)
            .storage(storage.clone())
            .wake(alarm.clone());
        let runtime = runtime.build().await.unwrap();
        let mut spec = SpawnMemberSpec::new("worker", "soon").unwrap();
        let label = "implicit_delegate_idle_retire_secs".to_owned();
        spec.labels.insert(label, "1".to_owned());
        runtime.spawn(spec).await.unwrap();
        host.sleep(Duration::from_secs(2)).await;
        let now = host.now_ms();
        runtime.woken();
        assert_eq!(
            alarm.at.get(),
            Some(now + 30_000),
            "it is being retired: no sooner again"
        );
    });
}

/// The host dies at a commit, and from then on nobody comes: only the alarm opens the mob again.
#[test]
fn what_was_answered_is_gone_on_with_though_the_host_dies_at_any_commit() {
    let mut reached = 0;
    for number in 1.. {
        let mut any = false;
        for fault in [
            CommitFault::CrashBefore,
            CommitFault::CrashTorn,
            CommitFault::CrashAfter,
        ] {
            let (disk, alarm) = (SimDisk::new(), Rc::new(Alarm::default()));
            let (accepted, ended) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(false)));
            let (mut wall, mut crashed) = (None, false);
            for life in 0..6 {
                let sim = Sim::new(number * 7 + life);
                let host = sim.host();
                if let Some(wall) = wall {
                    sim.set_wall_clock(wall);
                }
                let plan = match life {
                    0 => StoragePlan::default().at(number, fault.clone()),
                    _ => StoragePlan::default(),
                };
                let storage = disk.open(&host, plan);
                let crash = sim.crash_switch();
                storage.on_crash(move || crash.crash());
                let (heard, over) = (accepted.clone(), ended.clone());
                let (ring, clock) = (alarm.clone(), host.clone());
                let ring_before = alarm.at.get();
                let outcome = sim.try_block_on(async {
                    let model = teamwork(&host);
                    let builder = builder(&host, &disk, &model)
                        .storage(storage)
                        .wake(ring.clone());
                    let Ok(runtime) = builder.build().await else {
                        return;
                    };
                    if life == 0 {
                        let (lead, house) = (id("lead"), SendRequest::new("build a house"));
                        let Ok(sent) = runtime.send(&lead, house).await else {
                            return;
                        };
                        *heard.borrow_mut() = Some(sent.interaction_id);
                    } else if ring_before.is_some() {
                        runtime.woken();
                    } else {
                        let asked = heard.borrow().clone().unwrap();
                        let row = runtime.inner.core.interactions.get(&asked).unwrap();
                        let is_open = row.status == InteractionStatus::Open;
                        assert!(!is_open, "commit {number}, {fault:?}: nobody wakes it");
                    }
                    let handle = runtime.mob_handle();
                    let asked = heard.borrow().clone().unwrap();
                    if handle.wait_interaction(&asked).await.is_ok() {
                        over.set(true);
                        settle(&host).await;
                        assert_eq!(ring.at.get(), None, "it rings for nothing");
                    }
                });
                crashed |= matches!(outcome, Err(SimError::Crashed));
                if !crashed || ended.get() || accepted.borrow().is_none() {
                    break;
                }
                // Without an alarm nobody comes, and there must be nothing to come for.
                wall = Some(alarm.at.get().unwrap_or_default().max(clock.now_ms()));
            }
            any |= crashed;
            if accepted.borrow().is_some() {
                assert!(ended.get(), "commit {number}, {fault:?}: it does not end");
            }
        }
        if !any {
            break;
        }
        reached = number;
    }
    assert!(
        reached > 12,
        "the conversation has more commits than {reached}"
    );
}
