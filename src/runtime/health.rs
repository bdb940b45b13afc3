use std::fmt;

use jobkeep_store::{StoreError, Timestamp};

use crate::sync::{Arc, Mutex};

/// Whether the manager's store takes what is written to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It does.
    #[default]
    Working,
    /// It refuses: the disk is full, or an I/O error came up. Running jobs go on, and their ends are
    /// kept in RAM; no job is claimed, so that only those start that a pool has already, and new ones are
    /// refused. The manager tries the store again
    /// after 1 s, then after twice as long each time, up to 30 s, and goes on by itself.
    Refusing {
        /// Since when, by the wall clock.
        since: Timestamp,
        /// What was tried and why it failed.
        cause: String,
    },
    /// A sync failed, another owner has the store, or it could not be opened again: this manager
    /// writes nothing any more. Shut it down, see to the cause, and start a new one.
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
            Self::Poisoned { since, cause } => write!(f, "poisoned since {since}: {cause}"),
        }
    }
}

/// The committer's word on its store, for whoever asks.
#[derive(Debug, Default)]
pub(crate) struct HealthBoard(Mutex<Health>);

impl HealthBoard {
    pub(crate) fn show(&self) -> Health {
        self.0.lock().clone()
    }

    pub(super) fn refuse(&self, cause: &Arc<StoreError>, now: Timestamp) {
        let mut health = self.0.lock();
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
        *self.0.lock() = Health::Poisoned {
            since: now,
            cause: cause.to_string(),
        };
    }

    pub(super) fn recover(&self) {
        *self.0.lock() = Health::Working;
    }
}
