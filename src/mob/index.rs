//! Where in the ledger entries of a kind, about a member, a run or a step are: a row for each, in the batch of the entry.
//!
//! A row's key says all there is to say: `index/{field}/{value}/{cursor}`. So a sparse filter costs what it finds, not what the
//! ledger holds.

use std::ops::Range;

use serde_json::Value;

use crate::log::{LogError, LogItem};
use crate::mob::core::Core;
use crate::mob::error::MobError;
use crate::storage::{Batch, Direction, Durability, Key, value};
use crate::wire::json::{self, Fields};
use crate::wire::{Cursor, EventQuery, MobStructuralEventEnvelope, TimestampMs};

/// Numbers that one look into an index reads at most.
const PAGE: usize = 256;
/// Entries whose rows one batch brings when an index is made later.
const BUILD: usize = 512;

/// Which entries may be meant by a query: all those that one of these indexes names.
pub(crate) struct Indexes(Vec<Key>);

/// Numbers found in indexes, in order, and up to where that are all.
pub(crate) struct Candidates {
    pub numbers: Vec<Cursor>,
    /// The last number that the look has covered; none if it has covered the whole index.
    pub covered: Option<Cursor>,
}

impl Core {
    fn index(&self) -> Key {
        Core::prefix(&self.mob_id).part("index")
    }

    /// The row that says that all entries are indexed.
    fn index_mark(&self) -> Key {
        self.index().part("complete")
    }

    /// Adds the index rows of an entry.
    fn index_entry(&self, batch: &mut Batch, envelope: &MobStructuralEventEnvelope) {
        let fields = [
            ("kind", Some(envelope.kind.as_str())),
            (
                "member",
                envelope.agent_identity.as_ref().map(|id| id.as_str()),
            ),
            ("run", envelope.run_id.as_ref().map(|id| id.as_str())),
            ("step", envelope.step_id.as_ref().map(|id| id.as_str())),
        ];
        for (field, wanted) in fields {
            if let Some(wanted) = wanted {
                let key = self.index().part(field).part(wanted);
                let key = key.number(envelope.cursor.get());
                // A name that makes no key is looked for without an index.
                if key.validate().is_ok() {
                    batch.put(key, value::encode(&()));
                }
            }
        }
    }

    /// Adds the index rows of entries that are being staged.
    pub fn index_staged(
        &self,
        batch: &mut Batch,
        numbers: Range<Cursor>,
        timestamp_ms: TimestampMs,
        kinds: Vec<Value>,
    ) {
        for (number, kind) in (numbers.start.get()..).zip(kinds) {
            let cursor = Cursor::new(number);
            let envelope = MobStructuralEventEnvelope::of(&self.mob_id, cursor, timestamp_ms, kind);
            self.index_entry(batch, &envelope);
        }
    }

    /// Says, in the batch that begins the mob, that nothing is left to be indexed.
    pub fn stage_index_mark(&self, batch: &mut Batch) {
        batch.put(self.index_mark(), value::encode(&()));
    }

    /// Indexes what a version without indexes has written. Whoever leads calls it before the ledger grows.
    pub async fn complete_index(&self) -> Result<(), MobError> {
        let latest = self.ledger.latest();
        let mark = self.index_mark();
        if latest == Cursor::START || self.storage.get(&mark).await?.is_some() {
            return Ok(());
        }
        let mut frontier = Cursor::START;
        loop {
            let mut batch = Batch::new();
            let items = self.ledger.read_undecoded(frontier, BUILD).await?;
            let none_left = items.is_empty();
            for item in items {
                frontier = item.cursor();
                // What cannot be decoded is told of by whoever reads it, and keeps no mob from opening.
                if let LogItem::Entry { cursor, entry } = item
                    && let Ok(envelope) = self.envelope(cursor, entry.json())
                {
                    self.index_entry(&mut batch, &envelope);
                }
            }
            let complete = frontier >= latest || none_left;
            if complete {
                self.stage_index_mark(&mut batch);
            }
            self.storage.commit(batch, Durability::Relaxed).await?;
            if complete {
                return Ok(());
            }
        }
    }

    /// The indexes that name what a query may mean: the narrowest that it has a value for; none if it has no such value, or
    /// if not all entries are indexed by it.
    pub async fn indexes_for(&self, query: &EventQuery) -> Result<Option<Indexes>, MobError> {
        let member = query.identity.as_ref().or(query.member_id.as_ref());
        let (field, values): (&str, Vec<&str>) = if let Some(run) = &query.run_id {
            ("run", vec![run.as_str()])
        } else if let Some(step) = &query.step_id {
            ("step", vec![step.as_str()])
        } else if let Some(member) = member {
            ("member", vec![member])
        } else if query.event_types.is_empty() {
            return Ok(None);
        } else {
            (
                "kind",
                query.event_types.iter().map(String::as_str).collect(),
            )
        };
        let field = self.index().part(field);
        let keys: Vec<Key> = values.into_iter().map(|value| field.part(value)).collect();
        let usable = keys.iter().all(|key| key.number(0).validate().is_ok());
        if !usable || self.storage.get(&self.index_mark()).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(Indexes(keys)))
    }

    /// The next numbers after (or before) a place.
    pub async fn candidates(
        &self,
        indexes: &Indexes,
        from: Cursor,
        direction: Direction,
    ) -> Result<Candidates, MobError> {
        let mut numbers: Vec<u64> = Vec::new();
        let mut covered: Option<u64> = None;
        for key in &indexes.0 {
            let (place, range) = (key.number(from.get()), key.prefix_range());
            let range = match direction {
                Direction::Forward => range.after(&place),
                Direction::Backward => range.before(&place),
            };
            let rows = self.storage.scan(range, direction, PAGE).await?;
            for number in rows.iter().filter_map(|(key, _)| key.last_number()) {
                // In order, each once: an entry may be of one kind only, but a kind may be asked for twice.
                if let Err(at) = numbers.binary_search(&number) {
                    numbers.insert(at, number);
                }
            }
            let last = rows.last().and_then(|(key, _)| key.last_number());
            if let (PAGE, Some(last)) = (rows.len(), last) {
                covered = Some(match (covered, direction) {
                    (None, _) => last,
                    (Some(other), Direction::Forward) => other.min(last),
                    (Some(other), Direction::Backward) => other.max(last),
                });
            }
        }
        if direction == Direction::Backward {
            numbers.reverse();
        }
        if let Some(covered) = covered {
            numbers.retain(|number| match direction {
                Direction::Forward => *number <= covered,
                Direction::Backward => *number >= covered,
            });
        }
        Ok(Candidates {
            numbers: numbers.into_iter().map(Cursor::new).collect(),
            covered: covered.map(Cursor::new),
        })
    }

    /// The envelope of an entry as it is stored, without labels.
    pub fn envelope(
        &self,
        cursor: Cursor,
        entry: &[u8],
    ) -> Result<MobStructuralEventEnvelope, LogError> {
        let read = || {
            let mut fields = Fields::of(json::parse_own(entry)?)?;
            let at = fields.take("timestamp_ms")?;
            let kind = fields.take("kind")?;
            Ok(MobStructuralEventEnvelope::of(
                &self.mob_id,
                cursor,
                at,
                kind,
            ))
        };
        read().map_err(|error: serde_json::Error| LogError::corrupt(cursor, error))
    }
}
