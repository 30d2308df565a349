//! The methods of `POST /console/rpc` (MobKit contract, sections 20.3, 20.4 and 20.6).
//!
//! One table: dispatch and `mobkit/capabilities` are made from it, so that what is advertised is what there is. A method reads
//! its parameters at once, begins what it does, and says how the answer becomes JSON.

mod blobs;
mod events;
mod members;
mod modules;
mod overview;
mod work;

use futures::future::{FutureExt, LocalBoxFuture, ready};
use serde::Serialize;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::params::Params;
use crate::mob::MobError;
use crate::runtime::{UnifiedRuntime, UnifiedRuntimeReconcileError};
use crate::wire::json::{self, object};

pub(super) use blobs::keep;
pub(super) use events::identities;
pub(super) use overview::runtime_capabilities;

/// The method that waits for the end of an interaction.
pub(super) const WAIT: &str = "mobkit/wait_interaction";
/// The method that a form with a file calls.
pub(super) const UPLOAD: &str = "mobkit/blob/upload";
/// The most entries that one query answers with: as many as are kept.
const MAX_LIMIT: usize = 200_000;
/// How many milliseconds a method waits at most: a day.
const MAX_WAIT_MS: usize = 86_400_000;

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
    ($(#[doc = $about:literal] $name:expr => $begin:path,)*) => {
        const METHODS: &[Method] = &[$(Method { name: $name, begin: $begin },)*];

        /// What each method is for.
        #[cfg(test)]
        pub(super) const REFERENCE: &[(&str, &str)] = &[$(($name, $about),)*];
    };
}

methods! {
    /// The runtime at a glance. → `{contract_version, running, mob_id, mob_state, role, latest_mob_cursor, latest_event_cursor, models, definition_changes, tasks, loaded_modules}`
    "mobkit/status" => overview::status,
    /// What can be asked. → `{contract_version, methods, runtime_type, runtime_capabilities, authenticated, features, loaded_modules}`
    "mobkit/capabilities" => overview::capabilities,
    /// The roster, those who are leaving included. → `[member]`
    "mobkit/list_members" => members::list_members,
    /// `{member_id}` → one row of the roster
    "mobkit/get_member" => members::get_member,
    /// `{label_key, label_value}` → the members with this label
    "mobkit/find_members" => members::find_members,
    /// `{member_id}` → what a member is doing and what it said last
    "mobkit/member_status" => members::member_status,
    /// `{member_id, content | message, handling_mode? queue|steer, origin?, idempotency_key?}`: writes to a member; durable when answered. → `{accepted, member_id, session_id, interaction_id, repeated}`
    "mobkit/send_message" => work::send_message,
    /// `{interaction_id}`: ends an interaction with all the work that it caused. → `{accepted}`
    "mobkit/cancel_interaction" => work::cancel_interaction,
    /// `{member_id}`: ends what a member is doing now. → `{accepted}`
    "mobkit/force_cancel_member" => work::force_cancel_member,
    /// `{interaction_id, timeout_ms?}`: answers when it has ended, or after so long (over HTTP a minute, if it is not said) with the status `open`. → `{interaction_id, status, result, error, usage, turns}`
    WAIT => work::wait_interaction,
    /// Ends every open interaction. → `{accepted, cancelled}`
    "mobkit/cancel_all" => work::cancel_all,
    /// `{module_id}`: starts a module, anew if it runs. → `{accepted, module_id}`. Or `{profile, meerkat_id, initial_message?, labels?, context?, additional_instructions?, model_override?, system_prompt_override?, resume_session_id?}` → `{accepted, meerkat_id, generation, fence_token, session_id}`
    "mobkit/spawn_member" => members::spawn_member,
    /// `{specs}`: in one batch, up to the first that is refused. → `{spawned, refused}`
    "mobkit/spawn_many" => members::spawn_many,
    /// As `mobkit/spawn_member`; whoever is there stays as it is. → the member
    "mobkit/ensure_member" => members::ensure_member,
    /// `{member_id}`: takes a member off the roster. → `{accepted}`
    "mobkit/retire_member" => members::retire_member,
    /// `{identity}`: the same
    "mobkit/retire" => members::retire_member,
    /// `{member_id}`: retires a member and spawns it anew with the next generation. → as `mobkit/spawn_member`
    "mobkit/respawn_member" => members::respawn_member,
    /// `{a, b}`: lets two members reach each other. → `{accepted, changed}`
    "mobkit/wire_members" => members::wire_members,
    /// `{a, b}`: undoes it. → `{accepted, changed}`
    "mobkit/unwire_members" => members::wire_members,
    /// The wiring, and who made each edge. → `{edges}`
    "mobkit/list_edges" => members::list_edges,
    /// `{specs}`: brings the roster to these members in one batch. → the report
    "mobkit/reconcile_members" => members::reconcile_members,
    /// Brings the wiring to what the edge discovery says. → the report
    "mobkit/reconcile_edges" => members::reconcile_edges,
    /// What the start did to the edges. → the report, or null
    "mobkit/bootstrap_edges_report" => members::bootstrap_edges_report,
    /// Asks the discovery and replaces everybody by those that it names. → the report, or `{status: "no_discovery_configured"}`
    "mobkit/rediscover" => members::rediscover,
    /// Retires everybody. → `{retired, failed}`
    "mobkit/reset_all" => members::reset_all,
    /// `{labels?}`: replaces the mob's labels; without any it removes them. → `{accepted}`
    "mobkit/mob_labels/set" => overview::labels,
    /// → `{labels}`
    "mobkit/mob_labels/get" => overview::labels,
    /// Removes the mob's labels. → `{accepted}`
    "mobkit/mob_labels/delete" => overview::labels,
    /// `{run_id, labels?}`: replaces the labels of a run. → `{accepted}`
    "mobkit/run_labels/set" => overview::labels,
    /// `{run_id}` → `{labels}`
    "mobkit/run_labels/get" => overview::labels,
    /// `{run_id}`: removes them. → `{accepted}`
    "mobkit/run_labels/delete" => overview::labels,
    /// Stops all work; what waits stays waiting. → `{accepted, changed}`
    "mobkit/stop" => overview::stop_or_resume,
    /// Undoes it. → `{accepted, changed}`
    "mobkit/resume" => overview::stop_or_resume,
    /// `{since_ms?, until_ms?, identity?, member_id?, mob_id?, run_id?, step_id?, event_types?, limit?, after_seq?}`: a page of the structural ledger. → `{events, next_after_seq, resume_after_seq}`
    "mobkit/mob_events/query" => events::query_mob_events,
    /// The same, and where what follows can be heard. → `{stream, events, next_after_seq, resume_after_seq, subscribe_url, keep_alive}`
    "mobkit/mob_events/subscribe" => events::subscribe_mob_events,
    /// The same filters: a page of agent events. → `{events, next_after_seq, gaps}`
    "mobkit/query_events" => events::query_events,
    /// The members as a console lists them. → `{identities}`
    "mobkit/console/list_identities" => events::list_identities,
    /// `{identity}` → a member, those it can reach, and its response phase
    "mobkit/console/inspect_identity" => events::inspect_identity,
    /// `{identity?, conversation_id?, after?, before?, mode? since|recent, limit?}` → `{frames, next_cursor, latest_cursor, exhausted}`
    "mobkit/console/query_timeline" => events::query_timeline,
    /// `{identity, content, origin, idempotency_key, handling_mode?}`: a person's message, once for each key. → `{interaction_id, identity, conversation_id, session_id, input_frame_id, cursor, status}`
    "mobkit/console/send" => events::console_send,
    /// `{member_id, offset?, limit?}`: a window of a member's transcript. → `{messages, total}`
    "mobkit/session_history" => work::session_history,
    /// The kinds of members of the definition. → `{profiles}`
    "mobkit/profiles" => overview::profiles,
    /// The definition in force, as an object
    "mobkit/definition" => overview::definition,
    /// The models that members can have. → `{models, provider_defaults}`
    "mobkit/models/catalog" => overview::models_catalog,
    /// `{role, agent_identity, session_id}`: spawns a member with this session. → as `mobkit/spawn_member`
    "mobkit/attach_existing_session" => members::attach_existing_session,
    /// `{agent_identity, task, options? {role}}`: a member for one task, which leaves when it is done. → `{output, tokens_used}`
    "mobkit/spawn_helper" => members::helper,
    /// `{source_member_id, agent_identity, task, fork_context? {last_messages}, options? {role}}`: the same, told of another member's conversation. → `{output, tokens_used}`
    "mobkit/fork_helper" => members::helper,
    /// `{timeout_ms?}`: answers when every member has what it needs to work, or the time is over. → `{ready, timeout}`
    "mobkit/wait_ready" => overview::wait_ready,
    /// `{blob_id | id}` → `{blob_id, media_type, size, data}`, the data in base64
    "mobkit/blob/get" => blobs::blob_get,
    /// `{media_type, data}`, or a form with one file at `POST /console/rpc/multipart`: keeps an image. → `{blob_id, media_type, size}`
    UPLOAD => blobs::blob_upload,
    /// The modules, with their health, their tools and what they failed with. → `{modules}`
    "mobkit/modules/list" => modules::list,
    /// `{modules}`: lets these modules run and no others. → `{accepted, reconciled_modules, added}`
    "mobkit/reconcile" => modules::reconcile,
    /// `{module_id}`: ends a module. → `{accepted}`
    "mobkit/modules/stop" => modules::stop,
    /// `{module_id, tool, arguments?}`: calls a tool of a module; `{module_id}/{tool}` with the arguments as parameters does the same. → `{module_id, tool, result}`
    "mobkit/call_tool" => modules::call_tool,
    /// `{scope? mob|agent|interaction, last_event_id?, agent_id?}`: what happened, told again from an event on. → `{scope, replay_from_event_id, keep_alive, keep_alive_comment, event_frames, events}`
    "mobkit/events/subscribe" => modules::subscribe,
    /// `{recipient, channel?, retry_max?, backoff_ms?, rate_limit_per_minute?}`: where something goes. → `{route_id, recipient, channel, sink, target_module, retry_max, backoff_ms, rate_limit_per_minute}`
    "mobkit/routing/resolve" => modules::resolve,
    /// The routes. → `{routes}`
    "mobkit/routing/routes/list" => modules::routes,
    /// `{route_key, recipient, channel?, sink, target_module, retry_max?, backoff_ms?, rate_limit_per_minute?}`, or these in `route`: adds a route, over the one of its key. → `{route}`
    "mobkit/routing/routes/add" => modules::add_route,
    /// `{route_key}`: deletes a route. → `{deleted}`
    "mobkit/routing/routes/delete" => modules::delete_route,
    /// `{resolution, payload, idempotency_key?}`: delivers something; answers when that has ended. → the record
    "mobkit/delivery/send" => modules::send,
    /// `{recipient?, sink?, limit?}`: deliveries that have ended. → `{deliveries}`
    "mobkit/delivery/history" => modules::history,
    /// `{schedules, tick_ms}`: what is due at this millisecond; nothing is kept. → `{tick_ms, due_triggers}`
    "mobkit/scheduling/evaluate" => modules::evaluate_schedules,
    /// `{schedules, tick_ms}`: dispatches the latest occurrences that nobody has dispatched. → `{tick_ms, due_count, dispatched, skipped_claims}`
    "mobkit/scheduling/dispatch" => modules::dispatch_schedules,
    /// `{schedule, action {kind: message|delivery|tool, …}}`: the runtime holds a schedule and does this whenever it is due, over the one of its id. → the schedule
    "mobkit/scheduling/set" => modules::set_schedule,
    /// The schedules that the runtime holds, with their next occurrences. → `{limit, schedules}`
    "mobkit/scheduling/list" => modules::list_schedules,
    /// `{schedule_id}`: holds it no longer. → `{deleted}`
    "mobkit/scheduling/delete" => modules::delete_schedule,
    /// `{action, actor_id, risk_tier r0|r1|r2|r3, rationale?, requested_approver?, approval_recipient?, approval_channel?, approval_timeout_ms?, entity?, topic?}`: whether something may be done. → `{action_id, action, actor_id, risk_tier, outcome, pending_id?, fallback_reason?}`
    "mobkit/gating/evaluate" => modules::evaluate_gating,
    /// What waits for a decision. → `{pending}`
    "mobkit/gating/pending" => modules::pending,
    /// `{pending_id, approver_id, decision approve|reject|escalate, reason?}` → `{pending_id, action_id, approver_id, decision, outcome, decided_at_ms, reason?, next_pending_id?}`
    "mobkit/gating/decide" => modules::decide,
    /// `{limit?}`: what was allowed and decided. → `{entries}`
    "mobkit/gating/audit" => modules::audit,
    /// The stores of memory. → `{stores}`
    "mobkit/memory/stores" => modules::stores,
    /// `{entity, topic, store?, fact?, metadata?, conflict?, conflict_reason?}`: remembers a fact, or that there is a conflict. → `{entity, topic, store, assertion_id?, conflict_active}`
    "mobkit/memory/index" => modules::index,
    /// `{entity?, topic?, store?}` → `{assertions, conflicts}`
    "mobkit/memory/query" => modules::query,
    /// `{entity, topic, store?}`: facts contradict each other no more. → `{resolved}`
    "mobkit/memory/resolve_conflict" => modules::resolve_conflict,
}

/// Calls a method by its name.
pub(super) async fn call(
    runtime: &UnifiedRuntime,
    method: &str,
    params: Map<String, Value>,
) -> Answer {
    let Some(entry) = METHODS.iter().find(|entry| entry.name == method) else {
        if method.starts_with("mobkit/") {
            return Err(Failure::method_not_found(method));
        }
        return modules::proxy(runtime.modules(), method, params).await;
    };
    (entry.begin)(runtime, method, Params::new(params))?.await
}

impl From<MobError> for Failure {
    fn from(error: MobError) -> Self {
        let failure = Self::from(error.data());
        match error {
            MobError::Module(error) => failure.of_module(error.kind),
            _ => failure,
        }
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
