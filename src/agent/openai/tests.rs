//! Tables of cases for the dialect, and the model over a scripted HTTP client.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{LocalBoxFuture, ready};
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};

use super::decode::Decoder;
use super::*;
use crate::agent::http::{HttpClient, HttpError, HttpRequest, HttpResponse};
use crate::agent::model::*;
use crate::sim::Sim;
use crate::wire::{ContentBlock, ContentInput, MediaSource, StopReason, Usage};

// ---- the request ----

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

// ---- the answer ----

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

fn chunks(chunks: &[Value]) -> String {
    chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect()
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
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
    let whole = chunks(&[hello.clone()]);
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
        let (_, result) = decode(&[chunks(&[chunk.clone()]).as_bytes()]);
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

// ---- the model over HTTP ----

type Body = Vec<Result<Vec<u8>, HttpError>>;

/// Answers one request with what it was given, or never.
struct OneAnswer {
    seen: RefCell<Vec<HttpRequest>>,
    answer: RefCell<Option<Result<(u16, Vec<(String, String)>, Body), HttpError>>>,
    hangs_after_body: bool,
}

impl HttpClient for OneAnswer {
    fn send(
        &self,
        request: HttpRequest,
    ) -> LocalBoxFuture<'static, Result<HttpResponse, HttpError>> {
        self.seen.borrow_mut().push(request);
        let Some(answer) = self.answer.borrow_mut().take() else {
            return futures::future::pending().boxed_local();
        };
        let hangs = self.hangs_after_body;
        ready(answer.map(|(status, headers, body)| {
            let body = futures::stream::iter(body);
            let body = if hangs {
                body.chain(futures::stream::pending()).boxed_local()
            } else {
                body.boxed_local()
            };
            HttpResponse {
                status,
                headers,
                body,
            }
        }))
        .boxed_local()
    }
}

fn http_error() -> HttpError {
    HttpError {
        name: "TypeError".into(),
        message: "Failed to fetch".into(),
        hint: Some("CORS".into()),
    }
}

fn client(
    answer: Option<Result<(u16, Vec<(String, String)>, Body), HttpError>>,
    hangs_after_body: bool,
) -> Rc<OneAnswer> {
    Rc::new(OneAnswer {
        seen: RefCell::default(),
        answer: RefCell::new(answer),
        hangs_after_body,
    })
}

fn run(http: Rc<OneAnswer>, config: OpenAiConfig) -> (Vec<ModelDelta>, Option<ModelError>) {
    let sim = Sim::new(1);
    let model = OpenAiCompatible::new(sim.host(), http, config);
    sim.block_on(async move {
        let mut deltas = Vec::new();
        let mut stream = model.stream(ModelRequest {
            model: "m".into(),
            ..ModelRequest::default()
        });
        while let Some(item) = stream.next().await {
            match item {
                Ok(delta) => deltas.push(delta),
                Err(error) => {
                    assert!(
                        stream.next().await.is_none(),
                        "the stream ends after an error"
                    );
                    return (deltas, Some(error));
                }
            }
        }
        (deltas, None)
    })
}

fn config() -> OpenAiConfig {
    OpenAiConfig::new("http://localhost/v1")
}

fn hello_then(rest: Body) -> Option<Result<(u16, Vec<(String, String)>, Body), HttpError>> {
    let mut body = vec![Ok(
        chunks(&[delta(json!({"content": "hello"}))]).into_bytes()
    )];
    body.extend(rest);
    Some(Ok((200, Vec::new(), body)))
}

#[test]
fn a_request_carries_key_headers_and_the_servers_name_for_the_model() {
    let http = client(hello_then(vec![Ok(b"data: [DONE]\n\n".to_vec())]), true);
    let mut config = config();
    config.api_key = Some("k".into());
    config.headers = vec![("x-team".into(), "7".into())];
    config.model = Some("their-name".into());
    let (deltas, error) = run(Rc::clone(&http), config);
    assert_eq!(
        (deltas.len(), error),
        (2, None),
        "[DONE] ends the answer although the connection stays open"
    );
    let request = &http.seen.borrow()[0];
    assert_eq!(request.url, "http://localhost/v1/chat/completions");
    assert!(
        request
            .headers
            .contains(&("authorization".into(), "Bearer k".into()))
    );
    assert!(request.headers.contains(&("x-team".into(), "7".into())));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["model"], "their-name");
}

#[test]
fn failures_on_the_way_are_typed() {
    let stop = || Ok(chunks(&[finish("stop")]).into_bytes());
    let limited = Some(Ok((
        429,
        vec![("Retry-After".into(), "7".into())],
        vec![Ok(b"{}".to_vec()), Err(http_error())],
    )));
    // (what, client, deltas before, code)
    let cases = [
        (
            "no connection",
            client(Some(Err(http_error())), false),
            0,
            Some("model_unreachable"),
        ),
        (
            "no answer",
            client(None, false),
            0,
            Some("model_unreachable"),
        ),
        ("429", client(limited, false), 0, Some("model_rate_limited")),
        (
            "broken off",
            client(hello_then(vec![Err(http_error())]), false),
            1,
            Some("model_stream_truncated"),
        ),
        (
            "ended early",
            client(hello_then(vec![]), false),
            1,
            Some("model_stream_truncated"),
        ),
        (
            "silence",
            client(hello_then(vec![]), true),
            1,
            Some("model_stream_truncated"),
        ),
        (
            "malformed",
            client(hello_then(vec![Ok(b"data: {\n\n".to_vec())]), false),
            1,
            Some("model_protocol_error"),
        ),
        (
            "broken off after the end",
            client(hello_then(vec![stop(), Err(http_error())]), false),
            2,
            None,
        ),
        (
            "silence after the end",
            client(hello_then(vec![stop()]), true),
            2,
            None,
        ),
    ];
    for (what, http, count, code) in cases {
        let (deltas, error) = run(http, config());
        assert_eq!(
            (deltas.len(), error.as_ref().map(ModelError::code)),
            (count, code),
            "{what}: {error:?}"
        );
        if let Some(ModelError::Network {
            hint: Some(hint), ..
        }) = &error
        {
            assert_eq!(hint, "CORS");
        }
        if let Some(error @ ModelError::RateLimited { .. }) = &error {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        }
    }
}

#[test]
fn a_model_without_its_key_waits() {
    let http = client(hello_then(vec![]), false);
    let mut config = config();
    config.requires_key = true;
    let (_, error) = run(Rc::clone(&http), config);
    assert!(matches!(error, Some(ModelError::Unavailable { .. })));
    assert!(http.seen.borrow().is_empty(), "nothing was sent");
}
