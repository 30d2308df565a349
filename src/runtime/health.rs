//! How the runtime's supervised tasks fare.

use std::cell::RefCell;
use std::rc::Rc;

use serde::Serialize;

use crate::shim::Host;
use crate::wire::TimestampMs;
use crate::wire::json::words;

words! {
    /// How a task stands.
    pub enum TaskState {
        /// It works, or waits for work.
        Running = "running",
        /// Its last attempt failed; it tries again after a pause.
        Retrying = "retrying",
        /// It has given up.
        Failed = "failed",
    }
}

/// How one task fares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskHealth {
    /// Which: `mob_events`, `agent_events`, `event_log`, `console_log` or `persistent_metadata`.
    pub name: &'static str,
    /// How it stands.
    pub state: TaskState,
    /// Failed attempts since it worked last.
    pub attempts: u32,
    /// What it failed with last, in this life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at_ms: Option<TimestampMs>,
    /// Events that it could not bring home, for they were deleted before.
    pub lost: u64,
}

/// The tasks of a runtime.
#[derive(Clone)]
pub(crate) struct Health {
    host: Host,
    tasks: Rc<RefCell<Vec<TaskHealth>>>,
}

impl Health {
    pub fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            tasks: Rc::default(),
        }
    }

    /// All tasks, in the order in which they were started.
    pub fn tasks(&self) -> Vec<TaskHealth> {
        self.tasks.borrow().clone()
    }

    /// A task that begins.
    pub fn begin(&self, name: &'static str) -> Task {
        self.tasks.borrow_mut().push(TaskHealth {
            name,
            state: TaskState::Running,
            attempts: 0,
            error: None,
            failed_at_ms: None,
            lost: 0,
        });
        Task {
            health: self.clone(),
            at: self.tasks.borrow().len() - 1,
        }
    }
}

/// A task's own entry.
#[derive(Clone)]
pub(crate) struct Task {
    health: Health,
    at: usize,
}

impl Task {
    fn change(&self, change: impl FnOnce(&mut TaskHealth)) {
        change(&mut self.health.tasks.borrow_mut()[self.at]);
    }

    /// It works again.
    pub fn works(&self) {
        self.change(|task| {
            task.state = TaskState::Running;
            task.attempts = 0;
        });
    }

    fn fails(&self, state: TaskState, error: &str) {
        let now = TimestampMs::from(self.health.host.now_ms());
        self.change(|task| {
            task.state = state;
            task.attempts += 1;
            task.error = Some(error.to_owned());
            task.failed_at_ms = Some(now);
        });
    }

    /// An attempt failed.
    pub fn retries(&self, error: &str) {
        self.fails(TaskState::Retrying, error);
    }

    /// It gives up.
    pub fn gives_up(&self, error: &str) {
        self.fails(TaskState::Failed, error);
    }

    /// Events are lost to it.
    pub fn loses(&self, events: u64) {
        self.change(|task| task.lost += events);
    }
}
