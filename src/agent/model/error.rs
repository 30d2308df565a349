//! How a model fails: what happened, whether trying again can help, and what to tell people.

use std::time::Duration;

use crate::wire::AgentErrorClass;

/// Why a model gave no complete answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The provider refused the credentials (HTTP 401 or 403).
    #[error("the model's provider refused the credentials (HTTP {status}): {message}")]
    Auth {
        /// The HTTP status.
        status: u16,
        /// What the provider said.
        message: String,
    },
    /// Too many requests for now (HTTP 429).
    #[error("the model's provider asks to slow down: {message}")]
    RateLimited {
        /// How long the provider asked to wait.
        retry_after: Option<Duration>,
        /// What the provider said.
        message: String,
    },
    /// The account has no credit left (HTTP 402, or 429 with `insufficient_quota`): waiting does not help.
    #[error("the account at the model's provider is used up: {message}")]
    QuotaExhausted {
        /// What the provider said.
        message: String,
    },
    /// The provider failed (HTTP 408, 409, 425 or 5xx, or an error inside the stream).
    #[error("the model's provider failed (HTTP {status}): {message}")]
    Server {
        /// The HTTP status; 200 when the error came inside a stream.
        status: u16,
        /// How long the provider asked to wait.
        retry_after: Option<Duration>,
        /// What the provider said.
        message: String,
    },
    /// The provider did not accept the request (other HTTP 4xx), e.g. an unknown model.
    #[error("the model's provider rejected the request (HTTP {status}): {body}")]
    BadRequest {
        /// The HTTP status.
        status: u16,
        /// What the provider said, shortened.
        body: String,
    },
    /// No answer at all: offline, blocked by the browser, a wrong address.
    #[error("could not reach {url}: {message}{}", .hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Network {
        /// The address that was asked.
        url: String,
        /// The likely cause and what to do about it, where one is known.
        hint: Option<String>,
        /// What the host said, e.g. `TypeError: Failed to fetch`.
        message: String,
    },
    /// The answer was not what the dialect says, e.g. malformed JSON.
    #[error("the model's answer was malformed: {message}")]
    Protocol {
        /// What was wrong and where.
        message: String,
    },
    /// The answer was cut before its end.
    #[error("the model's answer was cut before its end: {message}")]
    Truncated {
        /// What was seen last.
        message: String,
    },
    /// The provider withheld the answer.
    #[error("the model's provider withheld the answer: {message}")]
    ContentFiltered {
        /// What the provider said.
        message: String,
    },
    /// The request does not fit the model's context window.
    #[error("the conversation is too long for the model: {message}")]
    ContextTooLong {
        /// What the provider said.
        message: String,
    },
    /// The model cannot be asked now; the work should wait.
    #[error("the model is not available: {reason}")]
    Unavailable {
        /// What is missing, for people.
        reason: String,
    },
    /// A model written in JavaScript threw.
    #[error("the model threw {name}: {message}")]
    Js {
        /// The error's `name`, e.g. `TypeError`.
        name: String,
        /// The error's `message`.
        message: String,
        /// Whether it said that trying again may help: `retryable` is true, or `status` is an HTTP status of which that is so.
        retryable: bool,
    },
    /// A model written in JavaScript gave a piece that is none.
    #[error("the model gave a bad delta: `{field}`: {reason}")]
    BadDelta {
        /// The field that is wrong; `delta` for the whole.
        field: String,
        /// What was expected and what it got.
        reason: String,
    },
}

impl ModelError {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Server { .. } | Self::Network { .. } => true,
            Self::Protocol { .. } | Self::Truncated { .. } => true,
            Self::Auth { .. } | Self::QuotaExhausted { .. } | Self::BadRequest { .. } => false,
            Self::ContentFiltered { .. } | Self::ContextTooLong { .. } => false,
            Self::Unavailable { .. } | Self::BadDelta { .. } => false,
            Self::Js { retryable, .. } => *retryable,
        }
    }

    /// How long the provider asked to wait before the next try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Server { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// The class for `run_failed` (MobKit contract, section 19).
    pub fn class(&self) -> AgentErrorClass {
        match self {
            Self::Auth { .. } => AgentErrorClass::Auth,
            Self::ContentFiltered { .. } => AgentErrorClass::ContentFiltered,
            _ => AgentErrorClass::Llm,
        }
    }

    /// A stable snake_case name of the kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Auth { .. } => "model_auth",
            Self::RateLimited { .. } => "model_rate_limited",
            Self::QuotaExhausted { .. } => "model_quota_exhausted",
            Self::Server { .. } => "model_server_error",
            Self::BadRequest { .. } => "model_bad_request",
            Self::Network { .. } => "model_unreachable",
            Self::Protocol { .. } => "model_protocol_error",
            Self::Truncated { .. } => "model_stream_truncated",
            Self::ContentFiltered { .. } => "model_content_filtered",
            Self::ContextTooLong { .. } => "model_context_too_long",
            Self::Unavailable { .. } => "model_unavailable",
            Self::Js { .. } => "model_threw",
            Self::BadDelta { .. } => "model_bad_delta",
        }
    }
}
