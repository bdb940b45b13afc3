use std::fmt;

use jobkeep_store::{JobNumber, Key, Space, StateKind};

/// Something wrong in a store. Its text says what, of which job or row, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finding {
    /// The engine's own check failed: its message.
    Engine(String),
    /// A row does not check out, or is not the record that its place asks for.
    Row {
        /// The kind of row, as the store's documentation names it.
        space: &'static str,
        /// Its number: for a job's row, that of the job.
        number: u64,
        /// The job, where the row is a part of one.
        job: Option<JobNumber>,
        /// What is wrong.
        reason: String,
    },
    /// A row that this version of jobkeep does not write.
    Unknown {
        /// The kind of row.
        space: &'static str,
        /// Its number.
        number: u64,
    },
    /// The secret that signs receipts is missing: those given before will be refused.
    SecretMissing,
    /// The counts of finished jobs are missing.
    CountsMissing,
    /// A count is wrong.
    Count {
        /// What is counted.
        what: &'static str,
        /// The count in the store.
        stored: u64,
        /// What there is.
        there: u64,
    },
    /// A number in use was not given yet, and would be given again.
    NumberNotGiven {
        /// The highest one.
        job: JobNumber,
        /// The number that would be given next.
        next: u64,
    },
    /// A job is among the finished and among the others.
    Twice(JobNumber),
    /// A job's state does not belong where its row is.
    Misplaced {
        /// The job.
        job: JobNumber,
        /// Its state.
        state: StateKind,
        /// The row is among the finished jobs.
        among_finished: bool,
    },
    /// The row of a job's payload or output is missing.
    PartMissing {
        /// The job.
        job: JobNumber,
        /// Which.
        part: Part,
    },
    /// A payload or output has another length than its job says.
    PartLength {
        /// The job.
        job: JobNumber,
        /// Which.
        part: Part,
        /// Its length in bytes.
        bytes: u64,
        /// The length that the job says.
        said: u32,
    },
    /// A payload or output belongs to no job.
    PartOrphaned {
        /// The job that it would be of.
        job: JobNumber,
        /// Which.
        part: Part,
    },
    /// A job that is not there is listed as running.
    InFlightMissing(JobNumber),
    /// What is listed as running is not of the last opening.
    InFlightStale,
    /// An idempotency key is held by a job that is not there, and nothing lets it go.
    KeyOrphaned {
        /// The job type.
        name: String,
        /// The key.
        key: String,
        /// The job that holds it.
        job: JobNumber,
    },
    /// A job has an idempotency key and does not hold it.
    KeyMissing {
        /// The job.
        job: JobNumber,
        /// The key.
        key: String,
    },
    /// Nothing lets the key of a finished job go.
    KeyForEver {
        /// The job.
        job: JobNumber,
        /// The key.
        key: String,
    },
    /// Retention does not know of a finished job.
    NeverPruned(JobNumber),
    /// Retention would prune a job that has not finished, or is not there.
    PrunedUnfinished(JobNumber),
    /// Retention would pass over the next end of a job.
    Skipped {
        /// The job.
        job: JobNumber,
        /// An end in success; else any other.
        success: bool,
    },
    /// An opening stands where it cannot.
    Opening {
        /// The first number that it could give.
        first: u64,
        /// Why it cannot.
        reason: &'static str,
    },
    /// The paused queues are not in order.
    PausedOrder,
}

/// What a job keeps in a row of its own where it is large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The job's value.
    Payload,
    /// What it returned.
    Output,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Payload => "payload",
            Self::Output => "output",
        })
    }
}

impl Finding {
    pub(super) fn row(key: Key, reason: impl fmt::Display) -> Self {
        let of_job = matches!(
            key.space,
            Space::Live | Space::Done | Space::Bodies | Space::Outputs
        );
        Self::Row {
            space: key.space.name(),
            number: key.number,
            job: of_job.then_some(JobNumber(key.number)),
            reason: reason.to_string(),
        }
    }
}

const REPAIR: &str = "`repair` puts it in order";

impl fmt::Display for Finding {
    #[expect(
        clippy::too_many_lines,
        reason = "one text for each finding, and nothing else"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(message) => write!(
                f,
                "the engine complains: {message}: put a copy of the store in its place, or move its \
                 jobs to a new one"
            ),
            Self::Row {
                space,
                number,
                job,
                reason,
            } => row(f, space, *number, *job, reason),
            Self::Unknown { space, number } => write!(
                f,
                "row {space} {number} is none that this jobkeep knows: open the store with the newest \
                 one that wrote to it"
            ),
            Self::CountsMissing => {
                write!(f, "the counts of finished jobs are missing: {REPAIR}")
            }
            Self::Count {
                what,
                stored,
                there,
            } => write!(
                f,
                "{stored} {what} are counted, and there are {there}: {REPAIR}"
            ),
            Self::NumberNotGiven { job, next } => write!(
                f,
                "number {job} is in use, and number {next} would be given next: {REPAIR}"
            ),
            Self::Twice(job) => write!(
                f,
                "job {job} is among the finished and among the others: remove it, and enqueue it anew \
                 where it is still wanted"
            ),
            Self::Misplaced {
                job,
                state,
                among_finished,
            } => {
                let among = if *among_finished {
                    "the finished"
                } else {
                    "those not finished"
                };
                write!(
                    f,
                    "job {job} is {state} and among {among}: remove it, and enqueue it anew where it is \
                     still wanted"
                )
            }
            Self::PartMissing { job, part } => write!(
                f,
                "the {part} of job {job} is missing: restore the store from a copy, or remove the job"
            ),
            Self::PartLength {
                job,
                part,
                bytes,
                said,
            } => write!(
                f,
                "the {part} of job {job} has {bytes} bytes, and {said} are expected: restore the store \
                 from a copy, or remove the job"
            ),
            Self::PartOrphaned { job, part } => {
                write!(
                    f,
                    "there is the {part} of a job {job} that has none: {REPAIR}"
                )
            }
            Self::InFlightMissing(job) => write!(
                f,
                "job {job} is listed as running and is not there: {REPAIR}"
            ),
            Self::InFlightStale => f.write_str(
                "what is listed as running is not of the last opening: the next start settles it",
            ),
            Self::KeyOrphaned { name, key, job } => write!(
                f,
                "key `{key}` of job type `{name}` is held by job {job}, which is not there: {REPAIR}"
            ),
            Self::KeyMissing { job, key } => write!(
                f,
                "job {job} does not hold its key `{key}`: another job may be accepted with it until \
                 this one has ended"
            ),
            Self::KeyForEver { job, key } => write!(
                f,
                "job {job} has ended and holds its key `{key}` for ever: {REPAIR}"
            ),
            Self::NeverPruned(job) => write!(
                f,
                "job {job} has finished and is not listed to be pruned: {REPAIR}"
            ),
            Self::PrunedUnfinished(job) => write!(
                f,
                "job {job} is listed to be pruned and has not finished, or is not there: {REPAIR}"
            ),
            Self::Skipped { job, success } => {
                let end = if *success { "success" } else { "failure" };
                write!(
                    f,
                    "the next {end} of job {job} would never be pruned: {REPAIR}"
                )
            }
            Self::Opening { first, reason } => write!(
                f,
                "the opening from number {first} on {reason}: receipts of it may be refused as of a \
                 replaced store"
            ),
            Self::SecretMissing => f.write_str(
                "what receipts are signed with is missing: the next start draws another, and refuses \
                 the receipts given before",
            ),
            Self::PausedOrder => write!(f, "the paused queues are not in order: {REPAIR}"),
        }
    }
}

fn row(
    f: &mut fmt::Formatter<'_>,
    space: &str,
    number: u64,
    job: Option<JobNumber>,
    reason: &str,
) -> fmt::Result {
    let of_job = |f: &mut fmt::Formatter<'_>, job: JobNumber, what: &str| {
        write!(
            f,
            "{what} of job {job} (row {space} {number}) is damaged: {reason}: "
        )
    };
    match (job, space) {
        (Some(job), "bodies") => {
            of_job(f, job, "the payload")?;
            f.write_str("restore the store from a copy, or remove the job and enqueue it anew")
        }
        (Some(job), "outputs") => {
            of_job(f, job, "the output")?;
            f.write_str("restore the store from a copy, or run the job again")
        }
        (Some(job), _) => {
            of_job(f, job, "the record")?;
            f.write_str("restore the store from a copy, or `repair` sets it aside: enqueue it anew")
        }
        (None, "unique") => write!(
            f,
            "row {space} {number}, of an idempotency key, is damaged: {reason}: enqueue with another \
             key, or `repair` sets it aside where no job needs it"
        ),
        (None, "damaged") => write!(
            f,
            "row {space} {number}, which was set aside, is damaged itself: {reason}: nothing needs it"
        ),
        (None, _) => write!(
            f,
            "row {space} {number} is damaged: {reason}: restore the store from a copy, or `repair` \
             sets it aside"
        ),
    }
}
