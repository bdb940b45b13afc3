//! What the committer is asked, and how it answers.

use std::fmt;

use jobkeep_store::{JobNumber, Token};

use crate::Error;
use crate::core::{Counts, EncodedJob, KeyClaim, Settlement};
use crate::finished::Status;
use crate::sync::{Arc, Mutex};

/// What the committer is asked.
#[derive(Debug)]
pub(crate) enum Command {
    Accept {
        jobs: Vec<(EncodedJob, Option<KeyClaim>)>,
        reply: Reply<Vec<JobNumber>>,
    },
    Settle(Box<Settlement>),
    /// The store could not give the job to its worker.
    Unreadable {
        number: JobNumber,
        token: Token,
        reason: String,
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
    Remove {
        number: JobNumber,
        reply: Reply<()>,
    },
    Count {
        reply: Reply<Counts>,
    },
}

impl Command {
    /// How much room it takes: its jobs.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Accept { jobs, .. } => jobs.len().max(1),
            _ => 1,
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
pub(crate) struct Reply<T>(Arc<Mutex<Option<Result<T, Error>>>>);

impl<T> Reply<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    pub(crate) fn give(&self, answer: Result<T, Error>) {
        *self.0.lock() = Some(answer);
    }

    pub(super) fn take(&self) -> Option<Result<T, Error>> {
        self.0.lock().take()
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

impl<T: fmt::Debug + Send> Promise for Mutex<Option<Result<T, Error>>> {
    fn take_back(&self) {
        *self.lock() = None;
    }
}

impl<T> Clone for Reply<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
