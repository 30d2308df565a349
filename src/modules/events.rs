//! What modules tell, and what is told of them: entries of the log of agent events, between those of the members (MobKit contract,
//! sections 14.4 and 14.6).

use serde_json::Value;

use crate::log::{LogItem, RawItem};
use crate::mob::{Core, MobError};
use crate::storage::Batch;
use crate::wire::agent_record::RecordText;
use crate::wire::json::{self, ToValue, object, words};
use crate::wire::{Cursor, ModuleEvent, ModuleEventRecord, TimestampMs};
use crate::wire::{ModuleError, ModuleErrorKind};

/// How far back a checkpoint is looked for (MobKit contract, section 24.3, row 10).
const RING: usize = 4_096;
/// How many events are told again when there is no checkpoint.
const REPLAY: usize = 256;
/// Entries that one look into the log reads.
const PAGE: usize = 256;

/// An event of a module at a time.
pub(crate) fn event(
    module: &str,
    id: String,
    event_type: &str,
    at: TimestampMs,
    payload: Value,
) -> ModuleEventRecord {
    ModuleEventRecord {
        module: module.to_owned(),
        id,
        timestamp_ms: at,
        event: ModuleEvent {
            event_type: event_type.to_owned(),
            payload,
        },
    }
}

/// Tells of events with the commit.
pub(crate) fn stage(core: &Core, batch: &mut Batch, events: Vec<ModuleEventRecord>) {
    core.events.beside().stage(batch, events);
}

/// Tells of an event now.
pub(crate) fn append(core: &Core, event: ModuleEventRecord) {
    core.events.beside().append(event);
}

/// An event as a module tells it: the contract's envelope with its tag, or flat. What an event has always may be left out: its name,
/// the source, the time, and which module it is of.
///
/// # Errors
/// [`ModuleErrorKind::InvalidEvent`], with what is wrong in the data: `invalid_schema`, `missing_field`, `invalid_field_type` or
/// `source_mismatch`.
pub(crate) fn normalised(
    module: &str,
    told: &Value,
    now: TimestampMs,
    fresh: impl FnOnce() -> String,
) -> Result<ModuleEventRecord, ModuleError> {
    if !told.is_object() {
        return Err(invalid("invalid_schema", "event", "an event is an object"));
    }
    let inner = match told.get("event") {
        None => told,
        Some(inner) if inner.is_object() => inner,
        Some(_) => return Err(not_of_type("event", "an object")),
    };
    let text = |of: &Value, name: &'static str| match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        // It may stand in a line of an event stream.
        Some(Value::String(text))
            if !text.trim().is_empty() && !text.contains(char::is_control) =>
        {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(not_of_type(name, "a non-empty string of one line")),
    };
    let timestamp_ms = match told.get("timestamp_ms") {
        None | Some(Value::Null) => now,
        Some(value) => match value.as_u64() {
            Some(at) => TimestampMs::new(at),
            None => {
                return Err(not_of_type(
                    "timestamp_ms",
                    "a whole number of milliseconds",
                ));
            }
        },
    };
    let said = [
        ("source", text(told, "source")?, "module"),
        ("kind", text(inner, "kind")?, "module"),
        ("module", text(inner, "module")?, module),
    ];
    for (name, got, expected) in said {
        if let Some(got) = got.filter(|got| got != expected) {
            let message = format!("{name} is '{got}'; it must be '{expected}'");
            return Err(
                ModuleError::new(ModuleErrorKind::InvalidEvent, message).with(object!({
                    "problem": "source_mismatch", "field": name, "expected": expected, "got": got,
                })),
            );
        }
    }
    let event_type = text(inner, "event_type")?
        .ok_or_else(|| invalid("missing_field", "event_type", "event_type is missing"))?;
    let id = text(told, "event_id")?.unwrap_or_else(fresh);
    let payload = inner.get("payload").cloned().unwrap_or_default();
    Ok(event(module, id, &event_type, timestamp_ms, payload))
}

fn invalid(problem: &str, field: &str, message: &str) -> ModuleError {
    ModuleError::new(ModuleErrorKind::InvalidEvent, message)
        .with(object!({ "problem": problem, "field": field }))
}

fn not_of_type(field: &str, what: &str) -> ModuleError {
    invalid(
        "invalid_field_type",
        field,
        &format!("{field} must be {what}"),
    )
}

words! {
    /// Which events a subscription is about.
    #[derive(Default)]
    pub enum SubscribeScope {
        /// All.
        #[default]
        Mob = "mob",
        /// Those of one member.
        Agent = "agent",
        /// Those whose type begins with `interaction`.
        Interaction = "interaction",
    }
}

/// What is subscribed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// Which events.
    pub scope: SubscribeScope,
    /// The last event that was heard: it is told again, with those after it.
    pub last_event_id: Option<String>,
    /// Whose: `identity` or `identity:generation`.
    pub agent_id: Option<String>,
}

/// What happened, told again: the JSON of `{scope, replay_from_event_id, keep_alive, keep_alive_comment, event_frames, events}`
/// (MobKit contract, section 14.6).
///
/// # Errors
/// [`ModuleErrorKind`]: `EmptyCheckpoint`, `UnknownCheckpoint`, `MissingAgentId`, `InvalidAgentId`; storage's.
pub(crate) async fn subscribe(core: &Core, request: &SubscribeRequest) -> Result<String, MobError> {
    let mut replay = Replay::of(request)?;
    let mut before = core.events.latest().next();
    while replay.seen < RING {
        let items = core.events.read_before_undecoded(before, PAGE).await?;
        before = replay.look(&items, before);
        if items.is_empty() || replay.is_full() {
            break;
        }
        core.host.yield_now().await;
    }
    Ok(replay.told(request)?)
}

/// What was found so far of what is told again, from the newest on.
struct Replay {
    scope: SubscribeScope,
    /// The member that it is about, if it is about one.
    whose: Option<String>,
    /// The event to go back to, if there is one.
    sought: Option<String>,
    /// Whether that was found, or need not be.
    known: bool,
    seen: usize,
    found: Vec<Told>,
}

impl Replay {
    fn of(request: &SubscribeRequest) -> Result<Self, ModuleError> {
        let checkpoint = request.last_event_id.as_deref();
        if checkpoint.is_some_and(|id| id.trim().is_empty()) {
            return Err(ModuleError::new(
                ModuleErrorKind::EmptyCheckpoint,
                "last_event_id must be a non-empty string",
            ));
        }
        let whose = match (request.scope, request.agent_id.as_deref().map(str::trim)) {
            (SubscribeScope::Agent, None) => {
                return Err(ModuleError::new(
                    ModuleErrorKind::MissingAgentId,
                    "agent_id is required when scope is 'agent'",
                ));
            }
            (_, Some("")) => {
                return Err(ModuleError::new(
                    ModuleErrorKind::InvalidAgentId,
                    "agent_id must be a non-empty string",
                ));
            }
            (SubscribeScope::Agent, Some(whose)) => Some(json::text(&whose.to_value())),
            _ => None,
        };
        Ok(Self {
            scope: request.scope,
            whose,
            sought: checkpoint.map(|id| json::text(&id.to_value())),
            known: checkpoint.is_none(),
            seen: 0,
            found: Vec::new(),
        })
    }

    fn wants(&self, record: &RecordText<'_>) -> bool {
        match self.scope {
            SubscribeScope::Mob => true,
            SubscribeScope::Interaction => record.event_type.starts_with(r#""interaction"#),
            SubscribeScope::Agent => self
                .whose
                .as_ref()
                .is_some_and(|whose| record.identity == whose || record.member_id() == *whose),
        }
    }

    fn is_full(&self) -> bool {
        match self.sought {
            Some(_) => self.known || self.found.len() == RING,
            None => self.found.len() == REPLAY,
        }
    }

    /// Looks at a page, the newest entry first; answers before which entry the next one is.
    fn look(&mut self, items: &[RawItem], mut before: Cursor) -> Cursor {
        for item in items.iter().rev() {
            let (cursor, entry) = match item {
                LogItem::Gap { from, .. } => {
                    before = *from;
                    continue;
                }
                LogItem::Entry { cursor, entry } => (*cursor, entry),
            };
            before = cursor;
            self.seen += 1;
            let record = RecordText::of(entry.json());
            let Some(record) = record.filter(|record| self.wants(record)) else {
                continue;
            };
            let told = Told {
                at: record.timestamp_ms.parse().unwrap_or_default(),
                id: record.event_id(cursor),
                event_type: record.event_type.to_owned(),
                envelope: record.to_envelope(cursor),
            };
            self.known |= self.sought.as_ref() == Some(&told.id);
            self.found.push(told);
            if self.is_full() {
                break;
            }
        }
        before
    }

    fn told(self, request: &SubscribeRequest) -> Result<String, ModuleError> {
        let checkpoint = request.last_event_id.as_deref();
        if !self.known {
            let id = checkpoint.unwrap_or_default();
            return Err(ModuleError::new(
                ModuleErrorKind::UnknownCheckpoint,
                format!("unknown last_event_id '{id}'"),
            )
            .with(object!({ "last_event_id": id })));
        }
        // What a module tells late is put where it belongs; what is of one time stays in the order in which it was told.
        let mut told: Vec<Told> = Vec::with_capacity(self.found.len());
        for next in self.found.into_iter().rev() {
            let place = told.partition_point(|other| other.at <= next.at);
            told.insert(place, next);
        }
        Ok(answer(request.scope, checkpoint, &told))
    }
}

/// An event that is told again; all but the time is JSON.
struct Told {
    at: u64,
    id: String,
    event_type: String,
    envelope: String,
}

fn answer(scope: SubscribeScope, checkpoint: Option<&str>, told: &[Told]) -> String {
    let plain = |text: &str| {
        let plain = json::decode_own::<String>(text.as_bytes()).unwrap_or_default();
        match plain.contains(|c: char| c < ' ') {
            false => plain,
            // A schedule may have any name; in a frame it must not end the line.
            true => text.trim_matches('"').to_owned(),
        }
    };
    let frames = told.iter().map(|told| {
        let (id, name) = (plain(&told.id), plain(&told.event_type));
        [
            "id: ",
            &id,
            "\nevent: ",
            &name,
            "\ndata: ",
            &told.envelope,
            "\n\n",
        ]
        .concat()
    });
    let head = object!({
        "scope": scope,
        "replay_from_event_id": checkpoint,
        "keep_alive": object!({ "interval_ms": 15_000_u32, "event": "keep-alive" }),
        "keep_alive_comment": ": keep-alive\n\n",
        "event_frames": frames.collect::<Vec<_>>(),
    });
    let mut text = json::text(&head);
    text.pop();
    text.push_str(r#","events":["#);
    for (at, told) in told.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&told.envelope);
    }
    text.push_str("]}");
    text
}
