//! The engine: everything a commit group changes, in one place.

use std::collections::HashMap;
use std::time::Duration;

use jobkeep_store::{
    Batch, Encoded, Ended, Fence, JobNumber, Key, Priority, QueueName, RowError, Space, StateKind,
    StoreId, Timestamp, Token, Totals, UniqueRow, Withdrawn,
};

use super::clocks::Known;
use super::encoded::{Apart, EncodedJob};
use super::expiry::{Expiry, Next};
use super::flight::Flight;
use super::fresh::Fresh;
use super::group::{Counts, Group, Handed};
use super::linger::Lingering;
use super::open::Stored;
use super::parked::Parked;
use super::pause::Pauses;
use super::probation::Probation;
use super::schedule::{Order, Schedule};
use super::settle::Settlement;
use super::state;
use super::unique::Uniques;
use crate::Retention;
use crate::clock::{Now, Steady};
use crate::event::Event;
use crate::observer::Interest;

/// What the engine is told once.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The declared queues, by their positions.
    pub(crate) queues: Vec<QueueName>,
    /// The time-outs of those whose jobs other hosts run, in milliseconds, for jobs that have none.
    pub(crate) pushed: HashMap<u16, u64>,
    pub(crate) retention: Retention,
    pub(crate) key_retention: Duration,
    pub(crate) probation: Duration,
    /// Jobs that threads of this process still run, whose attempts are over.
    pub(crate) stuck: Vec<JobNumber>,
    /// Somebody hears of events.
    pub(crate) observed: Interest,
}

/// The scheduling state of one opening, and the commit group in the making.
#[derive(Debug)]
pub(crate) struct Engine {
    /// The last commit.
    pub(super) fence: Fence,
    pub(super) now: Now,
    pub(super) schedule: Schedule,
    pub(super) flight: Flight,
    pub(super) uniques: Uniques,
    pub(super) expiry: Expiry,
    pub(super) probation: Probation,
    pub(super) lingering: Lingering,
    pub(super) totals: Totals,
    stored_totals: Totals,
    pub(super) clocks: Known,
    /// Rows in *live*.
    pub(super) live: u64,
    pub(super) parked: Parked,
    pub(super) fresh: Fresh,
    pub(super) pauses: Pauses,
    /// The opening ends in order, and whether that is written.
    pub(super) closing: Option<bool>,
    pub(super) observed: Interest,
    pub(super) group: Group,
}

/// Due jobs made ready in one group, at most.
pub(super) const PROMOTIONS: usize = 4_096;

impl Engine {
    pub(super) fn new(
        rules: &Rules,
        fence: Fence,
        totals: Totals,
        withdrawn: HashMap<JobNumber, Withdrawn>,
        batch: Batch,
        now: Now,
    ) -> Self {
        Self {
            fence,
            now,
            schedule: Schedule::new(rules.queues.len()),
            flight: Flight::new(fence.opening),
            uniques: Uniques::new(rules.key_retention),
            expiry: Expiry::new(rules.retention, rules.key_retention, withdrawn),
            probation: Probation::new(rules.probation),
            lingering: Lingering::new(rules.stuck.iter().copied()),
            totals,
            stored_totals: Totals::default(),
            clocks: Known::default(),
            live: 0,
            parked: Parked::default(),
            fresh: Fresh::default(),
            pauses: Pauses::new(&rules.queues),
            closing: None,
            observed: rules.observed,
            group: Group::new(batch),
        }
    }

    /// Begins a step at this moment: makes ready what has become due.
    pub(crate) fn begin(&mut self, now: Now) {
        self.now = now;
        self.flight.note_lasting(now.steady, self.probation.span());
        self.schedule.promote(now, PROMOTIONS);
    }

    /// The row of this idempotency key is still to be [learned](Self::learn_key) in this group.
    pub(crate) fn lacks_key(&self, hash: u64) -> bool {
        !self.uniques.knows(hash)
    }

    /// Takes the row of an idempotency key as the store has it.
    pub(crate) fn learn_key(&mut self, hash: u64, row: UniqueRow) {
        self.uniques.learn(hash, row);
    }

    /// Writes how an attempt ended, and accepts what follows it. A settlement without the current
    /// token changes nothing, and `false` says so.
    ///
    /// The rows of all keys must have been learned. The job's rows move into the batch, and
    /// [come back](Settlement::refill) if it is not written.
    ///
    /// # Errors
    /// Where a record cannot be encoded: a defect.
    pub(crate) fn settle(&mut self, settlement: &mut Settlement) -> Result<bool, RowError> {
        let Settlement {
            number,
            token,
            ref mut job,
            key,
            ref event,
            ref follow_ups,
        } = *settlement;
        let mut event = event.as_deref().cloned();
        let Some(claim) = self.flight.end(number, token) else {
            return Ok(false);
        };
        let mut instead = None;
        if let Some(follow_ups) = follow_ups {
            match self.follow(number, follow_ups) {
                Ok(None) => {}
                Ok(Some(end)) => {
                    event = end.event.map(|event| *event);
                    instead = Some(end.job);
                }
                Err(reason) => {
                    self.park(number, Some(reason.into()));
                    return Ok(false);
                }
            }
        }
        let ending = instead.as_mut().unwrap_or(job);
        // Decided on the worker, before it could know that somebody asked to cancel the job.
        let rows = if claim.cancel_requested
            && let Some(mut record) = ending.record.clone()
            && state::cancel(&mut record, self.now.wall).is_ok()
        {
            event = event.map(|_| Event::of(number, &record, self.now));
            let body = ending.body.take();
            EncodedJob::new(record, ending.line.origins(), body, None)?
        } else {
            ending.take()
        };
        self.group.events.extend(event);
        self.file(number, rows, key);
        Ok(true)
    }

    /// Writes the rows of a job that was live so far.
    pub(super) fn file(&mut self, number: JobNumber, job: EncodedJob, key: Option<u64>) {
        drop(self.fresh.take(number));
        if job.state.is_final() {
            self.file_done(number, job, key);
        } else {
            self.file_live(number, job);
        }
    }

    pub(super) fn file_live(&mut self, number: JobNumber, job: EncodedJob) {
        let EncodedJob {
            line,
            state,
            head,
            columns,
            body,
            ..
        } = job;
        let batch = &mut self.group.batch;
        batch.put_job(Key::live(number), head, columns);
        put_apart(batch, Key::body(number), body);
        if state == StateKind::Parked {
            self.park(number, None);
        } else if line.known && !self.lingering.hold(number, line) {
            self.schedule.insert(number, line);
        }
    }

    fn file_done(&mut self, number: JobNumber, job: EncodedJob, key: Option<u64>) {
        let EncodedJob {
            state,
            head,
            columns,
            body,
            output,
            has_body,
            has_output,
            ..
        } = job;
        let batch = &mut self.group.batch;
        batch.delete(Key::live(number));
        batch.put_job(Key::done(number), head, columns);
        put_apart(batch, Key::body(number), body);
        if let Some(output) = output {
            batch.put(Key::output(number), output);
        }
        let succeeded = state == StateKind::Succeeded;
        let cancelled = state == StateKind::Cancelled;
        match state {
            StateKind::Succeeded => self.totals.succeeded += 1,
            StateKind::Cancelled => self.totals.cancelled += 1,
            _ => self.totals.failed += 1,
        }
        self.expiry.ended(
            succeeded,
            Ended {
                number,
                body: has_body,
                output: has_output,
                cancelled,
            },
        );
        // A job that follows it may have its key by now.
        let is_passed_on =
            |hash| self.uniques.knows(hash) && !self.uniques.is_held_by(hash, number);
        if let Some(hash) = key.filter(|hash| !is_passed_on(*hash)) {
            self.uniques.set_ended(hash, number, Some(self.now.steady));
            self.expiry.key_ended(hash, number);
        }
        debug_assert!(self.live > 0);
        self.live = self.live.saturating_sub(1);
        self.group.ended.push(number);
    }

    /// Workers are known to have taken these, at those moments.
    pub(crate) fn mark_taken(&mut self, taken: &[(JobNumber, Steady)]) {
        for &(number, at) in taken {
            self.flight.mark_taken(number, at);
        }
    }

    /// The order of the next job of a queue that may start.
    pub(crate) fn first_ready(&self, queue: u16) -> Option<Order> {
        self.first(queue).map(|(order, _)| order)
    }

    fn first(&self, queue: u16) -> Option<(Order, Priority)> {
        if self.pauses.holds(queue) {
            return None;
        }
        self.schedule.first(queue)
    }

    /// Claims the next job of a queue; `false` where none is ready, or the queue is paused.
    pub(crate) fn claim(&mut self, queue: u16) -> bool {
        let Some((order, priority)) = self.first(queue) else {
            return false;
        };
        self.schedule.take(queue, priority, order);
        self.hand_over(queue, priority, order, false);
        true
    }

    /// Claims a suspect that may begin, and says in which queue. `has_room` says which queues have a free
    /// worker.
    pub(crate) fn claim_suspect(&mut self, has_room: impl Fn(u16) -> bool) -> Option<u16> {
        let pauses = &self.pauses;
        let may_run = |queue| has_room(queue) && !pauses.holds(queue);
        let suspect = self
            .probation
            .take(self.now.steady, &self.flight, may_run)?;
        self.hand_over(suspect.queue, suspect.priority, suspect.order, true);
        Some(suspect.queue)
    }

    fn hand_over(&mut self, queue: u16, priority: Priority, order: Order, suspect: bool) {
        let ripe = self.probation.span();
        let ripe = ripe.map(|span| self.now.steady.after(span));
        let claim = (queue, priority, order);
        let token = self.flight.claim(claim, suspect, ripe);
        let record = self.fresh.take(order.number);
        self.group.handed.push((
            queue,
            Handed {
                order,
                token,
                record,
            },
        ));
    }

    /// Takes back a claim that no worker took: the job stands where it stood, and nothing was spent.
    pub(crate) fn hand_back(&mut self, number: JobNumber, token: Token) {
        if let Some(claim) = self.flight.hand_back(number, token)
            && !self.probation.put_back(number)
        {
            self.schedule
                .put_back(claim.queue, claim.priority, claim.order);
        }
    }

    /// Has the observer told once the group is durable, where there is one.
    pub(super) fn observe(&mut self, event: impl FnOnce(Now) -> Event) {
        if self.observed.hears(false) {
            self.group.events.push(event(self.now));
        }
    }

    /// The same of what somebody should look at.
    pub(super) fn observe_trouble(&mut self, event: impl FnOnce(Now) -> Event) {
        if self.observed.hears(true) {
            self.group.events.push(event(self.now));
        }
    }

    /// Tells what has been made ready for an observer, once the group is written.
    pub(crate) fn tell(&mut self, event: Option<Event>) {
        self.group.events.extend(event);
    }

    /// Lets retention work, within a budget that grows with what else this group does, so that it
    /// keeps up and never holds up a claim.
    pub(crate) fn prune(&mut self, budget: &mut usize) -> Result<Next, RowError> {
        self.expiry.step(
            &mut self.group.batch,
            self.now.steady,
            &mut self.totals,
            budget,
        )
    }

    /// How many jobs retention may delete in this group.
    pub(crate) fn prune_budget(&self) -> usize {
        const LEAST: usize = 256;
        LEAST.max(2 * self.expiry.ended_now())
    }

    /// Takes a row that [`prune`](Self::prune) asked for.
    pub(crate) fn learn_expiring(
        &mut self,
        space: Space,
        row: Option<(Key, &[u8])>,
    ) -> Result<(), RowError> {
        self.expiry.learn(space, row)
    }

    /// The row that [`prune`](Self::prune) asked for is damaged.
    pub(crate) fn skip_expiring(&mut self, key: Key) {
        self.expiry.skip(key);
    }

    /// Releases idempotency keys whose time is over, of jobs that ended then. Their rows must have been
    /// learned.
    pub(crate) fn expire_keys(&mut self, keys: &[(u64, JobNumber)], ended: Timestamp) {
        for &(hash, job) in keys {
            self.uniques.expire(hash, job, ended);
        }
        self.expiry.keys_gone(&mut self.group.batch);
    }

    /// The group has written a row of this key: what the store shows of it is about to change.
    pub(crate) fn touches(&self, number: JobNumber) -> bool {
        self.group.batch.touches(Key::live(number)) || self.group.batch.touches(Key::done(number))
    }

    /// Ends the group: what is to be committed, and what may happen after.
    ///
    /// # Errors
    /// Where a record cannot be encoded: a defect.
    pub(crate) fn end_group(&mut self) -> Result<Group, RowError> {
        self.check();
        let batch = &mut self.group.batch;
        self.uniques.write(batch)?;
        self.expiry
            .write(batch, self.now.steady, &mut self.totals)?;
        self.pauses.write(batch)?;
        self.write_closing()?;
        let batch = &mut self.group.batch;
        if let Some(in_flight) = self.flight.take_changed(self.now.wall) {
            batch.put(Key::IN_FLIGHT, Encoded::new(&in_flight)?);
        }
        if self.totals != self.stored_totals {
            batch.put(Key::TOTALS, Encoded::new(&self.totals)?);
            self.stored_totals = self.totals;
        }
        if !batch.is_empty() {
            self.clocks.write(batch, self.now)?;
        }
        let next = Fence {
            commit: self.fence.commit + 1,
            ..self.fence
        };
        Ok(std::mem::replace(
            &mut self.group,
            Group::new(Batch::new(next)),
        ))
    }

    /// The group's commit is durable: the next one counts on.
    pub(crate) fn committed(&mut self, fence: Fence) {
        self.closing_written();
        self.flight.committed();
        self.parked.committed();
        self.probation.committed();
        self.fence = fence;
        let next = Fence {
            commit: fence.commit + 1,
            ..fence
        };
        self.group = Group::new(Batch::new(next));
    }

    /// The group is not written: begins anew from what the store has, where every live row is to be
    /// [restored](Self::restore) before anything else happens. What runs goes on running.
    pub(crate) fn roll_back(&mut self, rules: &Rules, stored: Stored) {
        let totals = stored.totals.unwrap_or(self.totals);
        self.flight.roll_back();
        self.parked.roll_back(&self.flight);
        self.probation.roll_back();
        self.lingering.roll_back();
        self.schedule = Schedule::new(rules.queues.len());
        self.pauses = Pauses::new(&rules.queues);
        self.pauses.restore(stored.paused);
        self.uniques = Uniques::new(rules.key_retention);
        self.expiry = Expiry::new(rules.retention, rules.key_retention, stored.withdrawn);
        self.totals = totals;
        self.stored_totals = totals;
        self.clocks.roll_back();
        self.live = 0;
        self.fresh = Fresh::default();
        self.committed(self.fence);
        self.closing = self.closing.map(|_| false);
    }

    /// The moments at which there is work without anybody asking, by each clock.
    pub(crate) fn next_due(&self) -> (Option<jobkeep_store::Timestamp>, Option<Steady>) {
        let (wall, steady) = self.schedule.next_due();
        let expiry = self.expiry.next_due(self.now.steady, &self.totals);
        (wall, steady.into_iter().chain(expiry).min())
    }

    /// When a suspect may begin, or a running job is known not to be to blame for an end of the process.
    pub(crate) fn probation_due(&self) -> Option<Steady> {
        let suspect = self.probation.next_due(self.now.steady, &self.flight);
        self.flight.next_ripe().into_iter().chain(suspect).min()
    }

    /// How many jobs are held back as suspects.
    pub(crate) fn suspects(&self) -> u64 {
        self.probation.waiting()
    }

    /// What is counted is what is there, and no job that lives stands in two places: those that stand in
    /// none are parked.
    fn check(&self) {
        self.schedule.check();
        self.flight.check();
        debug_assert!(self.placed() <= self.live);
    }

    /// How many jobs wait or run.
    fn placed(&self) -> u64 {
        let (held, held_ready) = self.lingering.counts();
        let waiting = self.schedule.ready_count() + self.schedule.later_count();
        waiting + self.probation.waiting() + held + held_ready + self.flight.len()
    }

    pub(crate) fn counts(&self) -> Counts {
        let handed_over = self.flight.len() - self.flight.taken();
        let (held, held_ready) = self.lingering.counts();
        let waiting = self.schedule.ready_count() + self.probation.waiting() + held_ready;
        let ready = waiting + handed_over;
        let scheduled = self.schedule.later_count() + held;
        let running = self.flight.taken();
        Counts {
            scheduled,
            ready,
            running,
            parked: self.live.saturating_sub(scheduled + ready + running),
            succeeded: self.totals.succeeded,
            failed: self.totals.failed,
            cancelled: self.totals.cancelled,
            damaged: self.totals.damaged,
        }
    }

    /// The first number that no job of this store has, nor any after it.
    pub(crate) fn first_number(&self) -> JobNumber {
        JobNumber(self.totals.next_number)
    }

    /// The last commit.
    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    pub(crate) fn store(&self) -> StoreId {
        self.fence.store
    }

    /// Jobs that workers took and whose ends are not known.
    pub(crate) fn taken_jobs(&self) -> impl Iterator<Item = JobNumber> {
        self.flight.taken_jobs()
    }

    pub(crate) fn claimed_jobs(&self) -> impl Iterator<Item = JobNumber> {
        self.flight.jobs()
    }

    /// What is claimed and not settled, by token.
    pub(crate) fn claim_of(&self, number: JobNumber) -> Option<(u16, Token)> {
        self.flight
            .get(number)
            .map(|claim| (claim.queue, claim.token))
    }
}

pub(super) fn put_apart(batch: &mut Batch, key: Key, apart: Apart) {
    match apart {
        Apart::Leave => {}
        Apart::Put(row) => batch.put(key, row),
        Apart::Delete => batch.delete(key),
    }
}
