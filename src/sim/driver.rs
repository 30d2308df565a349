//! The simulator as a host.

use std::future::poll_fn;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{self, LocalBoxFuture};

use super::world::{TimerKey, World};
use crate::shim::HostDriver;

/// A simulated world as the shim sees it, up to that world's next crash.
pub(super) struct SimDriver {
    world: Rc<World>,
    epoch: u64,
}

impl SimDriver {
    pub(super) fn new(world: Rc<World>) -> Self {
        Self {
            epoch: world.epoch(),
            world,
        }
    }

    /// The process that this host belonged to has crashed.
    fn is_dead(&self) -> bool {
        self.world.epoch() != self.epoch
    }
}

impl HostDriver for SimDriver {
    fn now_ms(&self) -> u64 {
        self.world.now_ms()
    }

    fn monotonic(&self) -> Duration {
        self.world.clock()
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>, origin: &'static Location<'static>) {
        if self.is_dead() {
            drop(task);
        } else {
            self.world.spawn(task, origin);
        }
    }

    fn timer(&self, after: Duration) -> LocalBoxFuture<'static, ()> {
        if self.is_dead() {
            return future::pending().boxed_local();
        }
        let (key, latch) = self.world.arm_timer(after);
        let armed = Armed {
            world: self.world.clone(),
            key,
        };
        poll_fn(move |cx| {
            // Captured whole, so that dropping this future disarms the timer.
            let _armed = &armed;
            latch.poll(cx)
        })
        .boxed_local()
    }

    fn yield_now(&self) -> LocalBoxFuture<'static, ()> {
        if self.is_dead() {
            return future::pending().boxed_local();
        }
        let latch = self.world.queue_yield();
        poll_fn(move |cx| latch.poll(cx)).boxed_local()
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let word = self.world.bytes().next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Disarms its timer when dropped.
struct Armed {
    world: Rc<World>,
    key: TimerKey,
}

impl Drop for Armed {
    fn drop(&mut self) {
        self.world.disarm_timer(self.key);
    }
}
