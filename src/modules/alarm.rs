//! What is due by itself: schedules that the runtime holds, and tool calls that have waited too long for a decision.
//!
//! One timer is armed for the earliest, and none without; where there is an alarm that outlives the host it is set instead, in the
//! commit's wake and before whoever waits for the commit hears of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture, select};

use crate::mob::{Core, MobError, MobStatus};
use crate::modules::{Inner, earlier};
use crate::storage::{Batch, Durability};
use crate::wire::TimestampMs;

/// How many milliseconds after its host died what was under way is taken up again at the latest.
const GUARD_MS: u64 = 30_000;
/// The first pause after storage refused; it doubles up to 32 times this.
const PAUSE: Duration = Duration::from_secs(1);

impl Inner {
    /// When something is due next.
    fn next_due(&self) -> Option<TimestampMs> {
        let pending = self.state.pending.all();
        let held = pending
            .iter()
            .filter(|row| row.entry.tool_call.is_some() && row.answer.is_none())
            .map(|row| row.entry.deadline_at_ms)
            .min();
        // Schedules wait as long as the mob is stopped.
        let schedules = match self.mob_status() {
            Some(MobStatus::Running) => self.state.schedules.all(),
            _ => Vec::new(),
        };
        let schedules = schedules.iter().filter_map(|row| row.next_due).min();
        earlier(held, schedules.map(TimestampMs::new))
    }

    /// Whether the mob works; none before it has its first row.
    pub(super) fn mob_status(&self) -> Option<MobStatus> {
        self.core.state.get(&()).map(|row| row.status)
    }

    /// When the mob has to be opened again if the host dies over what is under way.
    fn guard(&self) -> Option<TimestampMs> {
        let delivers = self.state.deliveries.all().iter().any(|row| row.is_open());
        let acts = || {
            self.state
                .schedules
                .all()
                .iter()
                .any(|row| row.running.is_some())
        };
        let now = self.core.now();
        let guard = self.guarded.get().filter(|at| *at > now);
        let fresh = || TimestampMs::new(now.get() + GUARD_MS);
        let guard = (delivers || acts()).then(|| guard.unwrap_or_else(fresh));
        self.guarded.set(guard);
        guard
    }

    /// Tells the mob's alarm when something is due.
    pub(super) fn look_at_due(&self) {
        self.looked.set(self.mob_status());
        let due = self.next_due();
        let moved = self.due.replace(due) != due;
        let next = earlier(due, self.guard());
        if self.core.also_due.replace(next) != next {
            self.core.arm();
        }
        if moved {
            self.moved_due.notify_waiters();
        }
    }

    /// Does what is due, for as long as the mob is open.
    pub(super) async fn attend(self: Rc<Self>) {
        self.resume_deliveries();
        self.resume_schedules();
        while self.core.check_open().is_ok() {
            let (moved, rang) = (self.moved_due.notified(), self.core.due_moved.notified());
            let moved = select(moved, rang);
            let Some(at) = self.due.get() else {
                moved.await;
                continue;
            };
            let now = self.core.now();
            if at > now {
                if self.core.kit.wake.is_some() {
                    moved.await;
                } else {
                    let wait = Duration::from_millis(at.get() - now.get());
                    select(self.core.host.sleep(wait), moved).await;
                }
                continue;
            }
            let fired = Rc::new(Cell::default());
            let (inner, staged) = (self.clone(), fired.clone());
            let done = self.insist("what is due", move |core, batch| {
                inner.stage_overdue(core, batch);
                staged.set(inner.stage_due_schedules(core, batch)?);
                Ok(())
            });
            if !done.await {
                return;
            }
            self.run_schedules(fired.take());
        }
    }

    /// Makes a change durable that has no caller: storage that refuses for now is asked again after growing pauses. Answers whether it
    /// is durable; it is not when the mob is closed.
    pub(super) fn insist(
        self: &Rc<Self>,
        what: &'static str,
        stage: impl FnMut(&Core, &mut Batch) -> Result<(), MobError> + 'static,
    ) -> LocalBoxFuture<'static, bool> {
        self.clone().persist(what, Box::new(stage)).boxed_local()
    }

    async fn persist(self: Rc<Self>, what: &'static str, stage: Stage) -> bool {
        let stage = Rc::new(RefCell::new(stage));
        let mut refusals = 0_u32;
        loop {
            let again = stage.clone();
            let done = self
                .core
                .execute_accepted(Durability::Strict, move |core, batch| {
                    (again.borrow_mut())(core, batch)
                });
            match done.await {
                Ok(()) => return true,
                Err(MobError::NotLeader | MobError::ShuttingDown) => return false,
                Err(error) if self.core.check_open().is_err() => {
                    (self.trouble)(format!("{what} could not be stored: {error}"));
                    return false;
                }
                Err(error) => {
                    (self.trouble)(format!("{what} could not be stored yet: {error}"));
                    let pause = PAUSE.saturating_mul(1 << refusals.min(5));
                    refusals += 1;
                    self.core.host.sleep(pause).await;
                }
            }
        }
    }
}

type Stage = Box<dyn FnMut(&Core, &mut Batch) -> Result<(), MobError>>;
