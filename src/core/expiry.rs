//! Retention: which finished jobs and keys go, and when. Every commit that ends jobs appends them to
//! the expiring spaces, in the order of their ends; retention eats from the front, and reads nothing
//! of a job to delete it.

use std::collections::HashMap;
use std::time::Duration;

use jobkeep_store::{
    Batch, Encoded, Ended, Expiring, ExpiringKeys, JobNumber, Key, RowError, Space, Timestamp,
    Totals, Withdrawn, open_row,
};

use crate::Retention;
use crate::clock::Steady;

/// The oldest row of an expiring space.
#[derive(Debug)]
enum Front<Row> {
    /// To be read: the first row from this number on.
    Unread(u64),
    /// There is none.
    Empty,
    Read(u64, Row),
}

#[derive(Debug)]
pub(crate) struct Expiry {
    retention: Retention,
    key_retention: Duration,
    successes: Front<Expiring>,
    failures: Front<Expiring>,
    keys: Front<ExpiringKeys>,
    withdrawn: HashMap<JobNumber, Withdrawn>,
    ended: EndedNow,
}

/// What ended in the present group.
#[derive(Debug, Default)]
struct EndedNow {
    successes: Vec<Ended>,
    failures: Vec<Ended>,
    keys: Vec<(u64, JobNumber)>,
}

/// What retention wants next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing is due, or the budget of this commit is spent.
    Rest,
    /// The first row of this space from this number on: see [`Expiry::learn`].
    Read(Space, u64),
    /// The rows of these idempotency keys, whose jobs ended then, and after that
    /// [`Expiry::keys_gone`].
    Keys(Vec<(u64, JobNumber)>, Timestamp),
}

impl Expiry {
    pub(crate) fn new(
        retention: Retention,
        key_retention: Duration,
        withdrawn: HashMap<JobNumber, Withdrawn>,
    ) -> Self {
        Self {
            retention,
            key_retention,
            successes: Front::Unread(0),
            failures: Front::Unread(0),
            keys: Front::Unread(0),
            withdrawn,
            ended: EndedNow::default(),
        }
    }

    /// A job ended in this group.
    pub(crate) fn ended(&mut self, succeeded: bool, job: Ended) {
        let jobs = if succeeded {
            &mut self.ended.successes
        } else {
            &mut self.ended.failures
        };
        jobs.push(job);
    }

    /// A job with an idempotency key ended in this group.
    pub(crate) fn key_ended(&mut self, hash: u64, job: JobNumber) {
        self.ended.keys.push((hash, job));
    }

    /// How many jobs ended in this group.
    pub(crate) fn ended_now(&self) -> usize {
        self.ended.successes.len() + self.ended.failures.len()
    }

    /// Writes what ended in this group.
    pub(crate) fn write(
        &mut self,
        batch: &mut Batch,
        at: Steady,
        totals: &mut Totals,
    ) -> Result<(), RowError> {
        let EndedNow {
            successes,
            failures,
            keys,
        } = std::mem::take(&mut self.ended);
        let spaces = [
            (Space::ExpiringSuccesses, successes, &mut self.successes),
            (Space::ExpiringFailures, failures, &mut self.failures),
        ];
        for (space, jobs, front) in spaces {
            for chunk in jobs.chunks(Expiring::MOST) {
                let row = Encoded::new(&Expiring {
                    at: at.kept(),
                    jobs: chunk.to_vec(),
                })?;
                append(batch, space, row, chunk.len(), totals, front);
            }
        }
        for chunk in keys.chunks(Expiring::MOST) {
            let row = Encoded::new(&ExpiringKeys {
                at: at.kept(),
                keys: chunk.to_vec(),
            })?;
            append(
                batch,
                Space::ExpiringKeys,
                row,
                chunk.len(),
                totals,
                &mut self.keys,
            );
        }
        Ok(())
    }

    /// A finished job leaves *done* before its turn: its entry no longer speaks of a row.
    pub(crate) fn withdraw(
        &mut self,
        batch: &mut Batch,
        job: JobNumber,
        succeeded: bool,
    ) -> Result<(), RowError> {
        let withdrawn = self.withdrawn.entry(job).or_default();
        if succeeded {
            withdrawn.successes += 1;
        } else {
            withdrawn.failures += 1;
        }
        batch.put(Key::new(Space::Withdrawn, job.0), Encoded::new(withdrawn)?);
        Ok(())
    }

    /// Takes the front row of a space, or learns that there is none.
    pub(crate) fn learn(
        &mut self,
        space: Space,
        row: Option<(Key, &[u8])>,
    ) -> Result<(), RowError> {
        match space {
            Space::ExpiringSuccesses => self.successes = read(row)?,
            Space::ExpiringFailures => self.failures = read(row)?,
            Space::ExpiringKeys => self.keys = read(row)?,
            _ => {}
        }
        Ok(())
    }

    /// A front row could not be read: retention goes on behind it.
    pub(crate) fn skip(&mut self, key: Key) {
        let behind = key.number.saturating_add(1);
        match key.space {
            Space::ExpiringSuccesses => self.successes = Front::Unread(behind),
            Space::ExpiringFailures => self.failures = Front::Unread(behind),
            Space::ExpiringKeys => self.keys = Front::Unread(behind),
            _ => {}
        }
    }

    /// Deletes what is due, as far as `budget` allows, and says what it needs to go on.
    pub(crate) fn step(
        &mut self,
        batch: &mut Batch,
        now: Steady,
        totals: &mut Totals,
        budget: &mut usize,
    ) -> Result<Next, RowError> {
        for (space, from) in [
            (Space::ExpiringSuccesses, unread(&self.successes)),
            (Space::ExpiringFailures, unread(&self.failures)),
            (Space::ExpiringKeys, unread(&self.keys)),
        ] {
            if let Some(from) = from {
                return Ok(Next::Read(space, from));
            }
        }
        if *budget == 0 {
            return Ok(Next::Rest);
        }
        if let Front::Read(_, row) = &self.keys
            && age(row.at, now) >= self.key_retention
        {
            *budget = budget.saturating_sub(row.keys.len());
            return Ok(Next::Keys(row.keys.clone(), row.at));
        }
        let Some((succeeded, most)) = self.due(now, totals) else {
            return Ok(Next::Rest);
        };
        let taken = self.eat(batch, totals, succeeded, most.min(*budget))?;
        *budget -= taken;
        // A row that was eaten up leaves its successor to be read; one that was not has nothing more
        // that is due, or there is no budget left.
        let (space, front) = if succeeded {
            (Space::ExpiringSuccesses, &self.successes)
        } else {
            (Space::ExpiringFailures, &self.failures)
        };
        Ok(unread(front).map_or(Next::Rest, |from| Next::Read(space, from)))
    }

    /// Which class has jobs due, and how many at most.
    fn due(&self, now: Steady, totals: &Totals) -> Option<(bool, usize)> {
        let old = |front: &Front<Expiring>, limit: Option<Duration>| match (front, limit) {
            (Front::Read(_, row), Some(limit)) => age(row.at, now) >= limit,
            _ => false,
        };
        if old(&self.successes, self.retention.successes) {
            return Some((true, usize::MAX));
        }
        if old(&self.failures, self.retention.failures) {
            return Some((false, usize::MAX));
        }
        let finished = totals.succeeded + totals.failed + totals.cancelled;
        let excess = finished.saturating_sub(self.retention.at_most?);
        let excess = usize::try_from(excess).unwrap_or(usize::MAX);
        match (sequence(&self.successes), sequence(&self.failures)) {
            _ if excess == 0 => None,
            (Some(success), Some(failure)) => Some((success < failure, excess)),
            (Some(_), None) => Some((true, excess)),
            (None, Some(_)) => Some((false, excess)),
            (None, None) => None,
        }
    }

    /// Deletes up to `most` jobs of the front row, and the row with its last.
    fn eat(
        &mut self,
        batch: &mut Batch,
        totals: &mut Totals,
        succeeded: bool,
        most: usize,
    ) -> Result<usize, RowError> {
        let (space, front) = if succeeded {
            (Space::ExpiringSuccesses, &mut self.successes)
        } else {
            (Space::ExpiringFailures, &mut self.failures)
        };
        let Front::Read(number, row) = front else {
            return Ok(0);
        };
        let key = Key::new(space, *number);
        let taken = most.min(row.jobs.len());
        // Contiguous runs of deletes are cheaper for some engines than interleaved ones.
        let gone: Vec<Ended> = row.jobs.drain(..taken).collect();
        if row.jobs.is_empty() {
            batch.delete(key);
            *front = Front::Unread(key.number.saturating_add(1));
        } else {
            batch.put(key, Encoded::new(&*row)?);
        }
        for job in gone {
            if self.take_withdrawn(batch, job.number, succeeded)? {
                continue;
            }
            delete_finished(batch, job.number, job.body, job.output);
            let count = match (succeeded, job.cancelled) {
                (true, _) => &mut totals.succeeded,
                (false, false) => &mut totals.failed,
                (false, true) => &mut totals.cancelled,
            };
            *count = count.saturating_sub(1);
        }
        Ok(taken)
    }

    /// The entry was withdrawn: forgets that, once.
    fn take_withdrawn(
        &mut self,
        batch: &mut Batch,
        job: JobNumber,
        succeeded: bool,
    ) -> Result<bool, RowError> {
        if self.withdrawn.is_empty() {
            return Ok(false);
        }
        let Some(withdrawn) = self.withdrawn.get_mut(&job) else {
            return Ok(false);
        };
        let count = if succeeded {
            &mut withdrawn.successes
        } else {
            &mut withdrawn.failures
        };
        if *count == 0 {
            return Ok(false);
        }
        *count -= 1;
        let key = Key::new(Space::Withdrawn, job.0);
        if *withdrawn == Withdrawn::default() {
            self.withdrawn.remove(&job);
            batch.delete(key);
        } else {
            batch.put(key, Encoded::new(withdrawn)?);
        }
        Ok(true)
    }

    /// The keys that [`Next::Keys`] named have been dealt with.
    pub(crate) fn keys_gone(&mut self, batch: &mut Batch) {
        if let Front::Read(number, _) = self.keys {
            batch.delete(Key::new(Space::ExpiringKeys, number));
            self.keys = Front::Unread(number.saturating_add(1));
        }
    }

    /// When something becomes due by its age; the past where there is work already.
    pub(crate) fn next_due(&self, now: Steady, totals: &Totals) -> Option<Steady> {
        let any_unread = unread(&self.successes).is_some()
            || unread(&self.failures).is_some()
            || unread(&self.keys).is_some();
        if any_unread || self.due(now, totals).is_some() {
            return Some(Steady::default());
        }
        let of_jobs = |front: &Front<Expiring>| match front {
            Front::Read(_, row) => Some(row.at),
            Front::Unread(_) | Front::Empty => None,
        };
        let keys = match &self.keys {
            Front::Read(_, row) => Some(row.at),
            Front::Unread(_) | Front::Empty => None,
        };
        let successes = of_jobs(&self.successes).zip(self.retention.successes);
        let failures = of_jobs(&self.failures).zip(self.retention.failures);
        [successes, failures, keys.zip(Some(self.key_retention))]
            .into_iter()
            .flatten()
            .map(|(at, kept)| Steady::of(at).after(kept))
            .min()
    }
}

/// How long ago what a row lists ended.
fn age(at: Timestamp, now: Steady) -> Duration {
    now.since(Steady::of(at))
}

/// Deletes the rows of a finished job.
pub(crate) fn delete_finished(batch: &mut Batch, job: JobNumber, body: bool, output: bool) {
    batch.delete(Key::done(job));
    if body {
        batch.delete(Key::body(job));
    }
    if output {
        batch.delete(Key::output(job));
    }
}

fn append<Row>(
    batch: &mut Batch,
    space: Space,
    row: Encoded,
    entries: usize,
    totals: &mut Totals,
    front: &mut Front<Row>,
) {
    let number = totals.ended;
    totals.ended += entries as u64;
    batch.put(Key::new(space, number), row);
    if matches!(front, Front::Empty) {
        *front = Front::Unread(number);
    }
}

fn read<'a, Row: serde::Deserialize<'a>>(
    row: Option<(Key, &'a [u8])>,
) -> Result<Front<Row>, RowError> {
    let Some((key, bytes)) = row else {
        return Ok(Front::Empty);
    };
    Ok(Front::Read(key.number, open_row(key, bytes)?))
}

fn unread<Row>(front: &Front<Row>) -> Option<u64> {
    match front {
        Front::Unread(from) => Some(*from),
        Front::Empty | Front::Read(..) => None,
    }
}

/// What tells older from newer among all classes, even where many ends share a moment or the wall
/// clock was set.
fn sequence(front: &Front<Expiring>) -> Option<u64> {
    match front {
        Front::Read(number, _) => Some(*number),
        Front::Unread(_) | Front::Empty => None,
    }
}
