//! Sleeping until an instant, over timers that may be too short or a little early.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

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
    timer: Option<LocalBoxFuture<'static, ()>>,
}

impl Sleep {
    pub(super) fn new(driver: Rc<dyn HostDriver>, deadline: Instant) -> Self {
        Self {
            driver,
            deadline,
            timer: None,
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
            if let Some(timer) = &mut this.timer {
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.timer = None;
            }
            let now = this.driver.monotonic();
            let left = this.deadline.offset().saturating_sub(now);
            if left.is_zero() {
                return Poll::Ready(());
            }
            // Longer than one timer can take, or woken early: go on with what is left.
            this.timer = Some(this.driver.timer(left.min(this.driver.timer_limit())));
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("armed", &self.timer.is_some())
            .finish_non_exhaustive()
    }
}
