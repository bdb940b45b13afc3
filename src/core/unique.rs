//! Idempotency keys: one job a key and job type, exact within one batch too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hasher;
use std::time::Duration;

use jobkeep_store::{
    Batch, Encoded, JobNumber, Key, RowError, Space, StoreId, Timestamp, UniqueEntry, UniqueRow,
};
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher13To128};

use crate::Error;
use crate::clock::Steady;

/// A key that a new job claims.
#[derive(Clone, Debug)]
pub(crate) struct KeyClaim {
    /// The number of the row that the key has under the name of the job.
    own: u64,
    /// Those that it has under the other names of the job type, under which older jobs may hold it.
    others: Vec<(u64, Cow<'static, str>)>,
    payload_hash: u128,
    sent_hash: Option<u128>,
    retention_ms: Option<u64>,
}

/// What tells whether two jobs of one key are the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sameness {
    /// Of the payload, whatever its encoding is.
    pub(crate) payload: u128,
    /// Of the payload as it was sent, if it came from another process.
    pub(crate) sent: Option<u128>,
}

impl KeyClaim {
    /// The claim of a job that is stored as `name`. `others` are the names that its type has beside that.
    pub(crate) fn new(
        store: StoreId,
        (name, others): (&str, impl Iterator<Item = &'static str>),
        key: &str,
        sameness: Sameness,
        retention_ms: Option<u64>,
    ) -> Self {
        Self {
            own: key_hash(store, name, key),
            others: others
                .map(|name| (key_hash(store, name, key), Cow::Borrowed(name)))
                .collect(),
            payload_hash: keyed(store, sameness.payload),
            sent_hash: sameness.sent.map(|sent| keyed(store, sent)),
            retention_ms,
        }
    }

    /// The numbers of the rows in which the key may be.
    pub(crate) fn rows(&self) -> impl Iterator<Item = u64> {
        let others = self.others.iter().map(|(hash, _)| *hash);
        std::iter::once(self.own).chain(others)
    }

    /// The names of the job type, that of the job first.
    pub(super) fn names<'a>(&'a self, own: &'a str) -> impl Iterator<Item = &'a str> {
        let others = self.others.iter().map(|(_, name)| name.as_ref());
        std::iter::once(own).chain(others)
    }

    /// Another claim is of the same job as this one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.agrees(other.payload_hash, other.sent_hash)
    }

    fn agrees(&self, payload_hash: u128, sent_hash: Option<u128>) -> bool {
        // What was sent twice is the same, though its type may read it otherwise by now.
        let is_sent_again = self.sent_hash.is_some() && self.sent_hash == sent_hash;
        self.payload_hash == payload_hash || is_sent_again
    }
}

/// A hash under the store's random name, so that nobody can choose what collides.
fn keyed(store: StoreId, hash: u128) -> u128 {
    let mut hasher = SipHasher13To128::new_with_key(&store.0.to_be_bytes());
    hasher.write(&hash.to_be_bytes());
    hasher.finish128().as_u128()
}

/// Where the key of a job type has its row. Keyed by the store's random name, so that nobody can
/// choose keys that collide.
pub(crate) fn key_hash(store: StoreId, name: &str, key: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_key(&store.0.to_be_bytes());
    hasher.write(name.as_bytes());
    // No name holds this byte, so that no two pairs read the same.
    hasher.write_u8(0xff);
    hasher.write(key.as_bytes());
    hasher.finish()
}

/// The rows of keys that the present group looked at.
#[derive(Debug)]
pub(crate) struct Uniques {
    retention: Duration,
    rows: HashMap<u64, Looked>,
}

#[derive(Debug)]
struct Looked {
    row: UniqueRow,
    changed: bool,
}

impl Uniques {
    /// `retention` is how long a key is held after its job's end, at most.
    pub(crate) fn new(retention: Duration) -> Self {
        Self {
            retention,
            rows: HashMap::new(),
        }
    }

    /// The row of this hash is here.
    pub(crate) fn knows(&self, hash: u64) -> bool {
        self.rows.contains_key(&hash)
    }

    /// Takes the row as the store has it.
    pub(crate) fn learn(&mut self, hash: u64, row: UniqueRow) {
        self.rows.entry(hash).or_insert(Looked {
            row,
            changed: false,
        });
    }

    /// The job that holds the key, under whatever name of its type. What `passing` holds is free: it
    /// ends with this acceptance.
    ///
    /// # Errors
    /// Where it holds it with another payload.
    pub(crate) fn holder(
        &self,
        claim: &KeyClaim,
        name: &str,
        key: &str,
        now: Steady,
        passing: Option<JobNumber>,
    ) -> Result<Option<JobNumber>, Error> {
        let holds =
            |entry: &UniqueEntry| Some(entry.job) != passing && !self.has_run_out(entry, now);
        let mut entries = claim
            .rows()
            .zip(claim.names(name))
            .filter_map(|(hash, name)| {
                let mut entries = self.rows.get(&hash)?.row.entries.iter();
                entries.find(|entry| entry.name == name && entry.key == key && holds(entry))
            });
        match entries.next() {
            None => Ok(None),
            Some(entry) if claim.agrees(entry.payload_hash, entry.sent_hash) => Ok(Some(entry.job)),
            Some(entry) => Err(Error::key_conflict(name, key, entry.job)),
        }
    }

    fn has_run_out(&self, entry: &UniqueEntry, now: Steady) -> bool {
        let own = entry.retention_ms.map(Duration::from_millis);
        let retention = own.map_or(self.retention, |own| own.min(self.retention));
        entry
            .ended
            .is_some_and(|ended| now.since(Steady::of(ended)) >= retention)
    }

    /// Gives the key to a job, whoever held it before.
    pub(crate) fn hold(&mut self, claim: &KeyClaim, name: &str, key: &str, job: JobNumber) {
        for (hash, name) in &claim.others {
            self.take(*hash, name, key);
        }
        self.take(claim.own, name, key);
        self.change(claim.own, |row| {
            row.entries.push(UniqueEntry {
                name: name.into(),
                key: key.into(),
                job,
                payload_hash: claim.payload_hash,
                ended: None,
                sent_hash: claim.sent_hash,
                retention_ms: claim.retention_ms,
            });
        });
    }

    fn take(&mut self, hash: u64, name: &str, key: &str) {
        let is_it = |entry: &UniqueEntry| entry.name == name && entry.key == key;
        let looked = self.rows.get(&hash);
        if looked.is_some_and(|looked| looked.row.entries.iter().any(is_it)) {
            self.change(hash, |row| row.entries.retain(|entry| !is_it(entry)));
        }
    }

    /// The job that holds the key ended, or lives again.
    pub(crate) fn set_ended(&mut self, hash: u64, job: JobNumber, ended: Option<Steady>) {
        self.change(hash, |row| {
            for entry in row.entries.iter_mut().filter(|entry| entry.job == job) {
                entry.ended = ended.map(Steady::kept);
            }
        });
    }

    /// The job still holds a key of this hash.
    pub(crate) fn is_held_by(&self, hash: u64, job: JobNumber) -> bool {
        self.rows
            .get(&hash)
            .is_some_and(|looked| looked.row.entries.iter().any(|entry| entry.job == job))
    }

    /// The job no longer holds the key.
    pub(crate) fn release(&mut self, hash: u64, job: JobNumber) {
        self.change(hash, |row| row.entries.retain(|entry| entry.job != job));
    }

    /// Releases the key if its job ended then for the last time. It may live again since, or have.
    pub(crate) fn expire(&mut self, hash: u64, job: JobNumber, ended: Timestamp) {
        let expired = |entry: &UniqueEntry| entry.job == job && entry.ended == Some(ended);
        self.change(hash, |row| row.entries.retain(|entry| !expired(entry)));
    }

    fn change(&mut self, hash: u64, act: impl FnOnce(&mut UniqueRow)) {
        if let Some(looked) = self.rows.get_mut(&hash) {
            act(&mut looked.row);
            looked.changed = true;
        }
    }

    /// Writes what changed, and forgets the rows.
    pub(crate) fn write(&mut self, batch: &mut Batch) -> Result<(), RowError> {
        for (hash, looked) in self.rows.drain() {
            let key = Key::new(Space::Unique, hash);
            match looked {
                Looked { changed: false, .. } => {}
                Looked { row, .. } if row.entries.is_empty() => batch.delete(key),
                Looked { row, .. } => batch.put(key, Encoded::new(&row)?),
            }
        }
        Ok(())
    }
}
