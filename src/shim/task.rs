//! One spawned task: its life, its abort, and the handle that awaits its result.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use futures::future::LocalBoxFuture;

use super::group::GroupState;
use super::host::HostDriver;

/// The task was aborted before it ended: by its handle, with its group, or because the host that ran it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task was aborted")]
pub struct Aborted;

/// Spawns `future` on `driver`, as a member of `group`.
pub(super) fn spawn<F>(
    driver: &dyn HostDriver,
    group: Option<&Rc<GroupState>>,
    future: F,
    origin: &'static Location<'static>,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    let result = Rc::new(JoinResult {
        value: RefCell::new(JoinValue::Pending),
        waiter: RefCell::new(None),
    });
    let body = Box::pin({
        let result = result.clone();
        async move {
            let output = future.await;
            result.set(Ok(output));
        }
    });
    let task = begin(driver, group, body, result.clone(), origin);
    JoinHandle { task, result }
}

/// The part of spawning that needs no type, so that it is compiled once and not for each kind of task.
fn begin(
    driver: &dyn HostDriver,
    group: Option<&Rc<GroupState>>,
    body: LocalBoxFuture<'static, ()>,
    result: Rc<dyn Conclude>,
    origin: &'static Location<'static>,
) -> Rc<TaskCell> {
    let task = Rc::new(TaskCell {
        phase: Cell::new(Phase::Idle),
        abort_requested: Cell::new(false),
        body: RefCell::new(Some(body)),
        runner: RefCell::new(None),
        result,
        group: RefCell::new(None),
    });
    if let Some(group) = group {
        let Some(id) = group.register(&task) else {
            // The group ended before: the task never begins.
            task.abort();
            return task;
        };
        *task.group.borrow_mut() = Some((Rc::downgrade(group), id));
    }
    driver.spawn(Box::pin(Runner(task.clone())), origin);
    task
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between polls. The body is in its place.
    Idle,
    /// Being polled, or being dropped by whoever polled it. The body is out of its place.
    Running,
    /// Ended or aborted. There is no body any more.
    Done,
}

/// The shared state of one task. The driver holds it through [`Runner`], people through handles, groups weakly.
pub(super) struct TaskCell {
    phase: Cell<Phase>,
    abort_requested: Cell<bool>,
    body: RefCell<Option<LocalBoxFuture<'static, ()>>>,
    /// Wakes the driver's task, so that it lets go of a task that was aborted from outside.
    runner: RefCell<Option<Waker>>,
    result: Rc<dyn Conclude>,
    group: RefCell<Option<(Weak<GroupState>, usize)>>,
}

impl TaskCell {
    /// Ends the task. Its future is dropped before this returns, unless it is being polled at this moment: then it is
    /// dropped as soon as that poll returns.
    pub(super) fn abort(&self) {
        match self.phase.get() {
            Phase::Done => {}
            Phase::Running => self.abort_requested.set(true),
            Phase::Idle => {
                // `Running` while the body is dropped: destructors are user code and may abort this very task.
                self.phase.set(Phase::Running);
                let body = self.body.borrow_mut().take();
                drop(body);
                self.finish();
                let runner = self.runner.borrow_mut().take();
                if let Some(runner) = runner {
                    runner.wake();
                }
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.phase.get() == Phase::Done
    }

    /// The body is gone: leave the group and settle the result, as aborted unless the body set it.
    fn finish(&self) {
        self.phase.set(Phase::Done);
        let membership = self.group.borrow_mut().take();
        if let Some((group, id)) = membership
            && let Some(group) = group.upgrade()
        {
            group.deregister(id);
        }
        self.result.conclude();
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.phase.get() != Phase::Idle {
            return Poll::Ready(());
        }
        let known = matches!(&*self.runner.borrow(), Some(waker) if waker.will_wake(cx.waker()));
        if !known {
            drop(self.runner.replace(Some(cx.waker().clone())));
        }
        // Out of its place while it runs, so that no borrow is held over user code and an abort from inside finds none.
        let Some(mut body) = self.body.borrow_mut().take() else {
            return Poll::Ready(());
        };
        self.phase.set(Phase::Running);
        if body.as_mut().poll(cx).is_pending() && !self.abort_requested.get() {
            *self.body.borrow_mut() = Some(body);
            self.phase.set(Phase::Idle);
            return Poll::Pending;
        }
        drop(body);
        self.finish();
        Poll::Ready(())
    }
}

/// What the driver runs.
struct Runner(Rc<TaskCell>);

impl Future for Runner {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}

/// A driver that lets go of its tasks (the simulator's crash) aborts them.
impl Drop for Runner {
    fn drop(&mut self) {
        match self.0.phase.get() {
            Phase::Done => {}
            Phase::Idle => self.0.abort(),
            // The body panicked out of its poll and was dropped by the unwinding.
            Phase::Running => self.0.finish(),
        }
    }
}

/// The part of [`JoinResult`] that does not depend on the task's output.
trait Conclude {
    /// Settles the result as aborted unless it is set.
    fn conclude(&self);
}

enum JoinValue<T> {
    Pending,
    Ready(Result<T, Aborted>),
    Taken,
}

struct JoinResult<T> {
    value: RefCell<JoinValue<T>>,
    waiter: RefCell<Option<Waker>>,
}

impl<T> JoinResult<T> {
    fn set(&self, result: Result<T, Aborted>) {
        *self.value.borrow_mut() = JoinValue::Ready(result);
    }
}

impl<T> Conclude for JoinResult<T> {
    fn conclude(&self) {
        if matches!(*self.value.borrow(), JoinValue::Pending) {
            self.set(Err(Aborted));
        }
        let waiter = self.waiter.borrow_mut().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

/// Awaits a spawned task's output. Dropping it detaches the task, which runs on.
///
/// By the time it resolves the task's future is dropped.
///
/// ```
/// use mobkit_web::{shim::Aborted, sim::Sim};
///
/// let sim = Sim::new(1);
/// let task = sim.host().spawn(futures::future::pending::<()>());
/// task.abort();
/// assert_eq!(sim.block_on(task), Err(Aborted));
/// ```
pub struct JoinHandle<T> {
    task: Rc<TaskCell>,
    result: Rc<JoinResult<T>>,
}

impl<T> JoinHandle<T> {
    /// Ends the task. Its future is dropped before this returns, unless it is being polled at this moment (the task aborts
    /// itself): then it is dropped when that poll returns. A task that has ended, or ends in that very poll, keeps its output.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// A handle that can abort the task and cannot await it.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(self.task.clone())
    }

    /// Whether the task has ended or was aborted.
    pub fn is_finished(&self) -> bool {
        self.task.is_done()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Aborted>;

    /// # Panics
    ///
    /// When polled again after it resolved.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.task.is_done() {
            drop(self.result.waiter.replace(Some(cx.waker().clone())));
            return Poll::Pending;
        }
        match self.result.value.replace(JoinValue::Taken) {
            JoinValue::Ready(result) => Poll::Ready(result),
            JoinValue::Pending | JoinValue::Taken => {
                panic!("a JoinHandle was polled after it resolved")
            }
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Aborts a task; see [`JoinHandle::abort`]. Dropping it does nothing.
#[derive(Clone)]
pub struct AbortHandle(Rc<TaskCell>);

impl AbortHandle {
    /// Ends the task, as [`JoinHandle::abort`] does.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Whether the task has ended or was aborted.
    pub fn is_finished(&self) -> bool {
        self.0.is_done()
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
