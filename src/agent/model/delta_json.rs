//! The JSON form of a delta, as models written in JavaScript give it. Errors name the field.
//!
//! | `type` | further fields |
//! |---|---|
//! | `text`, `reasoning` | `text` |
//! | `tool_call` | `index`, `id`?, `name`?, `args`? (a piece of JSON text, or the whole arguments as an object) |
//! | `usage` | `usage`: `input_tokens`, `output_tokens`, `cache_creation_tokens`?, `cache_read_tokens`? |
//! | `stop` | `reason`: a stop reason of the MobKit contract, section 19 |
//!
//! A string is a piece of text.

use serde_json::Value;

use super::{ModelDelta, ModelError};
use crate::wire::json::{self, FromJson};
use crate::wire::{StopReason, Usage};

impl ModelDelta {
    /// Reads the JSON form; fails with [`ModelError::BadDelta`].
    pub fn from_json(value: &Value) -> Result<Self, ModelError> {
        if let Value::String(text) = value {
            return Ok(Self::Text(text.clone()));
        }
        if !value.is_object() {
            return Err(bad("delta", "an object or a string", value));
        }
        let kind = &value["type"];
        match kind.as_str() {
            Some("text") => Ok(Self::Text(text(value, "text")?)),
            Some("reasoning") => Ok(Self::Reasoning(text(value, "text")?)),
            Some("tool_call") => Ok(Self::ToolCall {
                index: index(&value["index"])?,
                id: optional_text(value, "id")?,
                name: optional_text(value, "name")?,
                args: match &value["args"] {
                    Value::Null => String::new(),
                    Value::String(args) => args.clone(),
                    args @ Value::Object(_) => json::text(args),
                    other => return Err(bad("args", "a string or an object", other)),
                },
            }),
            Some("usage") => {
                let usage = &value["usage"];
                let required = |field: &str| {
                    count(usage, field)?
                        .ok_or_else(|| bad(&format!("usage.{field}"), COUNT, &Value::Null))
                };
                Ok(Self::Usage(Usage {
                    input_tokens: required("input_tokens")?,
                    output_tokens: required("output_tokens")?,
                    cache_creation_tokens: count(usage, "cache_creation_tokens")?,
                    cache_read_tokens: count(usage, "cache_read_tokens")?,
                }))
            }
            Some("stop") => {
                let reason: Result<StopReason, _> = StopReason::from_json(value["reason"].clone());
                let expected =
                    "end_turn, tool_use, max_tokens, stop_sequence, content_filter or cancelled";
                Ok(Self::Stop(
                    reason.map_err(|_| bad("reason", expected, &value["reason"]))?,
                ))
            }
            _ => Err(bad(
                "type",
                "text, reasoning, tool_call, usage or stop",
                kind,
            )),
        }
    }
}

const COUNT: &str = "a whole number that is not negative";

fn text(value: &Value, field: &str) -> Result<String, ModelError> {
    optional_text(value, field)?.ok_or_else(|| bad(field, "a string", &Value::Null))
}

fn optional_text(value: &Value, field: &str) -> Result<Option<String>, ModelError> {
    match &value[field] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        other => Err(bad(field, "a string", other)),
    }
}

fn index(value: &Value) -> Result<u32, ModelError> {
    value
        .as_u64()
        .and_then(|index| u32::try_from(index).ok())
        .ok_or_else(|| bad("index", COUNT, value))
}

fn count(usage: &Value, field: &str) -> Result<Option<u64>, ModelError> {
    match &usage[field] {
        Value::Null => Ok(None),
        value => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| bad(&format!("usage.{field}"), COUNT, value)),
    }
}

fn bad(field: &str, expected: &str, value: &Value) -> ModelError {
    let got = match value {
        Value::Null => "nothing".to_owned(),
        value => {
            let text = json::text(value);
            let end = text
                .char_indices()
                .nth(80)
                .map_or(text.len(), |(end, _)| end);
            text[..end].to_owned()
        }
    };
    ModelError::BadDelta {
        field: field.to_owned(),
        reason: format!("expected {expected}, got {got}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn deltas_are_read() {
        let call = |index, id: Option<&str>, args: &str| ModelDelta::ToolCall {
            index,
            id: id.map(Into::into),
            name: Some("f".into()),
            args: args.into(),
        };
        let usage = Usage {
            input_tokens: 1,
            output_tokens: 2,
            cache_creation_tokens: None,
            cache_read_tokens: Some(3),
        };
        let cases = [
            (json!("hi"), ModelDelta::Text("hi".into())),
            (
                json!({"type": "text", "text": "hi"}),
                ModelDelta::Text("hi".into()),
            ),
            (
                json!({"type": "reasoning", "text": "hm"}),
                ModelDelta::Reasoning("hm".into()),
            ),
            (
                json!({"type": "tool_call", "index": 1, "name": "f", "id": "a"}),
                call(1, Some("a"), ""),
            ),
            (
                json!({"type": "tool_call", "index": 0, "name": "f", "args": "{\"x\""}),
                call(0, None, "{\"x\""),
            ),
            (
                json!({"type": "tool_call", "index": 0, "name": "f", "args": {"x": 1}}),
                call(0, None, "{\"x\":1}"),
            ),
            (
                json!({"type": "usage", "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3}}),
                ModelDelta::Usage(usage),
            ),
            (
                json!({"type": "stop", "reason": "max_tokens"}),
                ModelDelta::Stop(StopReason::MaxTokens),
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(ModelDelta::from_json(&value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn bad_deltas_name_the_field() {
        let cases = [
            (json!(7), "delta"),
            (json!(null), "delta"),
            (json!({}), "type"),
            (json!({"type": "txt"}), "type"),
            (json!({"type": "text"}), "text"),
            (json!({"type": "text", "text": 7}), "text"),
            (json!({"type": "tool_call", "name": "f"}), "index"),
            (json!({"type": "tool_call", "index": -1}), "index"),
            (json!({"type": "tool_call", "index": 0, "id": 7}), "id"),
            (
                json!({"type": "tool_call", "index": 0, "args": [1]}),
                "args",
            ),
            (json!({"type": "usage"}), "usage.input_tokens"),
            (
                json!({"type": "usage", "usage": {"input_tokens": 1.5, "output_tokens": 2}}),
                "usage.input_tokens",
            ),
            (json!({"type": "stop"}), "reason"),
            (json!({"type": "stop", "reason": "done"}), "reason"),
        ];
        for (value, expected) in cases {
            let Err(ModelError::BadDelta { field, reason }) = ModelDelta::from_json(&value) else {
                panic!("{value} was read")
            };
            assert_eq!(field, expected, "{value}: {reason}");
        }
        let long = json!({"type": "text", "text": vec!["é"; 1000]});
        assert!(ModelDelta::from_json(&long).unwrap_err().to_string().len() < 300);
    }
}
