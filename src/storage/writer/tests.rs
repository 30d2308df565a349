//! The writer on the simulator.

use std::time::Duration;

use futures::future::join_all;

use super::super::lease::{take_token, token_key, token_value};
use super::super::memory::MemoryStorage;
use super::super::port::ClosedReason;
use super::*;
use crate::sim::{CommitFault, Sim, SimDisk, StoragePlan};
use crate::storage::{DomError, value};

/// A counter with a staged and a committed state, as rooms have them.
#[derive(Default)]
struct Counter {
    committed: Cell<u64>,
    staged: Cell<u64>,
    pending: RefCell<Vec<u8>>,
    in_flight: Cell<usize>,
    settled: RefCell<Vec<bool>>,
}

impl Participant for Counter {
    fn stage(&self, batch: &mut Batch) {
        let pending = self.pending.borrow();
        self.in_flight.set(pending.len());
        if !pending.is_empty() {
            batch.put(Key::root().part("pending"), pending.clone());
        }
    }

    fn settle(&self, ok: bool) {
        self.settled.borrow_mut().push(ok);
        if ok {
            self.pending.borrow_mut().drain(..self.in_flight.get());
        } else {
            self.staged.set(self.committed.get());
        }
    }
}

fn row(name: &str) -> Key {
    Key::root().part("row").part(name)
}

/// Numbers a row with the counter; refuses odd `refuse`, checks that the row is new.
fn add(
    counter: &Rc<Counter>,
    name: &str,
    refuse: bool,
) -> impl FnMut(&mut Batch) -> Result<Staged<u64>, String> + use<> {
    let counter = counter.clone();
    let key = row(name);
    move |batch| {
        batch.check_absent(key.clone());
        batch.put(key.clone(), vec![]);
        if refuse {
            return Err("refused".to_owned());
        }
        let number = counter.staged.get() + 1;
        counter.staged.set(number);
        batch.put(key.clone(), value::encode(&number));
        let counter = counter.clone();
        Ok(Staged::new(number, move || {
            assert_eq!(counter.committed.get() + 1, number, "applied in order");
            counter.committed.set(number);
        }))
    }
}

struct World {
    sim: Sim,
    disk: SimDisk,
    writer: Writer,
    counter: Rc<Counter>,
}

fn world(seed: u64, plan: StoragePlan, config: WriterConfig) -> World {
    let sim = Sim::new(seed);
    let disk = SimDisk::new();
    let storage = disk.open(&sim.host(), plan);
    let crash = sim.crash_switch();
    storage.on_crash(move || crash.crash());
    let writer = Writer::spawn(&sim.host(), storage, config);
    let counter = Rc::new(Counter::default());
    writer.add_participant(counter.clone());
    World {
        sim,
        disk,
        writer,
        counter,
    }
}

fn slow(seed: u64) -> StoragePlan {
    StoragePlan {
        max_delay: Duration::from_millis(3),
        ..StoragePlan::seeded(seed)
    }
}

#[test]
fn commands_in_one_turn_are_one_commit_in_order() {
    for seed in 0..50 {
        let w = world(seed, slow(seed), WriterConfig::default());
        let answers = w.sim.block_on(join_all((0..100).map(|n| {
            w.writer.submit(
                Durability::Relaxed,
                add(&w.counter, &n.to_string(), n % 10 == 3),
            )
        })));
        let mut next = 0;
        for (n, answer) in answers.into_iter().enumerate() {
            if n % 10 == 3 {
                assert_eq!(answer, Err(SubmitError::Rejected("refused".into())));
            } else {
                next += 1;
                assert_eq!(answer, Ok(next));
            }
        }
        assert_eq!(w.writer.stats().commits, 1);
        assert_eq!(w.writer.stats().commands, 100);
        assert_eq!(w.disk.rows().len(), 90, "the refused ones left no row");
        assert_eq!(w.counter.committed.get(), 90);
    }
}

#[test]
fn only_the_guilty_fails() {
    for seed in 0..50 {
        let w = world(seed, slow(seed), WriterConfig::default());
        w.sim.block_on(async {
            let first = w
                .writer
                .submit(Durability::Strict, add(&w.counter, "7", false));
            assert_eq!(first.await, Ok(1));
            w.counter.pending.replace(vec![1, 2, 3]);
            let answers = join_all((0..10).map(|n| {
                w.writer
                    .submit(Durability::Relaxed, add(&w.counter, &n.to_string(), n == 2))
            }))
            .await;
            let shown: Vec<String> = answers
                .into_iter()
                .map(|answer| match answer {
                    Ok(number) => number.to_string(),
                    Err(error) => error.to_string(),
                })
                .collect();
            assert_eq!(
                shown,
                [
                    "2",
                    "3",
                    "refused",
                    "4",
                    "5",
                    "6",
                    "7",
                    "the row `row/7` is not as the change expects it",
                    "8",
                    "9"
                ]
            );
            assert_eq!(w.counter.committed.get(), 9);
            assert_eq!(w.counter.staged.get(), 9);
            assert!(w.counter.pending.borrow().is_empty());
            assert_eq!(w.writer.stats().failed_commits, 2);
        });
    }
}

#[test]
fn what_waits_goes_with_any_commit() {
    let w = world(1, StoragePlan::default(), WriterConfig::default());
    w.sim.block_on(async {
        assert_eq!(w.writer.flush(Durability::Strict).await, Ok(()));
        assert_eq!(w.writer.stats().commits, 0, "nothing waited");
        w.counter.pending.replace(vec![9]);
        assert_eq!(w.writer.flush(Durability::Strict).await, Ok(()));
        assert_eq!(w.writer.stats().commits, 1);
        w.counter.pending.replace(vec![9]);
        let refused = w
            .writer
            .submit(Durability::Relaxed, add(&w.counter, "a", true));
        assert!(refused.await.is_err());
        assert!(w.counter.pending.borrow().is_empty());
    });
}

#[test]
fn a_newer_token_retires_the_writer() {
    let sim = Sim::new(3);
    let storage: Rc<dyn Storage> = Rc::new(MemoryStorage::new());
    let config = WriterConfig {
        fence: Some((token_key(), token_value(1))),
        ..WriterConfig::default()
    };
    let counter = Rc::new(Counter::default());
    sim.block_on(async {
        assert_eq!(take_token(&*storage).await, Ok(1));
        let writer = Writer::spawn(&sim.host(), storage.clone(), config.clone());
        let submit = |name| writer.submit(Durability::Relaxed, add(&counter, name, false));
        assert_eq!(submit("a").await, Ok(1));
        assert_eq!(take_token(&*storage).await, Ok(2));
        let late = join_all([submit("b"), submit("c")]).await;
        assert_eq!(
            late,
            [Err(SubmitError::NotLeader), Err(SubmitError::NotLeader)]
        );
        assert_eq!(submit("d").await, Err(SubmitError::NotLeader));
        assert_eq!(writer.closed().await, WriterClosed::NotLeader);

        let host = sim.host().with_planted(Fault::StaleTokenAccepted);
        let stale = Writer::spawn(&host, storage.clone(), config);
        let stored = stale.submit(Durability::Relaxed, |batch: &mut Batch| {
            batch.put(row("stale"), vec![]);
            Ok::<_, String>(Staged::answer(()))
        });
        assert_eq!(stored.await, Ok(()), "the planted fault lets it through");
    });
}

#[test]
fn an_unknown_outcome_retires_the_writer() {
    for seed in 0..20 {
        let plan = slow(seed).at(2, CommitFault::LoseConnection);
        let w = world(seed, plan, WriterConfig::default());
        w.sim.block_on(async {
            let submit = |name| {
                w.writer
                    .submit(Durability::Relaxed, add(&w.counter, name, false))
            };
            assert_eq!(submit("a").await, Ok(1));
            let both = join_all([submit("b"), submit("c")]).await;
            for answer in both {
                assert_eq!(
                    answer,
                    Err(SubmitError::Storage(StorageError::OutcomeUnknown))
                );
            }
            assert_eq!(submit("d").await, Err(SubmitError::Closed));
            assert_eq!(w.counter.committed.get(), 1);
        });
    }
}

#[test]
fn a_lost_connection_ends_an_idle_writer() {
    let sim = Sim::new(1);
    let storage = SimDisk::new().open(&sim.host(), StoragePlan::default());
    let writer = Writer::spawn(&sim.host(), storage.clone(), WriterConfig::default());
    sim.block_on(async {
        storage.lose(ClosedReason::VersionChange);
        assert_eq!(
            writer.closed().await,
            WriterClosed::Storage(StorageError::VersionChange)
        );
        let late = writer.flush(Durability::Relaxed).await;
        assert_eq!(late, Err(SubmitError::Closed));
    });
}

#[test]
fn too_many_are_refused() {
    let config = WriterConfig {
        backlog: 4,
        ..WriterConfig::default()
    };
    let w = world(1, slow(1), config);
    let answers = w.sim.block_on(join_all((0..6).map(|n| {
        w.writer
            .submit(Durability::Relaxed, add(&w.counter, &n.to_string(), false))
    })));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 4);
    assert_eq!(answers[4], Err(SubmitError::BacklogFull));
    assert_eq!(w.writer.stats().shed, 2);
}

#[test]
fn a_large_group_is_split() {
    let w = world(1, slow(1), WriterConfig::default());
    let answers = w.sim.block_on(join_all((0..10_u64).map(|n| {
        w.writer
            .submit(Durability::Relaxed, move |batch: &mut Batch| {
                batch.put(row("large").number(n), vec![0; 1 << 20]);
                Ok::<_, String>(Staged::answer(n))
            })
    })));
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(w.writer.stats().commits, 3);
}

#[test]
fn an_ended_group_answers_everybody() {
    let sim = Sim::new(1);
    let group = sim.host().task_group();
    let writer = Writer::spawn(
        &group.host(),
        Rc::new(MemoryStorage::new()),
        WriterConfig::default(),
    );
    let waiting = writer.flush(Durability::Relaxed);
    drop(group);
    sim.block_on(async {
        assert_eq!(waiting.await, Err(SubmitError::Closed));
        assert_eq!(writer.closed().await, WriterClosed::Requested);
    });
}

#[test]
fn closing_carries_out_what_waits() {
    let w = world(1, slow(1), WriterConfig::default());
    w.sim.block_on(async {
        w.counter.pending.replace(vec![1]);
        let first = w
            .writer
            .submit(Durability::Relaxed, add(&w.counter, "a", false));
        w.writer.close().await;
        assert_eq!(first.await, Ok(1));
        assert!(w.counter.pending.borrow().is_empty());
        let late = w.writer.flush(Durability::Relaxed).await;
        assert_eq!(late, Err(SubmitError::Closed));
    });
}

#[test]
fn what_was_answered_survives_any_crash() {
    for seed in 0..300 {
        let fault = match seed % 3 {
            0 => CommitFault::CrashBefore,
            1 => CommitFault::CrashTorn,
            _ => CommitFault::CrashAfter,
        };
        let plan = slow(seed).at(1 + seed % 7, fault);
        let w = world(seed, plan, WriterConfig::default());
        let answered = Rc::new(RefCell::new(Vec::new()));
        for n in 0..20_u64 {
            let (writer, counter) = (w.writer.clone(), w.counter.clone());
            let (answered, host) = (answered.clone(), w.sim.host());
            w.sim.host().spawn(async move {
                host.sleep(Duration::from_millis(n)).await;
                let name = n.to_string();
                let done = writer.submit(Durability::Strict, add(&counter, &name, false));
                if done.await.is_ok() {
                    answered.borrow_mut().push(name);
                }
            });
        }
        let end = w.sim.host().sleep(Duration::from_secs(1));
        assert!(w.sim.try_block_on(end).is_err(), "seed {seed} crashes");
        let rows = w.disk.rows();
        for name in &*answered.borrow() {
            assert!(rows.iter().any(|(key, _)| *key == row(name)), "seed {seed}");
        }
        let mut numbers: Vec<u64> = rows
            .iter()
            .map(|(key, bytes)| value::decode(key, bytes).unwrap())
            .collect();
        numbers.sort_unstable();
        let dense: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, dense, "seed {seed}");
    }
}

#[test]
fn planted_faults_show() {
    let mut found = (false, false);
    for seed in 0..20 {
        for fault in [Fault::ApplyBeforeCommit, Fault::AnswerBeforeCommit] {
            let sim = Sim::new(seed);
            let disk = SimDisk::new();
            let full = StorageError::QuotaExceeded(DomError::new("QuotaExceededError", ""));
            let plan = slow(seed).at(1, CommitFault::Fail(full));
            let host = sim.host().with_planted(fault);
            let writer = Writer::spawn(&host, disk.open(&host, plan), WriterConfig::default());
            let counter = Rc::new(Counter::default());
            let answer = sim.block_on(writer.submit(Durability::Strict, add(&counter, "a", false)));
            sim.run_until_idle();
            match fault {
                Fault::ApplyBeforeCommit => found.0 |= counter.committed.get() == 1,
                _ => found.1 |= answer.is_ok() && disk.rows().is_empty(),
            }
        }
    }
    assert_eq!(found, (true, true));
}
