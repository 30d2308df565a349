//! Which occurrences have been dispatched, so that none is twice (MobKit contract, section 15.3).

use litemap::LiteMap;
use serde::Serialize;

use crate::wire::json::{self, from_json};

/// How long it is remembered that an occurrence was dispatched.
const RETENTION_MS: u64 = 24 * 60 * 60 * 1000;
/// How many are remembered.
const LIMIT: usize = 4_096;

/// What has been dispatched in the last day, and of each schedule the occurrence that was last. A plain value: whoever keeps
/// it hands it to every dispatch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The tick at which each occurrence was dispatched, by `schedule_id:due_tick_ms`.
    #[serde(serialize_with = "json::map")]
    claimed: LiteMap<String, u64>,
    /// The last occurrence of each schedule.
    #[serde(serialize_with = "json::map")]
    last_due: LiteMap<String, u64>,
}

from_json!(Claims deserialize { claimed = default, last_due = default });

impl Claims {
    /// How many occurrences are remembered.
    pub fn len(&self) -> usize {
        self.claimed.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.claimed.is_empty()
    }

    /// Forgets what is older than a day at `tick_ms`, and the oldest of what is too much; but not the last occurrences of the schedules
    /// that there are, which are few.
    pub(super) fn prune(&mut self, tick_ms: u64, schedules: &[&str]) {
        let cutoff = tick_ms.saturating_sub(RETENTION_MS);
        let is_there = |id: &str| schedules.contains(&id);
        self.claimed.retain(|_, at| *at >= cutoff);
        bound(&mut self.claimed, &|_| false);
        self.last_due.retain(|id, at| *at >= cutoff || is_there(id));
        bound(&mut self.last_due, &is_there);
    }

    /// The last occurrence of a schedule that was dispatched.
    pub(super) fn last_due(&self, schedule_id: &str) -> Option<u64> {
        self.last_due.get(schedule_id).copied()
    }

    /// Remembers that an occurrence is dispatched at `tick_ms`; false if it has been.
    pub(super) fn claim(
        &mut self,
        key: &str,
        schedule_id: &str,
        due_ms: u64,
        tick_ms: u64,
    ) -> bool {
        if self.claimed.contains_key(key) {
            return false;
        }
        self.claimed.insert(key.to_owned(), tick_ms);
        self.last_due.insert(schedule_id.to_owned(), due_ms);
        true
    }
}

/// Forgets the oldest of what is too much, unless it is kept.
fn bound(map: &mut LiteMap<String, u64>, is_kept: &dyn Fn(&str) -> bool) {
    while map.len() > LIMIT {
        let oldest = map.iter().filter(|(key, _)| !is_kept(key));
        let oldest = oldest.min_by_key(|(key, at)| (**at, *key));
        let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
            return;
        };
        map.remove(&oldest);
    }
}
