//! JSON-RPC 2.0 envelopes (MobKit contract, section 20.1), one by one or in batches (JSON-RPC 2.0, section 6).

use serde_json::{Map, Value};

use super::failure::{Failure, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR};
use crate::wire::{json, raw_json};

/// A request that is well formed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RpcRequest {
    /// What the answer repeats; none for a notification, which gets no answer.
    pub id: Option<Id>,
    /// Which method.
    pub method: String,
    /// Its parameters; empty when there are none.
    pub params: Map<String, Value>,
}

/// An id as JSON text. A number with a fraction, or beyond 64 bits, is the text that it came as: decoded and encoded again it can be
/// another number, and a caller that compares would not know its answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Id(String);

impl Id {
    const NULL: &str = "null";

    /// The id of a request with this text.
    fn of(id: &Value, request: &[u8]) -> Self {
        let written = match id {
            Value::Number(number) if number.is_f64() => raw_json::fields(request, ["id"]).ok(),
            _ => None,
        };
        let written = written.and_then(|[text]| std::str::from_utf8(text?).ok());
        // The name can be escaped where it counts.
        let written = written.filter(|text| json::parse(text.as_bytes()).ok().as_ref() == Some(id));
        Self(written.map_or_else(|| json::text(id), str::to_owned))
    }
}

/// Requests in one batch, at most.
const MAX_BATCH: usize = 256;

/// A request, or the answer to give at once: an invalid request without its id, invalid parameters with it.
pub(super) type Read = Result<RpcRequest, Vec<u8>>;

/// What a body holds.
pub(super) enum Body {
    /// One request.
    One(Read),
    /// Several, at least one; they are answered together.
    Batch(Vec<Read>),
}

/// Reads a body.
pub(super) fn parse(body: &[u8]) -> Body {
    match json::parse(body) {
        Ok(Value::Array(batch)) if (1..=MAX_BATCH).contains(&batch.len()) => {
            let texts = raw_json::elements(body).unwrap_or_default();
            let text = |at: usize| texts.get(at).copied().unwrap_or_default();
            let batch = batch.into_iter().enumerate();
            Body::Batch(batch.map(|(at, value)| request(value, text(at))).collect())
        }
        Ok(value) => Body::One(request(value, body)),
        Err(_) => {
            let failure = Failure::new(PARSE_ERROR, "parse_error", "Parse error");
            Body::One(Err(failed(Id::NULL, &failure)))
        }
    }
}

fn request(value: Value, text: &[u8]) -> Read {
    let invalid = || {
        failed(
            Id::NULL,
            &Failure::new(INVALID_REQUEST, "invalid_request", "Invalid Request"),
        )
    };
    let Value::Object(mut fields) = value else {
        return Err(invalid());
    };
    if fields.get("jsonrpc").is_none_or(|version| version != "2.0") {
        return Err(invalid());
    }
    let id = fields.remove("id");
    if !matches!(
        id,
        None | Some(Value::Null | Value::String(_) | Value::Number(_))
    ) {
        return Err(invalid());
    }
    let id = id.map(|id| Id::of(&id, text));
    let Some(Value::String(method)) = fields.remove("method") else {
        return Err(invalid());
    };
    match fields.remove("params").unwrap_or(Value::Null) {
        Value::Null => Ok(RpcRequest {
            id,
            method,
            params: Map::new(),
        }),
        Value::Object(params) => Ok(RpcRequest { id, method, params }),
        Value::Array(_) => {
            let failure = Failure::new(
                INVALID_PARAMS,
                "invalid_params",
                "params must be a JSON object",
            );
            // A notification is answered by nothing, whatever is wrong with it.
            Err(id.map(|id| error(&id, &failure)).unwrap_or_default())
        }
        _ => Err(invalid()),
    }
}

/// The answer to a request that succeeded with this JSON.
pub(super) fn result(id: &Id, result: &str) -> Vec<u8> {
    answer(&id.0, "result", result)
}

/// The answer to a request that failed.
pub(super) fn error(id: &Id, failure: &Failure) -> Vec<u8> {
    failed(&id.0, failure)
}

fn failed(id: &str, failure: &Failure) -> Vec<u8> {
    answer(id, "error", &json::text(&failure.to_json()))
}

fn answer(id: &str, name: &str, value: &str) -> Vec<u8> {
    [
        r#"{"jsonrpc":"2.0","id":"#,
        id,
        ",\"",
        name,
        "\":",
        value,
        "}",
    ]
    .concat()
    .into_bytes()
}
