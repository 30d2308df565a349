//! The adapters that touch JavaScript. They work in a page, in a worker and on an edge runtime: nothing here asks for a
//! `window`.

#[cfg(feature = "bindings")]
mod bindings;
mod broadcast;
mod host;
mod http;
mod indexed_db;
pub(crate) mod js_error;
mod js_model;
mod js_storage;
mod locks;
mod macrotask;

pub use broadcast::BroadcastSignal;
pub use host::BrowserHost;
pub use http::WebFetch;
pub use indexed_db::{IndexedDbConfig, IndexedDbStorage};
pub use js_model::JsModel;
pub use js_storage::JsStorage;
pub use locks::WebLocks;
