//! What an operator asks about or of a single job: look, cancel, retry, remove.

use jobkeep_store::{
    JobNumber, JobRecord, Kept, Key, ParkReason, Priority, RowError, State, StateKind, Timestamp,
};

use super::encoded::{Apart, EncodedJob, Origins};
use super::engine::{Engine, put_apart};
use super::expiry::delete_finished;
use super::parked::lacking;
use super::schedule::Line;
use super::state;
use crate::Error;
use crate::clock::Steady;
use crate::event::Event;

/// A job as the store has it.
#[derive(Debug)]
pub(crate) enum Found {
    Live(Box<JobRecord>),
    Done(Box<JobRecord>),
    Nowhere,
}

/// A job that an operator speaks of: what the store has, and what the record does not say.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) number: JobNumber,
    pub(crate) found: Found,
    /// Where its queue and name stand here; `None` where the queue is not declared.
    pub(crate) origins: Option<Origins>,
    /// The hash of its idempotency key; that key's row must have been learned.
    pub(crate) key: Option<u64>,
}

/// The origins of a job whose queue is not declared.
pub(super) const NOT_HERE: Origins = Origins {
    queue: 0,
    known: false,
};

/// What an operator is told: refused, or a defect that ends the group.
pub(crate) type Operated<T> = Result<Result<T, Error>, RowError>;

impl Engine {
    /// Where a job stands, beyond what its record says.
    pub(crate) fn stand(
        &self,
        number: JobNumber,
        record: &JobRecord,
        origins: Option<Origins>,
    ) -> (StateKind, Option<ParkReason>) {
        let place = (record.priority, record.order);
        self.stand_at(number, &record.state, place, origins)
    }

    /// Where a job stands whose row says this.
    pub(super) fn stand_at(
        &self,
        number: JobNumber,
        state: &State,
        (priority, order): (Priority, Timestamp),
        origins: Option<Origins>,
    ) -> (StateKind, Option<ParkReason>) {
        let stored = state.kind();
        if stored.is_final() {
            return (stored, None);
        }
        match self.flight.get(number) {
            Some(claim) if claim.taken.is_some() => return (StateKind::Running, None),
            Some(_) => return (StateKind::Ready, None),
            None => {}
        }
        if let Some(reason) = self.parked.unread(number) {
            let reason = ParkReason::Unreadable(reason.into());
            return (StateKind::Parked, Some(reason));
        }
        if let Some(reason) = lacking(origins) {
            return (StateKind::Parked, Some(reason));
        }
        if let Some(origins) = origins {
            let line = Line::new(origins, state, priority, order);
            if self.schedule.is_ready(number, line) {
                return (StateKind::Ready, None);
            }
        }
        match state {
            State::Parked(reason) => (StateKind::Parked, Some(reason.clone())),
            _ => (stored, None),
        }
    }

    /// Why there is no such job.
    pub(crate) fn nowhere(&self, number: JobNumber) -> Error {
        if number.0 >= self.totals.next_number {
            Error::never_existed(number)
        } else {
            Error::pruned(number)
        }
    }

    /// Cancels a job: at once where it waits; where a worker has it, when its attempt ends other
    /// than in success, and the request is kept.
    pub(crate) fn cancel(&mut self, subject: Subject) -> Operated<()> {
        let Subject {
            number,
            found,
            origins,
            key,
        } = subject;
        let mut record = match found {
            Found::Live(record) => record,
            Found::Done(record) => {
                let state = record.state.kind();
                let needs = "a job that has not finished";
                return Ok(Err(Error::wrong_state("cancel", number, state, needs)));
            }
            Found::Nowhere => return Ok(Err(self.nowhere(number))),
        };
        let here = origins.unwrap_or(NOT_HERE);
        if self.flight.get(number).is_some() {
            self.flight.request_cancel(number);
            self.group.unwanted.push(number);
            record.cancel_requested = true;
            let job = EncodedJob::new(record, here, Apart::Leave, None)?;
            self.group
                .batch
                .put_job(Key::live(number), job.head, job.columns);
            return Ok(Ok(()));
        }
        let line = Line::new(here, &record.state, record.priority, record.order);
        if let Err(illegal) = state::cancel(&mut record, self.now.wall) {
            let needs = "a job that has not finished";
            return Ok(Err(Error::wrong_state(
                "cancel",
                number,
                illegal.from,
                needs,
            )));
        }
        self.schedule.remove(number, line);
        self.unpark(number);
        self.probation.remove(number);
        self.lingering.release(number);
        self.observe(|now| Event::of(number, &record, now));
        let job = EncodedJob::new(record, here, Apart::Leave, None)?;
        self.file(number, job, key);
        Ok(Ok(()))
    }

    /// Makes a finished job ready again, with all its attempts, at this place in line, or at the deadline
    /// of a call that was lost; or one that is parked, where it stood.
    pub(crate) fn retry(&mut self, subject: Subject, order: Timestamp) -> Operated<()> {
        let Subject {
            number,
            found,
            origins,
            key,
        } = subject;
        let mut record = match found {
            Found::Done(record) => record,
            Found::Live(record) => return self.release(number, record, origins),
            Found::Nowhere => return Ok(Err(self.nowhere(number))),
        };
        if let Some(hash) = key
            && !self.uniques.is_held_by(hash, number)
        {
            let name = record.key.as_deref().unwrap_or_default();
            return Ok(Err(Error::key_lost(number, &record.name, name)));
        }
        let ended = record.state.kind();
        let had_output = record.output.as_ref().is_some_and(Kept::is_apart);
        let due = record
            .lost_until
            .filter(|until| Steady::of(*until) > self.now.steady);
        if let Err(illegal) = state::revive(&mut record, order, due) {
            return Ok(Err(Error::wrong_state(
                "retry",
                number,
                illegal.from,
                "a finished job",
            )));
        }
        self.withdraw(number, ended)?;
        if let Some(hash) = key {
            self.uniques.set_ended(hash, number, None);
        }
        self.observe(|now| Event::of(number, &record, now));
        let here = origins.unwrap_or(NOT_HERE);
        let job = EncodedJob::new(record, here, Apart::Leave, None)?;
        let batch = &mut self.group.batch;
        batch.delete(Key::done(number));
        if had_output {
            put_apart(batch, Key::output(number), Apart::Delete);
        }
        self.live += 1;
        self.file(number, job, None);
        Ok(Ok(()))
    }

    /// Deletes a job and everything about it, its idempotency key included.
    pub(crate) fn remove(&mut self, subject: Subject) -> Operated<()> {
        let Subject {
            number,
            found,
            origins,
            key,
        } = subject;
        match found {
            Found::Nowhere => return Ok(Err(self.nowhere(number))),
            Found::Live(_) if self.flight.get(number).is_some() => {
                let (state, needs) = (
                    StateKind::Running,
                    "one that no worker has: cancel it first",
                );
                return Ok(Err(Error::wrong_state("remove", number, state, needs)));
            }
            Found::Live(record) => {
                let here = origins.unwrap_or(NOT_HERE);
                let line = Line::new(here, &record.state, record.priority, record.order);
                self.schedule.remove(number, line);
                self.unpark(number);
                self.probation.remove(number);
                self.lingering.release(number);
                debug_assert!(self.live > 0);
                self.live = self.live.saturating_sub(1);
                let batch = &mut self.group.batch;
                batch.delete(Key::live(number));
                if record.payload.is_apart() {
                    batch.delete(Key::body(number));
                }
            }
            Found::Done(record) => {
                let output = record.output.as_ref().is_some_and(Kept::is_apart);
                self.withdraw(number, record.state.kind())?;
                delete_finished(
                    &mut self.group.batch,
                    number,
                    record.payload.is_apart(),
                    output,
                );
            }
        }
        if let Some(hash) = key {
            self.uniques.release(hash, number);
        }
        self.group.ended.push(number);
        Ok(Ok(()))
    }

    /// A finished job leaves *done* before retention takes it.
    fn withdraw(&mut self, number: JobNumber, ended: StateKind) -> Result<(), RowError> {
        let count = match ended {
            StateKind::Succeeded => &mut self.totals.succeeded,
            StateKind::Cancelled => &mut self.totals.cancelled,
            _ => &mut self.totals.failed,
        };
        *count = count.saturating_sub(1);
        let succeeded = ended == StateKind::Succeeded;
        self.expiry
            .withdraw(&mut self.group.batch, number, succeeded)
    }
}
