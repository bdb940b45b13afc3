use std::collections::{BTreeSet, HashMap};
use std::task::Waker;

use jobkeep_store::JobNumber;

use super::addresses::{Address, Addresses};
use super::bell::Bell;
use super::command::Reply;
use super::count::one_less;
use super::signal::Signal;
use super::wakers;
use crate::Error;
use crate::clock::{Clock, Steady};
use crate::finished::Finished;
use crate::sync::{Arc, Mutex, MutexGuard};

/// Who waits for the end of which job.
///
/// 1. A waiter registers, and then looks whether the job has finished.
/// 2. The committer makes a job's end durable, and then rings for who has registered. It does the same
///    where it has parked a job, which then shows on the [board](super::parked::ParkedBoard).
/// 3. When nothing will end any more, it rings for everybody, and closes the store only when all of
///    them have looked a last time and are gone.
///
/// 4. From the beginning of a shutdown on only what runs can end. Whoever waits for another job is rung for,
///    looks a last time, and is gone; one that comes later finds its bell rung.
///
/// All pass through the mutex, so that either the waiter sees the end or the committer sees the
/// waiter.
///
/// A future is not waited for in step 3, because nobody may ever poll it again:
///
/// 1. When it is made it leaves its address.
/// 2. Polled for the first time, or after it was called, it leaves its waker there and is present;
///    then it looks whether the job has finished, and is no longer present. That takes a moment, so
///    the committer may wait for it.
/// 3. Polled while it waits to be called, it only exchanges its waker.
/// 4. The committer makes a job's end durable, and then calls those whose wakers are left for it, as it does
///    at the beginning of a shutdown those whose jobs do not run. Their addresses stay.
/// 5. When nothing will end any more, the committer looks a last time for every address that is
///    left, leaves what it found there, and calls. It does so under the mutex: a future that finds
///    all to be over finds its answer too, and looks no more.
/// 6. A future takes its address back when it has its answer or is dropped.
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
    addresses: Addresses,
    /// The manager shuts down, and no other job can end than these.
    running: Option<BTreeSet<JobNumber>>,
    /// The committer has ended: nothing will finish any more.
    over: bool,
}

impl State {
    fn may_end(&self, job: JobNumber) -> bool {
        self.running
            .as_ref()
            .is_none_or(|running| running.contains(&job))
    }
}

/// Somebody for whom the store is kept open, until this is dropped.
#[derive(Debug)]
pub(crate) struct Present<'a>(&'a Waiters);

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.depart(self.0.state.lock());
    }
}

/// What a future that is polled is to do.
#[derive(Debug)]
pub(crate) enum Attendance<'a> {
    /// Wait to be called.
    Wait,
    /// Look whether the job has finished, and where it has not, wait to be called.
    Look(Present<'a>),
    /// Look whether the job has finished: where it has not, it will not.
    LookOnce(Present<'a>),
    /// Take the answer that was left.
    Over,
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
        self.waiters.depart(state);
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
        if state.may_end(job) {
            state.by_job.entry(job).or_default().push(Arc::clone(&bell));
        } else {
            bell.ring();
        }
        state.present += 1;
        Some(Waiting {
            waiters: self,
            job,
            bell,
        })
    }

    /// A future waits for the job from now on; `None` where nothing will end any more.
    pub(crate) fn leave_address(&self, job: JobNumber, last: &Reply<Finished>) -> Option<u64> {
        let mut state = self.state.lock();
        (!state.over).then(|| state.addresses.add(job, last))
    }

    /// The future of that address is polled.
    pub(crate) fn attend(
        &self,
        id: u64,
        job: JobNumber,
        last: &Reply<Finished>,
        waker: &Waker,
    ) -> Attendance<'_> {
        let waker = waker.clone();
        let mut state = self.state.lock();
        if state.over {
            return Attendance::Over;
        }
        if !state.may_end(job) {
            state.present += 1;
            drop(state);
            return Attendance::LookOnce(Present(self));
        }
        let left = state.addresses.listen(id, job, last, waker);
        state.present += usize::from(!left.listened);
        drop(state);
        drop(left.replaced);
        if left.listened {
            Attendance::Wait
        } else {
            Attendance::Look(Present(self))
        }
    }

    /// The future of that address has its answer, or is gone.
    pub(crate) fn strike_address(&self, id: u64) {
        let address = self.state.lock().addresses.remove(id);
        drop(address);
    }

    pub(crate) fn ring(&self, ended: &[JobNumber]) {
        if ended.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        if state.by_job.is_empty() && state.addresses.is_empty() {
            return;
        }
        let mut wakers = Vec::new();
        for &job in ended {
            for bell in state.by_job.remove(&job).into_iter().flatten() {
                bell.ring();
            }
            state.addresses.call(job, &mut wakers);
        }
        drop(state);
        wakers::wake(wakers);
    }

    /// The manager shuts down: sends everybody away who waits for another job than these.
    pub(crate) fn close_to(&self, running: BTreeSet<JobNumber>) {
        let mut wakers = Vec::new();
        let mut state = self.state.lock();
        for (_, bells) in state.by_job.extract_if(|job, _| !running.contains(job)) {
            for bell in bells {
                bell.ring();
            }
        }
        state.addresses.call_others(&running, &mut wakers);
        state.running = Some(running);
        drop(state);
        wakers::wake(wakers);
    }

    /// The job may still end: unless the manager shuts down, and it does not run.
    pub(crate) fn may_end(&self, job: JobNumber) -> bool {
        self.state.lock().may_end(job)
    }

    /// Nothing will end any more: sends everybody away, and returns when they are gone. `look` is the
    /// last look for those whom nobody waits for.
    pub(crate) fn dismiss(
        &self,
        clock: &Clock,
        look: impl Fn(JobNumber) -> Result<Finished, Error>,
    ) {
        let mut state = self.state.lock();
        state.over = true;
        for (_, bells) in state.by_job.drain() {
            for bell in bells {
                bell.ring();
            }
        }
        let mut wakers = Vec::new();
        for Address {
            job, last, waker, ..
        } in state.addresses.take()
        {
            last.give(look(job));
            wakers.extend(waker);
        }
        drop(state);
        wakers::wake(wakers);
        let mut state = self.state.lock();
        while state.present > 0 {
            self.gone.wait(&mut state, clock, None);
        }
    }

    fn depart(&self, mut state: MutexGuard<'_, State>) {
        one_less(&mut state.present);
        let last = state.over && state.present == 0;
        drop(state);
        if last {
            self.gone.wake_all();
        }
    }

    /// Nothing will end any more.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().over
    }
}
