//! Why a simulated run could not go on, and which tasks were left.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A simulated run ended before the awaited future did.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SimError {
    /// Nothing is ready, no timer is armed: nothing would ever happen again.
    #[error("stuck: no task is ready and no timer is armed; {0}")]
    Stuck(Unfinished),
    /// Very many steps were made with the clock standing still: a loop that only wakes itself.
    #[error("livelock: {steps} steps without the clock moving; {unfinished}")]
    Livelock {
        /// How many steps were made since the clock last moved.
        steps: u64,
        /// The tasks at that moment.
        unfinished: Unfinished,
    },
    /// [`Sim::crash`](super::Sim::crash) was called from inside the run. The awaited future was dropped.
    #[error("the simulated process crashed")]
    Crashed,
}

/// The tasks that had not ended, oldest first.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// The seed of the run.
    pub seed: u64,
    /// The virtual clock's reading.
    pub at: Duration,
    /// The tasks.
    pub tasks: Vec<TaskReport>,
}

/// One task in a report.
#[derive(Debug, Clone)]
pub struct TaskReport {
    /// The line that spawned it.
    pub origin: &'static Location<'static>,
    /// How often it was polled.
    pub polls: u64,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}, at {:?}, {} unfinished tasks",
            self.seed,
            self.at,
            self.tasks.len()
        )?;
        for task in &self.tasks {
            write!(f, "\n  {} (polled {} times)", task.origin, task.polls)?;
        }
        Ok(())
    }
}
