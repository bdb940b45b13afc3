use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jobkeep_store::{Key, StoreError};
use parking_lot::RwLock;
use redb::{BackendError, Builder, ReadableDatabase, StorageBackend};

use crate::engine::{Engine, get};
use crate::error::{Act, said};
use crate::held::HeldFile;
use crate::overlay::{Change, Overlay};

impl Engine {
    /// What redb has to complain of in its own pages.
    ///
    /// A second engine reads the same file and checks all of it. What it would repair stays in memory,
    /// so that neither the file nor this engine changes.
    pub(crate) fn complaint(&self, act: Act<'_>) -> Result<Option<String>, StoreError> {
        // While this transaction lives, nobody else commits and the file stays as it is.
        let pause = self.database.begin_write();
        let _pause = pause.map_err(|cause| act.engine(cause))?;
        let fence = get(&self.read(act)?, Key::FENCE, act)?;
        let mirror = Mirror {
            file: self.file.clone(),
            changes: RwLock::default(),
        };
        let checked = catch_unwind(AssertUnwindSafe(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(self.cache_bytes);
            builder.set_check_integrity_on_open(true);
            let mirrored = builder.create_with_backend(mirror);
            let mirrored = mirrored.map_err(|cause| cause.to_string())?;
            let reading = mirrored.begin_read().map_err(|cause| cause.to_string())?;
            get(&reading, Key::FENCE, act).map_err(|cause| cause.to_string())
        }));
        Ok(match checked {
            Ok(Ok(found)) if found == fence => None,
            // As after a crash, redb would have fallen back on the commit before it.
            Ok(Ok(_)) => Some("the last commit is damaged".into()),
            Ok(Err(complaint)) => Some(complaint),
            Err(panic) => Some(said(&*panic)),
        })
    }
}

/// The file of an open engine, for a second one that changes nothing. The locks are with the first.
#[derive(Debug)]
struct Mirror {
    file: HeldFile,
    changes: RwLock<Overlay>,
}

impl Mirror {
    fn keep(&self, change: Change) {
        self.changes.write().push(change);
    }
}

impl StorageBackend for Mirror {
    fn len(&self) -> io::Result<u64> {
        self.changes.read().len(&self.file)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.changes.read().read(&self.file, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.keep(Change::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.keep(Change::Bytes {
            from: offset,
            bytes: data.to_vec(),
        });
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}
