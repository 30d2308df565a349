//! The lease of a storage as a Web Lock.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::LocalBoxFuture;
use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::AbortController;

use super::js_error::dom_error;
use crate::storage::{AcquireMode, DomError, Lease, LeaseError, LeaseGuard};

// `web-sys` has Web Locks behind a flag that only the final binary can set.
#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["navigator", "locks"], js_name = request, catch)]
    fn request_lock(name: &str, options: &Object, granted: &Function) -> Result<Promise, JsValue>;
}

/// The Web Lock of a name (W3C Web Locks API): one holder among all pages and workers of the origin. The browser releases
/// it when its holder dies, in whatever way.
#[derive(Debug, Clone)]
pub struct WebLocks {
    name: Rc<str>,
}

impl WebLocks {
    /// The lock of this name. A name must not begin with `-`, says the standard; the request is refused otherwise.
    pub fn new(name: &str) -> Self {
        Self { name: name.into() }
    }
}

impl Lease for WebLocks {
    fn acquire(
        &self,
        mode: AcquireMode,
    ) -> LocalBoxFuture<'static, Result<Option<LeaseGuard>, LeaseError>> {
        let name = self.name.clone();
        async move { acquire(&name, mode).await }.boxed_local()
    }
}

type Answer = Result<Option<LeaseGuard>, LeaseError>;

/// The asker's end, taken by whichever comes first: the lock or the refusal.
type Asker = Rc<RefCell<Option<oneshot::Sender<Answer>>>>;

async fn acquire(name: &str, mode: AcquireMode) -> Answer {
    let options = Object::new();
    let mut gives_up = GivesUp(None);
    match mode {
        AcquireMode::IfAvailable => set(&options, "ifAvailable", &JsValue::TRUE)?,
        AcquireMode::Steal => set(&options, "steal", &JsValue::TRUE)?,
        AcquireMode::Wait => {
            let controller = AbortController::new().map_err(unavailable)?;
            set(&options, "signal", &controller.signal())?;
            gives_up.0 = Some(controller);
        }
    }
    let (answer, answered) = oneshot::channel();
    let (lose, lost) = oneshot::channel::<()>();
    let asker: Asker = Rc::new(RefCell::new(Some(answer)));
    let granted = Closure::once({
        let asker = asker.clone();
        move |lock: JsValue| on_granted(&lock, &asker, lost)
    });
    let request =
        request_lock(name, &options, granted.as_ref().unchecked_ref()).map_err(unavailable)?;
    // Lives until the lock is released, refused, or given up, for the callback has to.
    spawn_local(async move {
        let outcome = JsFuture::from(request).await;
        drop(granted);
        if let Err(thrown) = outcome {
            let asker = asker.borrow_mut().take();
            // Either end may be gone: nobody wants to know then.
            let _ = match asker {
                Some(asker) => asker
                    .send(Err(LeaseError::Refused(dom_error(&thrown))))
                    .is_ok(),
                None => lose.send(()).is_ok(),
            };
        }
    });
    let answer = answered.await;
    gives_up.0 = None;
    answer.unwrap_or_else(|_| {
        Err(LeaseError::Refused(DomError::new(
            "AbortError",
            "the request ended without an answer",
        )))
    })
}

/// The browser holds the lock as long as the promise that this answers is open.
fn on_granted(lock: &JsValue, asker: &Asker, lost: oneshot::Receiver<()>) -> JsValue {
    let Some(asker) = asker.borrow_mut().take() else {
        return JsValue::UNDEFINED;
    };
    if lock.is_null() {
        // An asker who is gone wants no answer.
        let _ = asker.send(Ok(None));
        return JsValue::UNDEFINED;
    }
    let mut release = None;
    let held = Promise::new(&mut |resolve, _reject| release = Some(resolve));
    let lost = async move {
        // A release drops the sender in silence: that is no loss.
        if lost.await.is_err() {
            pending::<()>().await;
        }
    };
    let guard = LeaseGuard::new(lost, move || {
        if let Some(resolve) = release {
            // A promise's resolve function does not throw.
            let _ = resolve.call0(&JsValue::UNDEFINED);
        }
    });
    // If the asker is gone the guard is dropped here, which opens the lock again.
    let _ = asker.send(Ok(Some(guard)));
    held.into()
}

/// Takes back a request that waits, when its future is dropped.
struct GivesUp(Option<AbortController>);

impl Drop for GivesUp {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

fn set(options: &Object, name: &str, value: &JsValue) -> Result<(), LeaseError> {
    Reflect::set(options, &JsValue::from_str(name), value)
        .map(drop)
        .map_err(unavailable)
}

fn unavailable(thrown: JsValue) -> LeaseError {
    LeaseError::Unavailable(dom_error(&thrown))
}
