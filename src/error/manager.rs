//! What is refused because of how its manager stands.

use std::fmt;

use jobkeep_store::JobNumber;

use super::{Error, Kind};

impl Error {
    pub(crate) fn ends_no_more(job: JobNumber) -> Self {
        Self::new(
            Kind::ShutDown,
            format!(
                "wait for job {job}: the manager is shutting down, and the job does not run, so that it \
                 ends no more: wait for it at the next manager on the store"
            ),
        )
    }

    pub(crate) fn forked(act: impl fmt::Display) -> Self {
        Self::new(
            Kind::Forked,
            format!(
                "{act}: this process was forked from the one that has the manager, and none of the \
                 manager's threads are here: start the manager after the fork, or leave this to the \
                 process that has it"
            ),
        )
    }

    pub(crate) fn awaits_itself(job: JobNumber) -> Self {
        Self::new(
            Kind::Ring,
            format!("wait for job {job}: it is the job that waits, and would wait for its own end"),
        )
    }

    pub(crate) fn closes_a_ring(job: JobNumber, awaited: JobNumber, queue: &str) -> Self {
        Self::new(
            Kind::Ring,
            format!(
                "wait for job {awaited} in job {job}: every worker of queue `{queue}` has a job that waits \
                 so, and none is left to run it: give awaited jobs a queue of their own, or queue the job \
                 with `Context::enqueue` and do not wait"
            ),
        )
    }

    /// The process was forked from the one that has the manager: its threads are not here. Nothing was
    /// done.
    pub fn is_forked(&self) -> bool {
        self.0.kind == Kind::Forked
    }

    /// A job was about to wait for its own end, or for a job that no worker is left for because all of them
    /// wait so.
    pub fn is_deadlock(&self) -> bool {
        self.0.kind == Kind::Ring
    }
}
