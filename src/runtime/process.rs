//! A process that was forked has its parent's managers, and none of their threads.

// No protocol: a model need not take it.
#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicBool, Ordering};

use super::shared::Shared;
use crate::Error;

/// The process in which the threads are that one talks to.
#[derive(Debug)]
pub(crate) struct OwnProcess {
    id: u32,
    /// A test has this process taken for a forked one.
    #[cfg(feature = "testing")]
    pretends: AtomicBool,
}

impl OwnProcess {
    pub(super) fn new() -> Self {
        Self {
            id: std::process::id(),
            #[cfg(feature = "testing")]
            pretends: AtomicBool::new(false),
        }
    }

    /// This is another process: whoever asked the threads would wait for ever.
    pub(crate) fn is_forked(&self) -> bool {
        #[cfg(feature = "testing")]
        if self.pretends.load(Ordering::Relaxed) {
            return true;
        }
        self.id != std::process::id()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn pretend_fork(&self, forked: bool) {
        self.pretends.store(forked, Ordering::Relaxed);
    }
}

impl Shared {
    pub(crate) fn is_forked(&self) -> bool {
        self.inbox.process.is_forked()
    }

    /// Refuses what only the process can do that has the threads. `act` names the call in errors.
    pub(crate) fn check_process(&self, act: impl std::fmt::Display) -> Result<(), Error> {
        self.inbox.check_process(&act)
    }

    /// Has this process taken for a forked one, or not.
    #[cfg(feature = "testing")]
    pub(crate) fn pretend_fork(&self, forked: bool) {
        self.inbox.process.pretend_fork(forked);
    }
}
