//! A log over many lives: random work, failures and crashes, checked against what was seen.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

/// What the world outside has seen of the log, over all its lives.
#[derive(Default)]
struct Witness {
    /// What each number was seen to name.
    names: BTreeMap<u64, String>,
    /// Numbers whose entries were answered as stored.
    acknowledged: Vec<u64>,
}

impl Witness {
    fn saw(&mut self, number: u64, word: &str, seed: u64) {
        let known = self.names.entry(number).or_insert_with(|| word.to_owned());
        assert_eq!(known, word, "seed {seed}: {number} names two entries");
    }
}

/// One life: appends, stages and reads until the plan ends it or the work is done.
async fn live(sim: &Sim, desk: &Desk, witness: &Rc<RefCell<Witness>>, seed: u64, life: u64) {
    let mut reader = desk.log.follow(Cursor::START).unwrap();
    let seen = witness.clone();
    sim.host().spawn(async move {
        let mut last = 0;
        while let Some(item) = reader.next().await {
            // The connection may be lost under it.
            let Ok(item) = item else { return };
            assert!(item.cursor().get() > last, "seed {seed}: order");
            last = item.cursor().get();
            if let Some(word) = item.entry() {
                seen.borrow_mut().saw(last, word, seed);
            }
        }
    });
    for round in 0..sim.random().below(30) {
        let word = format!("life {life} round {round}");
        match sim.random().below(4) {
            0 => {
                if let Ok(range) = desk.stage(&[&word, &word]).await {
                    let numbers = range.start.get()..range.end.get();
                    witness.borrow_mut().acknowledged.extend(numbers);
                }
            }
            1 => {
                let number = desk.append(&word);
                if desk.writer.flush(Durability::Relaxed).await.is_ok() {
                    witness.borrow_mut().acknowledged.push(number);
                }
            }
            2 => sim.host().sleep(Duration::from_millis(50)).await,
            _ => {
                for _ in 0..sim.random().below(12) {
                    desk.append(&word);
                }
            }
        }
    }
}

fn history(seed: u64, dense: bool, fault: Option<Fault>) {
    let sim = Sim::new(seed);
    let disk = SimDisk::new();
    let witness = Rc::new(RefCell::new(Witness::default()));
    let base = if dense {
        LogConfig::dense()
    } else {
        LogConfig::default()
    };
    let config = LogConfig {
        block: base.block.min(16),
        chunk_max_entries: 6,
        chunk_merge_bytes: 300,
        flush_entries: 10,
        ..small(base)
    };
    for life in 0..6 {
        let random = sim.random();
        let plan = StoragePlan {
            max_delay: Duration::from_millis(random.below(20)),
            fail_one_in: random.chance(1, 2).then(|| (5, quota())),
            ..StoragePlan::seeded(random.next_u64())
        };
        let end = match random.below(4) {
            0 => CommitFault::CrashBefore,
            1 => CommitFault::CrashTorn,
            2 => CommitFault::CrashAfter,
            _ => CommitFault::LoseConnection,
        };
        let plan = plan.at(1 + random.below(12), end);
        let mut host = sim.host();
        if let Some(fault) = fault {
            host = host.with_planted(fault);
        }
        // A life may end in a crash, or with the work done and no orderly stop.
        let _ = sim.try_block_on(async {
            let desk = open(&host, &disk, plan, config.clone()).await;
            let crash = sim.crash_switch();
            desk.storage.on_crash(move || crash.crash());
            let _flusher = desk.log.run_flusher(&host, &desk.writer, |_error| ());
            live(&sim, &desk, &witness, seed, life).await;
        });
        sim.crash();
    }
    let host = sim.host();
    sim.block_on(async {
        let desk = open(&host, &disk, StoragePlan::default(), config).await;
        let items = desk.log.read(Cursor::START, usize::MAX).await.unwrap();
        let mut next = 1;
        let mut stored = BTreeMap::new();
        for item in &items {
            match item {
                LogItem::Entry { cursor, entry } => {
                    witness.borrow_mut().saw(cursor.get(), entry, seed);
                    stored.insert(cursor.get(), entry.clone());
                    assert!(cursor.get() >= next, "seed {seed}: order");
                    assert!(!dense || cursor.get() == next, "seed {seed}: dense");
                }
                LogItem::Gap { from, to, reason } => {
                    assert!(from.get() >= next && to >= from, "seed {seed}: order");
                    assert_eq!(*reason, GapReason::UncleanStop);
                    assert!(!dense, "seed {seed}: a dense log has no gaps");
                }
            }
            next = item.cursor().get() + 1;
        }
        for number in &witness.borrow().acknowledged {
            assert!(stored.contains_key(number), "seed {seed}: {number} is lost");
        }
        assert!(desk.log.latest().get() + 1 >= next);
    });
}

#[test]
fn no_number_names_two_entries_and_nothing_stored_is_lost() {
    for seed in 0..400 {
        history(seed, false, None);
    }
}

#[test]
fn a_dense_log_stays_dense() {
    for seed in 0..200 {
        history(seed, true, None);
    }
}

#[test]
fn a_reused_number_is_found() {
    let found = (0..100).find(|seed| {
        let seed = *seed;
        std::panic::catch_unwind(|| history(seed, false, Some(Fault::SequenceNumberReused)))
            .is_err()
    });
    assert!(found.is_some());
}

#[test]
fn a_reader_stays_in_front_of_an_entry_that_it_cannot_decode() {
    let sim = Sim::new(1);
    sim.block_on(async {
        let (host, disk) = (sim.host(), SimDisk::new());
        let storage = disk.open(&host, StoragePlan::default());
        let config = LogConfig::dense();
        let written: Log<serde_json::Value> =
            Log::open(&host, storage.clone(), prefix(), config.clone())
                .await
                .unwrap();
        let writer = Writer::spawn(&host, storage.clone(), WriterConfig::default());
        writer.add_participant(written.participant());
        for entry in [json!("a"), json!(7), json!("b")] {
            written.append(entry);
        }
        writer.flush(Durability::Relaxed).await.unwrap();

        let log: Words = Log::open(&host, storage, prefix(), config).await.unwrap();
        let mut one_by_one = log.follow(Cursor::START).unwrap();
        let mut in_batches = log.follow(Cursor::START).unwrap();
        let first = one_by_one.next().await.unwrap().unwrap();
        assert_eq!(show(&[first]), ["1:a"]);
        assert_eq!(show(&in_batches.next_batch(9).await.unwrap()), ["1:a"]);
        for _ in 0..2 {
            let corrupt = |error: &LogError| {
                matches!(error, LogError::Storage(StorageError::Corrupt { key, .. }) if key == "entry 2")
            };
            assert!(corrupt(&one_by_one.next().await.unwrap().unwrap_err()));
            assert!(corrupt(&in_batches.next_batch(9).await.unwrap_err()));
            assert_eq!((one_by_one.cursor(), in_batches.cursor()), (Cursor::new(1), Cursor::new(1)));
        }
    });
}
