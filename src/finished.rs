use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use jobkeep_store::{
    Attempt, AttemptEnd, ByteCount, FailureKind, JobNumber, JobRecord, ParkReason, State,
    StateKind, Timestamp,
};
use serde::de::DeserializeOwned;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::{Codec, Error, Job, Priority, payload};

/// A finished job with its bytes, not yet decoded: a [`Completed`] decodes them. `Debug` counts them.
#[derive(Clone)]
pub struct Finished {
    pub(crate) number: JobNumber,
    pub(crate) record: JobRecord,
    pub(crate) payload: Vec<u8>,
    pub(crate) output: Option<Vec<u8>>,
}

impl Finished {
    /// The job's number in its store.
    pub fn number(&self) -> JobNumber {
        self.number
    }

    /// The stable name of its type.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// How it ended.
    pub fn state(&self) -> StateKind {
        self.record.state.kind()
    }

    /// The queue that it waited in.
    pub fn queue(&self) -> &str {
        self.record.queue.as_str()
    }

    /// When it was accepted.
    pub fn created(&self) -> Timestamp {
        self.record.created
    }

    /// When it reached its final state.
    pub fn finished(&self) -> Option<Timestamp> {
        self.record.finished
    }

    /// How payload and output are encoded.
    pub fn codec(&self) -> Codec {
        self.record.codec
    }

    /// Its value as the last ended attempt left it, encoded.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What it returned, encoded, where it succeeded.
    pub fn output(&self) -> Option<&[u8]> {
        self.output.as_deref()
    }

    /// Why it did not succeed, where it did not.
    pub fn failure(&self) -> Option<Failure> {
        let failed = self.state() != StateKind::Succeeded;
        failed.then(|| Failure::of(&self.record))
    }

    /// How many attempts it had, interruptions and snoozes not counted.
    pub fn attempts(&self) -> u32 {
        self.record.attempts
    }

    /// Its attempts, the newest first; beyond [`HISTORY`](crate::HISTORY) the oldest are dropped, and of
    /// those that spent nothing more than of others.
    pub fn history(&self) -> &[Attempt] {
        &self.record.history
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished")
            .field("number", &self.number)
            .field("record", &self.record)
            .field("payload", &ByteCount::of(&self.payload))
            .field("output", &self.output.as_deref().map(ByteCount::of))
            .finish()
    }
}

/// A finished job come back: its value as [`run`](crate::Run::run) left it, its output or its
/// failure, and its history. Value and output are decoded when they are first asked for, so that a type
/// that has changed since hides nothing but itself. `Debug` shows neither of them: they may be about
/// people.
pub struct Completed<J: Job> {
    finished: Finished,
    job: OnceLock<Result<J, Error>>,
    output: OnceLock<Result<J::Output, Failure>>,
}

impl<J: Job> Completed<J> {
    /// Checks the claim that a finished job is a `J` against its stored name.
    ///
    /// # Errors
    /// Where it is stored under another name.
    pub fn new(finished: Finished) -> Result<Self, Error> {
        let stored = finished.record.name.as_str();
        if stored != J::NAME && !J::ALIASES.contains(&stored) {
            return Err(Error::other_type(finished.number, J::NAME, stored));
        }
        Ok(Self {
            finished,
            job: OnceLock::new(),
            output: OnceLock::new(),
        })
    }

    /// The job's number in its store.
    pub fn number(&self) -> JobNumber {
        self.finished.number
    }

    /// The job as its last ended attempt left it.
    ///
    /// # Errors
    /// Where it does not decode, because its type has changed: [`Error::is_codec`].
    pub fn job(&self) -> Result<&J, Error> {
        let job = self.job.get_or_init(|| self.finished.decode_job());
        job.as_ref().map_err(Clone::clone)
    }

    /// What it returned, or how it failed.
    ///
    /// # Errors
    /// The failure, where it did not succeed. Where it did, and what it returned does not decode, because
    /// the type has changed: [`Reason::Unreadable`].
    pub fn output(&self) -> Result<&J::Output, Failure> {
        let output = self.output.get_or_init(|| self.finished.decode_output());
        output.as_ref().map_err(Clone::clone)
    }

    /// What it returned, or how it failed.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn into_output(self) -> Result<J::Output, Failure> {
        let Self {
            finished, output, ..
        } = self;
        output
            .into_inner()
            .unwrap_or_else(|| finished.decode_output())
    }

    /// How many attempts it had, interruptions and snoozes not counted.
    pub fn attempts(&self) -> u32 {
        self.finished.record.attempts
    }

    /// How often the process died or shut down while it was in flight.
    pub fn interruptions(&self) -> u32 {
        self.finished.record.interruptions
    }

    /// Its attempts, the newest first; the oldest are dropped beyond
    /// [`HISTORY`](crate::HISTORY).
    pub fn history(&self) -> &[Attempt] {
        &self.finished.record.history
    }
}

impl<J: Job> fmt::Debug for Completed<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completed")
            .field("number", &self.number())
            .field("name", &self.finished.record.name)
            .field("state", &self.finished.record.state)
            .field("attempts", &self.attempts())
            .field("failure", &self.finished.failure())
            .finish_non_exhaustive()
    }
}

impl Finished {
    fn decode_job<J: Job>(&self) -> Result<J, Error> {
        payload::decode(self.record.codec, &self.payload).map_err(|cause| {
            let act = format_args!("decode the payload of job {}", self.number);
            Error::codec(act, cause)
        })
    }

    fn decode_output<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let Some(output) = &self.output else {
            return Err(Failure::of(&self.record));
        };
        payload::decode(self.record.codec, output).map_err(|cause| Failure {
            reason: Reason::Unreadable,
            message: cause,
            attempts: self.record.attempts,
        })
    }
}

/// Why a job did not succeed, or why its output is not to be had.
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
    /// It succeeded, and its output does not decode to the type that is asked for.
    Unreadable,
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
        let last = record.history.first();
        let message = last.and_then(|attempt| failure_text(&attempt.end));
        let message = message.unwrap_or_else(|| waiting_text(last));
        Self {
            reason,
            message,
            attempts: record.attempts,
        }
    }

    /// The newest failure in the job's history.
    pub(crate) fn last(record: &JobRecord) -> Option<String> {
        let mut ends = record.history.iter().map(|attempt| &attempt.end);
        ends.find_map(failure_text)
    }

    /// The kind.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The last attempt's error with its sources, its panic, or the reason of the cancellation; or the
    /// message of the decoder.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How many attempts the job had.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// How an attempt failed, if it did.
fn failure_text(end: &AttemptEnd) -> Option<String> {
    Some(match end {
        AttemptEnd::Error(chain) | AttemptEnd::Permanent(chain) | AttemptEnd::Cancelled(chain) => {
            chain.join(": ")
        }
        AttemptEnd::Panicked { message, location } if !location.is_empty() => {
            format!("panicked at {location}: {message}")
        }
        AttemptEnd::Panicked { message, .. } => format!("panicked: {message}"),
        AttemptEnd::TimedOut(ms) => format!("ran longer than its time-out of {ms} ms"),
        AttemptEnd::Unknown(why) => format!("nobody knows how it ended: {why}"),
        AttemptEnd::NotStarted(why) => format!("not started: {why}"),
        _ => return None,
    })
}

/// Where a job was that did not end by an attempt.
fn waiting_text(last: Option<&Attempt>) -> String {
    match last.map(|attempt| &attempt.end) {
        Some(AttemptEnd::Snoozed(_)) => "while it had put itself off".into(),
        Some(AttemptEnd::Interrupted { .. }) => "after it was interrupted".into(),
        Some(AttemptEnd::Undecodable(why)) => {
            format!("while it was parked: its payload does not decode: {why}")
        }
        _ => "before it ran".into(),
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
            Reason::Unreadable => write!(
                f,
                "the job succeeded, and its output does not decode: {message}"
            ),
            _ => write!(f, "the job failed at attempt {attempts}: {message}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Where a job stands. `Debug` counts the bytes of its payload and the lines of its log; serialized, it
/// is what its calls say, without them.
#[derive(Clone)]
pub struct Status {
    pub(crate) state: StateKind,
    pub(crate) parked: Option<ParkReason>,
    /// When it becomes ready by its record, as the wall clock is to show it.
    pub(crate) due: Option<Timestamp>,
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

    /// Its idempotency key, if it has one.
    pub fn key(&self) -> Option<&str> {
        self.record.key.as_deref()
    }

    /// How many bytes its payload has, encoded.
    pub fn payload_bytes(&self) -> usize {
        self.record.payload.length()
    }

    /// Its priority in that queue.
    pub fn priority(&self) -> Priority {
        self.record.priority
    }

    /// When it was accepted.
    pub fn created(&self) -> Timestamp {
        self.record.created
    }

    /// When it becomes ready, where it is scheduled: of a delay, as the wall clock shows it if nobody sets it
    /// meanwhile and the machine does not sleep.
    pub fn due(&self) -> Option<Timestamp> {
        self.due.filter(|_| self.state == StateKind::Scheduled)
    }

    /// When it reached its final state.
    pub fn finished(&self) -> Option<Timestamp> {
        self.record.finished
    }

    /// How many attempts ended so far, interruptions and snoozes not counted.
    pub fn attempts(&self) -> u32 {
        self.record.attempts
    }

    /// How many attempts it may have, the first included.
    pub fn max_attempts(&self) -> u32 {
        self.record.max_attempts
    }

    /// How long an attempt may take, where the job says so itself: else its queue does.
    pub fn timeout(&self) -> Option<Duration> {
        self.record.timeout_ms.map(Duration::from_millis)
    }

    /// How often it put itself off.
    pub fn snoozes(&self) -> u32 {
        self.record.snoozes
    }

    /// How its newest attempt that failed did so, with the sources of its error.
    pub fn last_error(&self) -> Option<String> {
        Failure::last(&self.record)
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

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("state", &self.state)
            .field("due", &self.due)
            .field("parked", &self.parked)
            .field("record", &self.record)
            .field("progress", &self.progress)
            .field("log", &format_args!("{} lines", self.log.len()))
            .finish()
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = serializer.serialize_struct("Status", 18)?;
        shown.serialize_field("state", &self.state)?;
        shown.serialize_field("parked", &self.parked.as_ref().map(ToString::to_string))?;
        shown.serialize_field("name", self.name())?;
        shown.serialize_field("queue", self.queue())?;
        shown.serialize_field("key", &self.key())?;
        shown.serialize_field("priority", &self.priority())?;
        shown.serialize_field("payload_bytes", &self.payload_bytes())?;
        shown.serialize_field("created_ms", &self.created())?;
        shown.serialize_field("due_ms", &self.due())?;
        shown.serialize_field("finished_ms", &self.finished())?;
        shown.serialize_field("attempts", &self.attempts())?;
        shown.serialize_field("max_attempts", &self.max_attempts())?;
        shown.serialize_field("timeout_ms", &self.record.timeout_ms)?;
        shown.serialize_field("snoozes", &self.snoozes())?;
        shown.serialize_field("interruptions", &self.interruptions())?;
        shown.serialize_field("cancel_requested", &self.is_cancel_requested())?;
        shown.serialize_field("progress", &self.progress())?;
        shown.serialize_field("last_error", &self.last_error())?;
        shown.end()
    }
}
