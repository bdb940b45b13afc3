use std::fs::File;
use std::io;
use std::ops::Bound;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use redb::{BackendError, StorageBackend};

use crate::overlay::{Change, Overlay};

/// A file whose changes can be held back in memory: while they are, redb sees them and the file does
/// not. A held file that is dropped was never changed.
#[derive(Clone, Debug)]
pub(crate) struct HeldFile(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: Box<dyn StorageBackend>,
    /// The same open file, whose locks go with the last of both.
    itself: File,
    /// What was held back, in order; `None` where nothing is to be.
    held: RwLock<Option<Overlay>>,
    sync_failed: AtomicBool,
}

impl HeldFile {
    /// Takes the file, `itself` open once more, and holds its changes back.
    pub(crate) fn new(file: Box<dyn StorageBackend>, itself: File) -> Self {
        Self(Arc::new(Shared {
            file,
            itself,
            held: RwLock::new(Some(Overlay::default())),
            sync_failed: AtomicBool::new(false),
        }))
    }

    /// Makes the changes that were held back, in their order and with their syncs between them, and
    /// holds none from here on. After an error, or a crash half-way, the file is as after a crash of
    /// redb at that point, and whatever else its owner writes stays held back.
    pub(crate) fn release(&self) -> io::Result<()> {
        let mut held = self.0.held.write();
        if let Some(overlay) = &*held {
            overlay.apply(&*self.0.file)?;
        }
        *held = None;
        Ok(())
    }

    /// The file has no name any more: what is written to it ends with the process.
    pub(crate) fn is_deleted(&self) -> bool {
        #[cfg(unix)]
        let names = self.0.itself.metadata().map(|file| file.nlink());
        #[cfg(not(unix))]
        let names = self.0.itself.metadata().map(|_| 1);
        names.is_ok_and(|names| names == 0)
    }

    /// A sync has failed: what it was to make durable may or may not be.
    pub(crate) fn sync_failed(&self) -> bool {
        self.0.sync_failed.load(Ordering::Acquire)
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
            Some(overlay) => overlay.read(&*self.0.file, offset, out),
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
        self.0.file.sync_data().inspect_err(|_| {
            self.0.sync_failed.store(true, Ordering::Release);
        })
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
