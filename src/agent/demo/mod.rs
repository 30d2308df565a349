//! The embedded scripted model: no network, no key, no language model, and it says so.
//!
//! It is an ordinary [`LanguageModel`] that sees only the request. [`reading`] works out from the system prompt, the tools and
//! the transcript what the member is, whom it can reach and what is open; [`deciding`] chooses what to say and which tools to
//! call; [`words`] writes the texts. All three are pure, so the same request always gets the same answer. What a member does
//! follows from what it was told to be, not from its name: who is told to lead splits a person's task among its peers and puts
//! their answers together; who is told something by a peer works on it and answers.

mod deciding;
mod reading;
mod words;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::unfold;

use super::model::{LanguageModel, ModelDelta, ModelError, ModelInfo, ModelRequest, ModelStream};
use crate::agent::history::estimate_usage;
use crate::shim::Host;
use crate::wire::json;
use crate::wire::{StopReason, Usage};
use deciding::Turn;

/// The demo model.
#[derive(Clone)]
pub struct DemoModel {
    host: Host,
    pace: Duration,
}

impl DemoModel {
    /// A demo model that lets `pace` pass before each word; zero answers at once.
    pub fn new(host: Host, pace: Duration) -> Self {
        Self { host, pace }
    }
}

impl LanguageModel for DemoModel {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            provider: "demo".into(),
            is_demo: true,
            context_tokens: None,
        }
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        let turn = deciding::decide(&reading::read(&request));
        let telling = (
            self.host.clone(),
            self.pace,
            VecDeque::from(deltas(&request, &turn)),
        );
        unfold(telling, |(host, pace, mut deltas)| async move {
            let delta: ModelDelta = deltas.pop_front()?;
            if !pace.is_zero() {
                host.sleep(pace).await;
            }
            Some((Ok::<_, ModelError>(delta), (host, pace, deltas)))
        })
        .boxed_local()
    }
}

/// The turn as a model streams it: word by word, a call's name before its arguments, the tokens at the end.
fn deltas(request: &ModelRequest, turn: &Turn) -> Vec<ModelDelta> {
    let mut deltas: Vec<_> = pieces(&turn.reasoning)
        .map(|piece| ModelDelta::Reasoning(piece.to_owned()))
        .collect();
    deltas.extend(pieces(&turn.text).map(|piece| ModelDelta::Text(piece.to_owned())));
    for (index, call) in (0..).zip(&turn.calls) {
        let piece = |name: Option<&str>, args: &str| ModelDelta::ToolCall {
            index,
            id: None,
            name: name.map(str::to_owned),
            args: args.to_owned(),
        };
        deltas.push(piece(Some(&call.tool), ""));
        deltas.extend(pieces(&json::text(&call.args)).map(|args| piece(None, args)));
    }
    let stop = if turn.calls.is_empty() {
        StopReason::EndTurn
    } else {
        StopReason::ToolUse
    };
    deltas.push(ModelDelta::Usage(usage(request, turn)));
    deltas.push(ModelDelta::Stop(stop));
    deltas
}

/// `text` cut after each run of white space; the pieces together are `text`.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let gap = rest[word..]
            .find(|letter: char| !letter.is_whitespace())
            .unwrap_or(rest.len() - word);
        let (piece, later) = rest.split_at(word + gap);
        rest = later;
        (!piece.is_empty()).then_some(piece)
    })
}

/// What a language model might have counted.
fn usage(request: &ModelRequest, turn: &Turn) -> Usage {
    let written = turn.reasoning.len() + turn.text.len();
    let written = written
        + turn
            .calls
            .iter()
            .map(|call| json::text(&call.args).len())
            .sum::<usize>();
    estimate_usage(request, written)
}
