//! The console's door: JSON-RPC and event streams behind one fetch-shaped function.
//!
//! It holds no state: every request is answered from the runtime. A page that has the runtime in its worker, a page that
//! follows another tab's and a server that hosts one all speak the same contract through [`fetch`].
//!
//! | route | answer |
//! |---|---|
//! | `POST /console/rpc` | JSON-RPC 2.0; the methods are listed by `mobkit/capabilities` |
//! | `GET /mobkit/mob_events/stream` | the structural ledger as server-sent events |
//! | `GET /mob/events` | the agent events as server-sent events: the contract's fields and `timestamp_ms` |
//! | `GET /agents/{id}/events` | one member's events as server-sent events |
//! | `GET /console/identities` | the members as a console lists them |
//! | `GET /console/timeline` | a page of the timeline |
//! | `GET /console/timeline/stream`, `GET /console/identity/{identity}/stream` | the timeline as server-sent events |
//! | `POST /console/send` | a person's message, once for each idempotency key |
//! | `POST /console/rpc/multipart` | a JSON-RPC request as a form, with images |
//! | `GET /console/experience` | what a console is made of: panels, and who is in the mob |
//! | `GET /console/modules`, `GET /console/modules/{id}` | the modules, or one |
//! | `GET /blobs/{id}` | bytes that are kept |
//! | `GET /healthz` | `ok` |

mod address;
mod blobs;
mod envelope;
mod experience;
mod failure;
mod methods;
mod multipart;
mod params;
mod sse;
mod streams;
mod timeline;

use std::convert::Infallible;
use std::fmt;

use futures::FutureExt;
use futures::stream::LocalBoxStream;
use serde_json::{Map, Value};

use crate::runtime::UnifiedRuntime;
use crate::shim::all;
use crate::wire::ErrorData;
use crate::wire::json::{self, object, value_of};
use address::Address;
use envelope::{Body, Id, Read};

/// The version of the contract that this runtime speaks.
pub const CONTRACT_VERSION: &str = "0.5.0";

/// A request, as `fetch` would send it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// An absolute address, of which the host says nothing, or a path with its query.
    pub url: String,
    /// Names, in any case, and values.
    pub headers: Vec<(String, String)>,
    /// The body; empty when there is none.
    pub body: Vec<u8>,
}

impl FetchRequest {
    /// A `GET` of an address.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            url: url.into(),
            ..Self::default()
        }
    }

    /// A `POST` of JSON to an address.
    pub fn post_json(url: impl Into<String>, body: &Value) -> Self {
        Self {
            method: "POST".to_owned(),
            url: url.into(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: json::text(body).into_bytes(),
        }
    }

    /// The same request with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn find_header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// A response's body.
pub enum FetchBody {
    /// All of it.
    Full(Vec<u8>),
    /// Chunk by chunk; dropping it ends the stream. Nothing is read that was not asked for.
    Stream(LocalBoxStream<'static, Vec<u8>>),
}

impl fmt::Debug for FetchBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(bytes) => write!(f, "Full({:?})", String::from_utf8_lossy(bytes)),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// A response, as `fetch` would give it.
#[derive(Debug)]
pub struct FetchResponse {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: FetchBody,
}

impl FetchResponse {
    fn new(status: u16, content_type: &str, body: FetchBody) -> Self {
        let headers = vec![
            ("content-type", content_type.to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        Self {
            status,
            headers,
            body,
        }
    }

    fn bytes(status: u16, content_type: &str, bytes: Vec<u8>) -> Self {
        Self::new(status, content_type, FetchBody::Full(bytes))
    }

    fn json(status: u16, value: &Value) -> Self {
        Self::bytes(status, "application/json", json::text(value).into_bytes())
    }

    fn event_stream(body: LocalBoxStream<'static, Vec<u8>>) -> Self {
        Self::new(200, "text/event-stream", FetchBody::Stream(body))
    }
}

fn bad_request(message: &str) -> FetchResponse {
    FetchResponse::json(
        400,
        &object!({ "error": "invalid_request", "message": message }),
    )
}

/// Answers a request. Never fails: what is wrong is an HTTP status or a JSON-RPC error (always with status 200).
pub async fn fetch(runtime: &UnifiedRuntime, request: FetchRequest) -> FetchResponse {
    let address = match Address::parse(&request.url) {
        Ok(address) => address,
        Err(message) => return bad_request(&message),
    };
    let last_event_id = request.find_header("last-event-id");
    let method = request.method.to_ascii_uppercase();
    match (method.as_str(), address.path.as_str()) {
        ("POST", "/console/rpc") => {
            FetchResponse::bytes(200, "application/json", rpc(runtime, &request.body).await)
        }
        ("GET", "/mobkit/mob_events/stream") => {
            streams::mob_events(runtime, address.query, last_event_id)
        }
        ("GET", "/mob/events") => streams::agent_events(runtime, address.query, last_event_id),
        ("GET", "/console/identities") => timeline::identities(runtime),
        ("GET", "/console/timeline") => timeline::page(runtime, address.query).await,
        ("GET", path) if is_timeline_stream(path) => {
            timeline::stream(runtime, path, address.query, last_event_id)
        }
        ("GET", path) if member_of(path).is_some() => {
            let name = member_of(path).unwrap_or_default();
            streams::member_events(runtime, name, last_event_id)
        }
        ("POST", "/console/rpc/multipart") => multipart::rpc(runtime, &request).await,
        ("GET", "/console/experience") => {
            let text = experience::experience(runtime);
            FetchResponse::bytes(200, "application/json", text.into_bytes())
        }
        ("GET", "/console/modules") => FetchResponse::json(
            200,
            &object!({
                "contract_version": CONTRACT_VERSION,
                "modules": value_of(&runtime.modules().statuses()),
            }),
        ),
        ("GET", path) if path.starts_with(MODULES) => {
            let statuses = runtime.modules().statuses();
            let id = address::decode_path(&path[MODULES.len()..]).unwrap_or_default();
            match statuses.iter().find(|status| status.module_id == id) {
                Some(status) => FetchResponse::json(
                    200,
                    &object!({ "contract_version": CONTRACT_VERSION, "module": value_of(status) }),
                ),
                None => FetchResponse::json(404, &object!({ "error": "not_found" })),
            }
        }
        ("GET", path) if path.starts_with(BLOBS) => blobs::get(runtime, &path[BLOBS.len()..]).await,
        ("POST", "/console/send") => timeline::send(runtime, &request.body).await,
        ("GET", "/healthz") => {
            FetchResponse::bytes(200, "text/plain; charset=utf-8", b"ok".to_vec())
        }
        (_, path) => {
            let allowed = match path {
                "/console/rpc" | "/console/send" | "/console/rpc/multipart" => "POST",
                "/mobkit/mob_events/stream" | "/mob/events" | "/healthz" => "GET",
                "/console/identities" | "/console/timeline" => "GET",
                "/console/experience" | "/console/modules" => "GET",
                path if path.starts_with(BLOBS) || path.starts_with(MODULES) => "GET",
                path if is_timeline_stream(path) || member_of(path).is_some() => "GET",
                _ => return FetchResponse::json(404, &object!({ "error": "not_found" })),
            };
            let mut response =
                FetchResponse::json(405, &object!({ "error": "method_not_allowed" }));
            response.headers.push(("allow", allowed.to_owned()));
            response
        }
    }
}

/// How many milliseconds a request waits for the end of an interaction when it does not say.
const HTTP_WAIT_MS: u64 = 60_000;

/// Where one module is asked for.
const MODULES: &str = "/console/modules/";

/// Where bytes are asked for.
const BLOBS: &str = "/blobs/";

/// Whose events a path asks for.
fn member_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/agents/")?.strip_suffix("/events")?;
    (!name.contains('/')).then_some(name)
}

/// Whether a path is the timeline's stream, or that of one identity.
fn is_timeline_stream(path: &str) -> bool {
    let identity = path.strip_prefix("/console/identity/");
    path == "/console/timeline/stream"
        || identity
            .and_then(|rest| rest.strip_suffix("/stream"))
            .is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// Calls a method of `POST /console/rpc` without the envelope; answers JSON.
///
/// # Errors
/// The method's, or `method_not_found` and `invalid_params`.
pub async fn call(
    runtime: &UnifiedRuntime,
    method: &str,
    params: Map<String, Value>,
) -> Result<String, ErrorData> {
    let answer = methods::call(runtime, method, params).await;
    answer.map_err(failure::Failure::into_error)
}

/// Answers the text of a JSON-RPC request, or of a batch; empty for a notification, whose side effects happen all the same.
async fn rpc(runtime: &UnifiedRuntime, body: &[u8]) -> Vec<u8> {
    let batch = match envelope::parse(body) {
        Body::One(request) => return answer(runtime, request).await,
        Body::Batch(batch) => batch,
    };
    // All at once: one that waits holds up none of the others.
    let answers = batch
        .into_iter()
        .map(|request| answer(runtime, request).map(Ok).boxed_local());
    let Ok(answers) = all::<_, Infallible>(answers.collect()).await;
    let mut text = Vec::new();
    for answer in answers {
        if !answer.is_empty() {
            text.push(if text.is_empty() { b'[' } else { b',' });
            text.extend(answer);
        }
    }
    if !text.is_empty() {
        text.push(b']');
    }
    text
}

/// The answer to one request; empty for a notification.
async fn answer(runtime: &UnifiedRuntime, request: Read) -> Vec<u8> {
    let mut request = match request {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    if request.method == methods::WAIT {
        // Whoever asked may have gone, and no host is sure to say so.
        let limit = request.params.entry("timeout_ms").or_insert(Value::Null);
        if limit.is_null() {
            *limit = HTTP_WAIT_MS.into();
        }
    }
    let outcome = methods::call(runtime, &request.method, request.params).await;
    answered(request.id, outcome)
}

/// What came of a request; empty for a notification.
fn answered(id: Option<Id>, outcome: Result<String, failure::Failure>) -> Vec<u8> {
    match (id, outcome) {
        (None, _) => Vec::new(),
        (Some(id), Ok(result)) => envelope::result(&id, &result),
        (Some(id), Err(failure)) => envelope::error(&id, &failure),
    }
}

#[cfg(test)]
mod tests;
