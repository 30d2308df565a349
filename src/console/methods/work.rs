//! Messages, and what comes of them.

use std::time::Duration;

use serde_json::Value;

use super::{Begun, MAX_LIMIT, MAX_WAIT_MS, begun, later, whether_accepted};
use crate::console::failure::Failure;
use crate::console::params::Params;
use crate::mob::SendRequest;
use crate::runtime::UnifiedRuntime;
use crate::wire::InteractionId;
use crate::wire::json::{self, object, value_of};

/// How many messages of a transcript a page has when it does not say.
const DEFAULT_HISTORY: usize = 200;

pub(super) fn send_message(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
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

pub(super) fn cancel_interaction(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    later(
        runtime.cancel(&interaction_param(params)?),
        whether_accepted,
    )
}

pub(super) fn force_cancel_member(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    let member = params.only_identity("member_id")?;
    later(runtime.cancel_turn(&member), whether_accepted)
}

pub(super) fn wait_interaction(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
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

pub(super) fn cancel_all(runtime: &UnifiedRuntime, _: &str, params: Params) -> Begun {
    params.finish()?;
    later(runtime.cancel_all(), |cancelled: &usize| {
        json::text(&object!({ "accepted": true, "cancelled": *cancelled }))
    })
}

pub(super) fn session_history(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
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
