use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

use jobkeep_store::{
    Clocks, Closing, Damaged, Expiring, ExpiringKeys, Fence, InFlight, JobNumber, JobRecord, Kept,
    Key, Opening, Paused, QueueStore, RowError, Secret, Space, StateKind, StoreError, StoreId,
    Totals, UniqueRow, Withdrawn, open_row,
};

use crate::core::key_hash;

/// What the rows of a store say, as far as they can be read.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) fence: Option<Fence>,
    pub(super) has_secret: bool,
    pub(super) complaints: Vec<String>,
    /// Rows that do not check out.
    pub(super) damaged: BTreeMap<Key, Wrong>,
    pub(super) totals: Option<Totals>,
    pub(super) clocks: Option<Clocks>,
    pub(super) in_flight: Option<InFlight>,
    pub(super) paused: Paused,
    pub(super) openings: BTreeMap<u64, Opening>,
    pub(super) live: BTreeMap<JobNumber, Head>,
    pub(super) done: BTreeMap<JobNumber, Head>,
    /// The lengths of what stands apart.
    pub(super) payloads: BTreeMap<JobNumber, u64>,
    pub(super) outputs: BTreeMap<JobNumber, u64>,
    pub(super) uniques: BTreeMap<u64, UniqueRow>,
    /// How often each job is listed to be pruned, and withdrawn from it.
    pub(super) successes: BTreeMap<JobNumber, u32>,
    pub(super) failures: BTreeMap<JobNumber, u32>,
    pub(super) withdrawn: BTreeMap<JobNumber, Withdrawn>,
    /// Keys listed to be let go.
    pub(super) expiring_keys: HashSet<(u64, JobNumber)>,
    /// The first sequence that no expiring row has.
    pub(super) ended: u64,
    /// The numbers of rows that were set aside.
    pub(super) aside: HashSet<u64>,
}

/// What is wrong with a row.
#[derive(Debug)]
pub(super) enum Wrong {
    Damaged(RowError),
    Unknown,
}

/// What is to be known of a job's record.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) state: StateKind,
    /// The lengths of payload and output, where these stand apart.
    pub(super) payload: Option<u32>,
    pub(super) output: Option<u32>,
    pub(super) key: Option<HeldKey>,
}

#[derive(Debug)]
pub(super) struct HeldKey {
    pub(super) key: String,
    pub(super) hash: u64,
}

impl Seen {
    pub(super) fn read(store: &dyn QueueStore) -> Result<Self, StoreError> {
        let mut seen = Self {
            fence: store.identity()?.fence,
            ..Self::default()
        };
        store.verify(&mut |found| match found {
            jobkeep_store::Finding::Engine(message) => seen.complaints.push(message),
            jobkeep_store::Finding::Row { key, reason } => {
                seen.damaged.insert(key, Wrong::Damaged(reason));
            }
            other => seen.complaints.push(format!("{other:?}")),
        })?;
        for space in Space::ALL {
            let (from, to) = (Key::new(space, 0), Key::new(space, u64::MAX));
            store.scan(&from, &to, &mut |key, row| {
                if !seen.damaged.contains_key(&key)
                    && let Err(wrong) = seen.take(key, row)
                {
                    seen.damaged.insert(key, wrong);
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(seen)
    }

    fn take(&mut self, key: Key, row: &[u8]) -> Result<(), Wrong> {
        let job = JobNumber(key.number);
        match key.space {
            Space::Fence => {
                open_row::<Fence>(key, row)?;
            }
            Space::Manager => self.take_manager(key, row)?,
            Space::Openings => {
                self.openings.insert(key.number, open_row(key, row)?);
            }
            Space::Live => {
                let head = self.head(open_row(key, row)?);
                self.live.insert(job, head);
            }
            Space::Done => {
                let head = self.head(open_row(key, row)?);
                self.done.insert(job, head);
            }
            Space::Bodies => {
                self.payloads.insert(job, length(key, row)?);
            }
            Space::Outputs => {
                self.outputs.insert(job, length(key, row)?);
            }
            Space::Unique => {
                self.uniques.insert(key.number, open_row(key, row)?);
            }
            Space::ExpiringSuccesses | Space::ExpiringFailures => {
                let expiring: Expiring = open_row(key, row)?;
                self.ended_at(key.number, expiring.jobs.len());
                let listed = if key.space == Space::ExpiringSuccesses {
                    &mut self.successes
                } else {
                    &mut self.failures
                };
                for ended in expiring.jobs {
                    *listed.entry(ended.number).or_default() += 1;
                }
            }
            Space::ExpiringKeys => {
                let expiring: ExpiringKeys = open_row(key, row)?;
                self.ended_at(key.number, expiring.keys.len());
                self.expiring_keys.extend(expiring.keys);
            }
            Space::Withdrawn => {
                self.withdrawn.insert(job, open_row(key, row)?);
            }
            Space::Damaged => {
                self.aside.insert(key.number);
                open_row::<Damaged>(key, row)?;
            }
            _ => return Err(Wrong::Unknown),
        }
        Ok(())
    }

    fn take_manager(&mut self, key: Key, row: &[u8]) -> Result<(), Wrong> {
        match key {
            Key::IN_FLIGHT => self.in_flight = Some(open_row(key, row)?),
            Key::TOTALS => self.totals = Some(open_row(key, row)?),
            Key::CLOCKS => self.clocks = Some(open_row(key, row)?),
            Key::PAUSED => self.paused = open_row(key, row)?,
            Key::CLOSING => {
                open_row::<Closing>(key, row)?;
            }
            Key::SECRET => {
                open_row::<Secret>(key, row)?;
                self.has_secret = true;
            }
            _ => return Err(Wrong::Unknown),
        }
        Ok(())
    }

    fn ended_at(&mut self, first: u64, entries: usize) {
        self.ended = self.ended.max(first.saturating_add(entries as u64));
    }

    fn head(&self, record: JobRecord) -> Head {
        let apart = |kept: &Kept| match kept {
            Kept::Inline(_) => None,
            Kept::Apart(bytes) => Some(*bytes),
        };
        let store = self.fence.map_or(StoreId(0), |fence| fence.store);
        let key = record.key.map(|key| HeldKey {
            hash: key_hash(store, &record.name, &key),
            key,
        });
        Head {
            state: record.state.kind(),
            payload: apart(&record.payload),
            output: record.output.as_ref().and_then(apart),
            key,
        }
    }

    /// The row of this number is there, and does not check out.
    pub(super) fn is_damaged(&self, space: Space, job: JobNumber) -> bool {
        self.damaged.contains_key(&Key::new(space, job.0))
    }

    /// The job's row is there, readable or not, or was set aside.
    pub(super) fn remembers(&self, job: JobNumber) -> bool {
        self.is_damaged(Space::Live, job)
            || self.is_damaged(Space::Done, job)
            || self.aside.contains(&job.0)
    }

    /// The highest number that anything speaks of as a job's.
    pub(super) fn highest(&self) -> Option<JobNumber> {
        let damaged = self.damaged.keys().filter(|key| {
            matches!(
                key.space,
                Space::Live | Space::Done | Space::Bodies | Space::Outputs | Space::Withdrawn
            )
        });
        let last = |numbers: Option<&JobNumber>| numbers.copied();
        let holders = self.uniques.values().flat_map(|row| &row.entries);
        [
            last(self.live.keys().next_back()),
            last(self.done.keys().next_back()),
            last(self.payloads.keys().next_back()),
            last(self.outputs.keys().next_back()),
            last(self.successes.keys().next_back()),
            last(self.failures.keys().next_back()),
            last(self.withdrawn.keys().next_back()),
            damaged.map(|key| JobNumber(key.number)).max(),
            self.aside
                .iter()
                .copied()
                .map(JobNumber)
                .filter(|job| is_given(*job))
                .max(),
            holders.map(|entry| entry.job).max(),
        ]
        .into_iter()
        .flatten()
        .max()
    }

    /// How many jobs of *done* are in each final state.
    pub(super) fn finished(&self) -> HashMap<StateKind, u64> {
        let mut counts = HashMap::new();
        for head in self.done.values() {
            *counts.entry(head.state).or_default() += 1;
        }
        counts
    }
}

impl From<RowError> for Wrong {
    fn from(reason: RowError) -> Self {
        Self::Damaged(reason)
    }
}

/// Rows of no job are set aside from the other end of the numbers.
fn is_given(job: JobNumber) -> bool {
    job.0 <= u64::MAX / 2
}

fn length(key: Key, row: &[u8]) -> Result<u64, RowError> {
    Ok(open_row::<&serde_bytes::Bytes>(key, row)?.len() as u64)
}
