//! What the end of an attempt makes of its job: decided and encoded on the worker's thread.

use std::collections::HashMap;
use std::time::Duration;

use jobkeep_store::{
    Attempt, AttemptEnd, Encoded, FailureKind, JobNumber, JobRecord, Kept, Key, ParkReason,
    RowError, Timestamp, Token,
};

use super::encoded::{Apart, EncodedJob, Origins, keep};
use super::follow::FollowUps;
use super::state;
use crate::carry::OnUnknown;
use crate::clock::{Now, Steady};
use crate::context::cut;
use crate::event::{Event, Times};
use crate::job::{CHAIN, JobError, Verdict};
use crate::observer::Interest;
use crate::retry;

/// An attempt on a worker: the job as claimed, and what its end needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) number: JobNumber,
    pub(crate) token: Token,
    pub(crate) origins: Origins,
    /// Without its payload, where that stands in it.
    pub(crate) record: Box<JobRecord>,
    /// The stored payload: what the attempt began with, or its last checkpoint.
    pub(crate) payload: Vec<u8>,
    pub(crate) began: Now,
    pub(crate) thread: String,
    pub(crate) log: Vec<String>,
    /// Who hears of its end.
    pub(crate) observed: Interest,
}

/// How the attempt ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The job's value as the run left it, and the output.
    Succeeded { left: Vec<u8>, output: Vec<u8> },
    /// The value where it can be kept, the verdict, and the error's text with its sources'.
    Failed {
        left: Option<Vec<u8>>,
        verdict: Verdict,
        chain: Vec<String>,
    },
    /// What the panic said, and where it was.
    Panicked { message: String, location: String },
    /// The payload does not decode: the decoder's message.
    Undecodable(String),
    /// It still runs, after so many milliseconds.
    TimedOut(u64),
    /// No other host has begun it: it waits so long.
    NotStarted { wait: Duration, why: String },
    /// Another host may run it until the deadline.
    Unknown {
        why: String,
        deadline: Steady,
        policy: OnUnknown,
    },
}

impl Outcome {
    /// The run left this value and ended with this error.
    pub(crate) fn failed(left: Vec<u8>, error: &JobError) -> Self {
        Self::Failed {
            left: Some(left),
            verdict: error.verdict,
            chain: error.chain(),
        }
    }
}

/// The end of an attempt, encoded. The committer checks the token and moves the bytes.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) number: JobNumber,
    pub(crate) token: Token,
    pub(crate) job: EncodedJob,
    /// The hash of its idempotency key.
    pub(crate) key: Option<u64>,
    /// For the observer, where there is one.
    pub(crate) event: Option<Box<Event>>,
    pub(crate) follow_ups: Option<Box<FollowUps>>,
}

impl Settlement {
    /// Takes its rows back from a batch that was not written.
    pub(crate) fn refill(&mut self, rows: &mut HashMap<Key, Vec<u8>>) {
        self.job.refill(self.number, rows);
    }
}

/// Decides what becomes of the job. `seed` draws the backoff.
///
/// # Errors
/// Where the job's state does not allow its end or its record cannot be encoded: a defect of
/// jobkeep, as text.
pub(crate) fn settle(
    run: Run,
    outcome: Outcome,
    now: Now,
    seed: u64,
    key: Option<u64>,
) -> Result<Settlement, String> {
    let Run {
        number,
        token,
        origins,
        mut record,
        payload,
        began,
        thread,
        log,
        observed,
    } = run;
    let times = Times::new(record.order, began, now.steady);
    let attempt_number = record.attempts.saturating_add(1);
    let attempt = |end| Attempt {
        number: attempt_number,
        started: began.wall,
        ended: now.wall,
        thread,
        end,
        log,
    };
    let body;
    let mut output_row = None;
    match outcome {
        Outcome::Succeeded { left, output } => {
            body = leave(&mut record, payload, Some(left))?;
            let (kept, row) = keep(output).map_err(|cause| cause.to_string())?;
            record.output = Some(kept);
            output_row = row;
            state::succeed(&mut record, attempt(AttemptEnd::Succeeded))
        }
        Outcome::Failed {
            left,
            verdict,
            chain,
        } => {
            body = leave(&mut record, payload, left)?;
            fail(&mut record, verdict, bounded(chain), attempt, now, seed)
        }
        Outcome::Panicked { message, location } => {
            body = leave(&mut record, payload, None)?;
            let end = AttemptEnd::Panicked {
                message: cut(message, TEXT_BYTES),
                location,
            };
            let delay = retry::delay(record.backoff, attempt_number, seed);
            retry_or_fail(&mut record, FailureKind::Panicked, attempt(end), now, delay)
        }
        Outcome::TimedOut(limit_ms) => {
            body = leave(&mut record, payload, None)?;
            let end = AttemptEnd::TimedOut(limit_ms);
            let delay = retry::delay(record.backoff, attempt_number, seed);
            retry_or_fail(&mut record, FailureKind::TimedOut, attempt(end), now, delay)
        }
        Outcome::NotStarted { wait, why } => {
            body = leave(&mut record, payload, None)?;
            let end = AttemptEnd::NotStarted(cut(why, TEXT_BYTES));
            state::put_off(&mut record, due(now, wait), attempt(end))
        }
        Outcome::Unknown {
            why,
            deadline,
            policy,
        } => {
            body = leave(&mut record, payload, None)?;
            let attempt = attempt(AttemptEnd::Unknown(cut(why, TEXT_BYTES)));
            let backoff = retry::delay(record.backoff, attempt_number, seed);
            // Until then the lost call may still run.
            let delay = backoff.max(deadline.since(now.steady));
            match policy {
                OnUnknown::Retry => {
                    retry_or_fail(&mut record, FailureKind::Unknown, attempt, now, delay)
                }
                OnUnknown::Fail => state::fail(&mut record, FailureKind::Unknown, attempt),
            }
            .map(|()| record.lost_until = Some(deadline.kept()))
        }
        Outcome::Undecodable(message) => {
            body = leave(&mut record, payload, None)?;
            let message = cut(message, TEXT_BYTES);
            let end = AttemptEnd::Undecodable(message.clone());
            state::park(&mut record, ParkReason::Undecodable(message), attempt(end))
        }
    }
    .map_err(|illegal| format!("settle job {number}: {illegal}"))?;
    let is_heard = observed.hears(Event::is_trouble_of(&record));
    let event = is_heard.then(|| Event::ended(number, &record, now, Some(times)));
    let job = EncodedJob::new(record, origins, body, output_row)
        .map_err(|cause| format!("settle job {number}: {cause}"))?;
    Ok(Settlement {
        number,
        token,
        job,
        key,
        event: event.map(Box::new),
        follow_ups: None,
    })
}

fn fail(
    record: &mut JobRecord,
    verdict: Verdict,
    chain: Vec<String>,
    attempt: impl FnOnce(AttemptEnd) -> Attempt,
    now: Now,
    seed: u64,
) -> Result<(), state::IllegalEdge> {
    match verdict {
        Verdict::Retry => {
            let delay = retry::delay(record.backoff, record.attempts.saturating_add(1), seed);
            let attempt = attempt(AttemptEnd::Error(chain));
            retry_or_fail(record, FailureKind::Error, attempt, now, delay)
        }
        Verdict::RetryAfter(delay) => {
            let attempt = attempt(AttemptEnd::Error(chain));
            retry_or_fail(record, FailureKind::Error, attempt, now, delay)
        }
        Verdict::Permanent => state::fail(
            record,
            FailureKind::Permanent,
            attempt(AttemptEnd::Permanent(chain)),
        ),
        Verdict::Snooze(delay) => {
            let end = AttemptEnd::Snoozed(now.wall.after(delay));
            state::snooze(record, due(now, delay), attempt(end))
        }
        Verdict::Cancel => state::cancel_running(record, attempt(AttemptEnd::Cancelled(chain))),
    }
}

fn retry_or_fail(
    record: &mut JobRecord,
    kind: FailureKind,
    attempt: Attempt,
    now: Now,
    delay: Duration,
) -> Result<(), state::IllegalEdge> {
    if attempt.number >= record.max_attempts {
        state::fail(record, kind, attempt)
    } else {
        state::retry(record, due(now, delay), attempt)
    }
}

fn due(now: Now, delay: Duration) -> Timestamp {
    now.steady.after(delay).kept()
}

/// Puts the value that the run left into the record, or the one from before where it left none or the
/// same, and says what happens to the body's own row.
fn leave(record: &mut JobRecord, before: Vec<u8>, left: Option<Vec<u8>>) -> Result<Apart, String> {
    let Some(left) = left.filter(|left| *left != before) else {
        if let Kept::Inline(bytes) = &mut record.payload {
            *bytes = before;
        }
        return Ok(Apart::Leave);
    };
    replace_payload(record, left).map_err(|cause| cause.to_string())
}

/// Gives the record another payload, and says what happens to the body's own row.
pub(super) fn replace_payload(record: &mut JobRecord, payload: Vec<u8>) -> Result<Apart, RowError> {
    let (kept, row) = keep(payload)?;
    Ok(put_in_place(record, kept, row))
}

/// Puts a payload into the record that is to be [kept](keep) like this, and says what happens to the
/// body's own row.
pub(super) fn put_in_place(record: &mut JobRecord, kept: Kept, row: Option<Encoded>) -> Apart {
    let was_apart = record.payload.is_apart();
    record.payload = kept;
    match row {
        Some(row) => Apart::Put(row),
        None if was_apart => Apart::Delete,
        None => Apart::Leave,
    }
}

/// How many bytes of an error's text are kept.
const TEXT_BYTES: usize = 1_024;

fn bounded(chain: Vec<String>) -> Vec<String> {
    chain
        .into_iter()
        .take(CHAIN)
        .map(|text| cut(text, TEXT_BYTES))
        .collect()
}
