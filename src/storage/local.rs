//! A lease and a signal among the parties of one context: several runtimes over one memory storage,
//! hosts without locks, and tests.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use futures::channel::{mpsc, oneshot};
use futures::future::{FutureExt, LocalBoxFuture};
use futures::stream::{LocalBoxStream, StreamExt};

use super::lease::{AcquireMode, Lease, LeaseError, LeaseGuard, Signal};

/// A lease among everything that holds a clone of it.
#[derive(Clone, Default)]
pub struct LocalLease {
    state: Rc<LeaseState>,
}

#[derive(Default)]
struct LeaseState {
    /// Counts the times the lease was given, so that a guard that lost it releases nothing.
    turn: Cell<u64>,
    holder: RefCell<Option<oneshot::Sender<()>>>,
    queue: RefCell<VecDeque<oneshot::Sender<LeaseGuard>>>,
}

impl LocalLease {
    /// A lease that nobody holds.
    pub fn new() -> LocalLease {
        LocalLease::default()
    }
}

impl LeaseState {
    fn give(self: &Rc<Self>) -> LeaseGuard {
        let (lose, lost) = oneshot::channel();
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        self.holder.replace(Some(lose));
        let state = self.clone();
        // Never resolves when the sender is dropped in silence: a release is no loss.
        let lost = async move {
            if lost.await.is_err() {
                futures::future::pending::<()>().await;
            }
        };
        LeaseGuard::new(lost, move || {
            if state.turn.get() == turn {
                state.holder.replace(None);
                state.pass_on();
            }
        })
    }

    fn pass_on(self: &Rc<Self>) {
        loop {
            let Some(next) = self.queue.borrow_mut().pop_front() else {
                return;
            };
            if next.is_canceled() {
                continue;
            }
            match next.send(self.give()) {
                Ok(()) => return,
                // Gone in between; dropping the guard passes the lease on.
                Err(guard) => return drop(guard),
            }
        }
    }
}

impl Lease for LocalLease {
    fn acquire(
        &self,
        mode: AcquireMode,
    ) -> LocalBoxFuture<'static, Result<Option<LeaseGuard>, LeaseError>> {
        let state = self.state.clone();
        async move {
            let held = state.holder.borrow().is_some();
            match mode {
                AcquireMode::IfAvailable if held => Ok(None),
                AcquireMode::Wait if held => {
                    let (sender, receiver) = oneshot::channel();
                    state.queue.borrow_mut().push_back(sender);
                    Ok(receiver.await.ok())
                }
                AcquireMode::Steal => {
                    if let Some(lose) = state.holder.take() {
                        // The holder may not listen; the token fences it all the same.
                        let _ = lose.send(());
                    }
                    Ok(Some(state.give()))
                }
                AcquireMode::IfAvailable | AcquireMode::Wait => Ok(Some(state.give())),
            }
        }
        .boxed_local()
    }
}

impl fmt::Debug for LocalLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalLease")
            .field("held", &self.state.holder.borrow().is_some())
            .finish_non_exhaustive()
    }
}

/// A signal among the parties of one context; each party has its own, made by [`LocalSignal::peer`].
pub struct LocalSignal {
    id: u64,
    hub: Rc<Hub>,
}

#[derive(Default)]
struct Hub {
    next: Cell<u64>,
    listeners: RefCell<Vec<(u64, mpsc::Sender<()>)>>,
}

impl LocalSignal {
    /// The first party of a new circle.
    pub fn new() -> LocalSignal {
        LocalSignal {
            id: 0,
            hub: Rc::default(),
        }
    }

    /// One more party of the same circle. A party does not hear itself.
    #[must_use]
    pub fn peer(&self) -> LocalSignal {
        self.hub.next.set(self.hub.next.get() + 1);
        LocalSignal {
            id: self.hub.next.get(),
            hub: self.hub.clone(),
        }
    }
}

impl Default for LocalSignal {
    fn default() -> LocalSignal {
        LocalSignal::new()
    }
}

impl Signal for LocalSignal {
    fn notify(&self) {
        self.hub.listeners.borrow_mut().retain_mut(|(id, sender)| {
            if *id == self.id {
                return true;
            }
            match sender.try_send(()) {
                Ok(()) => true,
                // A full channel already says what we have to say.
                Err(error) => error.is_full(),
            }
        });
    }

    fn changed(&self) -> LocalBoxStream<'static, ()> {
        let (sender, receiver) = mpsc::channel(0);
        self.hub.listeners.borrow_mut().push((self.id, sender));
        receiver.boxed_local()
    }
}

impl fmt::Debug for LocalSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSignal")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        block_on(async {
            let lease = LocalLease::new();
            let first = lease
                .acquire(AcquireMode::IfAvailable)
                .await
                .unwrap()
                .unwrap();
            assert!(
                lease
                    .acquire(AcquireMode::IfAvailable)
                    .await
                    .unwrap()
                    .is_none()
            );
            let given_up = lease.acquire(AcquireMode::Wait);
            let mut waiting = lease.acquire(AcquireMode::Wait);
            assert!((&mut waiting).now_or_never().is_none());
            drop(given_up);
            drop(first);
            let second = waiting.await.unwrap().unwrap();
            assert!(second.lost().now_or_never().is_none());
            let third = lease.acquire(AcquireMode::Steal).await.unwrap().unwrap();
            second.lost().await;
            // The one that lost it releases nothing.
            drop(second);
            assert!(
                lease
                    .acquire(AcquireMode::IfAvailable)
                    .await
                    .unwrap()
                    .is_none()
            );
            drop(third);
            assert!(
                lease
                    .acquire(AcquireMode::IfAvailable)
                    .await
                    .unwrap()
                    .is_some()
            );
        });
    }

    #[test]
    fn a_signal_reaches_the_others_once() {
        let one = LocalSignal::new();
        let two = one.peer();
        let mut heard_by_one = one.changed();
        let mut heard_by_two = two.changed();
        one.notify();
        one.notify();
        assert_eq!(heard_by_two.next().now_or_never(), Some(Some(())));
        assert!(heard_by_two.next().now_or_never().is_none());
        assert!(heard_by_one.next().now_or_never().is_none());
        drop(heard_by_two);
        one.notify();
        assert_eq!(one.hub.listeners.borrow().len(), 1);
    }
}
