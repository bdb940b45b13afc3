use std::path::Path;
use std::time::Duration;

use jobkeep_store::StoreError;

use crate::SledStore;

/// How a [`SledStore`] is opened.
#[derive(Clone, Debug)]
pub struct SledOptions {
    pub(crate) cache_bytes: u64,
    pub(crate) wait_for_owner: Duration,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            wait_for_owner: Duration::ZERO,
        }
    }
}

impl SledOptions {
    /// Limits the memory that sled's cache of pages may fill, in bytes; sled takes it for a hint and
    /// uses several times as much where many jobs wait. Default: 64 MiB. Zero keeps as little as sled
    /// can.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Waits for the present owner of the store to let go, so long at most, instead of failing at once:
    /// for a new process that is started while the old one still ends. Default: no time at all. An
    /// owner that goes on keeps the store; the error is then the same.
    pub fn wait_for_owner(mut self, patience: Duration) -> Self {
        self.wait_for_owner = patience;
        self
    }

    /// Opens the store at `path` with these options, or creates it: see [`SledStore::open`].
    ///
    /// # Errors
    /// Those of [`SledStore::open`].
    ///
    /// # Durability
    /// Nothing is promised before the first commit.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SledStore, StoreError> {
        SledStore::with(path.as_ref(), self)
    }
}
