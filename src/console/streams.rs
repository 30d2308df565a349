//! The event streams: the structural ledger and the agent events, each read after a cursor (MobKit contract, section 21.1).

use std::str::FromStr;

use futures::stream::StreamExt;
use litemap::LiteMap;

use super::sse::{self, Said};
use super::{FetchResponse, address, bad_request};
use crate::log::LogItem;
use crate::mob::MobError;
use crate::runtime::{EventFilter, UnifiedRuntime};
use crate::wire::agent_record::RecordText;
use crate::wire::json::{self, object};
use crate::wire::{AgentIdentity, Cursor, EventQuery, MobStructuralEventEnvelope, TimestampMs};

/// A query string's fields, taken out one by one.
struct Fields(LiteMap<String, String>);

impl Fields {
    fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    fn parsed<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, String> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| format!("{name} must be {what}"))
    }

    fn cursor(&mut self, name: &str) -> Result<Option<Cursor>, String> {
        self.parsed(name, "a whole number")
    }

    /// The fields that both streams take (MobKit contract, section 10.5).
    fn filter(&mut self) -> Result<EventQuery, String> {
        let types = self.text("event_types").unwrap_or_default();
        Ok(EventQuery {
            since_ms: self
                .parsed::<u64>("since_ms", "a whole number")?
                .map(Into::into),
            until_ms: self
                .parsed::<u64>("until_ms", "a whole number")?
                .map(Into::into),
            member_id: self.text("member_id"),
            identity: self.text("identity"),
            mob_id: self.parsed("mob_id", "a name")?,
            run_id: self.text("run_id").map(Into::into),
            step_id: self.text("step_id").map(Into::into),
            event_types: types
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            limit: None,
            after_seq: self.cursor("after_seq")?,
        })
    }

    fn finish(self) -> Result<(), String> {
        self.0
            .first()
            .map_or(Ok(()), |(name, _)| Err(format!("unknown field '{name}'")))
    }
}

/// Where a client that had a stream before goes on; `prefix` is what stands before the number in the stream's ids.
fn resume(last_event_id: Option<&str>, prefix: &str) -> Result<Option<Cursor>, String> {
    let Some(id) = last_event_id.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let cursor = id
        .strip_prefix(prefix)
        .and_then(|number| number.parse().ok());
    cursor
        .map(Some)
        .ok_or_else(|| format!("Last-Event-ID must be {prefix} and a number"))
}

/// `GET /mobkit/mob_events/stream`: the ledger after `Last-Event-ID`, else `after_seq`, else from now on.
pub(super) fn mob_events(
    runtime: &UnifiedRuntime,
    fields: LiteMap<String, String>,
    last_event_id: Option<&str>,
) -> FetchResponse {
    let query = match read_query(fields, last_event_id, "mob-evt-") {
        Ok(query) => query,
        Err(message) => return bad_request(&message),
    };
    let log = match runtime.mob_events(query.after_seq) {
        Ok(log) => log,
        Err(error) => return refused(error),
    };
    let said = log.map(move |next| match next {
        Ok(envelope) => Said::Event(
            query
                .envelope_matches(&envelope)
                .then(|| ledger_event(&envelope)),
        ),
        Err(error) => Said::Broken(error.data()),
    });
    FetchResponse::event_stream(sse::body(runtime.host(), said.boxed_local()))
}

/// `GET /mob/events`: the agent events after `Last-Event-ID`, else `after_seq`, else from now on. Gaps are events too.
pub(super) fn agent_events(
    runtime: &UnifiedRuntime,
    fields: LiteMap<String, String>,
    last_event_id: Option<&str>,
) -> FetchResponse {
    let query = match read_query(fields, last_event_id, "mob:") {
        Ok(query) => query,
        Err(message) => return bad_request(&message),
    };
    let mob_is_meant = query
        .mob_id
        .as_ref()
        .is_none_or(|mob| mob == runtime.mob_id());
    let log = match runtime.event_texts(&EventFilter {
        after: query.after_seq,
        ..EventFilter::default()
    }) {
        Ok(log) => log.items(),
        Err(error) => return refused(error),
    };
    let said = log.map(move |next| match next {
        Ok(LogItem::Entry { cursor, entry }) => {
            let record = RecordText::of(entry.json());
            let record = record.filter(|record| mob_is_meant && query.record_matches(record));
            Said::Event(record.map(|record| agent_event(cursor, &record)))
        }
        Ok(LogItem::Gap { from, to, reason }) => {
            let gap = object!({ "from": from, "to": to, "reason": reason.as_str() });
            let gap = json::text(&gap);
            Said::Event(Some(sse::encode(Some(&format!("mob:{to}")), "gap", &gap)))
        }
        Err(error) => Said::Broken(error.data()),
    });
    FetchResponse::event_stream(sse::body(runtime.host(), said.boxed_local()))
}

/// Where a subscription goes on after a query (MobKit contract, section 10.5): fields in the contract's order, the limit left out.
pub(super) fn subscribe_url(query: &EventQuery, last: Option<Cursor>, fallback: Cursor) -> String {
    let after = last.or(query.after_seq).unwrap_or(fallback);
    let mut url = ["/mobkit/mob_events/stream?after_seq=", &after.to_string()].concat();
    let mut field = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            url.push('&');
            url.push_str(name);
            url.push('=');
            address::encode(&mut url, value);
        }
    };
    field("mob_id", query.mob_id.as_ref().map(|id| id.as_str()));
    field("run_id", query.run_id.as_ref().map(|id| id.as_str()));
    field("step_id", query.step_id.as_ref().map(|id| id.as_str()));
    field("identity", query.identity.as_deref());
    field("member_id", query.member_id.as_deref());
    let number = |at: Option<TimestampMs>| at.map(|at| at.to_string());
    field("since_ms", number(query.since_ms).as_deref());
    field("until_ms", number(query.until_ms).as_deref());
    let types = query.event_types.join(",");
    field(
        "event_types",
        Some(types.as_str()).filter(|types| !types.is_empty()),
    );
    url
}

/// `GET /agents/{id}/events`: one member's events after `Last-Event-ID`, from now on without one (MobKit contract, section 21.1).
/// The ids go by the log's numbers, so that a stream that broke off goes on where it was.
pub(super) fn member_events(
    runtime: &UnifiedRuntime,
    name: &str,
    last_event_id: Option<&str>,
) -> FetchResponse {
    let Some(name) = address::decode_path(name).filter(|name| !name.is_empty()) else {
        return bad_request("the member's name is empty, or not percent-encoded");
    };
    let known = AgentIdentity::new(&name).ok();
    let known = known.filter(|identity| runtime.mob_handle().get_member(identity).is_ok());
    let Some(identity) = known else {
        return FetchResponse::json(
            404,
            &object!({ "error": "member_not_found", "member_id": name }),
        );
    };
    let prefix = [name.as_str(), ":"].concat();
    let after = match resume(last_event_id, &prefix) {
        Ok(after) => after,
        Err(message) => return bad_request(&message),
    };
    let log = match runtime.event_texts(&EventFilter {
        identity: Some(identity),
        after,
        ..EventFilter::default()
    }) {
        Ok(log) => log.items(),
        Err(error) => return refused(error),
    };
    let said = log.map(move |next| match next {
        Ok(LogItem::Entry { cursor, entry }) => {
            let record = RecordText::of(entry.json());
            Said::Event(record.map(|record| {
                let id = [&prefix, cursor.to_string().as_str()].concat();
                let name = record.event_type.trim_matches('"');
                sse::encode(Some(&id), name, &record.tool_payload())
            }))
        }
        Ok(LogItem::Gap { from, to, reason }) => {
            let gap = object!({ "from": from, "to": to, "reason": reason.as_str() });
            let id = [&prefix, to.to_string().as_str()].concat();
            Said::Event(Some(sse::encode(Some(&id), "gap", &json::text(&gap))))
        }
        Err(error) => Said::Broken(error.data()),
    });
    FetchResponse::event_stream(sse::body(runtime.host(), said.boxed_local()))
}

fn read_query(
    fields: LiteMap<String, String>,
    last_event_id: Option<&str>,
    prefix: &str,
) -> Result<EventQuery, String> {
    let mut fields = Fields(fields);
    let mut query = fields.filter()?;
    fields.finish()?;
    if let Some(cursor) = resume(last_event_id, prefix)? {
        query.after_seq = Some(cursor);
    }
    Ok(query)
}

fn ledger_event(envelope: &MobStructuralEventEnvelope) -> String {
    let text = json::text_of(envelope);
    sse::encode(Some(&envelope.event_id), &envelope.kind, &text)
}

/// The contract's shape (MobKit contract, section 21.1), and the time, which is an addition to it.
fn agent_event(cursor: Cursor, record: &RecordText<'_>) -> String {
    let member_id = record.member_id();
    // What a module tells is no member's.
    let (whose, source) = match record.module {
        Some([module, _]) => ("null", module),
        None => (member_id.as_str(), member_id.as_str()),
    };
    let data = [
        r#"{"member_id":"#,
        whose,
        r#","source":"#,
        source,
        r#","timestamp_ms":"#,
        record.timestamp_ms,
        r#","payload":"#,
        &record.payload(),
        "}",
    ];
    let name = record.event_type.trim_matches('"');
    sse::encode(Some(&format!("mob:{cursor}")), name, &data.concat())
}

/// A stream that cannot begin: 410 for a cursor beyond the end.
fn refused(error: MobError) -> FetchResponse {
    match error {
        MobError::StaleEventCursor {
            after_cursor,
            latest_cursor,
        } => FetchResponse::json(
            410,
            &object!({ "error": "event_query_stale", "after_cursor": after_cursor, "latest_cursor": latest_cursor }),
        ),
        other => {
            let data = other.data();
            FetchResponse::json(
                500,
                &object!({ "error": data.code, "message": data.message }),
            )
        }
    }
}
