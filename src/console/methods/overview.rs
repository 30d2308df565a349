//! What there is: the runtime at a glance, its definition, models and labels; and whether it works.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Begun, MAX_WAIT_MS, METHODS, accepted, begun, later, now, whether_changed};
use crate::console::CONTRACT_VERSION;
use crate::console::params::Params;
use crate::runtime::{Role, UnifiedRuntime};
use crate::wire::Labels;
use crate::wire::json::{self, object, value_of};

/// How many milliseconds `mobkit/wait_ready` waits when it does not say.
const DEFAULT_READY_MS: usize = 30_000;

pub(super) fn status(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
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
        "loaded_modules": runtime.modules().loaded(),
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

pub(super) fn capabilities(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(json::text(&object!({
        "contract_version": CONTRACT_VERSION,
        "methods": METHODS.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        "loaded_modules": runtime.modules().loaded(),
        "runtime_type": "unified",
        "runtime_capabilities": runtime_capabilities(runtime),
        // Whoever is not stopped at the door.
        "authenticated": true,
        "features": object!({ "console_aggregator": true, "multi_runtime_console": false }),
    })))
}

/// What this context can do with the mob.
pub(in crate::console) fn runtime_capabilities(runtime: &UnifiedRuntime) -> Value {
    let leads = runtime.role() == Role::Leader;
    object!({
        "can_spawn_members": leads,
        "can_send_messages": leads,
        "can_wire_members": leads,
        "can_retire_members": leads,
        "available_spawn_modes": match runtime.modules().statuses().is_empty() {
            true => vec!["profile"],
            false => vec!["module", "profile"],
        },
    })
}

pub(super) fn profiles(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
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

pub(super) fn definition(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(json::text(&runtime.definition().to_json()))
}

/// The models that members can have, by the names that profiles give them.
pub(super) fn models_catalog(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
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

pub(super) fn wait_ready(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
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

/// The six methods on labels: `mobkit/{mob,run}_labels/{set,get,delete}`.
pub(super) fn labels(runtime: &UnifiedRuntime, method: &str, mut params: Params) -> Begun {
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

pub(super) fn stop_or_resume(runtime: &UnifiedRuntime, method: &str, params: Params) -> Begun {
    params.finish()?;
    let changed = match method {
        "mobkit/stop" => runtime.stop(),
        _ => runtime.resume(),
    };
    later(changed, whether_changed)
}
