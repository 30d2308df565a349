//! One member's mind: its transcript, the turn loop, its tools, and the models it thinks with.

mod ask;
pub mod demo;
pub(crate) mod history;
pub mod http;
pub mod model;
pub mod openai;
pub mod reachability;
pub mod run;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;
pub mod sse;
pub mod tool;
pub mod transcript;
