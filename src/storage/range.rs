//! Ranges of keys, for scans and for deleting many rows at once.

use std::ops::Bound;

use super::key::Key;

/// The direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key upwards.
    Forward,
    /// From the greatest key downwards.
    Backward,
}

/// A range of keys with a lower and an upper bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Bound<Key>,
    end: Bound<Key>,
}

impl KeyRange {
    /// The keys between two bounds. Bounds that exclude everything make an empty range.
    pub fn new(start: Bound<Key>, end: Bound<Key>) -> KeyRange {
        KeyRange { start, end }
    }

    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange::new(Bound::Unbounded, Bound::Unbounded)
    }

    /// The lower bound.
    pub fn start(&self) -> &Bound<Key> {
        &self.start
    }

    /// The upper bound.
    pub fn end(&self) -> &Bound<Key> {
        &self.end
    }

    /// The same range without the keys up to and including `key`: where a paged scan goes on.
    #[must_use]
    pub fn after(&self, key: &Key) -> KeyRange {
        let narrower = match &self.start {
            Bound::Included(start) | Bound::Excluded(start) => key >= start,
            Bound::Unbounded => true,
        };
        if narrower {
            KeyRange::new(Bound::Excluded(key.clone()), self.end.clone())
        } else {
            self.clone()
        }
    }

    /// The same range without the keys from `key` on: where a paged backward scan goes on.
    #[must_use]
    pub fn before(&self, key: &Key) -> KeyRange {
        let narrower = match &self.end {
            Bound::Included(end) | Bound::Excluded(end) => key <= end,
            Bound::Unbounded => true,
        };
        if narrower {
            KeyRange::new(self.start.clone(), Bound::Excluded(key.clone()))
        } else {
            self.clone()
        }
    }

    /// The same range without the keys below `key`.
    #[must_use]
    pub fn from(&self, key: &Key) -> KeyRange {
        let narrower = match &self.start {
            Bound::Included(start) => key > start,
            Bound::Excluded(start) => key > start,
            Bound::Unbounded => true,
        };
        if narrower {
            KeyRange::new(Bound::Included(key.clone()), self.end.clone())
        } else {
            self.clone()
        }
    }

    /// The same range without the keys above `key`.
    #[must_use]
    pub fn up_to(&self, key: &Key) -> KeyRange {
        let narrower = match &self.end {
            Bound::Included(end) | Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        };
        if narrower {
            KeyRange::new(self.start.clone(), Bound::Included(key.clone()))
        } else {
            self.clone()
        }
    }

    /// Whether no key can lie in it. Hosts refuse such ranges, so adapters ask first.
    pub fn is_empty(&self) -> bool {
        use Bound::{Excluded, Included, Unbounded};
        match (&self.start, &self.end) {
            (Unbounded, _) | (_, Unbounded) => false,
            (Included(start), Included(end)) => start > end,
            (Included(start) | Excluded(start), Excluded(end))
            | (Excluded(start), Included(end)) => start >= end,
        }
    }

    /// Whether the key lies in the range.
    pub fn contains(&self, key: &Key) -> bool {
        let above = match &self.start {
            Bound::Included(start) => key >= start,
            Bound::Excluded(start) => key > start,
            Bound::Unbounded => true,
        };
        let below = match &self.end {
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        };
        above && below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    #[test]
    fn narrowing_never_widens() {
        let range = key("m").prefix_range();
        assert!(!range.after(&key("a")).contains(&key("b")));
        assert!(!range.before(&key("z")).contains(&key("y")));
        assert!(!range.from(&key("a")).contains(&key("b")));
        assert!(!range.up_to(&key("z")).contains(&key("y")));
        assert!(!range.after(&key("m/b")).contains(&key("m/b")));
        assert!(range.from(&key("m/b")).contains(&key("m/b")));
        assert!(range.up_to(&key("m/b")).contains(&key("m/b")));
        assert!(!range.before(&key("m/b")).contains(&key("m/b")));
    }

    #[test]
    fn emptiness() {
        let all = KeyRange::all();
        assert!(!all.is_empty());
        let a = all.from(&key("a"));
        assert!(!a.up_to(&key("a")).is_empty());
        assert!(a.before(&key("a")).is_empty());
        assert!(all.after(&key("a")).up_to(&key("a")).is_empty());
        assert!(a.up_to(&key("Z")).is_empty());
    }
}
