//! The store of jobkeep that keeps its rows in memory: a map under one mutex.
//!
//! It is for tests and for jobs that need not survive the process, and it is the model that the other
//! stores are compared with: naive, and obviously right.

#![cfg_attr(docsrs, feature(doc_cfg))]

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jobkeep_store::{
    Batch, Durability, Encoded, Fence, Finding, Identity, Key, OpeningTag, QueueStore, StoreError,
    Write, admit, is_taken_over, open_row, verify_rows,
};

const LOCATION: &str = "memory";

type Rows = BTreeMap<Key, Vec<u8>>;

/// A store whose rows live as long as one of its handles.
///
/// A clone is another handle of the same rows, and open, whatever this one is: it stands for a second
/// owner that opens the same file. Closing a handle closes that handle only.
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
    /// Read and written under the lock of the rows, so that nothing of a handle is still under way
    /// when its `close` returns.
    closed: AtomicBool,
}

impl MemoryStore {
    /// An empty store that nobody else has a handle of.
    pub fn new() -> Self {
        Self::of(Arc::default())
    }

    fn of(rows: Arc<Mutex<Rows>>) -> Self {
        Self {
            rows,
            closed: AtomicBool::new(false),
        }
    }

    /// A panic of a `scan` callback poisons the mutex and harms no row, hence the `into_inner`.
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, act: impl FnOnce() -> String) -> Result<MutexGuard<'_, Rows>, StoreError> {
        let rows = self.lock();
        if self.closed.load(Ordering::Relaxed) {
            return Err(StoreError::closed(act(), LOCATION));
        }
        Ok(rows)
    }

    fn set_closed(&self, closed: bool) {
        let _rows = self.lock();
        self.closed.store(closed, Ordering::Relaxed);
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for MemoryStore {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.rows))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("closed", &self.closed.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

impl QueueStore for MemoryStore {
    fn identity(&self) -> Result<Identity, StoreError> {
        let rows = self.open(|| "read the identity".into())?;
        Ok(Identity {
            location: LOCATION.into(),
            durability: Durability::Memory,
            fence: fence(&rows)?,
        })
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut rows = self.open(|| format!("write commit {}", batch.fence().commit))?;
        let fence = admit(fence(&rows)?.as_ref(), batch, LOCATION)?;
        let sealed = Encoded::new(&fence)
            .map_err(|cause| StoreError::failed("encode the fence", LOCATION, cause))?
            .seal(Key::FENCE);
        for write in batch.writes() {
            match write {
                Write::Put { key, row, .. } => {
                    rows.insert(*key, row.clone());
                }
                Write::Delete { key } => {
                    rows.remove(key);
                }
            }
        }
        rows.insert(Key::FENCE, sealed);
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.open(|| format!("read row {key}"))?.get(key).cloned())
    }

    fn scan(
        &self,
        from: &Key,
        to: &Key,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let rows = self.open(|| format!("scan the rows from {from} to {to}"))?;
        // `range` panics on a range that ends before it begins.
        if from > to {
            return Ok(());
        }
        for (key, row) in rows.range(from..=to) {
            if each(*key, row).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        verify_rows(self, found)
    }

    fn reopen(&self) -> Result<(), StoreError> {
        self.set_closed(false);
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        self.set_closed(true);
        Ok(())
    }

    fn close_for(&self, opening: OpeningTag) -> Result<(), StoreError> {
        let rows = self.lock();
        let taken_over = is_taken_over(fence(&rows).ok().flatten().as_ref(), opening);
        self.closed.fetch_or(!taken_over, Ordering::Relaxed);
        Ok(())
    }
}

fn fence(rows: &Rows) -> Result<Option<Fence>, StoreError> {
    rows.get(&Key::FENCE)
        .map(|row| open_row(Key::FENCE, row))
        .transpose()
        .map_err(|reason| StoreError::row(Key::FENCE, reason).at(LOCATION))
}
