//! When to ask a model again, as a pure rule.

use std::time::Duration;

use super::ModelError;

/// How often and how patiently a failed request is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most tries in all, the first included.
    pub max_attempts: u32,
    /// The wait before the second try; doubled for each further one.
    pub base_delay: Duration,
    /// The longest wait of our own choosing.
    pub max_delay: Duration,
    /// The longest wait a provider may ask for; beyond it the request fails instead of holding its work up unseen.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(20),
            max_retry_after: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// How long to wait before the next try, or `None` when there shall be none.
    ///
    /// `attempt` is the number of the try that failed, from 1. `random` spreads the waits of members that failed together:
    /// a wait of our own choosing is between half of its nominal length and all of it; one the provider asked for is kept
    /// and never shortened.
    pub fn delay_after(&self, attempt: u32, error: &ModelError, random: u64) -> Option<Duration> {
        if attempt >= self.max_attempts || !error.retryable() {
            return None;
        }
        if let Some(asked) = error.retry_after() {
            return (asked <= self.max_retry_after).then_some(asked);
        }
        let doubled = 1u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let nominal = self.base_delay.saturating_mul(doubled).min(self.max_delay);
        let half = nominal / 2;
        let share = u32::try_from(random % 1024).expect("a remainder of 1024 fits");
        Some(half + half * share / 1023)
    }
}
