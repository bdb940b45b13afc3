use std::fmt;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{self, Path, PathBuf};

use jobkeep_store::{
    Batch, Durability, Finding, Identity, Key, QueueStore, Space, StoreError, verify_rows,
};
use parking_lot::RwLock;

use crate::RedbOptions;
use crate::commit::apply;
use crate::create::{create, sync_directory};
use crate::engine::{Engine, fence, get, rows};
use crate::error::{Act, said};

/// A store in one redb file.
///
/// Reads run beside commits and see the last one that had returned. Commits run one after another.
pub struct RedbStore {
    path: PathBuf,
    location: String,
    options: RedbOptions,
    /// Locked for writing only to exchange the engine.
    engine: RwLock<Option<Engine>>,
}

impl RedbStore {
    /// Opens the store in the file `path` with the default options, or creates it where there is
    /// nothing. Its directory must exist.
    ///
    /// An existing file is never replaced or emptied, and one that is not a store of jobkeep is left
    /// byte for byte as it is.
    ///
    /// # Errors
    /// Where another owner has the file open ([`is_in_use`](StoreError::is_in_use)), it is something
    /// else ([`is_foreign`](StoreError::is_foreign)), empty, cut off or otherwise no longer readable
    /// ([`is_damaged`](StoreError::is_damaged)), or of a newer jobkeep
    /// ([`is_newer_format`](StoreError::is_newer_format)); and where the operating system refuses.
    ///
    /// # Durability
    /// A store created here survives a power cut when this returns.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::options().open(path)
    }

    /// The default options, to be changed and opened.
    pub fn options() -> RedbOptions {
        RedbOptions::default()
    }

    pub(crate) fn with(path: &Path, options: RedbOptions) -> Result<Self, StoreError> {
        let location = path.display().to_string();
        let act = Act {
            verb: "open the store",
            location: &location,
        };
        // So that `reopen` finds the same file in whatever directory the process is by then.
        let path = path::absolute(path).map_err(|cause| act.io(cause))?;
        if !path.try_exists().map_err(|cause| act.io(cause))? {
            create(&path, act)?;
        }
        sync_directory(&path).map_err(|cause| act.io(cause))?;
        let engine = Engine::open(&path, &options, act)?;
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

    /// Runs `work` on the engine, which stays open for as long.
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

impl QueueStore for RedbStore {
    fn identity(&self) -> Result<Identity, StoreError> {
        let act = self.act("read the identity");
        let fence = self.on_engine(act, |engine| fence(&engine.read(act)?, act))?;
        Ok(Identity {
            location: self.location.clone(),
            durability: Durability::Synced,
            fence,
        })
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let verb = format!("write commit {}", batch.fence().commit);
        let act = self.act(&verb);
        let engine = self.engine.read();
        let engine = engine.as_ref().ok_or_else(|| act.closed())?;
        if engine.file.is_deleted() {
            let cause =
                "the file was deleted: put a copy of the store in its place, and start again";
            return Err(act.damaged(cause));
        }
        let transaction = act.caught(|| {
            let begun = engine.database.begin_write();
            let mut transaction = begun.map_err(|cause| act.engine(cause))?;
            transaction.set_quick_repair(self.options.quick_repair);
            apply(&transaction, batch, act)?;
            Ok(transaction)
        })?;
        match catch_unwind(AssertUnwindSafe(|| transaction.commit())) {
            Ok(committed) => {
                committed.map_err(|cause| act.commit(cause, engine.file.sync_failed()))
            }
            Err(panic) => Err(StoreError::unknown(verb, &self.location, said(&*panic))),
        }
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let verb = format!("read row {key}");
        let act = self.act(&verb);
        self.on_engine(act, |engine| get(&engine.read(act)?, *key, act))
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
        // A panic of the callback is the caller's, and does not unwind through the engine.
        let mut each = |key, row: &[u8]| {
            catch_unwind(AssertUnwindSafe(|| each(key, row))).unwrap_or_else(|panic| {
                panicked = Some(panic);
                ControlFlow::Break(())
            })
        };
        let scanned = self.on_engine(act, |engine| scan(engine, *from, *to, act, &mut each));
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
        scanned
    }

    /// Beside the rows, redb checks all of its pages, and commits wait meanwhile: about a third of a
    /// second for a million waiting jobs. What redb would repair is a finding, and is not repaired.
    fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        verify_rows(self, found)?;
        let act = self.act("verify the store");
        if let Some(complaint) = self.on_engine(act, |engine| engine.complaint(act))? {
            found(Finding::Engine(complaint));
        }
        Ok(())
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut slot = self.engine.write();
        let act = self.act("reopen the store");
        if let Some(engine) = slot.take() {
            // A failed engine fails to close in order, which is why it is reopened.
            let _ = close(engine, act);
        }
        *slot = Some(Engine::open(&self.path, &self.options, act)?);
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        let act = self.act("close the store");
        let Some(engine) = self.engine.write().take() else {
            return Ok(());
        };
        close(engine, act)
    }
}

fn close(engine: Engine, act: Act<'_>) -> Result<(), StoreError> {
    act.caught(|| engine.close().map_err(|cause| act.engine(cause)))
}

fn scan(
    engine: &Engine,
    from: Key,
    to: Key,
    act: Act<'_>,
    each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let reading = engine.read(act)?;
    let spaces = Space::ALL
        .into_iter()
        .filter(|space| (from.space..=to.space).contains(space));
    for space in spaces {
        let first = if space == from.space { from.number } else { 0 };
        let last = if space == to.space {
            to.number
        } else {
            u64::MAX
        };
        let Some(rows) = rows(&reading, space, act)? else {
            continue;
        };
        if first > last {
            continue;
        }
        for entry in rows
            .range(first..=last)
            .map_err(|cause| act.engine(cause))?
        {
            let (number, row) = entry.map_err(|cause| act.engine(cause))?;
            if each(Key::new(space, number.value()), row.value()).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore")
            .field("location", &self.location)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
