//! Jobs as they came over the wire, as everybody else here knows them.

use data_encoding::BASE64;
use jobkeep_store::{
    Attempt, AttemptEnd, Backoff, Due, FailureKind, JobRecord, Kept, ParkReason, State,
};
use serde_json::value::RawValue;

use super::super::wire;
use super::refused::state;
use crate::finished::{Finished, Status};
use crate::page::{ListedJob, Page};
use crate::{Codec, JobNumber, Receipt, StateKind, Timestamp};

/// The finished job with its bytes; `None` where it has not finished.
pub(super) fn finished(number: JobNumber, mut job: wire::Job) -> Result<Option<Finished>, String> {
    let (kind, record) = record(&mut job)?;
    if !kind.is_final() {
        return Ok(None);
    }
    let (payload, output) = match job.bincode {
        Some(bytes) => {
            let payload = base64(&bytes.payload)?;
            (
                Some(payload),
                bytes.output.as_deref().map(base64).transpose()?,
            )
        }
        None => (job.payload.map(bytes), job.output.map(bytes)),
    };
    let payload = payload.ok_or("its answer holds no payload")?;
    if (kind == StateKind::Succeeded) != output.is_some() {
        return Err(format!(
            "its answer is of a job that is {kind}, and its output does not fit"
        ));
    }
    Ok(Some(Finished {
        number,
        record,
        payload,
        output,
    }))
}

/// Where the job stands.
pub(super) fn status(mut job: wire::Job) -> Result<Status, String> {
    let (state, record) = record(&mut job)?;
    Ok(Status {
        state,
        parked: job.parked.map(parked),
        due: job.due_ms.map(Timestamp),
        record,
        progress: job.progress.map(|progress| (progress.done, progress.total)),
        log: job.log,
    })
}

/// Jobs of one server.
pub(super) fn page(server: &str, page: wire::Page) -> Result<Page, String> {
    let jobs = page.jobs.into_iter().map(|mut job| {
        let receipt = job.receipt.parse::<Receipt>();
        let receipt = receipt.map_err(|_| "its answer holds something that is no receipt")?;
        if receipt.server() != server {
            return Err("its answer holds a receipt of another server".to_owned());
        }
        let (state, record) = record(&mut job)?;
        Ok(ListedJob::new(
            receipt,
            state,
            job.parked.map(parked),
            job.due_ms.map(Timestamp),
            record,
        ))
    });
    Ok(Page {
        jobs: jobs.collect::<Result<_, _>>()?,
        cursor: page.next.map(JobNumber),
        damaged: page.damaged.into_iter().map(JobNumber).collect(),
    })
}

fn bytes(value: Box<RawValue>) -> Vec<u8> {
    String::from(Box::<str>::from(value)).into_bytes()
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    BASE64
        .decode(text.as_bytes())
        .map_err(|_| "its answer holds bytes that are no base64".into())
}

/// The job's record, as far as a wire tells: what only its store needs is left at zero.
fn record(job: &mut wire::Job) -> Result<(StateKind, JobRecord), String> {
    let kind =
        state(&job.state).ok_or("its answer tells a state that this version does not know")?;
    let failure = job.failure.take();
    let unknown = failure.as_ref().map(|failure| failure.message.clone());
    let attempts = std::mem::take(&mut job.history).into_iter();
    let created = Timestamp(job.created_ms);
    let options = job.options.take();
    let record = JobRecord {
        state: match kind {
            StateKind::Scheduled => State::Scheduled {
                due: Timestamp(
                    job.due_ms
                        .ok_or("its answer does not tell when the job is due")?,
                ),
                by: Due::Wall,
            },
            StateKind::Ready => State::Ready,
            StateKind::Running => State::Running,
            StateKind::Parked => {
                let reason = job
                    .parked
                    .clone()
                    .ok_or("its answer does not tell why the job is parked")?;
                State::Parked(parked(reason))
            }
            StateKind::Succeeded => State::Succeeded,
            StateKind::Failed => State::Failed(failure_kind(failure.as_ref())),
            StateKind::Cancelled => State::Cancelled,
            _ => return Err("its answer tells a state that this version does not know".into()),
        },
        queue: job.queue.as_str().into(),
        priority: job.priority,
        order: created,
        name: std::mem::take(&mut job.name),
        codec: if job.bincode.is_some() {
            Codec::Bincode
        } else {
            Codec::Json
        },
        payload: Kept::Apart(options.as_ref().map_or(0, |options| options.payload_bytes)),
        output: None,
        created,
        finished: job.finished_ms.map(Timestamp),
        max_attempts: options.as_ref().map_or(0, |options| options.max_attempts),
        backoff: Backoff {
            base_ms: 0,
            cap_ms: 0,
        },
        timeout_ms: options.as_ref().and_then(|options| options.timeout_ms),
        attempts: job.attempts,
        interruptions: job.interruptions,
        unclean_ends: 0,
        snoozes: options.as_ref().map_or(0, |options| options.snoozes),
        cancel_requested: job.cancel_requested,
        key: options.and_then(|options| options.key),
        history: attempts
            .map(|attempt| self::attempt(attempt, unknown.as_deref()))
            .collect(),
        lost_until: None,
    };
    Ok((kind, record))
}

fn failure_kind(failure: Option<&wire::Failure>) -> FailureKind {
    match failure.map(|failure| failure.reason.as_str()) {
        Some("permanent") => FailureKind::Permanent,
        Some("panicked") => FailureKind::Panicked,
        Some("timed_out") => FailureKind::TimedOut,
        Some("unknown") => FailureKind::Unknown,
        _ => FailureKind::Error,
    }
}

pub(super) fn parked(parked: wire::Parked) -> ParkReason {
    let message = parked.message.unwrap_or_default();
    match parked.reason.as_str() {
        "unknown_name" => ParkReason::UnknownName,
        "unknown_queue" => ParkReason::UnknownQueue,
        "undecodable" => ParkReason::Undecodable(message),
        "crashing" => ParkReason::Crashing(parked.times.unwrap_or_default()),
        "unreadable" => ParkReason::Unreadable(message),
        other => ParkReason::Unreadable(format!("{other}: {message}")),
    }
}

/// An attempt, and what is said of one whose end this version does not know.
fn attempt(attempt: wire::Attempt, unknown: Option<&str>) -> Attempt {
    let end = match attempt.end {
        wire::End::Succeeded => AttemptEnd::Succeeded,
        wire::End::Error { messages } => AttemptEnd::Error(messages),
        wire::End::Permanent { messages } => AttemptEnd::Permanent(messages),
        wire::End::Panicked { message, location } => AttemptEnd::Panicked { message, location },
        wire::End::Snoozed { until_ms } => AttemptEnd::Snoozed(Timestamp(until_ms)),
        wire::End::Cancelled { messages } => AttemptEnd::Cancelled(messages),
        wire::End::Interrupted { begun } => AttemptEnd::Interrupted { begun },
        wire::End::Undecodable { message } => AttemptEnd::Undecodable(message),
        wire::End::TimedOut { after_ms } => AttemptEnd::TimedOut(after_ms),
        wire::End::Unknown { message } => AttemptEnd::Unknown(message),
        wire::End::NotStarted { message } => AttemptEnd::NotStarted(message),
        wire::End::Other => AttemptEnd::Error(vec![
            unknown
                .unwrap_or("it ended in a way that this version does not know")
                .into(),
        ]),
    };
    Attempt {
        number: attempt.number,
        started: Timestamp(attempt.started_ms),
        ended: Timestamp(attempt.ended_ms),
        thread: String::new(),
        end,
        log: attempt.log,
    }
}
