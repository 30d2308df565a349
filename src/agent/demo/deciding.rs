//! Chooses what to say and which tools to call.

use serde_json::{Map, Value, json};

use super::reading::{Ask, Inquiry, Outcome, Peer, SEND, Task, View, may_try};
use super::words;
use crate::agent::model::ToolDefinition;
use crate::wire::json::object;

/// What the model answers.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) reasoning: String,
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
}

/// A tool call to make.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) tool: String,
    pub(super) args: Value,
}

/// The answer to what was read. Peers' questions come before persons' tasks; text alone ends the turn.
pub(super) fn decide(view: &View) -> Turn {
    let mut turn = Turn::default();
    let mut said = Vec::new();
    for inquiry in view.inquiries.iter().filter(|inquiry| inquiry.is_due) {
        said.extend(serve(view, inquiry, &mut turn));
    }
    for task in view.tasks.iter().filter(|task| task.is_due) {
        said.extend(advance(view, task, &mut turn));
    }
    if turn.calls.is_empty() {
        said.extend(
            view.noted
                .iter()
                .map(|peer| format!("I took note of what **{peer}** wrote.")),
        );
        turn.text = if said.is_empty() {
            words::nothing_open()
        } else {
            said.join("\n\n")
        };
    }
    turn
}

/// A specialist's work for a peer: a tool once if there is one, then the answer, then the end of the turn.
fn serve(view: &View, inquiry: &Inquiry, turn: &mut Turn) -> Option<String> {
    let from = &inquiry.from;
    if inquiry.is_answered() {
        return Some(format!("I sent **{from}** my result."));
    }
    let tool = inquiry
        .wants_tool()
        .then(|| fitting_tool(&view.tools, &inquiry.text))
        .flatten();
    let result = words::result(&view.instructions, &inquiry.text, &inquiry.uses);
    let unreached = match inquiry.replies.last().map(|reply| &reply.outcome) {
        Some(Outcome::Failed(reason)) => Some(reason.clone()),
        None if !view.reaches(from) => Some("we are not wired".to_owned()),
        _ if !may_try(inquiry.replies.iter().map(|reply| &reply.outcome)) => {
            Some("sending was interrupted twice".to_owned())
        }
        _ => None,
    };
    if let Some(reason) = unreached {
        return Some(format!(
            "I cannot reach **{from}**: {reason}. What I would have sent:\n\n{result}"
        ));
    }
    if let Some(tool) = tool {
        turn.text = format!(
            "{from} asks for my part. I use `{}` for it first.",
            tool.name
        );
        turn.calls.push(Call {
            tool: tool.name.clone(),
            args: arguments(tool, &inquiry.text),
        });
    } else {
        turn.calls.push(message(from, result));
    }
    None
}

/// What a person asked: split among the peers by a lead, else answered directly.
fn advance(view: &View, task: &Task, turn: &mut Turn) -> Option<String> {
    if task.asks.is_empty() {
        if view.leads && !view.peers.is_empty() && !words::is_small_talk(&task.text) {
            split(view, task, turn);
            return None;
        }
        let used_up = !may_try(task.uses.iter().map(|used| &used.outcome));
        if let Some(tool) = fitting_tool(&view.tools, &task.text)
            .filter(|tool| !used_up && words::mentions(&task.text, &tool.name))
        {
            turn.text = format!("I ask `{}`.", tool.name);
            turn.calls.push(Call {
                tool: tool.name.clone(),
                args: arguments(tool, &task.text),
            });
            return None;
        }
        return Some(words::direct_answer(view, task));
    }
    let state = Gathering::of(view, task);
    if !state.to_repeat.is_empty() {
        turn.reasoning =
            "My messages were interrupted before they were confirmed, so I send them again."
                .to_owned();
        turn.calls.extend(
            state
                .to_repeat
                .iter()
                .map(|ask| message(&ask.peer, ask.part.clone())),
        );
        return None;
    }
    Some(words::gathering(view, task, &state))
}

/// How far a split task is: the last message to each peer counts.
#[derive(Debug, Default)]
pub(super) struct Gathering<'a> {
    pub(super) answered: Vec<&'a Ask>,
    pub(super) awaited: Vec<&'a Ask>,
    /// Those who cannot be reached, and why.
    pub(super) lost: Vec<(&'a Ask, String)>,
    to_repeat: Vec<&'a Ask>,
}

impl<'a> Gathering<'a> {
    fn of(view: &View, task: &'a Task) -> Self {
        let mut state = Self::default();
        for (at, ask) in task.asks.iter().enumerate() {
            if task.asks[at + 1..]
                .iter()
                .any(|later| later.peer == ask.peer)
            {
                continue;
            }
            let tries = task.asks[..=at]
                .iter()
                .filter(|earlier| earlier.peer == ask.peer)
                .map(|earlier| &earlier.outcome);
            match &ask.outcome {
                _ if ask.answer.is_some() => state.answered.push(ask),
                Outcome::Failed(reason) => state.lost.push((ask, reason.clone())),
                _ if !view.reaches(&ask.peer) => {
                    state.lost.push((ask, "we are no longer wired".to_owned()))
                }
                Outcome::Interrupted if may_try(tries) => state.to_repeat.push(ask),
                Outcome::Interrupted => state
                    .lost
                    .push((ask, "sending was interrupted twice".to_owned())),
                Outcome::Done(_) | Outcome::Open => state.awaited.push(ask),
            }
        }
        state
    }
}

fn split(view: &View, task: &Task, turn: &mut Turn) {
    let parts = words::parts(&task.text, &view.peers);
    let names: Vec<_> = view
        .peers
        .iter()
        .map(|peer: &Peer| peer.name.as_str())
        .collect();
    turn.reasoning = format!(
        "I can reach {}, so I split the task in {}.",
        words::list(&names),
        view.peers.len()
    );
    turn.text = words::splitting(&view.peers, &parts);
    turn.calls = view
        .peers
        .iter()
        .zip(parts)
        .map(|(peer, part)| message(&peer.name, part))
        .collect();
}

fn message(to: &str, content: String) -> Call {
    Call {
        tool: SEND.to_owned(),
        args: object!({"to": to, "content": content}),
    }
}

/// The tool whose name the text mentions, else the first.
fn fitting_tool<'a>(tools: &'a [ToolDefinition], text: &str) -> Option<&'a ToolDefinition> {
    tools
        .iter()
        .find(|tool| words::mentions(text, &tool.name))
        .or(tools.first())
}

/// Arguments that the tool's schema accepts: what is required, of the required type.
fn arguments(tool: &ToolDefinition, text: &str) -> Value {
    let required = tool
        .input_schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let value = |name: &str| {
        let schema = tool
            .input_schema
            .get("properties")
            .and_then(|properties| properties.get(name))
            .unwrap_or(&Value::Null);
        if let Some(first) = schema
            .get("enum")
            .and_then(Value::as_array)
            .and_then(|allowed| allowed.first())
        {
            return first.clone();
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("number" | "integer") => json!(1),
            Some("boolean") => json!(true),
            Some("array") => json!([]),
            Some("object") => json!({}),
            _ => words::subject(text).into(),
        }
    };
    let mut args = Map::new();
    for name in required {
        args.insert(name.to_owned(), value(name));
    }
    Value::Object(args)
}
