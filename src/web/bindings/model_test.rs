//! One short request to a model, outside of any mob: does it answer, and what.

use std::time::Duration;

use futures::StreamExt;
use js_sys::Array;

use super::convert::{self, Objects};
use super::error::Failure;
use super::model;
use super::options::ModelChoice;
use crate::agent::model::{ChatMessage, ModelRequest, TurnAssembler};
use crate::web::BrowserHost;
use crate::wire::ErrorData;
use crate::wire::json::object;

/// How long a model on trial may take: one on the user's own machine may have to be loaded first.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Asks the model for a word. Answers JSON text `{provider, text}`.
pub(super) async fn run(choice: &str, objects: &Array) -> Result<String, Failure> {
    let host = BrowserHost::host();
    let choice = convert::value::<ModelChoice>(choice)?;
    let name = match &choice {
        ModelChoice::OpenAi {
            model: Some(name), ..
        } => name.clone(),
        ModelChoice::OpenAi { .. } | ModelChoice::Demo { .. } | ModelChoice::Js { .. } => {
            "test".to_owned()
        }
    };
    let model = model::make(choice, &host, &Objects(objects))?;
    let request = ModelRequest {
        model: name,
        messages: vec![ChatMessage::user("Answer with one word: hello.")],
        ..ModelRequest::default()
    };
    let mut turn = TurnAssembler::new(&request, "test");
    let mut deltas = model.stream(request);
    let answer = async {
        while let Some(delta) = deltas.next().await {
            turn.push(delta?);
        }
        turn.finish()
    };
    let turn = match host.timeout(TIMEOUT, answer).await {
        Ok(turn) => turn?,
        Err(_) => {
            let seconds = TIMEOUT.as_secs();
            let message = format!("the model did not answer within {seconds} seconds");
            return Err(ErrorData::new("model_timeout", message).into());
        }
    };
    Ok(convert::text(
        &object!({ "provider": model.info().provider, "text": turn.text }),
    ))
}
