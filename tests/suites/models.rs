//! HTTP over `fetch` and models written in JavaScript, in a page and in a worker alike.

use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use js_sys::{Function, Reflect};
use mobkit_web::agent::http::{HttpClient, HttpRequest};
use mobkit_web::agent::model::{ChatMessage, LanguageModel, ModelDelta, ModelError, ModelRequest};
use mobkit_web::agent::openai::{OpenAiCompatible, OpenAiConfig};
use mobkit_web::shim::Host;
use mobkit_web::web::{JsModel, WebFetch};
use mobkit_web::wire::StopReason;
use serde_json::json;
use wasm_bindgen::JsValue;

/// Calls `$run!(case)` for every case of the suite.
macro_rules! for_each_model_case {
    ($run:ident) => {
        $run!(a_body_streams_in_pieces);
        $run!(a_dropped_body_aborts_the_request_and_cancels_the_stream);
        $run!(a_dropped_request_is_aborted);
        $run!(a_server_that_is_not_there_is_an_error_with_a_hint);
        $run!(what_a_custom_fetch_throws_or_answers_wrongly_is_told);
        $run!(a_whole_answer_over_fetch);
        $run!(a_generator_is_a_model);
        $run!(an_iterable_without_stop_is_a_complete_answer);
        $run!(a_dropped_answer_aborts_its_generator);
        $run!(what_a_generator_throws_keeps_name_and_message);
        $run!(bad_deltas_name_the_field);
        $run!(objects_that_are_no_models_say_so);
    };
}
pub(crate) use for_each_model_case;

/// A value made by JavaScript.
fn js(body: &str) -> JsValue {
    Function::new_no_args(body)
        .call0(&JsValue::UNDEFINED)
        .unwrap()
}

fn function(body: &str) -> Function {
    js(body).into()
}

fn property(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap()
}

fn request() -> HttpRequest {
    HttpRequest {
        method: "POST".into(),
        url: "http://model.invalid/v1".into(),
        headers: vec![("x-team".into(), "7".into())],
        body: b"question".to_vec(),
    }
}

/// A `fetch` that records its call in `fetch.seen` and streams three pieces, then waits for ever if `endless`.
fn recording_fetch(endless: bool) -> Function {
    function(&format!(
        "const fetch = async (url, init) => {{
            const seen = fetch.seen = {{ url, init, body: new TextDecoder().decode(init.body), cancelled: false }};
            const body = new ReadableStream({{
                start(controller) {{
                    for (const piece of [[1, 2], [], [3]]) controller.enqueue(new Uint8Array(piece));
                    if (!{endless}) controller.close();
                }},
                cancel() {{ seen.cancelled = true; }},
            }});
            return new Response(body, {{ status: 201, headers: {{ 'Retry-After': '7' }} }});
        }};
        return fetch;"
    ))
}

pub async fn a_body_streams_in_pieces(_: Host) {
    let fetch = recording_fetch(false);
    let response = WebFetch::new(Some(fetch.clone()))
        .send(request())
        .await
        .unwrap();
    assert_eq!(
        (response.status, response.header("retry-after")),
        (201, Some("7"))
    );
    let pieces: Vec<_> = response.body.map(Result::unwrap).collect().await;
    assert_eq!(pieces, [vec![1, 2], vec![], vec![3]]);
    let seen = property(&fetch, "seen");
    let init = property(&seen, "init");
    assert_eq!(property(&seen, "url"), "http://model.invalid/v1");
    assert_eq!(property(&init, "method"), "POST");
    assert_eq!(property(&seen, "body"), "question");
    let header = Function::new_with_args("init", "return new Headers(init.headers).get('x-team')");
    assert_eq!(header.call1(&JsValue::UNDEFINED, &init).unwrap(), "7");
    let signal = property(&init, "signal");
    assert!(
        !property(&signal, "aborted").is_truthy(),
        "what has ended is not aborted"
    );
    assert!(!property(&seen, "cancelled").is_truthy());
}

pub async fn a_dropped_body_aborts_the_request_and_cancels_the_stream(host: Host) {
    let fetch = recording_fetch(true);
    let mut response = WebFetch::new(Some(fetch.clone()))
        .send(request())
        .await
        .unwrap();
    assert_eq!(response.body.next().await, Some(Ok(vec![1, 2])));
    drop(response);
    host.yield_now().await;
    let seen = property(&fetch, "seen");
    let signal = property(&property(&seen, "init"), "signal");
    assert!(property(&signal, "aborted").is_truthy());
    assert!(property(&seen, "cancelled").is_truthy());
}

pub async fn a_dropped_request_is_aborted(host: Host) {
    let fetch = function(
        "const fetch = (url, init) => { fetch.signal = init.signal; return new Promise(() => {}); }; return fetch;",
    );
    let sent = WebFetch::new(Some(fetch.clone())).send(request());
    assert!(host.timeout(Duration::from_millis(5), sent).await.is_err());
    assert!(property(&property(&fetch, "signal"), "aborted").is_truthy());
}

pub async fn a_server_that_is_not_there_is_an_error_with_a_hint(_: Host) {
    // Port 1 is one of those that browsers refuse; another closed one behaves alike but is not known here.
    let gone = HttpRequest {
        url: "http://127.0.0.1:1/v1".into(),
        ..request()
    };
    let error = WebFetch::new(None).send(gone).await.unwrap_err();
    assert_eq!(error.name, "TypeError");
    assert!(
        error
            .hint
            .as_deref()
            .is_some_and(|hint| hint.starts_with("CORS")),
        "{error:?}"
    );
}

pub async fn what_a_custom_fetch_throws_or_answers_wrongly_is_told(_: Host) {
    let cases = [
        (
            "return () => { throw new RangeError('sync') }",
            "RangeError",
            "sync",
        ),
        (
            "return async () => { throw new RangeError('async') }",
            "RangeError",
            "async",
        ),
        ("return async () => 'hello'", "TypeError", "has no status"),
        (
            "return () => ({ status: 200, headers: [], body: new ReadableStream({ start(c) { c.enqueue('text') } }) })",
            "TypeError",
            "not bytes",
        ),
        (
            "return () => ({ status: 200, headers: [], body: new ReadableStream({ start(c) { c.error(new Error('cut')) } }) })",
            "Error",
            "cut",
        ),
    ];
    for (fetch, name, message) in cases {
        let error = match WebFetch::new(Some(function(fetch))).send(request()).await {
            Err(error) => error,
            Ok(mut response) => {
                let error = response.body.next().await.unwrap().unwrap_err();
                assert!(response.body.next().await.is_none(), "{fetch}");
                error
            }
        };
        assert_eq!(error.name, name, "{fetch}: {error}");
        assert!(error.message.contains(message), "{fetch}: {error}");
    }
}

pub async fn a_whole_answer_over_fetch(host: Host) {
    let fetch = function(
        r#"return async (url, init) => {
            const asked = JSON.parse(new TextDecoder().decode(init.body));
            const say = (delta, finish_reason = null) => `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\r\n\r\n`;
            const text = say({ content: `Grüße, ${asked.messages[0].content} 🦀` }) + say({}, "stop") + "data: [DONE]\r\n\r\n";
            const bytes = new TextEncoder().encode(text);
            return new Response(new ReadableStream({
                start(controller) {
                    for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
                    controller.close();
                },
            }));
        }"#,
    );
    let http = Rc::new(WebFetch::new(Some(fetch)));
    let model = OpenAiCompatible::new(host, http, OpenAiConfig::new("http://model.invalid/v1"));
    let deltas = ask(&model).await.unwrap();
    assert_eq!(
        deltas,
        [
            ModelDelta::Text("Grüße, hi 🦀".into()),
            ModelDelta::Stop(StopReason::EndTurn)
        ]
    );
}

async fn ask(model: &dyn LanguageModel) -> Result<Vec<ModelDelta>, ModelError> {
    let request = ModelRequest {
        model: "m".into(),
        messages: vec![ChatMessage::user("hi")],
        ..ModelRequest::default()
    };
    let mut stream = model.stream(request);
    let mut deltas = Vec::new();
    while let Some(delta) = stream.next().await {
        match delta {
            Ok(delta) => deltas.push(delta),
            Err(error) => {
                assert!(
                    stream.next().await.is_none(),
                    "the stream ends after an error"
                );
                return Err(error);
            }
        }
    }
    Ok(deltas)
}

pub async fn a_generator_is_a_model(_: Host) {
    let model = JsModel::new(js(r#"return {
            provider: "mine", contextTokens: 4096,
            async *stream(request, { signal }) {
                yield { type: "reasoning", text: `${request.messages[0].role} ${signal.aborted}` };
                yield "Hel"; yield { type: "text", text: "lo" };
                yield { type: "tool_call", index: 0, id: "a", name: "f", args: { x: 1 } };
                yield { type: "usage", usage: { input_tokens: 1, output_tokens: 2 } };
                yield { type: "stop", reason: "tool_use" };
            },
        }"#));
    assert_eq!(
        (model.info().provider.as_str(), model.info().context_tokens),
        ("mine", Some(4096))
    );
    let deltas = ask(&model).await.unwrap();
    assert_eq!(
        deltas[..3],
        [
            ModelDelta::Reasoning("user false".into()),
            ModelDelta::Text("Hel".into()),
            ModelDelta::Text("lo".into()),
        ]
    );
    assert_eq!(
        deltas[3],
        ModelDelta::from_json(
            &json!({"type": "tool_call", "index": 0, "id": "a", "name": "f", "args": "{\"x\":1}"})
        )
        .unwrap()
    );
    assert_eq!(deltas[5], ModelDelta::Stop(StopReason::ToolUse));
}

pub async fn an_iterable_without_stop_is_a_complete_answer(_: Host) {
    let text = ModelDelta::Text("hi".into());
    for stream in [
        "stream: () => ['hi']",
        "stream: async () => [Promise.resolve('hi')]",
        "*stream() { yield 'hi' }",
    ] {
        let model = JsModel::new(js(&format!("return {{ {stream} }}")));
        assert_eq!(
            ask(&model).await.unwrap(),
            [text.clone(), ModelDelta::Stop(StopReason::EndTurn)],
            "{stream}"
        );
    }
    let model = JsModel::new(js(
        "return { stream: () => [{ type: 'tool_call', index: 0, name: 'f' }] }",
    ));
    assert_eq!(
        ask(&model).await.unwrap().last(),
        Some(&ModelDelta::Stop(StopReason::ToolUse))
    );
}

pub async fn a_dropped_answer_aborts_its_generator(host: Host) {
    let object = js("const model = { async *stream(request, { signal }) {
            model.signal = signal;
            try { yield 'one'; yield 'two'; } finally { model.cleaned = true; }
        } };
        return model;");
    let mut stream = JsModel::new(object.clone()).stream(ModelRequest::default());
    assert_eq!(
        stream.next().await,
        Some(Ok(ModelDelta::Text("one".into())))
    );
    drop(stream);
    assert!(property(&property(&object, "signal"), "aborted").is_truthy());
    host.yield_now().await;
    assert!(property(&object, "cleaned").is_truthy(), "`finally` ran");
    let ended = js(
        "const model = { async *stream(request, { signal }) { model.signal = signal; yield 'one' } }; return model;",
    );
    ask(&JsModel::new(ended.clone())).await.unwrap();
    assert!(
        !property(&property(&ended, "signal"), "aborted").is_truthy(),
        "what has ended is not aborted"
    );
}

pub async fn what_a_generator_throws_keeps_name_and_message(_: Host) {
    let cases = [
        ("new RangeError('boom')", "RangeError", "boom", false),
        (
            "Object.assign(new Error('busy'), { status: 503 })",
            "Error",
            "busy",
            true,
        ),
        (
            "Object.assign(new Error('key'), { status: 401 })",
            "Error",
            "key",
            false,
        ),
        (
            "Object.assign(new Error('later'), { retryable: true })",
            "Error",
            "later",
            true,
        ),
        ("'words'", "Error", "words", false),
        ("undefined", "Error", "undefined", false),
    ];
    for (thrown, name, message, retryable) in cases {
        let model = JsModel::new(js(&format!(
            "return {{ async *stream() {{ yield 'one'; throw {thrown} }} }}"
        )));
        let error = ask(&model).await.unwrap_err();
        assert_eq!(error.retryable(), retryable, "{thrown}");
        let ModelError::Js {
            name: was,
            message: said,
            ..
        } = error
        else {
            panic!("{thrown}: {error}")
        };
        assert_eq!(was, name, "{thrown}");
        assert!(said.contains(message), "{thrown}: {said}");
    }
}

pub async fn bad_deltas_name_the_field(_: Host) {
    let cases = [
        ("{ type: 'text', text: 7 }", "text"),
        ("{ type: 'tool_call', index: 'x' }", "index"),
        ("undefined", "delta"),
        ("() => 1", "delta"),
        (
            "(() => { const loop = {}; loop.loop = loop; return loop })()",
            "delta",
        ),
        ("{ type: 'usage', usage: { input_tokens: 1n } }", "delta"),
    ];
    for (delta, expected) in cases {
        let model = JsModel::new(js(&format!(
            "return {{ async *stream() {{ yield {delta} }} }}"
        )));
        let Err(ModelError::BadDelta { field, reason }) = ask(&model).await else {
            panic!("{delta} was read")
        };
        assert_eq!(field, expected, "{delta}: {reason}");
    }
}

pub async fn objects_that_are_no_models_say_so(_: Host) {
    for (object, expected) in [
        ("{}", "a model has a method `stream"),
        ("undefined", "a model has a method `stream"),
        ("{ stream: 7 }", "a model has a method `stream"),
        ("{ stream: () => 7 }", "async iterable"),
        ("{ stream: () => undefined }", "async iterable"),
    ] {
        let error = ask(&JsModel::new(js(&format!("return {object}"))))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{object}: {error}");
    }
}
