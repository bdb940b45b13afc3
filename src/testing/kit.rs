use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::finished::Finished;
use crate::{Draft, Enqueue, Error, Manager, Receipt, runtime};

/// A [`Manager`] for tests, whose jobs run when the test says so, on the test's own thread: started
/// with [`Builder::start_for_tests`](crate::Builder::start_for_tests).
///
/// It derefs to its manager and is an [`Enqueue`], so that the code under test queues through it as
/// it does in production. Its queues have no workers: a job stays where it is until
/// [`run_one`](Self::run_one) or [`drain`](Self::drain). What these run is claimed, executed and
/// recorded as by any worker, panics included.
pub struct Kit(Manager);

/// So many attempts [`Kit::drain`] makes at most: as many as one batch of
/// [`enqueue_all`](Manager::enqueue_all) has jobs.
pub const DRAIN_ATTEMPTS: usize = crate::config::BATCH_JOBS;

impl Kit {
    pub(crate) fn new(manager: Manager) -> Self {
        Self(manager)
    }

    /// Runs the next job of a queue: the one that a free worker would take now. Returns its receipt
    /// when the attempt has ended, however it did; `None` where no job is ready. One that is delayed,
    /// or waits for its next attempt, is ready when its clock says so: see
    /// [`ManualClock`](super::ManualClock).
    ///
    /// # Durability
    /// The end of the attempt is in the store when this returns.
    ///
    /// # Errors
    /// Where no such queue is declared, the manager is shut down, or the store fails. A job that
    /// fails is none.
    pub fn run_one(&self, queue: &str) -> Result<Option<Receipt>, Error> {
        let shared = self.shared();
        let pool = shared
            .pools
            .iter()
            .find(|pool| pool.queue.as_str() == queue)
            .ok_or_else(|| {
                let declared = shared.pools.iter().map(|pool| pool.queue.as_str());
                let act = format_args!("run the next job of queue `{queue}`");
                Error::undeclared_queue(act, declared)
            })?;
        let ran = runtime::run_next(shared, pool)?;
        Ok(ran.map(|number| shared.receipt_of(number)))
    }

    /// Runs the jobs of a queue until none is ready, those included that are queued meanwhile. Returns
    /// a receipt for each attempt, in their order. What becomes ready only when the clock moves stays.
    ///
    /// # Durability
    /// As [`run_one`](Self::run_one).
    ///
    /// # Errors
    /// As [`run_one`](Self::run_one), and after [`DRAIN_ATTEMPTS`] attempts if there is one more: a job
    /// that is put off by no time, or that queues itself, would have no end.
    pub fn drain(&self, queue: &str) -> Result<Vec<Receipt>, Error> {
        let mut ran = Vec::new();
        while let Some(receipt) = self.run_one(queue)? {
            if ran.len() == DRAIN_ATTEMPTS {
                let number = receipt.number();
                return Err(Error::host(
                    format_args!("drain queue `{queue}`"),
                    format_args!(
                        "it is not empty after {DRAIN_ATTEMPTS} attempts, and job {number} came next: \
                         look for a job that is put off by no time, or that queues itself, and run \
                         it with `run_one`"
                    ),
                ));
            }
            ran.push(receipt);
        }
        Ok(ran)
    }
}

impl Deref for Kit {
    type Target = Manager;

    fn deref(&self) -> &Manager {
        &self.0
    }
}

impl Enqueue for Kit {
    fn accept(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, Error> {
        self.0.accept(drafts)
    }

    fn look_up(&self, receipt: &Receipt, patience: Duration) -> Result<Option<Finished>, Error> {
        self.0.look_up(receipt, patience)
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kit").field(&self.0).finish()
    }
}
