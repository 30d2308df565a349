//! The port itself.

use std::time::Duration;

use super::{ModelRequest, ModelStream};

/// Something that answers [`ModelRequest`]s: a provider over HTTP, a model in the page, a script.
pub trait LanguageModel {
    /// What kind of model this is, for people and for bounds.
    fn info(&self) -> ModelInfo;

    /// Whether a request would make sense now. Work whose model is [`Waiting`](Availability::Waiting) is kept, not failed.
    fn availability(&self) -> Availability {
        Availability::Ready
    }

    /// How long it may take to begin an answer until it is given up. A model may have to be loaded first, which takes minutes
    /// where it is large; once it has begun, the definition's limit on silence counts.
    fn start_timeout(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// Starts answering. Nothing needs to happen before the stream is polled; dropping the stream aborts.
    ///
    /// Errors come through the stream, which ends after the first one.
    fn stream(&self, request: ModelRequest) -> ModelStream;
}

/// What kind of model answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Who answers, e.g. `openai-compatible`, `demo`, `js`.
    pub provider: String,
    /// True for scripted models: whoever shows an answer says so.
    pub is_demo: bool,
    /// The size of the context window in tokens, where known; histories are bounded by it.
    pub context_tokens: Option<u32>,
}

/// Whether a model can be asked now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Ready,
    /// It cannot yet, e.g. because its key has to be typed in again after a reload.
    Waiting {
        /// What is missing, for people.
        reason: String,
    },
}
