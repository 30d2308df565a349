//! What has happened: the ledger, the agent events and the console's view of them.

use super::{Begun, MAX_LIMIT, begun, now, text};
use crate::console::failure::Failure;
use crate::console::params::Params;
use crate::console::sse::KEEP_ALIVE_MS;
use crate::console::streams;
use crate::runtime::UnifiedRuntime;
use crate::wire::json::{self, object, value_of};
use crate::wire::{ConsoleSendRequest, ConsoleTimelineQuery, EventQuery};

fn event_query(params: Params) -> Result<EventQuery, Failure> {
    let query: EventQuery = params.all()?;
    if query.limit.is_some_and(|limit| limit > MAX_LIMIT) {
        return Err(Failure::params(format_args!(
            "limit must be an integer between 0 and {MAX_LIMIT}"
        )));
    }
    Ok(query)
}

pub(super) fn query_mob_events(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let query = event_query(params)?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.query_mob_events(&query).await?)) })
}

/// What there is, and where the rest can be heard (MobKit contract, section 20.4).
pub(super) fn subscribe_mob_events(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let query = event_query(params)?;
    let fallback = runtime.status().latest_mob_cursor;
    let runtime = runtime.clone();
    begun(async move {
        let page = runtime.query_mob_events(&query).await?;
        let last = page.events.last().map(|event| event.cursor);
        Ok(json::text(&object!({
            "stream": "mob_events",
            "events": value_of(&page.events),
            "next_after_seq": page.next_after_seq,
            "resume_after_seq": page.resume_after_seq,
            "subscribe_url": streams::subscribe_url(&query, last, fallback),
            "keep_alive": object!({ "interval_ms": KEEP_ALIVE_MS, "event": "keep_alive" }),
        })))
    })
}

pub(super) fn query_events(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let query = event_query(params)?;
    let runtime = runtime.clone();
    begun(async move { Ok(runtime.query_events_text(&query).await?) })
}

pub(super) fn list_identities(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(identities(runtime))
}

/// The JSON of `{identities}`.
pub(in crate::console) fn identities(runtime: &UnifiedRuntime) -> String {
    json::text(&object!({ "identities": value_of(&runtime.console_identities()) }))
}

pub(super) fn inspect_identity(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let identity = params.only_identity("identity")?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.inspect_identity(&identity).await?)) })
}

pub(super) fn query_timeline(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let query: ConsoleTimelineQuery = params.all()?;
    let runtime = runtime.clone();
    begun(async move { Ok(runtime.query_timeline_text(&query).await?) })
}

pub(super) fn console_send(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let request: ConsoleSendRequest = params.all()?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.console_send(request).await?)) })
}
