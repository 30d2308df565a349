//! A ticker that skips what it missed.

use std::time::Duration;

use super::{Host, Instant};

/// Ticks at multiples of a period. Made by [`Host::interval`](super::Host::interval).
///
/// The first tick is due when the interval is made. A tick that could not be taken in time comes late, and the ticks that fell
/// due meanwhile are skipped, so the ticks keep their places in time and never come in a burst. No timer is armed
/// while nobody awaits [`tick`](Self::tick).
///
/// ```
/// use mobkit_web::sim::Sim;
/// use std::time::Duration;
///
/// let sim = Sim::new(1);
/// let host = sim.host();
/// sim.block_on(async move {
///     let mut interval = host.interval(Duration::from_millis(10));
///     let first = interval.tick().await;
///     host.sleep(Duration::from_millis(25)).await; // misses the tick at 10 and the one at 20
///     assert_eq!(interval.tick().await - first, Duration::from_millis(10));
///     assert_eq!(interval.tick().await - first, Duration::from_millis(30));
/// });
/// ```
#[derive(Debug)]
pub struct Interval {
    host: Host,
    next: Instant,
    period: Duration,
}

impl Interval {
    pub(super) fn new(host: Host, period: Duration) -> Self {
        assert!(!period.is_zero(), "an interval needs a period above zero");
        Self {
            next: host.instant(),
            host,
            period,
        }
    }

    /// Waits for the next tick and answers the instant at which it was due. Dropping the future loses no tick.
    pub async fn tick(&mut self) -> Instant {
        let due = self.next;
        self.host.sleep_until(due).await;
        let late = self.host.instant() - due;
        let skipped = late.as_nanos() / self.period.as_nanos();
        self.next = due
            + self
                .period
                .saturating_mul(u32::try_from(skipped + 1).unwrap_or(u32::MAX));
        due
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }
}
