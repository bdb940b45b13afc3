//! Threads that run jobs of other hosts' stores, and nothing else: so they starve none of this host's
//! own, and none of their claims is in this store.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use jobkeep_store::{JobNumber, StoreId};

use super::count::one_less;
use super::drive;
use super::living;
use super::panics;
use super::shared::Shared;
use super::signal::{Signal, Woken};
use crate::carry::{Answer, End, Foreign, Refused};
use crate::clock::{Clock, Now, Steady, Wake};
use crate::context::{Limit, Running};
use crate::sync::{Arc, Mutex};

/// Where an answer goes.
pub(crate) type Done = Box<dyn FnOnce(Answer) + Send>;

/// A job wherever it is stored.
type Id = (StoreId, JobNumber);

/// The executors: as many threads as the host offers to others, and one that sees to their deadlines.
///
/// 1. Under the lock, a job is taken in only where an executor is free, which it counts as its own from
///    then on; one executor is woken for it.
/// 2. The job is answered by whoever takes it out under the lock: its executor when it has ended, or the
///    watch at its deadline. So it is answered once.
/// 3. At the deadline its thread is entered in [`living`] under the same lock. Until that thread has
///    returned the same job is refused, and another thread stands in for it, up to as many as there are
///    executors.
/// 4. To halt, the mark is set under the lock, and then all are woken. What was taken in still runs; an
///    executor ends when nothing waits, and the watch when nothing runs.
/// 5. Who shuts down waits until nothing runs, for as long as the grace lasts. What runs longer is left
///    to its threads, and its answer is dropped: its caller learns that by the drop.
pub(crate) struct Executors {
    pub(super) threads: usize,
    state: Mutex<State>,
    /// For the executors: a job waits, or there will be none any more.
    work: Signal,
    /// For the watch and for who shuts down: another deadline is the first, or the last job has ended.
    changed: Signal,
}

#[derive(Default)]
struct State {
    /// Taken in, each with an executor on its way.
    waiting: VecDeque<Work>,
    /// Taken in and not answered.
    jobs: HashMap<Id, Job>,
    deadlines: BTreeSet<(Steady, Id)>,
    /// Jobs that were given up, with the names of the threads that still run them.
    stuck: HashMap<Id, Arc<str>>,
    /// Executors that no job has.
    idle: usize,
    /// Threads that are not stuck.
    able: usize,
    /// Threads beyond the executors, each for a stuck one.
    substitutes: usize,
    /// The place of the last thread that was started.
    place: usize,
    stopping: bool,
    threads: Vec<JoinHandle<()>>,
}

struct Job {
    done: Done,
    running: Arc<Running>,
    deadline: Steady,
    /// Where an executor has begun it.
    thread: Option<Arc<str>>,
}

/// A job for an executor.
pub(super) struct Work {
    pub(super) foreign: Foreign,
    pub(super) running: Arc<Running>,
}

impl Work {
    pub(super) fn id(&self) -> Id {
        (self.foreign.store, self.foreign.job)
    }
}

/// What the watch found to be over.
#[derive(Default)]
pub(super) struct Overdue {
    answers: Vec<(Done, Answer)>,
    /// Those who wait for their job to be told to stop.
    tasks: Vec<Waker>,
    /// The places of threads to start.
    pub(super) substitutes: Vec<usize>,
}

impl Overdue {
    /// Answers the callers.
    pub(super) fn answer(&mut self) {
        drive::call(std::mem::take(&mut self.tasks));
        for (done, answer) in self.answers.drain(..) {
            tell(done, answer);
        }
    }
}

/// How long whoever meets with a full host should wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Executors {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads,
            state: Mutex::default(),
            work: Signal::default(),
            changed: Signal::default(),
        }
    }

    /// Takes a job in, or says why not: then nothing of it is begun.
    pub(super) fn take_in(&self, foreign: Foreign, now: Now, done: Done) -> Result<(), Refused> {
        let id = (foreign.store, foreign.job);
        let deadline = now.steady.after(Duration::from_millis(foreign.deadline_ms));
        let mut state = self.state.lock();
        if state.stopping {
            return Err(Refused::ShutDown);
        }
        if state.jobs.contains_key(&id) || state.stuck.contains_key(&id) || living::has(id) {
            return Err(Refused::Busy);
        }
        if state.idle == 0 {
            return Err(Refused::Full {
                retry_after: RETRY_AFTER,
            });
        }
        one_less(&mut state.idle);
        let running = Arc::new(Running::new(foreign.job));
        *running.limit.lock() = Some(Limit {
            began: now,
            deadline,
            timeout_ms: foreign.deadline_ms,
        });
        let job = Job {
            done,
            running: Arc::clone(&running),
            deadline,
            thread: None,
        };
        state.jobs.insert(id, job);
        state.deadlines.insert((deadline, id));
        state.waiting.push_back(Work { foreign, running });
        let is_first = state.deadlines.first() == Some(&(deadline, id));
        state.check(self);
        drop(state);
        self.work.wake_one();
        if is_first {
            self.changed.wake_all();
        }
        Ok(())
    }

    /// The next job for an executor, or `None` when it is to end.
    pub(super) fn next(&self, thread: &Arc<str>, clock: &Clock) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                if let Some(job) = state.jobs.get_mut(&work.id()) {
                    job.thread = Some(Arc::clone(thread));
                }
                return Some(work);
            }
            if state.stopping {
                return None;
            }
            self.work.wait(&mut state, clock, None);
        }
    }

    /// An executor is done with its job, which ended like this; `false` where it is to end, because
    /// another thread stands in for it.
    pub(super) fn end(&self, id: Id, answer: Answer) -> bool {
        let mut state = self.state.lock();
        if state.stuck.remove(&id).is_some() {
            let vacant = self.take_post(&mut state);
            drop(state);
            living::returned(id);
            return vacant;
        }
        state.idle += 1;
        let job = state.jobs.remove(&id);
        if let Some(job) = &job {
            state.deadlines.remove(&(job.deadline, id));
        }
        state.check(self);
        self.may_be_over(&state);
        drop(state);
        if let Some(job) = job {
            tell(job.done, answer);
        }
        true
    }

    /// Waits for the first deadline and gives up the jobs whose deadlines are over; `None` where there
    /// will be no more.
    pub(super) fn watch(&self, clock: &Clock) -> Option<Overdue> {
        let mut state = self.state.lock();
        loop {
            if state.stopping && state.jobs.is_empty() {
                return None;
            }
            let now = clock.now();
            if state
                .deadlines
                .first()
                .is_some_and(|(due, _)| *due <= now.steady)
            {
                let overdue = self.give_up(&mut state, now);
                state.check(self);
                self.may_be_over(&state);
                return Some(overdue);
            }
            let first = state.deadlines.first().map(|(due, _)| *due);
            self.changed.wait(&mut state, clock, first);
        }
    }

    fn give_up(&self, state: &mut State, now: Now) -> Overdue {
        let mut overdue = Overdue::default();
        while let Some(&(due, id)) = state.deadlines.first()
            && due <= now.steady
        {
            state.deadlines.pop_first();
            let Some(job) = state.jobs.remove(&id) else {
                continue;
            };
            let limit = *job.running.limit.lock();
            let end = End::TimedOut(limit.map_or(0, |limit| limit.timeout_ms));
            overdue.tasks.extend(state.abandon(id, &job, now));
            let answer = Answer {
                left: None,
                end,
                log: job.running.log.lock().clone(),
            };
            overdue.answers.push((job.done, answer));
            if job.thread.is_some() && state.substitutes < self.threads && !state.stopping {
                state.substitutes += 1;
                state.place += 1;
                overdue.substitutes.push(state.place);
            }
        }
        overdue
    }

    /// The thread of this place is an executor from now on.
    pub(super) fn join_in(&self, place: usize) {
        let mut state = self.state.lock();
        state.place = state.place.max(place);
        state.able += 1;
        state.idle += 1;
    }

    /// A new thread takes the post of a stuck one; `false` where that has returned meanwhile, and keeps
    /// it.
    pub(super) fn stand_in(&self) -> bool {
        self.take_post(&mut self.state.lock())
    }

    /// The thread is an executor where one is missing, else one too many, which is to end.
    fn take_post(&self, state: &mut State) -> bool {
        let vacant = state.able < self.threads;
        if vacant {
            state.able += 1;
            state.idle += 1;
        } else {
            one_less(&mut state.substitutes);
        }
        state.check(self);
        vacant
    }

    /// The new thread could not be started.
    pub(super) fn no_substitute(&self) {
        one_less(&mut self.state.lock().substitutes);
    }

    /// Takes nothing in any more.
    pub(crate) fn halt(&self) {
        self.state.lock().stopping = true;
        self.work.wake_all();
        self.changed.wake_all();
    }

    /// A thread has not returned from a job that was given up.
    #[cfg(jobkeep_model)]
    pub(super) fn is_stuck(&self) -> bool {
        !self.state.lock().stuck.is_empty()
    }

    fn may_be_over(&self, state: &State) {
        if state.stopping && state.jobs.is_empty() {
            self.changed.wake_all();
        }
    }

    /// Waits until nothing runs, until that moment, and joins the threads that have ended. What still
    /// runs is given up.
    pub(crate) fn wait(&self, clock: &Clock, until: Steady) {
        let mut state = self.state.lock();
        while !state.jobs.is_empty() {
            if self.changed.wait(&mut state, clock, Some(until)) == Woken::Due {
                break;
            }
        }
        let left = std::mem::take(&mut state.jobs);
        let mut tasks = Vec::new();
        for (id, job) in &left {
            tasks.extend(state.abandon(*id, job, clock.now()));
        }
        state.deadlines.clear();
        state.check(self);
        let threads = std::mem::take(&mut state.threads);
        let (stuck, ended): (Vec<_>, Vec<_>) = threads.into_iter().partition(|thread| {
            let name = thread.thread().name();
            let mut at_work = state.stuck.values();
            at_work.any(|stuck| name == Some(stuck.as_ref()))
        });
        state.threads = stuck;
        self.may_be_over(&state);
        drop(state);
        drive::call(tasks);
        // Their callers learn by this that nobody answers.
        drop(left);
        for thread in ended {
            // They catch what jobs throw.
            drop(thread.join());
        }
    }

    /// The thread is joined in the end.
    pub(super) fn keep(&self, thread: JoinHandle<()>) {
        keep(&mut self.state.lock().threads, thread);
    }
}

/// Keeps a thread beside others, and forgets those that have ended: until then the system keeps their
/// stacks, and each job that overruns may leave one.
pub(super) fn keep(threads: &mut Vec<JoinHandle<()>>, thread: JoinHandle<()>) {
    threads.retain(|thread| !thread.is_finished());
    threads.push(thread);
}

impl State {
    /// Each executor that is not stuck is idle or has a job.
    fn check(&self, executors: &Executors) {
        debug_assert_eq!(self.idle + self.jobs.len(), self.able);
        debug_assert!(self.able <= executors.threads);
        debug_assert!(self.substitutes <= executors.threads);
    }

    /// The job's attempt is over for everybody but its thread, where it has one. Gives the tasks that
    /// wait for that.
    fn abandon(&mut self, id: Id, job: &Job, now: Now) -> Vec<Waker> {
        let tasks = job.running.cancelled.ask();
        if let Some(thread) = &job.thread {
            self.able = self.able.saturating_sub(1);
            living::enter(id, "executors", thread, now.wall);
            self.stuck.insert(id, Arc::clone(thread));
        } else {
            self.waiting.retain(|work| work.id() != id);
            self.idle += 1;
        }
        tasks
    }
}

/// What hears an answer is somebody else's.
fn tell(done: Done, answer: Answer) {
    drop(panics::catch(|| done(answer)));
}

impl Shared {
    /// Runs a job of another store on an executor of this host, and hands what became of it to `done`:
    /// once, and by the job's deadline. `done` is dropped uncalled where this manager ends before the
    /// job does. It is called on one of the manager's threads, and must not wait.
    ///
    /// Nothing of the job is written here, no observer hears of it, and it has no checkpoints and no jobs
    /// that follow.
    #[cfg_attr(
        not(any(feature = "http-server", feature = "testing")),
        expect(dead_code, reason = "only the remote protocol and tests call it")
    )]
    pub(crate) fn execute_now(
        &self,
        foreign: Foreign,
        done: impl FnOnce(Answer) + Send + 'static,
    ) -> Result<(), Refused> {
        // Whatever the job: no other would be taken in either.
        if self.executors.threads == 0 {
            return Err(Refused::NoExecutors);
        }
        if !self.registry.knows(&foreign.name) {
            return Err(Refused::UnknownName);
        }
        let now = self.clock.now();
        self.executors.take_in(foreign, now, Box::new(done))
    }
}

impl fmt::Debug for Executors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executors")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Wake for Executors {
    fn wake(&self) {
        self.changed.wake_from(&self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_have_ended_are_not_kept() {
        let executors = Executors::new(1);
        for place in 0..100 {
            let thread = std::thread::Builder::new().name(format!("executor-{place}"));
            let thread = thread.spawn(|| {}).unwrap();
            while !thread.is_finished() {
                std::thread::yield_now();
            }
            executors.keep(thread);
        }
        assert_eq!(executors.state.lock().threads.len(), 1);
    }
}
