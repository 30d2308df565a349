//! Modules, and what stands on them: routing, deliveries, schedules, gating and memory (MobKit contract, section 20.3).

use serde_json::{Map, Value};

use super::{Answer, Begun, accepted, begun, later, now, text};
use crate::console::failure::Failure;
use crate::console::params::Params;
use crate::mob::MobError;
use crate::modules::delivery::{DeliverySendRequest, HISTORY};
use crate::modules::gating::{GatingDecideRequest, GatingEvaluateRequest};
use crate::modules::memory::{self, MemoryIndexRequest, MemoryQueryRequest};
use crate::modules::routing::RoutingResolveRequest;
use crate::modules::schedule::{MAX_SCHEDULES, ScheduleDefinition};
use crate::modules::{Modules, SubscribeRequest, SubscribeScope};
use crate::runtime::UnifiedRuntime;
use crate::wire::RiskTier;
use crate::wire::json::{self, Blank, FromJson, object, value_of};

/// A number that fits everywhere.
const ANY: usize = u32::MAX as usize;

/// Takes a text that must be there into its place in a request: the request has one end, however far its parameters were good.
#[inline(never)]
fn required(params: &mut Params, name: &'static str, place: &mut String) -> Result<(), Failure> {
    *place = params.required_string(name)?;
    Ok(())
}

/// The same for a text that may be blank or left out.
#[inline(never)]
fn take(
    params: &mut Params,
    name: &'static str,
    place: &mut Option<String>,
) -> Result<(), Failure> {
    *place = params.value(name)?;
    Ok(())
}

/// An object with one field, whose JSON is given.
fn wrapped(name: &str, json: &str) -> String {
    [r#"{""#, name, r#"":"#, json, "}"].concat()
}

pub(super) fn list(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(wrapped("modules", &text(&runtime.modules().statuses())))
}

pub(super) fn reconcile(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let Value::Array(named) = params.value("modules")? else {
        return Err(Failure::params("modules must be an array of strings"));
    };
    params.finish()?;
    let mut modules = Vec::new();
    for (at, name) in named.into_iter().enumerate() {
        match name {
            Value::String(name) => modules.push(name),
            other => {
                let kind = kind_of(&other);
                let message = format!("modules[{at}] must be a string, got {kind}");
                return Err(Failure::params(message));
            }
        }
    }
    let reconciled = runtime.modules().reconcile(&modules);
    begun(async move {
        let added = reconciled.await?;
        Ok(json::text(&object!({
            "accepted": true, "reconciled_modules": modules, "added": added,
        })))
    })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `mobkit/spawn_member` for a module.
pub(super) fn spawn(runtime: &UnifiedRuntime, mut params: Params) -> Begun {
    let module_id = params.required_string("module_id")?;
    params.finish()?;
    let spawned = runtime.modules().spawn(&module_id);
    begun(async move {
        spawned.await?;
        Ok(json::text(
            &object!({ "accepted": true, "module_id": module_id }),
        ))
    })
}

pub(super) fn stop(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let module_id = params.required_string("module_id")?;
    params.finish()?;
    later(runtime.modules().stop(&module_id), accepted)
}

pub(super) fn call_tool(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let module_id = params.required_string("module_id")?;
    let tool = params.required_string("tool")?;
    let arguments = params.value::<Option<Value>>("arguments")?;
    params.finish()?;
    let arguments = arguments.unwrap_or_else(|| Value::Object(Map::new()));
    let called = runtime.modules().call_tool(&module_id, &tool, arguments);
    begun(async move {
        let result = called.await?;
        Ok(json::text(
            &object!({ "module_id": module_id, "tool": tool, "result": result }),
        ))
    })
}

/// `{module}/{tool}` with the arguments as parameters.
pub(super) async fn proxy(modules: &Modules, method: &str, params: Map<String, Value>) -> Answer {
    let Some((module_id, tool)) = method.split_once('/') else {
        return Err(Failure::method_not_found(method));
    };
    let called = modules.call_tool(module_id, tool, Value::Object(params));
    let payload = called.await?;
    Ok(json::text(
        &object!({ "module_id": module_id, "method": tool, "payload": payload }),
    ))
}

pub(super) fn subscribe(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let scope = match params.string("scope")? {
        None => SubscribeScope::default(),
        Some(scope) => SubscribeScope::from_json(scope.as_str().into()).map_err(|_| {
            Failure::params(format_args!(
                "unsupported scope '{scope}' (allowed: mob, agent, interaction)"
            ))
        })?,
    };
    let mut request = SubscribeRequest {
        scope,
        ..SubscribeRequest::default()
    };
    // A blank one has an error of its own.
    take(&mut params, "last_event_id", &mut request.last_event_id)?;
    take(&mut params, "agent_id", &mut request.agent_id)?;
    params.finish()?;
    let modules = runtime.modules().clone();
    begun(async move { Ok(modules.subscribe_events(&request).await?) })
}

pub(super) fn resolve(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let number = |params: &mut Params, name| params.number(name, ANY);
    let mut request = RoutingResolveRequest::default();
    required(&mut params, "recipient", &mut request.recipient)?;
    take(&mut params, "channel", &mut request.channel)?;
    request.retry_max = number(&mut params, "retry_max")?.map(|it| it as u32);
    request.backoff_ms = number(&mut params, "backoff_ms")?.map(|it| it as u64);
    let limit = number(&mut params, "rate_limit_per_minute")?;
    request.rate_limit_per_minute = limit.map(|it| it as u32);
    params.finish()?;
    later(runtime.modules().resolve_routing(request), text)
}

pub(super) fn routes(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(wrapped("routes", &text(&runtime.modules().routes())))
}

pub(super) fn add_route(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let nested: Option<Value> = params.value("route")?;
    let route = match nested {
        Some(route) => {
            params.finish()?;
            FromJson::from_json(route).map_err(Failure::params)?
        }
        None => params.all()?,
    };
    later(runtime.modules().add_route(route), |route| {
        wrapped("route", &text(route))
    })
}

pub(super) fn delete_route(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let key = params.required_string("route_key")?;
    params.finish()?;
    later(runtime.modules().delete_route(&key), |route| {
        wrapped("deleted", &text(route))
    })
}

pub(super) fn send(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let request: DeliverySendRequest = params.all()?;
    later(runtime.modules().send_delivery(request), text)
}

pub(super) fn history(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let recipient: Option<String> = params.value("recipient")?;
    let sink: Option<String> = params.value("sink")?;
    let limit = params.count("limit", HISTORY, 20)?;
    params.finish()?;
    let found = runtime
        .modules()
        .delivery_history(recipient.as_deref(), sink.as_deref(), limit);
    now(wrapped("deliveries", &text(&found)))
}

fn tick(mut params: Params) -> Result<(Vec<ScheduleDefinition>, u64), Failure> {
    let schedules: Vec<ScheduleDefinition> = params.value("schedules")?;
    let tick_ms = params.value("tick_ms")?;
    params.finish()?;
    Ok((schedules, tick_ms))
}

pub(super) fn evaluate_schedules(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let (schedules, tick_ms) = tick(params)?;
    let due = runtime.modules().evaluate_schedules(&schedules, tick_ms)?;
    now(text(&due))
}

pub(super) fn dispatch_schedules(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let (schedules, tick_ms) = tick(params)?;
    let dispatched = runtime.modules().dispatch_schedule_tick(schedules, tick_ms);
    later(dispatched, text)
}

pub(super) fn set_schedule(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    later(runtime.modules().set_schedule(params.all()?), text)
}

pub(super) fn list_schedules(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    let schedules = text(&runtime.modules().schedules());
    let limit = json::text(&MAX_SCHEDULES.into());
    now([r#"{"limit":"#, &limit, r#","schedules":"#, &schedules, "}"].concat())
}

pub(super) fn delete_schedule(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let id = params.required_string("schedule_id")?;
    params.finish()?;
    later(runtime.modules().delete_schedule(&id), |schedule| {
        wrapped("deleted", &text(schedule))
    })
}

pub(super) fn evaluate_gating(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let tier = params.string("risk_tier")?.unwrap_or_default();
    let mut request = GatingEvaluateRequest::blank();
    required(&mut params, "action", &mut request.action)?;
    required(&mut params, "actor_id", &mut request.actor_id)?;
    request.risk_tier = RiskTier::from_json(tier.into())
        .map_err(|_| Failure::params("risk_tier must be one of: r0, r1, r2, r3"))?;
    take(&mut params, "rationale", &mut request.rationale)?;
    for (name, place) in [
        ("requested_approver", &mut request.requested_approver),
        ("approval_recipient", &mut request.approval_recipient),
        ("approval_channel", &mut request.approval_channel),
    ] {
        *place = params.string(name)?;
    }
    request.approval_timeout_ms = params.value("approval_timeout_ms")?;
    take(&mut params, "entity", &mut request.entity)?;
    take(&mut params, "topic", &mut request.topic)?;
    params.finish()?;
    later(runtime.modules().evaluate_gating(request), text)
}

pub(super) fn pending(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    later(runtime.modules().gating_pending(), |pending| {
        wrapped("pending", &text(pending))
    })
}

pub(super) fn decide(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let decision = params.string("decision")?.unwrap_or_default();
    let mut request = GatingDecideRequest::blank();
    required(&mut params, "pending_id", &mut request.pending_id)?;
    required(&mut params, "approver_id", &mut request.approver_id)?;
    request.decision = FromJson::from_json(decision.into())
        .map_err(|_| Failure::params("decision must be one of: approve, reject, escalate"))?;
    take(&mut params, "reason", &mut request.reason)?;
    params.finish()?;
    later(runtime.modules().decide_gating(request), text)
}

pub(super) fn audit(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let limit = params.count("limit", 500, 50)?;
    params.finish()?;
    later(runtime.modules().gating_audit(limit), |entries| {
        wrapped("entries", &text(entries))
    })
}

pub(super) fn stores(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(json::text(
        &object!({ "stores": runtime.modules().memory_stores() }),
    ))
}

pub(super) fn index(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let request: MemoryIndexRequest = params.all()?;
    later(runtime.modules().memory_index(request), json::text)
}

pub(super) fn query(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let request: MemoryQueryRequest = params.all()?;
    if let Some(store) = &request.store {
        memory::store(Some(store)).map_err(MobError::from)?;
    }
    let (assertions, conflicts) = runtime.modules().memory_query(&request);
    let conflicts = text(&conflicts);
    now([
        r#"{"assertions":"#,
        &text(&assertions),
        r#","conflicts":"#,
        &conflicts,
        "}",
    ]
    .concat())
}

pub(super) fn resolve_conflict(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let entity = params.required_string("entity")?;
    let topic = params.required_string("topic")?;
    let store = params.value("store")?;
    params.finish()?;
    let resolved = runtime.modules().resolve_conflict(entity, topic, store);
    later(resolved, |conflict| {
        json::text(&object!({ "resolved": value_of(conflict) }))
    })
}
