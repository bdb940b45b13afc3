//! Jobs that cannot run here, and how they are let go.

use std::collections::HashMap;

use jobkeep_store::{
    Encoded, JobNumber, JobRecord, Kept, Key, ParkReason, PayloadCodec, RowError, State, StateKind,
    Token,
};

use super::encoded::{Apart, EncodedJob, Origins, keep};
use super::engine::{Engine, put_apart};
use super::flight::Flight;
use super::operate::{Found, NOT_HERE, Operated, Subject};
use super::settle::put_in_place;
use super::state;
use crate::Error;
use crate::event::Event;

/// Why a job with these origins cannot run here, whatever its row says: the registry of this start
/// lacks its queue or its name.
pub(crate) fn lacking(origins: Option<Origins>) -> Option<ParkReason> {
    match origins {
        None => Some(ParkReason::UnknownQueue),
        Some(Origins { known: false, .. }) => Some(ParkReason::UnknownName),
        Some(_) => None,
    }
}

/// Why a job is parked that a start finds like this.
pub(crate) fn found_parked(state: &State, origins: Option<Origins>) -> Option<ParkReason> {
    if state.kind().is_final() {
        return None;
    }
    lacking(origins).or_else(|| match state {
        State::Parked(reason) => Some(reason.clone()),
        _ => None,
    })
}

/// What the store said of a job that it could not read; `None` of a job whose row says why it is parked.
pub(crate) type Unread = Option<Box<str>>;

/// The jobs that this opening has parked. They are not tried again before an operator lets them, or
/// another opening does.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    jobs: HashMap<JobNumber, Unread>,
    /// Those that the present group let go.
    released: Vec<(JobNumber, Unread)>,
}

impl Parked {
    pub(super) fn holds(&self, number: JobNumber) -> bool {
        self.jobs.contains_key(&number)
    }

    pub(super) fn unread(&self, number: JobNumber) -> Option<&str> {
        self.jobs.get(&number)?.as_deref()
    }

    /// The group is written.
    pub(super) fn committed(&mut self) {
        self.released.clear();
    }

    /// The group is not written: what it let go is parked still, and what it parked is claimed again.
    pub(super) fn roll_back(&mut self, flight: &Flight) {
        self.jobs.extend(self.released.drain(..));
        self.jobs.retain(|&number, _| flight.get(number).is_none());
    }
}

/// What a job is to carry instead of its payload.
#[derive(Clone, Debug)]
pub(crate) struct Amendment {
    /// The names under which its type's jobs are stored.
    names: Vec<String>,
    codec: PayloadCodec,
    kept: Kept,
    body: Option<Encoded>,
}

impl Amendment {
    pub(crate) fn new(
        names: Vec<String>,
        codec: PayloadCodec,
        payload: Vec<u8>,
    ) -> Result<Self, RowError> {
        let (kept, body) = keep(payload)?;
        Ok(Self {
            names,
            codec,
            kept,
            body,
        })
    }

    /// Puts it into the record, and says what happens to the body's own row.
    fn put(self, record: &mut JobRecord) -> Apart {
        record.codec = self.codec;
        put_in_place(record, self.kept, self.body)
    }
}

impl Engine {
    /// The job is not tried again by itself. Its row says why, unless it could not be read.
    pub(super) fn park(&mut self, number: JobNumber, unread: Unread) {
        self.group.parked.push((number, unread.clone()));
        self.parked.jobs.insert(number, unread);
    }

    /// The job is parked no more, for whatever reason.
    pub(super) fn unpark(&mut self, number: JobNumber) {
        if let Some(unread) = self.parked.jobs.remove(&number) {
            self.parked.released.push((number, unread));
            self.group.released.push(number);
        }
    }

    /// The store could not give the job to its worker.
    pub(crate) fn park_unreadable(&mut self, number: JobNumber, token: Token, reason: String) {
        if let Some(claim) = self.flight.end(number, token) {
            if let Some(queue) = self.pauses.name(claim.queue) {
                let (queue, why) = (queue.clone(), ParkReason::Unreadable(reason.clone()));
                self.observe_trouble(|now| Event::parked(number, "", queue, why, now.wall));
            }
            self.park(number, Some(reason.into()));
        }
    }

    /// Lets a parked job run again, where it stood in line.
    pub(super) fn release(
        &mut self,
        number: JobNumber,
        mut record: Box<JobRecord>,
        origins: Option<Origins>,
    ) -> Operated<()> {
        const NEEDS: &str = "a finished job, or one that is parked";
        match self.stand(number, &record, origins) {
            (StateKind::Parked, _) => {}
            (state, _) => return Ok(Err(Error::wrong_state("retry", number, state, NEEDS))),
        }
        if let Some(reason) = lacking(origins) {
            let (name, queue) = (&record.name, record.queue.as_str());
            let act = format_args!("retry job {number}");
            return Ok(Err(Error::parked(act, reason, name, queue)));
        }
        // The row of one that could not be read says where it waits.
        if record.state.kind() == StateKind::Parked
            && let Err(illegal) = state::release(&mut record)
        {
            let state = illegal.from;
            return Ok(Err(Error::wrong_state("retry", number, state, NEEDS)));
        }
        self.unpark(number);
        self.observe(|now| Event::of(number, &record, now));
        let here = origins.unwrap_or(NOT_HERE);
        let job = EncodedJob::new(record, here, Apart::Leave, None)?;
        self.file(number, job, None);
        Ok(Ok(()))
    }

    /// Gives a job that no worker has another payload. One that is parked is let go.
    pub(crate) fn amend(&mut self, subject: Subject, amendment: Amendment) -> Operated<()> {
        const NEEDS: &str = "one that is parked, or waits";
        let Subject {
            number,
            found,
            origins,
            ..
        } = subject;
        let wrong = |state| Ok(Err(Error::wrong_state("amend", number, state, NEEDS)));
        let mut record = match found {
            Found::Live(record) => record,
            Found::Done(record) => return wrong(record.state.kind()),
            Found::Nowhere => return Ok(Err(self.nowhere(number))),
        };
        if !amendment.names.contains(&record.name) {
            let asked = amendment.names.first().map_or("", String::as_str);
            return Ok(Err(Error::amended_as_other_type(
                number,
                asked,
                &record.name,
            )));
        }
        if self.flight.get(number).is_some() {
            return wrong(StateKind::Running);
        }
        let (stands, _) = self.stand(number, &record, origins);
        if let Err(illegal) = state::amend(&mut record) {
            return wrong(illegal.from);
        }
        let body = amendment.put(&mut record);
        let here = origins.unwrap_or(NOT_HERE);
        if stands != StateKind::Parked {
            // It waits where it waits.
            drop(self.fresh.take(number));
            let job = EncodedJob::new(record, here, body, None)?;
            let batch = &mut self.group.batch;
            batch.put_job(Key::live(number), job.head, job.columns);
            put_apart(batch, Key::body(number), job.body);
            return Ok(Ok(()));
        }
        self.unpark(number);
        if here.known {
            self.observe(|now| Event::of(number, &record, now));
        }
        let job = EncodedJob::new(record, here, body, None)?;
        self.file(number, job, None);
        Ok(Ok(()))
    }
}
