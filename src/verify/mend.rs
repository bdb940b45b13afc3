//! What is safe to write about what was found.

use std::collections::BTreeMap;

use jobkeep_store::{
    Batch, Damaged, Encoded, Ended, Expiring, ExpiringKeys, Fence, InFlight, JobNumber, Key,
    OpeningTag, Paused, QueueStore, RowError, Space, StateKind, StoreError, Totals, Withdrawn,
};

use super::check::{Class, Hold, counted, hold, is_in_flight, is_orphan, unlisted};
use super::finding::Part;
use super::seen::{Seen, Wrong};
use crate::clock::Now;

/// The batch of a repair, or `None` where there is nothing that it may do.
///
/// The opening is fenced and writes no row about itself: it gives no numbers.
pub(super) fn mend(
    store: &dyn QueueStore,
    seen: Seen,
    tag: u64,
    now: Now,
) -> Result<Option<Batch>, StoreError> {
    let Some(last) = seen.fence else {
        return Ok(None);
    };
    for (key, wrong) in &seen.damaged {
        if let Wrong::Damaged(reason) = wrong
            && reason.newer_format().is_some()
        {
            return Err(StoreError::row(*key, reason.clone()));
        }
    }
    let fence = Fence {
        opening: OpeningTag(tag),
        commit: last.commit.saturating_add(1),
        ..last
    };
    let mut mending = Mending {
        seen,
        now,
        batch: Batch::opening(fence, Some(last.opening)),
        totals: Totals::default(),
    };
    mending.set_rows_aside(store)?;
    let encoded = mending.write_the_rest();
    encoded.map_err(|cause| StoreError::failed("prepare the repair", "the store", cause))?;
    Ok((!mending.batch.is_empty()).then_some(mending.batch))
}

struct Mending {
    /// As it will be: what is set aside is among the damaged no more.
    seen: Seen,
    now: Now,
    batch: Batch,
    totals: Totals,
}

impl Mending {
    fn set_rows_aside(&mut self, store: &dyn QueueStore) -> Result<(), StoreError> {
        let damaged: Vec<_> = self.seen.damaged.keys().copied().collect();
        for key in damaged {
            let Some(Wrong::Damaged(reason)) = self.seen.damaged.get(&key) else {
                continue;
            };
            if !self.may_set_aside(key) {
                continue;
            }
            let Some(bytes) = store.get(&key)? else {
                continue;
            };
            let of_job = matches!(key.space, Space::Live | Space::Done);
            let aside = &self.seen.aside;
            let place = if of_job && !aside.contains(&key.number) {
                key.number
            } else {
                // From the other end: no job ever has such a number.
                let mut free = (0..=u64::MAX).rev();
                free.find(|number| !aside.contains(number))
                    .unwrap_or_default()
            };
            let damaged = Damaged {
                at: self.now.wall,
                reason: if of_job {
                    reason.to_string()
                } else {
                    format!("row {key}: {reason}")
                },
                bytes,
            };
            let row = Encoded::new(&damaged).map_err(|cause| StoreError::row(key, cause))?;
            self.batch.put(Key::new(Space::Damaged, place), row);
            self.batch.delete(key);
            self.seen.damaged.remove(&key);
            self.seen.aside.insert(place);
        }
        Ok(())
    }

    fn may_set_aside(&self, key: Key) -> bool {
        let job = JobNumber(key.number);
        match key.space {
            // Its job says that it is damaged, and whoever removes the job removes it.
            Space::Bodies => is_orphan(&self.seen, Part::Payload, job),
            Space::Outputs => is_orphan(&self.seen, Part::Output, job),
            // It keeps the key of a job that is here from being taken by another.
            Space::Unique => {
                let heads = self.seen.live.values().chain(self.seen.done.values());
                let mut keys = heads.filter_map(|head| head.key.as_ref());
                !keys.any(|held| held.hash == key.number)
            }
            // Set aside already.
            Space::Fence | Space::Damaged => false,
            _ => true,
        }
    }

    fn write_the_rest(&mut self) -> Result<(), RowError> {
        self.totals = counted(&self.seen, &self.seen.totals.unwrap_or_default());
        self.delete_orphans();
        self.mend_manager()?;
        self.mend_keys()?;
        self.mend_listings()?;
        self.mend_totals()
    }

    fn delete_orphans(&mut self) {
        for &job in self.seen.payloads.keys() {
            if is_orphan(&self.seen, Part::Payload, job) {
                self.batch.delete(Key::body(job));
            }
        }
        for &job in self.seen.outputs.keys() {
            if is_orphan(&self.seen, Part::Output, job) {
                self.batch.delete(Key::output(job));
            }
        }
    }

    fn mend_manager(&mut self) -> Result<(), RowError> {
        if let Some(in_flight) = &self.seen.in_flight {
            let jobs: Vec<_> = in_flight
                .jobs
                .iter()
                .copied()
                .filter(|listed| is_in_flight(&self.seen, listed.number))
                .collect();
            if jobs.len() < in_flight.jobs.len() {
                let row = Encoded::new(&InFlight {
                    jobs,
                    ..in_flight.clone()
                })?;
                self.batch.put(Key::IN_FLIGHT, row);
            }
        }
        let queues = &self.seen.paused.queues;
        if !queues.is_sorted_by(|one, other| one < other) {
            let mut queues = queues.clone();
            queues.sort();
            queues.dedup();
            self.batch
                .put(Key::PAUSED, Encoded::new(&Paused { queues })?);
        }
        Ok(())
    }

    fn mend_keys(&mut self) -> Result<(), RowError> {
        let mut to_expire = Vec::new();
        for (&hash, row) in &self.seen.uniques {
            let mut mended = row.clone();
            mended
                .entries
                .retain(|entry| hold(&self.seen, hash, entry) != Hold::Orphaned);
            for entry in &mut mended.entries {
                if hold(&self.seen, hash, entry) == Hold::ForEver {
                    entry.ended = Some(self.now.steady.kept());
                    to_expire.push((hash, entry.job));
                }
            }
            let key = Key::new(Space::Unique, hash);
            if mended.entries.is_empty() {
                self.batch.delete(key);
            } else if mended != *row {
                self.batch.put(key, Encoded::new(&mended)?);
            }
        }
        for keys in to_expire.chunks(Expiring::MOST) {
            let row = Encoded::new(&ExpiringKeys {
                at: self.now.steady.kept(),
                keys: keys.to_vec(),
            })?;
            self.append(Space::ExpiringKeys, row, keys.len());
        }
        Ok(())
    }

    /// Makes retention know each finished job once, and no other.
    fn mend_listings(&mut self) -> Result<(), RowError> {
        let mut withdrawn: BTreeMap<JobNumber, Withdrawn> = BTreeMap::new();
        let (mut successes, mut failures) = (Vec::new(), Vec::new());
        for (job, class, _) in unlisted(&self.seen) {
            let mended = withdrawn
                .entry(job)
                .or_insert_with(|| self.seen.withdrawn.get(&job).copied().unwrap_or_default());
            let head = self.seen.done.get(&job).filter(|head| class.has(head));
            let listed = class.listed(&self.seen, job);
            let count = match class {
                Class::Success => &mut mended.successes,
                Class::Failure => &mut mended.failures,
            };
            *count = listed.saturating_sub(u32::from(head.is_some()));
            if let Some(head) = head
                && listed == 0
            {
                let ended = Ended {
                    number: job,
                    body: head.payload.is_some(),
                    output: head.output.is_some(),
                    cancelled: head.state == StateKind::Cancelled,
                };
                match class {
                    Class::Success => successes.push(ended),
                    Class::Failure => failures.push(ended),
                }
            }
        }
        for (job, mended) in withdrawn {
            let key = Key::new(Space::Withdrawn, job.0);
            let stored = self.seen.withdrawn.get(&job);
            if mended != Withdrawn::default() {
                if stored != Some(&mended) {
                    self.batch.put(key, Encoded::new(&mended)?);
                }
            } else if stored.is_some() {
                self.batch.delete(key);
            }
        }
        for (space, jobs) in [
            (Space::ExpiringSuccesses, successes),
            (Space::ExpiringFailures, failures),
        ] {
            for jobs in jobs.chunks(Expiring::MOST) {
                let row = Encoded::new(&Expiring {
                    at: self.now.steady.kept(),
                    jobs: jobs.to_vec(),
                })?;
                self.append(space, row, jobs.len());
            }
        }
        Ok(())
    }

    fn append(&mut self, space: Space, row: Encoded, entries: usize) {
        self.batch.put(Key::new(space, self.totals.ended), row);
        self.totals.ended += entries as u64;
    }

    fn mend_totals(&mut self) -> Result<(), RowError> {
        let behind = |number: u64| number.saturating_add(1);
        let mut next = self.totals.next_number.max(1);
        next = next.max(self.seen.highest().map_or(1, |job| behind(job.0)));
        if self.seen.totals.is_none() {
            // Numbers given and gone again leave no trace but the opening that gave them.
            let last = self.seen.openings.keys().next_back();
            next = next.max(last.map_or(1, |first| behind(*first)));
        }
        self.totals.next_number = next;
        if self.seen.totals != Some(self.totals) {
            self.batch.put(Key::TOTALS, Encoded::new(&self.totals)?);
        }
        Ok(())
    }
}
