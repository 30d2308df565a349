//! One member's mind: the models it thinks with.

pub mod demo;
pub mod http;
pub mod model;
pub mod openai;
pub mod reachability;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;
pub mod sse;
