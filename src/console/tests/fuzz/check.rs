//! What every answer must be, whatever was asked.

use serde_json::Value;

use super::super::{FetchRequest, json};

/// The contract's table (MobKit contract, section 20.2).
const CODES: &[i64] = &[
    -32700, -32600, -32601, -32602, -32000, -32001, -32002, -32004, -32009, -32010,
];
/// What a request can fail with while the storage is sound, this context leads and nobody shuts it down: any other name is a
/// fault of the runtime's that reached the door.
const NAMES: &[&str] = &[
    "parse_error",
    "invalid_request",
    "method_not_found",
    "invalid_params",
    "invalid_input",
    "profile_not_found",
    "member_not_found",
    "interaction_not_found",
    "member_already_exists",
    "member_retired",
    "member_broken",
    "not_addressable",
    "wiring_error",
    "invalid_state_transition",
    "idempotency_conflict",
    "admission_backlog_full",
    "storage_value_too_large",
    "stale_event_cursor",
    "replay_unavailable",
    "partial_failure",
    "helper_failed",
    "blob_not_found",
    "module_not_configured",
    "module_not_loaded",
    "router_module_not_loaded",
    "delivery_module_not_loaded",
    "module_timeout",
    "tool_not_found",
    "tool_call_failed",
    "module_crashed",
    "invalid_recipient",
    "invalid_channel",
    "retry_max_exceeds_cap",
    "invalid_rate_limit_per_minute",
    "empty_route_key",
    "empty_recipient",
    "empty_sink",
    "empty_target_module",
    "route_not_found",
    "invalid_route_target",
    "invalid_route_id",
    "unknown_route_id",
    "forged_resolution",
    "invalid_sink",
    "invalid_idempotency_key",
    "idempotency_payload_mismatch",
    "rate_limited",
    "self_approval_forbidden",
    "approver_mismatch",
    "unknown_pending_id",
    "entity_required",
    "topic_required",
    "unsupported_store",
    "fact_required",
    "conflict_not_found",
    "empty_schedule_id",
    "duplicate_schedule_id",
    "invalid_tick_ms",
    "invalid_interval",
    "invalid_timezone",
    "too_many_schedules",
    "schedule_not_found",
    "empty_checkpoint",
    "unknown_checkpoint",
    "missing_agent_id",
    "invalid_agent_id",
    "delivery_boundary",
];
/// What else it can fail with once the runtime is shut down.
const CLOSED_NAMES: &[&str] = &["runtime_shutting_down", "not_leader", "storage_closed"];
/// The statuses of the routes (MobKit contract, sections 12.5 and 21.1); 500 would be the runtime's fault.
const STATUSES: &[u16] = &[200, 400, 404, 405, 409, 410, 429];

type Checked = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(what()),
    }
}

/// What a JSON-RPC request is to be answered with.
enum Due {
    /// Nothing: it is a notification.
    Nothing,
    /// An answer with this id, and with this error if it cannot even begin.
    Answer(Value, Option<i64>),
}

fn due(request: &Value) -> Due {
    let invalid = Due::Answer(Value::Null, Some(-32600));
    let id = request.get("id");
    let is_id = matches!(
        id,
        None | Some(Value::Null | Value::String(_) | Value::Number(_))
    );
    let is_request = request.is_object() && request["jsonrpc"] == "2.0" && is_id;
    if !is_request || !request["method"].is_string() {
        return invalid;
    }
    match (&request["params"], id) {
        (Value::Null | Value::Object(_) | Value::Array(_), None) => Due::Nothing,
        (Value::Array(_), Some(id)) => Due::Answer(id.clone(), Some(-32602)),
        (Value::Null | Value::Object(_), Some(id)) => Due::Answer(id.clone(), None),
        _ => invalid,
    }
}

/// The requests of a body; none when it is not JSON, or an array that is no batch.
fn requests(body: &[u8]) -> Option<(Vec<Value>, bool)> {
    match serde_json::from_slice(body).ok()? {
        Value::Array(batch) if (1..=256).contains(&batch.len()) => Some((batch, true)),
        value => Some((vec![value], false)),
    }
}

/// Whether a request calls one of these methods.
fn calls(request: &FetchRequest, methods: &[&str]) -> bool {
    let requests = requests(&request.body).map(|(requests, _)| requests);
    requests.into_iter().flatten().any(|request| {
        let method = request["method"].as_str();
        method.is_some_and(|method| methods.contains(&method))
    })
}

/// Whether a request may wait for as long as an interaction takes, or as it says.
pub(super) fn may_wait(request: &FetchRequest) -> bool {
    const WAITING: &[&str] = &[
        "mobkit/wait_interaction",
        "mobkit/spawn_helper",
        "mobkit/fork_helper",
    ];
    calls(request, WAITING) || waits_by_clock(request)
}

/// Whether a request may wait for as long as it says.
pub(super) fn waits_by_clock(request: &FetchRequest) -> bool {
    // A delivery, be it to an approver, is tried again after the route's pauses.
    const BY_CLOCK: &[&str] = &[
        "mobkit/wait_ready",
        "mobkit/delivery/send",
        "mobkit/gating/evaluate",
    ];
    calls(request, BY_CLOCK)
}

/// Checks the answer to the body of a `POST /console/rpc`, and hands on each of its parts.
pub(super) fn rpc(
    body: &[u8],
    answer: &[u8],
    is_closed: bool,
    mut told: impl FnMut(&Value),
) -> Checked {
    let (dues, is_batch) = match requests(body) {
        Some((requests, is_batch)) => (requests.iter().map(due).collect(), is_batch),
        None => (vec![Due::Answer(Value::Null, Some(-32700))], false),
    };
    let dues: Vec<_> = dues
        .into_iter()
        .filter_map(|due| match due {
            Due::Nothing => None,
            Due::Answer(id, error) => Some((id, error)),
        })
        .collect();
    if dues.is_empty() {
        return ensure(answer.is_empty(), || {
            "a notification is answered".to_owned()
        });
    }
    let answer = json::parse_own(answer).map_err(|error| format!("not JSON: {error}"))?;
    let answers = match answer {
        Value::Array(answers) if is_batch => answers,
        _ if is_batch => return Err("a batch is not answered by a list".to_owned()),
        answer => vec![answer],
    };
    ensure(answers.len() == dues.len(), || {
        format!("{} answers for {} requests", answers.len(), dues.len())
    })?;
    for (answer, (id, error)) in answers.iter().zip(dues) {
        ensure(answer["jsonrpc"] == "2.0", || "not JSON-RPC 2.0".to_owned())?;
        ensure(answer.get("id") == Some(&id), || {
            format!("the id is {:?} instead of {id}", answer.get("id"))
        })?;
        let is_whole = answer.as_object().is_some_and(|fields| fields.len() == 3);
        ensure(is_whole, || {
            "not exactly id, version and outcome".to_owned()
        })?;
        match answer.get("error") {
            Some(told) => rpc_error(told, error, is_closed)?,
            None => ensure(answer.get("result").is_some() && error.is_none(), || {
                format!("no error, but {error:?} is due")
            })?,
        }
        for gap in answer["result"]["gaps"].as_array().into_iter().flatten() {
            check_gap(gap)?;
        }
        for frame in answer["result"]["event_frames"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let frame = frame.as_str().unwrap_or_default();
            chunk(frame.as_bytes(), is_closed, |_| {})?;
        }
        told(answer);
    }
    Ok(())
}

/// Nobody crashes here, so nothing is lost but to retention.
fn check_gap(gap: &Value) -> Checked {
    ensure(gap["reason"] == "retention", || {
        format!("lost without a crash: {gap}")
    })
}

fn rpc_error(error: &Value, due: Option<i64>, is_closed: bool) -> Checked {
    let code = error["code"].as_i64();
    let known = code.is_some_and(|code| CODES.contains(&code));
    ensure(known && due.is_none_or(|due| code == Some(due)), || {
        format!("code {code:?}, due was {due:?}")
    })?;
    let name = error["data"]["code"].as_str();
    let is_known = |name| NAMES.contains(&name) || (is_closed && CLOSED_NAMES.contains(&name));
    ensure(name.is_some_and(is_known), || {
        format!("data.code {name:?}: {}", error["message"])
    })?;
    let message = error["message"].as_str();
    ensure(message.is_some_and(|text| !text.is_empty()), || {
        "an error without a message".to_owned()
    })
}

/// Checks the answer of any other route.
pub(super) fn http(
    url: &str,
    status: u16,
    headers: &[(&str, String)],
    body: &[u8],
    is_closed: bool,
) -> Checked {
    ensure(
        STATUSES.contains(&status) || (is_closed && [500, 503].contains(&status)),
        || format!("status {status}: {}", String::from_utf8_lossy(body)),
    )?;
    let header = |name: &str| headers.iter().find(|(known, _)| *known == name);
    if header("content-type").is_some_and(|(_, kind)| kind.starts_with("text/plain")) {
        return ensure(status == 200 && body == b"ok", || "not healthy".to_owned());
    }
    if header("content-type").is_some_and(|(_, kind)| kind.starts_with("image/")) {
        let is_inert =
            header("x-content-type-options").is_some_and(|(_, value)| value == "nosniff");
        return ensure(status == 200 && is_inert, || {
            "bytes that may do something".to_owned()
        });
    }
    if body.is_empty() {
        // A notification in a form.
        return ensure(
            status == 200 && url.contains("/console/rpc/multipart"),
            || "no answer".to_owned(),
        );
    }
    let body = json::parse_own(body).map_err(|error| format!("not JSON: {error}"))?;
    ensure((status == 405) == header("allow").is_some(), || {
        "405 without `allow`, or the other way round".to_owned()
    })?;
    ensure((status == 200) != body["error"].is_string(), || {
        format!("status {status} with {body}")
    })
}

/// Checks a chunk of a stream: whole events, comments, and nothing that a value could have smuggled in. Hands on the ids.
pub(super) fn chunk(bytes: &[u8], is_closed: bool, mut told: impl FnMut(&str)) -> Checked {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    ensure(text.ends_with("\n\n") && !text.contains('\r'), || {
        format!("a cut chunk: {text:?}")
    })?;
    for block in text.trim_end_matches('\n').split("\n\n") {
        if block.starts_with(": ") && !block.contains('\n') {
            let is_sound = !block.starts_with(": error") || is_closed;
            ensure(is_sound, || block.to_owned())?;
            continue;
        }
        let fields: Vec<_> = block.lines().map(|line| line.split_once(": ")).collect();
        let (id, event, data) = match fields[..] {
            [
                Some(("id", id)),
                Some(("event", event)),
                Some(("data", data)),
            ] => (id, event, data),
            [Some(("event", event)), Some(("data", data))] => ("", event, data),
            _ => return Err(format!("not an event: {block:?}")),
        };
        let is_name = !event.is_empty()
            && event
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.');
        ensure(is_name, || format!("event {event:?}"))?;
        ensure(!id.contains('\0'), || {
            format!("an id that clients drop: {id:?}")
        })?;
        let data =
            json::parse_own(data.as_bytes()).map_err(|error| format!("data: {error}: {data}"))?;
        if event == "gap" {
            check_gap(&data)?;
        }
        told(id);
    }
    Ok(())
}
