//! What must hold, checked at every commit against what is known to have been asked and done.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jobkeep_store::{
    AttemptEnd, InFlight, JobNumber, JobRecord, Kept, Key, ParkReason, Space, State, StateKind,
    Timestamp, open_row,
};

use crate::disk::Commit;
use crate::model::{Model, Op, Row, Verdict};
use crate::steps::End;
use crate::world::{AT_MOST, FAILURES, KEY_RETENTION, SUCCESSES, Work, is_shared};

impl Model {
    /// Takes what the store has committed, and judges each change.
    pub(crate) fn follow(&mut self, commits: &[Commit], steady: Timestamp) -> Verdict {
        self.latest = self.latest.max(steady);
        for commit in commits {
            let mut now: BTreeMap<JobNumber, Option<Row>> = BTreeMap::new();
            for change in &commit.changes {
                let number = JobNumber(change.key.number);
                if change.key.space == Space::Bodies {
                    match &change.after {
                        Some(row) => self.bodies.insert(number, row.clone()),
                        None => self.bodies.remove(&number),
                    };
                }
                if !matches!(change.key.space, Space::Live | Space::Done) {
                    continue;
                }
                let done = change.key.space == Space::Done;
                let before = self.rows.get(&number).filter(|row| row.done == done);
                if before.is_some() != change.before.is_some() {
                    return Err(format!("{} was not known as it was", change.key));
                }
                let here = now.entry(number).or_default();
                if let Some(row) = &change.after {
                    let record: JobRecord = open_row(change.key, row)
                        .map_err(|cause| format!("{} does not open: {cause}", change.key))?;
                    let ended = steady;
                    if let Some(other) = here.replace(Row {
                        record,
                        done,
                        ended,
                        id: 0,
                    }) && other.done != done
                    {
                        return Err(format!("job {number} is live and done"));
                    }
                }
            }
            self.count_ends(&now);
            let mut new = BTreeSet::new();
            for (number, mut after) in now {
                if let Some(after) = &mut after {
                    let other = if after.done {
                        Key::live(number)
                    } else {
                        Key::done(number)
                    };
                    let deleted = |change: &crate::disk::Change| {
                        change.key == other && change.after.is_none()
                    };
                    if self
                        .rows
                        .get(&number)
                        .is_some_and(|before| before.done != after.done)
                        && !commit.changes.iter().any(deleted)
                    {
                        return Err(format!("job {number} is live and done"));
                    }
                    after.id = self.own(number, &after.record)?;
                }
                if !self.lied {
                    let before = self.rows.get(&number).cloned();
                    self.judge(
                        number,
                        before.as_ref(),
                        after.as_ref(),
                        commit.opens,
                        steady,
                    )
                    .map_err(|why| {
                        let text = |row: Option<&Row>| row.map(|row| row.record.clone());
                        let (before, after) = (text(before.as_ref()), text(after.as_ref()));
                        format!("job {number}: {why}\n  before {before:?}\n  after  {after:?}")
                    })?;
                }
                self.written.insert(number);
                if after.is_some() && !self.rows.contains_key(&number) {
                    new.insert(number);
                }
                match after {
                    Some(after) => self.rows.insert(number, after),
                    None => self.rows.remove(&number),
                };
            }
            if commit.opens && !self.lied {
                self.all_interrupted()?;
            }
            for change in &commit.changes {
                if let (Key::IN_FLIGHT, Some(row)) = (change.key, &change.after) {
                    let flight: InFlight = open_row(change.key, row)
                        .map_err(|cause| format!("the record in flight: {cause}"))?;
                    let tokens = flight.jobs.iter();
                    self.in_flight = tokens
                        .map(|listed| (listed.number, flight.token(listed)))
                        .collect();
                }
            }
            if !self.lied {
                self.written_in_order(&new)?;
                self.keys_are_unique()?;
            }
        }
        Ok(())
    }

    fn count_ends(&mut self, now: &BTreeMap<JobNumber, Option<Row>>) {
        let lived = |number: &JobNumber| self.rows.get(number).is_none_or(|row| !row.done);
        let succeeds = |row: &Row| row.record.state == State::Succeeded;
        let now = now
            .iter()
            .filter_map(|(number, row)| Some((*number, row.as_ref()?)));
        let succeeding = now.clone().filter(|(_, row)| succeeds(row));
        let succeeding = succeeding.map(|(number, _)| number).filter(lived);
        self.succeeding = succeeding.collect();
        self.done = self.rows.values().filter(|row| row.done).count();
        self.done += now.filter(|(_, row)| row.done).count();
    }

    /// The payload is that of a job that was offered, and of no other.
    pub(crate) fn own(&mut self, number: JobNumber, record: &JobRecord) -> Verdict<u64> {
        let bytes = match &record.payload {
            Kept::Inline(bytes) => bytes.clone(),
            Kept::Apart(_) => {
                let key = Key::body(number);
                let row = self.bodies.get(&number);
                let row = row.ok_or_else(|| format!("the payload of job {number} is missing"))?;
                let bytes: serde_bytes::ByteBuf = open_row(key, row)
                    .map_err(|cause| format!("the payload of job {number}: {cause}"))?;
                bytes.into_vec()
            }
        };
        let work: Work = serde_json::from_slice(&bytes)
            .map_err(|cause| format!("the payload of job {number}: {cause}"))?;
        let lied = self.lied;
        let Some(offer) = self.offers.get_mut(&work.id) else {
            return Err(format!("job {number} has a payload that nobody offered"));
        };
        if offer.key.map(|key| key.to_string()) != record.key {
            return Err(format!("job {number} has another's key or payload"));
        }
        if *offer.number.get_or_insert(number) != number {
            if lied || is_shared(work.id) {
                offer.number = Some(number);
                return Ok(work.id);
            }
            return Err(format!("job {number} has the payload of another, or twice"));
        }
        Ok(work.id)
    }

    pub(crate) fn take_op(&mut self, number: JobNumber, op: Op) -> bool {
        let found = self.ops.iter().position(|asked| *asked == (number, op));
        found.map(|at| self.ops.swap_remove(at)).is_some()
    }

    /// The attempt whose end this change is: it has ended, or its time-out is over.
    fn settle(&mut self, number: JobNumber, end: &AttemptEnd) -> Verdict {
        let Some(current) = self
            .current
            .get_mut(&number)
            .filter(|current| !current.over)
        else {
            return Err("an attempt is settled that nobody makes".into());
        };
        let fits = match (end, current.ended) {
            // Whatever its thread said since, or says later.
            (AttemptEnd::TimedOut(_), _) => true,
            (AttemptEnd::Succeeded, Some(end)) => matches!(end, End::Succeed | End::Follow(..)),
            (AttemptEnd::Error(_), Some(end)) => {
                matches!(
                    end,
                    End::Fail | End::RetryAfter(_) | End::Follow(_, Some(_))
                )
            }
            (AttemptEnd::Permanent(_), Some(end)) => end == End::Permanent,
            (AttemptEnd::Panicked { .. }, Some(end)) => end == End::Panic,
            (AttemptEnd::Snoozed(_), Some(end)) => matches!(end, End::Snooze(_)),
            (AttemptEnd::Cancelled(_), Some(end)) => end == End::Cancel,
            _ => false,
        };
        if !fits {
            return Err(format!("{end:?} is not how the attempt ended: {current:?}"));
        }
        current.over = true;
        if current.ended.is_some() {
            self.current.remove(&number);
        }
        Ok(())
    }

    fn judge(
        &mut self,
        number: JobNumber,
        before: Option<&Row>,
        after: Option<&Row>,
        opens: bool,
        steady: Timestamp,
    ) -> Verdict {
        match (before, after) {
            (None, None) => Ok(()),
            (None, Some(after)) => self.judge_new(after),
            (Some(before), None) => {
                if self.take_op(number, Op::Remove) {
                    if self.current.get(&number).is_some_and(|at| !at.over) {
                        return Err("it is removed while it runs".into());
                    }
                    self.acknowledged.remove(&number);
                    self.removed.insert(number);
                    return Ok(());
                }
                if !before.done {
                    return Err("a live job is gone".into());
                }
                let keep = match before.record.state {
                    State::Succeeded => SUCCESSES,
                    _ => FAILURES,
                };
                if steady.since(before.ended) < keep && self.done <= AT_MOST {
                    return Err("a finished job is gone before its time".into());
                }
                self.acknowledged.remove(&number);
                Ok(())
            }
            (Some(before), Some(after)) => match (before.done, after.done) {
                (true, true) => Err("a finished job has changed".into()),
                (true, false) => {
                    let fresh = after.record.attempts == 0 && after.record.state == State::Ready;
                    if self.take_op(number, Op::Retry) && fresh {
                        Ok(())
                    } else {
                        Err("a finished job lives again".into())
                    }
                }
                (false, _) => self.judge_live(number, &before.record, after, opens),
            },
        }
    }

    fn judge_new(&mut self, after: &Row) -> Verdict {
        let record = &after.record;
        let offer = self.offers.get(&after.id).ok_or("nobody offered it")?;
        if let Some(parent) = offer.follows {
            let parent = self.rows.get(&parent);
            if parent.is_none_or(|parent| parent.record.state != State::Succeeded) {
                return Err("it follows a job that has not succeeded".into());
            }
        }
        let holder = offer.key.and_then(|key| self.holder(key));
        if let Some(holder) = holder.filter(|holder| !self.succeeding.contains(holder)) {
            return Err(format!("job {holder} holds its key"));
        }
        // It follows that one, and has its key from now on.
        self.passed_on.extend(holder);
        if offer.refused {
            return Err("it was refused, and is there".into());
        }
        if after.done || record.attempts + record.interruptions + record.snoozes > 0 {
            return Err("it is new, and has been run".into());
        }
        if !is_shared(after.id)
            && let Some(state) = &offer.state
            && record.state != *state
        {
            return Err(format!("it is not {state:?}, as it was offered"));
        }
        if offer.attempts != record.max_attempts {
            return Err("it has other options than it was offered with".into());
        }
        Ok(())
    }

    fn judge_live(
        &mut self,
        number: JobNumber,
        before: &JobRecord,
        after: &Row,
        opens: bool,
    ) -> Verdict {
        let record = &after.record;
        let spent = (
            record.attempts.wrapping_sub(before.attempts),
            record.snoozes.wrapping_sub(before.snoozes),
            record.interruptions.wrapping_sub(before.interruptions),
        );
        let end = record.history.first().map(|attempt| &attempt.end);
        match (spent, end) {
            ((1, 0, 0), Some(end)) => {
                if record.attempts > record.max_attempts {
                    return Err("it has more attempts than it may have".into());
                }
                if opens {
                    return Err("an opening counts an attempt".into());
                }
                let again = record.state.kind() == StateKind::Scheduled;
                let last = record.attempts == record.max_attempts;
                let fails = matches!(
                    end,
                    AttemptEnd::Error(_) | AttemptEnd::Panicked { .. } | AttemptEnd::TimedOut(_)
                );
                if fails && again == last && record.state.kind() != StateKind::Cancelled {
                    return Err("it is tried again, or not, against its policy".into());
                }
                self.settle(number, end)
            }
            ((0, 1, 0), Some(end)) => self.settle(number, end),
            ((0, 0, 1), Some(AttemptEnd::Interrupted { .. })) => {
                if !opens || self.in_flight.remove(&number).is_none() {
                    return Err("it is interrupted and was not in flight".into());
                }
                Ok(())
            }
            ((0, 0, 0), _) => self.judge_same(number, before, after),
            (spent, end) => Err(format!("{spent:?} with {end:?} is no single end")),
        }
    }

    /// No attempt was counted.
    fn judge_same(&mut self, number: JobNumber, before: &JobRecord, after: &Row) -> Verdict {
        let record = &after.record;
        if after.done {
            return if record.state == State::Cancelled && self.take_op(number, Op::Cancel) {
                Ok(())
            } else {
                Err("it has finished, and nobody ran or cancelled it".into())
            };
        }
        if record.cancel_requested != before.cancel_requested {
            return if record.cancel_requested && self.take_op(number, Op::Cancel) {
                Ok(())
            } else {
                Err("nobody asked to cancel it".into())
            };
        }
        if record.state != before.state {
            let crashing = matches!(before.state, State::Parked(ParkReason::Crashing(_)));
            let mut let_go = [Op::Retry, Op::Amend].into_iter();
            return if crashing && let_go.any(|op| self.take_op(number, op)) {
                Ok(())
            } else {
                Err("its state has changed by itself".into())
            };
        }
        if let Some(current) = self.current.get_mut(&number)
            && !current.over
            && current.checkpoints > 0
        {
            current.checkpoints -= 1;
            return Ok(());
        }
        // One that was asked to be cancelled may be asked again.
        let mut asked = [Op::Amend, Op::Cancel].into_iter();
        if asked.any(|op| self.take_op(number, op)) {
            return Ok(());
        }
        Err("it was written without a reason".into())
    }

    /// An opening has settled everything that was in flight.
    fn all_interrupted(&self) -> Verdict {
        let left = self.in_flight.keys().find(|number| {
            let row = self.rows.get(number);
            row.is_some_and(|row| !row.done)
        });
        match left {
            Some(number) => Err(format!(
                "job {number} was in flight, and is not interrupted"
            )),
            None => Ok(()),
        }
    }

    fn keys_are_unique(&self) -> Verdict {
        let mut holders = HashMap::new();
        for (&number, row) in self.rows.iter().filter(|(_, row)| !row.done) {
            if let Some(key) = &row.record.key
                && let Some(other) = holders.insert(key, number)
            {
                return Err(format!("jobs {other} and {number} live under one key"));
            }
        }
        Ok(())
    }

    /// A key whose job lives, or ended not long ago, still belongs to that job.
    fn holder(&self, key: u64) -> Option<JobNumber> {
        let key = key.to_string();
        let holds = |row: &Row| {
            row.record.key.as_ref() == Some(&key)
                && (!row.done || self.latest.since(row.ended) < KEY_RETENTION)
        };
        let mut rows = self
            .rows
            .iter()
            .filter(|(number, _)| !self.passed_on.contains(number));
        rows.find_map(|(&number, row)| holds(row).then_some(number))
    }
}
