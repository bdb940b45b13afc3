use std::collections::VecDeque;

use jobkeep_store::JobNumber;

use crate::sync::Mutex;

/// Numbers that were given to jobs of this opening which the store then refused. Whoever was told
/// one before the commit, as buffered jobs are, learns of it here.
#[derive(Debug, Default)]
pub(crate) struct Lost(Mutex<VecDeque<(JobNumber, u64)>>);

impl Lost {
    /// `count` numbers from `first` on are lost.
    pub(super) fn add(&self, first: JobNumber, count: u64) {
        /// Ranges remembered. A store that refuses so often has no room for the answer either.
        const MOST: usize = 4_096;
        let mut ranges = self.0.lock();
        if ranges.len() >= MOST {
            ranges.pop_front();
        }
        ranges.push_back((first, count));
    }

    pub(crate) fn contains(&self, number: JobNumber) -> bool {
        let ranges = self.0.lock();
        let within =
            |&(first, count): &(JobNumber, u64)| number >= first && number.0 - first.0 < count;
        ranges.iter().any(within)
    }
}
