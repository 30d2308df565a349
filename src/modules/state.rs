//! What the module runtime keeps, and where each is stored below `mob/{mob_id}/module/`.
//!
//! | row | key | what it is |
//! |---|---|---|
//! | [`Sequence`] | `sequence/{name}` | the next number of one kind of name |
//! | [`RuntimeRoute`] | `route/{route_key}` | a rule of where something goes |
//! | [`RoutingResolution`] | `resolution/{number}` | what was answered, of which the newest are trusted |
//! | [`DeliveryRow`] | `delivery/{number}` | a delivery that is under way, or was |
//! | [`WindowRow`] | `rate/{scope}` | how many deliveries count for a window of the rate |
//! | [`PendingRow`] | `pending/{number}` | what somebody has to decide |
//! | [`AuditRow`] | `audit/{number}` | what was allowed and decided |
//! | [`MemoryAssertion`] | `memory/{number}` | a fact |
//! | [`MemoryConflictSignal`] | `conflict/{entity}/{topic}/{store}` | that facts contradict each other |
//! | [`ScheduleRow`] | `schedule/{schedule_id}` | a schedule that the runtime holds |
//! | [`ClaimsRow`] | `claims/dispatch` | what callers have dispatched |

use std::rc::Rc;

use serde::Serialize;

use crate::mob::MobError;
use crate::modules::delivery::{DeliveryRow, WindowRow};
use crate::modules::gating::{AuditRow, PendingRow};
use crate::modules::held::ScheduleRow;
use crate::modules::memory::{MemoryAssertion, MemoryConflictSignal};
use crate::modules::routing::{RoutingResolution, RuntimeRoute};
use crate::modules::schedule::Claims;
use crate::shim::Notify;
use crate::storage::{Batch, Direction, Key, Record, Storage, StorageError, Table};
use crate::wire::json::from_json;

/// The next number of one kind of name.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sequence {
    pub name: String,
    pub next: u64,
}

from_json!(Sequence { name, next });

/// What callers have dispatched.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClaimsRow {
    pub claims: Claims,
}

from_json!(ClaimsRow { claims });

impl Record for Sequence {
    type Key = String;
    fn key(&self) -> String {
        self.name.clone()
    }
    fn place(key: &String, prefix: &Key) -> Key {
        prefix.part(key)
    }
}

impl Record for ClaimsRow {
    type Key = ();
    fn key(&self) {}
    fn place((): &(), prefix: &Key) -> Key {
        prefix.part("dispatch")
    }
}

/// The tables.
pub(crate) struct State {
    prefix: Key,
    pub sequences: Table<Sequence>,
    pub routes: Table<RuntimeRoute>,
    pub resolutions: Table<RoutingResolution>,
    pub deliveries: Table<DeliveryRow>,
    pub windows: Table<WindowRow>,
    pub pending: Table<PendingRow>,
    pub audit: Table<AuditRow>,
    pub assertions: Table<MemoryAssertion>,
    pub conflicts: Table<MemoryConflictSignal>,
    pub schedules: Table<ScheduleRow>,
    pub claims: Table<ClaimsRow>,
    /// Told after every commit that changed one of them.
    pub changed: Notify,
}

impl State {
    /// Empty tables below a mob's prefix.
    pub fn new(mob: &Key) -> Self {
        let prefix = mob.part("module");
        Self {
            sequences: Table::new(prefix.part("sequence")),
            routes: Table::new(prefix.part("route")),
            resolutions: Table::new(prefix.part("resolution")),
            deliveries: Table::new(prefix.part("delivery")),
            windows: Table::new(prefix.part("rate")),
            pending: Table::new(prefix.part("pending")),
            audit: Table::new(prefix.part("audit")),
            assertions: Table::new(prefix.part("memory")),
            conflicts: Table::new(prefix.part("conflict")),
            schedules: Table::new(prefix.part("schedule")),
            claims: Table::new(prefix.part("claims")),
            changed: Notify::new(),
            prefix,
        }
    }

    /// Reads what is stored.
    pub async fn load(&self, storage: &dyn Storage) -> Result<(), StorageError> {
        // A mob that has nothing to do with all this is opened, and followed, by one look.
        let range = self.prefix.prefix_range();
        if self.is_empty() && storage.scan(range, Direction::Forward, 1).await?.is_empty() {
            return Ok(());
        }
        let tables = [
            self.sequences.loader(),
            self.routes.loader(),
            self.resolutions.loader(),
            self.deliveries.loader(),
            self.windows.loader(),
            self.pending.loader(),
            self.audit.loader(),
            self.assertions.loader(),
            self.conflicts.loader(),
            self.schedules.loader(),
            self.claims.loader(),
        ];
        for table in tables {
            table.load(storage).await?;
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// Whether no rows were found so far.
    fn is_empty(&self) -> bool {
        self.sequences.is_empty()
            && self.routes.is_empty()
            && self.schedules.is_empty()
            && self.conflicts.is_empty()
    }

    /// The next number of one kind of name.
    pub fn next(&self, batch: &mut Batch, name: &str) -> u64 {
        let name = name.to_owned();
        let number = self.sequences.staged(&name).map_or(0, |row| row.next);
        let next = number.saturating_add(1);
        self.sequences.put(batch, Sequence { name, next });
        number
    }
}

impl State {
    /// The commit is through, or not; answers whether it changed anything here.
    pub fn settle(&self, committed: bool) -> bool {
        let mut changed = self.sequences.settles(committed);
        changed |= self.routes.settles(committed);
        changed |= self.resolutions.settles(committed);
        changed |= self.deliveries.settles(committed);
        changed |= self.windows.settles(committed);
        changed |= self.pending.settles(committed);
        changed |= self.audit.settles(committed);
        changed |= self.assertions.settles(committed);
        changed |= self.conflicts.settles(committed);
        changed |= self.schedules.settles(committed);
        changed |= self.claims.settles(committed);
        if changed {
            self.changed.notify_waiters();
        }
        changed
    }
}

/// Makes room for one more row where there may be `most`: deletes the oldest, and answers those that go. Rows sort as their age does.
pub(crate) fn bound<V: Record>(table: &Table<V>, batch: &mut Batch, most: usize) -> Vec<Rc<V>> {
    if table.len() < most / 2 {
        // What one commit may add is less than that.
        return Vec::new();
    }
    let mut rows = table.staged_range(..);
    let excess = (rows.len() + 1).saturating_sub(most);
    rows.truncate(excess);
    for row in &rows {
        table.delete(batch, &row.key());
    }
    rows
}

/// The longest text that becomes a part of a key, in bytes there: all but letters, digits and a few signs take three.
const MAX_PART: usize = 300;

/// Whether a text can be a part of a key.
///
/// # Errors
/// [`MobError::InvalidInput`] if it is too long.
pub(crate) fn check_part(name: &'static str, text: &str) -> Result<(), MobError> {
    match text.len() <= MAX_PART && Key::root().part(text).as_str().len() <= MAX_PART {
        true => Ok(()),
        false => Err(MobError::invalid(
            name,
            format!(
                "it is longer than {MAX_PART} bytes, where all but A-Z a-z 0-9 - _ . ~ : @ + , = take three"
            ),
        )),
    }
}

/// The number of a name that one of this module's sequences gave.
pub(crate) fn number_of(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let number = digits.parse().ok()?;
    (numbered(prefix, number) == name).then_some(number)
}

/// The name of a number: six digits at least.
pub(crate) fn numbered(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:06}")
}

/// How the names of answered routes begin.
pub(crate) const ROUTE: &str = "route-";
