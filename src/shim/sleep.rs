//! Sleeping until an instant, over timers that may be short, early, or on a clock that stands still.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::LocalBoxFuture;

use super::Instant;
use super::host::HostDriver;

/// Resolves when the clock has reached a deadline, never before. Made by [`Host::sleep`](super::Host::sleep) and
/// [`Host::sleep_until`](super::Host::sleep_until).
///
/// Its timer is armed at the first poll; dropping it cancels the timer.
#[must_use = "a sleep does nothing unless awaited, and is cancelled on drop"]
pub struct Sleep {
    driver: Rc<dyn HostDriver>,
    deadline: Instant,
    /// What timers have waited since the clock last moved; counts as if the clock had moved by it.
    credit: Duration,
    armed: Option<Armed>,
}

struct Armed {
    timer: LocalBoxFuture<'static, ()>,
    length: Duration,
    /// The clock's reading when the timer was made.
    since: Duration,
}

impl Sleep {
    pub(super) fn new(driver: Rc<dyn HostDriver>, deadline: Instant) -> Self {
        Self {
            driver,
            deadline,
            credit: Duration::ZERO,
            armed: None,
        }
    }

    /// The instant at which it resolves.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if let Some(armed) = &mut this.armed {
                if armed.timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                // An edge worker's clock stands still between input and output. If it did not move while the timer ran,
                // the timer is the better clock; asking the clock again would sleep for ever.
                // Once it moves it is right again and counts alone.
                if this.driver.monotonic() == armed.since {
                    this.credit += armed.length;
                } else {
                    this.credit = Duration::ZERO;
                }
                this.armed = None;
            }
            let since = this.driver.monotonic();
            let left = this
                .deadline
                .offset()
                .saturating_sub(since.saturating_add(this.credit));
            if left.is_zero() {
                return Poll::Ready(());
            }
            // Longer than one timer can take, or fired a little early as browsers do: go on with what is left.
            let length = left.min(this.driver.timer_limit());
            this.armed = Some(Armed {
                timer: this.driver.timer(length),
                length,
                since,
            });
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("armed", &self.armed.is_some())
            .finish_non_exhaustive()
    }
}
