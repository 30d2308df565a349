//! Opening and deleting a database.
//!
//! A request that is blocked stays alive in the browser and may succeed much later. Whoever asked
//! may have gone by then; a late success closes itself.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select};
use futures::pin_mut;
use js_sys::Reflect;
use wasm_bindgen::prelude::*;
use web_sys::{IdbDatabase, IdbFactory, IdbOpenDbRequest, IdbVersionChangeEvent};

use super::error::{refused, thrown};
use super::migrations::{self, current};
use crate::shim::{Host, Notify};
use crate::storage::{DomError, StorageError};

type Handler = Closure<dyn FnMut(JsValue)>;
type Outcome = Result<Option<IdbDatabase>, StorageError>;

/// A request under way. Its closures hold it, and it holds them, until the browser answers.
struct Pending {
    request: IdbOpenDbRequest,
    reply: Cell<Option<oneshot::Sender<Outcome>>>,
    blocked: Cell<bool>,
    blocked_now: Notify,
    upgrade_error: RefCell<Option<StorageError>>,
    handlers: RefCell<Vec<Handler>>,
}

pub(super) async fn open(
    host: &Host,
    name: &str,
    blocked_after: Duration,
) -> Result<IdbDatabase, StorageError> {
    let factory = factory()?;
    let request = factory
        .open_with_u32(name, current::VERSION)
        .map_err(|error| thrown(&error))?;
    match answer(host, request, blocked_after).await {
        Ok(Some(database)) => Ok(database),
        Ok(None) => Err(unexpected("the open request has no database")),
        Err(StorageError::Other(dom)) if dom.name == "VersionError" => {
            Err(too_new(host, &factory, name, blocked_after).await)
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn delete(
    host: &Host,
    name: &str,
    blocked_after: Duration,
) -> Result<(), StorageError> {
    let request = factory()?
        .delete_database(name)
        .map_err(|error| thrown(&error))?;
    answer(host, request, blocked_after).await.map(drop)
}

/// Which version a database has that is newer than ours.
async fn too_new(
    host: &Host,
    factory: &IdbFactory,
    name: &str,
    blocked_after: Duration,
) -> StorageError {
    let request = match factory.open(name) {
        Ok(request) => request,
        Err(error) => return thrown(&error),
    };
    match answer(host, request, blocked_after).await {
        Ok(Some(database)) => {
            let found = database.version();
            database.close();
            StorageError::SchemaTooNew {
                // The browser keeps versions below 2^53; ours are small.
                found: found as u32,
                supported: current::VERSION,
            }
        }
        Ok(None) => unexpected("the open request has no database"),
        Err(error) => error,
    }
}

fn factory() -> Result<IdbFactory, StorageError> {
    let missing = || {
        StorageError::Unavailable(DomError::new(
            "NotSupportedError",
            "there is no IndexedDB here",
        ))
    };
    // The getter itself throws on opaque origins.
    let factory = Reflect::get(&js_sys::global(), &JsValue::from_str("indexedDB"))
        .map_err(|error| thrown(&error))?;
    if factory.is_null() || factory.is_undefined() {
        return Err(missing());
    }
    factory.dyn_into().map_err(|_| missing())
}

/// Waits for the request; while it is blocked no longer than that.
async fn answer(host: &Host, request: IdbOpenDbRequest, blocked_after: Duration) -> Outcome {
    let (reply, answered) = oneshot::channel();
    let pending = Pending::start(request, reply);
    let limit = async {
        loop {
            let blocked = pending.blocked_now.notified();
            if pending.blocked.get() {
                return host.sleep(blocked_after).await;
            }
            blocked.await;
        }
    };
    pin_mut!(limit);
    match select(answered, limit).await {
        // The request answers before it goes; if it does not, it never will.
        Either::Left((outcome, _)) => match outcome {
            Ok(outcome) => outcome,
            Err(oneshot::Canceled) => futures::future::pending().await,
        },
        Either::Right(_) => Err(StorageError::Blocked),
    }
}

impl Pending {
    fn start(request: IdbOpenDbRequest, reply: oneshot::Sender<Outcome>) -> Rc<Pending> {
        let this = Rc::new(Pending {
            request,
            reply: Cell::new(Some(reply)),
            blocked: Cell::new(false),
            blocked_now: Notify::new(),
            upgrade_error: RefCell::default(),
            handlers: RefCell::default(),
        });
        let on_success = this.handler(|this, _| this.succeed());
        let on_error = this.handler(|this, _| this.fail());
        let on_blocked = this.handler(|this, _| {
            this.blocked.set(true);
            this.blocked_now.notify_waiters();
        });
        let on_upgrade = this.handler(Pending::upgrade);
        let request = &this.request;
        request.set_onsuccess(Some(&on_success));
        request.set_onerror(Some(&on_error));
        request.set_onblocked(Some(&on_blocked));
        request.set_onupgradeneeded(Some(&on_upgrade));
        this
    }

    fn handler(self: &Rc<Self>, run: impl Fn(&Rc<Pending>, JsValue) + 'static) -> js_sys::Function {
        let this = self.clone();
        let closure = Closure::<dyn FnMut(JsValue)>::new(move |event| run(&this, event));
        let function = closure.as_ref().unchecked_ref::<js_sys::Function>().clone();
        self.handlers.borrow_mut().push(closure);
        function
    }

    fn upgrade(self: &Rc<Self>, event: JsValue) {
        let database = self.database();
        let old_version = event
            .dyn_ref::<IdbVersionChangeEvent>()
            .map_or(0.0, IdbVersionChangeEvent::old_version);
        let upgraded = match &database {
            Some(database) => migrations::upgrade(database, old_version as u32),
            None => Ok(()),
        };
        if let Err(error) = upgraded {
            self.upgrade_error.replace(Some(thrown(&error)));
            if let Some(transaction) = self.request.transaction() {
                // It fails only if the transaction has ended, which is what we want.
                let _ = transaction.abort();
            }
        }
    }

    fn succeed(&self) {
        let database = self.database();
        let reply = self.finish();
        let unclaimed = match reply {
            Some(reply) => reply.send(Ok(database)).err(),
            None => Some(Ok(database)),
        };
        if let Some(Ok(Some(database))) = unclaimed {
            database.close();
        }
    }

    fn fail(&self) {
        let error = self.upgrade_error.borrow_mut().take();
        let error = error.unwrap_or_else(|| refused(self.request.error().ok().flatten()));
        if let Some(reply) = self.finish() {
            // Whoever asked may have given up.
            let _ = reply.send(Err(error));
        }
    }

    fn database(&self) -> Option<IdbDatabase> {
        let result = self.request.result().ok()?;
        result.dyn_into().ok()
    }

    /// Lets go of the closures, and hands out the asker's end.
    fn finish(&self) -> Option<oneshot::Sender<Outcome>> {
        let request = &self.request;
        request.set_onsuccess(None);
        request.set_onerror(None);
        request.set_onblocked(None);
        request.set_onupgradeneeded(None);
        // The one that runs now is freed when it returns.
        drop(self.handlers.take());
        self.reply.take()
    }
}

fn unexpected(message: &str) -> StorageError {
    StorageError::Other(DomError::new("InvalidStateError", message))
}
