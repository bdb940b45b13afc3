use std::fmt;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{self, Path, PathBuf};

use jobkeep_store::{
    Batch, Durability, Finding, Identity, Key, OpeningTag, QueueStore, StoreError, Write,
    is_taken_over, open_patiently, verify_rows,
};
use parking_lot::RwLock;

use crate::SledOptions;
use crate::engine::Engine;
use crate::error::Act;
use crate::folder::{claim, standing};
use crate::room::{require_to_commit, require_to_open};

/// A store in one sled directory.
///
/// Reads run beside each other; a commit waits for them, and they for it, because a range of sled is
/// not of one moment. A commit whose outcome is unknown closes the store, so that nobody reads rows
/// that may not be on disk: [`reopen`](QueueStore::reopen) shows what is.
pub struct SledStore {
    path: PathBuf,
    location: String,
    options: SledOptions,
    engine: RwLock<Option<Engine>>,
}

impl SledStore {
    /// Opens the store in the directory `path` with the default options, or creates it where there is
    /// nothing, or nothing in it. The directory around it must exist.
    ///
    /// # Errors
    /// Where another owner has the store open ([`is_in_use`](StoreError::is_in_use)), it is something
    /// else ([`is_foreign`](StoreError::is_foreign)) and left as it is, sled cannot read it or reads
    /// less than was there when it was closed ([`is_damaged`](StoreError::is_damaged)), or it is of a
    /// newer jobkeep ([`is_newer_format`](StoreError::is_newer_format)); where there is too little room
    /// for sled to begin ([`is_full`](StoreError::is_full)); and where the operating system refuses.
    ///
    /// # Durability
    /// Nothing is promised before the first commit.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::options().open(path)
    }

    /// The default options, to be changed and opened.
    pub fn options() -> SledOptions {
        SledOptions::default()
    }

    pub(crate) fn with(path: &Path, options: SledOptions) -> Result<Self, StoreError> {
        let location = path.display().to_string();
        let act = Act {
            verb: "open the store",
            location: &location,
        };
        // So that `reopen` finds the same directory in whatever directory the process is by then.
        let path = path::absolute(path).map_err(|cause| act.io(cause))?;
        require_to_open(&path, act)?;
        let engine = open_patiently(options.wait_for_owner, || {
            let standing = claim(&path, act)?;
            Engine::open(&path, standing, &options, act)
        })?;
        Ok(Self {
            path,
            location,
            options,
            engine: RwLock::new(Some(engine)),
        })
    }

    fn act<'a>(&'a self, verb: &'a str) -> Act<'a> {
        Act {
            verb,
            location: &self.location,
        }
    }

    /// Runs `work` on the engine, which stays as it is for as long.
    fn on_engine<T>(
        &self,
        act: Act<'_>,
        work: impl FnOnce(&Engine) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let engine = self.engine.read();
        let engine = engine.as_ref().ok_or_else(|| act.closed())?;
        act.caught(|| work(engine))
    }
}

impl QueueStore for SledStore {
    fn identity(&self) -> Result<Identity, StoreError> {
        let act = self.act("read the identity");
        let fence = self.on_engine(act, |engine| engine.fence(act))?;
        Ok(Identity {
            location: self.location.clone(),
            durability: Durability::Flushed,
            fence,
        })
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let verb = format!("write commit {}", batch.fence().commit);
        let act = self.act(&verb);
        let mut slot = self.engine.write();
        let engine = slot.as_mut().ok_or_else(|| act.closed())?;
        engine.look(act)?;
        let admitted = act.caught(|| engine.admit(batch, act))?;
        require_to_commit(&self.path, bytes(batch), act)?;
        let applied = engine.apply(&self.path, admitted, act);
        if applied.is_err()
            && let Some(engine) = slot.take()
        {
            // The commit's own error says more than what follows from it.
            let _ = engine.abandon(&self.path, act);
        }
        applied
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let verb = format!("read row {key}");
        let act = self.act(&verb);
        self.on_engine(act, |engine| engine.get(*key, act))
    }

    fn scan(
        &self,
        from: &Key,
        to: &Key,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let verb = format!("scan the rows from {from} to {to}");
        let act = self.act(&verb);
        let mut panicked = None;
        let scanned = self.on_engine(act, |engine| {
            // sled panics on a range that ends before it begins.
            if from > to {
                return Ok(());
            }
            for entry in engine.range(*from, *to, act) {
                let (key, row) = entry?;
                // A panic of the callback is the caller's, and does not unwind through the engine.
                match catch_unwind(AssertUnwindSafe(|| each(key, &row))) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(panic) => {
                        panicked = Some(panic);
                        break;
                    }
                }
            }
            Ok(())
        });
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
        scanned
    }

    /// Checks the rows. sled has no check of its own beside the one that it makes of whatever it reads
    /// from the disk.
    fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        verify_rows(self, found)
    }

    /// An engine that has failed is gone already. One that is there is left as it is where there is
    /// little room, because its end and its beginning write.
    fn reopen(&self) -> Result<(), StoreError> {
        let act = self.act("reopen the store");
        let mut slot = self.engine.write();
        if let Some(engine) = slot.take() {
            if let Err(displaced) = engine.look(act) {
                let _ = engine.abandon(&self.path, act);
                return Err(displaced);
            }
            let scarce = require_to_commit(&self.path, 0, act).is_err();
            *slot = Some(engine);
            if scarce {
                return Ok(());
            }
        }
        require_to_open(&self.path, act)?;
        if let Some(engine) = slot.take() {
            // A failed engine fails to close in order, which is why it is reopened.
            let _ = engine.close(&self.path, act);
        }
        let standing = standing(&self.path, act)?;
        let standing = standing.ok_or_else(|| act.damaged("the directory is gone"))?;
        *slot = Some(Engine::open(&self.path, standing, &self.options, act)?);
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        match self.engine.write().take() {
            Some(engine) => engine.close(&self.path, self.act("close the store")),
            None => Ok(()),
        }
    }

    fn close_for(&self, opening: OpeningTag) -> Result<(), StoreError> {
        let act = self.act("close the store");
        let mut slot = self.engine.write();
        let Some(engine) = slot.take() else {
            return Ok(());
        };
        let fence = act.caught(|| engine.fence(act)).ok().flatten();
        if is_taken_over(fence.as_ref(), opening) {
            *slot = Some(engine);
            return Ok(());
        }
        engine.close(&self.path, act)
    }
}

fn bytes(batch: &Batch) -> u64 {
    let rows = batch.writes().iter().map(|write| match write {
        Write::Put { row, .. } => row.len() as u64,
        Write::Delete { .. } => 0,
    });
    rows.sum()
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // Whoever wants to know closes the store.
        let _ = self.close();
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore")
            .field("location", &self.location)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
