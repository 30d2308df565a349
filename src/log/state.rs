//! What a log knows about its entries: which are handed out, shown, on their way, stored or lost.
//!
//! Numbers never go back past one that somebody may have seen:
//! `stored <= settled <= visible < next`, except that staged and unreserved entries are not
//! visible yet.

use std::collections::VecDeque;
use std::rc::Rc;

use super::Keys;
use super::chunk::{BlockRow, ChunkWriter, ENTRY_BYTES, Split, Totals, TrimRow};
use super::config::LogConfig;
use super::entry::Entry;
use crate::storage::{Batch, StorageLimits, value};

/// What opening found.
pub(super) struct Opened {
    pub(super) stored: u64,
    pub(super) settled: u64,
    pub(super) block: Option<u64>,
    pub(super) trimmed: u64,
    pub(super) totals: Totals,
    pub(super) totals_trimmed: Totals,
}

struct Pending {
    number: u64,
    entry: Rc<Entry>,
    /// Shown only when the commit is through, taken back if it fails.
    staged: bool,
}

/// Entries that retention will delete with the next commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrimPlan {
    pub(super) through: u64,
    pub(super) totals: Totals,
}

/// What becomes true when the commit under way is through.
struct Flight {
    count: usize,
    open: Option<ChunkWriter>,
    totals: Totals,
    block: Option<u64>,
    trim: Option<TrimPlan>,
}

pub(super) struct State {
    /// The next number to hand out.
    pub(super) next: u64,
    /// The newest number that readers see.
    pub(super) visible: u64,
    /// The newest number that is stored.
    pub(super) stored: u64,
    /// Every number up to this is stored, lost or names nothing.
    pub(super) settled: u64,
    /// Every number up to this was deleted by retention.
    pub(super) trimmed: u64,
    pub(super) released: bool,
    pub(super) shed: u64,
    /// A number up to which everything was given up unseen, for the tail to move over.
    pub(super) jump: Option<u64>,
    /// Numbers up to this may be shown before they are stored.
    reserved: u64,
    /// What the stored block row says.
    block: Option<u64>,
    pending: VecDeque<Pending>,
    /// So many of `pending`, from the front, are visible.
    shown: usize,
    /// Became visible by being stored, not yet fetched by [`State::show`].
    ready: Vec<(u64, Rc<Entry>)>,
    flight: Option<Flight>,
    /// The newest chunk while it may still grow; it ends at `stored`.
    open: Option<ChunkWriter>,
    totals: Totals,
    totals_trimmed: Totals,
    trim: Option<TrimPlan>,
}

impl State {
    pub(super) fn new(opened: Opened) -> State {
        State {
            next: opened.settled + 1,
            visible: opened.settled,
            stored: opened.stored,
            settled: opened.settled,
            trimmed: opened.trimmed,
            released: false,
            shed: 0,
            jump: None,
            reserved: opened.settled,
            block: opened.block,
            pending: VecDeque::new(),
            shown: 0,
            ready: Vec::new(),
            flight: None,
            open: None,
            totals: opened.totals,
            totals_trimmed: opened.totals_trimmed,
            trim: None,
        }
    }

    pub(super) fn append(&mut self, entry: Rc<Entry>) -> u64 {
        self.push(entry, false)
    }

    pub(super) fn stage(&mut self, entry: Rc<Entry>) -> u64 {
        self.push(entry, true)
    }

    fn push(&mut self, entry: Rc<Entry>, staged: bool) -> u64 {
        let number = self.next;
        self.next += 1;
        self.pending.push_back(Pending {
            number,
            entry,
            staged,
        });
        number
    }

    /// The entries that have become visible since the last call, in order.
    pub(super) fn show(&mut self) -> Vec<(u64, Rc<Entry>)> {
        let mut shown = std::mem::take(&mut self.ready);
        while let Some(next) = self.pending.get(self.shown) {
            if next.staged || next.number > self.reserved {
                break;
            }
            shown.push((next.number, next.entry.clone()));
            self.visible = next.number;
            self.shown += 1;
        }
        shown
    }

    /// How many entries wait for the next commit.
    pub(super) fn waiting(&self) -> usize {
        let in_flight = self.flight.as_ref().map_or(0, |flight| flight.count);
        self.pending.len() - in_flight
    }

    /// Whether entries wait that are not visible before a commit.
    pub(super) fn is_urgent(&self) -> bool {
        self.waiting() > 0 && self.shown < self.pending.len()
    }

    /// Visible entries that are in memory because they are not stored, after a number.
    pub(super) fn unstored(&self, after: u64, limit: usize) -> Vec<(u64, Rc<Entry>)> {
        let shown = self.pending.iter().take(self.shown);
        shown
            .filter(|pending| pending.number > after)
            .take(limit)
            .map(|pending| (pending.number, pending.entry.clone()))
            .collect()
    }

    /// The same before a number, newest first.
    pub(super) fn unstored_before(&self, before: u64, limit: usize) -> Vec<(u64, Rc<Entry>)> {
        let shown = self.pending.iter().take(self.shown).rev();
        shown
            .filter(|pending| pending.number < before)
            .take(limit)
            .map(|pending| (pending.number, pending.entry.clone()))
            .collect()
    }

    /// Entries and bytes that are stored now.
    pub(super) fn retained(&self) -> (u64, u64) {
        let Totals(entries, bytes) = self.totals.minus(self.totals_trimmed);
        (entries, bytes)
    }

    /// What was deleted so far, for a trim that goes on from there.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Gives up the oldest entries that wait beyond the limit.
    pub(super) fn shed_beyond(&mut self, limit: usize) {
        if self.flight.is_some() {
            return;
        }
        while self.pending.len() > limit {
            match self.pending.front() {
                Some(oldest) if !oldest.staged => self.settled = oldest.number,
                _ => return,
            }
            self.pending.pop_front();
            self.shed += 1;
            if self.shown > 0 {
                self.shown -= 1;
            } else {
                self.visible = self.settled;
                self.jump = Some(self.settled);
            }
        }
    }

    /// Adds to the batch everything that waits.
    pub(super) fn write(
        &mut self,
        batch: &mut Batch,
        keys: &Keys,
        config: &LogConfig,
        limits: StorageLimits,
        now: u64,
    ) {
        let block = self.write_block(batch, keys, config.block);
        let trim = self.trim.take();
        if let Some(plan) = trim {
            write_trim(batch, keys, plan);
        }
        let (open, totals) = self.write_chunks(batch, keys, config, limits, now);
        self.flight = Some(Flight {
            count: self.pending.len(),
            open,
            totals,
            block,
            trim,
        });
    }

    /// Reserves a block when half of the last one is used, or gives back what is left.
    fn write_block(&mut self, batch: &mut Batch, keys: &Keys, size: u64) -> Option<u64> {
        let last = self.next - 1;
        let reserve = if self.released {
            // From now on nothing beyond is shown early, even if this commit fails.
            self.reserved = self.reserved.min(last);
            (self.block.is_some() && self.block != Some(last)).then_some(last)
        } else {
            (size > 0 && last + size / 2 >= self.reserved).then_some(last + size)
        };
        if let Some(reserved) = reserve {
            batch.put(keys.block.clone(), value::encode(&BlockRow { reserved }));
        }
        reserve
    }

    fn write_chunks(
        &self,
        batch: &mut Batch,
        keys: &Keys,
        config: &LogConfig,
        limits: StorageLimits,
        now: u64,
    ) -> (Option<ChunkWriter>, Totals) {
        if self.pending.is_empty() {
            return (self.open.clone(), self.totals);
        }
        let max = config.chunk_max_bytes.min(limits.max_value_bytes);
        let mergeable = |chunk: &ChunkWriter| {
            chunk.len() < config.chunk_merge_bytes
                && chunk.entries < config.chunk_max_entries as u64
        };
        let open = self.open.as_ref();
        let mut chunk = match open {
            // What was given up after it must stay a gap between two chunks.
            Some(open) if mergeable(open) && self.settled == self.stored => open.clone(),
            _ => ChunkWriter::new(self.settled + 1, self.totals),
        };
        let mut totals = self.totals;
        let mut last = self.settled;
        let finish = |chunk: &ChunkWriter, last: u64, batch: &mut Batch| {
            let row = chunk.value(last, now);
            let totals = chunk.totals_after(&row);
            batch.put(keys.chunks.number(chunk.first), row);
            totals
        };
        for pending in &self.pending {
            let json = pending.entry.json();
            let size = json.len() + ENTRY_BYTES;
            let full = chunk.entries >= config.chunk_max_entries as u64
                || chunk.len() + size > max.max(size);
            if full && chunk.entries > 0 {
                totals = finish(&chunk, last, batch);
                chunk = ChunkWriter::new(last + 1, totals);
            }
            // Alone in its chunk and still too large for a value.
            if chunk.len() + size > limits.max_value_bytes {
                write_parts(batch, keys, pending.number, json, limits);
                chunk.push_split(Split(pending.number, json.len() as u64));
            } else {
                chunk.push(pending.number, json);
            }
            last = pending.number;
        }
        if chunk.entries > 0 {
            totals = finish(&chunk, last, batch);
        }
        (mergeable(&chunk).then_some(chunk), totals)
    }

    /// The commit under way is through, or has failed.
    pub(super) fn settle(&mut self, ok: bool, dense: bool) {
        let flight = self.flight.take();
        if !ok {
            self.trim = self.trim.or(flight.and_then(|flight| flight.trim));
            return self.take_back(dense);
        }
        let Some(flight) = flight else { return };
        for _ in 0..flight.count {
            let Some(pending) = self.pending.pop_front() else {
                break;
            };
            self.stored = pending.number;
            self.settled = pending.number;
            if self.shown > 0 {
                self.shown -= 1;
            } else {
                self.visible = pending.number;
                self.ready.push((pending.number, pending.entry));
            }
        }
        self.open = flight.open;
        self.totals = flight.totals;
        if let Some(block) = flight.block {
            self.block = Some(block);
            self.reserved = self.reserved.max(block);
        }
        if let Some(plan) = flight.trim {
            self.trimmed = self.trimmed.max(plan.through);
            self.totals_trimmed = plan.totals;
        }
    }

    /// Takes back what was staged. A dense log hands the numbers out again; where numbers may be
    /// shown early they are not, because a commit of unknown outcome may have stored them.
    fn take_back(&mut self, dense: bool) {
        self.pending.retain(|pending| !pending.staged);
        if dense {
            let last = self.pending.back().map_or(self.settled, |last| last.number);
            self.next = last + 1;
        }
    }

    /// Every number up to this was deleted by retention, or is by the commit under way: a reader may meet its effect before the
    /// commit is through.
    pub(super) fn trimming(&self) -> u64 {
        let plan = self.flight.as_ref().and_then(|flight| flight.trim);
        plan.map_or(self.trimmed, |plan| plan.through.max(self.trimmed))
    }

    pub(super) fn plan_trim(&mut self, plan: TrimPlan) {
        self.trim = Some(plan);
    }

    /// Another context has stored entries up to `last`.
    pub(super) fn follow(&mut self, last: u64, totals: Totals) {
        self.visible = last;
        self.stored = last;
        self.settled = last;
        self.next = last + 1;
        self.totals = totals;
    }

    /// Another context has deleted old entries; answers whether that is news.
    pub(super) fn follow_trim(&mut self, trim: &TrimRow) -> bool {
        let news = trim.through > self.trimmed;
        if news {
            self.trimmed = trim.through;
            self.totals_trimmed = trim.totals;
        }
        news
    }
}

fn write_trim(batch: &mut Batch, keys: &Keys, plan: TrimPlan) {
    let TrimPlan { through, totals } = plan;
    for rows in [&keys.chunks, &keys.overflow] {
        let range = rows.prefix_range().before(&rows.number(through + 1));
        batch.delete_range(range);
    }
    let row = TrimRow { through, totals };
    batch.put(keys.trim.clone(), value::encode(&row));
}

fn write_parts(batch: &mut Batch, keys: &Keys, number: u64, json: &[u8], limits: StorageLimits) {
    let size = limits.max_value_bytes.saturating_sub(1).max(1);
    let rows = keys.overflow.number(number);
    for (part, piece) in json.chunks(size).enumerate() {
        let mut bytes = Vec::with_capacity(piece.len() + 1);
        bytes.push(value::FORMAT_JSON);
        bytes.extend_from_slice(piece);
        batch.put(rows.number(part as u64), bytes);
    }
}
