//! Stores of the application's that are fed from the mob: the event log and the cursor of the structural subscription.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};

use super::queries::Counting;
use super::*;
use crate::mob::{Core, MobError};
use crate::runtime::{
    ConsoleLogStore, EventLogConfig, EventLogStore, IfLocked, PersistentMetadataStore, Role,
    SubscriptionStart, TaskHealth, TaskState,
};
use crate::storage::{Batch, Durability, LocalLease, Storage};
use crate::wire::{
    ConsoleFrame, ConsoleFrameStatus, ConsoleTimelineQuery, ErrorEvent, MobEventKind, MobId,
    PersistedEvent, TimestampMs, UnifiedEvent,
};

/// A store in memory that refuses, or takes its time, when it is told to.
#[derive(Clone)]
struct Store {
    host: Host,
    rows: Rc<RefCell<BTreeMap<String, PersistedEvent>>>,
    /// How many events came at a time, and when.
    batches: Rc<RefCell<Vec<(Duration, usize)>>>,
    attempts: Rc<Cell<u32>>,
    refuses: Rc<Cell<bool>>,
    takes: Rc<Cell<Duration>>,
    began: crate::shim::Instant,
}

impl Store {
    fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            rows: Rc::default(),
            batches: Rc::default(),
            attempts: Rc::default(),
            refuses: Rc::default(),
            takes: Rc::default(),
            began: host.instant(),
        }
    }

    fn config(&self) -> EventLogConfig {
        EventLogConfig::new(Rc::new(self.clone()))
    }

    fn seqs(&self) -> Vec<u64> {
        let mut seqs: Vec<u64> = self
            .rows
            .borrow()
            .values()
            .map(|row| row.seq.get())
            .collect();
        seqs.sort_unstable();
        seqs
    }
}

impl EventLogStore for Store {
    fn append_batch(
        &self,
        events: Vec<PersistedEvent>,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        let this = self.clone();
        async move {
            this.attempts.set(this.attempts.get() + 1);
            if this.takes.get() > Duration::ZERO {
                this.host.sleep(this.takes.get()).await;
            }
            if this.refuses.get() {
                return Err("the other side is down".into());
            }
            let at = this.host.instant().duration_since(this.began);
            this.batches.borrow_mut().push((at, events.len()));
            let mut rows = this.rows.borrow_mut();
            for event in events {
                rows.insert(event.id.clone(), event);
            }
            Ok(())
        }
        .boxed_local()
    }

    fn query(
        &self,
        query: EventQuery,
    ) -> LocalBoxFuture<'static, Result<Vec<PersistedEvent>, String>> {
        let rows = self.rows.borrow();
        let rows = rows
            .values()
            .filter(|row| query.after_seq.is_none_or(|after| row.seq > after));
        ready(Ok(rows.cloned().collect())).boxed_local()
    }
}

type Errors = Rc<RefCell<Vec<String>>>;

fn fed(
    host: &Host,
    disk: &SimDisk,
    config: EventLogConfig,
    errors: &Errors,
) -> UnifiedRuntimeBuilder {
    let told = errors.clone();
    builder(host, disk, &teamwork(host))
        .event_log(config)
        .on_error(Rc::new(move |event: ErrorEvent| {
            told.borrow_mut().push(event.to_string());
            ready(()).boxed_local()
        }))
}

/// The numbers of the mob's own events.
async fn own(runtime: &UnifiedRuntime) -> Vec<u64> {
    let events = all_events(runtime).await;
    events.iter().map(|(seq, _, _)| *seq).collect()
}

fn task(runtime: &UnifiedRuntime, name: &str) -> TaskHealth {
    let tasks = runtime.status().tasks;
    tasks.into_iter().find(|task| task.name == name).unwrap()
}

/// MobKit contract, section 24.3, row 9: in the original nothing reaches the log unless the application drains the runtime.
#[test]
fn row_9_a_store_is_fed_unasked_in_batches_by_size_and_age_and_an_idle_one_arms_no_timer() {
    let sim = Sim::new(1);
    let (host, disk, errors) = (sim.host(), SimDisk::new(), Errors::default());
    sim.block_on(async {
        let store = Store::new(&host);
        let mut config = store.config();
        (config.batch_size, config.flush_interval) = (10, Duration::from_secs(5));
        let runtime = fed(&host, &disk, config, &errors).build().await.unwrap();
        // That is all that the application does.
        let sent = runtime.send(&id("lead"), SendRequest::new("go")).await;
        host.sleep(Duration::from_secs(10)).await;
        let outcome = runtime.interaction_outcome(&sent.unwrap().interaction_id);
        assert_eq!(outcome.unwrap().result, "all done");
        assert_eq!(store.seqs(), own(&runtime).await);
        let batches = store.batches.borrow().clone();
        let (last, full) = batches.split_last().unwrap();
        assert!(full.iter().all(|(_, events)| *events == 10), "{batches:?}");
        assert!(
            last.1 < 10 && last.0 >= Duration::from_secs(5),
            "{batches:?}"
        );
        let before = sim.timers_fired();
        host.sleep(Duration::from_secs(3_600)).await;
        assert_eq!(sim.timers_fired(), before + 1, "the test's own");

        let row = runtime.event_log_store().unwrap();
        let query = EventQuery {
            after_seq: Some(Cursor::new(3)),
            ..EventQuery::default()
        };
        assert_eq!(
            row.query(query).await.unwrap().len(),
            store.seqs().len() - 3
        );
        assert!(errors.borrow().is_empty());
    });
}

/// MobKit contract, section 24.3, row 11: in the original the numbers begin anew, and what does not fit is dropped unsaid.
#[test]
fn row_11_numbers_go_on_over_a_restart_and_a_crash_and_nothing_is_missing() {
    let (disk, errors) = (SimDisk::new(), Errors::default());
    let mut rows = None;
    for life in 0..6 {
        let sim = Sim::new(life);
        let host = sim.host();
        let mut store = Store::new(&host);
        if let Some(rows) = rows.take() {
            store.rows = rows;
        }
        rows = Some(store.rows.clone());
        let before = store.seqs().len();
        sim.block_on(async {
            let runtime = fed(&host, &disk, store.config(), &errors)
                .build()
                .await
                .unwrap();
            runtime
                .ask(&id("lead"), SendRequest::new("go"))
                .await
                .unwrap();
            if life % 2 == 0 {
                runtime.shutdown().await;
            } else {
                // Some of it is with the store already, or not; the next life brings the rest.
                host.sleep(Duration::from_millis(life * 300)).await;
            }
        });
        sim.crash();
        assert!(life % 2 == 1 || store.seqs().len() > before, "life {life}");
    }
    let sim = Sim::new(99);
    let host = sim.host();
    sim.block_on(async {
        let mut store = Store::new(&host);
        store.rows = rows.unwrap();
        let runtime = fed(&host, &disk, store.config(), &errors)
            .build()
            .await
            .unwrap();
        runtime.flush().await.unwrap();
        // Those of the mob's log that it still has; the store may also know of some that a crash took from it.
        let kept = own(&runtime).await;
        let seqs = store.seqs();
        assert!(kept.iter().all(|seq| seqs.contains(seq)));
        assert!(seqs.len() > 100 && seqs.windows(2).all(|pair| pair[0] < pair[1]));
    });
}

#[test]
fn row_11_a_store_that_refuses_is_asked_ever_less_often_and_loses_nothing() {
    let sim = Sim::new(2);
    let (host, disk, errors) = (sim.host(), SimDisk::new(), Errors::default());
    sim.block_on(async {
        let store = Store::new(&host);
        store.refuses.set(true);
        let runtime = fed(&host, &disk, store.config(), &errors)
            .build()
            .await
            .unwrap();
        assert_eq!(task(&runtime, "event_log").state, TaskState::Running);
        for _ in 0..20 {
            runtime
                .ask(&id("lead"), SendRequest::new("go"))
                .await
                .unwrap();
        }
        host.sleep(Duration::from_secs(600)).await;
        let attempts = store.attempts.get();
        assert!((15..40).contains(&attempts), "{attempts} in ten minutes");
        let health = task(&runtime, "event_log");
        assert_eq!(
            (health.state, health.attempts),
            (TaskState::Retrying, attempts)
        );
        assert_eq!(health.error.unwrap(), "the other side is down; will retry");
        assert_eq!(
            errors.borrow()[0],
            "event_log_flush_failure: event log flush failed: the other side is down; will retry"
        );
        assert_eq!(errors.borrow().len(), attempts as usize);
        let refused = runtime.flush().await.unwrap_err();
        assert_eq!(refused.data().code, "host_store_failed");
        assert!(matches!(
            refused,
            MobError::HostStore {
                store: "event_log",
                ..
            }
        ));

        store.refuses.set(false);
        runtime.flush().await.unwrap();
        assert_eq!(store.seqs(), own(&runtime).await);
        assert_eq!(task(&runtime, "event_log").state, TaskState::Running);
        let seqs = store.seqs();
        assert!(seqs.len() > 200 && seqs.windows(2).all(|pair| pair[1] == pair[0] + 1));
    });
}

/// MobKit contract, section 24.3, row 12: the original flushes neither the log nor the cursor when it is shut down.
#[test]
fn row_12_a_shutdown_brings_the_last_events_home_or_says_that_it_could_not() {
    // So long it waits if nothing is said.
    let default = Duration::from_secs(30);
    for (takes, patience, in_time) in [
        (1, Some(20), true),
        (60, Some(20), false),
        (29, None, true),
        (3_600, None, false),
    ] {
        let sim = Sim::new(3);
        let (host, disk, errors) = (sim.host(), SimDisk::new(), Errors::default());
        sim.block_on(async {
            let store = Store::new(&host);
            let mut built = fed(&host, &disk, store.config(), &errors);
            if let Some(seconds) = patience {
                built = built.drain_timeout(Duration::from_secs(seconds));
            }
            let runtime = built.build().await.unwrap();
            runtime
                .ask(&id("lead"), SendRequest::new("go"))
                .await
                .unwrap();
            let all = own(&runtime).await;
            store.takes.set(Duration::from_secs(takes));
            let report = runtime.shutdown().await;
            assert_eq!(report.drain.timed_out, !in_time);
            let waited = Duration::from_millis(report.drain.drain_duration_ms);
            let longest = patience.map_or(default, Duration::from_secs);
            assert!(
                if in_time {
                    waited < longest
                } else {
                    waited == longest
                },
                "{waited:?}"
            );
            assert_eq!(report.mob_stop.is_ok(), in_time);
            assert_eq!(store.seqs() == all, in_time);
            assert_eq!(
                runtime.shutdown().await,
                report,
                "a second call gives the same"
            );
        });
    }
}

#[test]
fn a_filter_leaves_holes_and_a_batch_of_none_is_one_of_one() {
    let sim = Sim::new(4);
    let (host, disk, errors) = (sim.host(), SimDisk::new(), Errors::default());
    sim.block_on(async {
        let store = Store::new(&host);
        let mut config = store.config();
        (config.batch_size, config.flush_interval) = (0, Duration::ZERO);
        config = config.filter(Rc::new(|event: &UnifiedEvent| {
            event.event_type() == "run_completed"
        }));
        let runtime = fed(&host, &disk, config, &errors).build().await.unwrap();
        runtime
            .ask(&id("lead"), SendRequest::new("go"))
            .await
            .unwrap();
        runtime.flush().await.unwrap();
        assert!(
            store
                .batches
                .borrow()
                .iter()
                .all(|(_, events)| *events == 1)
        );
        let events = all_events(&runtime).await;
        let wanted = events
            .iter()
            .filter(|(_, _, event)| event.agent_event_type() == "run_completed");
        assert_eq!(
            store.seqs(),
            wanted.map(|(seq, _, _)| *seq).collect::<Vec<_>>()
        );
    });
}

#[test]
fn reads_that_fail_in_the_middle_of_a_batch_lose_none_of_it() {
    let (disk, errors) = (SimDisk::new(), Errors::default());
    let sim = Sim::new(7);
    let host = sim.host();
    // More than one look into the log reads ahead.
    let all = sim.block_on(async {
        let runtime = builder(&host, &disk, &teamwork(&host))
            .build()
            .await
            .unwrap();
        for _ in 0..180 {
            runtime
                .ask(&id("lead"), SendRequest::new("go"))
                .await
                .unwrap();
        }
        let all = own(&runtime).await;
        runtime.shutdown().await;
        all
    });
    assert!(all.len() > 4_500);
    let mut refused = 0;
    for looks in 0..12 {
        let sim = Sim::new(looks.into());
        let host = sim.host();
        let store = Store::new(&host);
        sim.block_on(async {
            let storage = disk.open(&host, StoragePlan::default());
            let mut batch = Batch::new();
            let prefix = Core::prefix(&MobId::new("team").unwrap());
            batch.delete(prefix.part("cursor").part("event_log"));
            storage.commit(batch, Durability::Strict).await.unwrap();
            let storage = Counting::over(storage);
            let mut config = store.config();
            config.batch_size = 10_000;
            let built = fed(&host, &disk, config, &errors).storage(storage.clone());
            let runtime = built.build().await.unwrap();
            storage.refuse_after.set(Some(looks));
            host.sleep(Duration::from_secs(60)).await;
            let taken = store.seqs();
            assert!(
                taken == all,
                "the look after {looks}: {} events",
                taken.len()
            );
            let health = task(&runtime, "event_log");
            assert_eq!(health.state, TaskState::Running);
            refused += u32::from(health.error.is_some());
        });
    }
    assert!(refused > 1, "{refused} looks were refused");
}

/// A store for cursors in memory.
#[derive(Clone, Default)]
struct Cursors {
    set: Rc<RefCell<Vec<u64>>>,
    known: Rc<Cell<Option<Cursor>>>,
    refuses: Rc<Cell<bool>>,
}

impl PersistentMetadataStore for Cursors {
    fn get_subscription_cursor(
        &self,
        mob_id: &MobId,
    ) -> LocalBoxFuture<'static, Result<Option<Cursor>, String>> {
        assert_eq!(mob_id.as_str(), "team");
        let answer = match self.refuses.get() {
            true => Err("locked".to_owned()),
            false => Ok(self.known.get()),
        };
        ready(answer).boxed_local()
    }

    fn set_subscription_cursor(
        &self,
        _: &MobId,
        cursor: Cursor,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        if self.refuses.get() {
            return ready(Err("locked".to_owned())).boxed_local();
        }
        self.set.borrow_mut().push(cursor.get());
        self.known.set(Some(cursor));
        ready(Ok(())).boxed_local()
    }
}

fn tracked(
    host: &Host,
    disk: &SimDisk,
    cursors: &Cursors,
    told: &Errors,
    heard: &Rc<RefCell<Vec<u64>>>,
) -> UnifiedRuntimeBuilder {
    let (told, heard) = (told.clone(), heard.clone());
    builder(host, disk, &ScriptedModel::new(host.clone()))
        .start(SubscriptionStart::Earliest)
        .persistent_metadata(Rc::new(cursors.clone()))
        .on_mob_event(move |event| heard.borrow_mut().push(event.cursor.get()))
        .on_error(Rc::new(move |event: ErrorEvent| {
            told.borrow_mut().push(event.to_string());
            ready(()).boxed_local()
        }))
}

async fn tell(runtime: &UnifiedRuntime, entries: usize) {
    let core = &runtime.inner.core;
    core.execute(Durability::Relaxed, move |core, batch| {
        core.tell(batch, vec![MobEventKind::MobCompleted; entries]);
        Ok(())
    })
    .await
    .unwrap();
}

/// MobKit contract, section 24.3, row 1, at a store of the application's.
#[test]
fn row_1_ten_thousand_events_are_few_writes_at_the_applications_store_and_none_goes_back() {
    let sim = Sim::new(5);
    let (host, disk, told) = (sim.host(), SimDisk::new(), Errors::default());
    let (cursors, heard) = (Cursors::default(), Rc::default());
    sim.block_on(async {
        let runtime = tracked(&host, &disk, &cursors, &told, &heard)
            .build()
            .await
            .unwrap();
        for _ in 0..1_000 {
            tell(&runtime, 10).await;
            host.sleep(Duration::from_millis(20)).await;
        }
        runtime.shutdown().await;
        let set = cursors.set.borrow();
        assert!(set.len() <= 100, "{} writes", set.len());
        assert!(set.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(set.last(), heard.borrow().last());
        assert!(told.borrow().is_empty());
    });
    let armed = sim.armed_timers();
    assert_eq!(armed, 0);
}

/// MobKit contract, section 24.3, row 2, at a store of the application's: one who has lost the mob writes no more.
#[test]
fn row_2_who_has_been_taken_over_does_not_set_the_applications_cursor_back() {
    let sim = Sim::new(8);
    let (host, disk, told) = (sim.host(), SimDisk::new(), Errors::default());
    let cursors = Cursors::default();
    let lease = Rc::new(LocalLease::new());
    sim.block_on(async {
        let open = || {
            tracked(&host, &disk, &cursors, &told, &Rc::default())
                .lease(lease.clone())
                .if_locked(IfLocked::Steal)
                .build()
        };
        let first = open().await.unwrap();
        host.sleep(Duration::from_secs(2)).await;
        // So long that its next attempt comes when the mob is another's.
        cursors.refuses.set(true);
        tell(&first, 1).await;
        host.sleep(Duration::from_secs(60)).await;
        let second = open().await.unwrap();
        first.retired().await;
        cursors.refuses.set(false);
        tell(&second, 50).await;
        second.flush().await.unwrap();
        let latest = second.status().latest_mob_cursor.get();
        assert_eq!(cursors.known.get().unwrap().get(), latest);
        host.sleep(Duration::from_secs(600)).await;
        assert_eq!(cursors.known.get().unwrap().get(), latest);
        let set = cursors.set.borrow();
        assert!(set.windows(2).all(|pair| pair[0] < pair[1]), "{set:?}");
        assert_eq!(first.role(), Role::Retired, "it is still there");
    });
}

#[test]
fn the_applications_cursor_says_where_the_subscription_begins() {
    let sim = Sim::new(6);
    let (host, disk, told) = (sim.host(), SimDisk::new(), Errors::default());
    let cursors = Cursors::default();
    sim.block_on(async {
        let life = async |known: Option<u64>, refuses: bool| {
            cursors.known.set(known.map(Cursor::new));
            cursors.refuses.set(refuses);
            told.borrow_mut().clear();
            let heard = Rc::default();
            let runtime = tracked(&host, &disk, &cursors, &told, &heard)
                .build()
                .await
                .unwrap();
            tell(&runtime, 1).await;
            host.sleep(Duration::from_secs(1)).await;
            cursors.refuses.set(false);
            runtime.shutdown().await;
            let heard = heard.borrow();
            (
                *heard.first().unwrap(),
                *heard.last().unwrap(),
                told.borrow().clone(),
            )
        };
        let (first, last, _) = life(None, false).await;
        assert_eq!(first, 1, "earliest");
        // Its own cursor is behind the mob's: what it has not is told again.
        assert_eq!(life(Some(2), false).await, (3, last + 1, vec![]));
        // Ahead of the ledger: on at the latest, and a word about it.
        let (first, _, told) = life(Some(1_000), false).await;
        assert_eq!(first, last + 2);
        assert!(
            told[0].contains("stale mob event cursor: requested 1000"),
            "{told:?}"
        );
        assert_eq!(cursors.known.get().unwrap().get(), last + 2, "corrected");
        // It cannot be read or written: the mob's own cursor does, and the projection goes on.
        let (first, _, told) = life(Some(2), true).await;
        assert_eq!(first, last + 3);
        assert!(
            told[0].contains("the cursor could not be read: locked"),
            "{told:?}"
        );
        assert_eq!(
            cursors.known.get().unwrap().get(),
            last + 3,
            "written when it could be"
        );
    });
}

/// A store of frames that refuses when it is told to.
#[derive(Clone, Default)]
struct Frames {
    kept: Rc<RefCell<Vec<ConsoleFrame>>>,
    asked: Rc<Cell<u32>>,
    refuses: Rc<Cell<bool>>,
}

impl ConsoleLogStore for Frames {
    fn append_if_absent(&self, frame: ConsoleFrame) -> LocalBoxFuture<'static, Result<(), String>> {
        self.asked.set(self.asked.get() + 1);
        if self.refuses.get() {
            return ready(Err("the other side is down".into())).boxed_local();
        }
        let mut kept = self.kept.borrow_mut();
        if kept
            .iter()
            .all(|known| known.dedupe_key != frame.dedupe_key)
        {
            kept.push(frame);
        }
        ready(Ok(())).boxed_local()
    }

    fn update_frame_status(
        &self,
        id: String,
        status: ConsoleFrameStatus,
        frame_version: u64,
        updated_at_ms: Option<TimestampMs>,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        let mut kept = self.kept.borrow_mut();
        let known = kept.iter_mut().find(|frame| frame.id == id).unwrap();
        if known.frame_version < frame_version {
            known.status = status;
            known.frame_version = frame_version;
            known.updated_at_ms = updated_at_ms;
        }
        ready(Ok(())).boxed_local()
    }
}

async fn own_frames(runtime: &UnifiedRuntime) -> Vec<ConsoleFrame> {
    let query = ConsoleTimelineQuery {
        limit: Some(1_000),
        ..ConsoleTimelineQuery::default()
    };
    let mut frames = runtime.query_timeline(&query).await.unwrap().frames;
    frames.retain(|frame| frame.kind != "frame_updated" && frame.kind != "runtime_bootstrapped");
    frames
}

#[test]
fn a_console_log_gets_the_timeline_over_refusals_and_restarts() {
    let (disk, frames) = (SimDisk::new(), Frames::default());
    for life in 0..3 {
        let sim = Sim::new(life);
        let host = sim.host();
        sim.block_on(async {
            let runtime = builder(&host, &disk, &teamwork(&host))
                .console_log_store(Rc::new(frames.clone()))
                .build()
                .await
                .unwrap();
            frames.refuses.set(life == 1);
            let request = SendRequest::new("build a house");
            runtime.ask(&id("lead"), request).await.unwrap();
            if life == 1 {
                let before = frames.asked.get();
                host.sleep(Duration::from_secs(120)).await;
                let attempts = frames.asked.get() - before;
                assert!((4..=16).contains(&attempts), "{attempts}");
                let refused = runtime.flush().await.unwrap_err();
                assert_eq!(refused.code(), "host_store_failed");
                let task = runtime.status().tasks;
                let task = task.iter().find(|task| task.name == "console_log").unwrap();
                assert_eq!(task.state, TaskState::Retrying);
                frames.refuses.set(false);
            }
            runtime.flush().await.unwrap();
            let own = own_frames(&runtime).await;
            assert_eq!(*frames.kept.borrow(), own);
            let request = SendRequest::new("one more");
            runtime.send(&id("ann"), request).await.unwrap();
            runtime.shutdown().await;
        });
    }
    // The shutdown gave it what there was.
    let sim = Sim::new(9);
    let host = sim.host();
    let kept = frames.kept.borrow().clone();
    sim.block_on(async {
        let runtime = builder(&host, &disk, &teamwork(&host))
            .build()
            .await
            .unwrap();
        let own = own_frames(&runtime).await;
        let names = |frames: &[ConsoleFrame]| -> Vec<(String, String)> {
            let name = |frame: &ConsoleFrame| (frame.id.clone(), frame.kind.clone());
            frames.iter().map(name).collect()
        };
        assert_eq!(names(&kept), names(&own[..kept.len()]));
        assert!(kept.len() > 100);
    });
}
