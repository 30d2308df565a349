//! Tables of cases for the assembler, errors and the retry rule.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::wire::{StopReason, Usage};

fn call(index: u32, id: Option<&str>, name: Option<&str>, args: &str) -> ModelDelta {
    ModelDelta::ToolCall {
        index,
        id: id.map(Into::into),
        name: name.map(Into::into),
        args: args.into(),
    }
}

fn assemble(request: &ModelRequest, deltas: Vec<ModelDelta>) -> Result<AssembledTurn, ModelError> {
    let mut assembler = TurnAssembler::new(request, "t1");
    for delta in deltas {
        assembler.push(delta);
    }
    assembler.finish()
}

#[test]
fn text_and_reasoning_are_joined_and_the_last_usage_counts() {
    let usage = |output_tokens| Usage {
        input_tokens: 7,
        output_tokens,
        ..Usage::default()
    };
    let turn = assemble(
        &ModelRequest::default(),
        vec![
            ModelDelta::Reasoning("hm".into()),
            ModelDelta::Text("Hel".into()),
            ModelDelta::Usage(usage(1)),
            ModelDelta::Text("lo".into()),
            ModelDelta::Stop(StopReason::EndTurn),
            ModelDelta::Usage(usage(2)),
        ],
    )
    .unwrap();
    assert_eq!(turn.text, "Hello");
    assert_eq!(turn.reasoning, "hm");
    assert_eq!(turn.usage, Some(usage(2)));
    assert_eq!(turn.stop, StopReason::EndTurn);
}

#[test]
fn no_stop_means_truncated() {
    let error = assemble(
        &ModelRequest::default(),
        vec![ModelDelta::Text("Hel".into())],
    )
    .unwrap_err();
    assert!(matches!(error, ModelError::Truncated { .. }));
    assert!(error.retryable());
}

#[test]
fn calls_are_put_together_by_index_whatever_the_server_sends_of_ids_and_names() {
    let earlier = ToolCall {
        id: "call_0".into(),
        name: "f".into(),
        args: json!({}),
    };
    let request = ModelRequest {
        messages: vec![ChatMessage::Assistant {
            text: String::new(),
            reasoning: String::new(),
            tool_calls: vec![earlier],
        }],
        ..ModelRequest::default()
    };
    // (what it shows, deltas, id, name, args)
    let cases = [
        (
            "id once",
            vec![
                call(0, Some("a"), Some("f"), ""),
                call(0, None, None, "{\"x\":"),
                call(0, None, None, "1}"),
            ],
            "a",
        ),
        (
            "id always",
            vec![
                call(0, Some("a"), Some("f"), "{\"x\""),
                call(0, Some("a"), Some("f"), ":1}"),
            ],
            "a",
        ),
        (
            "empty id",
            vec![call(0, Some(""), Some("f"), "{\"x\":1}")],
            "t1-0",
        ),
        ("no id", vec![call(0, None, Some("f"), "{\"x\":1}")], "t1-0"),
        (
            "id of an earlier turn",
            vec![call(0, Some("call_0"), Some("f"), "{\"x\":1}")],
            "t1-0",
        ),
        (
            "name in pieces",
            vec![
                call(0, Some("a"), Some(""), ""),
                call(0, None, Some("f"), "{\"x\":1}"),
            ],
            "a",
        ),
        (
            "serialised twice",
            vec![call(0, Some("a"), Some("f"), "\"{\\\"x\\\":1}\"")],
            "a",
        ),
    ];
    for (what, mut deltas, id) in cases {
        deltas.push(ModelDelta::Stop(StopReason::EndTurn));
        let turn = assemble(&request, deltas).unwrap();
        assert_eq!(
            turn.tool_calls,
            [Ok(ToolCall {
                id: id.into(),
                name: "f".into(),
                args: json!({"x": 1})
            })],
            "{what}"
        );
        assert_eq!(turn.stop, StopReason::ToolUse, "{what}");
    }
}

#[test]
fn two_calls_with_one_id_get_two_ids_in_the_order_of_their_indices() {
    let turn = assemble(
        &ModelRequest::default(),
        vec![
            call(1, Some("a"), Some("g"), ""),
            call(0, Some("a"), Some("f"), "null"),
            ModelDelta::Stop(StopReason::ToolUse),
        ],
    )
    .unwrap();
    let ids: Vec<_> = turn
        .tool_calls
        .iter()
        .map(|call| call.as_ref().unwrap().id.as_str())
        .collect();
    assert_eq!(ids, ["a", "t1-1"]);
    assert!(
        turn.tool_calls
            .iter()
            .all(|call| call.as_ref().unwrap().args == json!({}))
    );
}

#[test]
fn malformed_calls_are_kept_and_say_why() {
    let cases = [
        (call(0, Some("a"), Some("f"), "{\"x\":"), "not JSON"),
        (call(0, Some("a"), Some("f"), "[1]"), "not an object"),
        (call(0, Some("a"), Some("f"), "\"text\""), "a string"),
        (call(0, Some("a"), None, "{}"), "names no tool"),
    ];
    for (delta, reason) in cases {
        let turn = assemble(
            &ModelRequest::default(),
            vec![delta, ModelDelta::Stop(StopReason::ToolUse)],
        )
        .unwrap();
        let malformed = turn.tool_calls[0].as_ref().unwrap_err();
        assert!(malformed.reason.contains(reason), "{malformed}");
        assert_eq!(malformed.id, "a");
        let ChatMessage::Assistant { tool_calls, .. } = turn.to_message() else {
            panic!("an answer is an assistant's message")
        };
        assert_eq!(tool_calls, [malformed.to_tool_call()]);
    }
}

#[test]
fn what_was_called_decides_between_end_turn_and_tool_use_but_limits_stay() {
    let f = || call(0, Some("a"), Some("f"), "{}");
    let cases = [
        (vec![f()], StopReason::EndTurn, StopReason::ToolUse),
        (vec![], StopReason::ToolUse, StopReason::EndTurn),
        (vec![f()], StopReason::MaxTokens, StopReason::MaxTokens),
        (vec![], StopReason::ContentFilter, StopReason::ContentFilter),
    ];
    for (mut deltas, said, expected) in cases {
        deltas.push(ModelDelta::Stop(said));
        assert_eq!(
            assemble(&ModelRequest::default(), deltas).unwrap().stop,
            expected
        );
    }
}

#[test]
fn retries_double_up_to_the_limit_and_follow_the_provider() {
    let policy = RetryPolicy::default();
    let cut = ModelError::Truncated {
        message: String::new(),
    };
    let limited = |seconds| ModelError::RateLimited {
        retry_after: Some(Duration::from_secs(seconds)),
        message: String::new(),
    };
    let auth = ModelError::Auth {
        status: 401,
        message: String::new(),
    };
    let ms = |ms| Some(Duration::from_millis(ms));
    let cases = [
        (1, &cut, 0, ms(250)),
        (1, &cut, 1023, ms(500)),
        (2, &cut, 1023, ms(1000)),
        (3, &cut, 1023, ms(2000)),
        (4, &cut, 0, None),
        (1, &auth, 0, None),
        (1, &limited(7), 99, ms(7000)),
        (1, &limited(121), 99, None),
    ];
    for (attempt, error, random, expected) in cases {
        assert_eq!(
            policy.delay_after(attempt, error, random),
            expected,
            "attempt {attempt}, {error}"
        );
    }
    let patient = RetryPolicy {
        max_attempts: u32::MAX,
        ..policy
    };
    assert_eq!(
        patient.delay_after(4_000_000, &cut, 1023),
        Some(patient.max_delay)
    );
}

#[test]
fn transcripts_survive_json() {
    let call = ToolCall {
        id: "a".into(),
        name: "f".into(),
        args: json!({"x": 1}),
    };
    let messages = vec![
        ChatMessage::user("hi"),
        ChatMessage::from_peer("scout", "done"),
        ChatMessage::Assistant {
            text: "ok".into(),
            reasoning: String::new(),
            tool_calls: vec![call.clone()],
        },
        ChatMessage::tool_result(&call, "1"),
    ];
    let json = serde_json::to_value(&messages).unwrap();
    assert_eq!(json[0], json!({"role": "user", "content": "hi"}));
    assert_eq!(json[1]["from"], "scout");
    assert_eq!(json[2]["tool_calls"][0]["name"], "f");
    assert_eq!(
        json[3],
        json!({"role": "tool", "call_id": "a", "name": "f", "content": "1", "is_error": false})
    );
    assert_eq!(
        serde_json::from_value::<Vec<ChatMessage>>(json).unwrap(),
        messages
    );
}
