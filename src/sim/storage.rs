//! Storage that delays, fails, tears and crashes on command, over rows that survive.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{LocalBoxFuture, pending, ready};

use super::random::SimRandom;
use crate::shim::Host;
use crate::storage::{
    Batch, ClosedReason, Direction, DomError, Durability, Key, KeyRange, MemoryStorage, Row,
    Storage, StorageError, StorageLimits, StorageUsage,
};

/// What happens to one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// It fails with this error and writes nothing. [`StorageError::OutcomeUnknown`] is
    /// [`CommitFault::LoseConnection`] instead.
    Fail(StorageError),
    /// The process dies before anything is written.
    CrashBefore,
    /// The process dies in the middle: the batch is stored as a whole or not at all, by the seed,
    /// and nobody is told. That is all a torn commit can be, because transactions are atomic.
    CrashTorn,
    /// The process dies after the batch was stored and before anybody is told.
    CrashAfter,
    /// The connection is lost in the middle: the batch is stored or not, by the seed, and the
    /// caller is told that the outcome is unknown.
    LoseConnection,
}

/// How a [`FaultyStorage`] behaves. The default is storage without fault or delay.
#[derive(Clone, Debug, Default)]
pub struct StoragePlan {
    /// Where its random choices come from.
    pub seed: u64,
    /// Every answer comes after a random time up to this. The effect is at once: calls keep their
    /// order.
    pub max_delay: Duration,
    /// What happens to single commits, by their number on this connection, from 1.
    pub commits: BTreeMap<u64, CommitFault>,
    /// One commit in so many fails with the error, by the seed.
    pub fail_one_in: Option<(u64, StorageError)>,
    /// One read in so many fails with the error, by the seed.
    pub fail_one_read_in: Option<(u64, StorageError)>,
    /// A commit that would put more than so many bytes into the rows fails with
    /// [`StorageError::QuotaExceeded`].
    pub quota_bytes: Option<u64>,
    /// In place of the adapter's own limit, for tests of splitting.
    pub max_value_bytes: Option<usize>,
}

impl StoragePlan {
    /// No fault, random choices from this seed.
    pub fn seeded(seed: u64) -> StoragePlan {
        StoragePlan {
            seed,
            ..StoragePlan::default()
        }
    }

    /// The same plan with a fault in its `number`th commit.
    #[must_use]
    pub fn at(mut self, number: u64, fault: CommitFault) -> StoragePlan {
        self.commits.insert(number, fault);
        self
    }
}

/// The rows that survive crashes, and the count of the commits that reached them.
///
/// ```
/// use mobkit_web::sim::{CommitFault, Sim, SimDisk, StoragePlan};
/// use mobkit_web::storage::{Batch, Durability, Key, Storage};
///
/// let sim = Sim::new(1);
/// let disk = SimDisk::new();
/// let storage = disk.open(&sim.host(), StoragePlan::seeded(1).at(2, CommitFault::CrashAfter));
/// let crash = sim.crash_switch();
/// storage.on_crash(move || crash.crash());
/// let outcome = sim.try_block_on(async {
///     for number in 1..=3 {
///         let mut batch = Batch::new();
///         batch.put(Key::root().number(number), vec![]);
///         storage.commit(batch, Durability::Strict).await.unwrap();
///     }
/// });
/// assert!(outcome.is_err(), "the second commit killed the process");
/// assert_eq!(disk.rows().len(), 2);
/// ```
#[derive(Clone)]
pub struct SimDisk {
    rows: Rc<MemoryStorage>,
    commits: Rc<Cell<u64>>,
}

impl SimDisk {
    /// A disk without rows.
    pub fn new() -> SimDisk {
        SimDisk {
            rows: Rc::new(MemoryStorage::new()),
            commits: Rc::default(),
        }
    }

    /// A new connection. Connections of an earlier life may still be there; they see the same
    /// rows, as those of another tab would.
    pub fn open(&self, host: &Host, plan: StoragePlan) -> Rc<FaultyStorage> {
        Rc::new(FaultyStorage {
            host: host.clone(),
            disk: self.clone(),
            random: SimRandom::new(plan.seed),
            plan,
            commits: Cell::new(0),
            failing_reads: RefCell::new(None),
            state: RefCell::new(State::Open),
            waiting: RefCell::default(),
            on_crash: RefCell::new(None),
        })
    }

    /// All rows, in order.
    pub fn rows(&self) -> Vec<Row> {
        self.rows.rows()
    }

    /// How many commits reached the disk and were stored, on all connections.
    pub fn commits(&self) -> u64 {
        self.commits.get()
    }
}

impl Default for SimDisk {
    fn default() -> SimDisk {
        SimDisk::new()
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk")
            .field("rows", &self.rows)
            .field("commits", &self.commits.get())
            .finish()
    }
}

enum State {
    Open,
    Closed(ClosedReason),
    /// The process is dead: no call on this connection ever answers.
    Dead,
}

/// A connection to a [`SimDisk`] that follows a [`StoragePlan`].
pub struct FaultyStorage {
    host: Host,
    disk: SimDisk,
    plan: StoragePlan,
    random: SimRandom,
    commits: Cell<u64>,
    failing_reads: RefCell<Option<(u64, StorageError)>>,
    state: RefCell<State>,
    waiting: RefCell<Vec<oneshot::Sender<ClosedReason>>>,
    on_crash: RefCell<Option<Box<dyn Fn()>>>,
}

impl FaultyStorage {
    /// What kills the process when the plan says so: a [`CrashSwitch`](super::CrashSwitch), or the
    /// end of a task group. Without it only this connection goes silent for ever.
    pub fn on_crash(&self, kill: impl Fn() + 'static) {
        self.on_crash.replace(Some(Box::new(kill)));
    }

    /// From now on so many reads fail with this error.
    pub fn fail_reads(&self, count: u64, error: StorageError) {
        self.failing_reads.replace(Some((count, error)));
    }

    /// How many commits were called on this connection, whatever became of them.
    pub fn commits(&self) -> u64 {
        self.commits.get()
    }

    /// Whether the plan has crashed it.
    pub fn is_crashed(&self) -> bool {
        matches!(&*self.state.borrow(), State::Dead)
    }

    /// Ends the connection for a reason of the host's.
    pub fn lose(&self, reason: ClosedReason) {
        if !matches!(&*self.state.borrow(), State::Open) {
            return;
        }
        self.state.replace(State::Closed(reason.clone()));
        for waiting in self.waiting.take() {
            // Whoever waited may have gone; nothing is owed to them.
            let _ = waiting.send(reason.clone());
        }
    }

    fn crash(&self) {
        self.state.replace(State::Dead);
        let kill = self.on_crash.borrow_mut().take();
        if let Some(kill) = kill {
            kill();
        }
    }

    fn store(&self, batch: Batch) -> Result<(), StorageError> {
        if let Some(quota) = self.plan.quota_bytes {
            let rows = self.disk.rows();
            let used: usize = rows.iter().map(|(k, v)| k.as_str().len() + v.len()).sum();
            if (used + batch.bytes()) as u64 > quota && batch.bytes() > 0 {
                return Err(StorageError::QuotaExceeded(DomError::new(
                    "QuotaExceededError",
                    "the simulated disk is full",
                )));
            }
        }
        batch.validate(&self.limits())?;
        let stored = self
            .disk
            .rows
            .commit(batch, Durability::Strict)
            .now_or_never();
        let stored = stored.expect("memory storage answers at once");
        if stored.is_ok() {
            self.disk.commits.set(self.disk.commits.get() + 1);
        }
        stored
    }

    fn run_commit(&self, batch: Batch) -> Result<(), StorageError> {
        let number = self.commits.get() + 1;
        self.commits.set(number);
        let random = match &self.plan.fail_one_in {
            Some((one_in, error)) if self.random.chance(1, *one_in) => {
                Some(CommitFault::Fail(error.clone()))
            }
            _ => None,
        };
        let by_seed = |batch| {
            if self.random.chance(1, 2) {
                // Whether it passed its checks is for nobody to know.
                let _ = self.store(batch);
            }
        };
        match self.plan.commits.get(&number).cloned().or(random) {
            None => return self.store(batch),
            Some(CommitFault::Fail(error)) => return Err(error),
            Some(CommitFault::CrashBefore) => self.crash(),
            Some(CommitFault::CrashTorn) => {
                by_seed(batch);
                self.crash();
            }
            Some(CommitFault::CrashAfter) => {
                let _ = self.store(batch);
                self.crash();
            }
            Some(CommitFault::LoseConnection) => {
                by_seed(batch);
                self.lose(ClosedReason::Lost(DomError::new(
                    "UnknownError",
                    "the simulated connection was lost",
                )));
            }
        }
        Err(StorageError::OutcomeUnknown)
    }

    /// What is to become of a read.
    fn read<T>(
        &self,
        work: impl FnOnce(&MemoryStorage) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        if let Some((count, error)) = &mut *self.failing_reads.borrow_mut()
            && *count > 0
        {
            *count -= 1;
            return Err(error.clone());
        }
        match &self.plan.fail_one_read_in {
            Some((one_in, error)) if self.random.chance(1, *one_in) => Err(error.clone()),
            _ => work(&self.disk.rows),
        }
    }

    /// Does the work now and answers after the plan's delay, or never once the process is dead.
    fn answer<'a, T: 'a>(
        &'a self,
        work: impl FnOnce() -> Result<T, StorageError>,
    ) -> LocalBoxFuture<'a, Result<T, StorageError>> {
        let result = match &*self.state.borrow() {
            State::Open => None,
            State::Closed(reason) => Some(Err(reason.error())),
            State::Dead => return pending().boxed_local(),
        };
        let result = result.unwrap_or_else(work);
        let delay = u64::try_from(self.plan.max_delay.as_nanos()).unwrap_or(u64::MAX);
        let delay = Duration::from_nanos(self.random.below(delay));
        async move {
            if !delay.is_zero() && !self.is_crashed() {
                self.host.sleep(delay).await;
            }
            if self.is_crashed() {
                pending::<()>().await;
            }
            result
        }
        .boxed_local()
    }
}

impl Storage for FaultyStorage {
    fn limits(&self) -> StorageLimits {
        StorageLimits {
            max_value_bytes: self
                .plan
                .max_value_bytes
                .unwrap_or(self.disk.rows.limits().max_value_bytes),
        }
    }

    fn get<'a>(
        &'a self,
        key: &'a Key,
    ) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        self.answer(|| {
            self.read(|rows| {
                let row = rows.get(key).now_or_never();
                row.expect("memory storage answers at once")
            })
        })
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> LocalBoxFuture<'_, Result<Vec<Row>, StorageError>> {
        self.answer(|| {
            self.read(|rows| {
                let rows = rows.scan(range, direction, limit).now_or_never();
                rows.expect("memory storage answers at once")
            })
        })
    }

    fn commit(
        &self,
        batch: Batch,
        _durability: Durability,
    ) -> LocalBoxFuture<'_, Result<(), StorageError>> {
        self.answer(|| self.run_commit(batch))
    }

    fn usage(&self) -> LocalBoxFuture<'_, Result<StorageUsage, StorageError>> {
        self.answer(|| {
            let usage = self.disk.rows.usage().now_or_never();
            let usage = usage.expect("memory storage answers at once")?;
            Ok(StorageUsage {
                quota_bytes: self.plan.quota_bytes,
                ..usage
            })
        })
    }

    fn closed(&self) -> LocalBoxFuture<'static, ClosedReason> {
        match &*self.state.borrow() {
            State::Closed(reason) => return ready(reason.clone()).boxed_local(),
            State::Dead => return pending().boxed_local(),
            State::Open => {}
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push(sender);
        async move { receiver.await.unwrap_or(ClosedReason::Requested) }.boxed_local()
    }

    fn close(&self) {
        self.lose(ClosedReason::Requested);
    }
}

impl fmt::Debug for FaultyStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStorage")
            .field("commits", &self.commits.get())
            .field("crashed", &self.is_crashed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sim;
    use super::*;
    use crate::storage::conformance;

    fn one_row(number: u64) -> Batch {
        let mut batch = Batch::new();
        batch.put(Key::root().number(number), vec![0; 8]);
        batch
    }

    #[test]
    fn conforms_at_any_pace() {
        for (seed, max_delay) in [(1, 0), (2, 50), (3, 1000)] {
            for case in conformance::CASES {
                let sim = Sim::new(seed);
                let plan = StoragePlan {
                    max_delay: Duration::from_millis(max_delay),
                    ..StoragePlan::seeded(seed)
                };
                sim.block_on(case.run(SimDisk::new().open(&sim.host(), plan)));
            }
        }
    }

    #[test]
    fn crashes_where_the_plan_says() {
        for (fault, left) in [
            (CommitFault::CrashBefore, vec![1]),
            (CommitFault::CrashTorn, vec![1, 2]),
            (CommitFault::CrashAfter, vec![2]),
        ] {
            for seed in 0..20 {
                let sim = Sim::new(seed);
                let disk = SimDisk::new();
                let plan = StoragePlan::seeded(seed).at(2, fault.clone());
                let storage = disk.open(&sim.host(), plan);
                let crash = sim.crash_switch();
                storage.on_crash(move || crash.crash());
                let run = sim.try_block_on(async {
                    storage.commit(one_row(1), Durability::Relaxed).await?;
                    storage.commit(one_row(2), Durability::Relaxed).await
                });
                assert!(run.is_err());
                assert!(storage.is_crashed());
                assert!(left.contains(&disk.rows().len()), "{fault:?}");
                assert_eq!(disk.commits(), disk.rows().len() as u64);
            }
        }
    }

    #[test]
    fn fails_and_loses_as_told() {
        let sim = Sim::new(5);
        let disk = SimDisk::new();
        let full = StorageError::QuotaExceeded(DomError::new("QuotaExceededError", ""));
        let plan = StoragePlan {
            quota_bytes: Some(60),
            ..StoragePlan::seeded(5)
        }
        .at(2, CommitFault::Fail(full.clone()))
        .at(5, CommitFault::LoseConnection);
        let storage = disk.open(&sim.host(), plan);
        sim.block_on(async {
            let commit = |n| storage.commit(one_row(n), Durability::Relaxed);
            assert_eq!(commit(1).await, Ok(()));
            assert_eq!(commit(2).await, Err(full));
            assert_eq!(commit(3).await, Ok(()));
            let broken = StorageError::Aborted(DomError::new("AbortError", ""));
            storage.fail_reads(2, broken.clone());
            let key = Key::root().number(3);
            for failed in [true, true, false] {
                let read = storage.get(&key).await;
                assert_eq!(
                    read,
                    if failed {
                        Err(broken.clone())
                    } else {
                        Ok(Some(vec![0; 8]))
                    }
                );
            }
            let error = commit(4).await.unwrap_err();
            assert_eq!(error.code(), "storage_quota_exceeded");
            let closed = storage.closed();
            assert_eq!(commit(5).await, Err(StorageError::OutcomeUnknown));
            assert!(matches!(closed.await, ClosedReason::Lost(_)));
            assert_eq!(commit(6).await, Err(StorageError::Closed));
            assert_eq!(storage.commits(), 5);
            let next = disk.open(&sim.host(), StoragePlan::default());
            assert_eq!(next.get(&Key::root().number(3)).await, Ok(Some(vec![0; 8])));
        });
    }
}
