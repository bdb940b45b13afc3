//! What is under way, and what has become of it: the one place where producers, the committer and
//! the bench meet.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::Fault;
use crate::histogram::Histogram;

/// Counts jobs from the call of `enqueue` to the commit of their end.
#[derive(Debug)]
pub(crate) struct Ledger {
    state: Mutex<State>,
    changed: Condvar,
    /// How long commits took.
    pub(crate) commits: Histogram,
    /// `enqueue` calls of producers.
    pub(crate) acks: Histogram,
    /// From the call of `enqueue` to the handler.
    pub(crate) starts: Histogram,
}

#[derive(Debug, Default)]
struct State {
    /// Given to `enqueue`.
    issued: u64,
    /// Ended, and that is durable.
    settled: u64,
    commits: u64,
    last_settled: Option<Instant>,
    failed: Option<String>,
    waiting: usize,
}

/// What a phase came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    pub(crate) jobs: u64,
    pub(crate) commits: u64,
    /// The last durable settlement.
    pub(crate) end: Instant,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            commits: Histogram::new(),
            acks: Histogram::new(),
            starts: Histogram::new(),
        }
    }

    /// A new phase: everything counts from zero. Nothing may be under way.
    pub(crate) fn begin(&self) {
        *self.state.lock() = State::default();
        self.commits.clear();
        self.acks.clear();
        self.starts.clear();
    }

    /// A producer is about to enqueue `jobs`. Waits while more than `bound` would be under way, so
    /// that what waits in the queue stays about the same.
    pub(crate) fn issue(&self, jobs: u64, bound: u64) -> Result<(), Fault> {
        let mut state = self.state.lock();
        loop {
            if let Some(failed) = &state.failed {
                return Err(failed.clone().into());
            }
            let under_way = state.issued - state.settled.min(state.issued);
            if under_way == 0 || under_way + jobs <= bound {
                state.issued += jobs;
                return Ok(());
            }
            state.waiting += 1;
            self.changed.wait(&mut state);
            state.waiting -= 1;
        }
    }

    /// A commit that is durable since `at` settled so many jobs.
    pub(crate) fn committed(&self, settled: u64, at: Instant) {
        let mut state = self.state.lock();
        state.commits += 1;
        state.settled += settled;
        if settled > 0 {
            state.last_settled = Some(at);
        }
        let wake = state.waiting > 0 && settled > 0;
        drop(state);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Nothing will be settled any more.
    pub(crate) fn fail(&self, cause: String) {
        self.state.lock().failed.get_or_insert(cause);
        self.changed.notify_all();
    }

    /// Waits until as many jobs have ended durably as were issued.
    pub(crate) fn wait_for_all(&self) -> Result<Tally, Fault> {
        let mut state = self.state.lock();
        loop {
            if let Some(failed) = &state.failed {
                return Err(failed.clone().into());
            }
            if state.settled >= state.issued {
                let end = state.last_settled.ok_or("no job has ended")?;
                return Ok(Tally {
                    jobs: state.issued,
                    commits: state.commits,
                    end,
                });
            }
            state.waiting += 1;
            self.changed.wait(&mut state);
            state.waiting -= 1;
        }
    }
}

/// Lets handlers through, one for each job that was enqueued, so that jobs that waited beforehand
/// are worked off no faster than others join them.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    passes: u64,
    open: bool,
    waiting: usize,
}

impl Gate {
    pub(crate) fn add(&self, passes: u64) {
        let mut state = self.state.lock();
        state.passes += passes;
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            self.opened.notify_all();
        }
    }

    pub(crate) fn open(&self) {
        self.state.lock().open = true;
        self.opened.notify_all();
    }

    pub(crate) fn pass(&self) {
        let mut state = self.state.lock();
        while state.passes == 0 && !state.open {
            state.waiting += 1;
            self.opened.wait(&mut state);
            state.waiting -= 1;
        }
        state.passes = state.passes.saturating_sub(1);
    }
}
