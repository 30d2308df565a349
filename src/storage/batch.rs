//! The unit of change: checks, puts and deletes that happen together or not at all.

use super::error::StorageError;
use super::key::Key;
use super::port::StorageLimits;
use super::range::KeyRange;

/// A condition on the rows as they are before the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// There must be no such row.
    Absent(Key),
    /// The row must be there and hold exactly these bytes.
    Equals(Key, Vec<u8>),
}

impl Check {
    /// The row that the check looks at.
    pub fn key(&self) -> &Key {
        match self {
            Check::Absent(key) | Check::Equals(key, _) => key,
        }
    }

    /// Whether a row with this value (or none) passes.
    pub fn passes(&self, found: Option<&[u8]>) -> bool {
        match self {
            Check::Absent(_) => found.is_none(),
            Check::Equals(_, value) => found == Some(value.as_slice()),
        }
    }
}

/// A change of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Writes a row, over the old one if there is one.
    Put(Key, Vec<u8>),
    /// Removes a row; nothing happens if there is none.
    Delete(Key),
    /// Removes every row in the range.
    DeleteRange(KeyRange),
}

/// Checks and writes that are committed as one.
///
/// All checks look at the rows as they are before the batch; if one fails, nothing is written.
/// The writes then happen in the order in which they were added, so a later write to the same row
/// wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    checks: Vec<Check>,
    writes: Vec<Write>,
    bytes: usize,
}

/// A point in a [`Batch`] to which it can be taken back.
#[derive(Clone, Copy, Debug)]
pub struct BatchMark {
    checks: usize,
    writes: usize,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Fails the batch with [`StorageError::CheckFailed`] if the row is there.
    pub fn check_absent(&mut self, key: Key) -> &mut Batch {
        self.checks.push(Check::Absent(key));
        self
    }

    /// Fails the batch with [`StorageError::CheckFailed`] unless the row holds these bytes.
    pub fn check_equals(&mut self, key: Key, value: Vec<u8>) -> &mut Batch {
        self.checks.push(Check::Equals(key, value));
        self
    }

    /// Writes a row.
    pub fn put(&mut self, key: Key, value: Vec<u8>) -> &mut Batch {
        self.bytes += key.as_str().len() + value.len();
        self.writes.push(Write::Put(key, value));
        self
    }

    /// Removes a row.
    pub fn delete(&mut self, key: Key) -> &mut Batch {
        self.bytes += key.as_str().len();
        self.writes.push(Write::Delete(key));
        self
    }

    /// Removes every row in the range.
    pub fn delete_range(&mut self, range: KeyRange) -> &mut Batch {
        self.writes.push(Write::DeleteRange(range));
        self
    }

    /// Whether the batch changes nothing (it may still check something).
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// How many writes it holds.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// The bytes of the keys and values that it writes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The checks.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The writes, in order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The checks and writes, for an adapter that wants to own the values.
    pub fn into_parts(self) -> (Vec<Check>, Vec<Write>) {
        (self.checks, self.writes)
    }

    /// Where the batch stands now, for [`Batch::rollback`].
    pub fn mark(&self) -> BatchMark {
        BatchMark {
            checks: self.checks.len(),
            writes: self.writes.len(),
            bytes: self.bytes,
        }
    }

    /// Forgets what was added since the mark was taken.
    pub fn rollback(&mut self, mark: BatchMark) {
        self.checks.truncate(mark.checks);
        self.writes.truncate(mark.writes);
        self.bytes = mark.bytes;
    }

    /// Whether an adapter with these limits can take the batch; every adapter asks before it
    /// touches a row.
    ///
    /// # Errors
    /// [`StorageError::InvalidKey`] or [`StorageError::ValueTooLarge`], for the first offender.
    pub fn validate(&self, limits: &StorageLimits) -> Result<(), StorageError> {
        for check in &self.checks {
            check.key().validate()?;
        }
        for write in &self.writes {
            match write {
                Write::Put(key, value) => {
                    key.validate()?;
                    if value.len() > limits.max_value_bytes {
                        return Err(StorageError::ValueTooLarge {
                            key: key.to_string(),
                            len: value.len(),
                            max: limits.max_value_bytes,
                        });
                    }
                }
                Write::Delete(key) => key.validate()?,
                Write::DeleteRange(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollback_takes_back_to_the_mark() {
        let mut batch = Batch::new();
        batch.put(Key::root().part("a"), vec![1, 2]);
        let before = batch.clone();
        let mark = batch.mark();
        batch
            .check_absent(Key::root().part("b"))
            .put(Key::root().part("b"), vec![3])
            .delete(Key::root().part("a"));
        assert_eq!(batch.bytes(), 3 + 2 + 1);
        batch.rollback(mark);
        assert_eq!(batch, before);
    }

    #[test]
    fn limits_name_the_offender() {
        let limits = StorageLimits { max_value_bytes: 4 };
        let mut batch = Batch::new();
        batch.put(Key::root().part("a"), vec![0; 4]);
        assert_eq!(batch.validate(&limits), Ok(()));
        batch.put(Key::root().part("b"), vec![0; 5]);
        assert_eq!(
            batch.validate(&limits),
            Err(StorageError::ValueTooLarge {
                key: "b".into(),
                len: 5,
                max: 4
            })
        );
        let mut batch = Batch::new();
        batch.delete(Key::root());
        assert!(matches!(
            batch.validate(&limits),
            Err(StorageError::InvalidKey { .. })
        ));
    }
}
