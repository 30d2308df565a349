//! Puts a streamed answer together.

use serde_json::{Map, Value};

use super::{ChatMessage, ModelDelta, ModelError, ModelRequest, ToolCall};
use crate::wire::json;
use crate::wire::{StopReason, Usage};

/// Collects the deltas of one answer. Pure: the same deltas give the same turn, however they were cut.
///
/// Every tool call of the result has an id that is unique in the transcript that was asked with: providers that send none,
/// the same one for two calls, or one that an earlier turn already used get `{prefix}-{index}` instead.
#[derive(Debug)]
pub struct TurnAssembler {
    id_prefix: String,
    used_ids: Vec<String>,
    text: String,
    reasoning: String,
    /// By index, ascending.
    calls: Vec<(u32, PartialCall)>,
    usage: Option<Usage>,
    stop: Option<StopReason>,
}

#[derive(Debug, Default)]
struct PartialCall {
    id: Option<String>,
    name: String,
    args: String,
}

/// A finished answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AssembledTurn {
    /// The visible text.
    pub text: String,
    /// The reasoning the provider showed.
    pub reasoning: String,
    /// The calls by index. A malformed one is to be answered with an error so that the model can correct itself.
    pub tool_calls: Vec<Result<ToolCall, MalformedCall>>,
    /// The tokens used, where the provider said.
    pub usage: Option<Usage>,
    /// Why the answer ended; [`StopReason::ToolUse`] exactly if there are calls, unless the answer was cut short by a limit or filter.
    pub stop: StopReason,
}

/// A tool call that cannot be made as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed call of `{name}`: {reason}")]
pub struct MalformedCall {
    /// The call's id, unique as in [`ToolCall::id`].
    pub id: String,
    /// The tool's name; empty if the model gave none.
    pub name: String,
    /// The arguments' text as it came.
    pub args: String,
    /// What is wrong with it.
    pub reason: String,
}

impl MalformedCall {
    /// The call as a transcript keeps it: the text that came, as a string.
    pub fn to_tool_call(&self) -> ToolCall {
        ToolCall {
            id: self.id.clone(),
            name: self.name.clone(),
            args: Value::String(self.args.clone()),
        }
    }
}

impl AssembledTurn {
    /// The answer as a transcript keeps it, malformed calls included.
    pub fn to_message(&self) -> ChatMessage {
        let call = |call: &Result<ToolCall, MalformedCall>| match call {
            Ok(call) => call.clone(),
            Err(malformed) => malformed.to_tool_call(),
        };
        ChatMessage::Assistant {
            text: self.text.clone(),
            reasoning: self.reasoning.clone(),
            tool_calls: self.tool_calls.iter().map(call).collect(),
        }
    }
}

impl TurnAssembler {
    /// An assembler for the answer to `request`.
    ///
    /// `id_prefix` must be one that no other turn of the same transcript gets: it names the calls for which the provider gave no usable id.
    pub fn new(request: &ModelRequest, id_prefix: impl Into<String>) -> Self {
        let used_ids = request
            .messages
            .iter()
            .flat_map(|message| match message {
                ChatMessage::Assistant { tool_calls, .. } => tool_calls.as_slice(),
                _ => &[],
            })
            .map(|call| call.id.clone())
            .collect();
        Self {
            id_prefix: id_prefix.into(),
            used_ids,
            text: String::new(),
            reasoning: String::new(),
            calls: Vec::new(),
            usage: None,
            stop: None,
        }
    }

    /// Adds one piece.
    pub fn push(&mut self, delta: ModelDelta) {
        match delta {
            ModelDelta::Text(piece) => self.text.push_str(&piece),
            ModelDelta::Reasoning(piece) => self.reasoning.push_str(&piece),
            ModelDelta::Usage(usage) => self.usage = Some(usage),
            ModelDelta::Stop(reason) => self.stop = Some(reason),
            ModelDelta::ToolCall {
                index,
                id,
                name,
                args,
            } => {
                let call = self.call(index);
                if call.id.is_none() {
                    call.id = id.filter(|id| !id.is_empty());
                }
                // Some servers repeat the whole name with every piece.
                if let Some(name) = name.filter(|name| *name != call.name) {
                    call.name.push_str(&name);
                }
                call.args.push_str(&args);
            }
        }
    }

    fn call(&mut self, index: u32) -> &mut PartialCall {
        let at = match self.calls.binary_search_by_key(&index, |call| call.0) {
            Ok(at) => at,
            Err(at) => {
                self.calls.insert(at, (index, PartialCall::default()));
                at
            }
        };
        &mut self.calls[at].1
    }

    /// The visible text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The reasoning so far.
    pub fn reasoning(&self) -> &str {
        &self.reasoning
    }

    /// The tokens used, where the provider has said so.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// How many bytes of text, reasoning and calls there are so far.
    pub fn bytes(&self) -> usize {
        let calls = self.calls.iter().map(|(_, call)| call);
        let calls = calls.map(|call| call.name.len() + call.args.len());
        self.text.len() + self.reasoning.len() + calls.sum::<usize>()
    }

    /// The finished answer, or [`ModelError::Truncated`] when no [`ModelDelta::Stop`] was seen.
    pub fn finish(mut self) -> Result<AssembledTurn, ModelError> {
        let Some(stop) = self.stop else {
            return Err(ModelError::Truncated {
                message: "the stream ended without a reason to stop".into(),
            });
        };
        let calls = std::mem::take(&mut self.calls);
        let tool_calls: Vec<_> = calls
            .into_iter()
            .map(|(index, call)| self.finish_call(index, call))
            .collect();
        // Servers differ in whether they say `stop` or `tool_calls` after calls; what was called decides.
        let stop = match (stop, tool_calls.is_empty()) {
            (StopReason::EndTurn | StopReason::StopSequence, false) => StopReason::ToolUse,
            (StopReason::ToolUse, true) => StopReason::EndTurn,
            (stop, _) => stop,
        };
        Ok(AssembledTurn {
            text: self.text,
            reasoning: self.reasoning,
            tool_calls,
            usage: self.usage,
            stop,
        })
    }

    fn finish_call(&mut self, index: u32, call: PartialCall) -> Result<ToolCall, MalformedCall> {
        let mut id = call
            .id
            .unwrap_or_else(|| format!("{}-{index}", self.id_prefix));
        if self.used_ids.contains(&id) {
            id = format!("{}-{index}", self.id_prefix);
        }
        self.used_ids.push(id.clone());
        let parsed = if call.name.is_empty() {
            Err("the call names no tool".to_owned())
        } else {
            parse_arguments(&call.args)
        };
        match parsed {
            Ok(args) => Ok(ToolCall {
                id,
                name: call.name,
                args,
            }),
            Err(reason) => Err(MalformedCall {
                id,
                name: call.name,
                args: call.args,
                reason,
            }),
        }
    }
}

/// Arguments are an object; no text and `null` mean none, and an object that was serialised twice is accepted.
fn parse_arguments(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let not_json = |error: serde_json::Error| format!("the arguments are not JSON: {error}");
    match json::parse(text.as_bytes()).map_err(not_json)? {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::String(inner) => match json::parse(inner.as_bytes()) {
            Ok(Value::Object(args)) => Ok(Value::Object(args)),
            _ => Err("the arguments are a string, not an object".to_owned()),
        },
        Value::Object(args) => Ok(Value::Object(args)),
        other => Err(format!(
            "the arguments are not an object but {}",
            json::text(&other)
        )),
    }
}
