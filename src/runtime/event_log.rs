//! The operational log of somebody else: agent events, fed to a store of the application's (MobKit contract, section 9).

use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};

use super::feed::{BATCH_SIZE, FLUSH_INTERVAL, Sink, Wants};
use crate::log::{LogItem, RawItem};
use crate::wire::agent_record::RecordText;
use crate::wire::{EventQuery, PersistedEvent, UnifiedEvent};

/// A store of the application's for agent events.
pub trait EventLogStore {
    /// Takes events, ascending. Must know an event that it has by its `id`: a batch whose answer was lost comes again. An error
    /// says why not; the batch comes again after a pause.
    fn append_batch(
        &self,
        events: Vec<PersistedEvent>,
    ) -> LocalBoxFuture<'static, Result<(), String>>;

    /// [`append_batch`](Self::append_batch) with the JSON of an array of [`PersistedEvent`]s, for a store that hands them on as
    /// text. It is this one that is called.
    fn append_text(&self, events: String) -> LocalBoxFuture<'static, Result<(), String>> {
        match serde_json::from_str(&events) {
            Ok(events) => self.append_batch(events),
            Err(error) => ready(Err(error.to_string())).boxed_local(),
        }
    }

    /// The matching events, ascending by `seq`. A store that is written alone has none of it.
    fn query(
        &self,
        _query: EventQuery,
    ) -> LocalBoxFuture<'static, Result<Vec<PersistedEvent>, String>> {
        ready(Err("the store cannot be queried".to_owned())).boxed_local()
    }
}

/// Which events the store takes.
pub type EventLogFilter = Rc<dyn Fn(&UnifiedEvent) -> bool>;

/// How events come to a store of the application's.
#[derive(Clone)]
pub struct EventLogConfig {
    /// Where to.
    pub store: Rc<dyn EventLogStore>,
    /// Which; all, if none.
    wants: Option<Wants>,
    /// How many at a time, at most; at least 1.
    pub batch_size: usize,
    /// How long the first of a batch waits for others; at least a millisecond.
    pub flush_interval: Duration,
}

impl EventLogConfig {
    /// All events, 64 at a time, within a second.
    pub fn new(store: Rc<dyn EventLogStore>) -> Self {
        Self {
            store,
            wants: None,
            batch_size: BATCH_SIZE,
            flush_interval: FLUSH_INTERVAL,
        }
    }

    /// Only those events that `filter` says. What is left out leaves a hole in the numbers.
    #[must_use]
    pub fn filter(mut self, filter: EventLogFilter) -> Self {
        self.wants = Some(Rc::new(move |item| {
            let LogItem::Entry { cursor, entry } = item else {
                return true;
            };
            let record = RecordText::of(entry.json());
            let event = record.and_then(|record| record.to_persisted_event(*cursor));
            event.is_none_or(|event| filter(&event.event))
        }));
        self
    }

    pub(super) fn sink(&self) -> Sink {
        let store = self.store.clone();
        Sink {
            name: "event_log",
            wants: self.wants.clone(),
            deliver: Box::new(move |items| store.append_text(array(&items))),
            batch_size: self.batch_size,
            flush_interval: self.flush_interval,
        }
    }
}

/// The JSON of the events.
fn array(items: &[RawItem]) -> String {
    let mut text = String::from("[");
    for item in items {
        if let LogItem::Entry { cursor, entry } = item
            && let Some(record) = RecordText::of(entry.json())
        {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&record.to_persisted(*cursor));
        }
    }
    text.push(']');
    text
}
