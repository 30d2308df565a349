//! The agent events: live, replayed, and queried.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures::Stream;

use crate::log::{GapReason, LogError, LogItem, RawItem, RawReader, decoded};
use crate::mob::{Core, InteractionStatus, MobError};
use crate::shim::Notified;
use crate::wire::agent_record::RecordText;
use crate::wire::json::{self, ToValue, object};
use crate::wire::{
    AgentEventRecord, AgentIdentity, Cursor, EventQuery, InteractionId, PersistedEvent, QueryGap,
};

/// Entries that one look into the log reads at most.
const PAGE: usize = 256;

/// Which agent events a reader wants.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only this member's.
    pub identity: Option<AgentIdentity>,
    /// Only those of this interaction, whoever worked on it.
    pub interaction_id: Option<InteractionId>,
    /// Those after this cursor; live from now if none.
    pub after: Option<Cursor>,
}

/// The entries that a filter wants, as they are stored, and all gaps.
pub(super) struct Stored {
    log: RawReader,
    /// The JSON of the names that are wanted.
    identity: Option<String>,
    interaction_id: Option<String>,
    /// The interaction whose end ends the stream.
    until: Option<Until>,
    done: bool,
}

/// What a reader of one interaction watches beside the log. Its last event may not come: it was heard before, or was given
/// up, or is older than what is kept.
struct Until {
    core: Rc<Core>,
    id: InteractionId,
    changed: Notified,
}

impl Until {
    /// Whether nothing more comes after `read`, asked again whenever something changes. An interaction's row never ends
    /// before its last event can be read.
    fn poll_ended(&mut self, read: Cursor, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let row = self.core.interactions.get(&self.id);
            let open = row.is_some_and(|row| row.status == InteractionStatus::Open);
            if !open && read >= self.core.events.latest() {
                return Poll::Ready(());
            }
            ready!(Pin::new(&mut self.changed).poll(cx));
            self.changed = self.core.changed.notified();
        }
    }
}

impl Stored {
    pub fn open(core: &Core, filter: &EventFilter) -> Result<Self, MobError> {
        let after = filter.after.unwrap_or_else(|| core.events.latest());
        Ok(Self {
            log: core.events.follow(after)?.undecoded(),
            identity: filter
                .identity
                .as_ref()
                .map(|id| json::text(&id.to_value())),
            interaction_id: filter
                .interaction_id
                .as_ref()
                .map(|id| json::text(&id.to_value())),
            until: None,
            done: false,
        })
    }

    /// Those of one interaction from its acceptance to its end.
    pub fn of_interaction(
        core: &Rc<Core>,
        id: &InteractionId,
        after: Option<Cursor>,
    ) -> Result<Self, MobError> {
        let row = core
            .interactions
            .get(id)
            .ok_or_else(|| MobError::InteractionNotFound(id.clone()))?;
        let filter = EventFilter {
            identity: None,
            interaction_id: Some(id.clone()),
            after: Some(after.unwrap_or(row.after_event)),
        };
        let mut stored = Self::open(core, &filter)?;
        stored.until = Some(Until {
            core: core.clone(),
            id: id.clone(),
            changed: core.changed.notified(),
        });
        Ok(stored)
    }

    fn wants(&self, record: &RecordText<'_>) -> bool {
        let wanted =
            |wanted: &Option<String>, is: Option<&str>| wanted.is_none() || wanted.as_deref() == is;
        wanted(&self.identity, Some(record.identity))
            && wanted(&self.interaction_id, record.interaction_id)
    }
}

/// An entry's pieces.
pub(super) fn record_of(cursor: Cursor, json: &[u8]) -> Result<RecordText<'_>, MobError> {
    RecordText::of(json).ok_or_else(|| LogError::corrupt(cursor, "it is no agent event").into())
}

/// Whether a record is the last one of the interaction that it is for.
fn is_last(record: &RecordText<'_>) -> bool {
    matches!(
        record.event_type,
        r#""interaction_complete""# | r#""interaction_failed""#
    )
}

impl Stream for Stored {
    type Item = Result<RawItem, MobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.done {
                return Poll::Ready(None);
            }
            let item = match Pin::new(&mut this.log).poll_next(cx) {
                Poll::Pending => {
                    let Some(until) = &mut this.until else {
                        return Poll::Pending;
                    };
                    ready!(until.poll_ended(this.log.cursor(), cx));
                    this.done = true;
                    continue;
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => {
                    this.done = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                Poll::Ready(Some(Ok(item))) => item,
            };
            if let LogItem::Entry { cursor, entry } = &item {
                let record = match record_of(*cursor, entry.json()) {
                    Ok(record) => record,
                    Err(error) => {
                        this.done = true;
                        return Poll::Ready(Some(Err(error)));
                    }
                };
                if !this.wants(&record) {
                    continue;
                }
                this.done = this.until.is_some() && is_last(&record);
            }
            return Poll::Ready(Some(Ok(item)));
        }
    }
}

/// The members' events in order, each once, without those of modules; a gap is an item of its own. A slow reader reads on from storage.
pub struct EventReader(pub(super) Stored);

impl Stream for EventReader {
    type Item = Result<LogItem<AgentEventRecord>, MobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = loop {
            let item = ready!(Pin::new(&mut self.0).poll_next(cx));
            let is_modules = matches!(&item, Some(Ok(LogItem::Entry { cursor, entry }))
                if record_of(*cursor, entry.json()).is_ok_and(|record| record.module.is_some()));
            if !is_modules {
                break item.map(|item| Ok(decoded(&item?)?));
            }
        };
        self.0.done |= matches!(item, Some(Err(_)));
        Poll::Ready(item)
    }
}

/// [`EventReader`] for whoever hands events on: nothing is decoded.
///
/// An event is the JSON of its [`PersistedEvent`], a gap is `{type: "gap", from, to, reason}`.
pub struct EventTexts(pub(super) Stored);

impl EventTexts {
    /// The same events for somebody who gives them another form.
    pub(crate) fn items(self) -> impl Stream<Item = Result<RawItem, MobError>> + Unpin {
        self.0
    }
}

impl Stream for EventTexts {
    type Item = Result<String, MobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(item.map(|item| {
            Ok(match item? {
                LogItem::Gap { from, to, reason } => json::text(&object!({
                    "type": "gap", "from": from, "to": to, "reason": reason.as_str(),
                })),
                LogItem::Entry { cursor, entry } => {
                    record_of(cursor, entry.json())?.to_persisted(cursor)
                }
            })
        }))
    }
}

/// A page of agent events.
#[derive(Clone, Debug, Default)]
pub struct EventsPage {
    /// The matching events, ascending.
    pub events: Vec<PersistedEvent>,
    /// How far the log was read: where the next page begins.
    pub next_after_seq: Cursor,
    /// Holes inside what was read.
    pub gaps: Vec<QueryGap>,
}

/// A page of entries as they are stored.
#[derive(Default)]
pub(crate) struct StoredPage {
    /// The entries that match.
    pub items: Vec<RawItem>,
    /// How far the log was read.
    pub next_after_seq: Cursor,
    /// Holes inside what was read.
    pub gaps: Vec<QueryGap>,
    /// Whether nothing older is kept; only a look backwards says so.
    pub exhausted: bool,
}

impl StoredPage {
    /// The page with its events decoded.
    pub fn decoded(self) -> Result<EventsPage, MobError> {
        let mut events = Vec::with_capacity(self.items.len());
        for item in &self.items {
            if let LogItem::Entry { cursor, entry } = item {
                let event = record_of(*cursor, entry.json())?.to_persisted_event(*cursor);
                let wrong = || LogError::corrupt(*cursor, "it is no agent event");
                events.push(event.ok_or_else(wrong)?);
            }
        }
        Ok(EventsPage {
            events,
            next_after_seq: self.next_after_seq,
            gaps: self.gaps,
        })
    }

    /// The JSON of the page.
    pub fn text(&self) -> Result<String, MobError> {
        let mut text = String::from(r#"{"events":["#);
        for item in &self.items {
            if let LogItem::Entry { cursor, entry } = item {
                if !text.ends_with('[') {
                    text.push(',');
                }
                text.push_str(&record_of(*cursor, entry.json())?.to_persisted(*cursor));
            }
        }
        let rest =
            object!({ "next_after_seq": self.next_after_seq, "gaps": json::value_of(&self.gaps) });
        text.push_str("],");
        text.push_str(&json::text(&rest)[1..]);
        Ok(text)
    }

    fn gap(from: Cursor, to: Cursor, reason: GapReason) -> QueryGap {
        QueryGap {
            from,
            to,
            reason: reason.as_str().to_owned(),
        }
    }
}

/// Queries the agent events (MobKit contract, section 9.1): forwards after a cursor, or the newest that match.
pub(crate) async fn query(core: &Core, query: &EventQuery) -> Result<StoredPage, MobError> {
    let limit = query.limit_or_default();
    if limit == 0 || query.mob_id.as_ref().is_some_and(|mob| *mob != core.mob_id) {
        return Ok(StoredPage {
            next_after_seq: query.after_seq.unwrap_or_else(|| core.events.latest()),
            ..StoredPage::default()
        });
    }
    match query.after_seq {
        Some(after) => forwards(core, query, after, limit).await,
        None => backwards(core, query, core.events.latest().next(), limit).await,
    }
}

/// The next matches after a place, ascending.
pub(super) async fn forwards(
    core: &Core,
    query: &EventQuery,
    after: Cursor,
    limit: usize,
) -> Result<StoredPage, MobError> {
    let mut page = StoredPage {
        next_after_seq: after,
        ..StoredPage::default()
    };
    loop {
        let items = core
            .events
            .read_undecoded(page.next_after_seq, PAGE)
            .await?;
        if items.is_empty() {
            return Ok(page);
        }
        for item in items {
            page.next_after_seq = item.cursor();
            match &item {
                LogItem::Gap { from, to, reason } => {
                    page.gaps.push(StoredPage::gap(*from, *to, *reason));
                }
                LogItem::Entry { cursor, entry } => {
                    if query.record_matches(&record_of(*cursor, entry.json())?) {
                        page.items.push(item);
                    }
                }
            }
            if page.items.len() == limit {
                return Ok(page);
            }
        }
        core.host.yield_now().await;
    }
}

/// The last matches before a place, ascending.
pub(super) async fn backwards(
    core: &Core,
    query: &EventQuery,
    mut before: Cursor,
    limit: usize,
) -> Result<StoredPage, MobError> {
    let mut page = StoredPage {
        next_after_seq: before.previous(),
        ..StoredPage::default()
    };
    'scan: loop {
        let items = core.events.read_before_undecoded(before, PAGE).await?;
        if items.is_empty() {
            page.exhausted = true;
            break;
        }
        // A window is ascending.
        for item in items.into_iter().rev() {
            match &item {
                LogItem::Gap { from, to, reason } => {
                    page.gaps.push(StoredPage::gap(*from, *to, *reason));
                    before = *from;
                }
                LogItem::Entry { cursor, entry } => {
                    before = *cursor;
                    if query.record_matches(&record_of(*cursor, entry.json())?) {
                        page.items.push(item);
                    }
                }
            }
            if page.items.len() == limit {
                break 'scan;
            }
        }
        core.host.yield_now().await;
    }
    page.gaps.reverse();
    page.items.reverse();
    Ok(page)
}
