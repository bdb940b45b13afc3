use std::collections::VecDeque;

use jobkeep_store::{JobNumber, JobRecord};

/// Records of jobs that were accepted a moment ago, by number, so that the worker who runs one of
/// them need not read it back from the store.
///
/// Only where few jobs of its queue wait: behind many, a record would be in the way for long and be read
/// back all the same. Those of other queues are none of its business: a queue that rests or is paused may
/// have any number of them, for long.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    from: u64,
    records: VecDeque<Option<Box<JobRecord>>>,
}

/// So many records are kept at most. A record with its payload has about a thousand bytes at most.
const MOST: usize = 4_096;

impl Fresh {
    /// Keeps the record of a job just accepted, where no more than a few wait in its queue.
    pub(crate) fn keep(&mut self, number: JobNumber, record: Box<JobRecord>, waiting: usize) {
        if waiting >= MOST {
            return;
        }
        while matches!(self.records.front(), Some(None)) || self.records.len() >= MOST {
            self.records.pop_front();
            self.from += 1;
        }
        if self.records.is_empty() {
            self.from = number.0;
        }
        // Numbers that were not kept leave gaps.
        let next = self.from + self.records.len() as u64;
        if number.0 < next {
            // Given long ago, and accepted only now.
            return;
        }
        match usize::try_from(number.0.saturating_sub(next)) {
            Ok(gap) if gap + self.records.len() < MOST => {
                self.records
                    .extend(std::iter::repeat_with(|| None).take(gap));
            }
            _ => {
                self.records.clear();
                self.from = number.0;
            }
        }
        self.records.push_back(Some(record));
    }

    /// Takes the record out: because it is handed on, or because it is no longer what is stored.
    pub(crate) fn take(&mut self, number: JobNumber) -> Option<Box<JobRecord>> {
        let offset = usize::try_from(number.0.checked_sub(self.from)?).ok()?;
        self.records.get_mut(offset)?.take()
    }
}
