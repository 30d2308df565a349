//! The host of a browser page, a worker or an edge runtime.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use gloo_timers::callback::Timeout;
use wasm_bindgen::prelude::*;

use super::macrotask::Macrotasks;
use crate::shim::{Host, HostDriver, Latch};

/// The longest delay of `setTimeout` (HTML, section 8.7): it is a signed 32-bit number of milliseconds, and a longer one
/// fires at once.
const TIMER_LIMIT: Duration = Duration::from_millis(i32::MAX as u64);

/// What one call of `crypto.getRandomValues` fills at most (Web Cryptography, section 10.1.1).
const RANDOM_LIMIT: usize = 65_536;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;

    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues, catch)]
    fn get_random_values(buffer: &mut [u8]) -> Result<(), JsValue>;
}

/// The global event loop as a host: tasks by `wasm-bindgen-futures` (microtasks), timers by `gloo-timers`, yields by
/// messages to itself or `setImmediate`.
///
/// Everything it uses is looked up as a global name (`setTimeout`, `performance`, `crypto`, `MessageChannel`), so it runs
/// in a page, in every kind of worker and on an edge runtime. It is made inside whatever is to run on it: on an edge
/// runtime that is the durable object or the request.
pub struct BrowserHost {
    clock: Rc<Clock>,
    macrotasks: Macrotasks,
}

impl BrowserHost {
    /// A host on the event loop that this code runs on.
    pub fn host() -> Host {
        Host::new(Rc::new(BrowserHost {
            clock: Rc::default(),
            macrotasks: Macrotasks::new(),
        }))
    }
}

impl HostDriver for BrowserHost {
    fn now_ms(&self) -> u64 {
        js_sys::Date::now() as u64
    }

    fn monotonic(&self) -> Duration {
        self.clock.read()
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>, _origin: &'static Location<'static>) {
        wasm_bindgen_futures::spawn_local(task);
    }

    fn timer(&self, after: Duration) -> LocalBoxFuture<'static, ()> {
        let clock = self.clock.clone();
        let due = clock.read().saturating_add(after);
        // Rounded up: `setTimeout` cuts fractions of a millisecond off.
        let millis = after.min(TIMER_LIMIT).as_micros().div_ceil(1_000) as u32;
        // Not gloo's future: that one wakes its waiter when it is dropped.
        let latch = Rc::new(Latch::default());
        let timeout = Timeout::new(millis, {
            let latch = latch.clone();
            move || {
                clock.advance_to(due);
                latch.open();
            }
        });
        poll_fn(move |cx| {
            // Captured whole, so that dropping this future clears the timeout.
            let _armed = &timeout;
            latch.poll(cx)
        })
        .boxed_local()
    }

    fn timer_limit(&self) -> Duration {
        TIMER_LIMIT
    }

    fn yield_now(&self) -> LocalBoxFuture<'static, ()> {
        self.macrotasks.next()
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(RANDOM_LIMIT) {
            get_random_values(chunk)
                .expect("every host that runs WebAssembly has crypto.getRandomValues");
        }
    }
}

/// `performance.now()`, never going back.
#[derive(Default)]
struct Clock(Cell<Duration>);

impl Clock {
    fn read(&self) -> Duration {
        let now = Duration::from_secs_f64(performance_now().max(0.0) / 1_000.0);
        self.advance_to(now);
        self.0.get()
    }

    /// A timer that has fired proves how late it is. The clock may not know: an edge worker's stands still between input and
    /// output, browsers blur theirs and fire timers a fraction of a millisecond early.
    fn advance_to(&self, now: Duration) {
        self.0.set(self.0.get().max(now));
    }
}
