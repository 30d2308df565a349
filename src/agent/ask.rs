//! One answer of a model: asked for, watched, asked for again as the policy says, and charged whether it was of use or not.

use futures::stream::StreamExt;

use crate::agent::history;
use crate::agent::model::{AssembledTurn, ModelDelta, ModelError, ModelRequest, TurnAssembler};
use crate::agent::run::{Interrupt, RunFailure, RunPort, RunSpec, charge};
use crate::wire::{AgentEvent, Usage};

/// One answer of the model, tried again as the policy says. Its usage is estimated if the provider does not tell it.
pub(super) async fn ask(
    port: &dyn RunPort,
    spec: &RunSpec,
    request: ModelRequest,
    turn_number: u32,
) -> Result<AssembledTurn, Interrupt> {
    let mut attempt = 1;
    loop {
        let failed = match stream_once(port, spec, &request, turn_number).await {
            Ok(turn) => return Ok(turn),
            Err(failed) => failed,
        };
        let error = failed.error;
        if failed.shown {
            port.emit(AgentEvent::StreamTruncated {
                reason: error.to_string(),
            });
        }
        charge(port, failed.usage).await?;
        if let ModelError::Unavailable { reason } = error {
            return Err(Interrupt::PutDown { reason });
        }
        let Some(delay) = spec
            .bounds
            .retry
            .delay_after(attempt, &error, spec.host.random_u64())
        else {
            return Err(RunFailure {
                class: error.class(),
                error: error.to_string(),
                cause_kind: Some(error.code().to_owned()),
            }
            .into());
        };
        attempt += 1;
        port.emit(AgentEvent::Retrying {
            attempt,
            max_attempts: spec.bounds.retry.max_attempts,
            error: error.to_string(),
            delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            retry: None,
        });
        spec.host.sleep(delay).await;
        // The try or the wait may have let the interaction run out of its budget.
        port.admit()?;
    }
}

struct Failed {
    error: ModelError,
    /// Whether readers have seen a part of the answer.
    shown: bool,
    /// What it cost all the same.
    usage: Usage,
}

async fn stream_once(
    port: &dyn RunPort,
    spec: &RunSpec,
    request: &ModelRequest,
    turn_number: u32,
) -> Result<AssembledTurn, Failed> {
    let mut assembler = TurnAssembler::new(request, format!("{}-{turn_number}", spec.run_key));
    let mut stream = spec.model.stream(request.clone());
    let idle = spec.bounds.model_idle_timeout;
    let mut patience = idle.max(spec.model.start_timeout());
    let (mut begun, mut shown) = (false, false);
    let error = loop {
        let delta = match spec.host.timeout(patience, stream.next()).await {
            Ok(Some(Ok(delta))) => delta,
            Ok(Some(Err(error))) => break Some(error),
            Ok(None) => break None,
            Err(_) => {
                let message = format!("nothing came for {} s", patience.as_secs());
                break Some(ModelError::Truncated { message });
            }
        };
        (begun, patience) = (true, idle);
        match &delta {
            ModelDelta::Text(piece) if !piece.is_empty() => {
                shown = true;
                port.emit(AgentEvent::TextDelta {
                    delta: piece.clone(),
                });
            }
            ModelDelta::Reasoning(piece) if !piece.is_empty() => {
                shown = true;
                port.emit(AgentEvent::ReasoningDelta {
                    delta: piece.clone(),
                });
            }
            _ => {}
        }
        assembler.push(delta);
    };
    // Nobody bills what did not begin.
    let usage = if begun {
        cost(request, &assembler)
    } else {
        Usage::default()
    };
    let answer = match error {
        Some(error) => Err(error),
        None => assembler.finish(),
    };
    match answer {
        Ok(mut turn) => {
            turn.usage = Some(usage);
            Ok(turn)
        }
        Err(error) => Err(Failed {
            error,
            shown,
            usage,
        }),
    }
}

/// What the provider says that the answer has cost so far, or about that.
fn cost(request: &ModelRequest, answer: &TurnAssembler) -> Usage {
    let told = answer.usage().filter(|usage| usage.total() > 0);
    told.unwrap_or_else(|| history::estimate_usage(request, answer.bytes()))
}
