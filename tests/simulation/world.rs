//! A machine with one store, and the processes that have it one after the other.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use jobkeep::testing::simulation::{Answer, Attempt, Process, forget_threads};
use jobkeep::testing::{Fault, Faults, FaultyStore, ManualClock};
use jobkeep::{
    Context, Job, JobError, JobNumber, Manager, NewJob, Policy, Queue, Retention, Timestamp,
};
use jobkeep_store::StoreId;
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::model::{Model, Op, Verdict};
use crate::steps::End;

pub(crate) const SUCCESSES: Duration = Duration::from_secs(1_800);
pub(crate) const FAILURES: Duration = Duration::from_secs(3_000);
pub(crate) const KEY_RETENTION: Duration = Duration::from_secs(900);
pub(crate) const AT_MOST: usize = 24;
pub(crate) const QUEUES: [(&str, usize); 2] = [("a", 2), ("b", 1)];

/// What is known of the clocks may be older than the last commit, and less apart than is noticed.
const BEHIND: Duration = Duration::from_secs(31);
const BEFORE: Duration = Duration::from_secs(1);

pub(crate) const START: u64 = 1_700_000_000_000;

#[derive(Serialize, Deserialize)]
pub(crate) struct Work {
    /// Of the offer: nothing else has it.
    pub(crate) id: u64,
    pub(crate) runs: u32,
    pub(crate) pad: String,
}

impl Job for Work {
    const NAME: &'static str = "work";
    const POLICY: Policy = Policy::new().queue(QUEUES[0].0);
    type Output = String;
}

thread_local! {
    /// How the attempt that is about to be run ends, and the first id for jobs that follow it.
    pub(crate) static SCRIPT: Cell<(End, u64)> = const { Cell::new((End::Succeed, 0)) };
}

fn run(work: &mut Work, ctx: &Context) -> Result<String, JobError> {
    let (end, first) = SCRIPT.get();
    work.runs += 1;
    match end {
        End::Succeed => Ok(work.pad.clone()),
        End::Follow(count, key) => {
            for n in 0..count {
                let key = key.filter(|_| n == 0);
                let job = NewJob::new(Work {
                    id: id(key, first + n),
                    runs: 0,
                    pad: String::new(),
                });
                let job = job.attempts(SHARED_ATTEMPTS);
                ctx.enqueue(match key {
                    Some(key) => job.key(key.to_string()),
                    None => job,
                })?;
            }
            Ok(String::new())
        }
        End::Fail => Err(JobError::new("it fails")),
        End::RetryAfter(ms) => Err(JobError::retry_after(Duration::from_millis(ms), "later")),
        End::Permanent => Err(JobError::permanent("it is of no use")),
        // Without the hook, which would print each of them.
        End::Panic => resume_unwind(Box::new("it panics")),
        End::Snooze(ms) => Err(JobError::snooze(Duration::from_millis(ms))),
        End::Cancel => Err(JobError::cancel("not any more")),
    }
}

/// Jobs of an even key are all alike, so that the key finds the job that is there; those of an odd one
/// are not, so that it is refused.
pub(crate) fn id(key: Option<u64>, next: u64) -> u64 {
    key.filter(|key| key % 2 == 0).unwrap_or(next)
}

/// Such an id belongs to a key.
pub(crate) fn is_shared(id: u64) -> bool {
    id < FIRST_ID
}

pub(crate) const FIRST_ID: u64 = 100;
pub(crate) const SHARED_ATTEMPTS: u32 = 2;

/// What the histories came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) commits: u64,
    pub(crate) accepted: u64,
    pub(crate) attempts: u64,
    pub(crate) crashes: u64,
    pub(crate) torn: u64,
    pub(crate) ends: u64,
    pub(crate) faults: u64,
    pub(crate) lies: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.commits += other.commits;
        self.accepted += other.accepted;
        self.attempts += other.attempts;
        self.crashes += other.crashes;
        self.torn += other.torn;
        self.ends += other.ends;
        self.faults += other.faults;
        self.lies += other.lies;
    }
}

/// An attempt on a worker, which a process has or had.
pub(crate) struct OnWorker {
    pub(crate) attempt: Attempt,
    /// Of the process that has the store now.
    pub(crate) ours: bool,
    pub(crate) queue: usize,
    /// Its thread waits for the answer to a checkpoint.
    pub(crate) waits: bool,
}

/// Somebody waits for an answer.
pub(crate) enum Asked {
    Accept(Answer<Vec<JobNumber>>, Vec<u64>),
    Operate(Answer<()>, JobNumber, Op),
    Other(Answer<()>),
}

pub(crate) struct World {
    pub(crate) disk: Disk,
    pub(crate) clock: ManualClock,
    /// The steady clock of the store.
    pub(crate) steady: Timestamp,
    /// What the wall clock and the steady one showed at the last commit.
    pub(crate) known: Option<(Timestamp, Timestamp)>,
    pub(crate) process: Option<Process>,
    pub(crate) faults: Faults,
    pub(crate) workers: Vec<OnWorker>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) model: Model,
    pub(crate) tally: Tally,
    pub(crate) next_id: u64,
    /// The disk is full until somebody makes room.
    pub(crate) full: bool,
    /// Nothing is accepted or started any more.
    pub(crate) draining: bool,
    /// The sync lies: a crash takes acknowledged commits back.
    pub(crate) lies: bool,
}

impl World {
    pub(crate) fn new(seed: u64, lies: bool) -> Self {
        // Stores of one name would share their stuck threads, and tests run side by side.
        let name = if lies { seed | 1 << 62 } else { seed };
        // What a history before this one left.
        forget_threads(StoreId(name.into()));
        Self {
            disk: Disk::new(name),
            clock: ManualClock::new(),
            steady: Timestamp(START),
            known: None,
            process: None,
            faults: Faults::default(),
            workers: Vec::new(),
            asked: Vec::new(),
            model: Model::new(lies),
            tally: Tally::default(),
            next_id: FIRST_ID,
            full: false,
            draining: false,
            lies,
        }
    }

    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Opens the store, at the first try or the second.
    pub(crate) fn open(&mut self, fault: Option<Fault>) -> Verdict {
        let mut fault = fault;
        // That of the machine begins anew with each process, and says nothing.
        let wall = self.wall();
        self.clock = ManualClock::new();
        self.clock.set_wall(wall);
        loop {
            let store = FaultyStore::over(Arc::new(self.disk.handle()));
            self.faults = store.faults();
            let faulty = fault.is_some();
            if let Some(fault) = fault.take() {
                self.faults.arm(fault);
            }
            let retention = Retention::new()
                .successes(SUCCESSES)
                .failures(FAILURES)
                .at_most(AT_MOST as u64);
            let mut builder = Manager::builder(store)
                .handle::<Work>(run)
                .clock(self.clock.clone())
                .retention(retention)
                .key_retention(KEY_RETENTION);
            for (name, workers) in QUEUES {
                builder = builder.queue(Queue::new(name).workers(workers).substitutes(0));
            }
            match builder.start_simulated() {
                Ok((process, _)) => {
                    self.faults.disarm();
                    self.goes_on(process.steady())?;
                    self.process = Some(process);
                    self.draining = false;
                    self.full = false;
                    return self.follow();
                }
                Err(error) if faulty => {
                    self.tally.faults += 1;
                    // Nobody can ask it what its clock showed.
                    let (wall, expected) = (self.wall(), self.expected());
                    self.steady = expected.before(BEHIND);
                    self.follow()
                        .map_err(|why| format!("{why} (after {error})"))?;
                    self.known = Some((wall, expected));
                }
                Err(error) => return Err(format!("the store does not open: {error}")),
            }
        }
    }

    /// The steady clock goes on over the processes: it counts what passed since the last commit, as far as
    /// the wall clock tells, and never goes back for what that was set back.
    fn goes_on(&mut self, steady: Timestamp) -> Verdict {
        let expected = self.expected();
        self.steady = steady;
        let (from, to) = (expected.before(BEHIND), expected.after(BEFORE));
        if self.lies || (from..=to).contains(&steady) {
            return Ok(());
        }
        Err(format!(
            "the steady clock should show {expected}, and shows {steady}; the last commit: {:?}",
            self.known
        ))
    }

    fn expected(&self) -> Timestamp {
        match self.known {
            Some((wall, steady)) => steady.after(self.wall().since(wall)),
            None => self.wall(),
        }
    }

    /// Judges what was committed since.
    pub(crate) fn follow(&mut self) -> Verdict {
        let commits = self.disk.commits();
        self.tally.commits += commits.len() as u64;
        if !commits.is_empty() {
            self.known = Some((self.wall(), self.steady));
        }
        self.model.follow(&commits, self.steady)
    }
}
