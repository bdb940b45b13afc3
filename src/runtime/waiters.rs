use std::collections::HashMap;

use jobkeep_store::JobNumber;

use super::bell::Bell;
use super::signal::Signal;
use crate::clock::{Clock, Steady};
use crate::sync::{Arc, Mutex};

/// Who waits for the end of which job.
///
/// 1. A waiter registers, and then looks whether the job has finished.
/// 2. The committer makes a job's end durable, and then rings for who has registered.
/// 3. When nothing will end any more, it rings for everybody, and closes the store only when all of
///    them have looked a last time and are gone.
///
/// All pass through the mutex, so that either the waiter sees the end or the committer sees the
/// waiter.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    state: Mutex<State>,
    gone: Signal,
}

#[derive(Debug, Default)]
struct State {
    by_job: HashMap<JobNumber, Vec<Arc<Bell>>>,
    /// Registered, rung or not.
    present: usize,
    /// The committer has ended: nothing will finish any more.
    over: bool,
}

/// A waiter, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    waiters: &'a Waiters,
    job: JobNumber,
    bell: Arc<Bell>,
}

impl Waiting<'_> {
    /// Waits until the job ends or nothing will end any more; `false` where that moment comes first.
    pub(crate) fn wait(&self, clock: &Clock, until: Steady) -> bool {
        self.bell.wait(clock, Some(until))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.waiters.state.lock();
        if let Some(bells) = state.by_job.get_mut(&self.job) {
            bells.retain(|other| !Arc::ptr_eq(other, &self.bell));
            if bells.is_empty() {
                state.by_job.remove(&self.job);
            }
        }
        state.present -= 1;
        let last = state.over && state.present == 0;
        drop(state);
        if last {
            self.waiters.gone.wake_all();
        }
    }
}

impl Waiters {
    /// Somebody waits for the job from now on; `None` where nothing will end any more.
    pub(crate) fn register(&self, job: JobNumber, clock: &Clock) -> Option<Waiting<'_>> {
        let bell = Bell::new(clock);
        let mut state = self.state.lock();
        if state.over {
            return None;
        }
        state.by_job.entry(job).or_default().push(Arc::clone(&bell));
        state.present += 1;
        Some(Waiting {
            waiters: self,
            job,
            bell,
        })
    }

    pub(crate) fn ring(&self, ended: &[JobNumber]) {
        if ended.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        if state.by_job.is_empty() {
            return;
        }
        for job in ended {
            for bell in state.by_job.remove(job).into_iter().flatten() {
                bell.ring();
            }
        }
    }

    /// Nothing will end any more: sends everybody away, and returns when they are gone.
    pub(crate) fn dismiss(&self, clock: &Clock) {
        let mut state = self.state.lock();
        state.over = true;
        for (_, bells) in state.by_job.drain() {
            for bell in bells {
                bell.ring();
            }
        }
        while state.present > 0 {
            self.gone.wait(&mut state, clock, None);
        }
    }

    /// Nothing will end any more.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().over
    }
}
