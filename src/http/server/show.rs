//! A job as it is shown to who asks.

use data_encoding::BASE64;
use jobkeep_store::{Attempt, AttemptEnd, JobRecord, ParkReason};
use serde_json::value::RawValue;

use super::super::wire;
use super::Host;
use crate::finished::{Failure, Finished, Status};
use crate::page::ListedJob;
use crate::runtime;
use crate::{Codec, Reason, Receipt};

impl Host {
    /// A job that has finished, with everything that is left of it.
    pub(super) fn finished(&self, receipt: &Receipt, finished: Finished) -> wire::Job {
        let Finished {
            record,
            payload,
            output,
            ..
        } = finished;
        let failure = output.is_none().then(|| {
            let failure = Failure::of(&record);
            wire::Failure {
                reason: reason(failure.reason()).into(),
                message: failure.message().into(),
            }
        });
        let bincode = (record.codec == Codec::Bincode).then(|| wire::Bytes {
            payload: BASE64.encode(&payload),
            output: output.as_ref().map(|output| BASE64.encode(output)),
        });
        let (payload, output) = self.as_json(&record, payload, output);
        wire::Job {
            receipt: receipt.to_string(),
            server: receipt.server().into(),
            number: receipt.number().0,
            name: record.name.clone(),
            queue: record.queue.as_str().into(),
            priority: record.priority,
            state: record.state.kind().as_str().into(),
            parked: None,
            created_ms: record.created.0,
            due_ms: None,
            finished_ms: record.finished.map(|moment| moment.0),
            attempts: record.attempts,
            interruptions: record.interruptions,
            cancel_requested: record.cancel_requested,
            options: Some(options(&record)),
            progress: None,
            log: Vec::new(),
            history: record.history.iter().map(attempt).collect(),
            payload,
            output,
            bincode,
            failure,
        }
    }

    /// Payload and output as JSON, as far as they can be: a type that is not registered any more may be
    /// in bincode, which says nothing without it.
    fn as_json(
        &self,
        record: &JobRecord,
        payload: Vec<u8>,
        output: Option<Vec<u8>>,
    ) -> (Option<Box<RawValue>>, Option<Box<RawValue>>) {
        if record.codec == Codec::Json {
            return (raw(payload), output.and_then(raw));
        }
        let Some(handler) = self.manager.shared().registry.handler(&record.name) else {
            return (None, None);
        };
        let shown = || handler.as_json(record.codec, &payload, output.as_deref());
        let json = runtime::catch(shown).unwrap_or_default();
        (json.payload.and_then(raw), json.output.and_then(raw))
    }
}

fn raw(bytes: Vec<u8>) -> Option<Box<RawValue>> {
    let text = String::from_utf8(bytes).ok()?;
    RawValue::from_string(text).ok()
}

/// A job that has not finished.
pub(super) fn status(receipt: &Receipt, status: &Status) -> wire::Job {
    wire::Job {
        receipt: receipt.to_string(),
        server: receipt.server().into(),
        number: receipt.number().0,
        name: status.name().into(),
        queue: status.queue().into(),
        priority: status.priority(),
        state: status.state().as_str().into(),
        parked: status.parked().map(parked),
        created_ms: status.created().0,
        due_ms: status.due().map(|moment| moment.0),
        finished_ms: status.finished().map(|moment| moment.0),
        attempts: status.attempts(),
        interruptions: status.interruptions(),
        cancel_requested: status.is_cancel_requested(),
        options: Some(options(&status.record)),
        progress: status
            .progress()
            .map(|(done, total)| wire::Progress { done, total }),
        log: status.log().to_vec(),
        history: status.history().iter().map(attempt).collect(),
        payload: None,
        output: None,
        bincode: None,
        failure: None,
    }
}

fn options(record: &JobRecord) -> wire::Options {
    wire::Options {
        key: record.key.clone(),
        max_attempts: record.max_attempts,
        timeout_ms: record.timeout_ms,
        snoozes: record.snoozes,
        payload_bytes: u32::try_from(record.payload.length()).unwrap_or(u32::MAX),
    }
}

/// A job of a page.
pub(super) fn listed(job: &ListedJob) -> wire::Job {
    wire::Job {
        receipt: job.receipt().to_string(),
        server: job.receipt().server().into(),
        number: job.number().0,
        name: job.name().into(),
        queue: job.queue().into(),
        priority: job.priority(),
        state: job.state().as_str().into(),
        parked: job.parked().map(parked),
        created_ms: job.created().0,
        due_ms: job.due().map(|moment| moment.0),
        finished_ms: job.finished().map(|moment| moment.0),
        attempts: job.attempts(),
        interruptions: 0,
        cancel_requested: false,
        options: None,
        progress: None,
        log: Vec::new(),
        history: Vec::new(),
        payload: None,
        output: None,
        bincode: None,
        failure: None,
    }
}

pub(super) fn parked(reason: &ParkReason) -> wire::Parked {
    let times = match reason {
        ParkReason::Crashing(times) => Some(*times),
        _ => None,
    };
    let (reason, message) = match reason {
        ParkReason::UnknownName => ("unknown_name", None),
        ParkReason::UnknownQueue => ("unknown_queue", None),
        ParkReason::Undecodable(message) => ("undecodable", Some(message.clone())),
        ParkReason::Unreadable(message) => ("unreadable", Some(message.clone())),
        ParkReason::Crashing(times) => (
            "crashing",
            Some(format!("the process died beside it {times} times in a row")),
        ),
        _ => ("unknown", None),
    };
    wire::Parked {
        reason: reason.into(),
        message,
        times,
    }
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Error => "error",
        Reason::Permanent => "permanent",
        Reason::Panicked => "panicked",
        Reason::Cancelled => "cancelled",
        Reason::TimedOut => "timed_out",
        Reason::Unknown => "unknown",
        Reason::Unreadable => "unreadable",
    }
}

fn attempt(attempt: &Attempt) -> wire::Attempt {
    wire::Attempt {
        number: attempt.number,
        started_ms: attempt.started.0,
        ended_ms: attempt.ended.0,
        end: end(&attempt.end),
        log: attempt.log.clone(),
    }
}

fn end(end: &AttemptEnd) -> wire::End {
    match end.clone() {
        AttemptEnd::Succeeded => wire::End::Succeeded,
        AttemptEnd::Error(messages) => wire::End::Error { messages },
        AttemptEnd::Permanent(messages) => wire::End::Permanent { messages },
        AttemptEnd::Panicked { message, location } => wire::End::Panicked { message, location },
        AttemptEnd::Snoozed(until) => wire::End::Snoozed { until_ms: until.0 },
        AttemptEnd::Cancelled(messages) => wire::End::Cancelled { messages },
        AttemptEnd::Interrupted { begun } => wire::End::Interrupted { begun },
        AttemptEnd::Undecodable(message) => wire::End::Undecodable { message },
        AttemptEnd::TimedOut(after_ms) => wire::End::TimedOut { after_ms },
        AttemptEnd::Unknown(message) => wire::End::Unknown { message },
        AttemptEnd::NotStarted(message) => wire::End::NotStarted { message },
        _ => wire::End::Other,
    }
}
