//! The methods of a runtime by name, with arguments and answers as JSON text.

use serde::Deserialize;
use serde_json::{Value, json};

use super::convert;
use super::error::Failure;
use super::runtime::Hosted;
use crate::mob::{InteractionOutcome, SendRequest, SpawnReceipt};
use crate::wire::{
    AgentIdentity, ContentInput, ErrorData, EventQuery, HandlingMode, InteractionId,
    SpawnMemberSpec,
};

/// The arguments of all methods: each takes its own. One decoder for all is a fraction of the code of one for each.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    identity: Option<AgentIdentity>,
    a: Option<AgentIdentity>,
    b: Option<AgentIdentity>,
    content: Option<ContentInput>,
    handling_mode: Option<HandlingMode>,
    origin: Option<String>,
    idempotency_key: Option<String>,
    interaction_id: Option<InteractionId>,
    spec: Option<SpawnMemberSpec>,
    specs: Option<Vec<SpawnMemberSpec>>,
    offset: Option<usize>,
    limit: Option<usize>,
    query: Option<EventQuery>,
}

fn need<T>(value: Option<T>, name: &str) -> Result<T, Failure> {
    value.ok_or_else(|| Failure::params(format!("`{name}` is missing")))
}

/// Calls a method.
pub(super) async fn call(hosted: &Hosted, method: &str, args: &str) -> Result<String, Failure> {
    let runtime = &hosted.runtime;
    let args: Args = convert::parse(args)?;
    let identity = || need(args.identity.clone(), "identity");
    let interaction_id = || need(args.interaction_id.clone(), "interaction_id");
    let pair = || Ok::<_, Failure>((need(args.a.clone(), "a")?, need(args.b.clone(), "b")?));
    let answer = match method {
        "members" => return Ok(convert::text(&runtime.members())),
        "member_status" => return Ok(convert::text(&runtime.member_status(&identity()?).await?)),
        "spawn" => receipt(&runtime.spawn(need(args.spec, "spec")?).await?),
        "spawn_many" => {
            let report = runtime.spawn_many(need(args.specs, "specs")?).await?;
            let spawned: Vec<Value> = report.spawned.iter().map(receipt).collect();
            json!({ "spawned": spawned, "refused": report.refused.map(|error| error.data()) })
        }
        "retire" => {
            runtime.retire(&identity()?).await?;
            Value::Null
        }
        "respawn" => receipt(&runtime.respawn(&identity()?).await?),
        "wire" => {
            let (a, b) = pair()?;
            runtime.wire(&a, &b).await?.into()
        }
        "unwire" => {
            let (a, b) = pair()?;
            runtime.unwire(&a, &b).await?.into()
        }
        "send" => {
            let identity = identity()?;
            let mut request = SendRequest::new(need(args.content, "content")?);
            request.mode = args.handling_mode.unwrap_or(request.mode);
            request.origin = args.origin.unwrap_or(request.origin);
            request.idempotency_key = args.idempotency_key;
            let accepted = runtime.send(&identity, request).await?;
            json!({
                "interaction_id": accepted.interaction_id,
                "identity": accepted.identity,
                "session_id": accepted.session_id,
                "repeated": accepted.repeated,
            })
        }
        "outcome" => {
            let id = interaction_id()?;
            outcome(&runtime.mob_handle().wait_interaction(&id).await?)
        }
        "cancel" => runtime.cancel(&interaction_id()?).await?.into(),
        "cancel_turn" => runtime.cancel_turn(&identity()?).await?.into(),
        "cancel_all" => runtime.cancel_all().await?.into(),
        "stop" => runtime.stop().await?.into(),
        "resume" => runtime.resume().await?.into(),
        "query_mob_events" => {
            let page = runtime
                .query_mob_events(&need(args.query, "query")?)
                .await?;
            return Ok(convert::text(&page));
        }
        "query_events" => {
            let page = runtime.query_events(&need(args.query, "query")?).await?;
            json!({ "events": page.events, "next_after_seq": page.next_after_seq, "gaps": page.gaps })
        }
        "session_history" => {
            let (offset, limit) = (args.offset.unwrap_or(0), args.limit.unwrap_or(usize::MAX));
            let (messages, total) = runtime.session_history(&identity()?, offset, limit).await?;
            let messages: Vec<Value> = messages
                .iter()
                .map(|entry| {
                    let mut message = json!(entry.message);
                    message["number"] = entry.number.into();
                    message["timestamp_ms"] = json!(entry.timestamp_ms);
                    message["interaction_id"] = json!(entry.interaction_id);
                    message
                })
                .collect();
            json!({ "messages": messages, "total": total })
        }
        "definition" => runtime.definition().to_json(),
        "flush" => {
            runtime.flush().await?;
            Value::Null
        }
        "shutdown" => return Ok(convert::text(&runtime.shutdown().await)),
        unknown => {
            return Err(ErrorData::new(
                "method_not_found",
                format!("there is no method {unknown}"),
            )
            .into());
        }
    };
    Ok(convert::text(&answer))
}

fn receipt(receipt: &SpawnReceipt) -> Value {
    json!({
        "identity": receipt.identity,
        "generation": receipt.generation,
        "fence_token": receipt.fence_token,
        "session_id": receipt.session_id,
    })
}

fn outcome(outcome: &InteractionOutcome) -> Value {
    json!({
        "interaction_id": outcome.interaction_id,
        "status": outcome.status,
        "result": outcome.result,
        "error": outcome.error,
        "usage": outcome.usage,
        "turns": outcome.turns,
    })
}
