//! The structural projection: where it begins over restarts and crashes, and what it does when the ledger or its cursor
//! cannot be read or written.

use std::cell::RefCell;

use futures::FutureExt;

use super::*;
use crate::mob::Core;
use crate::runtime::SubscriptionStart;
use crate::sim::{CommitFault, FaultyStorage};
use crate::storage::{Batch, DomError, Durability, Key, Storage, StorageError, value};
use crate::wire::{ErrorEvent, MobId, SpawnMemberSpec};

/// What one life told: the cursors in the order in which they were heard, and the errors with their moments.
#[derive(Clone, Default)]
struct Told {
    cursors: Rc<RefCell<Vec<u64>>>,
    errors: Rc<RefCell<Vec<(Duration, ErrorEvent)>>>,
}

impl Told {
    fn cursors(&self) -> Vec<u64> {
        self.cursors.borrow().clone()
    }

    fn errors(&self) -> Vec<String> {
        let errors = self.errors.borrow();
        errors.iter().map(|(_, event)| event.to_string()).collect()
    }

    /// A runtime over `storage` whose doings are told here.
    fn builder(
        &self,
        host: &Host,
        storage: Rc<FaultyStorage>,
        start: SubscriptionStart,
    ) -> UnifiedRuntimeBuilder {
        let (cursors, errors) = (self.cursors.clone(), self.errors.clone());
        let (clock, born) = (host.clone(), host.instant());
        UnifiedRuntime::builder()
            .definition(team())
            .host(host.clone())
            .storage(storage)
            .model("scripted", Rc::new(ScriptedModel::new(host.clone())))
            .tail_capacity(8)
            .start(start)
            .on_mob_event(move |envelope| cursors.borrow_mut().push(envelope.cursor.get()))
            .on_error(Rc::new(move |event| {
                let at = clock.instant().duration_since(born);
                errors.borrow_mut().push((at, event));
                futures::future::ready(()).boxed_local()
            }))
    }
}

fn cursor_key() -> Key {
    Core::prefix(&MobId::new("team").unwrap())
        .part("cursor")
        .part("mob_events")
}

fn stored_cursor(disk: &SimDisk) -> Option<u64> {
    let row = disk
        .rows()
        .into_iter()
        .find(|(key, _)| *key == cursor_key());
    row.map(|(key, bytes)| value::decode::<Cursor>(&key, &bytes).unwrap().get())
}

async fn store_cursor(host: &Host, disk: &SimDisk, cursor: u64) {
    let mut batch = Batch::new();
    batch.put(cursor_key(), value::encode(&Cursor::new(cursor)));
    let storage = disk.open(host, StoragePlan::default());
    storage.commit(batch, Durability::Strict).await.unwrap();
}

async fn spawn(runtime: &UnifiedRuntime, name: &str) {
    let spec = SpawnMemberSpec::new("worker", name).unwrap();
    runtime.spawn(spec).await.unwrap();
}

fn broken() -> StorageError {
    StorageError::Aborted(DomError::new("AbortError", "the disk is tired"))
}

#[test]
fn what_a_first_life_did_not_live_to_tell_is_told_by_the_next() {
    for start in [
        SubscriptionStart::Latest,
        SubscriptionStart::Earliest,
        SubscriptionStart::After(Cursor::START),
    ] {
        for number in 1..=8 {
            let disk = SimDisk::new();
            let sim = Sim::new(number);
            let host = sim.host();
            // The start makes four commits: the life ends in each of them, or some entries later.
            let plan = StoragePlan::default().at(number, CommitFault::CrashAfter);
            let storage = disk.open(&host, plan);
            let crash = sim.crash_switch();
            storage.on_crash(move || crash.crash());
            let first = sim.try_block_on(async {
                let runtime = Told::default()
                    .builder(&host, storage, start)
                    .build()
                    .await
                    .unwrap();
                for n in 0.. {
                    spawn(&runtime, &format!("w{n}")).await;
                }
            });
            assert!(first.is_err());

            let sim = Sim::new(7);
            let (host, told) = (sim.host(), Told::default());
            sim.block_on(async {
                let storage = disk.open(&host, StoragePlan::default());
                let runtime = told.builder(&host, storage, start).build().await.unwrap();
                runtime.shutdown().await;
                let latest = runtime.status().latest_mob_cursor.get();
                assert_eq!(told.cursors(), (1..=latest).collect::<Vec<_>>());
                assert_eq!(stored_cursor(&disk), Some(latest));
            });
            assert_eq!(told.errors(), [""; 0]);
        }
    }
}

#[test]
fn row_4_a_projection_that_nobody_has_begun_begins_where_the_options_say() {
    for (start, expected) in [
        (SubscriptionStart::Latest, vec![7, 8]),
        (SubscriptionStart::Earliest, (1..=8).collect()),
        (SubscriptionStart::After(Cursor::new(4)), (5..=8).collect()),
    ] {
        let sim = Sim::new(1);
        let (host, disk, told) = (sim.host(), SimDisk::new(), Told::default());
        sim.block_on(async {
            let storage = disk.open(&host, StoragePlan::default());
            let runtime = Told::default().builder(&host, storage, start).build().await;
            assert_eq!(runtime.unwrap().shutdown().await.mob_stop, Ok(()));
            // As a version that kept no cursor left it.
            let mut batch = Batch::new();
            batch.delete(cursor_key());
            let storage = disk.open(&host, StoragePlan::default());
            storage.commit(batch, Durability::Strict).await.unwrap();

            let storage = disk.open(&host, StoragePlan::default());
            let runtime = told.builder(&host, storage, start).build().await.unwrap();
            spawn(&runtime, "cid").await;
            runtime.shutdown().await;
            assert_eq!(told.cursors(), expected, "{start:?}");
        });
    }
}

#[test]
fn a_cursor_ahead_of_the_ledger_is_told_of_and_goes_on_at_the_latest_once() {
    let sim = Sim::new(1);
    let (host, disk) = (sim.host(), SimDisk::new());
    let open = |told: &Told| {
        let storage = disk.open(&host, StoragePlan::default());
        told.builder(&host, storage, SubscriptionStart::Latest)
            .build()
    };
    sim.block_on(async {
        let told = Told::default();
        open(&told).await.unwrap().shutdown().await;
        assert_eq!(told.cursors(), [1, 2, 3, 4, 5, 6]);
        store_cursor(&host, &disk, 9).await;

        let told = Told::default();
        let runtime = open(&told).await.unwrap();
        spawn(&runtime, "cid").await;
        host.sleep(Duration::from_millis(1)).await;
        assert_eq!(told.cursors(), [7, 8]);
        assert_eq!(
            told.errors(),
            ["checkpoint_failure: mob_events: stale mob event cursor: requested 9, latest 6; going on at the latest"]
        );
        // From there the row tells the truth again, also to a life that comes after a crash.
        assert_eq!(stored_cursor(&disk), Some(6));
        drop(runtime);
        let told = Told::default();
        let runtime = open(&told).await.unwrap();
        host.sleep(Duration::from_millis(1)).await;
        assert_eq!((told.cursors(), told.errors()), (vec![7, 8], vec![]));
        runtime.shutdown().await;
        assert_eq!(stored_cursor(&disk), Some(8));
    });
}

#[test]
fn row_5_a_ledger_that_cannot_be_read_is_told_of_and_read_again_after_growing_pauses() {
    let sim = Sim::new(1);
    let (host, disk, told) = (sim.host(), SimDisk::new(), Told::default());
    sim.block_on(async {
        let storage = disk.open(&host, StoragePlan::default());
        let runtime = Told::default()
            .builder(&host, storage, SubscriptionStart::Latest)
            .build()
            .await
            .unwrap();
        for n in 0..20 {
            spawn(&runtime, &format!("w{n}")).await;
        }
        runtime.shutdown().await;
        store_cursor(&host, &disk, 0).await;
        let storage = disk.open(&host, StoragePlan::default());
        let runtime = told
            .builder(&host, storage.clone(), SubscriptionStart::Latest)
            .build()
            .await
            .unwrap();
        storage.fail_reads(10, broken());
        host.sleep(Duration::from_secs(121)).await;
        assert_eq!(told.cursors(), [0; 0], "nothing is passed over");
        assert_eq!(runtime.status().projected_cursor, Cursor::START);
        host.sleep(Duration::from_secs(1)).await;
        let latest = runtime.status().latest_mob_cursor.get();
        assert_eq!(told.cursors(), (1..=latest).collect::<Vec<_>>());
        assert_eq!(runtime.status().projected_cursor.get(), latest);
        runtime.shutdown().await;
        assert_eq!(stored_cursor(&disk), Some(latest));
    });
    let errors = told.errors.borrow();
    let pauses: Vec<u128> = errors
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0).as_millis())
        .collect();
    assert_eq!(
        pauses,
        [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
    );
    assert_eq!(
        errors[0].1.to_string(),
        "host_loop_crash: : the ledger cannot be read: the transaction was aborted (AbortError: the disk is tired); will retry"
    );
}

#[test]
fn entries_that_are_missing_are_told_of() {
    let sim = Sim::new(1);
    let (host, disk, told) = (sim.host(), SimDisk::new(), Told::default());
    sim.block_on(async {
        for name in ["cid", "dan"] {
            let storage = disk.open(&host, StoragePlan::default());
            let runtime = Told::default()
                .builder(&host, storage, SubscriptionStart::Latest)
                .build()
                .await
                .unwrap();
            spawn(&runtime, name).await;
            runtime.shutdown().await;
        }
        store_cursor(&host, &disk, 0).await;
        let ledger = Core::prefix(&MobId::new("team").unwrap())
            .part("ledger")
            .part("c");
        let (first, _) = disk
            .rows()
            .into_iter()
            .find(|(key, _)| key.as_str().starts_with(ledger.as_str()))
            .unwrap();
        let mut batch = Batch::new();
        batch.delete(first);
        let storage = disk.open(&host, StoragePlan::default());
        storage.commit(batch, Durability::Strict).await.unwrap();

        let storage = disk.open(&host, StoragePlan::default());
        let runtime = told
            .builder(&host, storage, SubscriptionStart::Latest)
            .build()
            .await
            .unwrap();
        host.sleep(Duration::from_millis(1)).await;
        let mut reader = runtime.mob_events(Some(Cursor::START)).unwrap();
        let missing = reader.next().await.unwrap().unwrap_err();
        assert!(
            missing.to_string().contains("entries 1 to 8 are missing"),
            "{missing}"
        );
        assert_eq!(reader.next().await.unwrap().unwrap().cursor.get(), 9);
        runtime.shutdown().await;
    });
    assert_eq!(told.cursors(), [9, 10]);
    assert_eq!(
        told.errors(),
        ["host_loop_crash: : the ledger's entries 1 to 8 are missing (unclean_stop)"]
    );
}

#[test]
fn a_cursor_that_cannot_be_written_is_told_of_and_holds_nothing_up() {
    let sim = Sim::new(1);
    let (host, disk, told) = (sim.host(), SimDisk::new(), Told::default());
    sim.block_on(async {
        // The start makes four commits; the next two are the cursor's.
        let plan = StoragePlan::default()
            .at(5, CommitFault::Fail(broken()))
            .at(6, CommitFault::Fail(broken()));
        let storage = disk.open(&host, plan);
        let runtime = told
            .builder(&host, storage.clone(), SubscriptionStart::Latest)
            .build()
            .await
            .unwrap();
        host.sleep(Duration::from_millis(500)).await;
        assert_eq!(storage.commits(), 4);
        assert_eq!((told.cursors().len(), stored_cursor(&disk)), (6, Some(0)));
        host.sleep(Duration::from_secs(10)).await;
        assert_eq!(stored_cursor(&disk), Some(6));
        spawn(&runtime, "cid").await;
        host.sleep(Duration::from_millis(1)).await;
        assert_eq!(told.cursors().len(), 8);
        runtime.flush().await.unwrap();
        assert_eq!(
            stored_cursor(&disk),
            Some(8),
            "a page that is hidden writes it"
        );
    });
    let expected = "checkpoint_failure: mob_events: the cursor could not be stored: the transaction was aborted (AbortError: the disk is tired); will retry";
    assert_eq!(told.errors(), [expected; 2]);
}
