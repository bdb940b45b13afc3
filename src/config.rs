use std::time::Duration;

use jobkeep_store::{Durability, MAX_ROW_BYTES};

use crate::Error;
use crate::carry::{IN_FLIGHT, OnUnknown, Push};
use crate::registry::Registry;

/// A queue: a named line of jobs with a pool of its own.
///
/// ```
/// use jobkeep::Queue;
///
/// let images = Queue::new("images").workers(2);
/// ```
#[derive(Clone, Debug)]
pub struct Queue {
    pub(crate) name: String,
    pub(crate) workers: Option<usize>,
    pub(crate) hand_over: usize,
    pub(crate) timeout: Option<Duration>,
    pub(crate) substitutes: Option<usize>,
    pub(crate) push: Option<Push>,
    pub(crate) on_unknown: OnUnknown,
    pub(crate) fault: Option<String>,
}

impl Queue {
    /// A queue of that name, with a worker for each core.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            workers: None,
            hand_over: 1_024,
            timeout: None,
            substitutes: None,
            push: None,
            on_unknown: OnUnknown::Retry,
            fault: None,
        }
    }

    /// How many jobs of the queue run at once: the threads of its pool. The default is the number of
    /// cores. Zero accepts jobs and runs none.
    #[doc(alias("concurrency", "limit"))]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// The threads of its pool.
    pub(crate) fn threads(&self) -> usize {
        let default = || match self.push {
            Some(_) => IN_FLIGHT,
            None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        };
        self.workers.unwrap_or_else(default)
    }

    /// How long an attempt of jobs may take that do not
    /// [say so themselves](crate::Policy::timeout). The default is as long as they like.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How many threads at most stand in for those that are stuck in jobs beyond their time-outs. The
    /// default is as many as there are workers. Beyond that the pool has fewer free ones until a stuck
    /// one returns.
    pub fn substitutes(mut self, threads: usize) -> Self {
        self.substitutes = Some(threads);
        self
    }

    /// Prefetch: how many claimed jobs at most may be buffered beyond the idle workers, 1,024 by default.
    /// If jobs take long, fewer are: a pool is handed a job for each idle worker, plus at most twice what
    /// it finished during the last commit. With zero a job is claimed only when a worker is idle, which
    /// costs a commit between two jobs of a worker.
    ///
    /// Jobs handed over are counted as interrupted when the process dies, because they may have begun.
    pub fn hand_over(mut self, jobs: usize) -> Self {
        self.hand_over = jobs;
        self
    }
}

/// How long finished jobs are kept, and how many.
///
/// The default keeps successes for 7 days, failures and cancelled jobs for 30, and 100,000 finished
/// jobs in all; beyond that the one that ended first goes first.
///
/// ```
/// use std::time::Duration;
/// use jobkeep::Retention;
///
/// let retention = Retention::new().successes(Duration::from_secs(3600)).at_most(10_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub(crate) successes: Option<Duration>,
    pub(crate) failures: Option<Duration>,
    pub(crate) at_most: Option<u64>,
}

impl Retention {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            successes: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            failures: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            at_most: Some(100_000),
        }
    }

    /// Keeps every finished job for ever: the store grows without bound.
    pub const fn keep_all() -> Self {
        Self {
            successes: None,
            failures: None,
            at_most: None,
        }
    }

    /// How long a job is kept after it succeeded. Zero lets go of it at once: nobody will see its
    /// output.
    pub const fn successes(mut self, age: Duration) -> Self {
        self.successes = Some(age);
        self
    }

    /// How long a job is kept after it failed or was cancelled.
    pub const fn failures(mut self, age: Duration) -> Self {
        self.failures = Some(age);
        self
    }

    /// How many finished jobs the store keeps in all.
    pub const fn at_most(mut self, jobs: u64) -> Self {
        self.at_most = Some(jobs);
        self
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::new()
    }
}

/// Most jobs of one batch, and most bytes of their rows.
pub(crate) const BATCH_JOBS: usize = 10_000;
const BATCH_BYTES: usize = 16 << 20;

/// Refuses a batch of more. A single job has the limit of its payload.
pub(crate) fn check_batch(jobs: usize, bytes: usize) -> Result<(), Error> {
    if jobs > 1 && (jobs > BATCH_JOBS || bytes > BATCH_BYTES) {
        return Err(Error::batch_too_large(
            jobs,
            bytes,
            (BATCH_JOBS, BATCH_BYTES),
        ));
    }
    Ok(())
}

/// Everything about a manager that is a number or a name.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) server: String,
    pub(crate) queues: Vec<Queue>,
    pub(crate) retention: Retention,
    pub(crate) key_retention: Duration,
    pub(crate) payload_limit: usize,
    pub(crate) output_limit: usize,
    pub(crate) inbox: usize,
    pub(crate) drop_grace: Duration,
    /// The grace of a shutdown that a signal begins, where one does.
    #[cfg(all(unix, feature = "signals"))]
    pub(crate) signal_grace: Option<Duration>,
    pub(crate) probation: Duration,
    pub(crate) durability: Durability,
    /// How many jobs of other hosts run here at once.
    pub(crate) executors: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: "local".into(),
            queues: Vec::new(),
            retention: Retention::new(),
            key_retention: Duration::from_secs(24 * 60 * 60),
            payload_limit: 1 << 20,
            output_limit: 1 << 20,
            inbox: 16_384,
            drop_grace: Duration::from_secs(5),
            #[cfg(all(unix, feature = "signals"))]
            signal_grace: None,
            probation: Duration::from_secs(30),
            durability: Durability::Synced,
            executors: 0,
        }
    }
}

impl Config {
    /// Fills what was left out, and checks the whole: all faults at once. `faults` are those already
    /// found elsewhere.
    pub(crate) fn checked(mut self, mut faults: Vec<String>) -> Result<Self, Error> {
        if self.queues.is_empty() {
            self.queues.push(Queue::new("default"));
        }
        self.check_queues(&mut faults);
        if !is_name(&self.server) {
            faults.push(format!("server `{}`: {NAME_RULE}", self.server));
        }
        if self.inbox == 0 {
            faults.push("inbox: it must hold at least one job".into());
        }
        if self.executors > MOST_THREADS {
            faults.push(format!(
                "executors: there must be at most {MOST_THREADS}, not {}",
                self.executors
            ));
        }
        // Half a row, so that whatever else stands in it never makes it unreadable.
        let most = MAX_ROW_BYTES / 2;
        for (what, limit) in [
            ("payload", self.payload_limit),
            ("output", self.output_limit),
        ] {
            if limit > most {
                faults.push(format!(
                    "{what}_limit: it must be at most {most} bytes, which is what fits a row, not {limit}"
                ));
            }
        }
        if faults.is_empty() {
            Ok(self)
        } else {
            Err(Error::config("start the manager", &faults))
        }
    }

    /// Jobs of this name can run in the queue at this position: here, or on the hosts that it pushes to.
    pub(crate) fn runs(&self, queue: u16, registry: &Registry, name: &str) -> bool {
        let queue = self.queues.get(usize::from(queue));
        queue.is_some_and(|queue| queue.push.is_some()) || registry.knows(name)
    }

    fn check_queues(&self, faults: &mut Vec<String>) {
        for (position, queue) in self.queues.iter().enumerate() {
            let (name, workers) = (&queue.name, queue.threads());
            if !is_name(name) {
                faults.push(format!("queue `{name}`: {NAME_RULE}"));
            }
            if self
                .queues
                .iter()
                .take(position)
                .any(|earlier| earlier.name == *name)
            {
                faults.push(format!("queue `{name}`: it is declared twice"));
            }
            if let Some(fault) = &queue.fault {
                faults.push(format!("queue `{name}`: {fault}"));
            }
            if workers > MOST_THREADS {
                faults.push(format!(
                    "queue `{name}`: it must have at most {MOST_THREADS} workers, not {workers}"
                ));
            }
        }
    }
}

pub(crate) const NAME_RULE: &str =
    "a name must be 1 to 64 characters: ASCII letters, digits, `-`, `_` or `.`";
const MOST_THREADS: usize = 4_096;

pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}
