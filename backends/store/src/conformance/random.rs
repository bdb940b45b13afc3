use std::env;
use std::hash::{BuildHasher, RandomState};

/// `SplitMix64`: small, and good enough for choosing operations.
pub(super) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// From the seed in `JOBKEEP_SEED`, or a new one.
    pub(super) fn new() -> Self {
        let seed = match env::var("JOBKEEP_SEED") {
            Ok(text) => text.parse().expect("JOBKEEP_SEED is a decimal number"),
            Err(_) => RandomState::new().hash_one("JOBKEEP_SEED"),
        };
        Self { seed, state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end`, without it.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).expect("below a length")]
    }
}

/// Says how to run a failed history again, whoever panicked: the suite, the store or its engine.
impl Drop for Random {
    #[allow(
        clippy::print_stderr,
        reason = "the seed of a failed history must be seen"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to run this history again: JOBKEEP_SEED={}", self.seed);
        }
    }
}
