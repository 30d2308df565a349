//! The simulator's random numbers.

use std::cell::Cell;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): one 64-bit word of state, every seed
/// is a good seed, and the same numbers on every machine, which a replayed seed relies on. Not for secrets.
#[derive(Debug)]
pub struct SimRandom(Cell<u64>);

impl SimRandom {
    /// The sequence of the given seed.
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// The next number, uniform over all 64 bits.
    pub fn next_u64(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, nearly uniform (the bias is below `bound` / 2^64); zero when `bound` is zero.
    pub fn below(&self, bound: u64) -> u64 {
        let product = u128::from(self.next_u64()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// `true` in `numerator` of `denominator` cases.
    pub fn chance(&self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// An independent sequence, derived from this one: drawing from it does not shift this one any further.
    pub fn fork(&self) -> SimRandom {
        SimRandom::new(self.next_u64())
    }
}
