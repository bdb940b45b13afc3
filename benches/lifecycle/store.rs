//! The stores, as the bench opens them.

use std::path::Path;

use jobkeep::{MemoryStore, QueueStore};

use crate::Fault;
use crate::options::StoreKind;

/// The memory that a store may fill with pages: the default of redb and of sled.
pub(crate) const CACHE_BYTES: u32 = 64 << 20;

pub(crate) fn open(kind: StoreKind, path: &Path) -> Result<Box<dyn QueueStore>, Fault> {
    match kind {
        StoreKind::Memory => Ok(Box::new(MemoryStore::new())),
        #[cfg(feature = "redb")]
        StoreKind::Redb => {
            let options = jobkeep::RedbStore::options();
            let options = options.cache_bytes(CACHE_BYTES as usize);
            Ok(Box::new(options.open(path)?))
        }
        #[cfg(feature = "sled")]
        StoreKind::Sled => {
            let options = jobkeep::SledStore::options();
            Ok(Box::new(
                options.cache_bytes(CACHE_BYTES.into()).open(path)?,
            ))
        }
        #[cfg(not(all(feature = "redb", feature = "sled")))]
        missing => Err(format!(
            "store {missing}: the bench was built without it; add `--features {missing}` for {}",
            path.display()
        )
        .into()),
    }
}
