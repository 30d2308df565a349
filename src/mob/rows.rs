//! The rows that a mob is made of, and where each is stored below `mob/{mob_id}/`.
//!
//! | row | key | what it is |
//! |---|---|---|
//! | [`MobRow`] | `state/mob` | status, fence counter, the definition in force |
//! | [`Member`] | `member/{identity}` | one member of the roster |
//! | [`Edge`] | `edge/{a}/{b}` | two members that may talk |
//! | [`Edge`] | `managed/{a}/{b}` | an edge that a reconciliation made |
//! | [`LabelRow`] | `labels/mob`, `labels/run/{run_id}` | labels of the mob or of a run |
//! | [`WorkItem`] | `box/{identity}/{number}` | a message that waits in a mailbox |
//! | [`DueRow`] | `due/idle/{identity}` | when an idle member is retired |
//! | [`OpenTurn`] | `turn/{identity}` | the work that a member has taken and not finished |
//! | [`Interaction`] | `interaction/{id}` | what a person asked, and how it stands |
//! | [`TranscriptRow`] | `session/{session_id}/{number}` | one message of a transcript |
//!
//! The roster rows change in the same batch as the ledger entry that tells of the change, so that they always equal the
//! fold of the ledger.

use serde::Serialize;
use serde_json::{Error, Value};

use crate::agent::transcript::TranscriptEntry;
use crate::mob::definition::MobDefinition;
use crate::storage::{Key, Record};
use crate::wire::json::{Fields, FromJson, from_json, words};
use crate::wire::{
    AgentErrorClass, AgentIdentity, Cause, ContentInput, Cursor, FenceToken, Generation,
    HandlingMode, InteractionId, Labels, RunId, SendState, SessionId, SpawnMemberSpec, TimestampMs,
    ToolCallId, Usage, WorkId,
};

words! {
    /// Whether a mob takes work (MobKit contract, section 18.6).
    pub enum MobStatus {
        /// Members work.
        Running = "running",
        /// Members keep what they have and start nothing.
        Stopped = "stopped",
    }
}

/// What there is once per mob.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MobRow {
    pub status: MobStatus,
    /// The next fence token; a token is never given twice, over restarts too.
    pub next_fence: u64,
    pub definition: MobDefinition,
    pub created_at: TimestampMs,
}

from_json!(MobRow {
    status,
    next_fence,
    definition,
    created_at
});

/// One member of the roster.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Member {
    pub spec: SpawnMemberSpec,
    pub generation: Generation,
    pub fence_token: FenceToken,
    pub session_id: SessionId,
    pub spawned_at: TimestampMs,
    /// Tokens used, over all generations.
    pub usage: Usage,
}

from_json!(Member { spec, generation, fence_token, session_id, spawned_at, usage = default });

impl Member {
    pub fn identity(&self) -> &AgentIdentity {
        &self.spec.identity
    }
}

/// Two members that may talk; `a < b`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Edge {
    pub a: AgentIdentity,
    pub b: AgentIdentity,
}

from_json!(Edge { a, b });

impl Edge {
    /// The edge between two members, whichever is named first.
    pub fn between(a: &AgentIdentity, b: &AgentIdentity) -> Self {
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        Self {
            a: a.clone(),
            b: b.clone(),
        }
    }

    /// The other end, if `of` is one end.
    pub fn peer(&self, of: &AgentIdentity) -> Option<&AgentIdentity> {
        match of {
            of if *of == self.a => Some(&self.b),
            of if *of == self.b => Some(&self.a),
            _ => None,
        }
    }
}

/// Labels of the mob or of one of its runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LabelRow {
    /// The run; the mob itself if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    pub labels: Labels,
}

from_json!(LabelRow { run_id, labels });

/// A message on its way to a member.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WorkItem {
    pub work_id: WorkId,
    /// Whose mailbox it is in.
    pub to: AgentIdentity,
    /// Its place in the mailbox.
    pub number: u64,
    /// The peer that wrote it; a person if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<AgentIdentity>,
    pub content: ContentInput,
    pub mode: HandlingMode,
    /// How often it was started.
    pub attempt: u32,
    pub cause: Cause,
    /// Whether what comes of it goes back to whoever wrote it.
    #[serde(skip_serializing_if = "is_false")]
    pub reply: bool,
    pub accepted_at: TimestampMs,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

from_json!(WorkItem {
    work_id,
    to,
    number,
    from,
    content,
    mode,
    attempt,
    cause,
    reply = default,
    accepted_at
});

/// When a member that is idle is retired for it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DueRow {
    pub identity: AgentIdentity,
    pub at: TimestampMs,
}

from_json!(DueRow { identity, at });

/// The work that a member has taken from its mailbox and not finished.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OpenTurn {
    pub identity: AgentIdentity,
    pub generation: Generation,
    pub fence_token: FenceToken,
    pub item: WorkItem,
    /// Messages that were steered into the running work.
    pub absorbed: Vec<WorkItem>,
    pub started_at: TimestampMs,
    /// Tokens of this work so far, over all its runs.
    pub usage: Usage,
    /// Interruptions since the transcript grew last.
    pub stalled: u32,
    /// It was put down on purpose, by a person or for want of its model, or waits for a decision: starting again is no interruption.
    pub paused: bool,
    /// Its tool calls that wait for a decision: none of them has run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<ToolCallId>,
}

from_json!(OpenTurn { identity, generation, fence_token, item, absorbed = default, started_at, usage = default, stalled = default, paused = default, held = default });

impl OpenTurn {
    /// The taken item and those steered into it.
    pub fn items(&self) -> impl Iterator<Item = &WorkItem> {
        std::iter::once(&self.item).chain(&self.absorbed)
    }
}

words! {
    /// How an interaction stands.
    pub enum InteractionStatus {
        /// Work that it caused is open.
        Open = "open",
        /// All its work is done.
        Completed = "completed",
        /// It ended in a failure.
        Failed = "failed",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
    }
}

/// What a person asked of a member, with all the work that followed from it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Interaction {
    pub interaction_id: InteractionId,
    /// The member that was asked and whose last words are the answer.
    pub identity: AgentIdentity,
    pub origin: String,
    /// Tells a repeated send from another one with the same idempotency key.
    pub fingerprint: String,
    pub status: InteractionStatus,
    /// What became of the message itself.
    pub delivery: SendState,
    /// The event that tells of its acceptance.
    pub input_event: Cursor,
    /// Items that carry it: in mailboxes and in open turns.
    pub open: u32,
    /// Runs that were started for it.
    pub turns: u32,
    pub usage: Usage,
    /// The asked member's last text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<InteractionError>,
    pub accepted_at: TimestampMs,
    /// The newest agent event when it was accepted: its own events come after this.
    pub after_event: Cursor,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<TimestampMs>,
}

from_json!(Interaction {
    interaction_id,
    identity,
    origin,
    fingerprint,
    status,
    delivery = default,
    input_event = default,
    open,
    turns,
    usage,
    result,
    error,
    accepted_at,
    after_event,
    ended_at
});

/// Why an interaction failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InteractionError {
    /// The class, as in `run_failed` (MobKit contract, section 19).
    pub class: AgentErrorClass,
    /// The text for people.
    pub message: String,
}

from_json!(InteractionError deserialize { class, message });

/// One message of a member's transcript.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TranscriptRow {
    pub session_id: SessionId,
    pub number: u64,
    #[serde(flatten)]
    pub entry: TranscriptEntry,
}

impl FromJson for TranscriptRow {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        Ok(Self {
            session_id: fields.take("session_id")?,
            number: fields.take("number")?,
            entry: TranscriptEntry::from_fields(&mut fields)?,
        })
    }
}

impl Record for MobRow {
    type Key = ();
    fn key(&self) {}
    fn place((): &(), prefix: &Key) -> Key {
        prefix.part("mob")
    }
}

impl Record for Member {
    type Key = AgentIdentity;
    fn key(&self) -> AgentIdentity {
        self.spec.identity.clone()
    }
    fn place(key: &AgentIdentity, prefix: &Key) -> Key {
        prefix.part(key.as_str())
    }
}

impl Record for Edge {
    type Key = (AgentIdentity, AgentIdentity);
    fn key(&self) -> Self::Key {
        (self.a.clone(), self.b.clone())
    }
    fn place((a, b): &Self::Key, prefix: &Key) -> Key {
        prefix.part(a.as_str()).part(b.as_str())
    }
}

impl Record for LabelRow {
    type Key = Option<RunId>;
    fn key(&self) -> Self::Key {
        self.run_id.clone()
    }
    fn place(run: &Self::Key, prefix: &Key) -> Key {
        match run {
            None => prefix.part("mob"),
            Some(run) => prefix.part("run").part(run.as_str()),
        }
    }
}

impl Record for WorkItem {
    type Key = (AgentIdentity, u64);
    fn key(&self) -> Self::Key {
        (self.to.clone(), self.number)
    }
    fn place((to, number): &Self::Key, prefix: &Key) -> Key {
        prefix.part(to.as_str()).number(*number)
    }
}

impl Record for DueRow {
    type Key = AgentIdentity;
    fn key(&self) -> AgentIdentity {
        self.identity.clone()
    }
    fn place(key: &AgentIdentity, prefix: &Key) -> Key {
        prefix.part(key.as_str())
    }
}

impl Record for OpenTurn {
    type Key = AgentIdentity;
    fn key(&self) -> AgentIdentity {
        self.identity.clone()
    }
    fn place(key: &AgentIdentity, prefix: &Key) -> Key {
        prefix.part(key.as_str())
    }
}

impl Record for Interaction {
    type Key = InteractionId;
    fn key(&self) -> InteractionId {
        self.interaction_id.clone()
    }
    fn place(key: &InteractionId, prefix: &Key) -> Key {
        prefix.part(key.as_str())
    }
}

impl Record for TranscriptRow {
    type Key = (SessionId, u64);
    fn key(&self) -> Self::Key {
        (self.session_id.clone(), self.number)
    }
    fn place((session, number): &Self::Key, prefix: &Key) -> Key {
        prefix.part(session.as_str()).number(*number)
    }
}
