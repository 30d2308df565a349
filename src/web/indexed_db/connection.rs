//! An open connection: its end, and the commits that are under way.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use js_sys::{Function, Object, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::{IdbDatabase, IdbTransaction};

use super::error::thrown;
use super::migrations::current;
use super::transaction::Commit;
use crate::shim::Notify;
use crate::storage::{ClosedReason, DomError, Durability, StorageError};

// `web-sys` has the options behind a flag that only the final binary can set.
#[wasm_bindgen]
extern "C" {
    type Database;

    #[wasm_bindgen(method, catch, js_name = transaction)]
    fn transaction(
        this: &Database,
        store: &str,
        mode: &str,
        options: &Object,
    ) -> Result<IdbTransaction, JsValue>;
}

pub(super) struct Connection {
    database: IdbDatabase,
    relaxed: Object,
    strict: Object,
    ended: RefCell<Option<ClosedReason>>,
    end: Notify,
    /// The commits that the browser has not answered yet, by number, with the closures it will call.
    commits: RefCell<Vec<(u64, Commit)>>,
    next_commit: Cell<u64>,
    handlers: RefCell<Vec<Closure<dyn FnMut()>>>,
}

/// A method of the object as a function of its own.
fn method(object: &IdbDatabase, name: &str) -> Option<Function> {
    let method = Reflect::get(object, &name.into()).ok()?;
    Some(method.dyn_into::<Function>().ok()?.bind0(object))
}

impl Connection {
    pub(super) fn new(database: IdbDatabase) -> Rc<Connection> {
        let this = Rc::new(Connection {
            relaxed: options("relaxed"),
            strict: options("strict"),
            ended: RefCell::new(None),
            end: Notify::new(),
            commits: RefCell::default(),
            next_commit: Cell::new(0),
            handlers: RefCell::default(),
            database,
        });
        // Let go at once, or the other context is locked out.
        let on_version_change = this.handler(|this| this.finish(ClosedReason::VersionChange));
        let on_close = this.handler(Connection::lose);
        let database = &this.database;
        database.set_onversionchange(Some(&on_version_change));
        // And the browser's own `close`: a panic leaves connections behind whose handlers run no more.
        if let Some(close) = method(database, "close") {
            // Refused by no browser; if so, the handler above does it as long as the instance lives.
            let _ = database.add_event_listener_with_callback("versionchange", &close);
        }
        database.set_onclose(Some(&on_close));
        this
    }

    fn handler(self: &Rc<Self>, run: impl Fn(&Connection) + 'static) -> js_sys::Function {
        // Weak: the connection owns its handlers.
        let this: Weak<Connection> = Rc::downgrade(self);
        let closure = Closure::<dyn FnMut()>::new(move || {
            if let Some(this) = this.upgrade() {
                run(&this);
            }
        });
        let function = closure.as_ref().unchecked_ref::<js_sys::Function>().clone();
        self.handlers.borrow_mut().push(closure);
        function
    }

    pub(super) fn name(&self) -> String {
        self.database.name()
    }

    pub(super) fn ended(&self) -> Option<ClosedReason> {
        self.ended.borrow().clone()
    }

    /// Whether the connection can be used.
    pub(super) fn guard(&self) -> Result<(), StorageError> {
        match &*self.ended.borrow() {
            Some(reason) => Err(reason.error()),
            None => Ok(()),
        }
    }

    pub(super) async fn closed(&self) -> ClosedReason {
        loop {
            let end = self.end.notified();
            if let Some(reason) = self.ended() {
                return reason;
            }
            end.await;
        }
    }

    pub(super) fn close(&self) {
        self.finish(ClosedReason::Requested);
    }

    /// Ends the connection; the browser carries out what is under way.
    fn finish(&self, reason: ClosedReason) {
        if self.ended.borrow().is_some() {
            return;
        }
        self.ended.replace(Some(reason));
        self.database.set_onversionchange(None);
        self.database.close();
        self.end.notify_waiters();
    }

    /// The browser has ended the connection: what is under way may be stored or not.
    fn lose(&self) {
        let lost = DomError::new("AbortError", "the browser closed the connection");
        self.finish(ClosedReason::Lost(lost));
        let under_way = self.commits.take();
        for (_, commit) in under_way {
            commit.end(Err(StorageError::OutcomeUnknown));
        }
    }

    /// Keeps a commit until the browser answers.
    pub(super) fn await_answer(&self, id: u64, commit: Commit) {
        self.commits.borrow_mut().push((id, commit));
    }

    /// Takes out a commit that the browser has answered; none if the connection was lost first.
    pub(super) fn answered(&self, id: u64) -> Option<Commit> {
        let mut commits = self.commits.borrow_mut();
        let at = commits.iter().position(|(known, _)| *known == id)?;
        Some(commits.remove(at).1)
    }

    /// Works on a commit that the browser has not answered yet.
    pub(super) fn with_commit(&self, id: u64, work: impl FnOnce(&mut Commit)) {
        let mut commits = self.commits.borrow_mut();
        if let Some((_, commit)) = commits.iter_mut().find(|(known, _)| *known == id) {
            work(commit);
        }
    }

    pub(super) fn next_commit(&self) -> u64 {
        self.next_commit.set(self.next_commit.get() + 1);
        self.next_commit.get()
    }

    pub(super) fn write(&self, durability: Durability) -> Result<IdbTransaction, StorageError> {
        let options = match durability {
            Durability::Relaxed => &self.relaxed,
            Durability::Strict => &self.strict,
        };
        self.begin("readwrite", options)
    }

    pub(super) fn read(&self) -> Result<IdbTransaction, StorageError> {
        self.begin("readonly", &self.relaxed)
    }

    fn begin(&self, mode: &str, options: &Object) -> Result<IdbTransaction, StorageError> {
        self.guard()?;
        let database: &Database = self.database.unchecked_ref();
        database
            .transaction(current::ROWS, mode, options)
            .map_err(|error| match thrown(&error) {
                // The browser knows of the end before its event has reached us.
                StorageError::Other(dom) if dom.name == "InvalidStateError" => StorageError::Closed,
                error => error,
            })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.database.set_onversionchange(None);
        self.database.set_onclose(None);
        self.database.close();
    }
}

fn options(durability: &str) -> Object {
    let options = Object::new();
    let set = Reflect::set(&options, &"durability".into(), &durability.into());
    debug_assert!(set.is_ok(), "a plain object takes any property");
    options
}
