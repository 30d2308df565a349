//! The seeded scheduler and its virtual clock.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::driver::SimDriver;
use super::random::SimRandom;
use super::report::{SimError, Unfinished};
use super::world::{MAIN, World};
use crate::shim::Host;

/// A deterministic world with one event loop: tasks, timers, clocks and random numbers, all from one seed.
///
/// Of the tasks that are ready the next one is drawn from the seed. When none is ready, one yield or one due timer is
/// (the macrotasks); when there is none of these either, the virtual clock jumps to the next timer. While there are yields and timers
/// the clock moves a little now and then, as if the work between the yields had taken its time. No real time passes.
///
/// ```
/// use mobkit_web::sim::Sim;
/// use std::time::Duration;
///
/// let sim = Sim::new(42);
/// let host = sim.host();
/// sim.block_on(host.sleep(Duration::from_secs(86_400)));
/// assert_eq!(sim.elapsed(), Duration::from_secs(86_400));
/// ```
pub struct Sim {
    world: Rc<World>,
}

impl Sim {
    /// A world whose every choice follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            world: Rc::new(World::new(seed)),
        }
    }

    /// A host in this world. After a [`crash`](Self::crash) hosts taken before are dead: what they spawn is dropped and their timers
    /// never fire. Take a new one then.
    pub fn host(&self) -> Host {
        Host::new(Rc::new(SimDriver::new(self.world.clone())))
    }

    /// The seed of this world.
    pub fn seed(&self) -> u64 {
        self.world.seed()
    }

    /// Random numbers for the test itself and for simulated devices; they do not shift the schedule.
    pub fn random(&self) -> &SimRandom {
        self.world.draws()
    }

    /// Runs the world until `future` resolves.
    ///
    /// # Panics
    ///
    /// With a report of the unfinished tasks when it can never resolve ([`SimError`]), and when called from inside a task.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.try_block_on(future) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs the world until `future` resolves, or answers why it cannot.
    ///
    /// # Panics
    ///
    /// When called from inside a task.
    pub fn try_block_on<F: Future>(&self, future: F) -> Result<F::Output, SimError> {
        let _running = self.world.enter();
        let world = &self.world;
        let main = world.task_waker(MAIN);
        let waker = Waker::from(main.clone());
        let mut future = pin!(future);
        waker.wake_by_ref();
        let epoch = world.epoch();
        loop {
            let Some(next) = world.next_ready() else {
                world.turn_event_loop()?;
                continue;
            };
            world.count_step()?;
            if Arc::ptr_eq(&next, &main) {
                main.begin_poll();
                let mut cx = Context::from_waker(&waker);
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    return Ok(output);
                }
            } else {
                world.poll_task(next);
            }
            if world.epoch() != epoch {
                return Err(SimError::Crashed);
            }
        }
    }

    /// Runs everything that can run at this instant: ready tasks, yields and due timers. The clock is not moved.
    ///
    /// # Panics
    ///
    /// On a livelock, and when called from inside a task.
    pub fn run_until_idle(&self) {
        self.advance(Duration::ZERO);
    }

    /// Moves the clock by `duration`, running on the way whatever falls due, each at its instant.
    ///
    /// # Panics
    ///
    /// On a livelock, and when called from inside a task.
    pub fn advance(&self, duration: Duration) {
        let _running = self.world.enter();
        let world = &self.world;
        let end = world.clock().saturating_add(duration);
        loop {
            while let Some(next) = world.next_ready() {
                if let Err(error) = world.count_step() {
                    panic!("{error}");
                }
                world.poll_task(next);
            }
            if world.macrotask(end) {
                continue;
            }
            match world.next_deadline() {
                Some(deadline) if deadline <= end => world.move_clock(deadline),
                _ => break,
            }
        }
        world.move_clock(end);
    }

    /// The end of the simulated process, as when the browser kills a tab: every task, timer and yield is dropped, and the hosts
    /// taken so far are dead. Clocks and random numbers go on, so that a new run in this world, on what a simulated disk
    /// has kept, continues the same history.
    ///
    /// From inside a task the crash comes at once for all others and for the caller as soon as its poll returns; a
    /// [`try_block_on`](Self::try_block_on) on the way answers [`SimError::Crashed`]. To end only a part of the world, put that part into a
    /// [`TaskGroup`](crate::shim::TaskGroup).
    pub fn crash(&self) {
        self.world.crash();
    }

    /// A handle by which a task or a simulated device can crash the world. See [`crash`](Self::crash).
    pub fn crash_switch(&self) -> CrashSwitch {
        CrashSwitch(self.world.clone())
    }

    /// How far the virtual clock has gone since the world began.
    pub fn elapsed(&self) -> Duration {
        self.world.clock()
    }

    /// Sets the wall clock to `now_ms` milliseconds since the Unix epoch, as a user or a time server does: timers and instants take
    /// no notice.
    pub fn set_wall_clock(&self, now_ms: u64) {
        self.world.set_wall_clock(now_ms);
    }

    /// How many timers are armed. An idle runtime has none.
    pub fn armed_timers(&self) -> usize {
        self.world.armed_timers()
    }

    /// How many timers have fired since the world began.
    pub fn timers_fired(&self) -> u64 {
        self.world.timers_fired()
    }

    /// How many polls were made since the world began.
    pub fn steps(&self) -> u64 {
        self.world.steps()
    }

    /// Sets how many polls at one instant are taken for a livelock; ten million unless set.
    pub fn set_step_limit(&self, steps: u64) {
        self.world.set_step_limit(steps);
    }

    /// The tasks that have not ended, oldest first.
    pub fn unfinished(&self) -> Unfinished {
        self.world.unfinished()
    }
}

/// Ends the world: tasks hold hosts and hosts hold the world, so without this it would never be freed.
impl Drop for Sim {
    fn drop(&mut self) {
        self.world.crash();
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.seed())
            .field("elapsed", &self.elapsed())
            .field("tasks", &self.world.unfinished().tasks.len())
            .finish_non_exhaustive()
    }
}

/// Crashes a simulated world from inside it. Made by [`Sim::crash_switch`].
#[derive(Clone)]
pub struct CrashSwitch(Rc<World>);

impl CrashSwitch {
    /// See [`Sim::crash`].
    pub fn crash(&self) {
        self.0.crash();
    }
}

impl fmt::Debug for CrashSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashSwitch").finish_non_exhaustive()
    }
}
