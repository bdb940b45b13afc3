use std::path::Path;

use jobkeep_store::StoreError;

use crate::RedbStore;
use crate::around::Around;

/// How a [`RedbStore`] is opened.
#[derive(Clone, Debug)]
pub struct RedbOptions {
    pub(crate) cache_bytes: usize,
    pub(crate) quick_repair: bool,
    pub(crate) around: Around,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            quick_repair: false,
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

    /// Puts something around the file of each opening, for tests that see or refuse what is written. It
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
