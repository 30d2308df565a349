//! The signal between contexts as a broadcast channel.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use futures::StreamExt;
use futures::stream::{self, LocalBoxStream};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::BroadcastChannel;

use super::js_error::dom_error;
use crate::shim::Notify;
use crate::storage::{DomError, Signal};

/// A named channel to the other pages and workers of the origin (HTML, section 9.5). A cheap handle; the channel is closed when
/// the last clone and the last stream are dropped.
#[derive(Clone)]
pub struct BroadcastSignal(Rc<Channel>);

struct Channel {
    port: BroadcastChannel,
    heard: Rc<Heard>,
    _on_message: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct Heard {
    count: Cell<u64>,
    notify: Notify,
}

impl BroadcastSignal {
    /// Opens the channel of this name.
    ///
    /// # Errors
    ///
    /// When the host has no broadcast channels.
    pub fn open(name: &str) -> Result<Self, DomError> {
        let port = BroadcastChannel::new(name).map_err(|thrown| dom_error(&thrown))?;
        let heard = Rc::new(Heard::default());
        let on_message = Closure::new({
            let heard = heard.clone();
            move || {
                heard.count.set(heard.count.get() + 1);
                heard.notify.notify_waiters();
            }
        });
        port.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Ok(Self(Rc::new(Channel {
            port,
            heard,
            _on_message: on_message,
        })))
    }
}

impl Signal for BroadcastSignal {
    fn notify(&self) {
        // Null can always be cloned and the channel is open until the drop, so nothing can be thrown.
        let _ = self.0.port.post_message(&JsValue::NULL);
    }

    /// Signals that come while nobody polls are merged into one item.
    fn changed(&self) -> LocalBoxStream<'static, ()> {
        let channel = self.0.clone();
        let seen = channel.heard.count.get();
        stream::unfold((channel, seen), |(channel, seen)| async move {
            loop {
                let next = channel.heard.notify.notified();
                let count = channel.heard.count.get();
                if count != seen {
                    return Some(((), (channel, count)));
                }
                next.await;
            }
        })
        .boxed_local()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.port.set_onmessage(None);
        self.port.close();
    }
}

impl fmt::Debug for BroadcastSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastSignal")
            .field("name", &self.0.port.name())
            .finish_non_exhaustive()
    }
}
