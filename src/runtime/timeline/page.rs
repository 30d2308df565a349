//! Pages of the timeline, in both directions.

use super::frames::{Group, bootstrapped, groups};
use crate::mob::{Core, MobError};
use crate::runtime::events::{self, StoredPage};
use crate::wire::console::{console_cursor, parse_console_cursor};
use crate::wire::json::{self, object};
use crate::wire::{ConsoleTimelineQuery, Cursor, EventQuery, TimelineMode};

/// What a query asks for, checked.
pub(super) struct Wanted {
    pub filter: EventQuery,
    /// Nothing can match.
    pub nothing: bool,
    pub after: Option<Cursor>,
    pub before: Option<Cursor>,
    pub mode: TimelineMode,
    pub limit: usize,
}

impl Wanted {
    pub fn of(core: &Core, query: &ConsoleTimelineQuery) -> Result<Self, MobError> {
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

    pub fn is_everybody(&self) -> bool {
        self.filter.identity.is_none()
    }
}

/// A page as JSON: `{frames, next_cursor, latest_cursor, exhausted}`.
pub(super) async fn page(core: &Core, query: &ConsoleTimelineQuery) -> Result<String, MobError> {
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
