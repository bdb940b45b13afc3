//! Jobs that run longer than they may.

use jobkeep_store::{Kept, StoreError};

use super::command::Command;
use super::committer::{Committer, defect};
use super::execute::jitter_seed;
use super::pool::{Overdue, View};
use super::push;
use super::read::may_pass;
use super::shared::FindError;
use super::step::find_failed;
use super::threads::start_substitute;
use crate::carry::RETURN_GRACE;
use crate::clock::Steady;
use crate::context::Limit;
use crate::core::{self, Found, Outcome, Run};
use crate::event::Event;

impl Committer {
    /// Gives running attempts time back where the process was stopped or frozen while the committer slept: as
    /// much as it slept, since nobody knows when that began.
    pub(super) fn make_up_for_absence(&self, slept: Steady) {
        let (pools, clock) = (&self.shared.pools, &self.shared.clock);
        let first = pools.iter().filter_map(|pool| pool.first_deadline()).min();
        let now = clock.now().steady;
        let overdue = first.filter(|first| *first <= now);
        if let Some(span) = overdue.and_then(|first| clock.absence(slept, first)) {
            for pool in pools {
                pool.extend_deadlines(span);
            }
        }
    }

    /// Gives up the jobs whose time-outs are over, and has threads stand in for those that run them.
    pub(super) fn look_at_deadlines(&mut self, views: &[View]) {
        let now = self.shared.clock.now();
        for (pool, view) in self.shared.pools.iter().zip(views) {
            if view.deadline.is_none_or(|deadline| deadline > now.steady) {
                continue;
            }
            let overdue = pool.overdue(now.steady, |job, thread| {
                self.shared.enter_stuck(&pool.queue, job, thread, now.wall);
            });
            for overdue in overdue {
                self.pending.push_back(Command::TimeOut(overdue));
                // Where none can be started, the pool has one thread less until the stuck one returns.
                if let Some(place) = pool.wants_substitute() {
                    match start_substitute(&self.shared, pool, place) {
                        Ok(thread) => self.shared.ending.keep_thread(thread),
                        Err(_) => pool.no_substitute(),
                    }
                }
            }
        }
    }

    /// Settles a job as timed out, from what the store has of it: its thread has the rest, and is not
    /// waited for.
    pub(super) fn time_out(&mut self, overdue: &Overdue) -> Result<(), StoreError> {
        let number = overdue.running.number;
        let limit = *overdue.running.limit.lock();
        // Before it can be claimed again.
        self.engine.linger(number);
        let Some((queue, token)) = self.engine.claim_of(number) else {
            return Ok(());
        };
        let Some(limit) = limit else {
            return Ok(());
        };
        let outcome = self.overrun(queue, limit);
        let mut record = match self.found(number)? {
            Ok(Found::Live(record)) => record,
            Ok(Found::Done(_) | Found::Nowhere) => return Ok(()),
            // The store is opened anew first, and the job looked for again.
            Err(FindError::Store(cause)) if may_pass(&cause) && !self.again => return Err(cause),
            Err(cause) => {
                let error = find_failed(number, cause);
                self.engine
                    .park_unreadable(number, token, error.to_string());
                return Ok(());
            }
        };
        let shared = &self.shared;
        let origins = shared.origins(record.queue.as_str(), &record.name);
        let key = record
            .key
            .as_ref()
            .map(|key| core::key_hash(shared.origin.store, &record.name, key));
        let thread = overdue.thread.clone();
        let now = shared.clock.now();
        let observed = shared.observers.interest();
        let stuck = || Event::stuck(number, &record, thread.clone(), now.wall);
        let stuck = observed.hears(true).then(stuck);
        let payload = match &mut record.payload {
            Kept::Inline(bytes) => std::mem::take(bytes),
            Kept::Apart(_) => Vec::new(),
        };
        let prepared = core::begin_attempt(&mut record).map_err(|illegal| illegal.to_string());
        let settled = prepared.and_then(|()| {
            let run = Run {
                number,
                token,
                origins: origins.unwrap_or(core::Origins {
                    queue: 0,
                    known: false,
                }),
                record,
                payload,
                began: limit.began,
                thread,
                log: overdue.running.log.lock().clone(),
                observed,
            };
            let seed = jitter_seed(shared, number);
            core::settle(run, outcome, now, seed, key)
        });
        let mut settlement = match settled {
            Ok(settlement) => settlement,
            Err(reason) => {
                self.engine.park_unreadable(number, token, reason);
                return Ok(());
            }
        };
        if let Some(hash) = key {
            // Where it is damaged, the job ends all the same.
            let _ = self.learn_key(hash)?;
        }
        self.engine.settle(&mut settlement).map_err(defect)?;
        self.engine.tell(stuck);
        Ok(())
    }
    /// What an overrun means: a carrier that does not return may have sent its call.
    fn overrun(&self, queue: u16, limit: Limit) -> Outcome {
        let pool = self.shared.pools.get(usize::from(queue));
        match pool.filter(|pool| pool.push.is_some()) {
            Some(pool) => {
                let why = format!(
                    "its carrier has not returned {} s after the call's deadline",
                    RETURN_GRACE.as_secs()
                );
                push::unknown(pool, why, limit.deadline)
            }
            None => Outcome::TimedOut(limit.timeout_ms),
        }
    }
}
