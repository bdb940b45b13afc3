//! One command: what it makes of the group, and its answer.

use std::fmt;

use jobkeep_store::{JobNumber, Key, ParkReason, Space, StoreError, get_typed};

use super::command::{Command, Reply};
use super::committer::{Committer, defect};
use super::shared::FindError;
use crate::Error;
use crate::core::{self, EncodedJob, Engine, Found, KeyClaim, Subject};
use crate::finished::Status;

impl Committer {
    /// Steps a command. Where the group is not written, the same command is stepped again.
    pub(super) fn step(&mut self, command: &mut Command) -> Result<(), StoreError> {
        match command {
            Command::Accept {
                jobs,
                first,
                buffered,
                reply,
                ..
            } => {
                let jobs = take_jobs(jobs, *buffered);
                self.accept(jobs, *first, reply)
            }
            Command::Settle(settlement) => {
                if let Some(hash) = settlement.key {
                    // Where it is damaged, the job ends all the same.
                    let _ = self.learn_key(hash)?;
                }
                if let Some(follow_ups) = &mut settlement.follow_ups
                    && let Err((_, error)) = self.learn_keys(&follow_ups.jobs)?
                {
                    follow_ups.refuse(error);
                }
                if self.engine.settle(settlement).map_err(defect)? {
                    self.settled.push(settlement.number);
                }
                Ok(())
            }
            Command::Unreadable {
                number,
                token,
                reason,
            } => {
                self.engine.park_unreadable(*number, *token, reason.clone());
                Ok(())
            }
            Command::NotBegun { number, token } => {
                self.engine.hand_back(*number, *token);
                Ok(())
            }
            Command::TimeOut(overdue) => self.time_out(overdue),
            Command::Returned { job } => {
                self.engine.returned(*job);
                Ok(())
            }
            Command::Checkpoint {
                number,
                token,
                job,
                reply,
            } => {
                let written = self.engine.checkpoint(*number, *token, (**job).clone());
                self.answer(reply, written.map_err(defect)?);
                Ok(())
            }
            Command::Look { number, reply } => {
                let status = self.look(*number)?;
                self.answer(reply, status);
                Ok(())
            }
            Command::Cancel { .. }
            | Command::Retry { .. }
            | Command::Amend { .. }
            | Command::Remove { .. } => self.step_operator(command),
            Command::Pause { queue, rest, reply } => {
                let paused = self.pause(queue, rest.clone());
                self.answer(reply, paused);
                Ok(())
            }
            Command::Resume { queue, reply } => {
                let resumed = self.engine.resume(queue);
                self.answer(reply, resumed);
                Ok(())
            }
            Command::Paused { reply } => {
                let paused = self.engine.paused();
                self.answer(reply, Ok(paused));
                Ok(())
            }
            Command::Stand { seen, reply } => {
                self.answer(reply, Ok(self.engine.stands(seen)));
                Ok(())
            }
            Command::Running { from, limit, reply } => {
                self.answer(reply, Ok(self.engine.running(*from, *limit)));
                Ok(())
            }
            Command::Count { reply } => {
                let counts = self.engine.counts();
                self.answer(reply, Ok(counts));
                Ok(())
            }
        }
    }

    /// What an operator does with a job.
    fn step_operator(&mut self, command: &Command) -> Result<(), StoreError> {
        match command {
            Command::Cancel { number, reply } => {
                self.withdraw(*number);
                self.operate(*number, reply, Engine::cancel)
            }
            Command::Retry { number, reply } => {
                let order = self.shared.order(self.shared.clock.now());
                self.operate(*number, reply, |engine, subject| {
                    engine.retry(subject, order)
                })
            }
            Command::Amend {
                number,
                amendment,
                reply,
            } => {
                self.withdraw(*number);
                self.operate(*number, reply, |engine, subject| {
                    engine.amend(subject, (**amendment).clone())
                })
            }
            Command::Remove { number, reply } => {
                self.withdraw(*number);
                self.operate(*number, reply, Engine::remove)
            }
            _ => Ok(()),
        }
    }

    fn accept(
        &mut self,
        jobs: Vec<(EncodedJob, Option<KeyClaim>)>,
        first: JobNumber,
        reply: &Reply<Vec<JobNumber>>,
    ) -> Result<(), StoreError> {
        let count = jobs.len();
        let accepted = match self.learn_keys(&jobs)? {
            Ok(()) => self.engine.accept(jobs, first, None),
            Err(error) => Err(error),
        };
        let accepted = accepted.map_err(|(index, error)| {
            let error = self.with_park_reason(error);
            if count > 1 {
                error.of_batch(index)
            } else {
                error
            }
        });
        self.answer(reply, accepted);
        Ok(())
    }

    /// Where the holder of a key is parked, its error says how to mend that.
    fn with_park_reason(&self, error: Error) -> Error {
        let Some(holder) = error.key_conflict_with() else {
            return error;
        };
        // One that this group has just accepted is not there, and not parked.
        let Ok(Found::Live(record)) = self.shared.find(holder) else {
            return error;
        };
        let queue = record.queue.as_str();
        let origins = self.shared.origins(queue, &record.name);
        match (self.engine.stand(holder, &record, origins), &record.key) {
            // Another payload would not help these.
            ((_, Some(ParkReason::UnknownName | ParkReason::UnknownQueue)), _) => error,
            ((_, Some(reason)), Some(key)) => {
                Error::key_conflict_with_parked((&record.name, key), holder, reason, queue)
            }
            _ => error,
        }
    }

    /// Gives the engine the rows of all keys that new jobs claim. A damaged one is the inner error, with
    /// the position of the job that claims it.
    fn learn_keys(
        &mut self,
        jobs: &[(EncodedJob, Option<KeyClaim>)],
    ) -> Result<Result<(), (usize, Error)>, StoreError> {
        for (index, (job, claim)) in jobs.iter().enumerate() {
            for hash in claim.iter().flat_map(KeyClaim::rows) {
                if let Err(damage) = self.learn_key(hash)? {
                    let (name, key) = job.name_and_key().unwrap_or_default();
                    return Ok(Err((index, Error::key_damaged(name, key, damage))));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Leaves an answer, which stands if the commit to come succeeds.
    fn answer<T: fmt::Debug + Send + 'static>(
        &mut self,
        reply: &Reply<T>,
        answer: Result<T, Error>,
    ) {
        reply.give(answer);
        self.promised.push(reply.clone().promise());
    }

    /// Gives the engine the row of an idempotency key, once a group. A damaged row is the inner
    /// error, as is one that cannot be read though the store was opened anew for it: the engine does
    /// not learn it, and so leaves it as it is.
    pub(super) fn learn_key(&mut self, hash: u64) -> Result<Result<(), StoreError>, StoreError> {
        if self.engine.lacks_key(hash) {
            match get_typed(&*self.shared.store, Key::new(Space::Unique, hash)) {
                Ok(row) => self.engine.learn_key(hash, row.unwrap_or_default()),
                Err(damage) if damage.is_damaged() || self.again => return Ok(Err(damage)),
                Err(cause) => return Err(cause),
            }
        }
        Ok(Ok(()))
    }

    /// Takes a job back that was handed over and not taken.
    fn withdraw(&mut self, number: JobNumber) {
        if let Some((queue, token)) = self.engine.claim_of(number)
            && let Some(pool) = self.shared.pools.get(usize::from(queue))
            && pool.withdraw(number)
        {
            self.engine.hand_back(number, token);
            // The room that this makes is not known before the next turn.
            self.shared.inbox.nudge();
        }
    }

    fn operate(
        &mut self,
        number: JobNumber,
        reply: &Reply<()>,
        act: impl FnOnce(&mut Engine, Subject) -> core::Operated<()>,
    ) -> Result<(), StoreError> {
        let subject = match self.subject(number)? {
            Ok(subject) => subject,
            Err(error) => {
                self.answer(reply, Err(error));
                return Ok(());
            }
        };
        let done = act(&mut self.engine, subject).map_err(defect)?;
        self.answer(reply, done);
        Ok(())
    }

    /// What the store and the configuration say of a job.
    fn subject(&mut self, number: JobNumber) -> Result<Result<Subject, Error>, StoreError> {
        let found = match self.find(number)? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let (mut origins, mut key) = (None, None);
        if let Found::Live(record) | Found::Done(record) = &found {
            origins = self.shared.origins(record.queue.as_str(), &record.name);
            let store = self.shared.origin.store;
            key = record
                .key
                .as_ref()
                .map(|key| core::key_hash(store, &record.name, key));
        }
        if let Some(hash) = key
            && self.learn_key(hash)?.is_err()
        {
            // Nobody else can claim it, and it keeps nobody from acting on the job.
            key = None;
        }
        Ok(Ok(Subject {
            number,
            found,
            origins,
            key,
        }))
    }

    /// The job as this group has left it.
    pub(super) fn found(
        &mut self,
        number: JobNumber,
    ) -> Result<Result<Found, FindError>, StoreError> {
        if self.engine.touches(number) {
            // What the store shows of it is not what this group has made of it.
            self.commit()?;
        }
        Ok(self.shared.find(number))
    }

    /// The same, for whoever asks.
    fn find(&mut self, number: JobNumber) -> Result<Result<Found, Error>, StoreError> {
        let found = self.found(number)?;
        if matches!(found, Ok(Found::Nowhere)) && self.shared.lost.contains(number) {
            // It was refused after its caller had looked.
            return Ok(Err(Error::lost(number)));
        }
        Ok(found.map_err(|cause| find_failed(number, cause)))
    }

    fn look(&mut self, number: JobNumber) -> Result<Result<Status, Error>, StoreError> {
        let record = match self.find(number)? {
            Ok(Found::Live(record) | Found::Done(record)) => *record,
            Ok(Found::Nowhere) => return Ok(Err(self.engine.nowhere(number))),
            Err(error) => return Ok(Err(error)),
        };
        let running = self
            .shared
            .pools
            .iter()
            .find_map(|pool| pool.running(number));
        let origins = self.shared.origins(record.queue.as_str(), &record.name);
        let (state, parked) = self.engine.stand(number, &record, origins);
        let due = self
            .shared
            .clock
            .now()
            .shown_due(&record.state, record.created);
        let (progress, log) = running.map(|running| running.said()).unwrap_or_default();
        Ok(Ok(Status {
            state,
            parked,
            due,
            record,
            progress,
            log,
        }))
    }
}

/// Takes jobs out of their command; of buffered ones the rows, because the command is stepped again
/// where the group is not written.
fn take_jobs(
    jobs: &mut Vec<(EncodedJob, Option<KeyClaim>)>,
    buffered: bool,
) -> Vec<(EncodedJob, Option<KeyClaim>)> {
    if !buffered {
        return std::mem::take(jobs);
    }
    let rows = |(job, claim): &mut (EncodedJob, Option<KeyClaim>)| (job.take_all(), claim.clone());
    jobs.iter_mut().map(rows).collect()
}

pub(crate) fn find_failed(number: JobNumber, cause: FindError) -> Error {
    match cause {
        FindError::Store(cause) => Error::store(format_args!("look up job {number}"), cause),
        FindError::SetAside(reason) => Error::set_aside(number, reason),
        damage @ (FindError::Row(_) | FindError::Missing(_)) => Error::damaged(number, damage),
    }
}
