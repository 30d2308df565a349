//! The log on the simulator.

mod checkpoint;
mod history;

use std::convert::Infallible;
use std::time::Duration;

use futures::future::{FutureExt, join};
use futures::stream::StreamExt;

use super::*;
use crate::sim::{CommitFault, FaultyStorage, Sim, SimDisk, StoragePlan};
use crate::storage::{
    DomError, Durability, Staged, StorageError, SubmitError, Writer, WriterConfig,
};

type Words = Log<String>;

/// A log with its writer, over a disk.
struct Desk {
    writer: Writer,
    storage: Rc<FaultyStorage>,
    log: Words,
}

fn prefix() -> Key {
    Key::root().part("log")
}

fn small(config: LogConfig) -> LogConfig {
    LogConfig {
        tail_capacity: 8,
        ..config
    }
}

async fn open(host: &Host, disk: &SimDisk, plan: StoragePlan, config: LogConfig) -> Desk {
    let storage = disk.open(host, plan);
    let log = Log::open(host, storage.clone(), prefix(), config).await;
    let log = log.expect("the log opens");
    let writer = Writer::spawn(host, storage.clone(), WriterConfig::default());
    writer.add_participant(log.participant());
    Desk {
        writer,
        storage,
        log,
    }
}

impl Desk {
    fn stage(
        &self,
        words: &[&str],
    ) -> impl Future<Output = Result<Range<Cursor>, SubmitError<Infallible>>> + use<> {
        let log = self.log.clone();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.writer.submit(Durability::Strict, move |batch| {
            let range = Log::stage(&log, batch, words.clone());
            Ok(Staged::answer(range))
        })
    }

    async fn flush(&self) {
        let flushed = self.writer.flush(Durability::Relaxed).await;
        assert_eq!(flushed, Ok(()));
    }

    fn append(&self, word: impl Into<String>) -> u64 {
        self.log.append(word.into()).get()
    }
}

/// `"3:word"`, or `"4-9 reason"` for a gap.
fn show(items: &[LogItem<String>]) -> Vec<String> {
    let shown = items.iter().map(|item| match item {
        LogItem::Entry { cursor, entry } => format!("{cursor}:{entry}"),
        LogItem::Gap { from, to, reason } => format!("{from}-{to} {}", reason.as_str()),
    });
    shown.collect()
}

async fn read_all(log: &Words, after: u64) -> Vec<String> {
    let items = log.read(Cursor::new(after), usize::MAX).await;
    show(&items.expect("the log is readable"))
}

fn quota() -> StorageError {
    StorageError::QuotaExceeded(DomError::new("QuotaExceededError", "full"))
}

#[test]
fn a_staged_entry_is_shown_when_committed_and_dense() {
    let sim = Sim::new(1);
    sim.block_on(async {
        let disk = SimDisk::new();
        let plan = StoragePlan {
            max_delay: Duration::from_millis(5),
            ..StoragePlan::seeded(1)
        };
        let plan = plan.at(2, CommitFault::Fail(quota()));
        let desk = open(&sim.host(), &disk, plan, LogConfig::dense()).await;
        assert_eq!(desk.log.latest(), Cursor::START);
        let one = desk.stage(&["a", "b"]);
        sim.host().yield_now().await;
        assert_eq!(desk.log.latest(), Cursor::START, "not shown before");
        assert_eq!(one.await, Ok(Cursor::new(1)..Cursor::new(3)));
        assert_eq!(desk.log.latest().get(), 2);
        assert_eq!(
            desk.stage(&["lost"]).await,
            Err(SubmitError::Storage(quota()))
        );
        assert_eq!(desk.log.latest().get(), 2);
        let again = desk.stage(&["c"]).await;
        assert_eq!(again, Ok(Cursor::new(3)..Cursor::new(4)), "no gap");
        assert_eq!(read_all(&desk.log, 0).await, ["1:a", "2:b", "3:c"]);
        assert_eq!(read_all(&desk.log, 2).await, ["3:c"]);
        assert_eq!(read_all(&desk.log, 3).await, [""; 0]);
        assert_eq!(
            desk.log.read(Cursor::new(4), 1).await,
            Err(LogError::Stale {
                after_cursor: Cursor::new(4),
                latest_cursor: Cursor::new(3)
            })
        );
        let next = open(
            &sim.host(),
            &disk,
            StoragePlan::default(),
            LogConfig::dense(),
        )
        .await;
        assert_eq!(next.log.latest().get(), 3);
        assert_eq!(read_all(&next.log, 0).await, ["1:a", "2:b", "3:c"]);
        let more = next.stage(&["d"]).await;
        assert_eq!(more, Ok(Cursor::new(4)..Cursor::new(5)));
    });
}

#[test]
fn an_appended_entry_is_shown_at_once() {
    let sim = Sim::new(1);
    sim.block_on(async {
        let disk = SimDisk::new();
        let config = LogConfig {
            block: 8,
            ..LogConfig::default()
        };
        let desk = open(&sim.host(), &disk, StoragePlan::default(), config).await;
        // Nothing is reserved yet.
        assert_eq!(desk.append("a"), 1);
        assert_eq!(desk.log.latest().get(), 0);
        desk.flush().await;
        assert_eq!(desk.log.latest().get(), 1);
        for word in ["b", "c", "d", "e", "f", "g", "h", "i"] {
            desk.append(word);
        }
        assert_eq!(desk.log.latest().get(), 9, "1 + the block of 8");
        assert_eq!(desk.log.durable().get(), 1);
        desk.append("j");
        assert_eq!(desk.log.latest().get(), 9, "the block is used up");
        desk.flush().await;
        assert_eq!(desk.log.latest().get(), 10);
        desk.append("k");
        assert_eq!(desk.log.latest().get(), 11);
        let all = read_all(&desk.log, 8).await;
        assert_eq!(all, ["9:i", "10:j", "11:k"]);
        let follower = LogConfig {
            read_only: true,
            ..LogConfig::default()
        };
        let other = open(&sim.host(), &disk, StoragePlan::default(), follower).await;
        assert_eq!(other.log.latest().get(), 10);
    });
}

#[test]
fn an_unclean_stop_is_one_gap_and_no_number_comes_twice() {
    let sim = Sim::new(1);
    sim.block_on(async {
        let disk = SimDisk::new();
        let config = LogConfig {
            block: 8,
            ..LogConfig::default()
        };
        let desk = open(&sim.host(), &disk, StoragePlan::default(), config.clone()).await;
        desk.append("a");
        desk.flush().await;
        desk.append("seen and lost");
        assert_eq!(desk.log.latest().get(), 2);
        drop(desk);
        let desk = open(&sim.host(), &disk, StoragePlan::default(), config.clone()).await;
        assert_eq!(desk.log.latest().get(), 9);
        assert_eq!(read_all(&desk.log, 0).await, ["1:a", "2-9 unclean_stop"]);
        assert_eq!(read_all(&desk.log, 5).await, ["6-9 unclean_stop"]);
        // Once more, without having written anything.
        drop(desk);
        let desk = open(&sim.host(), &disk, StoragePlan::default(), config.clone()).await;
        assert_eq!(desk.append("b"), 10);
        desk.flush().await;
        assert_eq!(
            read_all(&desk.log, 0).await,
            ["1:a", "2-9 unclean_stop", "10:b"]
        );
        let windows = desk.log.read_before(Cursor::new(10), 5).await.unwrap();
        assert_eq!(show(&windows), ["1:a", "2-9 unclean_stop"]);
        // An orderly stop leaves none.
        desk.append("c");
        desk.log.release();
        desk.writer.close().await;
        let desk = open(&sim.host(), &disk, StoragePlan::default(), config.clone()).await;
        assert_eq!(desk.append("d"), 12);
        desk.flush().await;
        assert_eq!(read_all(&desk.log, 9).await, ["10:b", "11:c", "12:d"]);
        // The planted mistake hands out what was seen.
        desk.append("seen");
        let host = sim.host().with_planted(Fault::SequenceNumberReused);
        let faulty = open(&host, &disk, StoragePlan::default(), config).await;
        assert_eq!(faulty.append("other"), 13);
    });
}

#[test]
fn staged_and_appended_entries_are_shown_in_the_order_of_their_numbers() {
    for seed in 0..100 {
        let sim = Sim::new(seed);
        sim.block_on(async {
            let disk = SimDisk::new();
            let plan = StoragePlan {
                max_delay: Duration::from_millis(4),
                fail_one_in: Some((3, quota())),
                ..StoragePlan::seeded(seed)
            };
            let desk = open(&sim.host(), &disk, plan, small(LogConfig::default())).await;
            let mut reader = desk.log.follow(Cursor::START).unwrap();
            let mut expected = Vec::new();
            for round in 0..30 {
                expected.push(format!(
                    "{}:early {round}",
                    desk.append(format!("early {round}"))
                ));
                let word = format!("staged {round}");
                let staged = desk.stage(&[&word]);
                let during = async {
                    sim.host().sleep(Duration::from_millis(2)).await;
                    let word = format!("during {round}");
                    format!("{}:{word}", desk.append(word.clone()))
                };
                let (staged, during) = join(staged, during).await;
                if let Ok(range) = staged {
                    expected.push(format!("{}:{word}", range.start));
                }
                expected.push(during);
            }
            while desk.log.waiting() > 0 {
                // Fails now and then, by the plan.
                let _ = desk.writer.flush(Durability::Relaxed).await;
            }
            let number =
                |shown: &String| -> u64 { shown.split(':').next().unwrap().parse().unwrap() };
            expected.sort_by_key(number);
            let mut seen = Vec::new();
            while seen.len() < expected.len() {
                seen.extend(show(&reader.next_batch(7).await.unwrap()));
            }
            assert_eq!(seen, expected, "seed {seed}");
            assert_eq!(read_all(&desk.log, 0).await, expected, "seed {seed}");
            let again = open(
                &sim.host(),
                &disk,
                StoragePlan::default(),
                small(LogConfig {
                    read_only: true,
                    ..LogConfig::default()
                }),
            )
            .await;
            assert_eq!(read_all(&again.log, 0).await, expected, "seed {seed}");
        });
    }
}

#[test]
fn row_3_a_slow_reader_reads_on_from_storage() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        sim.block_on(async {
            let disk = SimDisk::new();
            let plan = StoragePlan {
                max_delay: Duration::from_millis(3),
                ..StoragePlan::seeded(seed)
            };
            let config = LogConfig {
                chunk_max_entries: 5,
                block: 16,
                ..small(LogConfig::default())
            };
            let desk = open(&sim.host(), &disk, plan, config).await;
            let _flusher = desk
                .log
                .run_flusher(&sim.host(), &desk.writer, |outcome| outcome.unwrap());
            let (log, host) = (desk.log.clone(), sim.host());
            let feed = sim.host().spawn(async move {
                for n in 0..200 {
                    log.append(format!("{n}"));
                    if n % 7 == 0 {
                        host.sleep(Duration::from_millis(20)).await;
                    }
                }
            });
            let mut reader = desk.log.follow(Cursor::START).unwrap();
            let mut items = Vec::new();
            while items.len() < 200 {
                items.push(reader.next().await.unwrap().unwrap());
                if items.len() % 10 == 0 {
                    sim.host().sleep(Duration::from_millis(100)).await;
                }
                assert_eq!(reader.cursor(), items[items.len() - 1].cursor());
            }
            let expected: Vec<String> = (0..200).map(|n| format!("{}:{n}", n + 1)).collect();
            assert_eq!(show(&items), expected);
            feed.await.unwrap();
            // Reading in small pieces gives the same.
            let mut pieces = Vec::new();
            let mut at = Cursor::START;
            loop {
                let page = desk.log.read(at, 3).await.unwrap();
                let Some(last) = page.last() else { break };
                at = last.cursor();
                pieces.extend(page);
            }
            assert_eq!(show(&pieces), expected);
            let mut windows = Vec::new();
            let mut at = Cursor::new(1000);
            loop {
                let page = desk.log.read_before(at, 3).await.unwrap();
                let Some(first) = page.first() else { break };
                at = first.cursor();
                windows.splice(0..0, page);
            }
            assert_eq!(show(&windows), expected);
        });
    }
}

#[test]
fn a_row_that_grows_while_it_is_read_leaves_no_gap() {
    for seed in 0..200 {
        let sim = Sim::new(seed);
        sim.block_on(async {
            let disk = SimDisk::new();
            let plan = StoragePlan {
                max_delay: Duration::from_millis(3),
                ..StoragePlan::seeded(seed)
            };
            let config = LogConfig {
                chunk_max_entries: 3,
                ..small(LogConfig::dense())
            };
            let desk = open(&sim.host(), &disk, plan, config).await;
            let count = 120;
            let write = async {
                for n in 0..count {
                    desk.stage(&[&n.to_string()]).await.unwrap();
                }
            };
            let read = async {
                while desk.log.latest().get() < count {
                    let items = desk.log.read(Cursor::START, usize::MAX).await.unwrap();
                    let shown = show(&items);
                    let expected: Vec<_> =
                        (0..shown.len()).map(|n| format!("{}:{n}", n + 1)).collect();
                    assert_eq!(shown, expected, "seed {seed}");
                    sim.host().yield_now().await;
                }
            };
            join(write, read).await;
        });
    }
}

#[test]
fn what_retention_deletes_while_it_is_read_is_its_gap() {
    for seed in 0..200 {
        let sim = Sim::new(seed);
        sim.block_on(async {
            let disk = SimDisk::new();
            let plan = StoragePlan {
                max_delay: Duration::from_millis(3),
                ..StoragePlan::seeded(seed)
            };
            let config = LogConfig {
                chunk_max_entries: 3,
                retention: Retention {
                    max_entries: Some(10),
                    ..Retention::default()
                },
                ..small(LogConfig::default())
            };
            let desk = open(&sim.host(), &disk, plan, config).await;
            let count = 120;
            let write = async {
                for n in 0..count {
                    desk.append(n.to_string());
                    desk.log.trim().await.unwrap();
                    desk.flush().await;
                }
            };
            let read = async {
                while desk.log.latest().get() < count {
                    let forwards = desk.log.read(Cursor::START, usize::MAX).await.unwrap();
                    let latest = desk.log.latest().next();
                    let backwards = desk.log.read_before(latest, usize::MAX).await.unwrap();
                    for shown in [show(&forwards), show(&backwards)] {
                        let lost = shown.iter().find(|item| item.contains("unclean"));
                        assert_eq!(lost, None, "seed {seed}: {shown:?}");
                    }
                    sim.host().yield_now().await;
                }
            };
            join(write, read).await;
        });
    }
}

#[test]
fn a_reader_waits_and_ends_with_the_log() {
    let sim = Sim::new(1);
    sim.block_on(async {
        let disk = SimDisk::new();
        let desk = open(
            &sim.host(),
            &disk,
            StoragePlan::default(),
            LogConfig::dense(),
        )
        .await;
        let mut reader = desk.log.follow(desk.log.latest()).unwrap();
        assert!(reader.next().now_or_never().is_none());
        desk.stage(&["a", "b"]).await.unwrap();
        assert_eq!(show(&reader.next_batch(1).await.unwrap()), ["1:a"]);
        assert_eq!(reader.cursor().get(), 1);
        assert_eq!(show(&reader.next_batch(9).await.unwrap()), ["2:b"]);
        assert!(reader.next_batch(9).now_or_never().is_none());
        desk.stage(&["c"]).await.unwrap();
        desk.log.close();
        assert_eq!(show(&reader.next_batch(9).await.unwrap()), ["3:c"]);
        assert_eq!(reader.next_batch(9).await, Ok(vec![]));
        assert!(reader.next().await.is_none());
        assert!(desk.log.follow(Cursor::new(9)).is_err());
    });
}

#[test]
fn a_trickle_fills_few_rows() {
    let sim = Sim::new(1);
    sim.block_on(async {
        let disk = SimDisk::new();
        let desk = open(
            &sim.host(),
            &disk,
            StoragePlan::default(),
            LogConfig::dense(),
        )
        .await;
        for n in 0..1000 {
            desk.stage(&[&format!("entry {n:0>100}")]).await.unwrap();
        }
        let rows = disk.rows();
        assert!(rows.len() <= 9, "{} rows", rows.len());
        let bytes: usize = rows.iter().map(|(_, value)| value.len()).sum();
        assert_eq!(desk.log.stored_totals(), (1000, bytes as u64));
        let next = open(
            &sim.host(),
            &disk,
            StoragePlan::default(),
            LogConfig::dense(),
        )
        .await;
        assert_eq!(next.log.stored_totals(), (1000, bytes as u64));
        assert_eq!(read_all(&next.log, 0).await.len(), 1000);
    });
}

#[test]
fn many_at_once_are_split_into_chunks() {
    let sim = Sim::new(1);
    sim.block_on(async {
        let disk = SimDisk::new();
        let desk = open(
            &sim.host(),
            &disk,
            StoragePlan::default(),
            LogConfig::default(),
        )
        .await;
        for n in 0..1500 {
            desk.append(format!("{n}"));
        }
        desk.flush().await;
        assert_eq!(desk.log.latest().get(), 1500);
        assert_eq!(desk.writer.stats().commits, 1);
        // Three chunks and the block.
        assert_eq!(disk.rows().len(), 4);
        assert_eq!(
            desk.log.read(Cursor::START, 1500).await.unwrap().len(),
            1500
        );
    });
}

#[test]
fn an_entry_larger_than_a_value_is_split() {
    let sim = Sim::new(1);
    sim.block_on(async {
        let disk = SimDisk::new();
        let plan = StoragePlan {
            max_value_bytes: Some(1000),
            ..StoragePlan::default()
        };
        let desk = open(&sim.host(), &disk, plan.clone(), small(LogConfig::dense())).await;
        let long = "ä".repeat(5000);
        for n in 0..20 {
            let word = if n % 4 == 1 { long.as_str() } else { "short" };
            desk.stage(&[word, "x"]).await.unwrap();
        }
        let next = open(&sim.host(), &disk, plan, small(LogConfig::dense())).await;
        assert_eq!(next.log.stored_totals(), desk.log.stored_totals());
        let items = next.log.read(Cursor::START, 100).await.unwrap();
        assert_eq!(items.len(), 40);
        for (n, item) in items.iter().enumerate() {
            assert_eq!(item.cursor().get(), n as u64 + 1);
            let word = match n {
                n if n % 2 == 1 => "x",
                n if n % 8 == 2 => long.as_str(),
                _ => "short",
            };
            assert_eq!(item.entry().map(|e| e.as_str()), Some(word));
        }
    });
}

#[test]
fn retention_leaves_a_gap() {
    let by = |retention| LogConfig {
        chunk_max_entries: 10,
        retention,
        ..small(LogConfig::dense())
    };
    let count = by(Retention {
        max_entries: Some(25),
        ..Retention::default()
    });
    let bytes = by(Retention {
        max_bytes: Some(600),
        ..Retention::default()
    });
    let age = by(Retention {
        max_age: Some(Duration::from_secs(300)),
        ..Retention::default()
    });
    for (config, kept_from) in [(count, 81), (bytes, 71), (age, 71)] {
        let sim = Sim::new(1);
        sim.block_on(async {
            let disk = SimDisk::new();
            let desk = open(&sim.host(), &disk, StoragePlan::default(), config.clone()).await;
            assert_eq!(desk.log.trim().await, Ok(None));
            for _ in 0..10 {
                desk.stage(&["word"; 10]).await.unwrap();
                sim.host().sleep(Duration::from_secs(100)).await;
            }
            let through = desk.log.trim().await.unwrap();
            assert_eq!(through, Some(Cursor::new(kept_from - 1)), "{config:?}");
            desk.flush().await;
            assert_eq!(desk.log.first().get(), kept_from);
            let gap = format!("1-{} retention", kept_from - 1);
            for log in [
                &desk.log,
                &open(&sim.host(), &disk, StoragePlan::default(), config.clone())
                    .await
                    .log,
            ] {
                let all = read_all(log, 0).await;
                assert_eq!(all[0], gap);
                assert_eq!(all[1], format!("{kept_from}:word"));
                assert_eq!(all.len() as u64, 102 - kept_from);
                assert_eq!(log.stored_totals().0, 101 - kept_from);
                let back = log.read_before(Cursor::new(kept_from + 1), 9).await;
                assert_eq!(show(&back.unwrap()), all[..2]);
                assert_eq!(log.trim().await, Ok(None));
            }
        });
    }
}

#[test]
fn the_flusher_holds_no_timer_while_nothing_waits() {
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let desk = sim.block_on(open(
        &sim.host(),
        &disk,
        StoragePlan::default(),
        LogConfig::default(),
    ));
    let _flusher = desk
        .log
        .run_flusher(&sim.host(), &desk.writer, |outcome| outcome.unwrap());
    sim.run_until_idle();
    assert_eq!(sim.armed_timers(), 0);
    desk.append("shown by the first commit");
    sim.run_until_idle();
    assert_eq!(desk.log.latest().get(), 1);
    assert_eq!(desk.log.durable().get(), 1);
    desk.append("waits");
    sim.advance(Duration::from_millis(249));
    assert_eq!(desk.log.durable().get(), 1);
    sim.advance(Duration::from_millis(1));
    assert_eq!(desk.log.durable().get(), 2);
    assert_eq!(sim.armed_timers(), 0);
    for n in 0..64 {
        desk.append(format!("{n}"));
    }
    sim.run_until_idle();
    assert_eq!(desk.log.durable().get(), 66, "64 do not wait");
    assert_eq!(sim.armed_timers(), 0);
    let commits = desk.storage.commits();
    sim.advance(Duration::from_secs(3600));
    assert_eq!(desk.storage.commits(), commits);
}

#[test]
fn the_flusher_keeps_to_the_retention() {
    let kept = Retention {
        max_age: Some(Duration::from_secs(800)),
        max_entries: Some(50),
        ..Retention::default()
    };
    let config = LogConfig {
        chunk_max_entries: 10,
        retention: kept,
        ..small(LogConfig::default())
    };
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let desk = sim.block_on(open(&sim.host(), &disk, StoragePlan::default(), config));
    let _flusher = desk
        .log
        .run_flusher(&sim.host(), &desk.writer, |outcome| outcome.unwrap());
    for n in 0..200 {
        desk.append(format!("{n}"));
        sim.advance(Duration::from_secs(1));
        assert!(desk.log.stored_totals().0 <= 50);
    }
    assert!(desk.log.stored_totals().0 > 30);
    // Too old, which shows with the next entry.
    sim.advance(Duration::from_secs(900));
    desk.append("new");
    sim.advance(Duration::from_secs(1));
    let all = sim.block_on(read_all(&desk.log, 0));
    assert!(all.len() <= 12, "{all:?}");
    assert_eq!(sim.armed_timers(), 0);
}

/// MobKit contract, section 24.3, row 10: the original keeps every event in memory.
#[test]
fn row_10_a_million_entries_leave_no_more_behind_than_the_first_thousands() {
    const KEPT: u64 = 10_000;
    let config = LogConfig {
        retention: Retention {
            max_entries: Some(KEPT),
            ..Retention::default()
        },
        ..LogConfig::default()
    };
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let desk = sim.block_on(open(
        &sim.host(),
        &disk,
        StoragePlan::default(),
        config.clone(),
    ));
    let _flusher = desk
        .log
        .run_flusher(&sim.host(), &desk.writer, |outcome| outcome.unwrap());
    // It began with the log and never reads.
    let mut asleep = desk.log.follow(Cursor::START).unwrap();
    let mut most_rows = 0;
    for n in 1..=1_000_000 {
        desk.append(format!("{n}"));
        if n % 1_000 == 0 {
            sim.run_until_idle();
            let tail = &desk.log.inner.tail;
            assert_eq!(tail.len(), config.tail_capacity.min(n));
            assert_eq!(desk.log.waiting(), 0);
            assert!(desk.log.stored_totals().0 <= KEPT + config.chunk_max_entries as u64);
            if n <= 50_000 {
                most_rows = most_rows.max(disk.rows().len());
            }
        }
    }
    assert_eq!(desk.log.latest().get(), 1_000_000);
    let rows = disk.rows().len();
    assert!(rows <= most_rows, "{rows} rows, {most_rows} before");
    let first = desk.log.first().get();
    let items = sim.block_on(asleep.next_batch(3)).unwrap();
    let gap = format!("1-{} retention", first - 1);
    assert_eq!(show(&items)[..2], [gap, format!("{first}:{first}")]);
    assert_eq!(sim.armed_timers(), 0);
}

#[test]
fn retention_holds_when_the_commits_of_others_carry_every_entry() {
    let config = LogConfig {
        chunk_max_entries: 10,
        retention: Retention {
            max_entries: Some(50),
            ..Retention::default()
        },
        ..small(LogConfig::default())
    };
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let desk = sim.block_on(open(&sim.host(), &disk, StoragePlan::default(), config));
    let _flusher = desk
        .log
        .run_flusher(&sim.host(), &desk.writer, |outcome| outcome.unwrap());
    for n in 0..200 {
        desk.append(format!("{n}"));
        sim.block_on(desk.flush());
        sim.run_until_idle();
        assert!(desk.log.stored_totals().0 <= 50, "after {n}");
    }
    assert!(desk.log.stored_totals().0 > 30);
    let commits = desk.storage.commits();
    sim.advance(Duration::from_secs(3600));
    assert_eq!(desk.storage.commits(), commits, "and rests then");
    assert_eq!(sim.armed_timers(), 0);
}

#[test]
fn what_storage_refuses_waits_and_then_is_given_up() {
    let sim = Sim::new(1);
    let disk = SimDisk::new();
    let mut plan = StoragePlan::default();
    for number in 2..6 {
        plan = plan.at(number, CommitFault::Fail(quota()));
    }
    let config = LogConfig {
        pending_limit: 100,
        ..small(LogConfig::default())
    };
    let desk = sim.block_on(open(&sim.host(), &disk, plan, config));
    let errors = Rc::new(Cell::new(0));
    let recovered = Rc::new(Cell::new(0));
    let (count, well) = (errors.clone(), recovered.clone());
    let _flusher = desk
        .log
        .run_flusher(&sim.host(), &desk.writer, move |outcome| match outcome {
            Ok(()) => well.set(well.get() + 1),
            Err(error) => {
                assert_eq!(error, quota());
                count.set(count.get() + 1);
            }
        });
    desk.append("first");
    sim.run_until_idle();
    assert_eq!(desk.log.durable().get(), 1);
    let mut reader = desk.log.follow(Cursor::START).unwrap();
    for n in 2..=150 {
        desk.append(format!("{n}"));
    }
    sim.run_until_idle();
    assert_eq!(errors.get(), 1);
    assert_eq!(desk.log.shed(), 49);
    assert_eq!(desk.log.durable().get(), 1);
    // Who was slow finds the gap; what is in memory is read.
    let items = sim.block_on(reader.next_batch(1000)).unwrap();
    assert_eq!(show(&items[..2]), ["1:first", "2-50 unclean_stop"]);
    sim.advance(Duration::from_secs(10));
    assert_eq!((errors.get(), recovered.get()), (4, 1));
    assert_eq!(desk.log.durable().get(), 150);
    let all = sim.block_on(read_all(&desk.log, 0));
    assert_eq!(all.len(), 102);
    assert_eq!(all[..3], ["1:first", "2-50 unclean_stop", "51:51"]);
}

#[test]
fn a_reader_in_another_context_follows() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        sim.block_on(async {
            let disk = SimDisk::new();
            let config = LogConfig {
                chunk_max_entries: 10,
                retention: Retention {
                    max_entries: Some(100),
                    ..Retention::default()
                },
                ..small(LogConfig::default())
            };
            let desk = open(&sim.host(), &disk, StoragePlan::default(), config.clone()).await;
            let follower = LogConfig {
                read_only: true,
                ..config
            };
            let other = open(&sim.host(), &disk, StoragePlan::default(), follower)
                .await
                .log;
            assert_eq!(other.refresh().await, Ok(false));
            assert_eq!(other.append("refused".into()), Cursor::START);
            assert_eq!(other.shed(), 1);
            let mut reader = other.follow(Cursor::START).unwrap();
            let mut seen = Vec::new();
            let mut written = 0;
            while written < 90 {
                for _ in 0..1 + sim.random().below(25) {
                    written += 1;
                    desk.append(format!("{written}"));
                }
                assert_eq!(other.refresh().await, Ok(false));
                desk.flush().await;
                assert_eq!(other.refresh().await, Ok(true));
                assert_eq!(other.latest(), desk.log.durable());
                seen.extend(reader.next_batch(5).await.unwrap());
            }
            while seen.len() < written {
                seen.extend(reader.next_batch(50).await.unwrap());
            }
            let expected: Vec<String> = (1..=written).map(|n| format!("{n}:{n}")).collect();
            assert_eq!(show(&seen), expected);
            for n in 0..150 {
                desk.append(format!("{n}"));
            }
            desk.flush().await;
            assert!(desk.log.trim().await.unwrap().is_some());
            desk.flush().await;
            assert_eq!(other.refresh().await, Ok(true));
            assert_eq!(other.first(), desk.log.first());
            assert_eq!(read_all(&other, 0).await, read_all(&desk.log, 0).await);
        });
    }
}
