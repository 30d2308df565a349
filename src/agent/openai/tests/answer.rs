//! Streams, documents, statuses and error bodies.

use std::time::Duration;

use serde_json::{Value, json};

use super::{chunks, delta, finish};
use crate::agent::model::*;
use crate::agent::openai::decode::Decoder;
use crate::agent::openai::failure;
use crate::wire::{StopReason, Usage};

fn decode(pieces: &[&[u8]]) -> (Vec<ModelDelta>, Result<(), ModelError>) {
    let mut decoder = Decoder::new();
    let result = pieces
        .iter()
        .try_for_each(|piece| decoder.push(piece))
        .and_then(|()| decoder.finish());
    (
        std::iter::from_fn(|| decoder.next_delta()).collect(),
        result,
    )
}

/// The calls that come of these pieces of `tool_calls`.
fn calls_of(pieces: &[Value]) -> Vec<(String, String, Value)> {
    let mut all: Vec<_> = pieces
        .iter()
        .map(|piece| delta(json!({"tool_calls": [piece]})))
        .collect();
    all.push(finish("tool_calls"));
    let (deltas, result) = decode(&[chunks(&all).as_bytes()]);
    assert_eq!(result, Ok(()));
    let mut assembler = TurnAssembler::new(&ModelRequest::default(), "t");
    deltas.into_iter().for_each(|delta| assembler.push(delta));
    let finished = assembler.finish().unwrap();
    finished
        .tool_calls
        .into_iter()
        .map(|call| call.unwrap())
        .map(|call| (call.id, call.name, call.args))
        .collect()
}

#[test]
fn calls_are_told_apart_however_servers_number_them() {
    let piece = |index: Option<u64>, id: Option<&str>, name: Option<&str>, args: &str| {
        let mut piece = json!({"type": "function", "function": {"arguments": args}});
        if let Some(index) = index {
            piece["index"] = index.into();
        }
        if let Some(id) = id {
            piece["id"] = id.into();
        }
        if let Some(name) = name {
            piece["function"]["name"] = name.into();
        }
        piece
    };
    let cases = [
        (
            "by the book",
            vec![
                piece(Some(0), Some("a"), Some("f"), ""),
                piece(Some(0), None, None, "{\"x\":"),
                piece(Some(0), None, None, "1}"),
                piece(Some(1), Some("b"), Some("g"), ""),
                piece(Some(1), None, None, "{\"x\":2}"),
            ],
            ["a", "b"],
        ),
        (
            "interleaved",
            vec![
                piece(Some(0), Some("a"), Some("f"), "{\"x\":"),
                piece(Some(1), Some("b"), Some("g"), "{\"x\":"),
                piece(Some(0), None, None, "1}"),
                piece(Some(1), None, None, "2}"),
            ],
            ["a", "b"],
        ),
        (
            "indices from one",
            vec![
                piece(Some(1), Some("a"), Some("f"), "{\"x\":1}"),
                piece(Some(2), Some("b"), Some("g"), "{\"x\":2}"),
            ],
            ["a", "b"],
        ),
        (
            "always index 0, whole calls",
            vec![
                piece(Some(0), Some("a"), Some("f"), "{\"x\":1}"),
                piece(Some(0), Some("b"), Some("g"), "{\"x\":2}"),
            ],
            ["a", "b"],
        ),
        (
            "always index 0, no ids",
            vec![
                piece(Some(0), None, Some("f"), "{\"x\":1}"),
                piece(Some(0), None, Some("g"), "{\"x\":2}"),
            ],
            ["t-0", "t-1"],
        ),
        (
            "no index",
            vec![
                piece(None, Some("a"), Some("f"), "{\"x\":"),
                piece(None, None, None, "1}"),
                piece(None, Some("b"), Some("g"), "{\"x\":2}"),
            ],
            ["a", "b"],
        ),
        (
            "no index, id with every piece",
            vec![
                piece(None, Some("a"), Some("f"), "{\"x\":"),
                piece(None, Some("a"), None, "1}"),
                piece(None, Some("b"), Some("g"), "{\"x\":2}"),
            ],
            ["a", "b"],
        ),
        (
            "neither index nor id",
            vec![
                piece(None, None, Some("f"), "{\"x\":1}"),
                piece(None, None, Some("g"), "{\"x\":2}"),
            ],
            ["t-0", "t-1"],
        ),
        (
            "id and name with every piece, empty ids",
            vec![
                piece(Some(0), Some(""), Some("f"), "{\"x\":"),
                piece(Some(0), Some(""), Some("f"), "1}"),
                piece(Some(1), Some("b"), Some("g"), "{\"x\":"),
                piece(Some(1), Some("b"), Some("g"), "2}"),
            ],
            ["t-0", "b"],
        ),
    ];
    for (what, pieces, ids) in cases {
        let expected = vec![
            (ids[0].to_owned(), "f".to_owned(), json!({"x": 1})),
            (ids[1].to_owned(), "g".to_owned(), json!({"x": 2})),
        ];
        assert_eq!(calls_of(&pieces), expected, "{what}");
    }
    let object = json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}});
    assert_eq!(
        calls_of(&[object]),
        [("a".to_owned(), "f".to_owned(), json!({"x": 1}))],
        "arguments as an object"
    );
}

#[test]
fn reasons_to_stop_are_mapped() {
    let cases = [
        ("stop", StopReason::EndTurn),
        ("eos", StopReason::EndTurn),
        ("length", StopReason::MaxTokens),
        ("tool_calls", StopReason::ToolUse),
        ("function_call", StopReason::ToolUse),
        ("content_filter", StopReason::ContentFilter),
    ];
    for (reason, expected) in cases {
        let (deltas, result) = decode(&[chunks(&[finish(reason)]).as_bytes()]);
        assert_eq!(
            (deltas, result),
            (vec![ModelDelta::Stop(expected)], Ok(())),
            "{reason}"
        );
    }
}

#[test]
fn text_reasoning_and_usage_are_found_under_their_several_names() {
    let usage = json!({"choices": [], "usage": {
        "prompt_tokens": 5, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 4},
    }});
    let stream = chunks(&[
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"reasoning_content": "a"})),
        delta(json!({"reasoning": "b", "content": null})),
        delta(
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "c"}]}, {"type": "text", "text": "d"}]}),
        ),
        delta(json!({"content": "e", "tool_calls": null})),
        json!({"choices": [{"index": 1, "delta": {"content": "another choice"}}]}),
        finish("stop"),
        usage,
    ]) + "data: [DONE]\n\n";
    let (deltas, result) = decode(&[stream.as_bytes()]);
    assert_eq!(result, Ok(()));
    let usage = Usage {
        input_tokens: 5,
        output_tokens: 6,
        cache_creation_tokens: None,
        cache_read_tokens: Some(4),
    };
    assert_eq!(
        deltas,
        [
            ModelDelta::Reasoning("a".into()),
            ModelDelta::Reasoning("b".into()),
            ModelDelta::Reasoning("c".into()),
            ModelDelta::Text("d".into()),
            ModelDelta::Text("e".into()),
            ModelDelta::Stop(StopReason::EndTurn),
            ModelDelta::Usage(usage),
        ]
    );
}

#[test]
fn an_answer_is_complete_only_with_a_reason_or_done() {
    let hello = delta(json!({"content": "hello"}));
    let truncated = |message: &str| {
        Err(ModelError::Truncated {
            message: message.into(),
        })
    };
    let no_end = "the stream ended without a finish_reason or [DONE]";
    let text = || ModelDelta::Text("hello".into());
    let stop = || ModelDelta::Stop(StopReason::EndTurn);
    let whole = chunks(std::slice::from_ref(&hello));
    let cases = [
        (
            String::new(),
            vec![],
            truncated("the server sent an empty answer"),
        ),
        (": keep-alive\n\n".into(), vec![], truncated(no_end)),
        (whole.clone(), vec![text()], truncated(no_end)),
        (
            format!("{whole}data: {{\"choices\":[{{\"del"),
            vec![text()],
            truncated(no_end),
        ),
        (
            format!("{whole}data: [DONE]\n\n"),
            vec![text(), stop()],
            Ok(()),
        ),
        (format!("{whole}data: [DONE]"), vec![text(), stop()], Ok(())),
        (
            format!("{whole}data: {}", finish("stop")),
            vec![text(), stop()],
            Ok(()),
        ),
        (
            format!("{whole}data: [DONE]\n\ndata: {{nonsense\n\n"),
            vec![text(), stop()],
            Ok(()),
        ),
    ];
    for (stream, deltas, result) in cases {
        assert_eq!(decode(&[stream.as_bytes()]), (deltas, result), "{stream:?}");
    }
}

#[test]
fn malformed_answers_say_what_was_wrong() {
    let cases = [
        ("data: {\"choices\": [{]}\n\n", "not JSON"),
        ("data: hello\n\n", "not JSON"),
        (
            "data: {\"object\": \"list\"}\n\n",
            "neither choices nor usage",
        ),
        (
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":7}}]}\n\n",
            "tool_calls is not an array",
        ),
        (
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":7}}]}}]}\n\n",
            "arguments are 7",
        ),
        ("{malformed json: <<<chaos>>>", "not JSON"),
        ("\n <!doctype html><title>Hi</title>", "a web page"),
    ];
    for (body, expected) in cases {
        let (_, result) = decode(&[body.as_bytes()]);
        let Err(ModelError::Protocol { message }) = result else {
            panic!("{body}: {result:?}")
        };
        assert!(message.contains(expected), "{body}: {message}");
    }
}

#[test]
fn errors_inside_a_stream_are_classed() {
    let cases = [
        (
            json!({"error": {"message": "overloaded", "code": 503}}),
            "model_server_error",
        ),
        (
            json!({"error": {"message": "slow down", "code": 429}}),
            "model_rate_limited",
        ),
        (
            json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}),
            "model_rate_limited",
        ),
        (
            json!({"error": {"message": "x", "code": "context_length_exceeded"}}),
            "model_context_too_long",
        ),
        (
            json!({"error": {"message": "x", "type": "invalid_request_error"}}),
            "model_bad_request",
        ),
        (json!({"error": {"message": "x"}}), "model_server_error"),
        (json!({"error": "CUDA out of memory"}), "model_server_error"),
        (
            json!([{"error": {"message": "x", "code": 401}}]),
            "model_auth",
        ),
    ];
    for (chunk, code) in cases {
        let (_, result) = decode(&[chunks(std::slice::from_ref(&chunk)).as_bytes()]);
        assert_eq!(result.unwrap_err().code(), code, "{chunk}");
    }
    let (_, result) = decode(&[b"event: error\ndata: out of cheese\n\n"]);
    assert_eq!(
        result,
        Err(ModelError::Server {
            status: 200,
            retry_after: None,
            message: "out of cheese".into()
        })
    );
}

#[test]
fn statuses_and_bodies_are_classed() {
    let cases = [
        (
            401,
            r#"{"error":{"message":"bad key"}}"#,
            "model_auth",
            "bad key",
        ),
        (403, "", "model_auth", "no explanation"),
        (
            402,
            r#"{"error":"no money"}"#,
            "model_quota_exhausted",
            "no money",
        ),
        (
            429,
            r#"{"error":{"message":"quota","code":"insufficient_quota"}}"#,
            "model_quota_exhausted",
            "quota",
        ),
        (
            429,
            r#"{"error":{"message":"slow"}}"#,
            "model_rate_limited",
            "slow",
        ),
        (500, "<html>oops</html>", "model_server_error", "a web page"),
        (
            503,
            r#"{"detail":"loading"}"#,
            "model_server_error",
            "loading",
        ),
        (413, "", "model_context_too_long", ""),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#,
            "model_context_too_long",
            "",
        ),
        (
            400,
            r#"{"error":{"type":"exceed_context_size_error","message":"x"}}"#,
            "model_context_too_long",
            "",
        ),
        (
            400,
            r#"{"error":{"code":"content_filter","message":"x"}}"#,
            "model_content_filtered",
            "",
        ),
        (
            404,
            r#"{"error":{"message":"model 'x' not found"}}"#,
            "model_bad_request",
            "model 'x' not found",
        ),
        (404, "", "model_bad_request", "ends in /v1"),
        (404, "<html>", "model_bad_request", "ends in /v1"),
        (422, "plain words", "model_bad_request", "plain words"),
    ];
    for (status, body, code, words) in cases {
        let error = failure::from_status(status, None, body);
        assert_eq!(error.code(), code, "{status} {body}");
        assert!(
            error.to_string().contains(words),
            "{status} {body}: {error}"
        );
    }
    let long = failure::from_status(400, None, &"é".repeat(5000));
    assert!(long.to_string().len() < 1000);
}

#[test]
fn retry_after_is_read_in_its_forms() {
    // 6 November 1994, 08:49:37 GMT, the date of RFC 9110.
    const NOW: u64 = 784_111_777_000;
    let s = |seconds| Some(Duration::from_secs(seconds));
    let cases = [
        ("retry-after", "7", s(7)),
        ("retry-after", " 0 ", s(0)),
        ("retry-after", "1.5", Some(Duration::from_millis(1500))),
        ("retry-after-ms", "250", Some(Duration::from_millis(250))),
        ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT", s(30)),
        ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT", s(0)),
        (
            "retry-after",
            "Thu, 29 Feb 1996 08:49:37 GMT",
            s(480 * 86_400),
        ),
        ("retry-after", "-3", None),
        ("retry-after", "1e300", None),
        ("retry-after", "NaN", None),
        ("retry-after", "soon", None),
        ("retry-after", "Sun, 06 Foo 1994 08:50:07 GMT", None),
        ("retry-after", "Sun, 99 Nov 1994 08:50:07 GMT", None),
        ("x-other", "7", None),
    ];
    for (name, value, expected) in cases {
        let header = |asked: &str| (asked == name).then(|| value.to_owned());
        assert_eq!(
            failure::retry_after(header, NOW),
            expected,
            "{name}: {value}"
        );
    }
}
