//! The roster and its wiring, member by member and as a whole; helpers.

use serde_json::Value;

use super::{Begun, MAX_LIMIT, accepted, begun, later, modules, now, text, whether_changed};
use crate::console::failure::{Failure, INVALID_PARAMS, OPERATION_FAILED};
use crate::console::params::Params;
use crate::mob::SpawnReceipt;
use crate::runtime::UnifiedRuntime;
use crate::wire::json::{self, object, value_of};
use crate::wire::{ProfileName, SpawnMemberSpec, Usage};

pub(super) fn list_members(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(text(&runtime.members()))
}

pub(super) fn get_member(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let member = params.only_identity("member_id")?;
    let found = runtime.mob_handle().get_member(&member);
    // The contract's number and words for it, which are others elsewhere.
    let found = found.map_err(|error| {
        let message = format!("member not found: {member}");
        Failure::from(error).told(INVALID_PARAMS, message)
    });
    now(text(&found?))
}

pub(super) fn find_members(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let key = params.required_string("label_key")?;
    let value = params.required_string("label_value")?;
    params.finish()?;
    now(text(&runtime.find_members(&key, &value)))
}

pub(super) fn member_status(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let member = params.only_identity("member_id")?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.member_status(&member).await?)) })
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

pub(super) fn spawn_member(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    if params.has("module_id") {
        return modules::spawn(runtime, params);
    }
    let spec: SpawnMemberSpec = params.all()?;
    let runtime = runtime.clone();
    begun(async move { Ok(spawned(&runtime.spawn(spec).await?)) })
}

fn specs_param(mut params: Params) -> Result<Vec<SpawnMemberSpec>, Failure> {
    let specs = params.value("specs")?;
    params.finish()?;
    Ok(specs)
}

pub(super) fn spawn_many(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
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

pub(super) fn ensure_member(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let spec: SpawnMemberSpec = params.all()?;
    let runtime = runtime.clone();
    begun(async move {
        let (member, _) = runtime.ensure_member(spec).await?;
        Ok(text(&member))
    })
}

pub(super) fn retire_member(runtime: &UnifiedRuntime, method: &str, params: Params) -> Begun {
    let member = params.only_identity(match method {
        "mobkit/retire" => "identity",
        _ => "member_id",
    })?;
    later(runtime.retire(&member), accepted)
}

pub(super) fn respawn_member(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let member = params.only_identity("member_id")?;
    later(runtime.respawn(&member), spawned)
}

pub(super) fn wire_members(runtime: &UnifiedRuntime, method: &str, mut params: Params) -> Begun {
    let (a, b) = (params.identity("a")?, params.identity("b")?);
    params.finish()?;
    let changed = match method {
        "mobkit/wire_members" => runtime.wire(&a, &b),
        _ => runtime.unwire(&a, &b),
    };
    later(changed, whether_changed)
}

pub(super) fn list_edges(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(json::text(
        &object!({ "edges": value_of(&runtime.list_edges()) }),
    ))
}

pub(super) fn reconcile_members(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let specs = specs_param(params)?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.reconcile(specs).await?)) })
}

pub(super) fn reconcile_edges(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    let runtime = runtime.clone();
    begun(async move { Ok(text(&runtime.reconcile_edges().await?)) })
}

pub(super) fn bootstrap_edges_report(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    now(text(&runtime.bootstrap_edges_report()))
}

pub(super) fn rediscover(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    let runtime = runtime.clone();
    begun(async move {
        Ok(match runtime.rediscover().await? {
            Some(report) => text(&report),
            None => r#"{"status":"no_discovery_configured"}"#.to_owned(),
        })
    })
}

pub(super) fn reset_all(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    later(runtime.reset(), |retired| {
        json::text(&object!({ "retired": value_of(retired), "failed": Vec::<Value>::new() }))
    })
}

pub(super) fn attach_existing_session(
    runtime: &UnifiedRuntime,
    _: &str,
    mut params: Params,
) -> Begun {
    let spec = SpawnMemberSpec {
        resume_session_id: Some(params.value("session_id")?),
        ..SpawnMemberSpec::of(params.value("role")?, params.identity("agent_identity")?)
    };
    params.finish()?;
    let runtime = runtime.clone();
    begun(async move { Ok(spawned(&runtime.spawn(spec).await?)) })
}

/// `mobkit/spawn_helper` and `mobkit/fork_helper`.
pub(super) fn helper(runtime: &UnifiedRuntime, method: &str, mut params: Params) -> Begun {
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
