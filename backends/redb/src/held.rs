use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use redb::{BackendError, StorageBackend};

use crate::overlay::{Change, Overlay};
use crate::owned::{Displaced, OwnedFile};

/// The file of one engine, whose changes can be held back in memory: while they are, redb sees them and
/// the file does not. A held file that is dropped was never changed.
#[derive(Clone, Debug)]
pub(crate) struct HeldFile(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: Arc<OwnedFile>,
    /// What was held back, in order; `None` where nothing is to be.
    held: RwLock<Option<Overlay>>,
    /// The next engine has the file: its locks stay.
    is_handed_on: AtomicBool,
}

impl HeldFile {
    /// Holds the changes of the file back.
    pub(crate) fn new(file: Arc<OwnedFile>) -> Self {
        Self(Arc::new(Shared {
            file,
            held: RwLock::new(Some(Overlay::default())),
            is_handed_on: AtomicBool::new(false),
        }))
    }

    /// Makes the changes that were held back, in their order and with their syncs between them, and
    /// holds none from here on. After an error, or a crash half-way, the file is as after a crash of
    /// redb at that point, and whatever else its owner writes stays held back: it may be tried again.
    pub(crate) fn release(&self) -> Result<(), Displaced> {
        if self.0.held.read().is_none() {
            return Ok(());
        }
        let mut held = self.0.held.write();
        if let Some(overlay) = &*held {
            // Whoever works on it beside us has not asked for the lock, or not by this way.
            self.0.file.look()?;
            overlay.apply(&*self.0.file).map_err(Displaced::from)?;
        }
        *held = None;
        Ok(())
    }

    /// The file itself, whatever is held back.
    pub(crate) fn owned(&self) -> &Arc<OwnedFile> {
        &self.0.file
    }

    /// From here on the engine lets go of the file without its locks: the next one has it.
    pub(crate) fn hand_on(&self) -> Arc<OwnedFile> {
        self.0.is_handed_on.store(true, Ordering::Release);
        Arc::clone(&self.0.file)
    }

    /// Keeps the change, where changes are held back.
    fn keep(&self, change: impl FnOnce() -> Change) -> bool {
        // Nearly always nothing is held: the write lock would put all writers in a row.
        if self.0.held.read().is_none() {
            return false;
        }
        match &mut *self.0.held.write() {
            Some(overlay) => {
                overlay.push(change());
                true
            }
            None => false,
        }
    }
}

impl StorageBackend for HeldFile {
    fn len(&self) -> io::Result<u64> {
        match &*self.0.held.read() {
            Some(overlay) => overlay.len(&*self.0.file),
            None => self.0.file.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &*self.0.held.read() {
            Some(overlay) => {
                self.0.file.learn();
                overlay.read(&*self.0.file, offset, out)?;
                // Pages of one commit are not written again before the next one has its head: so far
                // nobody has torn what was read.
                self.0.file.is_unchanged()
            }
            None => self.0.file.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.keep(|| Change::Length(len)) {
            return Ok(());
        }
        self.0.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.keep(|| Change::Sync) {
            return Ok(());
        }
        self.0.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let change = || Change::Bytes {
            from: offset,
            bytes: data.to_vec(),
        };
        if self.keep(change) {
            return Ok(());
        }
        self.0.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        if self.0.is_handed_on.load(Ordering::Acquire) {
            return Ok(());
        }
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}
