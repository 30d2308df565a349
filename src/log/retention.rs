//! Retention: old chunks are deleted as a whole.

use std::time::Duration;

use super::chunk::{ChunkHead, Totals};
use super::config::Retention;
use super::item::LogError;
use super::state::TrimPlan;
use super::{Inner, Log};
use crate::storage::Direction;
use crate::wire::Cursor;

/// So many chunk rows are looked at in one go.
const PAGE_ROWS: usize = 16;
/// A log that is written to looks for what is too old so many times in the time that it keeps
/// entries...
const AGE_LOOKS: u32 = 8;
/// ...and at least this often.
const LONGEST_LOOK: Duration = Duration::from_secs(3600);

impl<T> Log<T> {
    /// Looks which old chunks the [`Retention`] no longer allows; they are deleted with the next
    /// commit, and readers find a gap in their place. The newest row always stays. Answers the
    /// newest number that goes.
    ///
    /// # Errors
    /// [`LogError::Storage`] if rows cannot be read.
    pub async fn trim(&self) -> Result<Option<Cursor>, LogError> {
        self.inner.trim().await
    }
}

impl Inner {
    pub(super) async fn trim(&self) -> Result<Option<Cursor>, LogError> {
        if self.config.read_only || self.config.retention == Retention::default() {
            return Ok(None);
        }
        let stored = self.state.borrow().stored;
        let plan = self.find_trim().await?;
        // Only now: what could not be read is looked at again.
        self.looked_at_age.set(Some(self.host.instant()));
        self.looked_at.set(stored);
        if let Some(plan) = plan {
            self.state.borrow_mut().plan_trim(plan);
        }
        Ok(plan.map(|plan| Cursor::new(plan.through)))
    }

    /// Whether a trim is worth its reads: something was stored since the last look, whoever
    /// committed it, and more is stored than may be or it is time to look how old the oldest is.
    pub(super) fn trim_due(&self) -> bool {
        let limits = &self.config.retention;
        let (stored, (entries, bytes)) = {
            let state = self.state.borrow();
            (state.stored, state.retained())
        };
        if stored == self.looked_at.get() {
            return false;
        }
        let over = |limit: Option<u64>, have| limit.is_some_and(|limit| have > limit);
        let aged = limits.max_age.is_some_and(|age| {
            let pause = (age / AGE_LOOKS).min(LONGEST_LOOK);
            let looked = self.looked_at_age.get();
            looked.is_none_or(|looked| self.host.instant() >= looked + pause)
        });
        over(limits.max_entries, entries) || over(limits.max_bytes, bytes) || aged
    }

    async fn find_trim(&self) -> Result<Option<TrimPlan>, LogError> {
        let limits = &self.config.retention;
        let oldest_allowed = limits.max_age.map(|age| {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            self.host.now_ms().saturating_sub(age)
        });
        // Only a row that ends before this is closed for good.
        let (totals, stored) = {
            let state = self.state.borrow();
            (state.totals(), state.stored)
        };
        let too_much = |head: &ChunkHead| {
            let Totals(entries, bytes) = totals.minus(head.before);
            limits.max_entries.is_some_and(|max| entries > max)
                || limits.max_bytes.is_some_and(|max| bytes > max)
                || oldest_allowed.is_some_and(|oldest| head.at < oldest)
        };
        let mut plan = None;
        let mut rest = self.keys.chunks.prefix_range();
        loop {
            let rows = self
                .storage
                .scan(rest.clone(), Direction::Forward, PAGE_ROWS)
                .await?;
            let Some((last, _)) = rows.last() else {
                return Ok(plan);
            };
            rest = rest.after(last);
            for (key, bytes) in &rows {
                let head = ChunkHead::decode(key, bytes)?;
                if head.last >= stored || !too_much(&head) {
                    return Ok(plan);
                }
                plan = Some(TrimPlan {
                    through: head.last,
                    totals: head.totals_after(),
                });
            }
        }
    }
}
