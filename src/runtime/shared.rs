//! What callers, workers and the committer have in common.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::thread::JoinHandle;

use jobkeep_store::{
    Damaged, JobNumber, JobRecord, Kept, Key, OpeningTag, QueueStore, RowError, Secret, Space,
    StoreError, Timestamp, open_row,
};

use super::executors::{Executors, keep};
use super::health::HealthBoard;
use super::inbox::Inbox;
use super::living;
use super::lost::Lost;
use super::observe::Observers;
use super::parked::ParkedBoard;
use super::pool::Pool;
use super::rings::Rings;
use super::signal::{Signal, Woken};
use super::waiters::Waiters;
use crate::clock::{Clock, Now, Steady, Wake};
use crate::config::Config;
use crate::context::Resources;
use crate::core::{Found, Origins};
use crate::receipt::Origin;
use crate::registry::Registry;
use crate::sync::{Arc, Mutex};

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) location: String,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) registry: Registry,
    pub(crate) resources: Resources,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) pools: Vec<Arc<Pool>>,
    pub(crate) executors: Arc<Executors>,
    pub(crate) waiters: Waiters,
    pub(super) rings: Rings,
    pub(crate) parked: ParkedBoard,
    pub(crate) health: HealthBoard,
    pub(crate) lost: Lost,
    /// Of the receipts of this opening.
    pub(crate) origin: Arc<Origin>,
    /// The same, for jobs accepted as buffered.
    pub(crate) buffered: Arc<Origin>,
    /// What the store signs with.
    pub(crate) secret: Secret,
    /// All openings of the store, by the first number that each could give.
    pub(crate) openings: Vec<(JobNumber, OpeningTag)>,
    /// Jobs accepted or run again now stand behind those that waited before, though the clock was set
    /// back.
    pub(crate) order_floor: Timestamp,
    pub(crate) positions: HashMap<String, u16>,
    pub(crate) ending: Arc<Ending>,
    pub(crate) observers: Observers,
}

impl Shared {
    /// Where a job's queue and name stand here; `None` where its queue is not declared.
    pub(crate) fn origins(&self, queue: &str, name: &str) -> Option<Origins> {
        let &queue = self.positions.get(queue)?;
        Some(Origins {
            queue,
            known: self.config.runs(queue, &self.registry, name),
        })
    }

    /// The place in line of a job accepted or run again at this moment.
    pub(crate) fn order(&self, now: Now) -> Timestamp {
        self.order_floor.max(now.steady.kept())
    }

    /// The opening that gave this number.
    pub(crate) fn opening_of(&self, number: JobNumber) -> Option<OpeningTag> {
        let after = self.openings.partition_point(|(first, _)| *first <= number);
        self.openings
            .get(after.checked_sub(1)?)
            .map(|(_, tag)| *tag)
    }

    /// The job as the store has it.
    pub(crate) fn find(&self, number: JobNumber) -> Result<Found, FindError> {
        // A job that finishes in between is found in *done* at the second look.
        for key in [Key::done(number), Key::live(number), Key::done(number)] {
            if let Some(record) = self.record(key)? {
                let done = record.finished.is_some();
                return Ok(if done {
                    Found::Done(record)
                } else {
                    Found::Live(record)
                });
            }
        }
        match self.store.get(&Key::new(Space::Damaged, number.0))? {
            Some(row) => {
                let key = Key::new(Space::Damaged, number.0);
                let damaged: Damaged = open_row(key, &row).map_err(FindError::Row)?;
                Err(FindError::SetAside(damaged.reason))
            }
            None => Ok(Found::Nowhere),
        }
    }

    pub(crate) fn record(&self, key: Key) -> Result<Option<Box<JobRecord>>, FindError> {
        let Some(row) = self.store.get(&key)? else {
            return Ok(None);
        };
        open_row(key, &row).map(Some).map_err(FindError::Row)
    }

    /// The bytes that a record keeps, wherever they stand.
    pub(crate) fn kept(&self, kept: &Kept, apart: Key) -> Result<Vec<u8>, FindError> {
        match kept {
            Kept::Inline(bytes) => Ok(bytes.clone()),
            Kept::Apart(_) => {
                let Some(row) = self.store.get(&apart)? else {
                    return Err(FindError::Missing(apart));
                };
                let bytes: serde_bytes::ByteBuf = open_row(apart, &row).map_err(FindError::Row)?;
                Ok(bytes.into_vec())
            }
        }
    }

    /// Hands each row of a space to `each`, in the order of keys.
    pub(crate) fn each_row(
        store: &dyn QueueStore,
        space: Space,
        from: u64,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        store.scan(&Key::new(space, from), &Key::new(space, u64::MAX), each)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Why a job could not be read.
#[derive(Debug)]
pub(crate) enum FindError {
    Store(StoreError),
    Row(RowError),
    SetAside(String),
    Missing(Key),
}

impl From<StoreError> for FindError {
    fn from(cause: StoreError) -> Self {
        Self::Store(cause)
    }
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(cause) => cause.fmt(f),
            Self::Row(cause) => cause.fmt(f),
            Self::SetAside(reason) => f.write_str(reason),
            Self::Missing(key) => write!(f, "row {key} is missing"),
        }
    }
}

/// How a manager ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Attempts that ended, and were recorded, after the shutdown had begun.
    pub finished: u64,
    /// Jobs that had been handed to a pool and were put back untouched, no attempt spent.
    pub handed_back: u64,
    /// Jobs whose threads had not returned. The next opening finds them interrupted, unless they
    /// still end in this process, which then nobody records.
    pub still_running: Vec<StillRunning>,
    /// Jobs that ran to an end that could not be recorded. The next opening finds them interrupted.
    pub unrecorded: Vec<JobNumber>,
    /// Since when the store has not answered, where it does not. Then what is reported is what is known
    /// without it: the ends of [unrecorded](Self::unrecorded) jobs are in the store if it still writes them.
    /// It is closed, and free for another owner, once it answers.
    pub stalled: Option<Timestamp>,
}

/// A job whose thread had not returned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StillRunning {
    /// The job.
    pub job: JobNumber,
    /// The name of its thread.
    pub thread: String,
}

/// The end of the committer: what it leaves, and who waits for it.
///
/// 1. Who shuts down halts the pools, has the inbox let in workers only, and waits for the committer's
///    last word, for as long as the grace lasts. Any number may, at any time.
/// 2. The committer puts back what no worker has taken, and goes on until the last worker has ended and
///    its word is written.
/// 3. Where the grace ends first, the inbox is closed, and the committer ends at its next look.
/// 4. The committer drops what came in meanwhile, sends those away who wait for a job, closes the
///    store, and then leaves its last word and wakes all who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    state: Mutex<EndState>,
    over: Signal,
}

#[derive(Debug, Default)]
struct EndState {
    report: Option<Shutdown>,
    /// Somebody has read it.
    read: bool,
    committer: Option<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
}

impl Ending {
    pub(crate) fn keep_threads(&self, committer: JoinHandle<()>, workers: Vec<JoinHandle<()>>) {
        let mut state = self.state.lock();
        state.committer = Some(committer);
        state.workers = workers;
    }

    pub(super) fn keep_thread(&self, worker: JoinHandle<()>) {
        keep(&mut self.state.lock().workers, worker);
    }

    /// The committer's last word. What ends after it belongs to nobody's report.
    pub(crate) fn announce(&self, report: Shutdown) {
        let mut state = self.state.lock();
        state.report = Some(report);
        self.over.wake_all();
    }

    /// Waits for the committer's last word until that moment.
    pub(crate) fn wait(&self, clock: &Clock, until: Option<Steady>) -> Option<Shutdown> {
        let mut state = self.state.lock();
        loop {
            if let Some(report) = &state.report {
                return Some(report.clone());
            }
            if self.over.wait(&mut state, clock, until) == Woken::Due {
                return state.report.clone();
            }
        }
    }

    /// The committer's last word, for whoever shuts down. Where it is `old`, the first to read it hears of no
    /// thread that has returned since. `is_left` says whether that of a job has not.
    fn read(&self, old: bool, is_left: impl Fn(JobNumber) -> bool) -> Shutdown {
        let mut state = self.state.lock();
        let is_first = !std::mem::replace(&mut state.read, true);
        let Some(report) = &mut state.report else {
            return Shutdown::default();
        };
        if old && is_first {
            let returned = |running: &mut StillRunning| !is_left(running.job);
            let returned = report.still_running.extract_if(.., returned);
            report
                .unrecorded
                .extend(returned.map(|running| running.job));
            report.unrecorded.sort_unstable();
        }
        report.clone()
    }

    /// Joins the threads that have ended or are about to; those still at a job are left to it.
    pub(crate) fn join(&self, still_running: &[StillRunning]) {
        let (committer, workers) = {
            let mut state = self.state.lock();
            (state.committer.take(), std::mem::take(&mut state.workers))
        };
        let at_work = |thread: &JoinHandle<()>| {
            still_running
                .iter()
                .any(|job| thread.thread().name() == Some(job.thread.as_str()))
        };
        for thread in committer
            .into_iter()
            .chain(workers.into_iter().filter(|t| !at_work(t)))
        {
            // Our threads catch what jobs and engines throw: a panic here has been reported.
            drop(thread.join());
        }
    }
}

impl Wake for Ending {
    fn wake(&self) {
        self.over.wake_from(&self.state);
    }
}

/// The end of a manager, for those who shut it down.
impl Shared {
    /// Waits for the committer's last word; `false` where the store does not answer it.
    pub(crate) fn has_ended_unless_stalled(&self) -> bool {
        loop {
            let patience = self.health.patience(self.clock.now());
            if self.ending.wait(&self.clock, Some(patience)).is_some() {
                return true;
            }
            if self.health.stalled(self.clock.now()).is_some() {
                return false;
            }
        }
    }

    /// The committer's last word; `old` where the store had failed before anybody wanted an end.
    pub(crate) fn last_word(&self, old: bool) -> Shutdown {
        let store = self.origin.store;
        self.ending.read(old, |job| living::has((store, job)))
    }

    /// What is known of the end while the committer waits for the store.
    pub(crate) fn stalled_report(&self) -> Shutdown {
        let now = self.clock.now();
        let mut unrecorded = self.health.unwritten();
        unrecorded.extend(self.inbox.settled());
        unrecorded.sort_unstable();
        unrecorded.dedup();
        Shutdown {
            still_running: self.give_up_running(now.wall),
            unrecorded,
            stalled: self.health.stalled(now),
            ..Shutdown::default()
        }
    }

    /// Gives up all jobs that still run, and names them in their order.
    pub(super) fn give_up_running(&self, now: Timestamp) -> Vec<StillRunning> {
        let mut running: BTreeMap<_, _> = BTreeMap::new();
        for pool in &self.pools {
            running.extend(pool.give_up_all(|job, thread| {
                self.enter_stuck(&pool.queue, job, thread, now);
            }));
        }
        let running = running.into_iter();
        running
            .map(|(job, thread)| StillRunning { job, thread })
            .collect()
    }
}
