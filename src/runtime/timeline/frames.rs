//! What an event becomes: its frame, with the message's frame whose status it changes.

use std::rc::Rc;

use super::history;
use crate::log::{GapReason, LogItem, RawItem};
use crate::mob::{Core, Interaction, InteractionStatus, MobError};
use crate::runtime::console_events::kind_of;
use crate::runtime::events::{StoredPage, record_of};
use crate::wire::agent_record::RecordText;
use crate::wire::console::console_cursor;
use crate::wire::json::{self, ToValue, object};
use crate::wire::{
    ConsoleFrameSourceKind, ConsoleFrameStatus, Cursor, InteractionId, SendState, TimestampMs,
};

/// Whose frames about the timeline itself are (MobKit contract, section 12.4).
const CONSOLE: &str = "__console__";
/// Whose the first frame is (MobKit contract, section 11.1).
const SYSTEM: &str = "_system";

/// What one event becomes.
pub(super) struct Group {
    pub cursor: Cursor,
    at: TimestampMs,
    /// The JSON of the message's frame whose status it changed.
    pub updated: Option<String>,
    /// The JSON of its own frame.
    pub frame: Option<String>,
    /// What a transcript has of the time that a hole is about.
    pub history: Vec<String>,
}

impl Group {
    /// The frames of a page: an update is a frame of its own there (MobKit contract, section 12.4).
    pub fn into_frames(self, core: &Core) -> impl Iterator<Item = String> {
        let updated = self
            .updated
            .map(|frame| update_frame(core, self.cursor, self.at, &frame));
        updated.into_iter().chain(self.frame).chain(self.history)
    }
}

/// The status of a message, the version of its frame, and when it ended.
pub(in crate::runtime) fn standing(
    row: Option<&Interaction>,
) -> (ConsoleFrameStatus, &'static str, Option<TimestampMs>) {
    match row.map(|row| (row.status, row.delivery, row.ended_at)) {
        Some((InteractionStatus::Open, SendState::Delivered, _)) => {
            (ConsoleFrameStatus::Delivered, "2", None)
        }
        Some((InteractionStatus::Open, _, _)) => (ConsoleFrameStatus::Accepted, "1", None),
        Some((_, SendState::DeliveryFailed, ended)) => {
            (ConsoleFrameStatus::DeliveryFailed, "3", ended)
        }
        Some((_, _, ended)) => (ConsoleFrameStatus::Completed, "3", ended),
        // It ended so long ago that its row is gone.
        None => (ConsoleFrameStatus::Completed, "3", None),
    }
}

/// The event's id, as everything that is made of it has it.
pub(in crate::runtime) fn event_id(cursor: Cursor) -> String {
    ["evt-agent-", &cursor.to_string()].concat()
}

fn interaction_of(core: &Core, record: &RecordText<'_>) -> Option<Rc<Interaction>> {
    let id: InteractionId = json::decode_own(record.interaction_id?.as_bytes()).ok()?;
    core.interactions.get(&id)
}

/// The JSON of an event's frame.
fn frame(core: &Core, cursor: Cursor, record: &RecordText<'_>, kind: &str) -> String {
    let (mut source, mut status) = (
        ConsoleFrameSourceKind::ConsoleEvent,
        (ConsoleFrameStatus::Completed, "1", None),
    );
    if record.event_type == r#""user_input""# {
        source = ConsoleFrameSourceKind::Send;
        status = standing(interaction_of(core, record).as_deref());
    }
    let updated = match status.2 {
        Some(at) => [r#","updated_at_ms":"#, &at.to_string()].concat(),
        None => String::new(),
    };
    let interaction = match record.interaction_id {
        Some(id) => [r#","interaction_id":"#, id].concat(),
        None => String::new(),
    };
    let (id, runtime) = (event_id(cursor), json::text(&core.mob_id.to_value()));
    let payload = record.payload();
    [
        r#"{"id":""#,
        &id,
        r#"","cursor":""#,
        &console_cursor(cursor),
        r#"","dedupe_key":"console-event:"#,
        // The JSON text without its quotation marks.
        &runtime[1..runtime.len() - 1],
        ":",
        &id,
        r#"","timestamp_ms":"#,
        record.timestamp_ms,
        r#","runtime_key":"#,
        &runtime,
        r#","identity":"#,
        record.identity,
        r#","conversation_id":"#,
        &record.member_id(),
        r#","kind":"#,
        kind,
        r#","status":""#,
        status.0.as_str(),
        r#"","frame_version":"#,
        status.1,
        &updated,
        r#","payload":"#,
        payload.strip_suffix('}').unwrap_or_default(),
        r#","source_event_type":"#,
        record.event_type,
        r#"},"source":{"kind":""#,
        source.as_str(),
        r#"","source_cursor":""#,
        &id,
        r#""},"source_event_id":""#,
        &id,
        r#"""#,
        &interaction,
        "}",
    ]
    .concat()
}

/// A frame that no event stands for.
#[expect(clippy::too_many_arguments, reason = "a frame is that many things")]
pub(super) fn synthetic(
    core: &Core,
    id: &str,
    cursor: Cursor,
    at: TimestampMs,
    identity: &str,
    kind: &str,
    source: ConsoleFrameSourceKind,
    payload: &str,
) -> String {
    let frame = json::text(&object!({
        "id": id,
        "cursor": console_cursor(cursor),
        "dedupe_key": ["console:", core.mob_id.as_str(), ":", id].concat(),
        "timestamp_ms": at,
        "runtime_key": core.mob_id,
        "identity": identity,
        "kind": kind,
        "status": ConsoleFrameStatus::Completed,
        "frame_version": 1_u64,
        "source": object!({ "kind": source }),
    }));
    let frame = frame.strip_suffix('}').unwrap_or_default();
    [frame, r#","payload":"#, payload, "}"].concat()
}

/// The marker of a frame that has another status, for readers of pages.
fn update_frame(core: &Core, cursor: Cursor, at: TimestampMs, frame: &str) -> String {
    let id = [&event_id(cursor), "#frame-update"].concat();
    let payload = [r#"{"frame":"#, frame, "}"].concat();
    let source = ConsoleFrameSourceKind::Synthetic;
    synthetic(
        core,
        &id,
        cursor,
        at,
        CONSOLE,
        "frame_updated",
        source,
        &payload,
    )
}

/// What stands where numbers hold no event.
fn hole(core: &Core, from: Cursor, to: Cursor, reason: &str) -> Group {
    let payload = json::text(&object!({
        "requested_cursor": console_cursor(from.previous()),
        "latest_cursor": console_cursor(to),
        "reason": reason,
    }));
    let id = ["gap-", &from.to_string(), "-", &to.to_string()].concat();
    let at = core.now();
    let (kind, source) = ("replay_unavailable", ConsoleFrameSourceKind::Synthetic);
    let frame = synthetic(core, &id, to, at, CONSOLE, kind, source, &payload);
    Group {
        cursor: to,
        at,
        updated: None,
        frame: Some(frame),
        history: Vec::new(),
    }
}

/// The first frame of every timeline (MobKit contract, section 11.1).
pub(super) fn bootstrapped(core: &Core) -> Group {
    let at = core.definition().created_at;
    let frame = synthetic(
        core,
        "console-evt-1",
        Cursor::START,
        at,
        SYSTEM,
        "runtime_bootstrapped",
        ConsoleFrameSourceKind::Synthetic,
        r#"{"source":"unified_runtime"}"#,
    );
    Group {
        cursor: Cursor::START,
        at,
        updated: None,
        frame: Some(frame),
        history: Vec::new(),
    }
}

/// The message whose status an event changes, if it does.
fn updated_input(core: &Core, record: &RecordText<'_>) -> Option<Cursor> {
    let changes = match record.event_type {
        r#""run_started""# => record.from == Some(r#""user""#),
        r#""interaction_complete""# | r#""interaction_failed""# => true,
        _ => false,
    };
    let row = changes.then(|| interaction_of(core, record)).flatten()?;
    let asked = record.identity == json::text(&row.identity.to_value());
    (asked && row.input_event > Cursor::START).then_some(row.input_event)
}

pub(super) async fn group(core: &Core, item: &RawItem) -> Result<Group, MobError> {
    let (cursor, entry) = match item {
        LogItem::Gap { from, to, reason } => return Ok(hole(core, *from, *to, reason.as_str())),
        LogItem::Entry { cursor, entry } => (*cursor, entry),
    };
    let record = record_of(cursor, entry.json())?;
    let mut updated = None;
    if let Some(input) = updated_input(core, &record) {
        let found = core.events.read_undecoded(input.previous(), 1).await?;
        if let Some(LogItem::Entry { cursor, entry }) = found.first()
            && *cursor == input
        {
            let record = record_of(input, entry.json())?;
            updated = Some(frame(core, input, &record, record.event_type));
        }
    }
    let kind = kind_of(&record);
    Ok(Group {
        cursor,
        // A number that is none was never written.
        at: TimestampMs::new(record.timestamp_ms.parse().unwrap_or_default()),
        updated,
        frame: kind.map(|kind| frame(core, cursor, &record, kind)),
        history: Vec::new(),
    })
}

/// The groups of a page, gaps in their places. Where older events of a member were discarded its transcript tells of them.
pub(super) async fn groups(
    core: &Core,
    page: &StoredPage,
    whose: Option<&String>,
) -> Result<Vec<Group>, MobError> {
    let mut found = Vec::with_capacity(page.items.len());
    let mut gaps = page.gaps.iter().peekable();
    let mut items = page.items.iter().peekable();
    loop {
        let next = items.peek().map(|item| item.cursor());
        if let Some(gap) = gaps.next_if(|gap| next.is_none_or(|next| gap.to < next)) {
            let mut hole = hole(core, gap.from, gap.to, &gap.reason);
            if let (true, Some(whose)) = (gap.reason == GapReason::Retention.as_str(), whose) {
                let kept = match items.peek() {
                    Some(LogItem::Entry { cursor, entry }) => {
                        record_of(*cursor, entry.json())?.timestamp_ms.parse().ok()
                    }
                    _ => None,
                };
                let kept = kept.map_or_else(|| core.now(), TimestampMs::new);
                hole.history = history::before(core, whose, kept, gap.to).await?;
            }
            found.push(hole);
        } else if let Some(item) = items.next() {
            found.push(group(core, item).await?);
        } else {
            return Ok(found);
        }
    }
}
