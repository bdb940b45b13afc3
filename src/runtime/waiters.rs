use std::collections::HashMap;

use jobkeep_store::JobNumber;

use super::bell::Bell;
use crate::clock::Clock;
use crate::sync::{Arc, Mutex};

/// Who waits for the end of which job.
///
/// 1. A waiter registers, and then looks whether the job has finished.
/// 2. The committer makes a job's end durable, and then rings for who has registered.
///
/// Both pass through the mutex, so that either the waiter sees the end or the committer sees the
/// waiter.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_job: HashMap<JobNumber, Vec<Arc<Bell>>>,
    /// The committer has ended: nothing will finish any more.
    over: bool,
}

impl Waiters {
    /// A bell that rings when the job ends, or when nothing will end any more.
    pub(crate) fn register(&self, job: JobNumber, clock: &Clock) -> Arc<Bell> {
        let bell = Bell::new(clock);
        let mut state = self.0.lock();
        if state.over {
            bell.ring();
        } else {
            state.by_job.entry(job).or_default().push(Arc::clone(&bell));
        }
        bell
    }

    /// Takes a bell back that nobody listens to any more.
    pub(crate) fn forget(&self, job: JobNumber, bell: &Arc<Bell>) {
        let mut state = self.0.lock();
        if let Some(bells) = state.by_job.get_mut(&job) {
            bells.retain(|other| !Arc::ptr_eq(other, bell));
            if bells.is_empty() {
                state.by_job.remove(&job);
            }
        }
    }

    pub(crate) fn ring(&self, ended: &[JobNumber]) {
        if ended.is_empty() {
            return;
        }
        let mut state = self.0.lock();
        if state.by_job.is_empty() {
            return;
        }
        for job in ended {
            for bell in state.by_job.remove(job).into_iter().flatten() {
                bell.ring();
            }
        }
    }

    /// Nothing will end any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.lock().over
    }

    pub(crate) fn ring_all(&self) {
        let mut state = self.0.lock();
        state.over = true;
        for (_, bells) in state.by_job.drain() {
            for bell in bells {
                bell.ring();
            }
        }
    }
}
