//! The threads of one queue, and the shelf that jobs are handed over on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jobkeep_store::{JobNumber, QueueName, Token};

use super::count::one_less;
use super::drive;
use super::inbox::Haste;
use super::outage::Outage;
use super::signal::Signal;
use crate::carry::{OnUnknown, Push};
use crate::clock::{Clock, Steady};
use crate::config::Queue;
use crate::context::{Limit, Running};
use crate::core::{Handed, Order};
use crate::retry;
use crate::sync::{Arc, Mutex};

/// A queue's workers, and their shelf.
///
/// 1. The committer puts jobs on the shelf under the lock, and then wakes as many workers as it put
///    jobs there, if so many sleep.
/// 2. A worker looks under the lock: it ends where the pool stops, takes the first job, or counts
///    itself as asleep and sleeps. One that was woken looks again, since another may have come first.
/// 3. A worker that is done with a job looks before it sleeps. So a job on the shelf has a worker that
///    was woken for it, or that is on its way, or all are at jobs.
/// 4. To halt, the mark is set under the lock, and then all are woken: nothing is taken after it. What
///    is on the shelf then was taken by nobody.
/// 5. A worker's thread says that it has ended, and then nudges the committer, which may be waiting for
///    the last of them.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) queue: QueueName,
    pub(crate) workers: usize,
    hand_over: usize,
    most_substitutes: usize,
    /// The time-out of jobs that do not say so themselves.
    pub(crate) timeout_ms: Option<u64>,
    /// Its workers carry jobs to another host.
    pub(crate) push: Option<Push>,
    pub(crate) on_unknown: OnUnknown,
    pub(super) state: Mutex<State>,
    pub(super) work: Signal,
}

#[derive(Debug)]
pub(super) struct State {
    /// Handed over and not taken, in the core's order.
    shelf: BTreeMap<Order, Handed>,
    /// How many there were on the shelf after the last hand-over.
    filled: usize,
    /// Taken since the committer last looked, and when.
    taken: Vec<(JobNumber, Steady)>,
    /// On a worker now.
    running: HashMap<JobNumber, OnWorker>,
    /// Workers without a job, asleep or not.
    idle: usize,
    asleep: usize,
    /// Jobs with time-outs, by the moments when these are over.
    deadlines: BTreeSet<(Steady, JobNumber)>,
    /// Threads that are not stuck: as many as there are workers, or fewer.
    able: usize,
    /// Threads beyond the workers: each stands in for a stuck one, or is about to.
    substitutes: usize,
    /// The place of the last thread that was started.
    place: usize,
    /// Jobs that workers were done with since the committer last looked.
    finished: usize,
    /// Threads that have not ended.
    living: usize,
    stopping: bool,
    /// Of the executor that jobs are carried to.
    pub(super) outage: Outage,
}

#[derive(Debug)]
struct OnWorker {
    running: Arc<Running>,
    thread: Arc<str>,
    /// Its attempt is over for everybody but its thread.
    stuck: bool,
}

/// A job that runs beyond its time-out.
#[derive(Debug)]
pub(crate) struct Overdue {
    pub(crate) running: Arc<Running>,
    pub(crate) thread: String,
}

/// What a worker is told when it is done with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) haste: Haste,
    /// The job had been given up.
    pub(crate) was_stuck: bool,
    /// Another thread stands in for this one, and for no other that is stuck: it is to end.
    pub(crate) retires: bool,
}

/// What the committer sees of a pool before it claims for it.
#[derive(Debug)]
pub(crate) struct View {
    /// So many jobs may be handed over.
    pub(crate) room: usize,
    /// The first jobs of the shelf, no more than there are workers.
    front: Vec<Order>,
    /// The last job of the shelf.
    last: Option<Order>,
    workers: usize,
    /// When the first time-out of a running job is over.
    pub(crate) deadline: Option<Steady>,
}

impl View {
    /// A job of this order may be handed over though there is no room, because one that stands behind
    /// it was, and fewer jobs than there are workers stand before it: so an urgent job overtakes those
    /// handed over earlier. `ahead` counts those handed over since the look, all of them before it.
    pub(crate) fn overtakes(&self, order: Order, ahead: usize) -> bool {
        let overtakes = self.last.is_some_and(|last| order < last);
        let before = self.front.iter().filter(|front| **front < order).count();
        overtakes && before + ahead < self.workers
    }
}

impl State {
    /// Each thread that is not stuck is idle or has a job, and no more threads are there than may be. A pool
    /// without workers is lent threads.
    fn check(&self, pool: &Pool) {
        debug_assert!(self.substitutes <= pool.most_substitutes);
        debug_assert!(self.able <= pool.workers);
        let busy = || self.running.values().filter(|on| !on.stuck).count();
        debug_assert!(pool.workers == 0 || self.idle + busy() <= self.able);
    }

    fn first_deadline(&self) -> Option<Steady> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A worker takes the first job off the shelf.
    fn take(&mut self, thread: &Arc<str>, now: Steady) -> Option<(Handed, Arc<Running>)> {
        let (order, handed) = self.shelf.pop_first()?;
        let running = Arc::new(Running::new(order.number));
        let on_worker = OnWorker {
            running: Arc::clone(&running),
            thread: Arc::clone(thread),
            stuck: false,
        };
        one_less(&mut self.idle);
        self.taken.push((order.number, now));
        self.running.insert(order.number, on_worker);
        Some((handed, running))
    }
}

impl Pool {
    pub(crate) fn new(queue: &Queue) -> Self {
        let workers = queue.threads();
        let state = State {
            shelf: BTreeMap::new(),
            filled: 0,
            taken: Vec::new(),
            running: HashMap::new(),
            idle: workers,
            asleep: 0,
            deadlines: BTreeSet::new(),
            able: workers,
            substitutes: 0,
            place: workers,
            finished: 0,
            living: 0,
            stopping: false,
            outage: Outage::default(),
        };
        Self {
            queue: queue.name.as_str().into(),
            workers,
            hand_over: queue.hand_over,
            most_substitutes: queue.substitutes.unwrap_or(workers),
            timeout_ms: queue.timeout.map(retry::millis),
            push: queue.push.clone(),
            on_unknown: queue.on_unknown,
            state: Mutex::new(state),
            work: Signal::default(),
        }
    }

    /// Looks at the pool: what was taken since the last look is added to `taken`. The room is the
    /// free workers plus twice what the pool finished since then, so that small jobs flow and long
    /// ones are not hoarded, less what is on the shelf. There is none while the queue rests.
    pub(crate) fn look(&self, taken: &mut Vec<(JobNumber, Steady)>, now: Steady) -> View {
        let mut state = self.state.lock();
        state.check(self);
        taken.append(&mut state.taken);
        let ahead = (2 * std::mem::take(&mut state.finished)).min(self.hand_over);
        let rests = state.outage.rests(now);
        let able = if rests { 0 } else { state.idle + ahead };
        let room = able.saturating_sub(state.shelf.len());
        let front = state.shelf.keys().take(self.workers).copied().collect();
        let last = state.shelf.keys().next_back().copied();
        View {
            room,
            front,
            last,
            workers: self.workers,
            deadline: state.first_deadline(),
        }
    }

    /// Hands jobs over whose claims are durable.
    pub(crate) fn post(&self, jobs: impl Iterator<Item = Handed>) {
        let mut state = self.state.lock();
        let before = state.shelf.len();
        state
            .shelf
            .extend(jobs.map(|handed| (handed.order, handed)));
        state.filled = state.shelf.len();
        let posted = state.filled - before;
        let wake = posted.min(state.asleep);
        drop(state);
        for _ in 0..wake {
            self.work.wake_one();
        }
    }

    /// Takes a job off the shelf that no worker has taken.
    pub(crate) fn withdraw(&self, number: JobNumber) -> bool {
        let mut state = self.state.lock();
        let order = state
            .shelf
            .keys()
            .find(|order| order.number == number)
            .copied();
        order.is_some_and(|order| state.shelf.remove(&order).is_some())
    }

    /// Has the workers end when they are done with what they have. What is on the shelf stays there.
    pub(crate) fn halt(&self) {
        self.state.lock().stopping = true;
        self.work.wake_all();
    }

    /// Has the workers end, and clears the shelf.
    pub(crate) fn stop(&self) -> Vec<(JobNumber, Token)> {
        self.halt();
        self.clear()
    }

    /// Clears the shelf.
    pub(crate) fn clear(&self) -> Vec<(JobNumber, Token)> {
        std::mem::take(&mut self.state.lock().shelf)
            .into_values()
            .map(|handed| (handed.order.number, handed.token))
            .collect()
    }

    /// A worker is done with its job. Said before the job's end is reported, so that the turn which
    /// learns of the end finds the worker free: nothing else would wake the committer for it.
    pub(crate) fn done(&self, number: JobNumber) -> Done {
        let mut state = self.state.lock();
        let on_worker = state.running.remove(&number);
        if let Some(on_worker) = &on_worker
            && let Some(limit) = *on_worker.running.limit.lock()
        {
            state.deadlines.remove(&(limit.deadline, number));
        }
        state.finished += 1;
        let was_stuck = on_worker.is_some_and(|on_worker| on_worker.stuck);
        // Its post is vacant, or somebody has taken it. A lent thread has none.
        let vacant = state.able < self.workers;
        state.able += usize::from(was_stuck && vacant);
        let retires = was_stuck && !vacant && self.workers > 0;
        state.idle += usize::from(!retires);
        // At the manager's end all are given up, and nobody stands in for them.
        state.substitutes = state.substitutes.saturating_sub(usize::from(retires));
        let haste = if 4 * state.shelf.len() > state.filled {
            Haste::Soon
        } else {
            Haste::Now
        };
        Done {
            haste,
            was_stuck,
            retires,
        }
    }

    /// The job that a worker begins may take so long. Whoever waits for the committer to see to that
    /// [tells it](super::inbox::Inbox::wake_by) afterwards.
    pub(crate) fn limit(&self, running: &Running, limit: Limit) {
        let mut state = self.state.lock();
        *running.limit.lock() = Some(limit);
        state.deadlines.insert((limit.deadline, running.number));
    }

    /// When the first time-out of a running job is over.
    pub(crate) fn first_deadline(&self) -> Option<Steady> {
        self.state.lock().first_deadline()
    }

    /// Lets all running jobs that have time-outs take so much longer.
    pub(crate) fn extend_deadlines(&self, span: Duration) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let deadlines = std::mem::take(&mut state.deadlines).into_iter();
        state.deadlines = deadlines
            .map(|(deadline, number)| (deadline.after(span), number))
            .collect();
        for on_worker in state.running.values().filter(|on_worker| !on_worker.stuck) {
            if let Some(limit) = &mut *on_worker.running.limit.lock() {
                limit.deadline = limit.deadline.after(span);
            }
        }
    }

    /// Gives up the jobs whose time-outs are over, and tells them. `give_up` is called for each under
    /// the pool's lock, so that its thread cannot return in between.
    pub(crate) fn overdue(
        &self,
        now: Steady,
        mut give_up: impl FnMut(JobNumber, &str),
    ) -> Vec<Overdue> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let (mut overdue, mut tasks) = (Vec::new(), Vec::new());
        while let Some(&(deadline, number)) = state.deadlines.first()
            && deadline <= now
        {
            state.deadlines.pop_first();
            if let Some(on_worker) = state.running.get_mut(&number) {
                tasks.extend(on_worker.running.give_up());
                on_worker.stuck = true;
                state.able = state.able.saturating_sub(1);
                give_up(number, &on_worker.thread);
                overdue.push(Overdue {
                    running: Arc::clone(&on_worker.running),
                    thread: on_worker.thread.as_ref().into(),
                });
            }
        }
        drop(guard);
        drive::call(tasks);
        overdue
    }

    /// Gives up all jobs that still run: the manager ends. Returns them with the names of their
    /// threads; `give_up` is called for those that had not been.
    pub(crate) fn give_up_all(
        &self,
        mut give_up: impl FnMut(JobNumber, &str),
    ) -> Vec<(JobNumber, String)> {
        let mut state = self.state.lock();
        let (mut all, mut tasks) = (Vec::new(), Vec::new());
        for (&number, on_worker) in &mut state.running {
            tasks.extend(on_worker.running.give_up());
            if !std::mem::replace(&mut on_worker.stuck, true) {
                give_up(number, &on_worker.thread);
            }
            all.push((number, on_worker.thread.as_ref().into()));
        }
        drop(state);
        drive::call(tasks);
        all
    }

    /// The place of a new thread that is to stand in for a stuck one; `None` where there are enough, or
    /// the pool stops.
    pub(crate) fn wants_substitute(&self) -> Option<usize> {
        let mut state = self.state.lock();
        let enough = state.substitutes >= self.most_substitutes;
        if state.stopping || self.workers == 0 || enough {
            return None;
        }
        state.substitutes += 1;
        state.place += 1;
        Some(state.place)
    }

    /// A new thread takes the post of a stuck one; `false` where that has returned meanwhile, and keeps
    /// it.
    pub(crate) fn stand_in(&self) -> bool {
        let mut state = self.state.lock();
        let vacant = state.able < self.workers;
        if vacant {
            state.able += 1;
            state.idle += 1;
        } else {
            one_less(&mut state.substitutes);
        }
        vacant
    }

    /// The new thread could not be started.
    pub(crate) fn no_substitute(&self) {
        one_less(&mut self.state.lock().substitutes);
    }

    /// The next job for a worker, or `None` when it is to end.
    pub(crate) fn next(&self, thread: &Arc<str>, clock: &Clock) -> Option<(Handed, Arc<Running>)> {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return None;
            }
            let rest = state.outage.rest(clock);
            if rest.is_none()
                && let Some(job) = state.take(thread, clock.now().steady)
            {
                return Some(job);
            }
            state.asleep += 1;
            self.work.wait(&mut state, clock, rest);
            one_less(&mut state.asleep);
        }
    }

    /// Counts a thread that is none of the pool's own as a free worker.
    #[cfg(feature = "testing")]
    pub(crate) fn lend(&self) {
        let mut state = self.state.lock();
        state.idle += 1;
        state.living += 1;
    }

    /// The end of a [loan](Self::lend): the thread is free, and is no worker any more. `true` where
    /// the committer may be waiting for that.
    #[cfg(feature = "testing")]
    pub(crate) fn give_back(&self) -> bool {
        let mut state = self.state.lock();
        one_less(&mut state.idle);
        one_less(&mut state.living);
        state.stopping
    }

    /// The next job for a lent thread, without waiting for one.
    #[cfg(feature = "testing")]
    pub(crate) fn try_next(
        &self,
        thread: &Arc<str>,
        clock: &Clock,
    ) -> Option<(Handed, Arc<Running>)> {
        let mut state = self.state.lock();
        if state.stopping {
            return None;
        }
        state.take(thread, clock.now().steady)
    }

    /// A worker is free, and no job was handed over to it.
    #[cfg(feature = "testing")]
    pub(crate) fn has_free_worker(&self) -> bool {
        let state = self.state.lock();
        !state.stopping && state.idle > state.shelf.len()
    }

    /// There are jobs on the shelf.
    pub(crate) fn is_filled(&self) -> bool {
        !self.state.lock().shelf.is_empty()
    }

    /// A job that a worker has now, and whose attempt is not over.
    pub(crate) fn running(&self, number: JobNumber) -> Option<Arc<Running>> {
        self.state
            .lock()
            .running
            .get(&number)
            .filter(|on| !on.stuck)
            .map(|on| Arc::clone(&on.running))
    }

    /// How many threads can run its jobs. None of a pool without threads of its own counts as unable.
    pub(super) fn able(&self) -> usize {
        match self.workers {
            0 => usize::MAX,
            _ => self.state.lock().able,
        }
    }

    /// Tells a running job that somebody wants it cancelled.
    pub(crate) fn request_cancel(&self, number: JobNumber) {
        if let Some(running) = self.running(number) {
            drive::call(running.cancelled.ask());
        }
    }

    /// No worker has a job.
    pub(crate) fn is_resting(&self) -> bool {
        self.state.lock().running.is_empty()
    }

    /// All jobs on workers, with the names of their threads.
    pub(crate) fn all_running(&self) -> Vec<(JobNumber, String)> {
        let state = self.state.lock();
        state
            .running
            .iter()
            .map(|(&number, on)| (number, on.thread.as_ref().into()))
            .collect()
    }

    pub(crate) fn thread_started(&self) {
        self.state.lock().living += 1;
    }

    pub(crate) fn thread_ended(&self) {
        one_less(&mut self.state.lock().living);
    }

    /// Every thread has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().living == 0
    }
}
