//! The runtime on the simulator: whole mobs, natively, in virtual time.

mod contexts;
mod conversation;
mod delegates;
mod ending;
mod heard;
mod labels;
mod lifecycle;
mod models;
mod people;
mod pressure;
mod projection;
mod queries;
mod reconcile;
mod simulation;
mod stores;
mod timeline;
mod transcripts;
mod trial;
mod wake;
mod watched;

use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::json;

use crate::agent::model::{ChatMessage, ModelRequest};
use crate::agent::scripted::{Reply, ScriptedModel};
use crate::log::LogItem;
use crate::mob::definition::MobDefinition;
use crate::mob::{InteractionStatus, SendRequest};
use crate::runtime::{EventFilter, UnifiedRuntime, UnifiedRuntimeBuilder};
use crate::shim::Host;
use crate::sim::{Sim, SimDisk, StoragePlan};
use crate::wire::json;
use crate::wire::{AgentEvent, AgentIdentity, Cursor, EventQuery, InteractionId};

/// A lead wired to two specialists, all on the model `scripted`.
pub(crate) const TEAM: &str = r#"
[mob]
id = "team"
orchestrator = "lead"

[profiles.lead]
model = "scripted"
instructions = "You lead."
peer_description = "leads"

[profiles.worker]
model = "scripted"
instructions = "You work."
peer_description = "works"

[wiring]
auto_wire_orchestrator = true

[[members]]
profile = "lead"
identity = "lead"

[[members]]
profile = "worker"
identity = "ann"

[[members]]
profile = "worker"
identity = "bob"
"#;

pub(crate) fn id(name: &str) -> AgentIdentity {
    AgentIdentity::new(name).unwrap()
}

pub(crate) fn team() -> MobDefinition {
    MobDefinition::from_toml(TEAM).unwrap()
}

pub(crate) fn builder(host: &Host, disk: &SimDisk, model: &ScriptedModel) -> UnifiedRuntimeBuilder {
    UnifiedRuntime::builder()
        .definition(team())
        .host(host.clone())
        .storage(disk.open(host, StoragePlan::default()))
        .model("scripted", Rc::new(model.clone()))
        .tail_capacity(8)
}

/// Who is asked, from the system prompt.
pub(crate) fn asked(request: &ModelRequest) -> String {
    request
        .system
        .split('`')
        .nth(1)
        .unwrap_or_default()
        .to_owned()
}

/// What was said since the model spoke last.
pub(crate) fn news(request: &ModelRequest) -> Vec<&ChatMessage> {
    let spoke = request
        .messages
        .iter()
        .rposition(|message| matches!(message, ChatMessage::Assistant { .. }));
    request.messages[spoke.map_or(0, |at| at + 1)..]
        .iter()
        .collect()
}

/// The calls of which the member was told that nobody knows whether they ran.
pub(crate) fn interrupted_calls(request: &ModelRequest) -> Vec<(String, serde_json::Value)> {
    let unsure: Vec<&str> = news(request)
        .into_iter()
        .filter_map(|message| match message {
            ChatMessage::Tool {
                call_id,
                content,
                is_error: true,
                ..
            } if content.starts_with("interrupted") => Some(call_id.as_str()),
            _ => None,
        })
        .collect();
    let calls = request
        .messages
        .iter()
        .rev()
        .find_map(|message| match message {
            ChatMessage::Assistant { tool_calls, .. } => Some(tool_calls),
            _ => None,
        });
    calls
        .into_iter()
        .flatten()
        .filter(|call| unsure.contains(&call.id.as_str()))
        .map(|call| (call.name.clone(), call.args.clone()))
        .collect()
}

/// A team that works: the lead asks both workers, they answer, the lead gathers.
pub(crate) fn teamwork(host: &Host) -> ScriptedModel {
    ScriptedModel::answering(host.clone(), team_answer)
}

/// What somebody of that team answers.
pub(crate) fn team_answer(request: &ModelRequest) -> Reply {
    let name = asked(request);
    let told_by_user = matches!(
        news(request).first(),
        Some(ChatMessage::User { from: None, .. })
    );
    let after_tools = matches!(news(request).first(), Some(ChatMessage::Tool { .. }));
    let again = interrupted_calls(request);
    if !again.is_empty() {
        return Reply::calls(
            again
                .iter()
                .map(|(name, args)| (name.as_str(), args.clone())),
        );
    }
    if after_tools {
        return Reply::text(format!("{name} has sent its messages"))
            .with_usage(10, 5)
            .after(Duration::from_millis(5));
    }
    if name == "lead" {
        if told_by_user {
            return Reply::calls([
                (
                    "send_message",
                    json!({ "to": "ann", "content": "part one" }),
                ),
                (
                    "send_message",
                    json!({ "to": "bob", "content": "part two" }),
                ),
            ])
            .with_usage(20, 10);
        }
        let answers = request
            .messages
            .iter()
            .filter(|m| matches!(m, ChatMessage::User { from: Some(_), .. }))
            .count();
        let text = if answers.is_multiple_of(2) {
            "all done".to_owned()
        } else {
            format!("{answers} so far")
        };
        return Reply::words(&text).with_usage(30, 3);
    }
    Reply::call(
        "send_message",
        json!({ "to": "lead", "content": format!("{name} did it") }),
    )
    .with_usage(7, 7)
}

pub(crate) async fn all_events(runtime: &UnifiedRuntime) -> Vec<(u64, String, AgentEvent)> {
    let latest = runtime.status().latest_event_cursor;
    let mut reader = runtime
        .events(EventFilter {
            after: Some(Cursor::START),
            ..EventFilter::default()
        })
        .unwrap();
    let mut texts = runtime
        .event_texts(&EventFilter {
            after: Some(Cursor::START),
            ..EventFilter::default()
        })
        .unwrap();
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|(cursor, _, _)| *cursor < latest.get())
        && latest > Cursor::START
    {
        let item = reader.next().await.unwrap().unwrap();
        let text = texts.next().await.unwrap().unwrap();
        let text = json::parse_own(text.as_bytes()).unwrap();
        match &item {
            LogItem::Entry { cursor, entry } => {
                assert_eq!(text, json::value_of(&entry.to_persisted(*cursor)));
            }
            LogItem::Gap { from, to, .. } => {
                assert_eq!((&text["from"], &text["to"]), (&json!(from), &json!(to)));
            }
        }
        match item {
            LogItem::Entry { cursor, entry } => seen.push((
                cursor.get(),
                entry.identity.to_string(),
                entry.event.clone(),
            )),
            LogItem::Gap { to, .. } if to == latest => break,
            LogItem::Gap { .. } => {}
        }
    }
    seen
}

pub(crate) fn kinds(events: &[(u64, String, AgentEvent)], identity: &str) -> Vec<String> {
    events
        .iter()
        .filter(|(_, who, _)| who == identity)
        .map(|(_, _, event)| event.agent_event_type().to_owned())
        .collect()
}
