//! Console events (MobKit contract, section 11): what a member does, in the words of a console.
//!
//! An event carries its cause from birth, so that nothing has to be reserved, queued or matched: a view of the agent-event log is
//! all there is, with ids that are never given twice and a replay that goes as far back as the log.

use futures::StreamExt;
use futures::stream::LocalBoxStream;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::log::{GapReason, LogItem};
use crate::mob::MobError;
use crate::runtime::UnifiedRuntime;
use crate::runtime::events::{self, record_of};
use crate::runtime::timeline::event_id;
use crate::wire::agent_record::RecordText;
use crate::wire::json;
use crate::wire::{
    AgentEventRecord, AgentIdentity, Cursor, EventQuery, InteractionId, ResponsePhase, TimestampMs,
};

/// The console's name, as JSON, of what a record tells; none for what a console does not show.
pub(super) fn kind_of<'a>(record: &RecordText<'a>) -> Option<&'a str> {
    match (record.event_type, record.continues) {
        _ if record.module.is_some() => None,
        (r#""run_completed""#, false) => Some(r#""interaction_complete""#),
        (r#""run_failed""#, false) => Some(r#""interaction_failed""#),
        (other, _) => Some(other),
    }
}

/// One console event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConsoleIdentityEventEnvelope {
    /// Unique in the mob, over restarts too.
    pub event_id: String,
    /// Which interaction it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interaction_id: Option<InteractionId>,
    /// Whose; `_system` for the first.
    pub identity: String,
    /// What it tells: an agent event's type, where the end of a run is `interaction_complete` or `interaction_failed` unless the
    /// interaction goes on.
    pub event_type: String,
    /// When, by the wall clock.
    pub timestamp_ms: TimestampMs,
    /// The event, and its own type as `source_event_type`.
    pub data: Value,
}

/// The console events of a mob. Clones are the same events.
#[derive(Clone)]
pub struct ConsoleEventStore {
    runtime: UnifiedRuntime,
}

impl ConsoleEventStore {
    /// None for what a module tells: it is no identity's.
    fn envelope(
        cursor: Cursor,
        json: &[u8],
    ) -> Result<Option<ConsoleIdentityEventEnvelope>, MobError> {
        let text = record_of(cursor, json)?;
        let Some(kind) = kind_of(&text) else {
            return Ok(None);
        };
        let kind = kind.trim_matches('"');
        let record: AgentEventRecord =
            json::decode_own(json).map_err(|error| crate::log::LogError::corrupt(cursor, error))?;
        let mut data = match record.payload() {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let source = Value::from(record.event.agent_event_type());
        data.entry("source_event_type").or_insert(source);
        Ok(Some(ConsoleIdentityEventEnvelope {
            event_id: event_id(cursor),
            interaction_id: record.interaction_id.clone(),
            identity: record.identity.to_string(),
            event_type: kind.to_owned(),
            timestamp_ms: record.timestamp_ms,
            data: Value::Object(data),
        }))
    }

    fn bootstrapped(&self) -> ConsoleIdentityEventEnvelope {
        let mut data = Map::new();
        data.insert("source".to_owned(), "unified_runtime".into());
        ConsoleIdentityEventEnvelope {
            event_id: "console-evt-1".to_owned(),
            interaction_id: None,
            identity: "_system".to_owned(),
            event_type: "runtime_bootstrapped".to_owned(),
            timestamp_ms: self.runtime.inner.core.definition().created_at,
            data: Value::Object(data),
        }
    }

    /// All events that are kept, or those from `last_event_id` on, which is among them.
    ///
    /// # Errors
    /// [`MobError::ReplayUnavailable`] if there is no such event, or it is not kept any more; storage's.
    pub async fn replay_all(
        &self,
        last_event_id: Option<&str>,
    ) -> Result<Vec<ConsoleIdentityEventEnvelope>, MobError> {
        let log = &self.runtime.inner.core.events;
        let last = last_event_id.map(str::trim).filter(|id| !id.is_empty());
        let number = |id: &str| id.strip_prefix("evt-agent-")?.parse::<Cursor>().ok();
        let mut replay = Vec::new();
        let mut after = match last {
            None | Some("console-evt-1") => {
                replay.push(self.bootstrapped());
                Cursor::START
            }
            Some(id) => number(id).unwrap_or(Cursor::START).previous(),
        };
        let latest = log.latest();
        while after < latest {
            for item in log.read_undecoded(after, 256).await? {
                after = item.cursor();
                if let LogItem::Entry { cursor, entry } = item {
                    replay.extend(Self::envelope(cursor, entry.json())?);
                }
            }
        }
        match last {
            Some(id) if replay.first().is_none_or(|first| first.event_id != id) => {
                Err(MobError::ReplayUnavailable {
                    requested_cursor: id.to_owned(),
                    latest_cursor: latest,
                })
            }
            _ => Ok(replay),
        }
    }

    /// What happens from now on. A slow reader loses nothing.
    ///
    /// # Errors
    /// None now; a later kind of start may have some.
    pub fn subscribe(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<ConsoleIdentityEventEnvelope, MobError>>, MobError>
    {
        let log = &self.runtime.inner.core.events;
        let items = log.follow(log.latest())?.undecoded();
        let told = items.filter_map(|item| async move {
            match item {
                Ok(LogItem::Entry { cursor, entry }) => {
                    Self::envelope(cursor, entry.json()).transpose()
                }
                // An unclean stop's numbers were shown to nobody who is still there.
                Ok(LogItem::Gap {
                    reason: GapReason::UncleanStop,
                    ..
                }) => None,
                Ok(LogItem::Gap { to, .. }) => Some(Err(MobError::ReplayUnavailable {
                    requested_cursor: event_id(to),
                    latest_cursor: to,
                })),
                Err(error) => Some(Err(error.into())),
            }
        });
        Ok(told.boxed_local())
    }

    /// What a member is doing for whoever waits for it; none when nobody does.
    ///
    /// # Errors
    /// Storage's.
    pub async fn response_phase_for_identity(
        &self,
        identity: &AgentIdentity,
    ) -> Result<Option<ResponsePhase>, MobError> {
        let core = &self.runtime.inner.core;
        if core.turns.get(identity).is_none() {
            let waits = (identity.clone(), 0)..=(identity.clone(), u64::MAX);
            let waits = !core.mailbox.range(waits).is_empty();
            return Ok(waits.then_some(ResponsePhase::Waiting));
        }
        let query = EventQuery {
            identity: Some(identity.to_string()),
            event_types: PHASES.iter().map(|(name, _)| (*name).to_owned()).collect(),
            ..EventQuery::default()
        };
        let page = events::backwards(core, &query, core.events.latest().next(), 1).await?;
        let Some(LogItem::Entry { cursor, entry }) = page.items.last() else {
            return Ok(Some(ResponsePhase::Waiting));
        };
        let record = record_of(*cursor, entry.json())?;
        let name = record.event_type.trim_matches('"');
        let phase = PHASES.iter().find(|(known, _)| *known == name);
        Ok(Some(
            phase.map_or(ResponsePhase::Waiting, |(_, phase)| *phase),
        ))
    }
}

/// The events that begin a phase (MobKit contract, section 11.4).
const PHASES: &[(&str, ResponsePhase)] = &[
    ("run_started", ResponsePhase::Waiting),
    ("text_delta", ResponsePhase::Generating),
    ("tool_call_requested", ResponsePhase::ToolExecuting),
    ("tool_result_received", ResponsePhase::ToolExecuting),
];

impl UnifiedRuntime {
    /// The console events.
    pub fn console_events(&self) -> ConsoleEventStore {
        ConsoleEventStore {
            runtime: self.clone(),
        }
    }
}
