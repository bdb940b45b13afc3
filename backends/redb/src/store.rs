use std::fmt;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use jobkeep_store::{
    Batch, Finding, Identity, Key, OpeningTag, QueueStore, Space, StoreError, is_taken_over,
    open_patiently, verify_rows,
};
use parking_lot::RwLock;
use redb::StorageBackend as _;

use crate::RedbOptions;
use crate::commit::apply;
use crate::create::{create, sync_directory};
use crate::engine::{Engine, fence, get, rows};
use crate::error::{Act, said};
use crate::owned::OwnedFile;

/// A store in one redb file.
///
/// Reads run beside commits and see the last one that had returned. Commits run one after another.
pub struct RedbStore {
    path: PathBuf,
    location: String,
    options: RedbOptions,
    /// Locked for writing only to exchange the engine.
    slot: RwLock<Slot>,
}

/// What a store has in hand.
enum Slot {
    Open(Engine),
    /// Its file, open and locked, on which no engine could be opened.
    Bare(Arc<OwnedFile>),
    Closed,
}

impl Slot {
    fn engine(&self, act: Act<'_>) -> Result<&Engine, StoreError> {
        match self {
            Self::Open(engine) => Ok(engine),
            Self::Bare(_) | Self::Closed => Err(act.closed()),
        }
    }

    fn close(&mut self, act: Act<'_>) -> Result<(), StoreError> {
        match std::mem::replace(self, Self::Closed) {
            Self::Open(engine) => engine.close(act),
            Self::Bare(file) => file.close().map_err(|cause| act.io(cause)),
            Self::Closed => Ok(()),
        }
    }
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
        let engine = open_patiently(options.wait_for_owner, || {
            Engine::open(&path, &options, act)
        })?;
        let store = Self {
            path,
            location,
            options,
            slot: RwLock::new(Slot::Open(engine)),
        };
        if store.options.compact_on_open {
            store.compact()?;
        }
        Ok(store)
    }

    /// Makes the file as small as its rows allow. redb uses freed room again and never gives it back by
    /// itself: a file that once held a long line stays as large. It moves what it has to move, which
    /// takes about as long as to copy the rows, and needs some room itself; reads and commits wait
    /// meanwhile. Returns whether there was anything to do.
    ///
    /// # Errors
    /// Where the store is closed, or the operating system refuses. Nothing is lost by it; where a write
    /// failed, the store is of use again after [`reopen`](QueueStore::reopen).
    ///
    /// # Durability
    /// The compacted file survives a power cut when this returns, and one on the way leaves the rows
    /// as they were.
    pub fn compact(&self) -> Result<bool, StoreError> {
        let act = self.act("compact the store");
        let mut slot = self.slot.write();
        let Slot::Open(engine) = &mut *slot else {
            return Err(act.closed());
        };
        let file = Arc::clone(engine.file.owned());
        engine
            .file
            .release()
            .and_then(|()| file.look())
            .map_err(|why| act.not_begun(why, file.sync_failed()))?;
        act.caught(|| {
            let compacted = engine.database.compact();
            compacted.map_err(|cause| act.engine(cause))
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
        let slot = self.slot.read();
        let engine = slot.engine(act)?;
        act.caught(|| work(engine))
    }
}

impl QueueStore for RedbStore {
    fn identity(&self) -> Result<Identity, StoreError> {
        let act = self.act("read the identity");
        self.on_engine(act, |engine| {
            Ok(Identity {
                location: self.location.clone(),
                durability: engine.file.owned().durability(),
                fence: fence(&engine.read(act)?, act)?,
            })
        })
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let verb = format!("write commit {}", batch.fence().commit);
        let act = self.act(&verb);
        let slot = self.slot.read();
        let engine = slot.engine(act)?;
        let file = engine.file.owned();
        engine
            .file
            .release()
            .and_then(|()| file.look())
            .map_err(|why| act.not_begun(why, file.sync_failed()))?;
        let transaction = act.caught(|| {
            let begun = engine.database.begin_write();
            let mut transaction = begun.map_err(|cause| act.engine(cause))?;
            transaction.set_quick_repair(self.options.quick_repair);
            apply(&transaction, batch, act)?;
            Ok(transaction)
        })?;
        match catch_unwind(AssertUnwindSafe(|| transaction.commit())) {
            Ok(committed) => committed.map_err(|cause| act.commit(cause, file.sync_failed()))?,
            Err(panic) => return Err(act.unknown(said(&*panic))),
        }
        // Two owners who do not see each other's locks may have written at once.
        file.look_inside()
            .map_err(|why| act.unknown(why.to_string()))
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

    /// The file stays open and locked meanwhile, so that neither its path nor another descriptor is
    /// needed: this works for a process that has given up the right to open it. What redb repairs is
    /// held back where the disk has no room for it, until the next commit finds some.
    fn reopen(&self) -> Result<(), StoreError> {
        let mut slot = self.slot.write();
        let act = self.act("reopen the store");
        let file = match std::mem::replace(&mut *slot, Slot::Closed) {
            Slot::Open(engine) => engine.hand_on(act),
            Slot::Bare(file) => file,
            Slot::Closed => {
                *slot = Slot::Open(Engine::open(&self.path, &self.options, act)?);
                return Ok(());
            }
        };
        let opened = file.look().map_err(|why| act.displaced(why));
        let opened = opened.and_then(|()| Engine::on(&file, &self.options, act));
        let (next, opened) = match opened {
            Ok(engine) => (Slot::Open(engine), Ok(())),
            Err(cause) => (Slot::Bare(file), Err(cause)),
        };
        *slot = next;
        opened
    }

    fn close(&self) -> Result<(), StoreError> {
        self.slot.write().close(self.act("close the store"))
    }

    fn close_for(&self, opening: OpeningTag) -> Result<(), StoreError> {
        let act = self.act("close the store");
        let mut slot = self.slot.write();
        let taken_over = slot.engine(act).is_ok_and(|engine| {
            let fence = act.caught(|| fence(&engine.read(act)?, act));
            is_taken_over(fence.ok().flatten().as_ref(), opening)
        });
        if taken_over {
            return Ok(());
        }
        slot.close(act)
    }
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
