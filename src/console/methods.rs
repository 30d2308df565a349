//! The methods of `POST /console/rpc` (MobKit contract, sections 20.3, 20.4 and 20.6).
//!
//! One table: dispatch and `mobkit/capabilities` are made from it, so that what is advertised is what there is. A method reads
//! its parameters at once, begins what it does, and says how the answer becomes JSON.

use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture, ready};
use serde::Serialize;
use serde_json::{Map, Value};

use super::CONTRACT_VERSION;
use super::failure::{Failure, INVALID_PARAMS, OPERATION_FAILED};
use super::multipart;
use super::params::Params;
use super::sse::KEEP_ALIVE_MS;
use super::streams;
use crate::mob::{MobError, SendRequest, SpawnReceipt};
use crate::runtime::{Blob, Role, UnifiedRuntime, UnifiedRuntimeReconcileError};
use crate::wire::base64;
use crate::wire::json::{self, object, value_of};
use crate::wire::{
    ConsoleSendRequest, ConsoleTimelineQuery, EventQuery, InteractionId, Labels, ProfileName,
    SpawnMemberSpec, Usage,
};

/// The most entries that one query answers with: as many as are kept.
const MAX_LIMIT: usize = 200_000;
/// The method that waits for the end of an interaction.
pub(super) const WAIT: &str = "mobkit/wait_interaction";
/// The method that a form with a file calls.
pub(super) const UPLOAD: &str = "mobkit/blob/upload";
/// How many milliseconds it waits at most: a day.
const MAX_WAIT_MS: usize = 86_400_000;
/// How many milliseconds `mobkit/wait_ready` waits when it does not say.
const DEFAULT_READY_MS: usize = 30_000;
/// How many messages of a transcript a page has when it does not say.
const DEFAULT_HISTORY: usize = 200;

/// The JSON of what a method answers.
type Answer = Result<String, Failure>;
/// A method that has begun; its parameters were good.
type Begun = Result<LocalBoxFuture<'static, Answer>, Failure>;

struct Method {
    name: &'static str,
    begin: fn(&UnifiedRuntime, &str, Params) -> Begun,
}

/// The table: each method with what it is for, its parameters and its answer, and with what begins it. The reference is made from the
/// words, which the module does without.
macro_rules! methods {
    ($(#[doc = $about:literal] $name:expr => $begin:ident,)*) => {
        const METHODS: &[Method] = &[$(Method { name: $name, begin: $begin },)*];

        /// What each method is for.
        #[cfg(test)]
        pub(super) const REFERENCE: &[(&str, &str)] = &[$(($name, $about),)*];
    };
}

methods! {
    /// The runtime at a glance. → `{contract_version, running, mob_id, mob_state, role, latest_mob_cursor, latest_event_cursor, models, definition_changes, tasks, loaded_modules}`
    "mobkit/status" => status,
    /// What can be asked. → `{contract_version, methods, runtime_type, runtime_capabilities, authenticated, features, loaded_modules}`
    "mobkit/capabilities" => capabilities,
    /// The roster, those who are leaving included. → `[member]`
    "mobkit/list_members" => list_members,
    /// `{member_id}` → one row of the roster
    "mobkit/get_member" => get_member,
    /// `{label_key, label_value}` → the members with this label
    "mobkit/find_members" => find_members,
    /// `{member_id}` → what a member is doing and what it said last
    "mobkit/member_status" => member_status,
    /// `{member_id, content | message, handling_mode? queue|steer, origin?, idempotency_key?}`: writes to a member; durable when answered. → `{accepted, member_id, session_id, interaction_id, repeated}`
    "mobkit/send_message" => send_message,
    /// `{interaction_id}`: ends an interaction with all the work that it caused. → `{accepted}`
    "mobkit/cancel_interaction" => cancel_interaction,
    /// `{member_id}`: ends what a member is doing now. → `{accepted}`
    "mobkit/force_cancel_member" => force_cancel_member,
    /// `{interaction_id, timeout_ms?}`: answers when it has ended, or after so long (over HTTP a minute, if it is not said) with the status `open`. → `{interaction_id, status, result, error, usage, turns}`
    WAIT => wait_interaction,
    /// Ends every open interaction. → `{accepted, cancelled}`
    "mobkit/cancel_all" => cancel_all,
    /// `{profile, meerkat_id, initial_message?, labels?, context?, additional_instructions?, model_override?, system_prompt_override?, resume_session_id?}` → `{accepted, meerkat_id, generation, fence_token, session_id}`
    "mobkit/spawn_member" => spawn_member,
    /// `{specs}`: in one batch, up to the first that is refused. → `{spawned, refused}`
    "mobkit/spawn_many" => spawn_many,
    /// As `mobkit/spawn_member`; whoever is there stays as it is. → the member
    "mobkit/ensure_member" => ensure_member,
    /// `{member_id}`: takes a member off the roster. → `{accepted}`
    "mobkit/retire_member" => retire_member,
    /// `{identity}`: the same
    "mobkit/retire" => retire_member,
    /// `{member_id}`: retires a member and spawns it anew with the next generation. → as `mobkit/spawn_member`
    "mobkit/respawn_member" => respawn_member,
    /// `{a, b}`: lets two members reach each other. → `{accepted, changed}`
    "mobkit/wire_members" => wire_members,
    /// `{a, b}`: undoes it. → `{accepted, changed}`
    "mobkit/unwire_members" => wire_members,
    /// The wiring, and who made each edge. → `{edges}`
    "mobkit/list_edges" => list_edges,
    /// `{specs}`: brings the roster to these members in one batch. → the report
    "mobkit/reconcile_members" => reconcile_members,
    /// Brings the wiring to what the edge discovery says. → the report
    "mobkit/reconcile_edges" => reconcile_edges,
    /// What the start did to the edges. → the report, or null
    "mobkit/bootstrap_edges_report" => bootstrap_edges_report,
    /// Asks the discovery and replaces everybody by those that it names. → the report, or `{status: "no_discovery_configured"}`
    "mobkit/rediscover" => rediscover,
    /// Retires everybody. → `{retired, failed}`
    "mobkit/reset_all" => reset_all,
    /// `{labels?}`: replaces the mob's labels; without any it removes them. → `{accepted}`
    "mobkit/mob_labels/set" => labels,
    /// → `{labels}`
    "mobkit/mob_labels/get" => labels,
    /// Removes the mob's labels. → `{accepted}`
    "mobkit/mob_labels/delete" => labels,
    /// `{run_id, labels?}`: replaces the labels of a run. → `{accepted}`
    "mobkit/run_labels/set" => labels,
    /// `{run_id}` → `{labels}`
    "mobkit/run_labels/get" => labels,
    /// `{run_id}`: removes them. → `{accepted}`
    "mobkit/run_labels/delete" => labels,
    /// Stops all work; what waits stays waiting. → `{accepted, changed}`
    "mobkit/stop" => stop_or_resume,
    /// Undoes it. → `{accepted, changed}`
    "mobkit/resume" => stop_or_resume,
    /// `{since_ms?, until_ms?, identity?, member_id?, mob_id?, run_id?, step_id?, event_types?, limit?, after_seq?}`: a page of the structural ledger. → `{events, next_after_seq, resume_after_seq}`
    "mobkit/mob_events/query" => query_mob_events,
    /// The same, and where what follows can be heard. → `{stream, events, next_after_seq, resume_after_seq, subscribe_url, keep_alive}`
    "mobkit/mob_events/subscribe" => subscribe_mob_events,
    /// The same filters: a page of agent events. → `{events, next_after_seq, gaps}`
    "mobkit/query_events" => query_events,
    /// The members as a console lists them. → `{identities}`
    "mobkit/console/list_identities" => list_identities,
    /// `{identity}` → a member, those it can reach, and its response phase
    "mobkit/console/inspect_identity" => inspect_identity,
    /// `{identity?, conversation_id?, after?, before?, mode? since|recent, limit?}` → `{frames, next_cursor, latest_cursor, exhausted}`
    "mobkit/console/query_timeline" => query_timeline,
    /// `{identity, content, origin, idempotency_key, handling_mode?}`: a person's message, once for each key. → `{interaction_id, identity, conversation_id, session_id, input_frame_id, cursor, status}`
    "mobkit/console/send" => console_send,
    /// `{member_id, offset?, limit?}`: a window of a member's transcript. → `{messages, total}`
    "mobkit/session_history" => session_history,
    /// The kinds of members of the definition. → `{profiles}`
    "mobkit/profiles" => profiles,
    /// The definition in force, as an object
    "mobkit/definition" => definition,
    /// The models that members can have. → `{models, provider_defaults}`
    "mobkit/models/catalog" => models_catalog,
    /// `{role, agent_identity, session_id}`: spawns a member with this session. → as `mobkit/spawn_member`
    "mobkit/attach_existing_session" => attach_existing_session,
    /// `{agent_identity, task, options? {role}}`: a member for one task, which leaves when it is done. → `{output, tokens_used}`
    "mobkit/spawn_helper" => helper,
    /// `{source_member_id, agent_identity, task, fork_context? {last_messages}, options? {role}}`: the same, told of another member's conversation. → `{output, tokens_used}`
    "mobkit/fork_helper" => helper,
    /// `{timeout_ms?}`: answers when every member has what it needs to work, or the time is over. → `{ready, timeout}`
    "mobkit/wait_ready" => wait_ready,
    /// `{blob_id | id}` → `{blob_id, media_type, size, data}`, the data in base64
    "mobkit/blob/get" => blob_get,
    /// `{media_type, data}`, or a form with one file at `POST /console/rpc/multipart`: keeps an image. → `{blob_id, media_type, size}`
    UPLOAD => blob_upload,
}

/// Calls a method by its name.
pub(super) async fn call(
    runtime: &UnifiedRuntime,
    method: &str,
    params: Map<String, Value>,
) -> Answer {
    let Some(entry) = METHODS.iter().find(|entry| entry.name == method) else {
        return Err(Failure::method_not_found(method));
    };
    (entry.begin)(runtime, method, Params::new(params))?.await
}

impl From<MobError> for Failure {
    fn from(error: MobError) -> Self {
        error.data().into()
    }
}

impl From<UnifiedRuntimeReconcileError> for Failure {
    fn from(error: UnifiedRuntimeReconcileError) -> Self {
        error.data().into()
    }
}

/// An answer that is there.
fn now(answer: String) -> Begun {
    Ok(ready(Ok(answer)).boxed_local())
}

/// An answer that is made.
fn begun(answer: impl Future<Output = Answer> + 'static) -> Begun {
    Ok(answer.boxed_local())
}

/// An answer that comes.
fn later<T: 'static, E: Into<Failure> + 'static>(
    pending: LocalBoxFuture<'static, Result<T, E>>,
    encode: fn(&T) -> String,
) -> Begun {
    let answer = pending.map(move |answer| match answer {
        Ok(answer) => Ok(encode(&answer)),
        Err(error) => Err(error.into()),
    });
    Ok(answer.boxed_local())
}

fn text<T: Serialize>(value: &T) -> String {
    json::text_of(value)
}

fn accepted(_: &()) -> String {
    r#"{"accepted":true}"#.to_owned()
}

fn whether_accepted(accepted: &bool) -> String {
    json::text(&object!({ "accepted": *accepted }))
}

fn whether_changed(changed: &bool) -> String {
    json::text(&object!({ "accepted": true, "changed": *changed }))
}

fn status(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
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
            entry["reason"] = Value::String(reason.clone());
        }
        models.insert(model.name.clone(), entry);
    }
    let running = status.mob_state.as_str() == "running"
        && matches!(status.role, Role::Leader | Role::Follower);
    now(json::text(&object!({
        "contract_version": CONTRACT_VERSION,
        "running": running,
        "loaded_modules": Vec::<Value>::new(),
        "mob_id": status.mob_id,
        "mob_state": status.mob_state.as_str(),
        "role": status.role.as_str(),
        "latest_mob_cursor": status.latest_mob_cursor,
        "latest_event_cursor": status.latest_event_cursor,
        "models": models,
        "definition_changes": value_of(&status.definition_changes),
        "tasks": value_of(&status.tasks),
    })))
}

fn capabilities(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(json::text(&object!({
        "contract_version": CONTRACT_VERSION,
        "methods": METHODS.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        "loaded_modules": Vec::<Value>::new(),
        "runtime_type": "unified",
        "runtime_capabilities": runtime_capabilities(runtime),
        // Whoever is not stopped at the door.
        "authenticated": true,
        "features": object!({ "console_aggregator": true, "multi_runtime_console": false }),
    })))
}

/// What this context can do with the mob.
pub(super) fn runtime_capabilities(runtime: &UnifiedRuntime) -> Value {
    let leads = runtime.role() == Role::Leader;
    object!({
        "can_spawn_members": leads,
        "can_send_messages": leads,
        "can_wire_members": leads,
        "can_retire_members": leads,
        "available_spawn_modes": vec!["profile"],
    })
}

fn list_members(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(text(&runtime.members()))
}

fn get_member(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let member = params.only_identity("member_id")?;
    let found = runtime.mob_handle().get_member(&member);
    // The contract's number and words for it, which are others elsewhere.
    let found = found.map_err(|error| {
        let message = format!("member not found: {member}");
        Failure::from(error).told(INVALID_PARAMS, message)
    });
    now(text(&found?))
}

fn find_members(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let key = params.required_string("label_key")?;
    let value = params.required_string("label_value")?;
    params.finish()?;
    now(text(&runtime.find_members(&key, &value)))
}

fn member_status(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let member = params.only_identity("member_id")?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.member_status(&member).await?)) })
}

fn send_message(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
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
    let runtime = runtime.clone();
    begun(async move {
        let accepted = runtime.send(&member, request).await?;
        Ok(json::text(&object!({
            "accepted": true,
            "member_id": accepted.identity,
            "session_id": accepted.session_id,
            "interaction_id": accepted.interaction_id,
            "repeated": accepted.repeated,
        })))
    })
}

fn interaction_param(mut params: Params) -> Result<InteractionId, Failure> {
    let interaction = InteractionId::from(params.required_string("interaction_id")?);
    params.finish()?;
    Ok(interaction)
}

fn cancel_interaction(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    later(
        runtime.cancel(&interaction_param(params)?),
        whether_accepted,
    )
}

fn force_cancel_member(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let member = params.only_identity("member_id")?;
    later(runtime.cancel_turn(&member), whether_accepted)
}

fn wait_interaction(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let limit = params.number("timeout_ms", MAX_WAIT_MS)?;
    let interaction = interaction_param(params)?;
    let runtime = runtime.clone();
    begun(async move {
        let outcome = match limit {
            None => runtime.mob_handle().wait_interaction(&interaction).await,
            Some(limit) => {
                let limit = Duration::from_millis(limit as u64);
                runtime.wait_interaction(&interaction, limit).await
            }
        }?;
        Ok(json::text(&object!({
            "interaction_id": outcome.interaction_id,
            "status": outcome.status,
            "result": outcome.result,
            "error": value_of(&outcome.error),
            "usage": value_of(&outcome.usage),
            "turns": outcome.turns,
        })))
    })
}

fn cancel_all(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    later(runtime.cancel_all(), |cancelled: &usize| {
        json::text(&object!({ "accepted": true, "cancelled": *cancelled }))
    })
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

fn spawned(spawned: &SpawnReceipt) -> String {
    json::text(&receipt(spawned))
}

fn spawn_member(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let spec: SpawnMemberSpec = params.all()?;
    let runtime = runtime.clone();
    begun(async move { Ok(spawned(&runtime.spawn(spec).await?)) })
}

fn specs_param(mut params: Params) -> Result<Vec<SpawnMemberSpec>, Failure> {
    let specs = params.value("specs")?;
    params.finish()?;
    Ok(specs)
}

fn spawn_many(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let specs = specs_param(params)?;
    let runtime = runtime.clone();
    begun(async move {
        let report = runtime.spawn_many(specs).await?;
        let spawned: Vec<Value> = report.spawned.iter().map(receipt).collect();
        let refused = report.refused.as_ref().map(|error| value_of(&error.data()));
        Ok(json::text(
            &object!({ "spawned": spawned, "refused": refused }),
        ))
    })
}

fn ensure_member(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let spec: SpawnMemberSpec = params.all()?;
    let runtime = runtime.clone();
    begun(async move {
        let (member, _) = runtime.ensure_member(spec).await?;
        Ok(text(&member))
    })
}

fn retire_member(runtime: &UnifiedRuntime, method: &str, params: Params) -> Begun {
    let member = params.only_identity(match method {
        "mobkit/retire" => "identity",
        _ => "member_id",
    })?;
    later(runtime.retire(&member), accepted)
}

fn respawn_member(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let member = params.only_identity("member_id")?;
    later(runtime.respawn(&member), spawned)
}

fn wire_members(runtime: &UnifiedRuntime, method: &str, mut params: Params) -> Begun {
    let (a, b) = (params.identity("a")?, params.identity("b")?);
    params.finish()?;
    let changed = match method {
        "mobkit/wire_members" => runtime.wire(&a, &b),
        _ => runtime.unwire(&a, &b),
    };
    later(changed, whether_changed)
}

fn list_edges(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(json::text(
        &object!({ "edges": value_of(&runtime.list_edges()) }),
    ))
}

fn stop_or_resume(runtime: &UnifiedRuntime, method: &str, params: Params) -> Begun {
    params.finish()?;
    let changed = match method {
        "mobkit/stop" => runtime.stop(),
        _ => runtime.resume(),
    };
    later(changed, whether_changed)
}

fn reconcile_members(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let specs = specs_param(params)?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.reconcile(specs).await?)) })
}

fn reconcile_edges(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.reconcile_edges().await?)) })
}

fn bootstrap_edges_report(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(text(&runtime.bootstrap_edges_report()))
}

fn rediscover(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    let runtime = runtime.clone();
    begun(async move {
        Ok(match runtime.rediscover().await? {
            Some(report) => text(&report),
            None => r#"{"status":"no_discovery_configured"}"#.to_owned(),
        })
    })
}

fn reset_all(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    later(runtime.reset(), |retired| {
        json::text(&object!({ "retired": value_of(retired), "failed": Vec::<Value>::new() }))
    })
}

/// The six methods on labels: `mobkit/{mob,run}_labels/{set,get,delete}`.
fn labels(runtime: &UnifiedRuntime, method: &str, mut params: Params) -> Begun {
    let run = match method.starts_with("mobkit/run_") {
        true => Some(params.required_string("run_id")?),
        false => None,
    };
    let set = method.ends_with("/set");
    let wanted = match set {
        true => params.labels()?,
        false => Labels::new(),
    };
    params.finish()?;
    if method.ends_with("/get") {
        let labels = match &run {
            Some(run) => runtime.get_run_labels(run),
            None => runtime.get_mob_labels(),
        };
        return now(json::text(&object!({ "labels": labels })));
    }
    // Without labels a set is a deletion.
    let done = match &run {
        Some(run) => runtime.set_run_labels(run, wanted),
        None => runtime.set_mob_labels(wanted),
    };
    later(done, accepted)
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

fn query_mob_events(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let query = event_query(params)?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.query_mob_events(&query).await?)) })
}

/// What there is, and where the rest can be heard (MobKit contract, section 20.4).
fn subscribe_mob_events(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
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

fn query_events(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let query = event_query(params)?;
    let runtime = runtime.clone();
    begun(async move { Ok(runtime.query_events_text(&query).await?) })
}

fn list_identities(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(identities(runtime))
}

/// The JSON of `{identities}`.
pub(super) fn identities(runtime: &UnifiedRuntime) -> String {
    json::text(&object!({ "identities": value_of(&runtime.console_identities()) }))
}

fn inspect_identity(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let identity = params.only_identity("identity")?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.inspect_identity(&identity).await?)) })
}

fn query_timeline(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let query: ConsoleTimelineQuery = params.all()?;
    let runtime = runtime.clone();
    begun(async move { Ok(runtime.query_timeline_text(&query).await?) })
}

fn console_send(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let request: ConsoleSendRequest = params.all()?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.console_send(request).await?)) })
}

fn session_history(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let member = params.identity("member_id")?;
    let offset = params.number("offset", usize::MAX)?.unwrap_or(0);
    let limit = params
        .number("limit", MAX_LIMIT)?
        .unwrap_or(DEFAULT_HISTORY);
    params.finish()?;
    let runtime = runtime.clone();
    begun(async move {
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
        Ok(json::text(
            &object!({ "messages": messages, "total": total }),
        ))
    })
}

fn profiles(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
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
    now(json::text(
        &object!({ "profiles": profiles.collect::<Vec<_>>() }),
    ))
}

fn definition(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(json::text(&runtime.definition().to_json()))
}

/// The models that members can have, by the names that profiles give them.
fn models_catalog(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    let models = runtime.status().models;
    let models = models
        .iter()
        .map(|model| object!({ "id": model.name, "provider": model.provider }));
    now(json::text(&object!({
        "models": models.collect::<Vec<_>>(),
        "provider_defaults": Vec::<Value>::new(),
    })))
}

fn attach_existing_session(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let spec = SpawnMemberSpec {
        resume_session_id: Some(params.value("session_id")?),
        ..SpawnMemberSpec::of(params.value("role")?, params.identity("agent_identity")?)
    };
    params.finish()?;
    let runtime = runtime.clone();
    begun(async move { Ok(spawned(&runtime.spawn(spec).await?)) })
}

/// `mobkit/spawn_helper` and `mobkit/fork_helper`.
fn helper(runtime: &UnifiedRuntime, method: &str, mut params: Params) -> Begun {
    let identity = params.identity("agent_identity")?;
    let task = params.required_string("task")?;
    let mut options = params.object("options")?;
    let role = options.string("role")?;
    options.finish()?;
    let source = match method {
        "mobkit/fork_helper" => Some(params.identity("source_member_id")?),
        _ => None,
    };
    let messages = match source.is_some() {
        true => {
            let mut context = params.object("fork_context")?;
            let messages = context.number("last_messages", MAX_LIMIT)?;
            context.finish()?;
            messages
        }
        false => None,
    };
    params.finish()?;
    // A mob with one kind of members has no choice to make.
    let definition = runtime.definition();
    let mut names = definition.profiles.iter().map(|(name, _)| name);
    let role = match (role, names.next(), names.next()) {
        (Some(role), ..) => ProfileName::new(role).map_err(Failure::params)?,
        (None, Some(only), None) => only.clone(),
        _ => return Err(Failure::params("options.role must be a non-empty string")),
    };
    let spec = SpawnMemberSpec::of(role, identity);
    let runtime = runtime.clone();
    begun(async move {
        let task = task.into();
        let outcome = match source {
            None => runtime.spawn_helper(spec, task).await,
            Some(source) => runtime.fork_helper(&source, messages, spec, task).await,
        }?;
        if let Some(error) = outcome.error {
            let message = format!("the helper failed: {}", error.message);
            return Err(Failure::new(OPERATION_FAILED, "helper_failed", message));
        }
        let Usage {
            input_tokens,
            output_tokens,
            ..
        } = outcome.usage;
        Ok(json::text(
            &object!({ "output": outcome.result, "tokens_used": input_tokens + output_tokens }),
        ))
    })
}

fn wait_ready(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let limit = params.number("timeout_ms", MAX_WAIT_MS)?;
    params.finish()?;
    let limit = Duration::from_millis(limit.unwrap_or(DEFAULT_READY_MS) as u64);
    let runtime = runtime.clone();
    begun(async move {
        let (ready, timeout) = runtime.wait_ready(limit).await?;
        let ready = ready.iter().map(|(identity, snapshot)| {
            object!({ "agent_identity": identity, "snapshot": value_of(snapshot) })
        });
        Ok(json::text(
            &object!({ "ready": ready.collect::<Vec<_>>(), "timeout": timeout }),
        ))
    })
}

fn blob_get(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let id = match params.string("blob_id")? {
        Some(id) => id,
        None => params.required_string("id")?,
    };
    params.finish()?;
    later(runtime.blobs().get_bytes(&id), |blob: &Blob| {
        json::text(&object!({
            "blob_id": blob.reference.blob_id,
            "media_type": blob.reference.media_type,
            "size": blob.data.len(),
            "data": base64::encode(&blob.data),
        }))
    })
}

/// An image in base64; as it is it comes in a form.
fn blob_upload(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let media_type = params.required_string("media_type")?;
    let data = params.required_string("data")?;
    params.finish()?;
    let bytes = base64::decode(&data).ok_or_else(|| Failure::params("data must be base64"))?;
    multipart::check("data", &media_type, &bytes)?;
    Ok(keep(runtime, &media_type, bytes))
}

/// Keeps bytes, and says where.
pub(super) fn keep(
    runtime: &UnifiedRuntime,
    media_type: &str,
    bytes: Vec<u8>,
) -> LocalBoxFuture<'static, Answer> {
    let size = bytes.len();
    let kept = runtime.blobs().put_bytes(media_type, bytes);
    let kept = async move {
        let kept = kept.await?;
        Ok(json::text(&object!({
            "blob_id": kept.blob_id,
            "media_type": kept.media_type,
            "size": size,
        })))
    };
    kept.boxed_local()
}
