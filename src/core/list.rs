//! What a listing of jobs must ask beyond their rows.

use jobkeep_store::{JobNumber, ParkReason, Priority, State, StateKind, Timestamp};

use super::encoded::Origins;
use super::engine::Engine;

/// A live row as a listing saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) number: JobNumber,
    pub(crate) state: State,
    pub(crate) priority: Priority,
    pub(crate) order: Timestamp,
    /// Where its queue and name stand here; `None` where the queue is not declared.
    pub(crate) origins: Option<Origins>,
}

/// Where a job stands, and why it is parked, where it is.
pub(crate) type Stand = (StateKind, Option<ParkReason>);

impl Engine {
    /// Where each of these jobs stands, if its row still says what was seen.
    pub(crate) fn stands(&self, seen: &[Seen]) -> Vec<Stand> {
        let stand = |job: &Seen| {
            let place = (job.priority, job.order);
            self.stand_at(job.number, &job.state, place, job.origins)
        };
        seen.iter().map(stand).collect()
    }

    /// The jobs from this number on that workers have, in the order of numbers.
    pub(crate) fn running(&self, from: JobNumber, limit: usize) -> Vec<JobNumber> {
        self.flight.taken_from(from).take(limit).collect()
    }
}
