use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use jobkeep_store::{Batch, Encoded, Fence, Key, StoreError, Write, admit, open_row};
use sled::Db;

use crate::SledOptions;
use crate::claim::{Announced, Claim};
use crate::error::{Act, said};
use crate::folder::{self, LOG, Standing};

/// sled panics below it.
const LEAST_CACHE_BYTES: u64 = 256;

/// An open sled database that proved to be a store of jobkeep.
pub(crate) struct Engine {
    db: Db,
    founded: bool,
    claim: Claim,
}

/// How long sled may take to end: in order, and after a failure, when it may never.
const TO_CLOSE: Duration = Duration::from_secs(10);
const TO_ABANDON: Duration = Duration::from_secs(1);

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
            let announced = Announced::leave(path).map_err(|cause| act.io(cause))?;
            let db = config.open().map_err(|cause| act.engine(cause))?;
            let founded = inspect(&db, path, standing, act)?;
            let claim = Claim::stake(path, announced).map_err(|cause| act.io(cause))?;
            Ok(Self { db, founded, claim })
        });
        match opened {
            Err(cause) if !cause.is_in_use() => {
                wait_for_threads(path);
                Err(cause)
            }
            opened => opened,
        }
    }

    /// The store is still this owner's.
    pub(crate) fn look(&self, act: Act<'_>) -> Result<(), StoreError> {
        self.claim.look().map_err(|why| act.displaced(why))
    }

    pub(crate) fn fence(&self, act: Act<'_>) -> Result<Option<Fence>, StoreError> {
        fence(&self.db, act)
    }

    pub(crate) fn get(&self, key: Key, act: Act<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        get(&self.db, key, act)
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
        // Two owners who do not see each other's locks may have written at once.
        self.claim
            .look()
            .map_err(|why| act.unknown(why.to_string()))
    }

    /// Lets go of the directory in order, and notes how many commits it has.
    pub(crate) fn close(self, path: &Path, act: Act<'_>) -> Result<(), StoreError> {
        let fence = act.caught(|| self.fence(act));
        let ours = self.look(act);
        let closed = let_go(self.db, path, TO_CLOSE, act);
        // The note is for a store that is still there, and still this owner's.
        ours?;
        if let Some(fence) = fence? {
            folder::mark_commits(path, fence.commit).map_err(|cause| act.io(cause))?;
        }
        closed
    }

    /// Lets go of the directory after a failure.
    pub(crate) fn abandon(self, path: &Path, act: Act<'_>) -> Result<(), StoreError> {
        let_go(self.db, path, TO_ABANDON, act)
    }
}

/// Ends sled on a thread of its own: after a failed write its end waits for ever for a flush. Such a
/// thread is left to itself, and the lock stays with it.
fn let_go(db: Db, path: &Path, patience: Duration, act: Act<'_>) -> Result<(), StoreError> {
    let (give, given) = mpsc::channel();
    let (ended, end) = mpsc::channel::<()>();
    let ending = thread::Builder::new()
        .name("jobkeep-sled-end".into())
        .spawn(move || {
            drop(given.recv());
            drop(ended);
        });
    if let Err(cause) = ending {
        // Dropped here, it might never return.
        std::mem::forget(db);
        return Err(act.io(cause));
    }
    drop(give.send(db));
    let has_ended = end.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected);
    if has_ended && wait_for_threads(path) {
        Ok(())
    } else {
        let cause = format!("sled still holds its lock {patience:?} after it was to end");
        Err(StoreError::failed(act.verb, act.location, cause))
    }
}

/// Tells a new store, which is not founded yet, from one that lost its rows.
fn inspect(db: &Db, path: &Path, standing: Standing, act: Act<'_>) -> Result<bool, StoreError> {
    match (standing, fence(db, act)?) {
        (Standing::Founding, None) if db.is_empty() => return Ok(false),
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
    Ok(true)
}

fn fence(db: &Db, act: Act<'_>) -> Result<Option<Fence>, StoreError> {
    get(db, Key::FENCE, act)?
        .map(|row| open_row(Key::FENCE, &row))
        .transpose()
        .map_err(|reason| StoreError::row(Key::FENCE, reason).at(act.location))
}

fn get(db: &Db, key: Key, act: Act<'_>) -> Result<Option<Vec<u8>>, StoreError> {
    let row = db.get(key.to_bytes());
    let row = row.map_err(|cause| act.engine(cause))?;
    Ok(row.map(|row| row.to_vec()))
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
