//! A set of numbers below 64, such as the minutes that a rule names.

/// A set of numbers below 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bits(u64);

impl Bits {
    pub const NONE: Self = Self(0);

    /// The numbers from `first` to `last`; none if `last` is the smaller.
    pub const fn between(first: u32, last: u32) -> Self {
        let mut bits = 0;
        let mut at = first;
        while at <= last {
            bits |= 1 << at;
            at += 1;
        }
        Self(bits)
    }

    pub fn add(&mut self, number: u32) {
        self.0 |= 1 << number;
    }

    pub fn has(self, number: u32) -> bool {
        self.0 & (1 << number) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The greatest number below `limit`, which is below 64.
    pub fn greatest_below(self, limit: u32) -> Option<u32> {
        (self.0 & ((1 << limit) - 1)).checked_ilog2()
    }

    pub fn greatest(self) -> Option<u32> {
        self.0.checked_ilog2()
    }

    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |number| self.has(*number))
    }
}
