//! Retention: old chunks are deleted as a whole.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::chunk::{ChunkHead, Totals};
use super::config::Retention;
use super::item::LogError;
use super::state::TrimPlan;
use super::{Inner, Log};
use crate::storage::Direction;
use crate::wire::Cursor;

/// So many chunk rows are looked at in one go.
const PAGE_ROWS: usize = 16;

impl<T: Serialize + DeserializeOwned + 'static> Log<T> {
    /// Looks which old chunks the [`Retention`] no longer allows; they are deleted with the next
    /// commit, and readers find a gap in their place. The newest row always stays. Answers the
    /// newest number that goes.
    ///
    /// # Errors
    /// [`LogError::Storage`] if rows cannot be read.
    pub async fn trim(&self) -> Result<Option<Cursor>, LogError> {
        let inner = &self.inner;
        if inner.config.read_only || inner.config.retention == Retention::default() {
            return Ok(None);
        }
        let plan = inner.find_trim().await?;
        if let Some(plan) = plan {
            inner.state.borrow_mut().plan_trim(plan);
        }
        Ok(plan.map(|plan| Cursor::new(plan.through)))
    }
}

impl<T> Inner<T> {
    /// Whether more is stored than may be, so that a trim is worth its reads. Age is looked at
    /// when a trim is made for another reason, and when the flusher has time.
    pub(super) fn over_budget(&self) -> bool {
        let (entries, bytes) = self.state.borrow().retained();
        let over = |limit: Option<u64>, have| limit.is_some_and(|limit| have > limit);
        over(self.config.retention.max_entries, entries)
            || over(self.config.retention.max_bytes, bytes)
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
