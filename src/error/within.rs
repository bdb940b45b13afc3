//! What a running job is told by its context.

use std::fmt;

use jobkeep_store::JobNumber;

use super::{Error, Kind};

impl Error {
    pub(crate) fn attempt_over(act: impl fmt::Display) -> Self {
        Self::new(
            Kind::AttemptOver,
            format!(
                "{act}: this attempt no longer has the job, and nothing that it says is recorded: \
                 return"
            ),
        )
    }

    pub(crate) fn told_to_stop(job: JobNumber) -> Self {
        Self::new(
            Kind::ToldToStop,
            format!(
                "wait for a future of job {job}: the job is to stop, because somebody cancelled it, its \
                 time-out is over, or the grace of a shutdown has ended: return"
            ),
        )
    }

    pub(crate) fn checkpoint_of_other_type(job: JobNumber, asked: &str, stored: &str) -> Self {
        Self::new(
            Kind::OtherType,
            format!(
                "checkpoint job {job} as `{asked}`: it is stored as `{stored}`: give the job that \
                 runs"
            ),
        )
    }

    pub(crate) fn checkpoint_too_large(job: JobNumber, bytes: usize, limit: usize) -> Self {
        Self::new(
            Kind::TooLarge,
            format!(
                "checkpoint job {job}: its payload has {bytes} bytes and the limit is {limit}: keep \
                 a reference to the data instead, or raise `Builder::payload_limit`"
            ),
        )
    }

    pub(crate) fn checkpoint_codec(job: JobNumber, cause: impl fmt::Display) -> Self {
        Self::codec(format_args!("checkpoint job {job}"), cause)
    }

    pub(crate) fn pushed(act: impl fmt::Display) -> Self {
        Self::host(
            act,
            "it is not available in a pushed job, whose store is elsewhere: run its queue where it is \
             stored",
        )
    }

    /// The attempt that asks no longer has its job: it has been ended without it, and nothing that it
    /// says is recorded.
    pub fn is_attempt_over(&self) -> bool {
        self.0.kind == Kind::AttemptOver
    }

    /// The job that asks is to stop, as [`Context::is_cancelled`](crate::Context::is_cancelled) says.
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == Kind::ToldToStop
    }
}
