//! Keeping long work from blocking the event loop.

use std::time::Duration;

use super::{Host, Instant};

/// Half a frame at sixty frames a second: input and rendering keep their time.
const DEFAULT_TIME: Duration = Duration::from_millis(8);

/// An edge worker's clock stands still between input and output, so time alone would never yield there.
const DEFAULT_STEPS: u32 = 1_000;

/// Yields to the event loop by time or by steps, whichever comes first.
///
/// ```
/// use mobkit_web::{shim::YieldBudget, sim::Sim};
///
/// let sim = Sim::new(1);
/// let mut budget = YieldBudget::new(&sim.host());
/// sim.block_on(async {
///     for _row in 0..100_000 {
///         // … the work on one row …
///         budget.step().await;
///     }
///     assert_eq!(budget.yields(), 100);
/// });
/// ```
#[derive(Debug)]
pub struct YieldBudget {
    host: Host,
    time: Duration,
    steps: u32,
    since: Instant,
    made: u32,
    yields: u64,
}

impl YieldBudget {
    /// A budget of 8 milliseconds or 1 000 steps, counted from now.
    pub fn new(host: &Host) -> Self {
        Self::with_limits(host, DEFAULT_TIME, DEFAULT_STEPS)
    }

    /// A budget of its own size; `steps` of zero yields at every step.
    pub fn with_limits(host: &Host, time: Duration, steps: u32) -> Self {
        Self {
            host: host.clone(),
            time,
            steps,
            since: host.instant(),
            made: 0,
            yields: 0,
        }
    }

    /// Counts one step and yields when the budget is used up, which then begins anew. A step that does not yield does not
    /// suspend the caller.
    pub async fn step(&mut self) {
        self.made += 1;
        if self.made < self.steps && self.host.instant() - self.since < self.time {
            return;
        }
        self.host.yield_now().await;
        self.made = 0;
        self.since = self.host.instant();
        self.yields += 1;
    }

    /// How often it has yielded.
    pub fn yields(&self) -> u64 {
        self.yields
    }
}
