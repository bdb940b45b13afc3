use std::fmt;
use std::sync::Arc;

use redb::StorageBackend;
use redb::backends::FileBackend;

type Put = dyn Fn(FileBackend) -> Box<dyn StorageBackend> + Send + Sync;

/// What is put around the file of a store: nothing, except in tests.
#[derive(Clone)]
pub(crate) struct Around(Arc<Put>);

impl Around {
    pub(crate) fn new(
        put: impl Fn(FileBackend) -> Box<dyn StorageBackend> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(put))
    }

    pub(crate) fn put(&self, file: FileBackend) -> Box<dyn StorageBackend> {
        (self.0)(file)
    }
}

impl Default for Around {
    fn default() -> Self {
        Self::new(|file| Box::new(file))
    }
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Around")
    }
}
