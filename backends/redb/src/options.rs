use std::path::Path;
use std::time::Duration;

use jobkeep_store::StoreError;

use crate::RedbStore;
use crate::around::Around;

/// How a [`RedbStore`] is opened.
#[derive(Clone, Debug)]
pub struct RedbOptions {
    pub(crate) cache_bytes: usize,
    pub(crate) quick_repair: bool,
    pub(crate) wait_for_owner: Duration,
    pub(crate) compact_on_open: bool,
    pub(crate) around: Around,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            quick_repair: false,
            wait_for_owner: Duration::ZERO,
            compact_on_open: false,
            around: Around::default(),
        }
    }
}

impl RedbOptions {
    /// Limits the memory that pages of the file may fill, in bytes. Default: 64 MiB; a larger cache
    /// gave nothing, not even with a million jobs waiting. Zero keeps no page: every read goes to the
    /// operating system.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Makes opening after a crash instant, at a price for every commit. Default: `false`.
    ///
    /// Without it, a store whose process was killed reads its whole file when it is next opened: about
    /// a third of a second for a million waiting jobs. With it, each commit syncs twice: a third to a
    /// half fewer commits per second where each has one job, up to a seventh fewer where it has a
    /// thousand.
    pub fn quick_repair(mut self, quick: bool) -> Self {
        self.quick_repair = quick;
        self
    }

    /// Waits for the present owner of the store to let go, so long at most, instead of failing at once:
    /// for a new process that is started while the old one still ends. Default: no time at all. An
    /// owner that goes on keeps the store; the error is then the same.
    pub fn wait_for_owner(mut self, patience: Duration) -> Self {
        self.wait_for_owner = patience;
        self
    }

    /// Gives room that the file no longer needs back to the file system each time it is opened, as
    /// [`RedbStore::compact`] does, which says what that costs. Default: `false`.
    pub fn compact_on_open(mut self, compact: bool) -> Self {
        self.compact_on_open = compact;
        self
    }

    /// Puts something around the file of a store, for tests that see or refuse what is written. It
    /// must leave the locks to the file.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn around(
        mut self,
        put: impl Fn(redb::backends::FileBackend) -> Box<dyn redb::StorageBackend>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.around = Around::new(put);
        self
    }

    /// Opens the store at `path` with these options, or creates it: see [`RedbStore::open`].
    ///
    /// # Errors
    /// Those of [`RedbStore::open`].
    ///
    /// # Durability
    /// A store created here survives a power cut when this returns.
    pub fn open(self, path: impl AsRef<Path>) -> Result<RedbStore, StoreError> {
        RedbStore::with(path.as_ref(), self)
    }
}
