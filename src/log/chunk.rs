//! The rows of a log.
//!
//! A chunk row `{prefix}/c/{first}` is
//! `{"first":1,"last":3,"at":ms,"before":[entries,bytes],"rows":[[1,entry],[3,entry]]}`. It covers
//! every number from `first` to `last`; a number in between that has no row was never shown. A
//! jump from one chunk's `last` to the next one's `first` is a gap.

use std::rc::Rc;

use serde::Serialize;
use serde_json::{Error, Value};

use super::entry::Entry;
use crate::storage::{Key, Row, StorageError, value};
use crate::wire::json::{self, Blank, FromJson, from_json};
use crate::wire::raw_json;

/// Numbers up to `reserved` may have been shown.
#[derive(Debug, Serialize)]
pub(super) struct BlockRow {
    pub(super) reserved: u64,
}

from_json!(BlockRow { reserved });

/// Entries up to `through` were deleted by retention; they were so many, in so many bytes.
#[derive(Debug, Default, Serialize)]
pub(super) struct TrimRow {
    pub(super) through: u64,
    pub(super) totals: Totals,
}

from_json!(TrimRow { through, totals });

/// So many entries in so many bytes of chunk rows, since the log began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals(pub(super) u64, pub(super) u64);

impl Blank for Totals {
    fn blank() -> Self {
        Self::default()
    }
}

impl FromJson for Totals {
    fn from_json(value: Value) -> Result<Totals, Error> {
        <(u64, u64)>::from_json(value).map(|(entries, bytes)| Totals(entries, bytes))
    }
}

/// A chunk without its entries.
#[derive(Debug)]
pub(super) struct ChunkHead {
    pub(super) last: u64,
    pub(super) at: u64,
    pub(super) before: Totals,
    own: Totals,
}

/// An entry too large for one value, by its number: its JSON, of so many bytes, lies in the rows
/// `{prefix}/x/{number}/{part}`, each a format byte and a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Split(pub(super) u64, pub(super) u64);

impl FromJson for Split {
    fn from_json(value: Value) -> Result<Split, Error> {
        <(u64, u64)>::from_json(value).map(|(number, bytes)| Split(number, bytes))
    }
}

/// A chunk with its entries, those in rows of their own still missing.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) rows: Vec<(u64, Rc<Entry>)>,
    pub(super) split: Vec<Split>,
    pub(super) totals_after: Totals,
}

/// A chunk as it is stored, its rows as text.
struct Stored<'a> {
    first: u64,
    last: u64,
    at: u64,
    before: Totals,
    split: Vec<Split>,
    rows: Vec<&'a [u8]>,
    bytes: u64,
}

impl<'a> Stored<'a> {
    fn read(key: &Key, bytes: &'a [u8]) -> Result<Stored<'a>, StorageError> {
        let text = value::json(key, bytes)?;
        let corrupt = |error: &dyn std::fmt::Display| value::corrupt(key, error);
        let names = ["first", "last", "at", "before", "split", "rows"];
        let [first, last, at, before, split, rows] =
            raw_json::fields(text, names).map_err(|error| corrupt(&error))?;
        let number = |text: Option<&[u8]>| number(text).map_err(|error| corrupt(&error));
        let rows = raw_json::elements(rows.unwrap_or_default());
        Ok(Stored {
            first: number(first)?,
            last: number(last)?,
            at: number(at)?,
            before: decode(before).map_err(|error| corrupt(&error))?,
            split: match split {
                Some(split) => decode(Some(split)).map_err(|error| corrupt(&error))?,
                None => Vec::new(),
            },
            rows: rows.map_err(|error| corrupt(&error))?,
            bytes: bytes.len() as u64,
        })
    }

    fn own_totals(&self) -> Totals {
        let entries = self.rows.len() + self.split.len();
        let split: u64 = self.split.iter().map(|split| split.1).sum();
        Totals(entries as u64, self.bytes + split)
    }
}

/// A field that must be there.
fn decode<T: FromJson>(text: Option<&[u8]>) -> Result<T, Error> {
    json::decode_own(text.unwrap_or_default())
}

fn number(text: Option<&[u8]>) -> Result<u64, Error> {
    decode(text)
}

impl ChunkHead {
    /// Of a row, if there is one.
    pub(super) fn of(row: Option<&Row>) -> Result<Option<ChunkHead>, StorageError> {
        row.map(|(key, bytes)| ChunkHead::decode(key, bytes))
            .transpose()
    }

    pub(super) fn decode(key: &Key, bytes: &[u8]) -> Result<ChunkHead, StorageError> {
        let stored = Stored::read(key, bytes)?;
        Ok(ChunkHead {
            last: stored.last,
            at: stored.at,
            before: stored.before,
            own: stored.own_totals(),
        })
    }

    /// The totals with this chunk.
    pub(super) fn totals_after(&self) -> Totals {
        self.before.plus(self.own)
    }
}

impl Totals {
    pub(super) fn plus(self, other: Totals) -> Totals {
        Totals(self.0 + other.0, self.1 + other.1)
    }

    pub(super) fn minus(self, other: Totals) -> Totals {
        Totals(
            self.0.saturating_sub(other.0),
            self.1.saturating_sub(other.1),
        )
    }
}

impl Chunk {
    pub(super) fn decode(key: &Key, bytes: &[u8]) -> Result<Chunk, StorageError> {
        let stored = Stored::read(key, bytes)?;
        let totals_after = stored.before.plus(stored.own_totals());
        let mut rows = Vec::with_capacity(stored.rows.len());
        for row in stored.rows {
            let pair = raw_json::elements(row).map_err(|error| value::corrupt(key, &error))?;
            let [at, entry] = pair[..] else {
                return Err(value::corrupt(key, &"a row is not a number and an entry"));
            };
            let at = number(Some(at)).map_err(|error| value::corrupt(key, &error))?;
            rows.push((at, Entry::stored(entry)));
        }
        Ok(Chunk {
            first: stored.first,
            last: stored.last,
            rows,
            split: stored.split,
            totals_after,
        })
    }
}

/// The most bytes of a chunk's value beside its entries.
const HEAD_BYTES: usize = 200;
/// The most bytes of one [`Split`] in a chunk's head, its comma included.
const SPLIT_BYTES: usize = 44;
/// The most bytes of an entry's row beside its JSON.
pub(super) const ENTRY_BYTES: usize = 24;

/// The value of a chunk row in the making.
#[derive(Clone, Debug)]
pub(super) struct ChunkWriter {
    pub(super) first: u64,
    pub(super) before: Totals,
    pub(super) entries: u64,
    rows: Vec<u8>,
    split: Vec<Split>,
}

impl ChunkWriter {
    pub(super) fn new(first: u64, before: Totals) -> ChunkWriter {
        ChunkWriter {
            first,
            before,
            entries: 0,
            rows: Vec::new(),
            split: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, number: u64, json: &[u8]) {
        if !self.rows.is_empty() {
            self.rows.push(b',');
        }
        self.rows.push(b'[');
        self.rows.extend_from_slice(number.to_string().as_bytes());
        self.rows.push(b',');
        self.rows.extend_from_slice(json);
        self.rows.push(b']');
        self.entries += 1;
    }

    pub(super) fn push_split(&mut self, split: Split) {
        self.split.push(split);
        self.entries += 1;
    }

    /// How many bytes the value has so far, at most.
    pub(super) fn len(&self) -> usize {
        HEAD_BYTES + self.rows.len() + self.split.len() * SPLIT_BYTES
    }

    /// The totals with this chunk, if `value` is its row.
    pub(super) fn totals_after(&self, value: &[u8]) -> Totals {
        let split: u64 = self.split.iter().map(|split| split.1).sum();
        self.before
            .plus(Totals(self.entries, value.len() as u64 + split))
    }

    /// The value of the row, if the chunk ends here.
    pub(super) fn value(&self, last: u64, at: u64) -> Vec<u8> {
        let Totals(entries, bytes) = self.before;
        let head = format!(
            "{{\"first\":{},\"last\":{last},\"at\":{at},\"before\":[{entries},{bytes}],",
            self.first
        );
        let mut value = Vec::with_capacity(self.rows.len() + head.len() + 64);
        value.push(value::FORMAT_JSON);
        value.extend_from_slice(head.as_bytes());
        if !self.split.is_empty() {
            value.extend_from_slice(b"\"split\":");
            value.extend_from_slice(&value::encode(&self.split)[1..]);
            value.push(b',');
        }
        value.extend_from_slice(b"\"rows\":[");
        value.extend_from_slice(&self.rows);
        value.extend_from_slice(b"]}");
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_comes_back() {
        let key = Key::root().part("c").number(5);
        let mut writer = ChunkWriter::new(5, Totals(4, 100));
        writer.push(5, b"\"a\"");
        writer.push(7, b"\"b\"");
        writer.push_split(Split(8, 3));
        let bytes = writer.value(8, 1000);
        let chunk = Chunk::decode(&key, &bytes).unwrap();
        assert_eq!((chunk.first, chunk.last), (5, 8));
        let rows = chunk.rows.iter().map(|(at, entry)| (*at, entry.json()));
        assert!(rows.eq([(5, &b"\"a\""[..]), (7, b"\"b\"")]));
        assert_eq!(chunk.split, [Split(8, 3)]);
        assert_eq!(chunk.totals_after, Totals(7, 103 + bytes.len() as u64));
        assert_eq!(chunk.totals_after, writer.totals_after(&bytes));
        assert!(bytes.len() <= writer.len());
        let head = ChunkHead::decode(&key, &bytes).unwrap();
        assert_eq!(head.totals_after(), chunk.totals_after);
        assert_eq!((head.last, head.at), (8, 1000));
        let json: serde_json::Value = serde_json::from_slice(&bytes[1..]).unwrap();
        assert_eq!(json["rows"][1], serde_json::json!([7, "b"]));
    }
}
