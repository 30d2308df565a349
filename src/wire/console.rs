//! The console's timeline: frames, queries and what a person's message goes through (MobKit contract, sections 11 and 12).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{self, Fields, FromJson, from_json, words};
use super::{AgentIdentity, ContentInput, Cursor, HandlingMode, InteractionId, Labels, SessionId};
use super::{MobId, TimestampMs};

/// Frames that a timeline answers with when the query does not say (MobKit contract, section 12.1).
pub const DEFAULT_TIMELINE_LIMIT: usize = 200;
/// The most frames that one page has.
pub const MAX_TIMELINE_LIMIT: usize = 1_000;

words! {
    /// What a person's message goes through.
    #[derive(Default)]
    pub enum SendState {
        /// It was asked for.
        Requested = "requested",
        /// It is durable: in the mailbox of its member.
        #[default]
        AcceptedPersisted = "accepted_persisted",
        /// Its member takes it.
        Dispatching = "dispatching",
        /// It is in its member's transcript.
        Delivered = "delivered",
        /// It ended before its member took it.
        DeliveryFailed = "delivery_failed",
    }
}

words! {
    /// What happens to a person's message.
    pub enum SendInput {
        /// It was written.
        Persist = "persist",
        /// Its member takes it.
        Dispatch = "dispatch",
        /// It was taken.
        Deliver = "deliver",
        /// It cannot be taken any more.
        Fail = "fail",
    }
}

impl SendState {
    /// The state after `input`.
    ///
    /// # Errors
    /// Says which transition there is none of.
    pub fn step(self, input: SendInput) -> Result<Self, String> {
        Ok(match (self, input) {
            (Self::Requested, SendInput::Persist) => Self::AcceptedPersisted,
            (Self::AcceptedPersisted, SendInput::Dispatch) => Self::Dispatching,
            (Self::Dispatching, SendInput::Deliver) => Self::Delivered,
            (Self::Dispatching, SendInput::Fail) => Self::DeliveryFailed,
            (state, input) => {
                return Err(["there is no ", input.as_str(), " in ", state.as_str()].concat());
            }
        })
    }

    /// The state after an attempt at delivery; one that is over stays as it is.
    pub(crate) fn attempted(self, outcome: SendInput) -> Self {
        let tried = self.step(SendInput::Dispatch);
        tried.and_then(|state| state.step(outcome)).unwrap_or(self)
    }
}

words! {
    /// How far what a frame tells of has come.
    pub enum ConsoleFrameStatus {
        /// A message is in a mailbox.
        Accepted = "accepted",
        /// A message is being taken.
        Dispatching = "dispatching",
        /// A message was taken.
        Delivered = "delivered",
        /// A message cannot be taken any more.
        DeliveryFailed = "delivery_failed",
        /// It is over.
        Completed = "completed",
        /// Its content is no longer shown.
        Redacted = "redacted",
    }
}

words! {
    /// Where a frame comes from.
    pub enum ConsoleFrameSourceKind {
        /// An event of a member.
        ConsoleEvent = "console_event",
        /// A member's transcript.
        SessionHistory = "session_history",
        /// A person's message.
        Send = "send",
        /// Made for the timeline itself.
        Synthetic = "synthetic",
    }
}

/// Where a frame comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConsoleFrameSource {
    /// From what.
    pub kind: ConsoleFrameSourceKind,
    /// Its place there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_cursor: Option<String>,
}

from_json!(ConsoleFrameSource deserialize { kind, source_cursor });

/// One frame of the timeline (MobKit contract, section 12.1). Fields of the contract that nothing here fills are absent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConsoleFrame {
    /// Unique in the mob, over restarts too: the event's.
    pub id: String,
    /// Its place, `console:{number}`.
    pub cursor: String,
    /// Equal for the same frame, whoever stores it.
    pub dedupe_key: String,
    /// When, by the wall clock.
    pub timestamp_ms: TimestampMs,
    /// Which runtime: the mob's name.
    pub runtime_key: MobId,
    /// Whose; `__console__` for what is about the timeline itself.
    pub identity: String,
    /// Which of its conversations: the incarnation, `{identity}:{generation}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// What it tells of: the type of a console event, `frame_updated` or `replay_unavailable`.
    pub kind: String,
    /// How far that has come.
    pub status: ConsoleFrameStatus,
    /// Grows with the status.
    pub frame_version: u64,
    /// When the status changed last, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at_ms: Option<TimestampMs>,
    /// The event.
    pub payload: Value,
    /// Where it comes from.
    pub source: ConsoleFrameSource,
    /// The event that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_event_id: Option<String>,
    /// Which interaction it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interaction_id: Option<InteractionId>,
}

from_json!(ConsoleFrame deserialize { id, cursor, dedupe_key, timestamp_ms, runtime_key, identity, conversation_id, kind, status, frame_version, updated_at_ms, payload, source, source_event_id, interaction_id });

/// What the prefix of a timeline's cursors is.
const CURSOR_PREFIX: &str = "console:";

/// A place in the timeline as the contract writes it.
pub(crate) fn console_cursor(cursor: Cursor) -> String {
    [CURSOR_PREFIX, &cursor.to_string()].concat()
}

/// A place in the timeline, or none if the text is not one.
pub(crate) fn parse_console_cursor(text: &str) -> Option<Cursor> {
    text.strip_prefix(CURSOR_PREFIX)?.parse().ok()
}

words! {
    /// In which direction a timeline is read.
    #[derive(Default)]
    pub enum TimelineMode {
        /// From a cursor, or the beginning, on.
        #[default]
        Since = "since",
        /// From the newest, or a cursor, back.
        Recent = "recent",
    }
}

/// Which frames. Those of a page are always ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsoleTimelineQuery {
    /// Whose; everybody's, if none.
    pub identity: Option<String>,
    /// Of which incarnation, `{identity}:{generation}`.
    pub conversation_id: Option<String>,
    /// After this place, `console:{number}`.
    pub after: Option<String>,
    /// Before this place: the newest of those (contract 0.5.0).
    pub before: Option<String>,
    /// In which direction; `before` alone means `recent` (contract 0.5.0).
    pub mode: Option<TimelineMode>,
    /// At most so many: 1 to 1 000, and what is outside of that is brought into it; 200 when it is not said.
    pub limit: Option<usize>,
}

from_json!(ConsoleTimelineQuery deserialize { identity, conversation_id, after, before, mode, limit } deny);

impl ConsoleTimelineQuery {
    /// The limit within its bounds.
    pub fn clamped_limit(&self) -> usize {
        self.limit
            .unwrap_or(DEFAULT_TIMELINE_LIMIT)
            .clamp(1, MAX_TIMELINE_LIMIT)
    }
}

/// A part of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsoleTimelinePage {
    /// Ascending.
    pub frames: Vec<ConsoleFrame>,
    /// Where the next page begins: `after` it in mode `since`, `before` it in mode `recent`.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// The newest place.
    pub latest_cursor: String,
    /// Whether the direction has nothing more now.
    pub exhausted: bool,
}

/// What a reader of the timeline hears.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsoleTimelineEvent {
    /// What there is already comes now.
    SnapshotStarted {
        /// After which place; the newest frames, if none.
        after: Option<String>,
    },
    /// A frame.
    ConsoleFrame(ConsoleFrame),
    /// A frame that was told before has another status.
    FrameUpdated(ConsoleFrame),
    /// What comes now is new.
    SnapshotComplete {
        /// Up to where everything was told.
        cursor: Option<String>,
    },
}

impl FromJson for ConsoleTimelineEvent {
    fn from_json(value: Value) -> Result<Self, serde_json::Error> {
        let mut fields = Fields::of(value)?;
        match fields.tag("type")?.as_str() {
            "snapshot_started" => Ok(Self::SnapshotStarted {
                after: fields.take("after")?,
            }),
            "console_frame" => fields.take("frame").map(Self::ConsoleFrame),
            "frame_updated" => fields.take("frame").map(Self::FrameUpdated),
            "snapshot_complete" => Ok(Self::SnapshotComplete {
                cursor: fields.take("cursor")?,
            }),
            other => Err(json::unknown(
                "variant",
                other,
                &[
                    "snapshot_started",
                    "console_frame",
                    "frame_updated",
                    "snapshot_complete",
                ],
            )),
        }
    }
}

json::deserialize_by_json!(ConsoleTimelineEvent);

/// A person's message to a member, sent once however often it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsoleSendRequest {
    /// To whom.
    pub identity: AgentIdentity,
    /// What is said.
    pub content: ContentInput,
    /// Where it comes from, e.g. `console`.
    pub origin: String,
    /// Equal for the same message.
    pub idempotency_key: String,
    /// When it is looked at.
    pub handling_mode: HandlingMode,
}

impl FromJson for ConsoleSendRequest {
    fn from_json(value: Value) -> Result<Self, serde_json::Error> {
        let mut fields = Fields::of(value)?;
        fields.only(&[
            "identity",
            "content",
            "origin",
            "origin_kind",
            "idempotency_key",
            "handling_mode",
        ])?;
        let text = |fields: &mut Fields, name: &'static str| {
            let text: String = fields.take(name)?;
            if text.trim().is_empty() {
                return Err(json::wrong(&format_args!(
                    "{name} must be a non-empty string"
                )));
            }
            Ok(text)
        };
        Ok(Self {
            identity: fields.take("identity")?,
            content: fields.take("content")?,
            origin: text(&mut fields, "origin")?,
            idempotency_key: text(&mut fields, "idempotency_key")?,
            handling_mode: fields.take_or_default("handling_mode")?,
        })
    }
}

/// A message that the timeline has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsoleInteractionAccepted {
    /// What to follow.
    pub interaction_id: InteractionId,
    /// The member that was asked.
    pub identity: AgentIdentity,
    /// Its conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// Its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The `user_input` frame.
    pub input_frame_id: String,
    /// Its place.
    pub cursor: String,
    /// How far it has come.
    pub status: ConsoleFrameStatus,
}

words! {
    /// Whether a console may show and address somebody.
    pub enum ConsoleVisibility {
        /// It may be written to.
        Addressable = "addressable",
        /// It is not shown.
        Hidden = "hidden",
        /// It is gone; what it said can be read.
        RetiredReadable = "retired_readable",
        /// It is there and takes no messages from outside.
        Unreachable = "unreachable",
    }
}

words! {
    /// What a member is doing for whoever waits for it (MobKit contract, section 11.3).
    pub enum ResponsePhase {
        /// Its work waits, or it has begun and said nothing yet.
        Waiting = "waiting",
        /// It writes.
        Generating = "generating",
        /// It has called tools.
        ToolExecuting = "tool-executing",
    }
}

/// A member as the console lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsoleIdentityRecord {
    /// Who.
    pub identity: AgentIdentity,
    /// Its label `display_name`, else its name.
    pub display_name: String,
    /// Which runtime: the mob's name.
    pub runtime_key: MobId,
    /// Its incarnation, `{identity}:{generation}`.
    pub runtime_member_id: String,
    /// Its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Whether it may be written to.
    pub visibility: ConsoleVisibility,
    /// The same as a flag.
    pub addressable: bool,
    /// What it does: its activity.
    pub health: String,
    /// Whom it can reach.
    pub topology_peers: Vec<AgentIdentity>,
    /// Its labels.
    #[serde(serialize_with = "json::map")]
    pub labels: Labels,
}

/// A member and those it can reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsoleIdentityInspection {
    /// The member.
    pub identity: ConsoleIdentityRecord,
    /// Whom it can reach.
    pub peers: Vec<ConsoleIdentityRecord>,
    /// What it is doing for whoever waits for it; null when nobody does (an addition to the contract).
    #[serde(default)]
    pub response_phase: Option<ResponsePhase>,
}
