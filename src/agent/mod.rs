//! One member's mind: the models it thinks with.

pub mod http;
pub mod model;
pub mod sse;
