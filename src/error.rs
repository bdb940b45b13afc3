use std::error;
use std::fmt;
use std::sync::Arc;

use jobkeep_store::{JobNumber, ParkReason, StateKind, StoreError};

mod manager;
mod parked;
mod remote;
mod within;

pub(crate) use remote::Remote;

/// Why jobkeep could not do what it was asked: what was tried, on which job, queue or store, why, and
/// where there is one, the way out.
///
/// The predicates tell the cases apart that a program acts upon.
#[derive(Clone)]
pub struct Error(Box<Fault>);

#[derive(Clone)]
struct Fault {
    kind: Kind,
    message: String,
    store: Option<Arc<StoreError>>,
    parked: Option<ParkReason>,
    /// Of a job in a batch, counted from 0.
    index: Option<usize>,
}

/// What a program acts upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Config,
    UndeclaredQueue,
    TooLarge,
    Full,
    ShutDown,
    Forked,
    Ring,
    KeyConflict(JobNumber),
    OtherServer,
    Replaced,
    Lost,
    NeverExisted,
    Pruned,
    OtherType,
    IllegalState(StateKind),
    Parked,
    Impatient,
    Codec,
    Damaged,
    NoResource,
    AttemptOver,
    ToldToStop,
    BadReceipt,
    Store,
    Host,
    Remote(Remote),
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Fault {
            kind,
            message: message.into(),
            store: None,
            parked: None,
            index: None,
        }))
    }

    /// It speaks of this job of a batch, counted from 0.
    pub(crate) fn of_batch(self, index: usize) -> Self {
        let message = format!("job {} of the batch: {}", index + 1, self.0.message);
        Self(Box::new(Fault {
            message,
            index: Some(index),
            ..*self.0
        }))
    }

    pub(crate) fn config(act: &str, faults: &[String]) -> Self {
        let message = match faults {
            [only] => format!("{act}: {only}"),
            many => {
                let list = many.join("\n- ");
                format!(
                    "{act}: {} faults in its configuration\n- {list}",
                    many.len()
                )
            }
        };
        Self::new(Kind::Config, message)
    }

    pub(crate) fn undeclared_queue<'a>(
        act: impl fmt::Display,
        declared: impl Iterator<Item = &'a str>,
    ) -> Self {
        let declared = declared
            .map(|queue| format!("`{queue}`"))
            .collect::<Vec<_>>()
            .join(", ");
        Self::new(
            Kind::UndeclaredQueue,
            format!(
                "{act}: no such queue is declared, only {declared}: name one of these, or declare it \
                 with `Builder::queue`"
            ),
        )
    }

    pub(crate) fn payload_too_large(name: &str, bytes: usize, limit: usize) -> Self {
        Self::new(
            Kind::TooLarge,
            format!(
                "enqueue job `{name}`: its payload has {bytes} bytes and the limit is {limit}: \
                 queue a reference to the data instead, or raise `Builder::payload_limit`"
            ),
        )
    }

    pub(crate) fn key_too_large(name: &str, bytes: usize, limit: usize) -> Self {
        Self::new(
            Kind::TooLarge,
            format!("enqueue job `{name}`: its key has {bytes} bytes and the limit is {limit}"),
        )
    }

    pub(crate) fn batch_too_large(jobs: usize, bytes: usize, most: (usize, usize)) -> Self {
        let (most_jobs, most_bytes) = most;
        Self::new(
            Kind::TooLarge,
            format!(
                "enqueue {jobs} jobs of {bytes} bytes at once: one batch takes at most \
                 {most_jobs} jobs and {most_bytes} bytes: split it"
            ),
        )
    }

    pub(crate) fn full(waiting: usize) -> Self {
        Self::new(
            Kind::Full,
            format!(
                "enqueue without waiting: {waiting} jobs are already waiting to be written: try \
                 again later, or let `enqueue` wait for room"
            ),
        )
    }

    pub(crate) fn shut_down(act: impl fmt::Display) -> Self {
        Self::new(
            Kind::ShutDown,
            format!("{act}: the manager has been shut down: start another one on the store"),
        )
    }

    pub(crate) fn key_conflict(name: &str, key: &str, existing: JobNumber) -> Self {
        Self::new(
            Kind::KeyConflict(existing),
            format!(
                "enqueue job `{name}` with key `{key}`: job {existing} holds this key with another \
                 payload: use another key, or the same payload"
            ),
        )
    }

    /// Of two jobs that are to be accepted together. The number of the earlier one is given to nobody.
    pub(crate) fn key_twice(name: &str, key: &str, earlier: JobNumber) -> Self {
        Self::new(
            Kind::KeyConflict(earlier),
            format!(
                "enqueue job `{name}` with key `{key}`: a job before it, which is to be accepted with it, \
                 has this key with another payload: use another key, or the same payload"
            ),
        )
    }

    pub(crate) fn key_lost(job: JobNumber, name: &str, key: &str) -> Self {
        Self::new(
            Kind::KeyConflict(job),
            format!(
                "retry job {job}: its key `{key}` has run out or gone to its successor, and a newer \
                 job `{name}` may hold it: enqueue the job anew"
            ),
        )
    }

    pub(crate) fn other_server(job: JobNumber, server: &str, own: &str) -> Self {
        Self::new(
            Kind::OtherServer,
            format!(
                "look up job {job}: its receipt was given by server `{server}`, and this is \
                 `{own}`: ask that server"
            ),
        )
    }

    pub(crate) fn replaced(job: JobNumber) -> Self {
        Self::new(
            Kind::Replaced,
            format!(
                "look up job {job}: the store was replaced since its receipt was given, by a new \
                 one or by an older copy: the job is not here"
            ),
        )
    }

    pub(crate) fn lost(job: JobNumber) -> Self {
        Self::new(
            Kind::Lost,
            format!(
                "look up job {job}: it was accepted as buffered and did not survive: the store \
                 refused its commit, its process ended before that, or the store was replaced by \
                 an older copy: enqueue it anew"
            ),
        )
    }

    pub(crate) fn never_existed(job: JobNumber) -> Self {
        Self::new(
            Kind::NeverExisted,
            format!("look up job {job}: no such job was ever accepted"),
        )
    }

    pub(crate) fn pruned(job: JobNumber) -> Self {
        Self::new(
            Kind::Pruned,
            format!(
                "look up job {job}: it was accepted once and is gone, pruned by retention or \
                 removed: see `Builder::retention` for how long finished jobs are kept"
            ),
        )
    }

    pub(crate) fn other_type(job: JobNumber, asked: &str, stored: &str) -> Self {
        Self::new(
            Kind::OtherType,
            format!("read job {job} as `{asked}`: it is stored as `{stored}`"),
        )
    }

    pub(crate) fn wrong_state(
        act: impl fmt::Display,
        job: JobNumber,
        state: StateKind,
        needs: &str,
    ) -> Self {
        Self::new(
            Kind::IllegalState(state),
            format!("{act} job {job}: it is {state}, and this needs {needs}"),
        )
    }

    pub(crate) fn impatient(job: JobNumber, patience_ms: u128) -> Self {
        Self::new(
            Kind::Impatient,
            format!("wait for job {job}: it has not finished within {patience_ms} ms"),
        )
    }

    /// Says how a job failed last that was waited for, which mostly is why it has not finished.
    pub(crate) fn after_failure(mut self, last: Option<String>) -> Self {
        if let Some(text) = last {
            self.0.message.push_str(": its last failure: ");
            self.0.message.push_str(&text);
        }
        self
    }

    pub(crate) fn restless(queue: &str, running: usize, patience_ms: u128) -> Self {
        Self::new(
            Kind::Impatient,
            format!(
                "wait for queue `{queue}` to rest: {running} of its jobs still ran after \
                 {patience_ms} ms: it stays paused, so wait again, or cancel them"
            ),
        )
    }

    pub(crate) fn codec(act: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::new(Kind::Codec, format!("{act}: {cause}"))
    }

    pub(crate) fn key_damaged(name: &str, key: &str, cause: StoreError) -> Self {
        let message =
            format!("enqueue job `{name}` with key `{key}`: {cause}: use another key, or none");
        Self(Box::new(Fault {
            kind: Kind::Damaged,
            message,
            store: Some(Arc::new(cause)),
            parked: None,
            index: None,
        }))
    }

    pub(crate) fn damaged(job: JobNumber, cause: impl fmt::Display) -> Self {
        Self::new(
            Kind::Damaged,
            format!(
                "look up job {job}: its row is damaged: {cause}: restore the store from a copy, or \
                 enqueue the job anew"
            ),
        )
    }

    pub(crate) fn set_aside(job: JobNumber, cause: impl fmt::Display) -> Self {
        Self::new(
            Kind::Damaged,
            format!(
                "look up job {job}: its row is damaged and was set aside with its bytes: {cause}"
            ),
        )
    }

    pub(crate) fn no_resource(type_name: &str) -> Self {
        Self::new(
            Kind::NoResource,
            format!(
                "find resource `{type_name}`: none was given: give one with `Builder::resource`"
            ),
        )
    }

    pub(crate) fn bad_receipt(cause: impl fmt::Display) -> Self {
        Self::new(Kind::BadReceipt, format!("read a receipt: {cause}"))
    }

    pub(crate) fn forged(job: JobNumber) -> Self {
        Self::new(
            Kind::BadReceipt,
            format!(
                "look up job {job}: this store did not sign its receipt, which was made up or changed"
            ),
        )
    }

    pub(crate) fn host(act: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::new(Kind::Host, format!("{act}: {cause}"))
    }

    pub(crate) fn store(act: impl fmt::Display, cause: impl Into<Arc<StoreError>>) -> Self {
        let cause = cause.into();
        let message = format!("{act}: {cause}");
        Self(Box::new(Fault {
            kind: Kind::Store,
            message,
            store: Some(cause),
            parked: None,
            index: None,
        }))
    }

    /// The store cannot be taken over. A row without which it cannot be is told with the way out.
    pub(crate) fn not_started(act: impl fmt::Display, cause: StoreError) -> Self {
        let mut error = Self::store(act, cause);
        if error.as_store().is_some_and(StoreError::is_damaged) {
            let way_out =
                ": put a copy of the store in its place, or set it in order with `repair`";
            error.0.message.push_str(way_out);
        }
        error
    }

    /// The configuration of a manager or a client does not hold together; the message names every fault.
    pub fn is_config(&self) -> bool {
        self.0.kind == Kind::Config
    }

    /// A job, or a call, names a queue that is not declared.
    pub fn is_undeclared_queue(&self) -> bool {
        self.0.kind == Kind::UndeclaredQueue
    }

    /// Which job of a batch was refused, counted from 0, where it was one: none of the others was accepted
    /// either.
    pub fn batch_index(&self) -> Option<usize> {
        self.0.index
    }

    /// A payload, a checkpoint, an idempotency key or a batch is larger than its limit.
    pub fn is_too_large(&self) -> bool {
        self.0.kind == Kind::TooLarge
    }

    /// The inbox has no room now.
    pub fn is_full(&self) -> bool {
        self.0.kind == Kind::Full
    }

    /// The manager has been shut down.
    pub fn is_shut_down(&self) -> bool {
        self.0.kind == Kind::ShutDown
    }

    /// The job that holds the idempotency key with another payload; or the job to be retried whose key
    /// has run out. Of two jobs of one key that were to be accepted together, in a batch or after the same job,
    /// it is the number that the earlier one would have had: neither is there.
    pub fn key_conflict_with(&self) -> Option<JobNumber> {
        match self.0.kind {
            Kind::KeyConflict(job) => Some(job),
            _ => None,
        }
    }

    /// The receipt was given by another server, from another store.
    pub fn is_other_server(&self) -> bool {
        self.0.kind == Kind::OtherServer
    }

    /// The receipt speaks of a store that is no longer this one; or another owner has taken the store
    /// over.
    pub fn is_replaced(&self) -> bool {
        match &self.0.store {
            Some(cause) => cause.is_replaced(),
            None => self.0.kind == Kind::Replaced,
        }
    }

    /// The job was accepted as [`Durability::Buffered`](crate::Durability::Buffered), and the store
    /// does not have it, because its commit was refused or its process ended before it was written.
    pub fn is_lost(&self) -> bool {
        self.0.kind == Kind::Lost
    }

    /// No job with that number was ever accepted.
    pub fn is_never_existed(&self) -> bool {
        self.0.kind == Kind::NeverExisted
    }

    /// The job was accepted once and is no longer kept.
    pub fn is_pruned(&self) -> bool {
        self.0.kind == Kind::Pruned
    }

    /// The job is of another type than the receipt claims.
    pub fn is_other_type(&self) -> bool {
        self.0.kind == Kind::OtherType
    }

    /// The job's state does not allow what was asked; this is its state.
    pub fn illegal_state(&self) -> Option<StateKind> {
        match self.0.kind {
            Kind::IllegalState(state) => Some(state),
            _ => None,
        }
    }

    /// The job, or those of a paused queue, had not ended when patience ran out. They go on.
    pub fn is_timed_out(&self) -> bool {
        self.0.kind == Kind::Impatient
    }

    /// A payload or output could not be encoded or decoded; or a payload was encoded, and does not decode
    /// again.
    pub fn is_codec(&self) -> bool {
        self.0.kind == Kind::Codec
    }

    /// A row of the job's is damaged, or that of its idempotency key.
    pub fn is_damaged(&self) -> bool {
        self.0.kind == Kind::Damaged
    }

    /// A resource was asked for that the builder was not given.
    pub fn is_missing_resource(&self) -> bool {
        self.0.kind == Kind::NoResource
    }

    /// A text is no receipt, or was changed or made up.
    pub fn is_bad_receipt(&self) -> bool {
        self.0.kind == Kind::BadReceipt
    }

    /// The underlying store error, if the store failed.
    pub fn as_store(&self) -> Option<&StoreError> {
        self.0.store.as_deref()
    }

    /// What was asked may or may not have taken effect: the store failed in the middle, and its next
    /// opening tells; or the answer of a host was lost.
    pub fn is_unknown(&self) -> bool {
        match &self.0.store {
            Some(cause) => cause.is_unknown(),
            None => self.0.kind == Kind::Remote(Remote::Unanswered),
        }
    }
}

impl fmt::Debug for Error {
    /// Short, because a `main` that returns it prints this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0
            .store
            .as_deref()
            .map(|cause| cause as &(dyn error::Error + 'static))
    }
}
