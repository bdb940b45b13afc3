//! Jobs that wait for jobs: none is left to wait for what only its own end could let start.
//!
//! 1. A job that begins to wait for another is entered here, with both queues.
//! 2. A queue is blocked where each of its workers has a job that waits for one of a blocked queue: nothing of
//!    it starts, since nothing of it ends. The job that would close such a ring is refused, and so opens it.
//! 3. Before that it waits for a turn of the committer, which records the ends that have been reported, and
//!    looks whether one of the awaited jobs has ended: then its waiter is about to go on.

use std::collections::HashMap;

use jobkeep_store::JobNumber;

use super::command::Command;
use super::health::Health;
use super::inbox::WhenFull;
use super::panics;
use super::shared::Shared;
use crate::Error;
use crate::core::Found;
use crate::sync::Mutex;

/// The waits of jobs that run here, by the job that waits.
#[derive(Debug, Default)]
pub(crate) struct Rings(Mutex<HashMap<JobNumber, Wait>>);

/// A job waits for another.
#[derive(Clone, Copy, Debug)]
struct Wait {
    /// The queue that it runs in, and that of the awaited job.
    queues: (u16, u16),
    awaited: JobNumber,
}

/// A job that waits for another, until this is dropped.
#[derive(Debug)]
pub(crate) struct WaitsInJob<'a> {
    rings: &'a Rings,
    job: JobNumber,
}

impl Drop for WaitsInJob<'_> {
    fn drop(&mut self) {
        self.rings.0.lock().remove(&self.job);
    }
}

impl Shared {
    /// A job is about to wait for itself.
    pub(crate) fn check_own_end(&self, awaited: JobNumber) -> Result<(), Error> {
        match panics::job_here(self.origin.opening) {
            Some(job) if job == awaited => Err(Error::awaits_itself(job)),
            _ => Ok(()),
        }
    }

    /// The job that this thread runs, if it runs one, begins to wait.
    ///
    /// # Errors
    /// Where its wait would close a ring.
    pub(crate) fn wait_in_job(&self, awaited: JobNumber) -> Result<Option<WaitsInJob<'_>>, Error> {
        let Some(job) = panics::job_here(self.origin.opening) else {
            return Ok(None);
        };
        let Some(queues) = self.queues_of(job, awaited) else {
            return Ok(None);
        };
        self.rings.0.lock().insert(job, Wait { queues, awaited });
        let waits = WaitsInJob {
            rings: &self.rings,
            job,
        };
        if self.is_blocked(queues.0) && self.is_blocked_for_good(queues.0) {
            let queue = self.config.queues.get(usize::from(queues.1));
            let queue = queue.map(|queue| queue.name.as_str()).unwrap_or_default();
            return Err(Error::closes_a_ring(job, awaited, queue));
        }
        Ok(Some(waits))
    }

    /// The queues of a job that runs on a worker, and of one that has not finished.
    fn queues_of(&self, job: JobNumber, awaited: JobNumber) -> Option<(u16, u16)> {
        let mut pools = (0..).zip(&self.pools);
        let (own, _) = pools.find(|(_, pool)| pool.running(job).is_some())?;
        let Ok(Found::Live(record)) = self.find(awaited) else {
            return None;
        };
        let &other = self.positions.get(record.queue.as_str())?;
        Some((own, other))
    }

    /// Each worker of this queue has a job that waits for one of a blocked queue.
    fn is_blocked(&self, queue: u16) -> bool {
        self.blocking(queue).is_some()
    }

    /// The jobs that are awaited in the blocked queues, where this is one of them.
    fn blocking(&self, queue: u16) -> Option<Vec<JobNumber>> {
        let waits = self.rings.0.lock();
        let able = |queue: u16| {
            let pool = self.pools.get(usize::from(queue));
            pool.map_or(0, |pool| pool.able())
        };
        // A thread whose attempt is over has been replaced, or will be.
        let is_able = |(job, wait): &(&JobNumber, &Wait)| {
            let pool = self.pools.get(usize::from(wait.queues.0));
            pool.is_some_and(|pool| pool.running(**job).is_some())
        };
        let waits: Vec<_> = waits
            .iter()
            .filter(is_able)
            .map(|(_, wait)| *wait)
            .collect();
        let mut blocked: Vec<u16> = (0..).zip(&self.pools).map(|(queue, _)| queue).collect();
        loop {
            let is_blocked = |queue: &u16| {
                let own = waits.iter().filter(|wait| wait.queues.0 == *queue);
                let own = own.filter(|wait| blocked.contains(&wait.queues.1)).count();
                own > 0 && own >= able(*queue)
            };
            let still: Vec<u16> = blocked.iter().copied().filter(is_blocked).collect();
            if !still.contains(&queue) {
                return None;
            }
            if still.len() == blocked.len() {
                break;
            }
            blocked = still;
        }
        let within = waits.iter().filter(|wait| blocked.contains(&wait.queues.0));
        Some(within.map(|wait| wait.awaited).collect())
    }

    /// The same after a turn, and none of the awaited jobs has ended.
    fn is_blocked_for_good(&self, queue: u16) -> bool {
        let count = |reply| Command::Count { reply };
        let turn = self.inbox.ask("wait for a turn", WhenFull::Wait, count);
        // Ends are not recorded where the store refuses, and nobody waits on where the manager ends.
        if turn.is_err() || self.health.show(self.clock.now()) != Health::Working {
            return false;
        }
        let lives = |awaited: &JobNumber| matches!(self.find(*awaited), Ok(Found::Live(_)));
        let awaited = self.blocking(queue);
        awaited.is_some_and(|awaited| awaited.iter().all(lives))
    }
}
