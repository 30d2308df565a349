//! A point on a host's monotonic clock.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point on a [`Host`](super::Host)'s monotonic clock.
///
/// Instants of one host can be compared and subtracted; instants of different hosts have nothing to do with each other.
/// The clock never goes back, but it may stand still: an edge worker's clock moves only with input and output.
///
/// ```
/// use mobkit_web::sim::Sim;
/// use std::time::Duration;
///
/// let sim = Sim::new(1);
/// let start = sim.host().instant();
/// sim.advance(Duration::from_millis(250));
/// assert_eq!(sim.host().instant() - start, Duration::from_millis(250));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The instant `offset` after the zero of the host's clock.
    pub(crate) fn from_offset(offset: Duration) -> Self {
        Self(offset)
    }

    /// How far after the zero of the host's clock this instant lies.
    pub(crate) fn offset(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this instant, zero when `earlier` is the later one.
    pub fn duration_since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The instant `rhs` later; a sum beyond the clock's range stays at its end, which no timer ever reaches.
impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, rhs: Duration) -> Instant {
        Instant(self.0.saturating_add(rhs))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

/// The time between two instants, zero when the right one is the later.
impl Sub for Instant {
    type Output = Duration;
    fn sub(self, rhs: Instant) -> Duration {
        self.duration_since(rhs)
    }
}
