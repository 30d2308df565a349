//! What a model is asked: a system prompt, the transcript so far and the tools on offer.

use serde::{Deserialize, Serialize};
use serde_json::{Error, Value};

use crate::wire::ContentInput;
use crate::wire::json::{self, Fields, FromJson, deserialize_by_json, from_json};

/// One question to a model: everything it gets to see.
///
/// A model has no other source of knowledge, so a request replayed is the same question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// The model's name as the profile gives it, e.g. `qwen3:8b`.
    pub model: String,
    /// The system prompt; empty when there is none.
    #[serde(default)]
    pub system: String,
    /// The transcript, oldest message first.
    #[serde(default)]
    pub messages: Vec<ChatMessage>,
    /// The tools that may be called in this turn.
    #[serde(default)]
    pub tools: Vec<ToolDefinition>,
    /// The most tokens the answer may have; the provider's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Further provider parameters (an object such as `{"temperature": 0.2}`), handed on unchanged; null when there are none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

/// One message of a transcript. Its JSON form has the tag `role` and is what transcripts store.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum ChatMessage {
    /// What the member was told, by a person or by a peer.
    User {
        /// The message.
        content: ContentInput,
        /// The peer that wrote it; absent when it came from outside the mob.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
    /// What the model answered in one turn.
    Assistant {
        /// The visible text; empty when the turn only called tools.
        text: String,
        /// The reasoning the provider showed; empty when none.
        #[serde(skip_serializing_if = "String::is_empty")]
        reasoning: String,
        /// The tools it called, in the order of the answer.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
    },
    /// What a tool call came to.
    Tool {
        /// The [`ToolCall::id`] this answers.
        call_id: String,
        /// The tool's name.
        name: String,
        /// The result as text; JSON results are serialised.
        content: String,
        /// Whether the call failed.
        is_error: bool,
    },
}

impl FromJson for ChatMessage {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        let role = fields.tag("role")?;
        Ok(match role.as_str() {
            "user" => Self::User {
                content: fields.take("content")?,
                from: fields.take("from")?,
            },
            "assistant" => Self::Assistant {
                text: fields.take_or_default("text")?,
                reasoning: fields.take_or_default("reasoning")?,
                tool_calls: fields.take_or_default("tool_calls")?,
            },
            "tool" => Self::Tool {
                call_id: fields.take("call_id")?,
                name: fields.take("name")?,
                content: fields.take("content")?,
                is_error: fields.take_or_default("is_error")?,
            },
            other => {
                return Err(json::unknown(
                    "variant",
                    other,
                    &["user", "assistant", "tool"],
                ));
            }
        })
    }
}

deserialize_by_json!(ChatMessage);

impl ChatMessage {
    /// A user message from outside the mob.
    pub fn user(text: impl Into<String>) -> Self {
        Self::User {
            content: ContentInput::Text(text.into()),
            from: None,
        }
    }

    /// A message written by a peer.
    pub fn from_peer(peer: impl Into<String>, text: impl Into<String>) -> Self {
        Self::User {
            content: ContentInput::Text(text.into()),
            from: Some(peer.into()),
        }
    }

    /// A successful tool result for `call`.
    pub fn tool_result(call: &ToolCall, content: impl Into<String>) -> Self {
        Self::Tool {
            call_id: call.id.clone(),
            name: call.name.clone(),
            content: content.into(),
            is_error: false,
        }
    }
}

/// A call of a tool that a model asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolCall {
    /// Unique within the transcript it belongs to (see [`TurnAssembler`](super::TurnAssembler)).
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments, an object.
    pub args: Value,
}

from_json!(ToolCall deserialize { id, name, args });

/// A tool as it is offered to a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// The name to call it by.
    pub name: String,
    /// What it does, for the model to read.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of the arguments, an object schema.
    pub input_schema: Value,
}
