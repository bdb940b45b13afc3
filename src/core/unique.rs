//! Idempotency keys: one job a key and job type, exact within one batch too.

use std::collections::HashMap;
use std::hash::Hasher;
use std::time::Duration;

use jobkeep_store::{
    Batch, Encoded, JobNumber, Key, RowError, Space, StoreId, Timestamp, UniqueEntry, UniqueRow,
};
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher13To128};

use crate::Error;

/// A key that a new job claims.
#[derive(Clone, Debug)]
pub(crate) struct KeyClaim {
    /// The number of the key's row.
    pub(crate) hash: u64,
    pub(crate) payload_hash: u128,
}

impl KeyClaim {
    pub(crate) fn new(store: StoreId, name: &str, key: &str, payload: &[u8]) -> Self {
        let mut hasher = SipHasher13To128::new_with_key(&store.0.to_be_bytes());
        hasher.write(payload);
        Self {
            hash: key_hash(store, name, key),
            payload_hash: hasher.finish128().as_u128(),
        }
    }
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
    /// `retention` is how long a key is held after its job's end.
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

    /// The job that holds the key.
    ///
    /// # Errors
    /// Where it holds it with another payload.
    pub(crate) fn holder(
        &self,
        claim: &KeyClaim,
        name: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<JobNumber>, Error> {
        let Some(entry) = self.rows.get(&claim.hash).and_then(|looked| {
            looked
                .row
                .entries
                .iter()
                .find(|entry| entry.name == name && entry.key == key)
        }) else {
            return Ok(None);
        };
        if entry
            .ended
            .is_some_and(|ended| now.since(ended) >= self.retention)
        {
            return Ok(None);
        }
        if entry.payload_hash != claim.payload_hash {
            return Err(Error::key_conflict(name, key, entry.job));
        }
        Ok(Some(entry.job))
    }

    /// Gives the key to a job, whoever held it before.
    pub(crate) fn hold(&mut self, claim: &KeyClaim, name: &str, key: &str, job: JobNumber) {
        self.change(claim.hash, |row| {
            row.entries
                .retain(|entry| entry.name != name || entry.key != key);
            row.entries.push(UniqueEntry {
                name: name.into(),
                key: key.into(),
                job,
                payload_hash: claim.payload_hash,
                ended: None,
            });
        });
    }

    /// The job that holds the key ended, or lives again.
    pub(crate) fn set_ended(&mut self, hash: u64, job: JobNumber, ended: Option<Timestamp>) {
        self.change(hash, |row| {
            for entry in row.entries.iter_mut().filter(|entry| entry.job == job) {
                entry.ended = ended;
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
