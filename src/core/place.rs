//! Where every job waits, to be compared with what the store says.

use std::collections::BTreeMap;

use jobkeep_store::{JobNumber, Priority, Timestamp};

use super::engine::Engine;

/// The position of a job's queue, its priority, and since when it is ready or when it will be.
pub(crate) type Place = (u16, Priority, Timestamp);

impl Engine {
    /// Where every job waits that may be claimed, at once or later: suspects apart, which wait to run
    /// alone.
    pub(crate) fn places(&self) -> BTreeMap<JobNumber, Place> {
        let mut places = self.schedule.places();
        places.extend(self.lingering.places());
        places
    }

    /// The job does not wait, or apart from the others.
    pub(crate) fn is_apart(&self, number: JobNumber) -> bool {
        self.flight.get(number).is_some()
            || self.parked.holds(number)
            || self.probation.holds(number)
    }
}
