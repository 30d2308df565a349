//! The tools that bind a member to its wiring: `send_message` and `peers`.

use std::rc::{Rc, Weak};

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use crate::agent::model::ToolDefinition;
use crate::agent::tool::{Tool, ToolContext, ToolError, ToolOutput};
use crate::mob::core::{Core, Ids};
use crate::mob::rows::{Member, OpenTurn};
use crate::wire::json::{self, object};
use crate::wire::{AgentIdentity, Cause, ContentInput};

/// The cause of what a turn sends on.
pub(super) fn cause_of(turn: &OpenTurn) -> Cause {
    Cause {
        interaction_id: turn.item.cause.interaction_id.clone(),
        caused_by: Some(turn.item.work_id.clone()),
        hops: turn.item.cause.hops + 1,
    }
}

/// `send_message{to, content}`: puts a message into a wired peer's mailbox, durable together with the tool's result.
pub(crate) struct SendMessageTool {
    core: Weak<Core>,
    from: AgentIdentity,
    cause: Cause,
}

impl SendMessageTool {
    pub fn new(core: &Rc<Core>, member: &Member, turn: &OpenTurn) -> Self {
        Self {
            core: Rc::downgrade(core),
            from: member.identity().clone(),
            cause: cause_of(turn),
        }
    }

    fn prepare(&self, args: &Value) -> Result<ToolOutput, ToolError> {
        let to = text_argument(args, "to")?;
        let content = text_argument(args, "content")?;
        let core = self
            .core
            .upgrade()
            .ok_or_else(|| ToolError::new("the mob is closed"))?;
        let to = AgentIdentity::new(to).map_err(|error| ToolError::new(error.to_string()))?;
        let work_id = Ids::new(&core.host).work();
        let (core, from, cause) = (self.core.clone(), self.from.clone(), self.cause.clone());
        let answer =
            object!({ "delivered_to": to, "note": "an answer, if any, comes as a new message" });
        let content = ContentInput::Text(content.to_owned());
        Ok(ToolOutput {
            content: json::text(&answer),
            effect: Some(Box::new(move |batch| match core.upgrade() {
                Some(core) => {
                    core.stage_peer_message(batch, &from, &cause, &work_id, &to, &content, false)
                }
                None => Err("the mob is closed".into()),
            })),
        })
    }
}

const SEND_MESSAGE_SCHEMA: &str = r#"{"type":"object","properties":{
"to":{"type":"string","description":"the peer's name"},
"content":{"type":"string","description":"what to tell it; it sees nothing else of this conversation"}},
"required":["to","content"]}"#;

/// A schema that is written above.
pub(super) fn schema_of(text: &str) -> Value {
    json::parse_own(text.as_bytes()).expect("the schemas are JSON, and each is read by a test")
}

impl Tool for SendMessageTool {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: "send_message".into(),
            description: "Send a message to a peer. The peer works on it by itself; its answer comes later, as a new message.".into(),
            input_schema: schema_of(SEND_MESSAGE_SCHEMA),
        }
    }

    fn call(
        &self,
        args: Value,
        _: ToolContext,
    ) -> LocalBoxFuture<'static, Result<ToolOutput, ToolError>> {
        futures::future::ready(self.prepare(&args)).boxed_local()
    }
}

pub(super) fn text_argument<'a>(args: &'a Value, name: &str) -> Result<&'a str, ToolError> {
    match args.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.as_str()),
        Some(other) => Err(ToolError::new(format!(
            "`{name}` must be a non-empty string, got {}",
            json::text(other)
        ))),
        None => Err(ToolError::new(format!(
            "`{name}` is missing; it must be a non-empty string"
        ))),
    }
}

/// `peers{}`: whom the member can reach.
pub(crate) struct PeersTool {
    core: Weak<Core>,
    identity: AgentIdentity,
}

impl PeersTool {
    pub fn new(core: &Rc<Core>, member: &Member) -> Self {
        Self {
            core: Rc::downgrade(core),
            identity: member.identity().clone(),
        }
    }

    fn list(&self) -> Result<ToolOutput, ToolError> {
        let core = self
            .core
            .upgrade()
            .ok_or_else(|| ToolError::new("the mob is closed"))?;
        let state = core.definition();
        let peers: Vec<Value> = core
            .peers(&self.identity)
            .iter()
            .filter_map(|peer| core.members.get(peer))
            .map(|peer| {
                let described = core.profile(&state.definition, &peer).map(|profile| profile.peer_description.clone());
                object!({ "name": peer.identity(), "role": peer.spec.role_name, "description": described })
            })
            .collect();
        Ok(ToolOutput::json(&object!({ "peers": peers })))
    }
}

impl Tool for PeersTool {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: "peers".into(),
            description: "List the peers that send_message can reach.".into(),
            input_schema: schema_of(r#"{"type":"object","properties":{}}"#),
        }
    }

    fn call(
        &self,
        _: Value,
        _: ToolContext,
    ) -> LocalBoxFuture<'static, Result<ToolOutput, ToolError>> {
        futures::future::ready(self.list()).boxed_local()
    }
}
