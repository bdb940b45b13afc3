//! Threads of this process that still run a job whose attempt is over: because its time-out is, or its
//! manager has ended. The job is not started again before its thread has returned, by whichever
//! manager.
//!
//! 1. The pool gives a job up under its lock, and the thread is entered here.
//! 2. The thread returns: the pool says that it had been given up, and it is struck out here.
//! 3. Every manager that watches the store is told by a command, and may start the job.
//!
//! A manager watches before it looks who is entered, so that it misses no return.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jobkeep_store::{JobNumber, QueueName, StoreId, Timestamp};

use super::command::Command;
use super::inbox::{Haste, Inbox};
use super::shared::Shared;
use crate::sync::{Arc, Weak};

/// One a process. The mutex is std's, because the state outlives every run of a model; nobody waits
/// while holding it.
static LIVING: Mutex<Living> = Mutex::new(Living {
    threads: BTreeMap::new(),
    watchers: None,
});

struct Living {
    /// By store and job.
    threads: BTreeMap<(u128, JobNumber), Stuck>,
    watchers: Option<HashMap<StoreId, Vec<Weak<Inbox>>>>,
}

/// A thread that still runs a job whose attempt is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stuck {
    /// The job.
    pub job: JobNumber,
    /// The queue whose pool the thread belongs to.
    pub queue: String,
    /// The name of the thread.
    pub thread: String,
    /// When the attempt was given up, by the wall clock.
    pub since: Timestamp,
}

fn living() -> MutexGuard<'static, Living> {
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Enters a thread whose job is given up.
    pub(super) fn enter_stuck(
        &self,
        queue: &QueueName,
        job: JobNumber,
        thread: &str,
        now: Timestamp,
    ) {
        enter((self.origin.store, job), queue.as_str(), thread, now);
    }

    /// The thread of a job that was given up has returned.
    pub(super) fn has_returned(&self, job: JobNumber) {
        returned((self.origin.store, job));
    }

    /// The stuck threads of this store in this process.
    pub(crate) fn stuck(&self) -> Vec<Stuck> {
        stuck_in(self.origin.store)
    }
}

/// Enters a thread whose job, of whichever store, is given up.
pub(super) fn enter(
    (store, job): (StoreId, JobNumber),
    queue: &str,
    thread: &str,
    since: Timestamp,
) {
    let stuck = Stuck {
        job,
        queue: queue.into(),
        thread: thread.into(),
        since,
    };
    living().threads.insert((store.0, job), stuck);
}

/// The thread of a job, of whichever store, has returned.
pub(super) fn returned((store, job): (StoreId, JobNumber)) {
    let watchers = {
        let mut living = living();
        living.threads.remove(&(store.0, job));
        let of_store = living.watchers.as_ref();
        let of_store = of_store.and_then(|all| all.get(&store));
        of_store.cloned().unwrap_or_default()
    };
    for inbox in watchers.iter().filter_map(Weak::upgrade) {
        // One that has ended does not start the job either.
        drop(inbox.report(Command::Returned { job }, Haste::Now));
    }
}

/// A thread still runs this job, whose attempt is over.
pub(super) fn has((store, job): (StoreId, JobNumber)) -> bool {
    living().threads.contains_key(&(store.0, job))
}

/// The stuck threads of a store in this process, by the numbers of their jobs.
pub(super) fn stuck_in(store: StoreId) -> Vec<Stuck> {
    let living = living();
    let (first, last) = (JobNumber(0), JobNumber(u64::MAX));
    let of_store = living.threads.range((store.0, first)..=(store.0, last));
    of_store.map(|(_, stuck)| stuck.clone()).collect()
}

/// The process died, for a simulation: none of its threads is left.
#[cfg(feature = "testing")]
pub(super) fn forget(store: StoreId) {
    living().threads.retain(|(of, _), _| *of != store.0);
}

/// Has an inbox told of returns.
pub(super) fn watch(store: StoreId, inbox: &Arc<Inbox>) {
    let mut living = living();
    let all = living.watchers.get_or_insert_default();
    all.retain(|_, watchers| {
        watchers.retain(|watcher| watcher.strong_count() > 0);
        !watchers.is_empty()
    });
    all.entry(store).or_default().push(Arc::downgrade(inbox));
}
