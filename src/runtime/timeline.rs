//! The console's timeline (MobKit contract, section 12): frames, which are a view of the agent-event log.
//!
//! A frame is made when it is read: its place is its event's, and the status of a message is that of its interaction's row. So
//! there is nothing to ingest, nothing to fall behind and nothing that could be there twice; a reader that is slow, or comes back
//! after a reload, reads on. An event that changes the status of a message brings the message's frame with it, as it is now.

use std::collections::VecDeque;
use std::rc::Rc;

use futures::StreamExt;
use futures::stream::{self, LocalBoxStream};

use crate::log::{GapReason, LogItem, RawItem, RawReader};
use crate::mob::{Core, Interaction, InteractionStatus, MobError};
use crate::runtime::UnifiedRuntime;
use crate::runtime::console_events::kind_of;
use crate::runtime::events::{self, StoredPage, record_of};
use crate::runtime::history;
use crate::wire::agent_record::RecordText;
use crate::wire::console::{console_cursor, parse_console_cursor};
use crate::wire::json::{self, FromJson, ToValue, object};
use crate::wire::{
    ConsoleFrameSourceKind, ConsoleFrameStatus, ConsoleTimelineEvent, ConsoleTimelinePage,
    ConsoleTimelineQuery, Cursor, EventQuery, InteractionId, SendState, TimelineMode, TimestampMs,
};

/// Whose frames about the timeline itself are (MobKit contract, section 12.4).
const CONSOLE: &str = "__console__";
/// Whose the first frame is (MobKit contract, section 11.1).
const SYSTEM: &str = "_system";

/// What one event becomes.
struct Group {
    cursor: Cursor,
    at: TimestampMs,
    /// The JSON of the message's frame whose status it changed.
    updated: Option<String>,
    /// The JSON of its own frame.
    frame: Option<String>,
    /// What a transcript has of the time that a hole is about.
    history: Vec<String>,
}

impl Group {
    /// The frames of a page: an update is a frame of its own there (MobKit contract, section 12.4).
    fn into_frames(self, core: &Core) -> impl Iterator<Item = String> {
        let updated = self
            .updated
            .map(|frame| update_frame(core, self.cursor, self.at, &frame));
        updated.into_iter().chain(self.frame).chain(self.history)
    }
}

/// The status of a message, the version of its frame, and when it ended.
pub(super) fn standing(
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
pub(super) fn event_id(cursor: Cursor) -> String {
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
        runtime.trim_matches('"'),
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
fn bootstrapped(core: &Core) -> Group {
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

async fn group(core: &Core, item: &RawItem) -> Result<Group, MobError> {
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
async fn groups(
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

/// The JSON of an array of what events become, for whoever is fed with it.
pub(super) async fn array(core: &Core, items: &[RawItem]) -> Result<String, MobError> {
    let mut told = VecDeque::new();
    for item in items {
        tell(&mut told, group(core, item).await?);
    }
    let mut text = String::from("[");
    for event in told {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&event.data);
    }
    text.push(']');
    Ok(text)
}

fn tell(told: &mut VecDeque<TimelineText>, group: Group) {
    if let Some(frame) = group.updated {
        told.push_back(TimelineText::new("frame_updated", None, "frame", &frame));
    }
    if let Some(frame) = group.frame {
        let cursor = Some(group.cursor);
        told.push_back(TimelineText::new("console_frame", cursor, "frame", &frame));
    }
    for frame in group.history {
        told.push_back(TimelineText::new("console_frame", None, "frame", &frame));
    }
}

/// What a query asks for, checked.
struct Wanted {
    filter: EventQuery,
    /// Nothing can match.
    nothing: bool,
    after: Option<Cursor>,
    before: Option<Cursor>,
    mode: TimelineMode,
    limit: usize,
}

impl Wanted {
    fn of(core: &Core, query: &ConsoleTimelineQuery) -> Result<Self, MobError> {
        let latest = core.events.latest();
        let place = |text: &Option<String>, most: Cursor| {
            let Some(text) = text else { return Ok(None) };
            match parse_console_cursor(text).filter(|cursor| *cursor <= most) {
                Some(cursor) => Ok(Some(cursor)),
                None => Err(MobError::ReplayUnavailable {
                    requested_cursor: text.clone(),
                    latest_cursor: latest,
                }),
            }
        };
        let (after, before) = (
            place(&query.after, latest)?,
            place(&query.before, latest.next())?,
        );
        let implied = match (after, before) {
            (None, Some(_)) => TimelineMode::Recent,
            _ => TimelineMode::Since,
        };
        let mode = query.mode.unwrap_or(implied);
        match mode {
            TimelineMode::Since if before.is_some() => {
                return Err(MobError::invalid(
                    "before",
                    "it goes with the mode `recent`",
                ));
            }
            TimelineMode::Recent if after.is_some() => {
                return Err(MobError::invalid("after", "it goes with the mode `since`"));
            }
            _ => {}
        }
        let nothing = match (&query.identity, &query.conversation_id) {
            (Some(identity), Some(conversation)) => !conversation
                .strip_prefix(identity.as_str())
                .is_some_and(|generation| generation.starts_with(':')),
            _ => false,
        };
        let whose = query.conversation_id.as_ref().or(query.identity.as_ref());
        Ok(Self {
            filter: EventQuery {
                identity: whose.cloned(),
                ..EventQuery::default()
            },
            nothing,
            after,
            before,
            mode,
            limit: query.clamped_limit(),
        })
    }

    fn is_everybody(&self) -> bool {
        self.filter.identity.is_none()
    }
}

/// A page as JSON: `{frames, next_cursor, latest_cursor, exhausted}`.
async fn page(core: &Core, query: &ConsoleTimelineQuery) -> Result<String, MobError> {
    let wanted = Wanted::of(core, query)?;
    let after = wanted.after.unwrap_or(Cursor::START);
    let (mut stored, from_start) = match wanted.mode {
        _ if wanted.nothing => (StoredPage::default(), false),
        TimelineMode::Since => {
            let page = events::forwards(core, &wanted.filter, after, wanted.limit).await?;
            (page, wanted.after.is_none())
        }
        TimelineMode::Recent => {
            let before = wanted.before.unwrap_or_else(|| core.events.latest().next());
            let page = events::backwards(core, &wanted.filter, before, wanted.limit).await?;
            let exhausted = page.exhausted;
            (page, exhausted)
        }
    };
    let latest = core.events.latest();
    let whose = wanted.filter.identity.as_ref();
    let mut found = groups(core, &stored, whose).await?;
    if from_start && wanted.is_everybody() && wanted.before != Some(Cursor::START) {
        found.insert(0, bootstrapped(core));
    }
    // The frames of one event stay together: a page that begins or ends between them would lose one.
    let count =
        |group: &Group| usize::from(group.updated.is_some()) + usize::from(group.frame.is_some());
    let recent = wanted.mode == TimelineMode::Recent;
    if recent {
        found.reverse();
    }
    let (mut taken, mut frames) = (0, 0);
    for group in &found {
        frames += count(group);
        if frames > wanted.limit && taken > 0 {
            break;
        }
        taken += 1;
    }
    let cut = taken < found.len();
    found.truncate(taken);
    let last = found.last().map(|group| group.cursor);
    let next = match (wanted.mode, cut) {
        (TimelineMode::Since, false) => Some(stored.next_after_seq.max(after)),
        _ => last,
    };
    stored.exhausted = !cut
        && match wanted.mode {
            TimelineMode::Since => wanted.nothing || stored.next_after_seq >= latest,
            TimelineMode::Recent => wanted.nothing || stored.exhausted,
        };
    if recent {
        found.reverse();
    }
    let mut text = String::from(r#"{"frames":["#);
    for frame in found.into_iter().flat_map(|group| group.into_frames(core)) {
        if !text.ends_with('[') {
            text.push(',');
        }
        text.push_str(&frame);
    }
    let rest = object!({
        "next_cursor": next.map(console_cursor),
        "latest_cursor": console_cursor(latest),
        "exhausted": stored.exhausted,
    });
    text.push_str("],");
    text.push_str(&json::text(&rest)[1..]);
    Ok(text)
}

/// What a reader of the timeline hears, as JSON.
pub(crate) struct TimelineText {
    /// Its type, e.g. `console_frame`.
    pub name: &'static str,
    /// From where to go on after it; none in the middle of what one event becomes.
    pub cursor: Option<Cursor>,
    /// The JSON, with the type.
    pub data: String,
}

impl TimelineText {
    fn new(name: &'static str, cursor: Option<Cursor>, field: &str, value: &str) -> Self {
        let data = [r#"{"type":""#, name, r#"",""#, field, r#"":"#, value, "}"];
        Self {
            name,
            cursor,
            data: data.concat(),
        }
    }

    /// The end of the snapshot.
    fn complete(at: Cursor) -> Self {
        let cursor = json::text(&console_cursor(at).to_value());
        Self::new("snapshot_complete", Some(at), "cursor", &cursor)
    }
}

/// The timeline, told: what there is, then what comes.
pub(crate) type Timeline = LocalBoxStream<'static, Result<TimelineText, MobError>>;

struct Telling {
    core: Rc<Core>,
    wanted: Wanted,
    log: RawReader,
    /// Up to where the snapshot goes; none once it is complete.
    until: Option<Cursor>,
    begun: bool,
    over: bool,
    told: VecDeque<TimelineText>,
}

impl Telling {
    /// Without a place to go on from: the newest frames.
    async fn begin(&mut self) -> Result<(), MobError> {
        self.begun = true;
        let after = self.wanted.after.map(console_cursor);
        let started = json::text(&after.to_value());
        let started = TimelineText::new("snapshot_started", None, "after", &started);
        self.told.push_back(started);
        let until = self.log.cursor();
        if self.wanted.after.is_none() && !self.wanted.nothing {
            let (filter, limit) = (&self.wanted.filter, self.wanted.limit);
            let page = events::backwards(&self.core, filter, until.next(), limit).await?;
            if page.exhausted && self.wanted.is_everybody() {
                tell(&mut self.told, bootstrapped(&self.core));
            }
            for group in groups(&self.core, &page, filter.identity.as_ref()).await? {
                tell(&mut self.told, group);
            }
        }
        self.complete(until);
        Ok(())
    }

    fn complete(&mut self, reached: Cursor) {
        if self.until.is_some_and(|until| reached >= until) {
            self.until = None;
            self.told.push_back(TimelineText::complete(reached));
        }
    }

    async fn hear(&mut self, item: &RawItem) -> Result<(), MobError> {
        let meant = match item {
            LogItem::Gap { .. } => true,
            LogItem::Entry { cursor, entry } => {
                let record = record_of(*cursor, entry.json())?;
                self.wanted.filter.record_matches(&record)
            }
        };
        if meant && !self.wanted.nothing {
            let group = group(&self.core, item).await?;
            tell(&mut self.told, group);
        }
        self.complete(item.cursor());
        Ok(())
    }

    async fn next(mut self) -> Option<(Result<TimelineText, MobError>, Self)> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Some((Ok(told), self));
            }
            if self.over {
                return None;
            }
            let heard = if self.begun {
                match self.log.next().await? {
                    Ok(item) => self.hear(&item).await,
                    Err(error) => Err(error.into()),
                }
            } else {
                self.begin().await
            };
            if let Err(error) = heard {
                self.over = true;
                return Some((Err(error), self));
            }
        }
    }
}

impl UnifiedRuntime {
    /// A page of the timeline.
    ///
    /// # Errors
    /// [`MobError::ReplayUnavailable`] for a cursor that there is not, [`MobError::InvalidInput`], or storage's.
    pub async fn query_timeline(
        &self,
        query: &ConsoleTimelineQuery,
    ) -> Result<ConsoleTimelinePage, MobError> {
        let text = self.query_timeline_text(query).await?;
        serde_json::from_str(&text).map_err(undecodable)
    }

    /// [`query_timeline`](Self::query_timeline) as JSON: `{frames, next_cursor, latest_cursor, exhausted}`.
    ///
    /// # Errors
    /// As [`query_timeline`](Self::query_timeline).
    pub async fn query_timeline_text(
        &self,
        query: &ConsoleTimelineQuery,
    ) -> Result<String, MobError> {
        page(&self.inner.core, query).await
    }

    /// The timeline as it is and as it grows: the newest frames, or all those after a cursor; then what comes. Reads on from
    /// storage however slow its reader is.
    ///
    /// # Errors
    /// [`MobError::ReplayUnavailable`] for a cursor that there is not, [`MobError::InvalidInput`].
    pub fn timeline(
        &self,
        query: &ConsoleTimelineQuery,
    ) -> Result<LocalBoxStream<'static, Result<ConsoleTimelineEvent, MobError>>, MobError> {
        let texts = self.timeline_texts(query)?;
        let decode = |text: Result<TimelineText, MobError>| {
            let value = json::parse_own(text?.data.as_bytes());
            value
                .and_then(ConsoleTimelineEvent::from_json)
                .map_err(undecodable)
        };
        Ok(texts.map(decode).boxed_local())
    }

    /// [`timeline`](Self::timeline) as JSON.
    pub(crate) fn timeline_texts(
        &self,
        query: &ConsoleTimelineQuery,
    ) -> Result<Timeline, MobError> {
        let core = &self.inner.core;
        let wanted = Wanted::of(core, query)?;
        if wanted.mode == TimelineMode::Recent {
            return Err(MobError::invalid("mode", "a stream goes forward: `since`"));
        }
        let latest = core.events.latest();
        let log = core.events.follow(wanted.after.unwrap_or(latest))?;
        let telling = Telling {
            core: core.clone(),
            wanted,
            log: log.undecoded(),
            until: Some(latest),
            begun: false,
            over: false,
            told: VecDeque::new(),
        };
        Ok(stream::unfold(telling, Telling::next).boxed_local())
    }
}

/// A frame is made of what was stored: it can be read, or what is stored is damaged.
fn undecodable(error: serde_json::Error) -> MobError {
    crate::log::LogError::corrupt(Cursor::START, error).into()
}
