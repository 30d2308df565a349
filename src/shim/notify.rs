//! The wake-up primitive: tells any number of waiters that something changed.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Wakes all who wait. A cheap handle; clones are the same primitive.
///
/// It carries no value: a waiter looks at the state it cares about, takes a [`Notified`] *before* looking, and awaits it
/// when there is nothing to do yet. A [`Notified`] counts from its creation, so a change between the look and the await
/// is not lost.
///
/// ```
/// use mobkit_web::shim::Notify;
/// use mobkit_web::sim::Sim;
///
/// let sim = Sim::new(1);
/// let notify = Notify::new();
/// let notified = notify.notified();
/// notify.notify_waiters(); // nobody has polled it yet
/// sim.block_on(notified);
/// ```
#[derive(Clone, Default)]
pub struct Notify(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// How often all waiters were notified.
    round: u64,
    next: u64,
    /// Those of this round who have been polled, in the order of their first poll, which is that of their tickets.
    waiting: Vec<(u64, Waker)>,
}

impl State {
    /// Where the waiter with this ticket is, or would be.
    fn place(&self, ticket: u64) -> Result<usize, usize> {
        self.waiting
            .binary_search_by_key(&ticket, |waiter| waiter.0)
    }
}

impl Notify {
    /// A primitive that nobody waits on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves every [`Notified`] that exists at this moment, polled or not, and none made later. Wakes them in the
    /// order in which they began to wait.
    pub fn notify_waiters(&self) {
        let waiting = {
            let mut state = self.0.borrow_mut();
            state.round += 1;
            std::mem::take(&mut state.waiting)
        };
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    /// A future that resolves at the next [`notify_waiters`](Self::notify_waiters) after this call.
    pub fn notified(&self) -> Notified {
        Notified {
            round: self.0.borrow().round,
            ticket: None,
            notify: self.clone(),
        }
    }

    /// How many futures wait at this moment; those that were never polled do not count.
    pub fn waiters(&self) -> usize {
        self.0.borrow().waiting.len()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify")
            .field("waiters", &self.waiters())
            .finish_non_exhaustive()
    }
}

/// Resolves when its [`Notify`] notifies. Dropping it stops the waiting.
#[derive(Debug)]
#[must_use = "a notification is only seen when awaited"]
pub struct Notified {
    notify: Notify,
    round: u64,
    ticket: Option<u64>,
}

impl Future for Notified {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.notify.0.borrow_mut();
        if state.round != this.round {
            return Poll::Ready(());
        }
        let ticket = *this.ticket.get_or_insert_with(|| {
            state.next += 1;
            state.next
        });
        let replaced = match state.place(ticket) {
            Ok(at) if state.waiting[at].1.will_wake(cx.waker()) => None,
            Ok(at) => {
                let waker = cx.waker().clone();
                Some(std::mem::replace(&mut state.waiting[at].1, waker))
            }
            Err(at) => {
                state.waiting.insert(at, (ticket, cx.waker().clone()));
                None
            }
        };
        // A waker is foreign code: it is dropped after the borrow.
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            // Tickets are never given out twice, so this cannot take away a waiter of a later round.
            let mut state = self.notify.0.borrow_mut();
            let waker = state.place(ticket).map(|at| state.waiting.remove(at));
            drop(state);
            drop(waker);
        }
    }
}
