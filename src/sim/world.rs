//! The state of a simulated world and the steps it makes.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures::future::LocalBoxFuture;

use super::random::SimRandom;
use super::report::{SimError, TaskReport, Unfinished};
use crate::shim::Latch;

/// What the wall clock shows when a simulation begins: 2025-01-01T00:00:00Z.
const WALL_START_MS: u64 = 1_735_689_600_000;

/// So many polls at one instant are taken for a livelock; the busiest honest start-up stays far below.
const DEFAULT_STEP_LIMIT: u64 = 10_000_000;

/// In place of a slot: the future that the caller of `Sim::block_on` awaits.
pub(super) const MAIN: usize = usize::MAX;

/// The state of a simulated world.
pub(super) struct World {
    seed: u64,
    order: SimRandom,
    bytes: SimRandom,
    draws: SimRandom,
    /// Counts crashes. Hosts, timers and yields of an earlier epoch are dead.
    epoch: Cell<u64>,
    /// A crash is dropping what there was.
    ending: Cell<bool>,
    running: Cell<bool>,
    clock: Cell<Duration>,
    /// What the wall clock would show at the clock's zero. Wide enough for any setting of the wall clock.
    wall_at_zero: Cell<i128>,
    tasks: RefCell<Tasks>,
    ready: Arc<ReadyQueue>,
    timers: RefCell<BTreeMap<TimerKey, Rc<Latch>>>,
    yields: RefCell<VecDeque<Rc<Latch>>>,
    next_timer: Cell<u64>,
    timers_fired: Cell<u64>,
    steps: Cell<u64>,
    /// Steps since the clock last moved.
    steps_here: Cell<u64>,
    step_limit: Cell<u64>,
}

/// The tasks. A slot is used again after its task; wakers are told apart by identity, not by slot.
#[derive(Default)]
struct Tasks {
    slots: Vec<Option<TaskSlot>>,
    free: Vec<usize>,
    born: u64,
}

struct TaskSlot {
    /// Out while it is polled.
    future: Option<LocalBoxFuture<'static, ()>>,
    waker: Arc<TaskWaker>,
    origin: &'static Location<'static>,
    polls: u64,
    birth: u64,
}

/// Those that are ready to run. Behind a lock only because wakers must be `Send`; nobody ever waits for it.
#[derive(Default)]
struct ReadyQueue(Mutex<Vec<Arc<TaskWaker>>>);

impl ReadyQueue {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<TaskWaker>>> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct TaskWaker {
    slot: usize,
    queued: AtomicBool,
    queue: Arc<ReadyQueue>,
}

impl TaskWaker {
    /// From here on a wake counts again.
    pub(super) fn begin_poll(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        Self::wake_by_ref(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.queue.lock().push(self.clone());
        }
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let order = SimRandom::new(seed);
        Self {
            seed,
            // Sequences of their own, so that a component that draws bytes does not shift the schedule.
            bytes: order.fork(),
            draws: order.fork(),
            order,
            epoch: Cell::new(0),
            ending: Cell::new(false),
            running: Cell::new(false),
            clock: Cell::new(Duration::ZERO),
            wall_at_zero: Cell::new(i128::from(WALL_START_MS)),
            tasks: RefCell::default(),
            ready: Arc::default(),
            timers: RefCell::default(),
            yields: RefCell::default(),
            next_timer: Cell::new(0),
            timers_fired: Cell::new(0),
            steps: Cell::new(0),
            steps_here: Cell::new(0),
            step_limit: Cell::new(DEFAULT_STEP_LIMIT),
        }
    }

    pub(super) fn enter(&self) -> Running<'_> {
        assert!(
            !self.running.replace(true),
            "a simulation cannot be run from inside itself"
        );
        Running(&self.running)
    }

    pub(super) fn task_waker(&self, slot: usize) -> Arc<TaskWaker> {
        Arc::new(TaskWaker {
            slot,
            queued: AtomicBool::new(false),
            queue: self.ready.clone(),
        })
    }

    /// Draws one of the ready tasks.
    pub(super) fn next_ready(&self) -> Option<Arc<TaskWaker>> {
        let mut ready = self.ready.lock();
        let index = match ready.len() {
            0 => return None,
            1 => 0,
            several => self.order.below(several as u64) as usize,
        };
        Some(ready.swap_remove(index))
    }

    pub(super) fn poll_task(&self, waker: Arc<TaskWaker>) {
        let future = {
            let mut tasks = self.tasks.borrow_mut();
            match tasks.slots.get_mut(waker.slot) {
                Some(Some(slot)) if Arc::ptr_eq(&slot.waker, &waker) => {
                    slot.polls += 1;
                    slot.future.take()
                }
                // The waker of a task that has ended, or of a future that `try_block_on` no longer awaits.
                _ => None,
            }
        };
        let Some(mut future) = future else { return };
        // Before the poll: a wake from inside counts.
        waker.begin_poll();
        let epoch = self.epoch.get();
        let std_waker = Waker::from(waker.clone());
        let pending = future
            .as_mut()
            .poll(&mut Context::from_waker(&std_waker))
            .is_pending();
        // No borrow is held here: dropping the future runs user code. After a crash the slot may be another task's.
        if self.epoch.get() != epoch {
            drop(future);
            return;
        }
        let mut tasks = self.tasks.borrow_mut();
        if pending {
            if let Some(Some(slot)) = tasks.slots.get_mut(waker.slot) {
                slot.future = Some(future);
            }
        } else {
            let ended = tasks.slots.get_mut(waker.slot).and_then(Option::take);
            tasks.free.push(waker.slot);
            drop(tasks);
            drop(ended);
            drop(future);
        }
    }

    /// When no task is ready: one macrotask, else the clock jumps to the next timer.
    pub(super) fn turn_event_loop(&self) -> Result<(), SimError> {
        if self.macrotask(Duration::MAX) {
            return Ok(());
        }
        match self.next_deadline() {
            Some(deadline) => {
                self.move_clock(deadline);
                Ok(())
            }
            None => Err(SimError::Stuck(self.unfinished())),
        }
    }

    /// Ends one yield or fires one due timer. Yields keep their order, as messages do; timers that are due at one
    /// instant do not. The clock does not go beyond `horizon`.
    pub(super) fn macrotask(&self, horizon: Duration) -> bool {
        let yields = !self.yields.borrow().is_empty();
        // Between yields there is work, and work takes time: up to a millisecond now and then, while there is a timer to notice.
        if yields
            && let Some(deadline) = self.next_deadline()
            && self.order.chance(1, 16)
        {
            let work = Duration::from_micros(self.order.below(1_000));
            let now = self.clock.get().saturating_add(work);
            self.move_clock(now.min(deadline).min(horizon));
        }
        let mut due = [(Duration::ZERO, 0); 8];
        let mut count = 0;
        let end = (self.clock.get(), u64::MAX);
        for (place, (key, _)) in due.iter_mut().zip(self.timers.borrow().range(..=end)) {
            *place = *key;
            count += 1;
        }
        let latch = if yields && (count == 0 || self.order.chance(1, 2)) {
            self.yields.borrow_mut().pop_front()
        } else if count > 0 {
            let key = due[self.order.below(count) as usize];
            self.timers_fired.set(self.timers_fired.get() + 1);
            self.timers.borrow_mut().remove(&key)
        } else {
            None
        };
        match latch {
            Some(latch) => {
                latch.open();
                true
            }
            None => false,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let timers = self.timers.borrow();
        timers.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    pub(super) fn move_clock(&self, to: Duration) {
        if to > self.clock.get() {
            self.clock.set(to);
            self.steps_here.set(0);
        }
    }

    pub(super) fn count_step(&self) -> Result<(), SimError> {
        self.steps.set(self.steps.get() + 1);
        self.steps_here.set(self.steps_here.get() + 1);
        if self.steps_here.get() > self.step_limit.get() {
            return Err(SimError::Livelock {
                steps: self.steps_here.get(),
                unfinished: self.unfinished(),
            });
        }
        Ok(())
    }

    pub(super) fn unfinished(&self) -> Unfinished {
        let tasks = self.tasks.borrow();
        let mut live: Vec<_> = tasks.slots.iter().flatten().collect();
        live.sort_by_key(|slot| slot.birth);
        Unfinished {
            seed: self.seed,
            at: self.clock.get(),
            tasks: live
                .into_iter()
                .map(|slot| TaskReport {
                    origin: slot.origin,
                    polls: slot.polls,
                })
                .collect(),
        }
    }

    pub(super) fn crash(&self) {
        if self.ending.replace(true) {
            return;
        }
        // First of all, so that destructors can spawn and arm nothing: every host that exists is of an earlier epoch now.
        self.epoch.set(self.epoch.get() + 1);
        let mut tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        tasks
            .slots
            .sort_by_key(|slot| slot.as_ref().map(|slot| slot.birth));
        for slot in tasks.slots {
            drop(slot);
        }
        drop(self.timers.take());
        drop(self.yields.take());
        let ready = std::mem::take(&mut *self.ready.lock());
        drop(ready);
        self.ending.set(false);
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn draws(&self) -> &SimRandom {
        &self.draws
    }

    pub(super) fn armed_timers(&self) -> usize {
        self.timers.borrow().len()
    }

    pub(super) fn timers_fired(&self) -> u64 {
        self.timers_fired.get()
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps.get()
    }

    pub(super) fn set_step_limit(&self, steps: u64) {
        self.step_limit.set(steps);
    }

    pub(super) fn set_wall_clock(&self, now_ms: u64) {
        let offset = i128::try_from(self.clock.get().as_millis()).unwrap_or(i128::MAX);
        self.wall_at_zero
            .set(i128::from(now_ms).saturating_sub(offset));
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    pub(super) fn clock(&self) -> Duration {
        self.clock.get()
    }

    pub(super) fn now_ms(&self) -> u64 {
        let offset = i128::try_from(self.clock.get().as_millis()).unwrap_or(i128::MAX);
        let now = self.wall_at_zero.get().saturating_add(offset);
        u64::try_from(now.max(0)).unwrap_or(u64::MAX)
    }

    pub(super) fn bytes(&self) -> &SimRandom {
        &self.bytes
    }

    pub(super) fn spawn(
        &self,
        future: LocalBoxFuture<'static, ()>,
        origin: &'static Location<'static>,
    ) {
        let waker = {
            let mut tasks = self.tasks.borrow_mut();
            let index = tasks.free.pop().unwrap_or_else(|| {
                tasks.slots.push(None);
                tasks.slots.len() - 1
            });
            let waker = self.task_waker(index);
            tasks.born += 1;
            let birth = tasks.born;
            tasks.slots[index] = Some(TaskSlot {
                future: Some(future),
                waker: waker.clone(),
                origin,
                polls: 0,
                birth,
            });
            waker
        };
        waker.wake_by_ref();
    }

    pub(super) fn arm_timer(&self, after: Duration) -> (TimerKey, Rc<Latch>) {
        let number = self.next_timer.get();
        self.next_timer.set(number + 1);
        let key = (self.clock.get().saturating_add(after), number);
        let latch = Rc::new(Latch::default());
        self.timers.borrow_mut().insert(key, latch.clone());
        (key, latch)
    }

    pub(super) fn disarm_timer(&self, key: TimerKey) {
        let latch = self.timers.borrow_mut().remove(&key);
        drop(latch);
    }

    pub(super) fn queue_yield(&self) -> Rc<Latch> {
        let latch = Rc::new(Latch::default());
        self.yields.borrow_mut().push_back(latch.clone());
        latch
    }
}

/// A timer's deadline and number.
pub(super) type TimerKey = (Duration, u64);

/// Marks the world as running until dropped.
pub(super) struct Running<'a>(&'a Cell<bool>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
