//! The only writer of the store.

use std::collections::VecDeque;
use std::time::Duration;

use jobkeep_store::{JobNumber, QueueStore, RowError, StoreError};

use super::command::{Command, Promise};
use super::inbox::{Intake, Taken};
use super::panics;
use super::pause::Rest;
use super::recover::{Recovered, Trouble};
use super::shared::{Shared, Shutdown};
use crate::clock::Steady;
use crate::core::{Engine, Group};
use crate::event::Event;
use crate::sync::Arc;

/// The committer: the engine, and what it works for.
#[derive(Debug)]
pub(crate) struct Committer {
    pub(super) engine: Engine,
    pub(super) shared: Arc<Shared>,
    /// No job is claimed any more.
    quiet: bool,
    /// Commands that wait for a group, and those that the present one has stepped: a group that is not
    /// written is stepped again.
    pub(super) pending: VecDeque<Command>,
    pub(super) stepped: Vec<Command>,
    /// The group whose commit failed.
    pub(super) failed: Option<Group>,
    /// The store is being tried once more after it refused a group.
    pub(super) again: bool,
    /// The store refuses.
    pub(super) trouble: Option<Trouble>,
    /// What a group failed for since which the store could not be looked at.
    pub(super) unseen: Option<Arc<StoreError>>,
    /// Answers that speak of the commit to come: taken back where it fails.
    pub(super) promised: Vec<Arc<dyn Promise>>,
    /// Jobs whose ends the commit to come records.
    pub(super) settled: Vec<JobNumber>,
    /// Who waits until no job of a queue runs, by the queue's position.
    pub(super) resting: Vec<(u16, Arc<Rest>)>,
    report: Shutdown,
}

impl Committer {
    pub(crate) fn new(engine: Engine, shared: Arc<Shared>) -> Self {
        Self {
            engine,
            shared,
            quiet: false,
            pending: VecDeque::new(),
            stepped: Vec::new(),
            failed: None,
            again: false,
            trouble: None,
            unseen: None,
            promised: Vec::new(),
            settled: Vec::new(),
            resting: Vec::new(),
            report: Shutdown::default(),
        }
    }

    /// The committer's thread: turn after turn, until the manager is shut down or the store fails.
    pub(crate) fn run(mut self) {
        let mut taken = None;
        let ended = panics::catch(|| self.turns(&mut taken));
        let failure = match ended {
            Ok(Ok(())) => None,
            Ok(Err(cause)) => Some(cause),
            Err(caught) => {
                let act = "commit";
                let cause = format!(
                    "the committer panicked at {}: {}",
                    caught.location, caught.message
                );
                Some(StoreError::unknown(act, &self.shared.location, cause))
            }
        };
        self.finish(failure, taken);
    }

    /// What follows the last turn, which took `taken`: the end in order, or after a failure.
    pub(super) fn finish(mut self, failure: Option<StoreError>, taken: Option<Taken>) {
        let shared = Arc::clone(&self.shared);
        // A store that panicked has answered too.
        self.settled.append(&mut shared.health.answered());
        if let Some(cause) = failure {
            let cause = Arc::new(cause);
            let now = shared.clock.now().wall;
            shared.health.poison(&cause, now);
            shared.observe(true, || Event::degraded(cause.to_string(), true, now));
            shared.inbox.poison(cause);
            for pool in &shared.pools {
                drop(pool.stop());
            }
            self.take_back();
            self.report.unrecorded.append(&mut self.settled);
        } else {
            shared.inbox.close();
            self.close();
        }
        // Only now: its callers find out what became of the store.
        drop(taken);
        self.end();
    }

    /// Turn after turn. What the last one took stays in `taken`, its callers still waiting.
    fn turns(&mut self, taken: &mut Option<Taken>) -> Result<(), StoreError> {
        loop {
            *taken = None;
            let until = self.next_wake();
            let nap = self.nap();
            // Lets those who are about to say something say it, so that they share a commit. Where
            // nobody is, this returns at once.
            std::thread::yield_now();
            let slept = self.shared.clock.now().steady;
            let taken = taken.insert(self.shared.inbox.take(nap, until));
            self.make_up_for_absence(slept);
            self.turn(taken)?;
            if self.is_over(&taken.intake) {
                return Ok(());
            }
        }
    }

    /// One turn: everything that waits is stepped, written in one commit, and only then let happen.
    ///
    /// 1. What has become due is ready; what workers took is known.
    /// 2. The commands are stepped, in their order.
    /// 3. Ready jobs are claimed for the pools.
    /// 4. Retention works within its budget.
    /// 5. One commit, claims included.
    /// 6. Claimed jobs go to the pools, those who wait for an end are told, and with the drop of
    ///    `taken` the callers have their answers.
    ///
    /// Where the store refuses, see [`recover`](Self::recover). An error here is the end.
    pub(crate) fn turn(&mut self, taken: &mut Taken) -> Result<(), StoreError> {
        self.pending.extend(taken.commands.drain(..));
        if !matches!(taken.intake, Intake::Open) {
            self.quieten();
        }
        let mut rooms = self.look_at_pools();
        self.look_at_deadlines(&rooms);
        if self.is_refused_still() {
            return self.refuse_meanwhile();
        }
        if self.unseen.is_some() {
            if self.look_again()? == Recovered::Refused {
                return Ok(());
            }
            rooms = self.look_at_pools();
        }
        self.again = self.trouble.is_some();
        while let Err(cause) = self.group(&rooms) {
            if self.recover(cause)? == Recovered::Refused {
                return Ok(());
            }
            // A group that took effect all the same has been handed over.
            rooms = self.look_at_pools();
        }
        self.again = false;
        self.end_trouble();
        Ok(())
    }

    /// Steps what is pending and writes it.
    pub(super) fn group(&mut self, rooms: &[super::pool::View]) -> Result<(), StoreError> {
        self.engine.begin(self.shared.clock.now());
        while let Some(mut command) = self.pending.pop_front() {
            if let Err(cause) = self.step(&mut command) {
                self.pending.push_front(command);
                return Err(cause);
            }
            self.stepped.push(command);
        }
        if !self.quiet {
            self.dispatch(rooms);
        }
        if !self.again {
            self.prune()?;
        }
        self.commit()
    }

    /// Until when the committer may leave ends of jobs unwritten, so that more share a commit: only
    /// while its workers have jobs at hand, and never where one of them is about to have none.
    fn nap(&self) -> Option<Steady> {
        let busy = self.shared.pools.iter().any(|pool| pool.is_filled());
        busy.then(|| self.shared.clock.nap()).flatten()
    }

    /// Until when the committer may sleep if nobody calls.
    pub(super) fn next_wake(&self) -> Option<Steady> {
        /// A sleep towards a wall time is cut into pieces, because the clock may be set meanwhile.
        const PIECE: Duration = Duration::from_secs(30);
        let pools = self.shared.pools.iter();
        let deadlines = pools.filter_map(|pool| pool.first_deadline());
        if let Some(trouble) = &self.trouble {
            // Nothing else that becomes due meanwhile could be done.
            return deadlines.chain([trouble.retry_at]).min();
        }
        let now = self.shared.clock.now();
        let (wall, steady) = self.engine.next_due();
        let wall = wall.map(|due| now.steady.after(due.since(now.wall).min(PIECE)));
        // Of no use during a shutdown, whose end is in order: its moment would pass, and wake for ever.
        let probation = self.engine.probation_due().filter(|_| !self.quiet);
        let rests = self.shared.pools.iter().filter_map(|pool| pool.rest_end());
        let due = wall.into_iter().chain(steady).chain(probation).chain(rests);
        deadlines.chain(due).min()
    }

    fn look_at_pools(&mut self) -> Vec<super::pool::View> {
        let mut taken = Vec::new();
        let now = self.shared.clock.now().steady;
        let views = self
            .shared
            .pools
            .iter()
            .map(|pool| pool.look(&mut taken, now))
            .collect();
        self.engine.mark_taken(&taken);
        views
    }

    fn dispatch(&mut self, views: &[super::pool::View]) {
        let suspect = self.engine.claim_suspect(|queue| {
            let view = views.get(usize::from(queue));
            view.is_some_and(|view| view.room > 0)
        });
        for (queue, view) in (0..).zip(views) {
            let mut room = view.room - usize::from(suspect == Some(queue));
            while room > 0 && self.engine.claim(queue) {
                room -= 1;
            }
            let mut ahead = 0;
            while let Some(order) = self.engine.first_ready(queue)
                && view.overtakes(order, ahead + view.room)
                && self.engine.claim(queue)
            {
                ahead += 1;
            }
        }
    }

    /// The group is not written: nobody is told what it did not make true.
    pub(super) fn take_back(&mut self) {
        for promise in self.promised.drain(..) {
            promise.take_back();
        }
    }

    /// Writes the group, and lets happen what it allows.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        let group = self.engine.end_group().map_err(defect)?;
        if self.again || !group.batch.is_empty() {
            let written = self.call_store(|store| store.commit(&group.batch));
            if let Err(cause) = written {
                self.failed = Some(group);
                return Err(cause);
            }
            self.engine.committed(group.batch.fence());
        }
        self.happen(group);
        Ok(())
    }

    /// Calls the store, and lets others see for how long it does not answer.
    pub(super) fn call_store<T>(&mut self, act: impl FnOnce(&dyn QueueStore) -> T) -> T {
        let shared = Arc::clone(&self.shared);
        let settled = std::mem::take(&mut self.settled);
        let pending = self.pending.iter().filter_map(Command::settles);
        let unrecorded = self.report.unrecorded.iter().copied().chain(pending);
        shared
            .health
            .call(shared.clock.now(), settled, unrecorded.collect());
        let answer = act(&*shared.store);
        self.settled = shared.health.answered();
        answer
    }

    /// The group is written: lets happen what it allows.
    pub(super) fn happen(&mut self, group: Group) {
        self.stepped.clear();
        self.promised.clear();
        if self.quiet {
            self.report.finished += self.settled.len() as u64;
        }
        self.settled.clear();
        self.shared.observers.tell(group.events);
        let mut handed = group.handed.into_iter().peekable();
        while let Some(&(queue, _)) = handed.peek() {
            let of_queue = std::iter::from_fn(|| handed.next_if(|(other, _)| *other == queue));
            let jobs: Vec<_> = of_queue.map(|(_, job)| job).collect();
            if let Some(pool) = self.shared.pools.get(usize::from(queue)) {
                pool.post(jobs.into_iter());
            }
        }
        for &job in &group.unwanted {
            for pool in &self.shared.pools {
                pool.request_cancel(job);
            }
        }
        let mut rung = group.ended;
        rung.extend(group.parked.iter().map(|(number, _)| *number));
        self.shared.parked.change(group.parked, &group.released);
        self.shared.waiters.ring(&rung);
        if self.quiet {
            self.close_waits();
        }
        self.ring_rested();
    }

    /// The first step of a shutdown: nothing is claimed any more, what no worker has taken goes back
    /// untouched, and the next commit says that this is an end in order. Workers end when they are done
    /// with what they have.
    fn quieten(&mut self) {
        if std::mem::replace(&mut self.quiet, true) {
            return;
        }
        self.engine.close();
        if let Some(trouble) = &mut self.trouble {
            trouble.retry_at = Steady::default();
        }
        for pool in &self.shared.pools {
            for (number, token) in pool.stop() {
                self.engine.hand_back(number, token);
                self.report.handed_back += 1;
            }
        }
        self.close_waits();
    }

    /// During a shutdown: nobody waits for a job that does not run.
    fn close_waits(&self) {
        self.shared
            .waiters
            .close_to(self.engine.claimed_jobs().collect());
    }

    /// The last worker has ended, and its settlement is durable; or nobody waits for workers.
    fn is_over(&self, intake: &Intake) -> bool {
        match intake {
            Intake::Open => false,
            // In this order: what a worker said last was here before its thread ended.
            Intake::Draining => {
                self.shared.pools.iter().all(|pool| pool.is_over())
                    && self.shared.inbox.is_empty()
                    && self.pending.is_empty()
                    && self.unseen.is_none()
            }
            Intake::Closed | Intake::Poisoned(_) => true,
        }
    }

    /// Writes what is known of the jobs that still run, and that the opening ends in order, where a store
    /// that refused has not taken that yet. Where it refuses still, they count as interrupted by an unclean
    /// end.
    fn close(&mut self) {
        self.engine.close();
        self.look_at_pools();
        if self.unseen.is_some() {
            self.report.unrecorded.append(&mut self.settled);
            return;
        }
        let now = self.shared.clock.now();
        if self.engine.keep_clocks(now).is_ok() {
            let _ = self.commit();
        }
    }

    /// The last steps: nobody waits in vain, and the store is free for its next owner.
    fn end(mut self) {
        // What came in while the last turn went on. Dropping it answers its callers.
        drop(self.shared.inbox.take(None, Some(Steady::default())));
        self.account();
        self.dismiss_resting();
        let look = |job| self.shared.last_look(job);
        self.shared.waiters.dismiss(&self.shared.clock, look);
        // A store that cannot end in order has said so by its commits, or has lost nothing.
        let opening = self.shared.origin.opening;
        drop(self.call_store(|store| store.close_for(opening)));
        self.shared.observers.end();
        self.shared.ending.announce(self.report);
    }

    /// Every job that a worker took and whose end is not in the store is in the report: as running
    /// where it runs, else as unrecorded, wherever the word of its worker got lost.
    fn account(&mut self) {
        // They have stopped: nothing is taken any more that this does not show.
        self.look_at_pools();
        let running = self.shared.give_up_running(self.shared.clock.now().wall);
        let runs = |job: &JobNumber| {
            running
                .binary_search_by_key(job, |running| running.job)
                .is_ok()
        };
        let lost = self.engine.taken_jobs().filter(|job| !runs(job));
        self.report.unrecorded.extend(lost);
        self.report.still_running.extend(running);
        self.report.unrecorded.sort_unstable();
        self.report.unrecorded.dedup();
    }
}

/// A record that does not encode is no fault of the store's, but the group cannot be written.
pub(super) fn defect(cause: RowError) -> StoreError {
    StoreError::failed("prepare a commit", "the manager", cause)
}
