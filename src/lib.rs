//! A durable mob of LLM agents in a browser tab or an edge worker.

pub mod agent;
pub mod console;
pub mod log;
pub mod mob;
pub mod modules;
pub mod runtime;
pub mod shim;
#[cfg(any(not(target_arch = "wasm32"), test, feature = "testing"))]
pub mod sim;
pub mod storage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(target_arch = "wasm32")]
pub mod web;
pub mod wire;
