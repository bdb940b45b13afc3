//! What the committer is asked, and how it answers.

use std::fmt;

use jobkeep_store::{JobNumber, QueueName, StoreError, Token};

use super::pause::Rest;
use super::pool::Overdue;
use crate::Error;
use crate::core::{Amendment, Counts, EncodedJob, KeyClaim, Seen, Settlement, Stand};
use crate::finished::Status;
use crate::sync::{Arc, Mutex};

/// What the committer is asked.
#[derive(Debug)]
pub(crate) enum Command {
    Accept {
        jobs: Vec<(EncodedJob, Option<KeyClaim>)>,
        /// The number of the first of them. The inbox gives it.
        first: JobNumber,
        /// How many they were when they came in.
        count: u64,
        /// Their caller has been told already that they are accepted.
        buffered: bool,
        reply: Reply<Vec<JobNumber>>,
    },
    Settle(Box<Settlement>),
    /// The store could not give the job to its worker.
    Unreadable {
        number: JobNumber,
        token: Token,
        reason: String,
    },
    /// The store was closed when the job was to begin, because it could not be opened anew yet: the job
    /// goes back, with nothing spent.
    NotBegun {
        number: JobNumber,
        token: Token,
    },
    /// A job runs beyond its time-out.
    TimeOut(Overdue),
    /// The thread of a job that was given up has returned.
    Returned {
        job: JobNumber,
    },
    /// The value of a job that runs.
    Checkpoint {
        number: JobNumber,
        token: Token,
        job: Box<EncodedJob>,
        reply: Reply<()>,
    },
    Look {
        number: JobNumber,
        reply: Reply<Status>,
    },
    Cancel {
        number: JobNumber,
        reply: Reply<()>,
    },
    Retry {
        number: JobNumber,
        reply: Reply<()>,
    },
    Amend {
        number: JobNumber,
        amendment: Box<Amendment>,
        reply: Reply<()>,
    },
    Remove {
        number: JobNumber,
        reply: Reply<()>,
    },
    /// With whoever waits until none of the queue's jobs runs any more.
    Pause {
        queue: QueueName,
        rest: Option<Arc<Rest>>,
        reply: Reply<()>,
    },
    Resume {
        queue: QueueName,
        reply: Reply<()>,
    },
    Paused {
        reply: Reply<Vec<String>>,
    },
    /// Where jobs stand whose rows say this.
    Stand {
        seen: Vec<Seen>,
        reply: Reply<Vec<Stand>>,
    },
    /// Which jobs from this number on run, so many at most.
    Running {
        from: JobNumber,
        limit: usize,
        reply: Reply<Vec<JobNumber>>,
    },
    Count {
        reply: Reply<Counts>,
    },
}

impl Command {
    pub(crate) fn accept(
        jobs: Vec<(EncodedJob, Option<KeyClaim>)>,
        reply: Reply<Vec<JobNumber>>,
    ) -> Self {
        Self::Accept {
            jobs,
            first: JobNumber(0),
            count: 0,
            buffered: false,
            reply,
        }
    }

    /// Accepts jobs whose caller does not wait for it.
    pub(super) fn accept_buffered(jobs: Vec<(EncodedJob, Option<KeyClaim>)>) -> Self {
        Self::Accept {
            jobs,
            first: JobNumber(0),
            count: 0,
            buffered: true,
            reply: Reply::new(),
        }
    }

    /// Its caller waits to hear whether the jobs are accepted.
    pub(super) fn accepts_for_a_caller(&self) -> bool {
        matches!(
            self,
            Self::Accept {
                buffered: false,
                ..
            }
        )
    }

    /// Its caller has been told already that its jobs are accepted.
    pub(super) fn is_buffered(&self) -> bool {
        matches!(self, Self::Accept { buffered: true, .. })
    }

    /// Numbers the jobs that it brings from `next` on, and counts `next` on.
    pub(super) fn number(&mut self, next: &mut JobNumber) {
        match self {
            Self::Accept {
                jobs, first, count, ..
            } => {
                *first = *next;
                *count = jobs.len() as u64;
                next.0 += *count;
            }
            Self::Settle(settlement) => {
                if let Some(follow_ups) = &mut settlement.follow_ups {
                    follow_ups.first = *next;
                    next.0 += follow_ups.jobs.len() as u64;
                }
            }
            _ => {}
        }
    }

    /// How much room it takes: its jobs.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Accept { jobs, .. } => jobs.len().max(1),
            Self::Settle(settlement) => {
                let follow_ups = settlement.follow_ups.as_ref();
                1 + follow_ups.map_or(0, |follow_ups| follow_ups.jobs.len())
            }
            _ => 1,
        }
    }

    /// Somebody waits for it whose call can be refused; a worker's word is kept until it is written.
    pub(super) fn is_refusable(&self) -> bool {
        !self.is_said_by_workers()
    }

    /// It is kept until it is written, and taken while the manager shuts down.
    pub(super) fn is_said_by_workers(&self) -> bool {
        matches!(
            self,
            Self::Settle(_)
                | Self::Unreadable { .. }
                | Self::NotBegun { .. }
                | Self::TimeOut(_)
                | Self::Returned { .. }
        )
    }

    /// The job whose end it brings.
    pub(super) fn settles(&self) -> Option<JobNumber> {
        match self {
            Self::Settle(settlement) => Some(settlement.number),
            _ => None,
        }
    }

    /// It needs no write.
    pub(super) fn only_looks(&self) -> bool {
        matches!(
            self,
            Self::Look { .. }
                | Self::Paused { .. }
                | Self::Stand { .. }
                | Self::Running { .. }
                | Self::Count { .. }
        )
    }

    /// Tells its caller that the store does not take it.
    pub(super) fn refuse(&self, cause: &Arc<StoreError>) {
        match self {
            Self::Accept { reply, .. } | Self::Running { reply, .. } => reply.refuse(cause),
            Self::Look { reply, .. } => reply.refuse(cause),
            Self::Checkpoint { reply, .. }
            | Self::Cancel { reply, .. }
            | Self::Retry { reply, .. }
            | Self::Amend { reply, .. }
            | Self::Remove { reply, .. }
            | Self::Pause { reply, .. }
            | Self::Resume { reply, .. } => reply.refuse(cause),
            Self::Paused { reply } => reply.refuse(cause),
            Self::Stand { reply, .. } => reply.refuse(cause),
            Self::Count { reply } => reply.refuse(cause),
            Self::Settle(_)
            | Self::Unreadable { .. }
            | Self::NotBegun { .. }
            | Self::TimeOut(_)
            | Self::Returned { .. } => {}
        }
    }
}

/// Where the committer leaves an answer before it rings the group's bell.
///
/// 1. The caller leaves its command with a slot, and waits for the bell.
/// 2. The committer leaves the answer in the slot, and then commits. A caller cannot see it yet.
/// 3. Where the commit failed, the committer first says so in the inbox, and then takes the answers
///    of the group back.
/// 4. The bell rings, and each caller looks into its slot. One that finds nothing asks the inbox why.
#[derive(Debug)]
pub(crate) struct Reply<T>(Arc<Mutex<Option<Answer<T>>>>);

/// What the committer says to a caller.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    Given(Result<T, Error>),
    /// The store did not take it. The caller knows what it had tried.
    Refused(Arc<StoreError>),
}

impl<T> Reply<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    pub(crate) fn give(&self, answer: Result<T, Error>) {
        *self.0.lock() = Some(Answer::Given(answer));
    }

    fn refuse(&self, cause: &Arc<StoreError>) {
        *self.0.lock() = Some(Answer::Refused(Arc::clone(cause)));
    }

    /// The answer, if there is one; `act` names the call in errors.
    pub(super) fn take(&self, act: &dyn fmt::Display) -> Option<Result<T, Error>> {
        Some(match self.0.lock().take()? {
            Answer::Given(answer) => answer,
            Answer::Refused(cause) => Err(Error::store(act, cause)),
        })
    }
}

impl<T: fmt::Debug + Send + 'static> Reply<T> {
    /// The answer as something that can be taken back.
    pub(crate) fn promise(self) -> Arc<dyn Promise> {
        self.0
    }
}

/// An answer whose caller has not been woken yet.
pub(crate) trait Promise: fmt::Debug + Send + Sync {
    /// Takes the answer back: its caller learns why nobody answers.
    fn take_back(&self);
}

impl<T: fmt::Debug + Send> Promise for Mutex<Option<Answer<T>>> {
    fn take_back(&self) {
        *self.lock() = None;
    }
}

impl<T> Clone for Reply<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
