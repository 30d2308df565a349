//! One member's mind: the models it thinks with.

pub mod http;
pub mod model;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;
pub mod sse;
