//! What is said of jobs that cannot run here.

use std::fmt;

use jobkeep_store::{JobNumber, ParkReason};

use super::{Error, Kind};

impl Error {
    /// The job of this name and queue is parked.
    pub(crate) fn parked(
        act: impl fmt::Display,
        reason: ParkReason,
        name: &str,
        queue: &str,
    ) -> Self {
        let (why, way_out) = tell(&reason, name, queue);
        let mut error = Self::new(
            Kind::Parked,
            format!("{act}: it is parked: {why}: {way_out}"),
        );
        error.0.parked = Some(reason);
        error
    }

    /// The job that holds the key with another payload is parked, in this queue.
    pub(crate) fn key_conflict_with_parked(
        (name, key): (&str, &str),
        existing: JobNumber,
        reason: ParkReason,
        queue: &str,
    ) -> Self {
        let (why, _) = tell(&reason, name, queue);
        let mut error = Self::new(
            Kind::KeyConflict(existing),
            format!(
                "enqueue job `{name}` with key `{key}`: job {existing} holds this key with another \
                 payload, and is parked: {why}: give that job another payload with `amend`, or \
                 remove it with its key"
            ),
        );
        error.0.parked = Some(reason);
        error
    }

    pub(crate) fn amended_as_other_type(job: JobNumber, asked: &str, stored: &str) -> Self {
        Self::new(
            Kind::OtherType,
            format!("amend job {job} as `{asked}`: it is stored as `{stored}`"),
        )
    }

    pub(crate) fn amendment_too_large(job: JobNumber, bytes: usize, limit: usize) -> Self {
        Self::new(
            Kind::TooLarge,
            format!(
                "amend job {job}: its payload has {bytes} bytes and the limit is {limit}: give a \
                 reference to the data instead, or raise `Builder::payload_limit`"
            ),
        )
    }

    /// The job cannot run here: it was waited for, or is to be retried and lacks what it needs.
    /// [`park_reason`](Self::park_reason) has why.
    pub fn is_parked(&self) -> bool {
        self.0.kind == Kind::Parked
    }

    /// Why the job is parked that the error speaks of: the one that [is](Self::is_parked), or the one that
    /// [holds the key](Self::key_conflict_with).
    pub fn park_reason(&self) -> Option<&ParkReason> {
        self.0.parked.as_ref()
    }
}

/// Why a job of this name and queue is parked, and what to do about it.
fn tell(reason: &ParkReason, name: &str, queue: &str) -> (String, &'static str) {
    match reason {
        ParkReason::UnknownName => (
            format!("no handler is registered for `{name}`"),
            "register its type (a renamed one lists its old name in `ALIASES`), and start again",
        ),
        ParkReason::UnknownQueue => (
            format!("its queue `{queue}` is not declared"),
            "declare it with `Builder::queue`, and start again",
        ),
        ParkReason::Undecodable(cause) => (
            format!("its payload does not decode: {cause}"),
            "start with a type that it decodes to, or give it another payload with `amend`",
        ),
        ParkReason::Unreadable(cause) => (
            format!("the store could not read it: {cause}"),
            "`retry` has it read again",
        ),
        ParkReason::Crashing(times) => (
            format!("the process died beside it {times} times in a row"),
            "once that is mended, `retry` runs it",
        ),
        _ => ("why, this version does not know".into(), "ask its host"),
    }
}
