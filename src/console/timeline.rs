//! The console's routes: identities, timeline and sending (MobKit contract, section 21.1).

use futures::stream::StreamExt;
use litemap::LiteMap;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::sse::{self, Said};
use super::{FetchResponse, address, bad_request, methods};
use crate::runtime::{TimelineText, UnifiedRuntime};
use crate::wire::console::console_cursor;
use crate::wire::json::{self, FromJson};
use crate::wire::{ConsoleSendRequest, ConsoleTimelineQuery};

type Fields = LiteMap<String, String>;

/// `GET /console/identities`: `{identities}`.
pub(super) fn identities(runtime: &UnifiedRuntime) -> FetchResponse {
    FetchResponse::bytes(
        200,
        "application/json",
        methods::identities(runtime).into_bytes(),
    )
}

/// `GET /console/timeline`: a page.
pub(super) async fn page(runtime: &UnifiedRuntime, fields: Fields) -> FetchResponse {
    let query = match query_of(fields, None) {
        Ok(query) => query,
        Err(message) => return bad_request(&message),
    };
    match runtime.query_timeline_text(&query).await {
        Ok(page) => FetchResponse::bytes(200, "application/json", page.into_bytes()),
        Err(error) => refused(error.into()),
    }
}

/// `POST /console/send`: a person's message.
pub(super) async fn send(runtime: &UnifiedRuntime, body: &[u8]) -> FetchResponse {
    let request = json::parse(body).and_then(ConsoleSendRequest::from_json);
    let request = match request {
        Ok(request) => request,
        Err(error) => return bad_request(&error.to_string()),
    };
    match runtime.console_send(request).await {
        Ok(accepted) => FetchResponse::bytes(
            200,
            "application/json",
            json::text_of(&accepted).into_bytes(),
        ),
        Err(error) => refused(error.into()),
    }
}

/// `GET /console/timeline/stream`, and `GET /console/identity/{identity}/stream`: frames after `Last-Event-ID`, else `after`,
/// else the newest; then what comes.
pub(super) fn stream(
    runtime: &UnifiedRuntime,
    path: &str,
    mut fields: Fields,
    last_event_id: Option<&str>,
) -> FetchResponse {
    let named = path.strip_prefix("/console/identity/");
    if let Some(name) = named.and_then(|rest| rest.strip_suffix("/stream")) {
        let Some(identity) = address::decode_path(name) else {
            return bad_request(&format!("{name} is not a percent-encoded name"));
        };
        fields.insert("identity".to_owned(), identity);
    }
    let told = query_of(fields, last_event_id)
        .map(|query| runtime.timeline_texts(&query).map_err(Failure::from));
    let told = match told {
        Ok(Ok(told)) => told,
        Ok(Err(failure)) => return refused(failure),
        Err(message) => return bad_request(&message),
    };
    let said = told.map(|text| match text {
        Ok(TimelineText { name, cursor, data }) => {
            let id = cursor.map(console_cursor);
            Said::Event(Some(sse::encode(id.as_deref(), name, &data)))
        }
        Err(error) => Said::Broken(error.data()),
    });
    FetchResponse::event_stream(sse::body(runtime.host(), said.boxed_local()))
}

fn query_of(fields: Fields, last_event_id: Option<&str>) -> Result<ConsoleTimelineQuery, String> {
    let mut query = Map::new();
    for (name, value) in fields {
        let value = match name.as_str() {
            "limit" => value
                .parse::<u64>()
                .map_or(Value::String(value), Value::from),
            _ => Value::String(value),
        };
        query.insert(name, value);
    }
    if let Some(id) = last_event_id.filter(|id| !id.is_empty()) {
        query.insert("after".to_owned(), id.into());
    }
    ConsoleTimelineQuery::from_json(Value::Object(query)).map_err(|error| error.to_string())
}

/// What cannot be done, with the contract's status (MobKit contract, section 12.5).
fn refused(failure: Failure) -> FetchResponse {
    let status = failure.status();
    let error = failure.into_error();
    let mut body = match error.data {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    body.insert("error".to_owned(), error.code.into());
    body.insert("message".to_owned(), error.message.into());
    FetchResponse::json(status, &Value::Object(body))
}
