//! Task groups: tasks that end together.

use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};

use slab::Slab;

use super::host::Host;
use super::task::TaskCell;

/// A group of tasks that ends as one: shutdown, a crash in the simulator and two runtimes in one page are all this.
///
/// What is spawned through [`host`](Self::host), and through the hosts of groups made from it, belongs to the group.
/// Dropping the group, or [`abort`](Self::abort), drops every future in it at once; the one that is being polled at that moment, if
/// the order came from inside, is dropped when its poll returns. Nothing can be spawned into it afterwards.
///
/// ```
/// use mobkit_web::sim::Sim;
///
/// let sim = Sim::new(1);
/// let group = sim.host().task_group();
/// group.host().spawn(futures::future::pending::<()>());
/// assert_eq!(group.len(), 1);
/// drop(group); // ends the task
/// ```
#[must_use = "dropping a task group aborts its tasks"]
pub struct TaskGroup {
    host: Host,
    state: Rc<GroupState>,
}

impl TaskGroup {
    /// A group under `parent`, born ended when the parent has ended.
    pub(super) fn new(maker: Host, parent: Option<&Rc<GroupState>>) -> Self {
        let state = Rc::new(GroupState {
            members: RefCell::default(),
            parent: RefCell::new(None),
        });
        if let Some(parent) = parent {
            parent.adopt(&state);
        }
        Self {
            host: maker.in_group(state.clone()),
            state,
        }
    }

    /// A host whose tasks, and whose groups, belong to this group.
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// Ends every task in the group and in the groups inside it, in the order in which they were spawned, and the group
    /// with them: a later spawn is aborted at once. Aborting twice does nothing.
    pub fn abort(&self) {
        self.state.end();
    }

    /// Whether the group has ended: by [`abort`](Self::abort) or with the group that it lies in.
    pub fn is_aborted(&self) -> bool {
        self.state.members.borrow().ended
    }

    /// How many tasks of this group have not ended, those of the groups inside it included.
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Whether [`len`](Self::len) is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for TaskGroup {
    fn drop(&mut self) {
        self.state.end();
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("len", &self.len())
            .field("aborted", &self.is_aborted())
            .finish_non_exhaustive()
    }
}

/// The register of one group. It knows its members weakly: the driver owns the tasks, so a task that holds a host of its
/// own group makes no cycle.
pub(super) struct GroupState {
    members: RefCell<Members>,
    parent: RefCell<Option<(Weak<GroupState>, usize)>>,
}

#[derive(Default)]
struct Members {
    ended: bool,
    slots: Slab<Member>,
}

enum Member {
    Task(Weak<TaskCell>),
    Group(Weak<GroupState>),
}

impl GroupState {
    /// Takes `task` in and answers its number, or nothing when the group has ended.
    pub(super) fn register(&self, task: &Rc<TaskCell>) -> Option<usize> {
        let mut members = self.members.borrow_mut();
        if members.ended {
            return None;
        }
        Some(members.slots.insert(Member::Task(Rc::downgrade(task))))
    }

    /// The member of this number is there no more.
    pub(super) fn deregister(&self, id: usize) {
        let mut members = self.members.borrow_mut();
        // When the group ended it let go of all numbers.
        if !members.ended {
            members.slots.try_remove(id);
        }
    }

    fn adopt(self: &Rc<Self>, child: &Rc<GroupState>) {
        let mut members = self.members.borrow_mut();
        if members.ended {
            drop(members);
            child.end();
            return;
        }
        let id = members.slots.insert(Member::Group(Rc::downgrade(child)));
        *child.parent.borrow_mut() = Some((Rc::downgrade(self), id));
    }

    fn end(&self) {
        if std::mem::replace(&mut self.members.borrow_mut().ended, true) {
            return;
        }
        let parent = self.parent.borrow_mut().take();
        if let Some((parent, id)) = parent
            && let Some(parent) = parent.upgrade()
        {
            parent.deregister(id);
        }
        // One at a time, and no borrow held: dropping a future runs user code, which may end other tasks and groups.
        let slots = std::mem::take(&mut self.members.borrow_mut().slots);
        for (_, member) in slots {
            match member {
                Member::Task(task) => {
                    if let Some(task) = task.upgrade() {
                        task.abort();
                    }
                }
                Member::Group(group) => {
                    if let Some(group) = group.upgrade() {
                        group.end();
                    }
                }
            }
        }
    }

    fn len(&self) -> usize {
        let members = self.members.borrow();
        let count = |(_, member): (usize, &Member)| match member {
            Member::Task(_) => 1,
            Member::Group(group) => group.upgrade().map_or(0, |group| group.len()),
        };
        members.slots.iter().map(count).sum()
    }
}
