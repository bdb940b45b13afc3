//! The only writer of the store.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use jobkeep_store::{JobNumber, Key, RowError, Space, StoreError, get_typed};

use super::inbox::{Command, Intake, Promise, Reply, Taken};
use super::panics;
use super::shared::{FindError, Shared, Shutdown, StillRunning};
use crate::Error;
use crate::clock::Steady;
use crate::core::{self, EncodedJob, Engine, Found, KeyClaim, Next, Subject};
use crate::finished::Status;
use crate::sync::Arc;

/// The committer: the engine, and what it works for.
#[derive(Debug)]
pub(crate) struct Committer {
    engine: Engine,
    shared: Arc<Shared>,
    /// No job is claimed any more.
    quiet: bool,
    /// Answers that speak of the commit to come: taken back where it fails.
    promised: Vec<Arc<dyn Promise>>,
    /// Jobs whose ends the commit to come records.
    settled: Vec<JobNumber>,
    report: Shutdown,
}

impl Committer {
    pub(crate) fn new(engine: Engine, shared: Arc<Shared>) -> Self {
        Self {
            engine,
            shared,
            quiet: false,
            promised: Vec::new(),
            settled: Vec::new(),
            report: Shutdown::default(),
        }
    }

    /// The committer's thread: turn after turn, until the manager is shut down or the store fails.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
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
                Some(StoreError::unknown(act, &shared.location, cause))
            }
        };
        if let Some(cause) = failure {
            shared.inbox.poison(Arc::new(cause));
            for pool in &shared.pools {
                drop(pool.stop());
            }
            self.take_back();
        } else {
            shared.inbox.close();
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
            let taken = taken.insert(self.shared.inbox.take(nap, until));
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
    pub(crate) fn turn(&mut self, taken: &mut Taken) -> Result<(), StoreError> {
        self.engine.begin(self.shared.clock.now());
        if !matches!(taken.intake, Intake::Open) {
            self.quieten();
        }
        let rooms = self.look_at_pools();
        for command in taken.commands.drain(..) {
            self.step(command)?;
        }
        if !self.quiet {
            self.dispatch(&rooms);
        }
        self.prune()?;
        self.commit()
    }

    /// Until when the committer may leave ends of jobs unwritten, so that more share a commit: only
    /// while its workers have jobs at hand, and never where one of them is about to have none.
    fn nap(&self) -> Option<Steady> {
        let busy = self.shared.pools.iter().any(|pool| pool.is_filled());
        busy.then(|| self.shared.clock.nap()).flatten()
    }

    /// Until when the committer may sleep if nobody calls.
    fn next_wake(&self) -> Option<Steady> {
        /// A sleep towards a wall time is cut into pieces, because the clock may be set meanwhile.
        const PIECE: Duration = Duration::from_secs(30);
        let now = self.shared.clock.now();
        let (wall, steady) = self.engine.next_due();
        let wall = wall.map(|due| now.steady.after(due.since(now.wall).min(PIECE)));
        wall.into_iter().chain(steady).min()
    }

    fn look_at_pools(&mut self) -> Vec<super::pool::View> {
        let mut numbers = Vec::new();
        let views = self
            .shared
            .pools
            .iter()
            .map(|pool| pool.look(&mut numbers))
            .collect();
        self.engine.mark_taken(&numbers);
        views
    }

    fn dispatch(&mut self, views: &[super::pool::View]) {
        for (queue, view) in (0..).zip(views) {
            let mut room = view.room;
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

    fn step(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Accept { jobs, reply } => self.accept(jobs, reply),
            Command::Settle(settlement) => {
                let number = settlement.number;
                if let Some(hash) = settlement.key {
                    // Where it is damaged, the job ends all the same.
                    let _ = self.learn_key(hash)?;
                }
                if self.engine.settle(*settlement).map_err(defect)? {
                    self.settled.push(number);
                }
                Ok(())
            }
            Command::Unreadable {
                number,
                token,
                reason,
            } => {
                self.engine.park_unreadable(number, token, reason);
                Ok(())
            }
            Command::Look { number, reply } => {
                let status = self.look(number)?;
                self.answer(reply, status);
                Ok(())
            }
            Command::Cancel { number, reply } => {
                self.withdraw(number);
                self.operate(number, reply, Engine::cancel)?;
                for pool in &self.shared.pools {
                    pool.request_cancel(number);
                }
                Ok(())
            }
            Command::Retry { number, reply } => {
                let order = self.shared.order(self.shared.clock.now());
                self.operate(number, reply, |engine, subject| {
                    engine.retry(subject, order)
                })
            }
            Command::Remove { number, reply } => {
                self.withdraw(number);
                self.operate(number, reply, Engine::remove)
            }
            Command::Count { reply } => {
                let counts = self.engine.counts();
                self.answer(reply, Ok(counts));
                Ok(())
            }
        }
    }

    fn accept(
        &mut self,
        jobs: Vec<(EncodedJob, Option<KeyClaim>)>,
        reply: Reply<Vec<JobNumber>>,
    ) -> Result<(), StoreError> {
        for (job, claim) in &jobs {
            if let Some(claim) = claim
                && let Err(damage) = self.learn_key(claim.hash)?
            {
                let (name, key) = job.name_and_key().unwrap_or_default();
                self.answer(reply, Err(Error::key_damaged(name, key, damage)));
                return Ok(());
            }
        }
        let accepted = self.engine.accept(jobs);
        self.answer(reply, accepted);
        Ok(())
    }

    /// Leaves an answer, which stands if the commit to come succeeds.
    fn answer<T: fmt::Debug + Send + 'static>(
        &mut self,
        reply: Reply<T>,
        answer: Result<T, Error>,
    ) {
        reply.give(answer);
        self.promised.push(reply.promise());
    }

    /// The commit to come has failed: nobody is told what it did not make true.
    fn take_back(&mut self) {
        for promise in self.promised.drain(..) {
            promise.take_back();
        }
        self.report.unrecorded.append(&mut self.settled);
    }

    /// Gives the engine the row of an idempotency key, once a group. A damaged row is the inner
    /// error: the engine does not learn it, and so leaves it as it is.
    fn learn_key(&mut self, hash: u64) -> Result<Result<(), StoreError>, StoreError> {
        if self.engine.lacks_key(hash) {
            match get_typed(&*self.shared.store, Key::new(Space::Unique, hash)) {
                Ok(row) => self.engine.learn_key(hash, row.unwrap_or_default()),
                Err(damage) if damage.is_damaged() => return Ok(Err(damage)),
                Err(cause) => return Err(cause),
            }
        }
        Ok(Ok(()))
    }

    /// Takes a job back that was handed over and not taken.
    fn withdraw(&mut self, number: JobNumber) {
        if let Some((queue, token)) = self.engine.claim_of(number)
            && let Some(pool) = self.shared.pools.get(usize::from(queue))
            && pool.withdraw(number)
        {
            self.engine.hand_back(number, token);
        }
    }

    fn operate(
        &mut self,
        number: JobNumber,
        reply: Reply<()>,
        act: impl FnOnce(&mut Engine, Subject) -> core::Operated<()>,
    ) -> Result<(), StoreError> {
        let subject = match self.subject(number)? {
            Ok(subject) => subject,
            Err(error) => {
                self.answer(reply, Err(error));
                return Ok(());
            }
        };
        let done = act(&mut self.engine, subject).map_err(defect)?;
        self.answer(reply, done);
        Ok(())
    }

    /// What the store and the configuration say of a job.
    fn subject(&mut self, number: JobNumber) -> Result<Result<Subject, Error>, StoreError> {
        let found = match self.find(number)? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let (mut origins, mut key) = (None, None);
        if let Found::Live(record) | Found::Done(record) = &found {
            origins = self.shared.origins(record.queue.as_str(), &record.name);
            let store = self.shared.origin.store;
            key = record
                .key
                .as_ref()
                .map(|key| core::key_hash(store, &record.name, key));
        }
        if let Some(hash) = key
            && self.learn_key(hash)?.is_err()
        {
            // Nobody else can claim it, and it keeps nobody from acting on the job.
            key = None;
        }
        Ok(Ok(Subject {
            number,
            found,
            origins,
            key,
        }))
    }

    /// The job as this group has left it.
    fn find(&mut self, number: JobNumber) -> Result<Result<Found, Error>, StoreError> {
        if self.engine.touches(number) {
            // What the store shows of it is not what this group has made of it.
            self.commit()?;
        }
        let found = self.shared.find(number);
        Ok(found.map_err(|cause| find_failed(number, cause)))
    }

    fn look(&mut self, number: JobNumber) -> Result<Result<Status, Error>, StoreError> {
        let record = match self.find(number)? {
            Ok(Found::Live(record) | Found::Done(record)) => *record,
            Ok(Found::Nowhere) => return Ok(Err(self.engine.nowhere(number))),
            Err(error) => return Ok(Err(error)),
        };
        let running = self
            .shared
            .pools
            .iter()
            .find_map(|pool| pool.running(number));
        let origins = self.shared.origins(record.queue.as_str(), &record.name);
        let (state, parked) = self.engine.stand(number, &record, origins);
        let progress = running.and_then(|running| *running.progress.lock());
        Ok(Ok(Status {
            state,
            parked,
            record,
            progress,
        }))
    }

    fn prune(&mut self) -> Result<(), StoreError> {
        let mut budget = self.engine.prune_budget();
        loop {
            match self.engine.prune(&mut budget).map_err(defect)? {
                Next::Rest => return Ok(()),
                Next::Read(space, from) => self.read_front(space, from)?,
                Next::Keys(keys) => {
                    for (hash, _) in &keys {
                        // A damaged one holds its keys for ever: the lesser evil.
                        let _ = self.learn_key(*hash)?;
                    }
                    self.engine.expire_keys(&keys);
                }
            }
        }
    }

    /// Gives the engine the first row of an expiring space.
    fn read_front(&mut self, space: Space, from: u64) -> Result<(), StoreError> {
        let mut learned = Ok(());
        let mut key = None;
        let engine = &mut self.engine;
        Shared::each_row(&*self.shared.store, space, from, &mut |found, row| {
            key = Some(found);
            learned = engine.learn_expiring(space, Some((found, row)));
            ControlFlow::Break(())
        })?;
        match (key, learned) {
            (Some(_), Ok(())) => Ok(()),
            // Its jobs are kept for ever: the lesser evil, and `verify` tells.
            (Some(key), Err(_)) => {
                engine.skip_expiring(key);
                Ok(())
            }
            (None, _) => engine.learn_expiring(space, None).map_err(defect),
        }
    }

    /// Writes the group, and lets happen what it allows.
    fn commit(&mut self) -> Result<(), StoreError> {
        let group = self.engine.end_group().map_err(defect)?;
        if !group.batch.is_empty() {
            self.shared.store.commit(&group.batch)?;
            self.engine.committed(group.batch.fence());
        }
        self.promised.clear();
        if self.quiet {
            self.report.finished += self.settled.len() as u64;
        }
        self.settled.clear();
        let mut handed = group.handed.into_iter().peekable();
        while let Some(&(queue, _)) = handed.peek() {
            let of_queue = std::iter::from_fn(|| handed.next_if(|(other, _)| *other == queue));
            let jobs: Vec<_> = of_queue.map(|(_, job)| job).collect();
            if let Some(pool) = self.shared.pools.get(usize::from(queue)) {
                pool.post(jobs.into_iter());
            }
        }
        self.shared.waiters.ring(&group.ended);
        Ok(())
    }

    /// The first step of a shutdown: nothing is claimed any more, and what no worker has taken goes
    /// back untouched. Workers end when they are done with what they have.
    fn quieten(&mut self) {
        if std::mem::replace(&mut self.quiet, true) {
            return;
        }
        for pool in &self.shared.pools {
            for (number, token) in pool.stop() {
                self.engine.hand_back(number, token);
                self.report.handed_back += 1;
            }
        }
    }

    /// The last worker has ended, and its settlement is durable; or nobody waits for workers.
    fn is_over(&self, intake: &Intake) -> bool {
        match intake {
            Intake::Open => false,
            // In this order: what a worker said last was here before its thread ended.
            Intake::Draining => {
                self.shared.pools.iter().all(|pool| pool.is_over()) && self.shared.inbox.is_empty()
            }
            Intake::Closed | Intake::Poisoned(_) => true,
        }
    }

    /// The last steps: nobody waits in vain, and the store is free for its next owner.
    fn end(mut self) {
        // What came in while the last turn went on. Dropping it answers its callers.
        drop(self.shared.inbox.take(None, Some(Steady::default())));
        self.account();
        self.shared.waiters.dismiss(&self.shared.clock);
        // A store that cannot end in order has said so by its commits, or has lost nothing.
        drop(self.shared.store.close());
        self.shared.ending.announce(self.report);
    }

    /// Every job that a worker took and whose end is not in the store is in the report: as running
    /// where it runs, else as unrecorded, wherever the word of its worker got lost.
    fn account(&mut self) {
        // They have stopped: nothing is taken any more that this does not show.
        self.look_at_pools();
        let pools = &self.shared.pools;
        let mut running: HashMap<_, _> = pools.iter().flat_map(|pool| pool.all_running()).collect();
        for job in self.engine.taken_jobs() {
            let Some(thread) = running.remove(&job) else {
                self.report.unrecorded.push(job);
                continue;
            };
            for pool in pools {
                pool.request_cancel(job);
            }
            self.report.still_running.push(StillRunning { job, thread });
        }
        self.report.unrecorded.sort_unstable();
        self.report.unrecorded.dedup();
    }
}

/// A record that does not encode is no fault of the store's, but the group cannot be written.
fn defect(cause: RowError) -> StoreError {
    StoreError::failed("prepare a commit", "the manager", cause)
}

pub(crate) fn find_failed(number: JobNumber, cause: FindError) -> Error {
    match cause {
        FindError::Store(cause) => Error::store(format_args!("look up job {number}"), cause),
        FindError::SetAside(reason) => Error::set_aside(number, reason),
        damage @ (FindError::Row(_) | FindError::Missing(_)) => Error::damaged(number, damage),
    }
}
