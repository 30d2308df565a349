//! What a model answers, piece by piece.

use futures::stream::LocalBoxStream;
use serde::{Deserialize, Serialize};

use super::ModelError;
use crate::wire::{StopReason, Usage};

/// One piece of an answer.
///
/// A complete answer has a [`Stop`](Self::Stop); a stream that ends without one was cut. Usage may come before or after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ModelDelta {
    /// Visible text to add at the end.
    Text(String),
    /// Reasoning to add at the end.
    Reasoning(String),
    /// A piece of the tool call with this index.
    ToolCall {
        /// Which call of this answer, counted from zero.
        index: u32,
        /// The provider's id for the call; once, always or never.
        id: Option<String>,
        /// The tool's name; usually in the first piece only.
        name: Option<String>,
        /// A piece of the arguments' JSON text to add at the end.
        args: String,
    },
    /// Tokens used by this answer in all; a later value replaces an earlier one.
    Usage(Usage),
    /// Why the answer ended.
    Stop(StopReason),
}

/// The answer as it comes in. Ends after the first error. Dropping it aborts the request.
pub type ModelStream = LocalBoxStream<'static, Result<ModelDelta, ModelError>>;
