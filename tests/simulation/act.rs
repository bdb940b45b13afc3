//! One step of a history.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use jobkeep::testing::{Fault, Lasting, Operation};
use jobkeep::{Draft, NewJob, Priority, Timestamp};
use jobkeep_store::{Due, JobNumber, Key, Paused, State, Token, open_row};

use crate::model::{Offer, Op, Row, Verdict, place};
use crate::steps::{Bad, End, New, Step, When};
use crate::world::{
    Asked, OnWorker, QUEUES, SCRIPT, SHARED_ATTEMPTS, START, Work, World, id, is_shared,
};

impl World {
    pub(crate) fn step(&mut self, step: Step) -> Verdict {
        self.tally.steps += 1;
        if self.process.is_none() {
            self.open(None)?;
        }
        match step {
            Step::Enqueue(new) => self.enqueue(&[new]),
            Step::Batch(one, other) => self.enqueue(&[one, other]),
            Step::Turn => self.turn(None),
            Step::BadTurn(bad) => self.turn(Some(bad)),
            Step::Heal => {
                self.full = false;
                self.faults.disarm();
                Ok(())
            }
            Step::Take(queue) => self.take(queue % QUEUES.len()),
            Step::Checkpoint(pick) => self.checkpoint(pick),
            Step::End(pick, end) => self.end(pick, end),
            Step::Cancel(pick) => self.operate(pick, Op::Cancel),
            Step::Retry(pick) => self.operate(pick, Op::Retry),
            Step::Amend(pick) => self.operate(pick, Op::Amend),
            Step::Remove(pick) => self.operate(pick, Op::Remove),
            Step::Pause(queue) => self.pause(queue, true),
            Step::Resume(queue) => self.pause(queue, false),
            Step::Advance(ms) => {
                self.advance(ms);
                Ok(())
            }
            Step::SetWall(by) => {
                self.set_wall(by);
                Ok(())
            }
            Step::Crash => self.crash(),
            Step::Away(by) => {
                self.crash()?;
                self.set_wall(by);
                Ok(())
            }
            Step::Torn(done) => self.torn(done),
            Step::BadOpen(nth) => {
                self.crash()?;
                let fault = Fault::nth(Operation::Any, nth);
                self.open(Some(if nth % 2 == 0 {
                    fault.but_done()
                } else {
                    fault
                }))
            }
            Step::ShutDown(turns) => self.shut_down(turns),
            Step::Usurp => self.usurp(),
        }
    }

    fn set_wall(&self, by: i64) {
        let wall = self.wall().0.saturating_add_signed(by).max(START);
        self.clock.set_wall(Timestamp(wall));
    }

    pub(crate) fn advance(&mut self, ms: u64) {
        let span = Duration::from_millis(ms);
        self.clock.advance(span);
        self.steady = self.steady.after(span);
    }

    fn draft(&mut self, new: &New) -> (Draft, u64) {
        let id = id(new.key, self.next_id);
        self.next_id += 1;
        let shared = is_shared(id);
        let pad = "x".repeat(if new.large && !shared { 700 } else { 0 });
        let attempts = if shared {
            SHARED_ATTEMPTS
        } else {
            new.attempts
        };
        let priorities = [
            Priority::Normal,
            Priority::Urgent,
            Priority::High,
            Priority::Low,
        ];
        let mut job = NewJob::new(Work { id, runs: 0, pad })
            .queue(QUEUES[new.queue].0)
            .priority(priorities[new.priority % 4])
            .attempts(attempts)
            .backoff(Duration::from_secs(2), Duration::from_secs(20));
        let (wall, steady) = (self.wall().0, self.steady.0);
        let state;
        (job, state) = match new.when {
            When::After(ms @ 1..) => {
                let (due, by) = (Timestamp(steady + ms), Due::Delay);
                let job = job.delay(Duration::from_millis(ms));
                (job, State::Scheduled { due, by })
            }
            When::At(ms @ 1..) => {
                let (due, by) = (Timestamp(wall + ms), Due::Wall);
                let job = job.run_at(UNIX_EPOCH + Duration::from_millis(due.0));
                (job, State::Scheduled { due, by })
            }
            When::Now | When::After(0) | When::At(0) => (job, State::Ready),
        };
        if let Some(key) = new.key {
            job = job.key(key.to_string());
        }
        if let Some(ms) = new.timeout {
            job = job.timeout(Duration::from_millis(ms));
        }
        self.offer(id, (new.key, attempts, Some(state)), None);
        (job.draft().unwrap(), id)
    }

    fn offer(
        &mut self,
        id: u64,
        (key, attempts, state): (Option<u64>, u32, Option<State>),
        follows: Option<JobNumber>,
    ) {
        let offer = Offer {
            key,
            attempts,
            state,
            number: None,
            refused: false,
            follows: follows.filter(|_| !is_shared(id)),
        };
        self.model.offers.entry(id).or_insert(offer);
    }

    fn enqueue(&mut self, new: &[New]) -> Verdict {
        let (drafts, ids): (Vec<_>, Vec<_>) = new.iter().map(|new| self.draft(new)).unzip();
        let Some(process) = &self.process else {
            return Ok(());
        };
        if new.iter().all(|new| new.buffered && new.key.is_none()) {
            match process.buffer(drafts) {
                Ok(first) => {
                    for (number, id) in (first.0..).zip(ids) {
                        self.model.buffered.insert(JobNumber(number));
                        if let Some(offer) = self.model.offers.get_mut(&id) {
                            offer.number = Some(JobNumber(number));
                        }
                    }
                }
                Err(_) => self.model.refuse(&ids)?,
            }
            return Ok(());
        }
        match process.enqueue(drafts) {
            Ok(answer) => self.asked.push(Asked::Accept(answer, ids)),
            Err(_) => self.model.refuse(&ids)?,
        }
        Ok(())
    }

    fn operate(&mut self, pick: usize, op: Op) -> Verdict {
        let (rows, process) = (&self.model.rows, &self.process);
        let (Some((&number, row)), Some(process)) = (
            rows.iter().nth(pick.checked_rem(rows.len()).unwrap_or(0)),
            process,
        ) else {
            return Ok(());
        };
        let answer = match op {
            Op::Cancel => process.cancel(number),
            Op::Retry => process.retry(number),
            Op::Amend => process.amend(
                number,
                &Work {
                    id: row.id,
                    runs: 200,
                    pad: "x".repeat(700 * (pick % 2)),
                },
            ),
            Op::Remove => process.remove(number),
        };
        if let Ok(answer) = answer {
            self.model.ops.push((number, op));
            self.asked.push(Asked::Operate(answer, number, op));
        }
        Ok(())
    }

    fn pause(&mut self, queue: usize, paused: bool) -> Verdict {
        let (name, _) = QUEUES[queue % QUEUES.len()];
        if let Some(process) = &self.process {
            let answer = if paused {
                process.pause(name)
            } else {
                process.resume(name)
            };
            self.asked.extend(answer.map(Asked::Other));
        }
        Ok(())
    }

    pub(crate) fn arm(&self, bad: Bad) {
        let commit = |nth| Fault::nth(Operation::Commit, nth);
        self.faults.arm(match bad {
            Bad::Commit(nth) => commit(nth),
            Bad::CommitDone(nth) => commit(nth).but_done(),
            Bad::UntilReopened(nth) => commit(nth).lasting(Lasting::UntilReopened),
            Bad::Full => commit(1).full().lasting(Lasting::UntilDisarmed),
            Bad::Unknown(false) => commit(1).unknown(),
            Bad::Unknown(true) => commit(1).unknown_but_done(),
            Bad::Reopen(nth) => {
                self.faults.arm(Fault::next(Operation::Reopen));
                commit(nth)
            }
            Bad::Get(nth) => Fault::nth(Operation::Get, nth),
            Bad::Scan(nth) => Fault::nth(Operation::Scan, nth),
        });
    }

    pub(crate) fn turn(&mut self, bad: Option<Bad>) -> Verdict {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        if let Some(bad) = bad {
            self.arm(bad);
            self.full |= bad == Bad::Full;
        }
        let before = self.model.in_flight.clone();
        self.model.written.clear();
        self.model.refuses = bad.is_some() || self.full;
        let turned = process.turn();
        self.settle_faults(bad);
        self.follow()?;
        if std::mem::take(&mut self.model.refuses) {
            // Written later, or lost with the group that was refused twice.
            self.model.buffered.clear();
        }
        self.answers()?;
        self.model.nothing_is_lost()?;
        match turned {
            Ok(()) => {
                let works = process.works();
                if works {
                    self.model.nothing_is_buffered()?;
                }
                self.process = Some(process);
                if works && !self.lies {
                    self.look(&before, bad.is_some())?;
                }
            }
            Err(cause) => {
                let may = match bad {
                    Some(Bad::Unknown(_)) => true,
                    // The store refuses, and is to be read anew.
                    Some(Bad::Get(_) | Bad::Scan(_)) => self.full,
                    _ => false,
                };
                let text = cause.to_string();
                if !may || text.contains("panicked") {
                    return Err(format!("the manager has ended after {bad:?}: {text}"));
                }
                self.ended();
            }
        }
        Ok(())
    }

    pub(crate) fn settle_faults(&mut self, bad: Option<Bad>) {
        if bad.is_some() && self.faults.is_spent() {
            self.tally.faults += 1;
        }
        self.faults.disarm();
        if self.full {
            self.arm(Bad::Full);
        }
    }

    /// The manager has ended, and the process lives on: threads that are at a job stay there.
    pub(crate) fn ended(&mut self) {
        self.tally.ends += 1;
        self.process = None;
        self.asked.clear();
        self.model.ops.clear();
        self.model.manager_ended();
        for worker in &mut self.workers {
            worker.ours = false;
            worker.waits = false;
        }
    }

    pub(crate) fn answers(&mut self) -> Verdict {
        for asked in std::mem::take(&mut self.asked) {
            match asked {
                Asked::Accept(mut answer, ids) => match answer.take() {
                    None => self.asked.push(Asked::Accept(answer, ids)),
                    Some(Ok(numbers)) if !self.lies => {
                        self.tally.accepted += numbers.len() as u64;
                        self.model.acknowledge(&numbers, &ids)?;
                    }
                    Some(Err(error)) if !error.is_unknown() => self.model.refuse(&ids)?,
                    Some(_) => {}
                },
                Asked::Operate(mut answer, number, op) => match answer.take() {
                    None => self.asked.push(Asked::Operate(answer, number, op)),
                    Some(_) => {
                        self.model.take_op(number, op);
                    }
                },
                Asked::Other(mut answer) => {
                    if answer.take().is_none() {
                        self.asked.push(Asked::Other(answer));
                    }
                }
            }
        }
        for worker in self.workers.iter_mut().filter(|worker| worker.waits) {
            if worker.attempt.settle_checkpoint() {
                worker.waits = false;
                if let Some(current) = self.model.current.get_mut(&worker.attempt.number()) {
                    current.checkpoints = 0;
                }
            }
        }
        Ok(())
    }

    /// The job is ready, and nothing keeps it from being claimed.
    pub(crate) fn is_due(&self, number: JobNumber, row: &Row) -> bool {
        let due = match row.record.state {
            State::Ready => true,
            // What falls due is looked at before ends are.
            _ if self.model.written.contains(&number) => false,
            State::Scheduled { due, by: Due::Wall } => due <= self.wall(),
            State::Scheduled {
                due,
                by: Due::Delay,
            } => due <= self.steady,
            _ => false,
        };
        let elsewhere = self.model.in_flight.contains_key(&number);
        due && !row.done && !elsewhere && !self.model.current.contains_key(&number)
    }

    fn look(&self, before: &BTreeMap<JobNumber, Token>, faulty: bool) -> Verdict {
        let Some(process) = &self.process else {
            return Ok(());
        };
        process.check_schedule()?;
        if faulty || self.draining {
            return Ok(());
        }
        let paused: Paused = match self.disk.row(Key::PAUSED) {
            Some(row) => open_row(Key::PAUSED, &row).map_err(|cause| cause.to_string())?,
            None => Paused::default(),
        };
        let suspected = |row: &Row| row.record.unclean_ends >= 2;
        for (queue, (name, _)) in QUEUES.iter().enumerate() {
            if paused.queues.iter().any(|paused| paused.as_str() == *name) {
                continue;
            }
            let of_queue = |row: &&Row| row.record.queue.as_str() == *name && !suspected(row);
            let rows = self.model.rows.iter().filter(|(_, row)| of_queue(row));
            let due = rows.filter(|(number, row)| self.is_due(**number, row));
            let Some(first) = due.map(|(number, row)| place(*number, &row.record)).min() else {
                continue;
            };
            let claimed = self.model.in_flight.iter();
            let claimed = claimed.filter(|(number, token)| before.get(number) != Some(token));
            let claimed =
                claimed.filter_map(|(number, _)| Some((*number, self.model.rows.get(number)?)));
            let last = claimed
                .filter(|(_, row)| of_queue(row))
                .map(|(number, row)| place(number, &row.record))
                .max();
            if last.is_some_and(|last| last > first) {
                return Err(format!("{last:?} is claimed before {first:?}"));
            }
            if process.has_room(queue) && process.is_idle() && !process.looks_again() {
                return Err(format!("{first:?} waits, and a worker of `{name}` is free"));
            }
        }
        Ok(())
    }

    pub(crate) fn take(&mut self, queue: usize) -> Verdict {
        let busy = self
            .workers
            .iter()
            .filter(|at| at.ours && at.queue == queue)
            .count();
        let Some(process) = &self.process else {
            return Ok(());
        };
        if busy >= QUEUES[queue].1 || self.draining {
            return Ok(());
        }
        if let Some(attempt) = process.take(queue) {
            if attempt.goes_back() {
                attempt.end();
                return Ok(());
            }
            self.tally.attempts += 1;
            self.model.begin(attempt.number(), attempt.token())?;
            if let Some(reason) = attempt.failure() {
                return Err(format!(
                    "job {} cannot be loaded: {reason}",
                    attempt.number()
                ));
            }
            self.workers.push(OnWorker {
                attempt,
                ours: true,
                queue,
                waits: false,
            });
        }
        Ok(())
    }

    fn checkpoint(&mut self, pick: usize) -> Verdict {
        let count = self.workers.len();
        let Some(worker) = self.workers.get_mut(pick.checked_rem(count).unwrap_or(0)) else {
            return Ok(());
        };
        let number = worker.attempt.number();
        if let Some(row) = self.model.rows.get(&number)
            && worker.ours
            && !worker.waits
        {
            let pad = "x".repeat(700 * (pick % 2));
            worker.waits = worker.attempt.checkpoint(&Work {
                id: row.id,
                runs: 100,
                pad,
            });
            if let Some(current) = self.model.current.get_mut(&number).filter(|_| worker.waits) {
                current.checkpoints += 1;
            }
        }
        Ok(())
    }

    pub(crate) fn end(&mut self, pick: usize, end: End) -> Verdict {
        let at = pick.checked_rem(self.workers.len()).unwrap_or(0);
        if self.workers.get(at).is_none_or(|worker| worker.waits) {
            return Ok(());
        }
        let worker = self.workers.swap_remove(at);
        let number = worker.attempt.number();
        if let End::Follow(count, key) = end {
            for n in 0..count {
                let key = key.filter(|_| n == 0);
                let id = id(key, self.next_id + n);
                self.offer(id, (key, SHARED_ATTEMPTS, None), Some(number));
            }
        }
        SCRIPT.set((end, self.next_id));
        self.next_id += 3;
        self.model.thread_returns(number, end);
        worker.attempt.end();
        Ok(())
    }
}
