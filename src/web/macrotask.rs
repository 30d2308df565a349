//! The next macrotask, without delay.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use gloo_timers::future::TimeoutFuture;
use js_sys::{Function, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageChannel, MessagePort};

use crate::shim::Latch;

/// Gives turns of the event loop.
///
/// A chain of `setTimeout(0)` is held back to one in four milliseconds (HTML, section 8.7, "nesting level"). Hosts outside of browsers
/// have `setImmediate` for it. In a browser a message to ourselves is a macrotask of its own and comes at once; elsewhere it may come
/// before all timers, for ever (workerd). Where there is neither it has to be `setTimeout`.
pub(super) enum Macrotasks {
    Immediate(Function),
    Loopback(Rc<Loopback>),
    Timeout,
}

impl Macrotasks {
    pub(super) fn new() -> Self {
        let immediate = Reflect::get(&js_sys::global(), &"setImmediate".into());
        if let Some(immediate) = immediate.ok().and_then(|found| found.dyn_into().ok()) {
            return Self::Immediate(immediate);
        }
        Loopback::open().map_or(Self::Timeout, |loopback| Self::Loopback(Rc::new(loopback)))
    }

    /// Resolves in a later macrotask.
    pub(super) fn next(&self) -> LocalBoxFuture<'static, ()> {
        let turn = match self {
            Self::Immediate(immediate) => call_soon(immediate),
            Self::Loopback(loopback) => loopback.post(),
            Self::Timeout => None,
        };
        let Some(turn) = turn else {
            return TimeoutFuture::new(0).boxed_local();
        };
        let open = match self {
            Self::Loopback(loopback) => Some(loopback.clone()),
            Self::Immediate(_) | Self::Timeout => None,
        };
        poll_fn(move |cx| {
            // Captured whole, so that the channel stays open.
            let _open = &open;
            turn.poll(cx)
        })
        .boxed_local()
    }
}

fn call_soon(immediate: &Function) -> Option<Rc<Latch>> {
    let turn = Rc::new(Latch::default());
    let callback = Closure::once_into_js({
        let turn = turn.clone();
        move || turn.open()
    });
    immediate.call1(&js_sys::global(), &callback).ok()?;
    Some(turn)
}

/// A message channel whose ends are both ours. Each message ends one wait, the oldest.
pub(super) struct Loopback {
    sender: MessagePort,
    receiver: MessagePort,
    waiting: Rc<RefCell<VecDeque<Rc<Latch>>>>,
    on_message: Closure<dyn FnMut()>,
}

impl Loopback {
    fn open() -> Option<Self> {
        let channel = MessageChannel::new().ok()?;
        let receiver = channel.port2();
        let waiting = Rc::new(RefCell::new(VecDeque::<Rc<Latch>>::new()));
        let on_message = Closure::new({
            let (waiting, receiver) = (waiting.clone(), receiver.clone());
            move || {
                let (oldest, last) = {
                    let mut waiting = waiting.borrow_mut();
                    (waiting.pop_front(), waiting.is_empty())
                };
                if last {
                    // A port that listens keeps some hosts (Node, Deno) from ending.
                    receiver.set_onmessage(None);
                }
                if let Some(oldest) = oldest {
                    oldest.open();
                }
            }
        });
        Some(Self {
            sender: channel.port1(),
            receiver,
            waiting,
            on_message,
        })
    }

    fn post(&self) -> Option<Rc<Latch>> {
        self.sender.post_message(&JsValue::NULL).ok()?;
        let turn = Rc::new(Latch::default());
        let first = {
            let mut waiting = self.waiting.borrow_mut();
            waiting.push_back(turn.clone());
            waiting.len() == 1
        };
        if first {
            self.receiver
                .set_onmessage(Some(self.on_message.as_ref().unchecked_ref()));
        }
        Some(turn)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.receiver.set_onmessage(None);
        self.receiver.close();
        self.sender.close();
    }
}
