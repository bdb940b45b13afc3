use std::fmt;
use std::time::Duration;

use jobkeep_store::{JobNumber, StoreError, Timestamp};

use crate::clock::{Now, Steady};
use crate::sync::{Arc, Mutex};

/// A store that has not answered for so long counts as one that does not answer.
pub(super) const STALLED: Duration = Duration::from_secs(5);

/// Whether the manager's store takes what is written to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It does.
    #[default]
    Working,
    /// It refuses: the disk is full, an I/O error came up, or it cannot be opened again for the moment. Running jobs go on, and their ends are
    /// kept in RAM; no job is claimed, so that only those start that a pool has already, and new ones are
    /// refused. The manager tries the store again
    /// after 1 s, then after twice as long each time, up to 30 s, and goes on by itself.
    Refusing {
        /// Since when, by the wall clock.
        since: Timestamp,
        /// What was tried and why it failed.
        cause: String,
    },
    /// It has not answered for more than 5 seconds: the disk stands still, as during a snapshot or where a
    /// network mount is gone. Running jobs go on; whoever waits for a commit waits on, and no other job
    /// starts. It is over as soon as the store answers.
    Stalled {
        /// Since when, by the wall clock.
        since: Timestamp,
    },
    /// A sync failed, another owner has the store, its file was moved away or overwritten, or it is damaged
    /// where it is opened again: this manager writes nothing any more. Shut it down, see to the cause, and start a new one.
    Poisoned {
        /// Since when, by the wall clock.
        since: Timestamp,
        /// What was tried and why it failed.
        cause: String,
    },
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Working => f.write_str("working"),
            Self::Refusing { since, cause } => write!(f, "refusing since {since}: {cause}"),
            Self::Stalled { since } => {
                write!(f, "stalled since {since}: the store does not answer")
            }
            Self::Poisoned { since, cause } => write!(f, "poisoned since {since}: {cause}"),
        }
    }
}

/// The committer's word on its store, for whoever asks.
#[derive(Debug, Default)]
pub(crate) struct HealthBoard {
    health: Mutex<Health>,
    call: Mutex<Option<Call>>,
}

/// The committer waits for the store.
#[derive(Debug)]
struct Call {
    since: Now,
    /// Jobs whose ends are to be written.
    settled: Vec<JobNumber>,
    /// Jobs whose ends the store has not taken before, or is not asked to take yet.
    unrecorded: Vec<JobNumber>,
}

impl HealthBoard {
    pub(crate) fn show(&self, now: Now) -> Health {
        let health = self.health.lock().clone();
        match (health, self.stalled(now)) {
            (Health::Working | Health::Refusing { .. }, Some(since)) => Health::Stalled { since },
            (health, _) => health,
        }
    }

    /// The committer is about to wait for the store, which is to write the ends of the `settled` jobs. Those
    /// of the `unrecorded` ones are not in it either.
    pub(super) fn call(&self, since: Now, settled: Vec<JobNumber>, unrecorded: Vec<JobNumber>) {
        *self.call.lock() = Some(Call {
            since,
            settled,
            unrecorded,
        });
    }

    /// The store has answered: gives those jobs back.
    pub(super) fn answered(&self) -> Vec<JobNumber> {
        let call = self.call.lock().take();
        call.map(|call| call.settled).unwrap_or_default()
    }

    /// Since when the store has not answered, where that is too long.
    pub(super) fn stalled(&self, now: Now) -> Option<Timestamp> {
        let call = self.call.lock();
        let since = call.as_ref().map(|call| call.since)?;
        (since.steady.after(STALLED) <= now.steady).then_some(since.wall)
    }

    /// Until when the store may leave the committer without an answer.
    pub(super) fn patience(&self, now: Now) -> Steady {
        let call = self.call.lock();
        let since = call.as_ref().map_or(now, |call| call.since);
        since.steady.after(STALLED)
    }

    /// The jobs that have ended and whose ends are not in the store, while the committer waits for it.
    pub(super) fn unwritten(&self) -> Vec<JobNumber> {
        let call = self.call.lock();
        call.as_ref()
            .map(|call| [&*call.settled, &*call.unrecorded].concat())
            .unwrap_or_default()
    }

    pub(super) fn refuse(&self, cause: &Arc<StoreError>, now: Timestamp) {
        let mut health = self.health.lock();
        let since = match *health {
            Health::Refusing { since, .. } => since,
            _ => now,
        };
        *health = Health::Refusing {
            since,
            cause: cause.to_string(),
        };
    }

    pub(super) fn poison(&self, cause: &Arc<StoreError>, now: Timestamp) {
        *self.health.lock() = Health::Poisoned {
            since: now,
            cause: cause.to_string(),
        };
    }

    pub(super) fn recover(&self) {
        *self.health.lock() = Health::Working;
    }
}
