//! The methods of a runtime by name, with arguments and answers as JSON text.

use serde_json::{Value, json};

use super::convert;
use super::error::Failure;
use super::runtime::Hosted;
use crate::mob::{InteractionOutcome, SendRequest, SpawnReceipt};
use crate::wire::json::{Fields, FromJson, object, value_of};
use crate::wire::{AgentIdentity, ContentInput, ErrorData, InteractionId};

/// The arguments of a method.
struct Args(Fields);

impl Args {
    fn take<T: FromJson>(&mut self, name: &'static str) -> Result<T, Failure> {
        Ok(self.0.take(name)?)
    }

    fn maybe<T: FromJson>(&mut self, name: &'static str) -> Result<Option<T>, Failure> {
        self.take(name)
    }

    fn identity(&mut self) -> Result<AgentIdentity, Failure> {
        self.take("identity")
    }

    fn interaction_id(&mut self) -> Result<InteractionId, Failure> {
        self.take("interaction_id")
    }
}

/// Calls a method.
pub(super) async fn call(hosted: &Hosted, method: &str, args: &str) -> Result<String, Failure> {
    let runtime = &hosted.runtime;
    let mut args = Args(convert::fields(args)?);
    let answer = match method {
        "members" => return Ok(convert::text(&runtime.members())),
        "member_status" => {
            return Ok(convert::text(
                &runtime.member_status(&args.identity()?).await?,
            ));
        }
        "spawn" => receipt(&runtime.spawn(args.take("spec")?).await?),
        "spawn_many" => {
            let report = runtime.spawn_many(args.take("specs")?).await?;
            let spawned: Vec<Value> = report.spawned.iter().map(receipt).collect();
            object!({ "spawned": spawned, "refused": report.refused.map(|error| value_of(&error.data())) })
        }
        "retire" => {
            runtime.retire(&args.identity()?).await?;
            Value::Null
        }
        "respawn" => receipt(&runtime.respawn(&args.identity()?).await?),
        "wire" => {
            let (a, b): (AgentIdentity, AgentIdentity) = (args.take("a")?, args.take("b")?);
            runtime.wire(&a, &b).await?.into()
        }
        "unwire" => {
            let (a, b): (AgentIdentity, AgentIdentity) = (args.take("a")?, args.take("b")?);
            runtime.unwire(&a, &b).await?.into()
        }
        "send" => {
            let identity = args.identity()?;
            let mut request = SendRequest::new(args.take::<ContentInput>("content")?);
            request.mode = args.maybe("handling_mode")?.unwrap_or(request.mode);
            request.origin = args.maybe("origin")?.unwrap_or(request.origin);
            request.idempotency_key = args.maybe("idempotency_key")?;
            let accepted = runtime.send(&identity, request).await?;
            object!({
                "interaction_id": accepted.interaction_id,
                "identity": accepted.identity,
                "session_id": accepted.session_id,
                "repeated": accepted.repeated,
            })
        }
        "outcome" => {
            let id = args.interaction_id()?;
            outcome(&runtime.mob_handle().wait_interaction(&id).await?)
        }
        "cancel" => runtime.cancel(&args.interaction_id()?).await?.into(),
        "cancel_turn" => runtime.cancel_turn(&args.identity()?).await?.into(),
        "cancel_all" => runtime.cancel_all().await?.into(),
        "stop" => runtime.stop().await?.into(),
        "resume" => runtime.resume().await?.into(),
        "query_mob_events" => {
            let page = runtime.query_mob_events(&args.take("query")?).await?;
            return Ok(convert::text(&page));
        }
        "query_events" => {
            let page = runtime.query_events(&args.take("query")?).await?;
            object!({
                "events": value_of(&page.events),
                "next_after_seq": page.next_after_seq,
                "gaps": value_of(&page.gaps),
            })
        }
        "session_history" => {
            let (offset, limit) = (
                args.maybe("offset")?.unwrap_or(0),
                args.maybe("limit")?.unwrap_or(usize::MAX),
            );
            let (messages, total) = runtime
                .session_history(&args.identity()?, offset, limit)
                .await?;
            let messages: Vec<Value> = messages
                .iter()
                .map(|entry| {
                    let mut message = value_of(&entry.message);
                    message["number"] = entry.number.into();
                    message["timestamp_ms"] = json!(entry.timestamp_ms);
                    message["interaction_id"] = json!(entry.interaction_id);
                    message
                })
                .collect();
            object!({ "messages": messages, "total": total })
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
    object!({
        "identity": receipt.identity,
        "generation": receipt.generation,
        "fence_token": receipt.fence_token,
        "session_id": receipt.session_id,
    })
}

fn outcome(outcome: &InteractionOutcome) -> Value {
    object!({
        "interaction_id": outcome.interaction_id,
        "status": outcome.status,
        "result": outcome.result,
        "error": value_of(&outcome.error),
        "usage": value_of(&outcome.usage),
        "turns": outcome.turns,
    })
}
