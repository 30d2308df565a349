//! What the timeline shows of a time whose events were discarded: the transcript is kept as long as its member (MobKit contract,
//! section 12.4).
//!
//! A transcript is read once from its beginning up to the first event that is left, and each message becomes a frame. There is
//! nothing to compare with what is there already, for what is older than the first event cannot be.

use serde_json::Value;

use super::frames::synthetic;
use crate::agent::model::ChatMessage;
use crate::mob::{Core, Member, MobError, TranscriptRow};
use crate::wire::json::{self, object};
use crate::wire::{AgentIdentity, ConsoleFrameSourceKind, Cursor, MAX_TIMELINE_LIMIT, TimestampMs};

/// Messages that one look into a transcript reads.
const PAGE: usize = 256;

/// A message in the words of a console; none for what it does not show.
fn event_of(message: &ChatMessage) -> Option<(&'static str, Value)> {
    Some(match message {
        ChatMessage::User {
            content,
            from: None,
        } => (
            "user_input",
            object!({ "content": json::value_of(content) }),
        ),
        ChatMessage::User {
            content,
            from: Some(from),
        } => (
            "peer_message",
            object!({ "from": from, "content": json::value_of(content) }),
        ),
        // What called tools alone said nothing.
        ChatMessage::Assistant { text, .. } if text.is_empty() => return None,
        ChatMessage::Assistant { text, .. } => {
            ("interaction_complete", object!({ "result": text }))
        }
        ChatMessage::Tool {
            call_id,
            name,
            content,
            is_error,
        } => (
            "tool_execution_completed",
            object!({ "id": call_id, "name": name, "result": content, "is_error": *is_error }),
        ),
    })
}

fn frame(core: &Core, member: &Member, place: Cursor, row: &TranscriptRow) -> Option<String> {
    let (kind, mut payload) = event_of(&row.entry.message)?;
    payload["interaction_id"] = Value::from(row.entry.interaction_id.as_str());
    payload["source_event_type"] = Value::from(kind);
    let id = [
        "session-",
        member.session_id.as_str(),
        "-",
        &row.number.to_string(),
    ]
    .concat();
    Some(synthetic(
        core,
        &id,
        place,
        row.entry.timestamp_ms,
        member.identity().as_str(),
        kind,
        ConsoleFrameSourceKind::SessionHistory,
        &json::text(&payload),
    ))
}

/// The frames of a member's messages from before an instant, the newest 1 000 of them, all at one place.
pub(super) async fn before(
    core: &Core,
    whose: &str,
    first_kept: TimestampMs,
    place: Cursor,
) -> Result<Vec<String>, MobError> {
    let identity = AgentIdentity::new(whose).ok();
    let Some(member) = identity.and_then(|identity| core.members.get(&identity)) else {
        return Ok(Vec::new());
    };
    let mut frames = Vec::new();
    let mut offset = 0;
    loop {
        let (rows, total) = core
            .read_transcript(&member.session_id, offset, PAGE)
            .await?;
        offset += rows.len();
        let older = rows
            .iter()
            .take_while(|row| row.entry.timestamp_ms < first_kept);
        let found = older.clone().count();
        frames.extend(older.filter_map(|row| frame(core, &member, place, row)));
        let excess = frames.len().saturating_sub(MAX_TIMELINE_LIMIT);
        frames.drain(..excess);
        if found < rows.len() || rows.is_empty() || offset >= total {
            return Ok(frames);
        }
        core.host.yield_now().await;
    }
}
