//! The port through which a member thinks: what is asked of a model, what it answers piece by piece, and how it fails.
//!
//! A [`LanguageModel`] gets one [`ModelRequest`] and answers with a stream of [`ModelDelta`]s. The turn loop puts the deltas
//! together with a [`TurnAssembler`] and decides with a [`RetryPolicy`] what to do about a [`ModelError`]. Nothing here knows a
//! provider: dialects live beside this folder.

mod assembler;
mod delta;
mod delta_json;
mod error;
mod language_model;
mod request;
mod retry;

#[cfg(test)]
mod tests;

pub use assembler::{AssembledTurn, MalformedCall, TurnAssembler};
pub use delta::{ModelDelta, ModelStream};
pub use error::ModelError;
pub use language_model::{Availability, LanguageModel, ModelInfo};
pub use request::{ChatMessage, ModelRequest, ToolCall, ToolDefinition};
pub use retry::RetryPolicy;
