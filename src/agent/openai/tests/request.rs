//! Addresses, header fields and bodies.

use serde_json::{Value, json};

use crate::agent::model::*;
use crate::agent::openai::request;
use crate::wire::{ContentBlock, ContentInput, MediaSource};

#[test]
fn the_endpoint_is_found_from_what_people_paste() {
    let cases = [
        (
            "http://localhost:11434/v1",
            "http://localhost:11434/v1/chat/completions",
        ),
        (
            " https://api.openai.com/v1/ ",
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            "https://x.example/chat/completions",
            "https://x.example/chat/completions",
        ),
    ];
    for (base, expected) in cases {
        assert_eq!(request::endpoint(base), expected);
    }
}

#[test]
fn own_headers_replace_the_dialects() {
    let own = [
        ("Authorization".to_owned(), "Basic x".to_owned()),
        ("x-team".to_owned(), "7".to_owned()),
    ];
    let headers = request::headers(Some("secret"), &own);
    assert!(!headers.iter().any(|(_, value)| value.contains("secret")));
    assert!(headers.contains(&own[0]) && headers.contains(&own[1]));
    assert!(
        !request::headers(None, &[])
            .iter()
            .any(|(name, _)| name == "authorization")
    );
}

fn call(id: &str, args: Value) -> ToolCall {
    ToolCall {
        id: id.into(),
        name: "f".into(),
        args,
    }
}

fn turn(text: &str, tool_calls: Vec<ToolCall>) -> ChatMessage {
    ChatMessage::Assistant {
        text: text.into(),
        reasoning: "hidden".into(),
        tool_calls,
    }
}

#[test]
fn the_body_has_what_the_dialect_wants() {
    let blocks = vec![
        ContentBlock::Text {
            text: "look".into(),
        },
        ContentBlock::Image(MediaSource {
            media_type: "image/png".into(),
            data: "AAAA".into(),
        }),
    ];
    let request = ModelRequest {
        model: "m".into(),
        system: "be brief".into(),
        messages: vec![
            ChatMessage::user("hi"),
            ChatMessage::User {
                content: ContentInput::Blocks(blocks),
                from: Some("ada".into()),
            },
            turn("", vec![call("a", json!({"x": 1}))]),
            ChatMessage::tool_result(&call("a", json!({})), "42"),
            turn("done", vec![]),
            ChatMessage::from_peer("grace", "well?"),
        ],
        tools: vec![ToolDefinition {
            name: "f".into(),
            description: "does f".into(),
            input_schema: json!({}),
        }],
        max_output_tokens: Some(100),
        params: json!({"temperature": 0.5, "stream_options": null}),
    };
    let expected = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
            {"role": "user", "content": [
                {"type": "text", "text": "[message from ada]"},
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "42"},
            {"role": "assistant", "content": "done"},
            {"role": "user", "content": "[message from grace]\nwell?"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "f", "description": "does f", "parameters": {"type": "object", "properties": {}},
        }}],
        "max_tokens": 100,
        "stream": true,
        "temperature": 0.5,
    });
    assert_eq!(
        request::body(&request, "http://localhost/v1/chat/completions"),
        expected
    );
    let body = request::body(&request, "https://api.openai.com/v1/chat/completions");
    assert_eq!(
        (body.get("max_tokens"), &body["max_completion_tokens"]),
        (None, &json!(100))
    );
}

#[test]
fn results_follow_their_calls_whatever_the_transcript_looks_like() {
    let failed = ChatMessage::Tool {
        call_id: "b".into(),
        name: "f".into(),
        content: "boom".into(),
        is_error: true,
    };
    let malformed = call("c", Value::String("{\"x\":".into()));
    let request = ModelRequest {
        messages: vec![
            ChatMessage::tool_result(&call("left-out", json!({})), "old"),
            turn(
                "",
                vec![call("a", json!({})), call("b", json!({})), malformed],
            ),
            ChatMessage::user("stop that"),
            failed,
            ChatMessage::tool_result(&call("a", json!({})), "1"),
        ],
        ..ModelRequest::default()
    };
    let body = request::body(&request, "http://localhost");
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "tool", "user"]);
    assert_eq!(messages[0]["content"], "[earlier result of f]\nold");
    let results: Vec<_> = messages[2..5]
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["1", "Error: boom", "Error: no result"]);
    let sent_back: Value = serde_json::from_str(
        messages[1]["tool_calls"][2]["function"]["arguments"]
            .as_str()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(sent_back, json!({"malformed_arguments": "{\"x\":"}));
}
