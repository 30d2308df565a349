//! The timeline, told: what there is, then what comes.

use std::collections::VecDeque;
use std::rc::Rc;

use futures::StreamExt;
use futures::stream::LocalBoxStream;

use super::frames::{Group, bootstrapped, group, groups};
use super::page::Wanted;
use crate::log::{LogItem, RawItem, RawReader};
use crate::mob::{Core, MobError};
use crate::runtime::events::{self, record_of};
use crate::wire::Cursor;
use crate::wire::console::console_cursor;
use crate::wire::json::{self, ToValue};

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

pub(super) struct Telling {
    pub core: Rc<Core>,
    pub wanted: Wanted,
    pub log: RawReader,
    /// Up to where the snapshot goes; none once it is complete.
    pub until: Option<Cursor>,
    pub begun: bool,
    pub over: bool,
    pub told: VecDeque<TimelineText>,
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

    pub async fn next(mut self) -> Option<(Result<TimelineText, MobError>, Self)> {
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

/// The JSON of an array of what events become, for whoever is fed with it.
pub(in crate::runtime) async fn array(core: &Core, items: &[RawItem]) -> Result<String, MobError> {
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
