//! The tools with which members make members: `delegate` and `mob_spawn_member` (MobKit contract, section 7).

use std::rc::{Rc, Weak};

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use serde_json::Value;

use crate::agent::model::ToolDefinition;
use crate::agent::tool::{Tool, ToolContext, ToolError, ToolOutput};
use crate::mob::core::{Core, Ids};
use crate::mob::delegates::{Delegation, IDLE_RETIRE, SOURCE_MOB, implicit_mob};
use crate::mob::member_tools::{cause_of, schema_of, text_argument};
use crate::mob::roster::SpawnOrder;
use crate::mob::rows::{Member, OpenTurn};
use crate::wire::json::{self, FromJson, object};
use crate::wire::{AgentIdentity, Cause, ContentInput, Labels, ProfileName, SpawnMemberSpec};

/// The profile of a delegate when the call does not say.
const DEFAULT_ROLE: &str = "delegate";

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Delegate,
    SpawnMember,
}

/// `delegate{task, role?, name?, idle_retire_secs?}` and `mob_spawn_member{profile, identity, initial_message?, labels?,
/// auto_wire_parent?, idle_retire_secs?}`: make a member, durable together with the tool's result.
pub(crate) struct MakeMemberTool {
    kind: Kind,
    core: Weak<Core>,
    parent: AgentIdentity,
    cause: Cause,
}

impl MakeMemberTool {
    /// Both tools of a member at work.
    pub fn both(core: &Rc<Core>, member: &Member, turn: &OpenTurn) -> [Rc<Self>; 2] {
        [Kind::Delegate, Kind::SpawnMember].map(|kind| {
            Rc::new(Self {
                kind,
                core: Rc::downgrade(core),
                parent: member.identity().clone(),
                cause: cause_of(turn),
            })
        })
    }

    fn prepare(&self, args: &Value) -> Result<ToolOutput, ToolError> {
        let core = self.core.upgrade();
        let core = core.ok_or_else(|| ToolError::new("the mob is closed"))?;
        let ids = Ids::new(&core.host);
        let (spec, task) = match self.kind {
            Kind::Delegate => self.delegate(&core, args)?,
            Kind::SpawnMember => self.member(args)?,
        };
        let reply = self.kind == Kind::Delegate;
        let wire = reply || flag(args, "auto_wire_parent", true)?;
        let mut spec = spec;
        if let Some(word) = idle_retire(args)? {
            spec.labels.insert(IDLE_RETIRE.to_owned(), word);
        }
        let mut task = task.map(ContentInput::Text);
        if !wire {
            // Nobody would read an answer: it is work of its own.
            spec.initial_message = task.take();
        }
        let answer = match self.kind {
            Kind::Delegate => object!({
                "delegated_to": spec.identity, "note": "its answer comes as a new message: end your turn when you wait for it",
            }),
            Kind::SpawnMember => object!({ "spawned": spec.identity, "wired": wire }),
        };
        let delegation = Delegation {
            parent: self.parent.clone(),
            cause: self.cause.clone(),
            order: SpawnOrder {
                spec,
                session_id: ids.session(),
                interaction_id: ids.interaction(),
                work_id: ids.work(),
            },
            task,
            reply,
            wire,
        };
        let core = self.core.clone();
        Ok(ToolOutput {
            content: json::text(&answer),
            effect: Some(Box::new(move |batch| match core.upgrade() {
                Some(core) => core.stage_delegation(batch, &delegation),
                None => Err("the mob is closed".into()),
            })),
        })
    }

    fn delegate(
        &self,
        core: &Core,
        args: &Value,
    ) -> Result<(SpawnMemberSpec, Option<String>), ToolError> {
        let task = text_argument(args, "task")?.to_owned();
        let role = optional_text(args, "role")?.unwrap_or(DEFAULT_ROLE);
        let definition = &core.definition().definition;
        if definition.profiles.get(role).is_none() {
            let names: Vec<&str> = definition
                .profiles
                .keys()
                .map(ProfileName::as_str)
                .collect();
            return Err(ToolError::new(format!(
                "there is no role `{role}`; `role` must be one of: {}",
                names.join(", ")
            )));
        }
        let name = match optional_text(args, "name")? {
            Some(name) => name.to_owned(),
            None => {
                let uuid = core.host.uuid_v7();
                let tail = &uuid.as_str()[uuid.as_str().len() - 6..];
                // A delegate's delegates are named after whoever began.
                let parent = self.parent.as_str().split("-delegate-").next();
                let parent: String = parent.unwrap_or_default().chars().take(32).collect();
                [&parent, "-delegate-", tail].concat()
            }
        };
        let mut spec = new_member(role, &name)?;
        let group = implicit_mob(&core.mob_id, &self.parent);
        spec.labels.insert(SOURCE_MOB.to_owned(), group);
        spec.additional_instructions = vec![format!(
            "`{0}` made you for one task. The text with which you end your turn is sent to `{0}`: do not send it as a message as well.",
            self.parent
        )];
        Ok((spec, Some(task)))
    }

    fn member(&self, args: &Value) -> Result<(SpawnMemberSpec, Option<String>), ToolError> {
        let profile = text_argument(args, "profile")?;
        let mut spec = new_member(profile, text_argument(args, "identity")?)?;
        if let Some(labels) = args.get("labels").filter(|labels| !labels.is_null()) {
            spec.labels = Labels::from_json(labels.clone()).map_err(|_| {
                ToolError::new(format!(
                    "`labels` must be an object of strings, got {}",
                    json::text(labels)
                ))
            })?;
        }
        let message = optional_text(args, "initial_message")?;
        Ok((spec, message.map(str::to_owned)))
    }
}

const DELEGATE_SCHEMA: &str = r#"{"type":"object","properties":{
"task":{"type":"string","description":"what to do; it sees nothing else of this conversation"},
"role":{"type":"string","description":"its profile; `delegate` when left out"},
"name":{"type":"string","description":"its name; made up when left out"},
"idle_retire_secs":{"type":["integer","null"],"minimum":0,"description":"after how many idle seconds it leaves; null for never"}},
"required":["task"]}"#;

const SPAWN_MEMBER_SCHEMA: &str = r#"{"type":"object","properties":{
"profile":{"type":"string","description":"what it is made from"},
"identity":{"type":"string","description":"its name"},
"initial_message":{"type":"string","description":"what to tell it first"},
"labels":{"type":"object","additionalProperties":{"type":"string"}},
"auto_wire_parent":{"type":"boolean","description":"whether you and it can talk; true when left out"},
"idle_retire_secs":{"type":["integer","null"],"minimum":0,"description":"after how many idle seconds it leaves; null for never"}},
"required":["profile","identity"]}"#;

fn new_member(role: &str, name: &str) -> Result<SpawnMemberSpec, ToolError> {
    SpawnMemberSpec::new(role, name).map_err(|error| ToolError::new(error.to_string()))
}

fn optional_text<'a>(args: &'a Value, name: &str) -> Result<Option<&'a str>, ToolError> {
    match args.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => text_argument(args, name).map(Some),
    }
}

fn flag(args: &Value, name: &str, default: bool) -> Result<bool, ToolError> {
    match args.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(wrong(name, "true or false", other)),
    }
}

/// What a call says of idle retirement, as the label has it: null disables it, left out the default holds.
fn idle_retire(args: &Value) -> Result<Option<String>, ToolError> {
    const NAME: &str = "idle_retire_secs";
    match args.get(NAME) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some("disabled".to_owned())),
        Some(value) => match value.as_u64() {
            Some(seconds) => Ok(Some(seconds.to_string())),
            None => Err(wrong(
                NAME,
                "a whole number of seconds, or null for never",
                value,
            )),
        },
    }
}

fn wrong(name: &str, what: &str, got: &Value) -> ToolError {
    ToolError::new(format!("`{name}` must be {what}, got {}", json::text(got)))
}

impl Tool for MakeMemberTool {
    fn definition(&self) -> ToolDefinition {
        let (name, description, schema) = match self.kind {
            Kind::Delegate => (
                "delegate",
                "Make a member for one task. It works by itself; its answer comes later, as a new message.",
                DELEGATE_SCHEMA,
            ),
            Kind::SpawnMember => (
                "mob_spawn_member",
                "Add a member to the mob, to stay.",
                SPAWN_MEMBER_SCHEMA,
            ),
        };
        ToolDefinition {
            name: name.into(),
            description: description.into(),
            input_schema: schema_of(schema),
        }
    }

    fn call(
        &self,
        args: Value,
        _: ToolContext,
    ) -> LocalBoxFuture<'static, Result<ToolOutput, ToolError>> {
        ready(self.prepare(&args)).boxed_local()
    }
}
