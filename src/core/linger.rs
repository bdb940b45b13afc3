//! Jobs whose last attempt is over for everybody but its thread: they wait for that thread's return.

use std::collections::{HashMap, HashSet};

use jobkeep_store::JobNumber;

use super::engine::{Engine, PROMOTIONS};
use super::schedule::Line;

#[derive(Debug, Default)]
pub(crate) struct Lingering {
    threads: HashSet<JobNumber>,
    /// What waits, and where it is to wait once its thread has returned.
    held: HashMap<JobNumber, Line>,
}

impl Lingering {
    pub(super) fn new(jobs: impl IntoIterator<Item = JobNumber>) -> Self {
        Self {
            threads: jobs.into_iter().collect(),
            held: HashMap::new(),
        }
    }

    /// Keeps a waiting job back; `false` where no thread of it is left.
    pub(super) fn hold(&mut self, number: JobNumber, line: Line) -> bool {
        let holds = self.threads.contains(&number);
        if holds {
            self.held.insert(number, line);
        }
        holds
    }

    /// A thread of it is left.
    pub(super) fn has(&self, number: JobNumber) -> bool {
        self.threads.contains(&number)
    }

    /// It waits no more.
    pub(super) fn release(&mut self, number: JobNumber) {
        self.held.remove(&number);
    }

    /// The schedule is built anew.
    pub(super) fn roll_back(&mut self) {
        self.held.clear();
    }

    /// Where the jobs are to wait that are kept back.
    #[cfg(feature = "testing")]
    pub(super) fn places(&self) -> impl Iterator<Item = (JobNumber, super::place::Place)> {
        self.held
            .iter()
            .map(|(&number, line)| (number, (line.queue, line.priority, line.order)))
    }

    /// How many are kept back that are not due, and how many that are ready.
    pub(super) fn counts(&self) -> (u64, u64) {
        let later = self.held.values().filter(|line| line.due.is_some()).count();
        (later as u64, (self.held.len() - later) as u64)
    }
}

impl Engine {
    /// The job's thread outlives its attempt: it is not started again before that returns.
    pub(crate) fn linger(&mut self, number: JobNumber) {
        self.lingering.threads.insert(number);
    }

    /// The thread has returned.
    pub(crate) fn returned(&mut self, number: JobNumber) {
        self.lingering.threads.remove(&number);
        if let Some(line) = self.lingering.held.remove(&number) {
            self.schedule.insert(number, line);
            self.schedule.promote(self.now, PROMOTIONS);
        }
    }
}
