//! When the mob has to be woken if its host dies: for the next member that is due, and while somebody is at work.
//!
//! The alarm is set after the commit that makes it necessary and before whoever waits for that commit hears of it, so that what was
//! answered is gone on with.

use std::cell::Cell;

use crate::mob::core::Core;

/// How many milliseconds after its host died work is taken up again at the latest. While it goes on the alarm is set anew each time
/// it rings.
const GUARD_MS: u64 = 30_000;

/// What the alarm is set to.
#[derive(Default)]
pub(crate) struct Armed {
    /// When it rings, and whether somebody is at work. None while nobody knows: an earlier life may have left it set.
    said: Cell<Option<(Option<u64>, bool)>>,
    /// When it rings for the work that is under way.
    guard: Cell<Option<u64>>,
}

impl Core {
    /// Sets the alarm to what it ought to be, if there is one and it is not.
    pub fn arm(&self) {
        let Some(wake) = &self.kit.wake else {
            return;
        };
        // What is under way when a mob closes is taken up when it is opened again.
        if self.check_open().is_err() {
            return;
        }
        let now = self.host.now_ms();
        let due = self.next_due().into_iter().chain(self.also_due.get());
        let due = due.min().map(|due| due.get());
        // Whoever is due already is being retired.
        let works = self.runners.are_at_work(self) || due.is_some_and(|due| due <= now);
        let guard = self.armed.guard.get().filter(|at| *at > now);
        let guard = works.then(|| guard.unwrap_or(now + GUARD_MS));
        self.armed.guard.set(guard);
        let at = due.filter(|due| *due > now).into_iter().chain(guard).min();
        if self.armed.said.replace(Some((at, works))) != Some((at, works)) {
            wake.arm(at, works);
        }
    }

    /// The alarm rang.
    pub fn woken(&self) {
        self.armed.said.set(None);
        self.due_moved.notify_waiters();
        self.arm();
    }
}
