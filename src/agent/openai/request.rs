//! Builds the request's address, headers and body.

use serde_json::{Map, Value};

use crate::agent::model::{ChatMessage, ModelRequest, ToolCall, ToolDefinition};
use crate::agent::reachability;
use crate::wire::json::{self, object};
use crate::wire::{ContentBlock, ContentInput};

/// The address of the endpoint under `base_url`, which usually ends in `/v1`; an address of the endpoint itself is kept.
pub fn endpoint(base_url: &str) -> String {
    let base = base_url.trim().trim_end_matches('/');
    if base.ends_with("/chat/completions") {
        base.to_owned()
    } else {
        format!("{base}/chat/completions")
    }
}

/// The header fields: ours, then the key, then `extra`, which replace fields of the same name.
pub fn headers(api_key: Option<&str>, extra: &[(String, String)]) -> Vec<(String, String)> {
    let mut fields = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        (
            "accept".to_owned(),
            "text/event-stream, application/json".to_owned(),
        ),
    ];
    if let Some(key) = api_key {
        fields.push(("authorization".to_owned(), format!("Bearer {key}")));
    }
    for (name, value) in extra {
        fields.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
        fields.push((name.clone(), value.clone()));
    }
    fields
}

/// The body for `request`, to be sent to `url`.
///
/// The request's `params` come last: they replace fields of ours, and a null removes one (`{"stream_options": null}` for a
/// server that knows it not).
pub fn body(request: &ModelRequest, url: &str) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), request.model.as_str().into());
    body.insert("messages".into(), messages(request));
    if !request.tools.is_empty() {
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
    }
    if let Some(limit) = request.max_output_tokens {
        body.insert(limit_field(url).into(), limit.into());
    }
    body.insert("stream".into(), true.into());
    body.insert("stream_options".into(), object!({"include_usage": true}));
    if let Value::Object(params) = &request.params {
        for (name, value) in params {
            if value.is_null() {
                body.remove(name);
            } else {
                body.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(body)
}

/// OpenAI's newer models refuse `max_tokens`; most other servers know nothing else.
fn limit_field(url: &str) -> &'static str {
    let host = reachability::host_of(url).unwrap_or_default();
    if host == "api.openai.com" || host.ends_with(".openai.azure.com") {
        "max_completion_tokens"
    } else {
        "max_tokens"
    }
}

fn messages(request: &ModelRequest) -> Value {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if !request.system.is_empty() {
        messages.push(object!({"role": "system", "content": request.system}));
    }
    // The dialect wants the results of a turn's calls right after it, all of them and no others. A transcript may have a
    // message between (one that arrived during the calls), or begin with results whose calls were left out.
    let mut answered = Vec::new();
    for (at, message) in request.messages.iter().enumerate() {
        match message {
            ChatMessage::User { content, from } => messages.push(user(content, from.as_deref())),
            ChatMessage::Assistant {
                text, tool_calls, ..
            } if tool_calls.is_empty() => {
                messages.push(object!({"role": "assistant", "content": text}));
            }
            ChatMessage::Assistant {
                text, tool_calls, ..
            } => {
                let content = if text.is_empty() {
                    Value::Null
                } else {
                    text.as_str().into()
                };
                let calls: Value = tool_calls.iter().map(call).collect();
                messages
                    .push(object!({"role": "assistant", "content": content, "tool_calls": calls}));
                for call in tool_calls {
                    let result = result_of(call, at, &request.messages);
                    messages.push(
                        object!({"role": "tool", "tool_call_id": call.id, "content": result}),
                    );
                    answered.push(call.id.as_str());
                }
            }
            ChatMessage::Tool { call_id, .. } if answered.contains(&call_id.as_str()) => {}
            ChatMessage::Tool { name, content, .. } => {
                messages.push(object!({"role": "user", "content": format!("[earlier result of {name}]\n{content}")}));
            }
        }
    }
    Value::Array(messages)
}

fn user(content: &ContentInput, from: Option<&str>) -> Value {
    let heading = from.map(|peer| format!("[message from {peer}]"));
    let content: Value = match (content, heading) {
        (ContentInput::Text(text), None) => text.as_str().into(),
        (ContentInput::Text(text), Some(heading)) => format!("{heading}\n{text}").into(),
        (ContentInput::Blocks(blocks), heading) => heading
            .map(|heading| object!({"type": "text", "text": heading}))
            .into_iter()
            .chain(blocks.iter().map(block))
            .collect(),
    };
    object!({"role": "user", "content": content})
}

fn block(block: &ContentBlock) -> Value {
    let data_url = |media_type: &str, data: &str| format!("data:{media_type};base64,{data}");
    match block {
        ContentBlock::Text { text } => object!({"type": "text", "text": text}),
        ContentBlock::Image(image) => {
            object!({"type": "image_url", "image_url": object!({"url": data_url(&image.media_type, &image.data)})})
        }
        ContentBlock::Video(video) => {
            object!({"type": "video_url", "video_url": object!({"url": data_url(&video.media_type, &video.data)})})
        }
    }
}

fn call(call: &ToolCall) -> Value {
    // Servers parse the arguments of earlier calls again, so a call that was malformed must go back as an object.
    let arguments = match &call.args {
        Value::String(text) => json::text(&object!({"malformed_arguments": text})),
        args => json::text(args),
    };
    // Some refuse a call without a name, even where the model wrote none.
    let name = if call.name.is_empty() {
        "unnamed"
    } else {
        &call.name
    };
    object!({"id": call.id, "type": "function", "function": object!({"name": name, "arguments": arguments})})
}

fn result_of(call: &ToolCall, at: usize, messages: &[ChatMessage]) -> String {
    let result = messages[at + 1..].iter().find_map(|message| match message {
        ChatMessage::Tool {
            call_id,
            content,
            is_error,
            ..
        } if *call_id == call.id => Some((content, *is_error)),
        _ => None,
    });
    match result {
        Some((content, false)) => content.clone(),
        Some((content, true)) => format!("Error: {content}"),
        None => "Error: no result".to_owned(),
    }
}

fn tool(tool: &ToolDefinition) -> Value {
    let mut schema = match &tool.input_schema {
        Value::Object(schema) => schema.clone(),
        _ => Map::new(),
    };
    // Several servers refuse an object schema that leaves these out.
    schema.entry("type").or_insert_with(|| "object".into());
    schema
        .entry("properties")
        .or_insert_with(|| Map::new().into());
    object!({"type": "function", "function": object!({"name": tool.name, "description": tool.description, "parameters": schema})})
}
