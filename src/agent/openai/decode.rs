//! Reads the answer: a stream of chunks as server-sent events, or one JSON document from a server that does not stream.

use std::collections::VecDeque;

use serde_json::Value;

use super::failure;
use super::slots::CallSlots;
use super::surrogates::{Joiner, escape_halves};
use crate::agent::model::{ModelDelta, ModelError};
use crate::agent::sse::{MAX_EVENT_BYTES, SseEvent, SseParser};
use crate::wire::json;
use crate::wire::{StopReason, Usage};

/// Turns the body of a successful answer into deltas. Pure: bytes in, deltas out, however the bytes are cut.
#[derive(Debug, Default)]
pub struct Decoder {
    form: Form,
    slots: CallSlots,
    stopped: bool,
    done: bool,
    deltas: VecDeque<ModelDelta>,
    text: Joiner,
    reasoning: Joiner,
    /// One per tool call, by its index.
    arguments: Vec<Joiner>,
}

#[derive(Debug, Default)]
enum Form {
    /// Nothing but white space came yet.
    #[default]
    Unknown,
    Events(SseParser),
    Document(Vec<u8>),
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. After an error the answer is over; deltas before it are still to be taken.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        if self.done {
            return Ok(());
        }
        let mut bytes = bytes;
        if matches!(self.form, Form::Unknown) {
            bytes = bytes.trim_ascii_start();
            match bytes.first() {
                None => return Ok(()),
                Some(b'{' | b'[') => self.form = Form::Document(Vec::new()),
                Some(b'<') => {
                    let message = "the server sent a web page instead of an answer; is the address right? It usually ends in /v1";
                    return Err(ModelError::Protocol {
                        message: message.into(),
                    });
                }
                Some(_) => self.form = Form::Events(SseParser::new()),
            }
        }
        match &mut self.form {
            Form::Unknown => Ok(()),
            Form::Document(document) if document.len() + bytes.len() > MAX_EVENT_BYTES => {
                Err(too_long())
            }
            Form::Document(document) => {
                document.extend_from_slice(bytes);
                Ok(())
            }
            Form::Events(parser) => {
                let events = parser.push(bytes).map_err(|_| too_long())?;
                events.iter().try_for_each(|event| self.event(event))
            }
        }
    }

    /// The end of the body: what was still open, and whether the answer was complete.
    pub fn finish(&mut self) -> Result<(), ModelError> {
        if !self.done {
            match std::mem::take(&mut self.form) {
                Form::Unknown => {
                    return Err(ModelError::Truncated {
                        message: "the server sent an empty answer".into(),
                    });
                }
                Form::Events(parser) => {
                    if let Some(event) = parser.finish() {
                        // Half an event is what a cut stream leaves; only a whole one counts.
                        if event.data.trim() == "[DONE]"
                            || json::parse(event.data.as_bytes()).is_ok()
                        {
                            self.event(&event)?;
                        }
                    }
                }
                Form::Document(document) => {
                    let text = String::from_utf8_lossy(&document);
                    let value = json::parse(escape_halves(&text).as_bytes()).map_err(|error| {
                        if error.is_eof() {
                            ModelError::Truncated {
                                message: "the document ended early".into(),
                            }
                        } else {
                            malformed(&String::from_utf8_lossy(&document), &error)
                        }
                    })?;
                    self.chunk(&value)?;
                    self.stop_if_open();
                }
            }
        }
        if self.stopped {
            self.done = true;
            return Ok(());
        }
        Err(ModelError::Truncated {
            message: "the stream ended without a finish_reason or [DONE]".into(),
        })
    }

    /// The next delta that is ready.
    pub fn next_delta(&mut self) -> Option<ModelDelta> {
        self.deltas.pop_front()
    }

    /// Whether `[DONE]` was seen: nothing that follows matters.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the reason to stop was seen: a connection that breaks now loses no part of the answer.
    pub fn has_stopped(&self) -> bool {
        self.stopped
    }

    fn event(&mut self, event: &SseEvent) -> Result<(), ModelError> {
        let data = event.data.trim();
        if self.done || data.is_empty() {
            return Ok(());
        }
        if data == "[DONE]" {
            self.stop_if_open();
            self.done = true;
            return Ok(());
        }
        match json::parse(escape_halves(data).as_bytes()) {
            Ok(value) if event.event == "error" => Err(failure::in_stream(&value)),
            Ok(value) => self.chunk(&value),
            Err(_) if event.event == "error" => {
                Err(failure::in_stream(&Value::String(data.to_owned())))
            }
            Err(error) => Err(malformed(data, &error)),
        }
    }

    /// A chunk of a stream (`delta`) or a whole answer (`message`).
    fn chunk(&mut self, chunk: &Value) -> Result<(), ModelError> {
        // Google's endpoint wraps errors into an array of one.
        let chunk = chunk
            .as_array()
            .and_then(|items| items.first())
            .unwrap_or(chunk);
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Err(failure::in_stream(chunk));
        }
        let choices = chunk.get("choices").and_then(Value::as_array);
        let usage = chunk.get("usage").and_then(usage);
        if choices.is_none() && usage.is_none() {
            let message = format!(
                "neither choices nor usage nor an error in {}",
                failure::excerpt(&json::text(chunk))
            );
            return Err(ModelError::Protocol { message });
        }
        let ours = |choice: &&Value| choice.get("index").and_then(Value::as_u64).unwrap_or(0) == 0;
        for choice in choices.into_iter().flatten().filter(ours) {
            let delta = choice
                .get("delta")
                .or_else(|| choice.get("message"))
                .unwrap_or(&Value::Null);
            self.delta(delta)?;
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
                self.finish_reason(reason)?;
            }
        }
        if let Some(usage) = usage {
            self.deltas.push_back(ModelDelta::Usage(usage));
        }
        Ok(())
    }

    fn delta(&mut self, delta: &Value) -> Result<(), ModelError> {
        // DeepSeek, vLLM and llama.cpp say `reasoning_content`, OpenRouter and Ollama `reasoning`; some send both alike.
        let reasoning = ["reasoning_content", "reasoning"]
            .into_iter()
            .find_map(|field| non_empty(delta.get(field)));
        if let Some(reasoning) = reasoning {
            self.reason(reasoning);
        }
        match delta.get("content") {
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.part(part)),
            content => self.text(non_empty(content)),
        }
        self.text(non_empty(delta.get("refusal")));
        match delta.get("tool_calls") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Array(calls)) => calls.iter().try_for_each(|call| self.call(call)),
            Some(other) => {
                let message = format!(
                    "tool_calls is not an array but {}",
                    failure::excerpt(&json::text(other))
                );
                Err(ModelError::Protocol { message })
            }
        }
    }

    fn text(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            let text = self.text.join(text);
            self.deltas.push_back(ModelDelta::Text(text));
        }
    }

    fn reason(&mut self, text: &str) {
        let text = self.reasoning.join(text);
        self.deltas.push_back(ModelDelta::Reasoning(text));
    }

    /// A content part, as Mistral streams them: text, or thinking that holds texts.
    fn part(&mut self, part: &Value) {
        if let Some(thinking) = part.get("thinking").and_then(Value::as_array) {
            for text in thinking
                .iter()
                .filter_map(|inner| non_empty(inner.get("text")))
            {
                self.reason(text);
            }
        }
        self.text(non_empty(part.get("text")));
    }

    fn call(&mut self, call: &Value) -> Result<(), ModelError> {
        let function = call.get("function").unwrap_or(&Value::Null);
        let id = non_empty(call.get("id"));
        let name = non_empty(function.get("name"));
        let args = match function.get("arguments") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value @ Value::Object(_)) => json::text(value),
            Some(other) => {
                let message = format!(
                    "a tool call's arguments are {}",
                    failure::excerpt(&json::text(other))
                );
                return Err(ModelError::Protocol { message });
            }
        };
        let index = self
            .slots
            .place(call.get("index").and_then(Value::as_u64), id, name, &args);
        let slot = index as usize;
        if self.arguments.len() <= slot {
            self.arguments.resize_with(slot + 1, Joiner::default);
        }
        let args = self.arguments[slot].join(&args);
        self.deltas.push_back(ModelDelta::ToolCall {
            index,
            id: id.map(Into::into),
            name: name.map(Into::into),
            args,
        });
        Ok(())
    }

    fn finish_reason(&mut self, reason: &str) -> Result<(), ModelError> {
        let stop = match reason {
            "" => return Ok(()),
            "error" => {
                return Err(failure::in_stream(&Value::String(
                    "finish_reason is error".into(),
                )));
            }
            "length" | "max_tokens" | "model_length" => StopReason::MaxTokens,
            "tool_calls" | "function_call" | "tool_use" => StopReason::ToolUse,
            "content_filter" => StopReason::ContentFilter,
            // `stop`, and what some servers call it: `eos`, `end_turn`, …
            _ => StopReason::EndTurn,
        };
        if !std::mem::replace(&mut self.stopped, true) {
            self.deltas.push_back(ModelDelta::Stop(stop));
        }
        Ok(())
    }

    /// For servers that end properly but give no reason.
    fn stop_if_open(&mut self) {
        if !std::mem::replace(&mut self.stopped, true) {
            let stop = if self.slots.is_empty() {
                StopReason::EndTurn
            } else {
                StopReason::ToolUse
            };
            self.deltas.push_back(ModelDelta::Stop(stop));
        }
    }
}

fn non_empty(value: Option<&Value>) -> Option<&str> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn usage(usage: &Value) -> Option<Usage> {
    let count = |field: &str| usage.get(field).and_then(Value::as_u64);
    let (input, output) = (count("prompt_tokens"), count("completion_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let cached = usage
        .get("prompt_tokens_details")
        .and_then(|details| details.get("cached_tokens"))
        .and_then(Value::as_u64);
    Some(Usage {
        input_tokens: input.unwrap_or(0),
        output_tokens: output.unwrap_or(0),
        cache_creation_tokens: None,
        cache_read_tokens: cached.or_else(|| count("prompt_cache_hit_tokens")),
    })
}

fn malformed(text: &str, error: &serde_json::Error) -> ModelError {
    ModelError::Protocol {
        message: format!("not JSON ({error}): {}", failure::excerpt(text)),
    }
}

fn too_long() -> ModelError {
    ModelError::Protocol {
        message: format!("one piece of the answer is longer than {MAX_EVENT_BYTES} bytes"),
    }
}
