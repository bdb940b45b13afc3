use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use jobkeep_store::{Batch, Encoded, Fence, Key, StoreError, Write, admit, open_row};
use sled::Db;

use crate::SledOptions;
use crate::error::{Act, said};
use crate::folder::{self, LOG, Standing};

/// sled panics below it.
const LEAST_CACHE_BYTES: u64 = 256;

/// An open sled database that proved to be a store of jobkeep.
pub(crate) struct Engine {
    db: Db,
    founded: bool,
}

impl Engine {
    /// Opens what [`folder::claim`] let through.
    pub(crate) fn open(
        path: &Path,
        standing: Standing,
        options: &SledOptions,
        act: Act<'_>,
    ) -> Result<Self, StoreError> {
        let opened = act.caught(|| {
            let config = sled::Config::default()
                .path(path)
                .cache_capacity(options.cache_bytes.max(LEAST_CACHE_BYTES))
                // Every commit flushes; a flush in between would be one of half a commit.
                .flush_every_ms(None);
            let db = config.open().map_err(|cause| act.engine(cause))?;
            let engine = Self { db, founded: true };
            engine.inspect(path, standing, act)
        });
        match opened {
            Err(cause) if !cause.is_in_use() => {
                wait_for_threads(path);
                Err(cause)
            }
            opened => opened,
        }
    }

    /// Tells a new store from one that lost its rows.
    fn inspect(
        mut self,
        path: &Path,
        standing: Standing,
        act: Act<'_>,
    ) -> Result<Self, StoreError> {
        let fence = self.fence(act)?;
        match (standing, fence) {
            (Standing::Founding, None) if self.db.is_empty() => self.founded = false,
            (Standing::Founding, Some(_)) => {
                folder::mark_founded(path).map_err(|cause| act.io(cause))?;
            }
            (_, None) => return Err(act.damaged("its rows are gone")),
            (Standing::Founded(commits), Some(fence)) if fence.commit < commits => {
                let cause = format!(
                    "its last commits are gone: it had {commits}, and has {}",
                    fence.commit
                );
                return Err(act.damaged(cause));
            }
            (Standing::Founded(_), Some(_)) => {}
        }
        Ok(self)
    }

    pub(crate) fn fence(&self, act: Act<'_>) -> Result<Option<Fence>, StoreError> {
        self.get(Key::FENCE, act)?
            .map(|row| open_row(Key::FENCE, &row))
            .transpose()
            .map_err(|reason| StoreError::row(Key::FENCE, reason).at(act.location))
    }

    pub(crate) fn get(&self, key: Key, act: Act<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.db.get(key.to_bytes());
        let row = row.map_err(|cause| act.engine(cause))?;
        Ok(row.map(|row| row.to_vec()))
    }

    /// The rows from `from` to `to`, in the order of keys.
    pub(crate) fn range(
        &self,
        from: Key,
        to: Key,
        act: Act<'_>,
    ) -> impl Iterator<Item = Result<(Key, sled::IVec), StoreError>> {
        self.db
            .range(from.to_bytes()..=to.to_bytes())
            .map(move |entry| {
                let (key, row) = entry.map_err(|cause| act.engine(cause))?;
                let known = Key::from_bytes(&key);
                let known = known.ok_or_else(|| act.damaged(format!("{key:?} is no key")))?;
                Ok((known, row))
            })
    }

    /// The batch in sled's form, its fence included, if the store takes it.
    pub(crate) fn admit(&self, batch: &Batch, act: Act<'_>) -> Result<sled::Batch, StoreError> {
        let fence = admit(self.fence(act)?.as_ref(), batch, act.location)?;
        let row = Encoded::new(&fence);
        let row =
            row.map_err(|cause| StoreError::failed("encode the fence", act.location, cause))?;
        let mut applied = sled::Batch::default();
        for write in batch.writes() {
            match write {
                Write::Put { key, row, .. } => applied.insert(&key.to_bytes(), row.as_slice()),
                Write::Delete { key } => applied.remove(&key.to_bytes()),
            }
        }
        applied.insert(&Key::FENCE.to_bytes(), row.seal(Key::FENCE));
        Ok(applied)
    }

    /// Applies and flushes. After an error nobody knows what is on disk, nor what sled shows.
    pub(crate) fn apply(
        &mut self,
        path: &Path,
        batch: sled::Batch,
        act: Act<'_>,
    ) -> Result<(), StoreError> {
        let applied = catch_unwind(AssertUnwindSafe(|| {
            self.db.apply_batch(batch)?;
            self.db.flush()
        }));
        match applied {
            Ok(Ok(_)) => {}
            Ok(Err(cause)) => return Err(act.unknown(cause)),
            Err(panic) => return Err(act.unknown(said(&*panic))),
        }
        if !self.founded {
            folder::mark_founded(path).map_err(|cause| act.unknown(cause))?;
            self.founded = true;
        }
        Ok(())
    }

    /// Lets go of the directory in order, and notes how many commits it has.
    pub(crate) fn close(self, path: &Path, act: Act<'_>) -> Result<(), StoreError> {
        let fence = act.caught(|| self.fence(act));
        let abandoned = self.abandon(path, act);
        if let Some(fence) = fence? {
            folder::mark_commits(path, fence.commit).map_err(|cause| act.io(cause))?;
        }
        abandoned
    }

    /// Lets go of the directory.
    pub(crate) fn abandon(self, path: &Path, act: Act<'_>) -> Result<(), StoreError> {
        act.caught(|| {
            drop(self);
            Ok(())
        })?;
        if wait_for_threads(path) {
            Ok(())
        } else {
            let cause = "sled still holds its lock a second after it was closed";
            Err(StoreError::failed(act.verb, act.location, cause))
        }
    }
}

/// Waits until sled's threads have let go of the file that it locks, a second at most. They are its
/// own, without a handle to join or a signal to wait for. Says whether they did.
fn wait_for_threads(path: &Path) -> bool {
    let is_free = || match File::open(path.join(LOG)) {
        Ok(log) => !matches!(log.try_lock(), Err(TryLockError::WouldBlock)),
        Err(_) => true,
    };
    (0..1000).any(|_| {
        let free = is_free();
        if !free {
            thread::park_timeout(Duration::from_millis(1));
        }
        free
    })
}
