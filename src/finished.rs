use std::fmt;

use jobkeep_store::{
    Attempt, AttemptEnd, FailureKind, JobNumber, JobRecord, ParkReason, State, StateKind, Timestamp,
};

use crate::{Codec, Error, Job, Priority, payload};

/// A finished job with its bytes, not yet decoded.
#[derive(Clone, Debug)]
pub struct Finished {
    pub(crate) number: JobNumber,
    pub(crate) record: JobRecord,
    pub(crate) payload: Vec<u8>,
    pub(crate) output: Option<Vec<u8>>,
}

/// A finished job come back: its value as [`run`](crate::Run::run) left it, its output or its
/// failure, and its history.
#[derive(Debug)]
pub struct Completed<J: Job> {
    number: JobNumber,
    job: J,
    outcome: Result<J::Output, Failure>,
    record: JobRecord,
}

impl<J: Job> Completed<J> {
    /// Decodes a finished job. Checks the claim that it is a `J` against its stored name.
    ///
    /// # Errors
    /// Where it is stored under another name, or its bytes do not decode.
    pub fn new(finished: Finished) -> Result<Self, Error> {
        let Finished {
            number,
            record,
            payload,
            output,
        } = finished;
        let stored = record.name.as_str();
        if stored != J::NAME && !J::ALIASES.contains(&stored) {
            return Err(Error::other_type(number, J::NAME, stored));
        }
        let job = decode(number, "payload", record.codec, &payload)?;
        let outcome = match output {
            Some(output) => Ok(decode(number, "output", record.codec, &output)?),
            None => Err(Failure::of(&record)),
        };
        Ok(Self {
            number,
            job,
            outcome,
            record,
        })
    }

    /// The job's number in its store.
    pub fn number(&self) -> JobNumber {
        self.number
    }

    /// The job as its last ended attempt left it.
    pub fn job(&self) -> &J {
        &self.job
    }

    /// What it returned, or how it failed.
    ///
    /// # Errors
    /// The failure, where it did not succeed.
    pub fn output(&self) -> Result<&J::Output, Failure> {
        self.outcome.as_ref().map_err(Clone::clone)
    }

    /// What it returned, or how it failed.
    ///
    /// # Errors
    /// The failure, where it did not succeed.
    pub fn into_output(self) -> Result<J::Output, Failure> {
        self.outcome
    }

    /// How many attempts it had, interruptions and snoozes not counted.
    pub fn attempts(&self) -> u32 {
        self.record.attempts
    }

    /// How often the process died or shut down while it was in flight.
    pub fn interruptions(&self) -> u32 {
        self.record.interruptions
    }

    /// Its attempts, the newest first; the oldest are dropped beyond
    /// [`HISTORY`](crate::HISTORY).
    pub fn history(&self) -> &[Attempt] {
        &self.record.history
    }
}

fn decode<T: serde::de::DeserializeOwned>(
    number: JobNumber,
    what: &str,
    codec: Codec,
    bytes: &[u8],
) -> Result<T, Error> {
    payload::decode(codec, bytes)
        .map_err(|cause| Error::codec(format_args!("decode the {what} of job {number}"), cause))
}

/// Why a job did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    reason: Reason,
    message: String,
    attempts: u32,
}

/// The kind of a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Its last attempt ended with an error.
    Error,
    /// An attempt ended with an error that the job called permanent.
    Permanent,
    /// Its last attempt panicked.
    Panicked,
    /// Somebody cancelled it, or it cancelled itself.
    Cancelled,
    /// Its last attempt ran longer than its time-out.
    TimedOut,
    /// Nobody knows how its last attempt ended, which another host may have run.
    Unknown,
}

impl Failure {
    pub(crate) fn of(record: &JobRecord) -> Self {
        let reason = match record.state {
            State::Failed(FailureKind::Permanent) => Reason::Permanent,
            State::Failed(FailureKind::Panicked) => Reason::Panicked,
            State::Failed(FailureKind::TimedOut) => Reason::TimedOut,
            State::Failed(FailureKind::Unknown) => Reason::Unknown,
            State::Cancelled => Reason::Cancelled,
            _ => Reason::Error,
        };
        let message = match record.history.first().map(|attempt| &attempt.end) {
            Some(
                AttemptEnd::Error(chain)
                | AttemptEnd::Permanent(chain)
                | AttemptEnd::Cancelled(chain),
            ) => chain.join(": "),
            Some(AttemptEnd::Panicked { message, location }) if !location.is_empty() => {
                format!("panicked at {location}: {message}")
            }
            Some(AttemptEnd::Panicked { message, .. }) => format!("panicked: {message}"),
            Some(AttemptEnd::TimedOut(ms)) => format!("ran longer than its time-out of {ms} ms"),
            Some(AttemptEnd::Unknown(why)) => format!("nobody knows how it ended: {why}"),
            Some(AttemptEnd::NotStarted(why)) => format!("not started: {why}"),
            _ => "before it ran".into(),
        };
        Self {
            reason,
            message,
            attempts: record.attempts,
        }
    }

    /// The kind.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The last attempt's error with its sources, its panic, or the reason of the cancellation.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How many attempts the job had.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            message,
            attempts,
        } = self;
        match reason {
            Reason::Cancelled => write!(f, "the job was cancelled: {message}"),
            _ => write!(f, "the job failed at attempt {attempts}: {message}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Where a job stands.
#[derive(Clone, Debug)]
pub struct Status {
    pub(crate) state: StateKind,
    pub(crate) parked: Option<ParkReason>,
    pub(crate) record: JobRecord,
    pub(crate) progress: Option<(u64, u64)>,
    pub(crate) log: Vec<String>,
}

impl Status {
    /// Its state.
    pub fn state(&self) -> StateKind {
        self.state
    }

    /// Why it is parked, where it is.
    pub fn parked(&self) -> Option<&ParkReason> {
        self.parked.as_ref()
    }

    /// The stable name of its type.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// The queue that it waits in.
    pub fn queue(&self) -> &str {
        self.record.queue.as_str()
    }

    /// Its priority in that queue.
    pub fn priority(&self) -> Priority {
        self.record.priority
    }

    /// When it was accepted.
    pub fn created(&self) -> Timestamp {
        self.record.created
    }

    /// When it becomes ready, where it is scheduled.
    pub fn due(&self) -> Option<Timestamp> {
        match self.record.state {
            State::Scheduled { due, .. } if self.state == StateKind::Scheduled => Some(due),
            _ => None,
        }
    }

    /// When it reached its final state.
    pub fn finished(&self) -> Option<Timestamp> {
        self.record.finished
    }

    /// How many attempts ended so far, interruptions and snoozes not counted.
    pub fn attempts(&self) -> u32 {
        self.record.attempts
    }

    /// How often the process died or shut down while it was in flight.
    pub fn interruptions(&self) -> u32 {
        self.record.interruptions
    }

    /// Somebody asked to cancel it while it runs.
    pub fn is_cancel_requested(&self) -> bool {
        self.record.cancel_requested
    }

    /// What it said last about its progress in this attempt: done and total. Lost with the process.
    pub fn progress(&self) -> Option<(u64, u64)> {
        self.progress
    }

    /// What it logged so far in the attempt that runs now; the lines of ended attempts are in the
    /// [`history`](Self::history). Lost with the process.
    pub fn log(&self) -> &[String] {
        &self.log
    }

    /// Its ended attempts, the newest first.
    pub fn history(&self) -> &[Attempt] {
        &self.record.history
    }
}
