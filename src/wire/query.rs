//! Queries over logs and what they answer (MobKit contract, sections 9.1 and 10.4).

use serde::{Deserialize, Serialize};

use super::agent_record::RecordText;
use super::json::{self, ToValue, from_json};
use super::{
    AgentIdentity, Cursor, MobId, MobStructuralEventEnvelope, RunId, StepId, TimestampMs,
    UnifiedEvent,
};

/// How many entries a query answers with when it does not say.
pub const DEFAULT_QUERY_LIMIT: usize = 256;

/// What to look for in a log. Every field may be left out; those given must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventQuery {
    /// From this instant on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<TimestampMs>,
    /// Before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<TimestampMs>,
    /// About this member; overruled by `identity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id: Option<String>,
    /// About this member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// In this mob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mob_id: Option<MobId>,
    /// About this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// About this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_id: Option<StepId>,
    /// Of one of these types; any, when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// At most so many; 0 asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// After this place, oldest first; when it is left out, the newest are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_seq: Option<Cursor>,
}

from_json!(EventQuery deserialize { since_ms, until_ms, member_id, identity, mob_id, run_id, step_id, event_types = default, limit, after_seq } deny);

impl EventQuery {
    /// The limit asked for, else [`DEFAULT_QUERY_LIMIT`].
    pub fn limit_or_default(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_QUERY_LIMIT)
    }

    /// Whether the time lies in the window: `since_ms` is inclusive, `until_ms` exclusive.
    fn in_window(&self, at: TimestampMs) -> bool {
        self.since_ms.is_none_or(|since| at >= since)
            && self.until_ms.is_none_or(|until| at < until)
    }

    fn is_type_wanted(&self, event_type: &str) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|wanted| wanted == event_type)
    }

    fn wanted_member(&self) -> Option<&str> {
        self.identity.as_deref().or(self.member_id.as_deref())
    }

    /// Whether a ledger entry is meant (MobKit contract, section 10.4). The place (`after_seq`) and the limit are the
    /// reader's business. An entry about two members is about none, so that no identity matches it.
    pub fn envelope_matches(&self, envelope: &MobStructuralEventEnvelope) -> bool {
        fn equal<T: PartialEq>(wanted: Option<&T>, is: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| is == Some(wanted))
        }
        self.in_window(envelope.timestamp_ms)
            && equal(self.mob_id.as_ref(), Some(&envelope.mob_id))
            && equal(self.run_id.as_ref(), envelope.run_id.as_ref())
            && equal(self.step_id.as_ref(), envelope.step_id.as_ref())
            && self.wanted_member().is_none_or(|wanted| {
                envelope
                    .agent_identity
                    .as_ref()
                    .is_some_and(|is| is.as_str() == wanted)
            })
            && self.is_type_wanted(&envelope.kind)
    }

    /// Whether an entry of the agent-event log is meant. A member is named by its identity or by `identity:generation`.
    /// Agent events are about no run or step and carry no mob, so that a query which asks for one finds none.
    pub(crate) fn record_matches(&self, record: &RecordText<'_>) -> bool {
        // A number that is none is the end of time, which no window holds.
        let at = record.timestamp_ms.parse().unwrap_or(u64::MAX);
        let json_of = |text: &str| json::text(&text.to_value());
        self.run_id.is_none()
            && self.step_id.is_none()
            && self.in_window(TimestampMs::new(at))
            && self.wanted_member().is_none_or(|wanted| {
                let wanted = json_of(wanted);
                record.identity == wanted || record.member_id() == wanted
            })
            && (self.event_types.is_empty()
                || self
                    .event_types
                    .iter()
                    .any(|wanted| json_of(wanted) == record.event_type))
    }
}

/// A part of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MobEventsPage {
    /// The matches, oldest first.
    pub events: Vec<MobStructuralEventEnvelope>,
    /// The last match's place, else the place asked after, else the latest before the query.
    pub next_after_seq: Cursor,
    /// How far the ledger was looked through; going on from here skips what did not match.
    pub resume_after_seq: Cursor,
}

/// A row of the operational log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PersistedEvent {
    /// The envelope's `event_id`; a store that gets a row twice knows it by this.
    pub id: String,
    /// Its place in the log.
    pub seq: Cursor,
    /// When, by the wall clock.
    pub timestamp_ms: TimestampMs,
    /// The `agent_id` for an agent event, null for a module event.
    pub member_id: Option<String>,
    /// The member's identity, without the generation (an addition to the contract).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<AgentIdentity>,
    /// The event.
    pub event: UnifiedEvent,
}

/// Numbers of a log that hold no entry any more, or never did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryGap {
    /// The first missing number.
    pub from: Cursor,
    /// The last missing number.
    pub to: Cursor,
    /// `retention` or `unclean_stop`.
    pub reason: String,
}
