//! Agent events as the log stores them, attributed at birth, and the envelopes made from them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::json::{self, Blank, Fields, FromJson, from_json};
use super::raw_json;
use super::{
    AgentEvent, AgentIdentity, AgentRuntimeId, Cursor, FenceToken, Generation, InteractionId,
    PersistedEvent, ProfileName, TimestampMs, WorkId,
};

/// Why a piece of work exists. Events, messages and replies inherit it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The interaction that it belongs to.
    pub interaction_id: InteractionId,
    /// The work item that set it off; none for the one that began the interaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<WorkId>,
    /// How many members passed it on.
    pub hops: u32,
}

from_json!(Cause deserialize { interaction_id, caused_by, hops = default });

/// What the log of agent events stores: an event and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentEventRecord {
    /// Which member.
    pub identity: AgentIdentity,
    /// Which incarnation of it.
    pub generation: Generation,
    /// Under which token.
    pub fence_token: FenceToken,
    /// Its role (profile).
    pub role: ProfileName,
    /// When, by the wall clock.
    pub timestamp_ms: TimestampMs,
    /// For which interaction, when it is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interaction_id: Option<InteractionId>,
    /// For which work item, when it is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_id: Option<WorkId>,
    /// On the end of a run: the interaction does not end with it for this member. It is the one that was asked, whose
    /// interaction ends by an event of its own, or the run was interrupted and begins anew.
    #[serde(skip_serializing_if = "is_false")]
    pub continues: bool,
    /// What happened.
    pub event: AgentEvent,
}

from_json!(AgentEventRecord deserialize { identity, generation, fence_token, role, timestamp_ms, interaction_id, work_id, continues = default, event });

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

impl AgentEventRecord {
    /// The incarnation that the event is of.
    pub fn runtime_id(&self) -> AgentRuntimeId {
        AgentRuntimeId {
            identity: self.identity.clone(),
            generation: self.generation,
        }
    }

    /// The event's JSON with `interaction_id` and `work_id` where known.
    pub fn payload(&self) -> Value {
        let mut payload = match json::value_of(&self.event) {
            Value::Object(fields) => fields,
            // An event has string keys only and always is an object; a number that JSON lacks becomes null.
            _ => Map::new(),
        };
        let ids = [
            (
                "interaction_id",
                self.interaction_id.as_ref().map(InteractionId::as_str),
            ),
            ("work_id", self.work_id.as_ref().map(WorkId::as_str)),
        ];
        for (key, id) in ids {
            if let Some(id) = id {
                payload
                    .entry(key)
                    .or_insert_with(|| Value::String(id.to_owned()));
            }
        }
        Value::Object(payload)
    }

    /// The contract's envelope of the entry at `cursor`: `event_id` is `evt-agent-{cursor}`, `agent_id` is
    /// `{identity}:{generation}`, the payload is [`payload`](Self::payload).
    pub fn to_unified(&self, cursor: Cursor) -> EventEnvelope<UnifiedEvent> {
        EventEnvelope {
            event_id: format!("evt-agent-{cursor}"),
            source: "agent".to_owned(),
            timestamp_ms: self.timestamp_ms,
            event: UnifiedEvent::Agent {
                agent_id: self.runtime_id().to_string(),
                event_type: self.event.agent_event_type().to_owned(),
                payload: self.payload(),
            },
        }
    }

    /// The row of the operational log for the entry at `cursor` (MobKit contract, section 9.1).
    pub fn to_persisted(&self, cursor: Cursor) -> PersistedEvent {
        let envelope = self.to_unified(cursor);
        PersistedEvent {
            id: envelope.event_id,
            seq: cursor,
            timestamp_ms: envelope.timestamp_ms,
            member_id: Some(self.runtime_id().to_string()),
            identity: Some(self.identity.clone()),
            event: envelope.event,
        }
    }
}

/// What the log of agent events stores of a module: an event, between those of the members (MobKit contract, section 14).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModuleEventRecord {
    /// Which module.
    pub module: String,
    /// The event's name, which is the module's or the runtime's own.
    pub id: String,
    /// When, by the clock of whoever tells of it.
    pub timestamp_ms: TimestampMs,
    /// What happened.
    pub event: ModuleEvent,
}

/// What happened to a module, or by it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModuleEvent {
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What is said about it.
    pub payload: Value,
}

from_json!(ModuleEventRecord {
    module,
    id,
    timestamp_ms,
    event
});

impl Blank for ModuleEvent {
    fn blank() -> Self {
        Self {
            event_type: String::new(),
            payload: Value::Null,
        }
    }
}

impl FromJson for ModuleEvent {
    fn from_json(value: Value) -> Result<Self, serde_json::Error> {
        let mut fields = Fields::of(value)?;
        Ok(Self {
            event_type: fields.take("type")?,
            payload: fields.take("payload")?,
        })
    }
}

/// A record as it is stored, of a member or of a module: what readers want of it can be had without decoding it. Every piece is JSON.
pub(crate) struct RecordText<'a> {
    /// The module, and the event's name; none if it is a member's.
    pub module: Option<[&'a str; 2]>,
    /// Empty for a module.
    pub identity: &'a str,
    pub timestamp_ms: &'a str,
    pub interaction_id: Option<&'a str>,
    pub event_type: &'a str,
    pub continues: bool,
    /// Who it is from, where the event says so.
    pub from: Option<&'a str>,
    /// Which call it is about, where it is about one.
    id: Option<&'a str>,
    generation: &'a str,
    work_id: Option<&'a str>,
    event: &'a str,
    /// Whether the event names its interaction and its work item itself.
    named: [bool; 2],
}

impl<'a> RecordText<'a> {
    /// Finds the pieces of a record's JSON; none, if it is another text.
    pub fn of(json: &'a [u8]) -> Option<Self> {
        let [
            identity,
            generation,
            timestamp_ms,
            interaction_id,
            work_id,
            continues,
            event,
            module,
            name,
        ] = pieces(
            json,
            [
                "identity",
                "generation",
                "timestamp_ms",
                "interaction_id",
                "work_id",
                "continues",
                "event",
                "module",
                "id",
            ],
        )?;
        let event = event?;
        if let (Some(module), Some(name)) = (module, name) {
            let [event_type, payload] = pieces(event.as_bytes(), ["type", "payload"])?;
            return Some(Self {
                module: Some([module, name]),
                identity: "",
                timestamp_ms: timestamp_ms?,
                interaction_id: None,
                event_type: event_type?,
                continues: false,
                from: None,
                id: None,
                generation: "",
                work_id: None,
                event: payload?,
                named: [true, true],
            });
        }
        let names = ["type", "interaction_id", "work_id", "from", "id"];
        let [event_type, own_interaction, own_work, from, id] = pieces(event.as_bytes(), names)?;
        Some(Self {
            module: None,
            identity: identity?,
            timestamp_ms: timestamp_ms?,
            interaction_id,
            event_type: event_type?,
            continues: continues == Some("true"),
            from,
            id,
            generation: generation?,
            work_id,
            event: event.strip_suffix('}')?,
            named: [own_interaction.is_some(), own_work.is_some()],
        })
    }

    /// The JSON of [`AgentEventRecord::runtime_id`]'s text.
    pub fn member_id(&self) -> String {
        let name = self.identity.strip_suffix('"').unwrap_or_default();
        [name, ":", self.generation, "\""].concat()
    }

    /// The JSON of [`AgentEventRecord::payload`], or of a module's.
    pub fn payload(&self) -> String {
        let mut text = String::from(self.event);
        if self.module.is_some() {
            return text;
        }
        let ids = [
            (r#","interaction_id":"#, self.interaction_id),
            (r#","work_id":"#, self.work_id),
        ];
        for ((name, id), named) in ids.into_iter().zip(self.named) {
            if let (Some(id), false) = (id, named) {
                text.push_str(name);
                text.push_str(id);
            }
        }
        text.push('}');
        text
    }

    /// [`payload`](Self::payload), where an event about a tool call names the call as `tool_call_id` too.
    pub fn tool_payload(&self) -> String {
        let payload = self.payload();
        let about_tool = self.event_type.starts_with(r#""tool_"#);
        let id = about_tool.then_some(self.id).flatten();
        match (id, payload.strip_suffix('}')) {
            (Some(id), Some(fields)) => [fields, r#","tool_call_id":"#, id, "}"].concat(),
            _ => payload,
        }
    }

    /// [`AgentEventRecord::to_persisted`]; none, if a piece is not what it should be.
    pub fn to_persisted_event(&self, cursor: Cursor) -> Option<PersistedEvent> {
        let text = |json: &str| json::decode_own::<String>(json.as_bytes()).ok();
        let timestamp_ms = TimestampMs::new(self.timestamp_ms.parse().ok()?);
        let payload = json::parse_own(self.payload().as_bytes()).ok()?;
        let event_type = text(self.event_type)?;
        if let Some([module, name]) = self.module {
            return Some(PersistedEvent {
                id: text(name)?,
                seq: cursor,
                timestamp_ms,
                member_id: None,
                identity: None,
                event: UnifiedEvent::Module {
                    module: text(module)?,
                    event_type,
                    payload,
                },
            });
        }
        let member_id = text(&self.member_id())?;
        Some(PersistedEvent {
            id: format!("evt-agent-{cursor}"),
            seq: cursor,
            timestamp_ms,
            member_id: Some(member_id.clone()),
            identity: Some(AgentIdentity::new(text(self.identity)?).ok()?),
            event: UnifiedEvent::Agent {
                agent_id: member_id,
                event_type,
                payload,
            },
        })
    }

    /// The JSON of [`AgentEventRecord::to_persisted`].
    pub fn to_persisted(&self, cursor: Cursor) -> String {
        let (id, member_id) = (self.event_id(cursor), self.member_id());
        let seq = json::text_of(&cursor);
        // A module has neither.
        let (whose, named) = match self.module {
            Some(_) => ("null", ""),
            None => (member_id.as_str(), r#","identity":"#),
        };
        let head = [
            r#"{"id":"#,
            &id,
            r#","seq":"#,
            &seq,
            r#","timestamp_ms":"#,
            self.timestamp_ms,
            r#","member_id":"#,
            whose,
            named,
            self.identity,
        ];
        self.before_event(&head, &member_id)
    }

    /// The JSON of the contract's envelope of the entry at `cursor`.
    pub fn to_envelope(&self, cursor: Cursor) -> String {
        let source = match self.module {
            Some(_) => "module",
            None => "agent",
        };
        let head = [
            r#"{"event_id":"#,
            &self.event_id(cursor),
            r#","source":""#,
            source,
            r#"","timestamp_ms":"#,
            self.timestamp_ms,
        ];
        self.before_event(&head, &self.member_id())
    }

    /// An object's first fields, and the JSON of the [`UnifiedEvent`] as its last, `event`: put together once, for there are many.
    fn before_event(&self, head: &[&str], member_id: &str) -> String {
        let (kind, whose) = match self.module {
            Some([module, _]) => (r#","event":{"kind":"module","module":"#, module),
            None => (r#","event":{"kind":"agent","agent_id":"#, member_id),
        };
        let payload = self.payload();
        let tail = [
            kind,
            whose,
            r#","event_type":"#,
            self.event_type,
            r#","payload":"#,
            &payload,
            "}}",
        ];
        let parts = || head.iter().chain(&tail);
        let mut text = String::with_capacity(parts().map(|part| part.len()).sum());
        parts().for_each(|part| text.push_str(part));
        text
    }

    /// The JSON of the event's name.
    pub fn event_id(&self, cursor: Cursor) -> String {
        match self.module {
            Some([_, name]) => name.to_owned(),
            None => [r#""evt-agent-"#, &cursor.to_string(), "\""].concat(),
        }
    }
}

fn pieces<'a, const N: usize>(json: &'a [u8], names: [&str; N]) -> Option<[Option<&'a str>; N]> {
    let found = raw_json::fields(json, names).ok()?;
    let mut pieces = [None; N];
    for (piece, found) in pieces.iter_mut().zip(found) {
        if let Some(found) = found {
            *piece = Some(std::str::from_utf8(found).ok()?);
        }
    }
    Some(pieces)
}

/// An event with its number, source and time (MobKit contract, section 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventEnvelope<T> {
    /// Unique within the runtime, and stable.
    pub event_id: String,
    /// `agent` for agent events, `module` for module events.
    pub source: String,
    /// When, by the wall clock.
    pub timestamp_ms: TimestampMs,
    /// The event.
    pub event: T,
}

/// An event of a member or of a module, tagged `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum UnifiedEvent {
    /// Of a member.
    Agent {
        /// Which incarnation, `{identity}:{generation}`.
        agent_id: String,
        /// The event's type.
        event_type: String,
        /// The event's JSON.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        payload: Value,
    },
    /// Of a module.
    Module {
        /// Which module.
        module: String,
        /// The event's type.
        event_type: String,
        /// What the module says about it.
        payload: Value,
    },
}

impl UnifiedEvent {
    /// The event's type.
    pub fn event_type(&self) -> &str {
        match self {
            Self::Agent { event_type, .. } | Self::Module { event_type, .. } => event_type,
        }
    }
}
