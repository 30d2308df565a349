//! A member's transcript: what was said to it, what it answered, which tools it called and what they gave.

use serde::Serialize;
use serde_json::{Error, Value};

use crate::agent::model::{ChatMessage, ToolCall};
use crate::wire::json::{Fields, FromJson, deserialize_by_json};
use crate::wire::{InteractionId, TimestampMs, WorkId};

/// One message of a transcript, as it is stored: one row each, written as the conversation grows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TranscriptEntry {
    /// When it was written.
    pub timestamp_ms: TimestampMs,
    /// The work item in whose turn it was written.
    pub work_id: WorkId,
    /// The interaction that the work belongs to.
    pub interaction_id: InteractionId,
    /// What was said.
    pub message: ChatMessage,
}

impl TranscriptEntry {
    /// Takes an entry's fields out of an object that may have others.
    pub(crate) fn from_fields(fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            timestamp_ms: fields.take("timestamp_ms")?,
            work_id: fields.take("work_id")?,
            interaction_id: fields.take("interaction_id")?,
            message: fields.take("message")?,
        })
    }
}

impl FromJson for TranscriptEntry {
    fn from_json(value: Value) -> Result<Self, Error> {
        Self::from_fields(&mut Fields::of(value)?)
    }
}

deserialize_by_json!(TranscriptEntry);

/// The calls of the newest assistant message that have no result yet, in order.
///
/// After a crash these are the calls of which nobody knows whether they ran.
pub fn unanswered_calls<'a>(
    messages: impl DoubleEndedIterator<Item = &'a ChatMessage>,
) -> Vec<ToolCall> {
    let mut answered = Vec::new();
    for message in messages.rev() {
        match message {
            ChatMessage::Tool { call_id, .. } => answered.push(call_id.clone()),
            ChatMessage::Assistant { tool_calls, .. } => {
                return tool_calls
                    .iter()
                    .filter(|call| !answered.contains(&call.id))
                    .cloned()
                    .collect();
            }
            ChatMessage::User { .. } => {}
        }
    }
    Vec::new()
}
