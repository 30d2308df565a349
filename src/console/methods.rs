//! The methods of `POST /console/rpc` (MobKit contract, sections 20.3, 20.4 and 20.6).
//!
//! One table: dispatch and `mobkit/capabilities` are made from it, so that what is advertised is what there is.

use futures::future::{FutureExt, LocalBoxFuture};
use serde_json::{Map, Value, json};

use super::CONTRACT_VERSION;
use super::failure::Failure;
use super::params::Params;
use crate::mob::{MobError, SendRequest, SpawnReceipt};
use crate::runtime::{Role, UnifiedRuntime};
use crate::wire::json::{self, object, value_of};
use crate::wire::{EventQuery, InteractionId, SpawnMemberSpec};

/// The most entries that one query answers with: as many as are kept.
const MAX_LIMIT: usize = 200_000;
/// How many messages of a transcript a page has when it does not say.
const DEFAULT_HISTORY: usize = 200;

/// The JSON of what a method answers.
type Answer = Result<String, Failure>;

fn answer(value: Value) -> Answer {
    Ok(json::text(&value))
}

struct Method {
    name: &'static str,
    call: fn(UnifiedRuntime, Params) -> LocalBoxFuture<'static, Answer>,
}

/// An entry of the table.
macro_rules! method {
    ($name:literal, $call:path) => {
        Method {
            name: $name,
            call: |runtime, params| async move { $call(&runtime, params).await }.boxed_local(),
        }
    };
}

const METHODS: &[Method] = &[
    method!("mobkit/status", status),
    method!("mobkit/capabilities", capabilities),
    method!("mobkit/list_members", list_members),
    method!("mobkit/member_status", member_status),
    method!("mobkit/send_message", send_message),
    method!("mobkit/cancel_interaction", cancel_interaction),
    method!("mobkit/force_cancel_member", force_cancel_member),
    method!("mobkit/wait_interaction", wait_interaction),
    method!("mobkit/cancel_all", cancel_all),
    method!("mobkit/spawn_member", spawn_member),
    method!("mobkit/spawn_many", spawn_many),
    method!("mobkit/retire_member", retire_member),
    method!("mobkit/respawn_member", respawn_member),
    method!("mobkit/wire_members", wire_members),
    method!("mobkit/unwire_members", unwire_members),
    method!("mobkit/stop", stop),
    method!("mobkit/resume", resume),
    method!("mobkit/mob_events/query", query_mob_events),
    method!("mobkit/query_events", query_events),
    method!("mobkit/session_history", session_history),
    method!("mobkit/profiles", profiles),
    method!("mobkit/definition", definition),
];

/// Calls a method by its name.
pub(super) async fn call(
    runtime: &UnifiedRuntime,
    method: &str,
    params: Map<String, Value>,
) -> Answer {
    let Some(entry) = METHODS.iter().find(|entry| entry.name == method) else {
        return Err(Failure::method_not_found(method));
    };
    (entry.call)(runtime.clone(), Params::new(params)).await
}

impl From<MobError> for Failure {
    fn from(error: MobError) -> Self {
        error.data().into()
    }
}

async fn status(runtime: &UnifiedRuntime, params: Params) -> Answer {
    params.finish()?;
    let status = runtime.status();
    let mut models = Map::new();
    for model in &status.models {
        let mut entry = object!({
            "provider": model.provider,
            "is_demo": model.is_demo,
            "availability": if model.waiting.is_some() { "waiting" } else { "ready" },
        });
        if let Some(reason) = &model.waiting {
            entry["reason"] = json!(reason);
        }
        models.insert(model.name.clone(), entry);
    }
    let running = status.mob_state.as_str() == "running"
        && matches!(status.role, Role::Leader | Role::Follower);
    answer(json!({
        "contract_version": CONTRACT_VERSION,
        "running": running,
        "loaded_modules": [],
        "mob_id": status.mob_id,
        "mob_state": status.mob_state.as_str(),
        "role": status.role.as_str(),
        "latest_mob_cursor": status.latest_mob_cursor,
        "latest_event_cursor": status.latest_event_cursor,
        "models": models,
        "definition_changes": value_of(&status.definition_changes),
    }))
}

async fn capabilities(runtime: &UnifiedRuntime, params: Params) -> Answer {
    params.finish()?;
    let leads = runtime.role() == Role::Leader;
    answer(json!({
        "contract_version": CONTRACT_VERSION,
        "methods": METHODS.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        "loaded_modules": [],
        "runtime_type": "unified",
        "runtime_capabilities": {
            "can_spawn_members": leads,
            "can_send_messages": leads,
            "can_wire_members": leads,
            "can_retire_members": leads,
            "available_spawn_modes": ["profile"],
        },
    }))
}

async fn list_members(runtime: &UnifiedRuntime, params: Params) -> Answer {
    params.finish()?;
    Ok(json::text_of(&runtime.members()))
}

async fn member_status(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let member = params.identity("member_id")?;
    params.finish()?;
    Ok(json::text_of(&runtime.member_status(&member).await?))
}

async fn send_message(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let member = params.identity("member_id")?;
    let request = SendRequest {
        content: params.content()?,
        mode: params.handling_mode()?,
        origin: params
            .string("origin")?
            .unwrap_or_else(|| "console".to_owned()),
        idempotency_key: params.string("idempotency_key")?,
    };
    params.finish()?;
    let accepted = runtime.send(&member, request).await?;
    answer(object!({
        "accepted": true,
        "member_id": accepted.identity,
        "session_id": accepted.session_id,
        "interaction_id": accepted.interaction_id,
        "repeated": accepted.repeated,
    }))
}

async fn wait_interaction(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let interaction = InteractionId::from(params.required_string("interaction_id")?);
    params.finish()?;
    let outcome = runtime.mob_handle().wait_interaction(&interaction).await?;
    answer(object!({
        "interaction_id": outcome.interaction_id,
        "status": outcome.status,
        "result": outcome.result,
        "error": value_of(&outcome.error),
        "usage": value_of(&outcome.usage),
        "turns": outcome.turns,
    }))
}

async fn cancel_all(runtime: &UnifiedRuntime, params: Params) -> Answer {
    params.finish()?;
    answer(object!({ "accepted": true, "cancelled": runtime.cancel_all().await? }))
}

async fn cancel_interaction(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let interaction = InteractionId::from(params.required_string("interaction_id")?);
    params.finish()?;
    answer(object!({ "accepted": runtime.cancel(&interaction).await? }))
}

async fn force_cancel_member(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let member = params.identity("member_id")?;
    params.finish()?;
    answer(object!({ "accepted": runtime.cancel_turn(&member).await? }))
}

fn receipt(receipt: &SpawnReceipt) -> Value {
    object!({
        "accepted": true,
        "meerkat_id": receipt.identity,
        "generation": receipt.generation,
        "fence_token": receipt.fence_token,
        "session_id": receipt.session_id,
    })
}

async fn spawn_member(runtime: &UnifiedRuntime, params: Params) -> Answer {
    answer(receipt(&runtime.spawn(params.all()?).await?))
}

async fn spawn_many(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let specs: Vec<SpawnMemberSpec> = params.value("specs")?;
    params.finish()?;
    let report = runtime.spawn_many(specs).await?;
    let spawned: Vec<Value> = report.spawned.iter().map(receipt).collect();
    let refused = report.refused.map(|error| value_of(&error.data()));
    answer(object!({ "spawned": spawned, "refused": refused }))
}

async fn retire_member(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let member = params.identity("member_id")?;
    params.finish()?;
    runtime.retire(&member).await?;
    answer(object!({ "accepted": true }))
}

async fn respawn_member(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let member = params.identity("member_id")?;
    params.finish()?;
    answer(receipt(&runtime.respawn(&member).await?))
}

async fn wire_members(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let (a, b) = (params.identity("a")?, params.identity("b")?);
    params.finish()?;
    answer(object!({ "accepted": true, "changed": runtime.wire(&a, &b).await? }))
}

async fn unwire_members(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let (a, b) = (params.identity("a")?, params.identity("b")?);
    params.finish()?;
    answer(object!({ "accepted": true, "changed": runtime.unwire(&a, &b).await? }))
}

async fn stop(runtime: &UnifiedRuntime, params: Params) -> Answer {
    params.finish()?;
    answer(object!({ "accepted": true, "changed": runtime.stop().await? }))
}

async fn resume(runtime: &UnifiedRuntime, params: Params) -> Answer {
    params.finish()?;
    answer(object!({ "accepted": true, "changed": runtime.resume().await? }))
}

fn event_query(params: Params) -> Result<EventQuery, Failure> {
    let query: EventQuery = params.all()?;
    if query.limit.is_some_and(|limit| limit > MAX_LIMIT) {
        return Err(Failure::params(format_args!(
            "limit must be an integer between 0 and {MAX_LIMIT}"
        )));
    }
    Ok(query)
}

async fn query_mob_events(runtime: &UnifiedRuntime, params: Params) -> Answer {
    let page = runtime.query_mob_events(&event_query(params)?).await?;
    Ok(json::text_of(&page))
}

async fn query_events(runtime: &UnifiedRuntime, params: Params) -> Answer {
    Ok(runtime.query_events_text(&event_query(params)?).await?)
}

async fn session_history(runtime: &UnifiedRuntime, mut params: Params) -> Answer {
    let member = params.identity("member_id")?;
    let offset = params.number("offset", usize::MAX)?.unwrap_or(0);
    let limit = params
        .number("limit", MAX_LIMIT)?
        .unwrap_or(DEFAULT_HISTORY);
    params.finish()?;
    let (messages, total) = runtime.session_history(&member, offset, limit).await?;
    let messages: Vec<Value> = messages
        .iter()
        .map(|entry| {
            object!({
                "number": entry.number,
                "timestamp_ms": entry.timestamp_ms,
                "interaction_id": entry.interaction_id,
                "message": value_of(&entry.message),
            })
        })
        .collect();
    answer(object!({ "messages": messages, "total": total }))
}

async fn profiles(runtime: &UnifiedRuntime, params: Params) -> Answer {
    params.finish()?;
    let definition = runtime.definition();
    let profiles = definition.profiles.iter().map(|(name, profile)| {
        object!({
            "name": name,
            "model": profile.model,
            "peer_description": profile.peer_description,
            "external_addressable": profile.external_addressable,
        })
    });
    answer(object!({ "profiles": profiles.collect::<Vec<_>>() }))
}

async fn definition(runtime: &UnifiedRuntime, params: Params) -> Answer {
    params.finish()?;
    answer(runtime.definition().to_json())
}
