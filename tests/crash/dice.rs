//! Random numbers that a seed repeats.

use std::hash::{BuildHasher, RandomState};

/// `SplitMix64`.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl From<u64> for Dice {
    fn from(seed: u64) -> Self {
        Self(seed)
    }
}

impl Dice {
    pub(crate) fn seed() -> u64 {
        match std::env::var("JOBKEEP_SEED") {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => RandomState::new().hash_one(0),
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}
