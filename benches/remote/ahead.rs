//! Jobs created ahead of a queue, so that it never runs dry.
#![expect(clippy::disallowed_methods, reason = "a stopwatch reads time")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jobkeep::{Manager, Receipt};

use crate::job::Nothing;
use crate::traffic::Tally;
use crate::{BATCH, Fault};

/// As many batches at most have not finished.
const AHEAD: usize = 4;

/// All jobs of a manager, those of one queue created as they finish.
#[derive(Debug)]
pub(crate) struct Ahead<'a> {
    manager: &'a Manager,
    queue: &'static str,
    created: u64,
    /// The last job of each batch.
    batches: VecDeque<Receipt<Nothing>>,
}

impl<'a> Ahead<'a> {
    /// Nobody else may create jobs in this manager.
    pub(crate) fn new(manager: &'a Manager, queue: &'static str) -> Self {
        Self {
            manager,
            queue,
            created: 0,
            batches: VecDeque::new(),
        }
    }

    /// Keeps the queue busy for so long, and says how many jobs of the manager finished meanwhile.
    pub(crate) fn feed(&mut self, span: Duration) -> Result<Tally, Fault> {
        let begun = Instant::now();
        let before = self.finished()?;
        while begun.elapsed() < span {
            if self.batches.len() < AHEAD {
                let last = self.create(self.queue)?;
                self.batches.push_back(last);
            } else if let Some(first) = self.batches.front() {
                let left = span.saturating_sub(begun.elapsed());
                match self.manager.wait(first, left) {
                    Ok(_) => drop(self.batches.pop_front()),
                    Err(cause) if cause.is_timed_out() => break,
                    Err(cause) => return Err(cause.into()),
                }
            }
        }
        Ok(Tally {
            count: self.finished()? - before,
            taken: begun.elapsed(),
        })
    }

    /// Creates one batch, and gives the receipt of its last job.
    pub(crate) fn create(&mut self, queue: &str) -> Result<Receipt<Nothing>, Fault> {
        let jobs = (0..BATCH).map(|_| Nothing::within(queue));
        let mut receipts = self.manager.enqueue_all(jobs)?;
        self.created += receipts.len() as u64;
        receipts.pop().ok_or_else(|| "no receipt came back".into())
    }

    /// Of those that are created, all but those that are to run: retention may have taken the others.
    fn finished(&self) -> Result<u64, Fault> {
        let counts = self.manager.counts()?;
        let unfinished = counts.scheduled + counts.ready + counts.running + counts.parked;
        Ok(self.created - unfinished)
    }
}
