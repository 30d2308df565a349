//! An event that happens once and has one waiter: what hosts make their timers and yields of.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// A one-shot event. Dropping it, or the future over it, wakes nobody.
#[derive(Default)]
pub(crate) struct Latch {
    opened: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Latch {
    pub(crate) fn open(&self) {
        self.opened.set(true);
        let waiter = self.waiter.take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.opened.get() {
            return Poll::Ready(());
        }
        drop(self.waiter.replace(Some(cx.waker().clone())));
        Poll::Pending
    }
}
