//! The port to the outside (`HostDriver`) and the handle that every room holds (`Host`).

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;

use super::fault::{Fault, FaultSwitch};
use super::group::{GroupState, TaskGroup};
use super::task::{self, JoinHandle};
use super::{Elapsed, Instant, Interval, Sleep, timeout};

/// What the shim needs from the place it runs in. Implemented by `web::BrowserHost` and by the simulator; everyone else
/// uses [`Host`].
pub trait HostDriver {
    /// Wall clock: milliseconds since the Unix epoch. May jump either way when the user sets the clock.
    fn now_ms(&self) -> u64;

    /// Time since some fixed point. Never goes back; may stand still between turns of the event loop.
    fn monotonic(&self) -> Duration;

    /// Runs `task` to its end, beginning after the caller returned to the event loop, never inside this call.
    /// `origin` is the line that spawned it, for reports.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>, origin: &'static Location<'static>);

    /// Resolves no sooner than `after` from now; from then on [`monotonic`](Self::monotonic) says so too, even where the clock stands
    /// still. Dropping the future cancels the timer. `after` is at most [`timer_limit`](Self::timer_limit).
    fn timer(&self, after: Duration) -> LocalBoxFuture<'static, ()>;

    /// The longest time that one [`timer`](Self::timer) can take. Longer sleeps are chained from several timers.
    fn timer_limit(&self) -> Duration {
        Duration::MAX
    }

    /// Resolves in a later macrotask: what the event loop has waiting (input, rendering, timers, messages) comes first.
    fn yield_now(&self) -> LocalBoxFuture<'static, ()>;

    /// Fills `buffer` with random bytes, in a browser from the cryptographic source.
    fn fill_random(&self, buffer: &mut [u8]);
}

/// A cheap, clonable handle to the place the runtime lives in: its clocks, timers, event loop and randomness.
///
/// A host belongs to a task group or to none: what is spawned through [`TaskGroup::host`] ends with that group.
#[derive(Clone)]
pub struct Host {
    driver: Rc<dyn HostDriver>,
    group: Option<Rc<GroupState>>,
    faults: FaultSwitch,
    /// Milliseconds and counter of the newest [`uuid_v7`](Self::uuid_v7), of all clones.
    newest_id: Rc<Cell<u64>>,
}

/// The bits of a [`uuid_v7`](Host::uuid_v7)'s counter, between its milliseconds and what is random.
const ID_COUNTER_BITS: u32 = 12;

impl Host {
    /// A host over `driver`, in no task group.
    pub fn new(driver: Rc<dyn HostDriver>) -> Self {
        Self {
            driver,
            group: None,
            faults: FaultSwitch::default(),
            newest_id: Rc::default(),
        }
    }

    /// The driver underneath, for one that wraps it.
    pub fn driver(&self) -> Rc<dyn HostDriver> {
        self.driver.clone()
    }

    /// Wall clock: milliseconds since the Unix epoch. For stamps that people and other machines read; for measuring
    /// use [`instant`](Self::instant).
    pub fn now_ms(&self) -> u64 {
        self.driver.now_ms()
    }

    /// The monotonic clock's present reading.
    pub fn instant(&self) -> Instant {
        Instant::from_offset(self.driver.monotonic())
    }

    /// Spawns `future` as a task of this host's group. It is first polled after the caller returned to the event loop.
    ///
    /// Dropping the handle detaches the task. If the group is gone already the future is dropped at once and the handle
    /// answers [`Aborted`](super::Aborted).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        task::spawn(
            &*self.driver,
            self.group.as_ref(),
            future,
            Location::caller(),
        )
    }

    /// A future that resolves once `duration` has passed since this call; at its first poll if that is zero.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.instant() + duration)
    }

    /// A future that resolves once the clock has reached `deadline`; at its first poll if it already has.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep::new(self.driver.clone(), deadline)
    }

    /// A ticker with the given period. The first tick is due at once, as in tokio; ticks that were missed are skipped.
    ///
    /// # Panics
    ///
    /// When `period` is zero.
    pub fn interval(&self, period: Duration) -> Interval {
        Interval::new(self.clone(), period)
    }

    /// Runs `future` for at most `duration` from this call. The future wins when both are ready; on a timeout it is
    /// dropped before the error is answered.
    pub fn timeout<F: Future>(
        &self,
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + use<F> {
        timeout::run(self.sleep(duration), future)
    }

    /// Gives the event loop a turn: resolves in a later macrotask, with no delay of its own.
    pub fn yield_now(&self) -> impl Future<Output = ()> + 'static + use<> {
        // Made at the first poll, so that a yield nobody awaits costs nothing.
        let driver = self.driver.clone();
        async move { driver.yield_now().await }
    }

    /// Fills `buffer` with random bytes.
    pub fn fill_random(&self, buffer: &mut [u8]) {
        self.driver.fill_random(buffer);
    }

    /// A random number, uniform over all 64 bits.
    pub fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.driver.fill_random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A new UUID of version 7 (RFC 9562, section 5.7) in its usual lower-case form. It begins with the wall clock's
    /// milliseconds, and it sorts behind all that this host and its clones made before, also where the clock stands still
    /// or is set back: a counter follows the milliseconds and carries over into them (section 6.2, method 1).
    pub fn uuid_v7(&self) -> String {
        let mut bytes = [0; 16];
        self.driver.fill_random(&mut bytes[6..]);
        // The counter begins in its lower half, so that there is room above.
        let begin = u64::from(u16::from_be_bytes([bytes[6] & 0x07, bytes[7]]));
        let now = (self.now_ms() << ID_COUNTER_BITS) | begin;
        let id = now.max(self.newest_id.get() + 1);
        self.newest_id.set(id);
        bytes[..6].copy_from_slice(&(id >> ID_COUNTER_BITS).to_be_bytes()[2..]);
        [bytes[6], bytes[7]] = (0x7000 | (id as u16 & 0x0fff)).to_be_bytes();
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for nibble in [byte >> 4, byte & 0x0f] {
                text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
        text
    }

    /// A new task group inside this host's group: it ends when it is dropped, or earlier with its parent.
    pub fn task_group(&self) -> TaskGroup {
        TaskGroup::new(self.clone(), self.group.as_ref())
    }

    /// Whether the given fault was planted into this host's runtime, so that the simulation suite can prove that it would
    /// find it. Always `false`, at no cost, outside the crate's own tests and the feature `testing`.
    pub fn planted(&self, fault: Fault) -> bool {
        self.faults.is_planted(fault)
    }

    /// The same host, spawning into `group`.
    pub(super) fn in_group(&self, group: Rc<GroupState>) -> Host {
        Host {
            group: Some(group),
            ..self.clone()
        }
    }
}

/// Only for tests: makes the runtime wrong on purpose.
#[cfg(any(test, feature = "testing"))]
impl Host {
    /// The same host with `fault` planted, besides those planted before. It holds for this handle, its clones and the
    /// groups made from them, not for the handle it was made from.
    pub fn with_planted(&self, fault: Fault) -> Host {
        Host {
            faults: self.faults.with(fault),
            ..self.clone()
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("in_group", &self.group.is_some())
            .finish_non_exhaustive()
    }
}
