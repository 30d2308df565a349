//! The console's timeline (MobKit contract, section 12): frames, which are a view of the agent-event log.
//!
//! A frame is made when it is read: its place is its event's, and the status of a message is that of its interaction's row. So
//! there is nothing to ingest, nothing to fall behind and nothing that could be there twice; a reader that is slow, or comes back
//! after a reload, reads on. An event that changes the status of a message brings the message's frame with it, as it is now.

mod frames;
mod history;
mod page;
mod telling;

use std::collections::VecDeque;

use futures::StreamExt;
use futures::stream::{self, LocalBoxStream};

pub(super) use frames::{event_id, standing};
pub(crate) use telling::TimelineText;
pub(super) use telling::array;

use crate::mob::MobError;
use crate::runtime::UnifiedRuntime;
use crate::wire::json::{self, FromJson};
use crate::wire::{
    ConsoleTimelineEvent, ConsoleTimelinePage, ConsoleTimelineQuery, Cursor, TimelineMode,
};
use page::{Wanted, page};
use telling::{Telling, Timeline};

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
