//! The asynchronous core that every other room stands on: tasks and task groups, timers, yielding, wake-ups and the
//! ring with cursors.
//!
//! Everything here is single-threaded and goes through one cheap handle, [`Host`], which its maker hands down; there is
//! no global runtime. In the browser the host is `web::BrowserHost`, in tests it is `sim::Sim`, a seeded scheduler with
//! a virtual clock. The names are tokio's wherever the meaning is.
//!
//! ```
//! use mobkit_web::sim::Sim;
//! use std::time::Duration;
//!
//! let sim = Sim::new(7);
//! let host = sim.host();
//! let answer = sim.block_on(async move {
//!     let task = host.spawn({
//!         let host = host.clone();
//!         async move {
//!             host.sleep(Duration::from_secs(3600)).await; // takes no real time
//!             42
//!         }
//!     });
//!     task.await
//! });
//! assert_eq!(answer, Ok(42));
//! ```

mod all;
mod budget;
mod fault;
mod group;
mod host;
mod instant;
mod interval;
mod latch;
mod notify;
mod sleep;
mod tail;
mod task;
mod timeout;
mod wake;

pub(crate) use all::all;
pub use budget::YieldBudget;
pub use fault::Fault;
pub use group::TaskGroup;
pub use host::{Host, HostDriver};
pub use instant::Instant;
pub use interval::Interval;
pub(crate) use latch::Latch;
pub use notify::{Notified, Notify};
pub use sleep::Sleep;
pub use tail::{Tail, TailRead};
pub use task::{AbortHandle, Aborted, JoinHandle};
pub use timeout::Elapsed;
pub use wake::Wake;
