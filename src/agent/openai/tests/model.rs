//! The model over a scripted HTTP client.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{LocalBoxFuture, ready};
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};

use super::{chunks, delta, finish};
use crate::agent::http::{HttpClient, HttpError, HttpRequest, HttpResponse};
use crate::agent::model::*;
use crate::agent::openai::{OpenAiCompatible, OpenAiConfig};
use crate::sim::Sim;

type Body = Vec<Result<Vec<u8>, HttpError>>;
/// Status, header fields and body; nothing stands for a server that never answers.
type Answer = Option<Result<(u16, Vec<(String, String)>, Body), HttpError>>;

/// Answers one request with what it was given, or never.
struct OneAnswer {
    seen: RefCell<Vec<HttpRequest>>,
    answer: RefCell<Answer>,
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

fn client(answer: Answer, hangs_after_body: bool) -> Rc<OneAnswer> {
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

fn hello_then(rest: Body) -> Answer {
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
