//! The agent events: live, replayed, and queried.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures::Stream;

use crate::log::{LogError, LogItem, LogReader, RawReader};
use crate::mob::{Core, InteractionStatus, MobError};
use crate::shim::Notified;
use crate::wire::agent_record::RecordText;
use crate::wire::json::{self, ToValue, object};
use crate::wire::{
    AgentEvent, AgentEventRecord, AgentIdentity, Cursor, EventQuery, InteractionId, PersistedEvent,
    QueryGap,
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

impl EventFilter {
    fn matches(&self, record: &AgentEventRecord) -> bool {
        self.identity
            .as_ref()
            .is_none_or(|identity| *identity == record.identity)
            && self
                .interaction_id
                .as_ref()
                .is_none_or(|id| record.interaction_id.as_ref() == Some(id))
    }
}

/// Agent events in order, each once; a gap is an item of its own. A slow reader reads on from storage.
pub struct EventReader {
    log: LogReader<AgentEventRecord>,
    filter: EventFilter,
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
    fn is_last(&self, record: &AgentEventRecord) -> bool {
        match &record.event {
            AgentEvent::InteractionComplete { interaction_id, .. }
            | AgentEvent::InteractionFailed { interaction_id, .. } => *interaction_id == self.id,
            _ => false,
        }
    }

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

impl EventReader {
    pub(crate) fn open(core: &Core, filter: EventFilter) -> Result<Self, MobError> {
        let after = filter.after.unwrap_or_else(|| core.events.latest());
        let log = core.events.follow(after)?;
        Ok(Self {
            log,
            filter,
            until: None,
            done: false,
        })
    }

    /// The events of one interaction from its acceptance to its end.
    pub(crate) fn of_interaction(
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
        let mut reader = Self::open(core, filter)?;
        reader.until = Some(Until {
            core: core.clone(),
            id: id.clone(),
            changed: core.changed.notified(),
        });
        Ok(reader)
    }
}

impl Stream for EventReader {
    type Item = Result<LogItem<AgentEventRecord>, MobError>;

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
            match &item {
                LogItem::Gap { .. } => return Poll::Ready(Some(Ok(item))),
                LogItem::Entry { entry, .. } if this.filter.matches(entry) => {
                    this.done = this
                        .until
                        .as_ref()
                        .is_some_and(|until| until.is_last(entry));
                    return Poll::Ready(Some(Ok(item)));
                }
                LogItem::Entry { .. } => {}
            }
        }
    }
}

/// Agent events as the JSON of their [`PersistedEvent`]s, in order, each once; a gap is `{type: "gap", from, to, reason}`. An
/// entry is not decoded for it.
pub struct EventTexts {
    log: RawReader,
    /// The JSON of the names that are wanted.
    identity: Option<String>,
    interaction_id: Option<String>,
}

impl EventTexts {
    pub(crate) fn open(core: &Core, filter: &EventFilter) -> Result<Self, MobError> {
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
        })
    }

    /// The text of an entry, if it is wanted.
    fn text(&self, cursor: Cursor, entry: &[u8]) -> Result<Option<String>, MobError> {
        let wrong = || LogError::corrupt(cursor, "it is no agent event");
        let record = RecordText::of(entry).ok_or_else(wrong)?;
        let is_wanted =
            |wanted: &Option<String>, is: Option<&str>| wanted.is_none() || wanted.as_deref() == is;
        if is_wanted(&self.identity, Some(record.identity()))
            && is_wanted(&self.interaction_id, record.interaction_id())
        {
            let text = record.to_persisted(cursor).ok_or_else(wrong)?;
            Ok(Some(text))
        } else {
            Ok(None)
        }
    }
}

impl Stream for EventTexts {
    type Item = Result<String, MobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let text = match ready!(Pin::new(&mut self.log).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => Err(error.into()),
                Some(Ok(LogItem::Gap { from, to, reason })) => Ok(json::text(&object!({
                    "type": "gap", "from": from, "to": to, "reason": reason.as_str(),
                }))),
                Some(Ok(LogItem::Entry { cursor, entry })) => {
                    match self.text(cursor, entry.json()).transpose() {
                        None => continue,
                        Some(text) => text,
                    }
                }
            };
            return Poll::Ready(Some(text));
        }
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

/// Queries the agent events (MobKit contract, section 9.1): forwards after a cursor, or the newest that match.
pub(crate) async fn query(core: &Core, query: &EventQuery) -> Result<EventsPage, MobError> {
    let limit = query.limit_or_default();
    if limit == 0 || query.mob_id.as_ref().is_some_and(|mob| *mob != core.mob_id) {
        return Ok(EventsPage {
            next_after_seq: query.after_seq.unwrap_or_else(|| core.events.latest()),
            ..EventsPage::default()
        });
    }
    match query.after_seq {
        Some(after) => forwards(core, query, after, limit).await,
        None => backwards(core, query, limit).await,
    }
}

async fn forwards(
    core: &Core,
    query: &EventQuery,
    after: Cursor,
    limit: usize,
) -> Result<EventsPage, MobError> {
    let mut page = EventsPage {
        next_after_seq: after,
        ..EventsPage::default()
    };
    loop {
        let items = core.events.read(page.next_after_seq, PAGE).await?;
        if items.is_empty() {
            return Ok(page);
        }
        for item in items {
            match item {
                LogItem::Gap { from, to, reason } => {
                    page.gaps.push(QueryGap {
                        from,
                        to,
                        reason: reason.as_str().to_owned(),
                    });
                    page.next_after_seq = to;
                }
                LogItem::Entry { cursor, entry } => {
                    page.next_after_seq = cursor;
                    if query.record_matches(&entry) {
                        page.events.push(entry.to_persisted(cursor));
                    }
                }
            }
            if page.events.len() == limit {
                return Ok(page);
            }
        }
        core.host.yield_now().await;
    }
}

async fn backwards(core: &Core, query: &EventQuery, limit: usize) -> Result<EventsPage, MobError> {
    let latest = core.events.latest();
    let mut newest_first: Vec<(Cursor, Rc<AgentEventRecord>)> = Vec::new();
    let mut gaps = Vec::new();
    let mut before = latest.next();
    'scan: loop {
        let items = core.events.read_before(before, PAGE).await?;
        if items.is_empty() {
            break;
        }
        // A window is ascending.
        for item in items.into_iter().rev() {
            match item {
                LogItem::Gap { from, to, reason } => {
                    gaps.push(QueryGap {
                        from,
                        to,
                        reason: reason.as_str().to_owned(),
                    });
                    before = from;
                }
                LogItem::Entry { cursor, entry } => {
                    before = cursor;
                    if query.record_matches(&entry) {
                        newest_first.push((cursor, entry));
                    }
                }
            }
            if newest_first.len() == limit {
                break 'scan;
            }
        }
        core.host.yield_now().await;
    }
    gaps.reverse();
    let events = newest_first
        .iter()
        .rev()
        .map(|(cursor, entry)| entry.to_persisted(*cursor))
        .collect();
    Ok(EventsPage {
        events,
        next_after_seq: latest,
        gaps,
    })
}
