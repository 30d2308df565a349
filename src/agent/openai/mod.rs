//! The OpenAI-compatible chat-completions dialect, spoken by OpenAI, Ollama, llama.cpp, LM Studio, vLLM, OpenRouter and many more.
//!
//! The dialect is pure code from values to values: [`request`] builds the body, [`decode`] reads the answer however it is cut,
//! [`failure`] turns statuses and error bodies into a [`ModelError`](super::model::ModelError). [`OpenAiCompatible`] is the thin
//! [`LanguageModel`](super::model::LanguageModel) that performs it over an [`HttpClient`](super::http::HttpClient).

pub mod decode;
pub mod failure;
mod model;
pub mod request;
mod slots;
mod surrogates;

#[cfg(test)]
mod tests;

pub use model::{OpenAiCompatible, OpenAiConfig};
