//! Failures of a member's work that have no caller: told to whoever listens, so that none is silent.

use std::cell::RefCell;
use std::rc::Rc;

use crate::wire::AgentIdentity;

type Listener = Rc<dyn Fn(&AgentIdentity, String)>;

/// Where such failures are reported.
#[derive(Default)]
pub(crate) struct Trouble(RefCell<Option<Listener>>);

impl Trouble {
    /// Sets who is told.
    pub fn listen(&self, listener: impl Fn(&AgentIdentity, String) + 'static) {
        *self.0.borrow_mut() = Some(Rc::new(listener));
    }

    /// Tells of one.
    pub fn report(&self, identity: &AgentIdentity, what: String) {
        let listener = self.0.borrow().clone();
        if let Some(listener) = listener {
            listener(identity, what);
        }
    }
}
