use std::ops::ControlFlow;
use std::sync::Arc;

use super::fault::{Faults, Operation};
use crate::{Batch, Finding, Identity, Key, OpeningTag, QueueStore, StoreError};

/// A store that fails when it is told to, and does what the store inside does otherwise.
///
/// The [`Faults`] of a store are a handle that stays with the test when a manager has the store:
///
/// ```
/// use jobkeep_store::QueueStore;
/// use jobkeep_store::conformance::{Fault, FaultyStore, Faults, Operation};
///
/// fn full_at_the_third_commit(store: impl QueueStore) -> (FaultyStore, Faults) {
///     let store = FaultyStore::new(store);
///     let faults = store.faults();
///     faults.arm(Fault::nth(Operation::Commit, 3).full());
///     (store, faults)
/// }
/// ```
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn QueueStore>,
    location: String,
    faults: Faults,
}

impl FaultyStore {
    /// Wraps a store, with no fault armed.
    pub fn new(inner: impl QueueStore) -> Self {
        Self::over(Arc::new(inner))
    }

    /// Wraps a store that the test keeps a handle of, to look behind the faults.
    pub fn over(inner: Arc<dyn QueueStore>) -> Self {
        let location = inner
            .identity()
            .map_or_else(|_| "a closed store".into(), |identity| identity.location);
        Self {
            inner,
            location,
            faults: Faults::default(),
        }
    }

    /// The handle that arms faults and counts operations.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Does `act` on the inner store, or fails before or after it.
    fn run<T>(
        &self,
        operation: Operation,
        name: impl FnOnce() -> String,
        act: impl FnOnce(&dyn QueueStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(fault) = self.faults.strike(operation) else {
            return act(&*self.inner);
        };
        if fault.is_after() {
            act(&*self.inner)?;
        }
        Err(fault.error(name(), &self.location))
    }
}

impl FaultyStore {
    fn closing(
        &self,
        act: impl FnOnce(&dyn QueueStore) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let fault = self.faults.strike(Operation::Close);
        act(&*self.inner)?;
        fault.map_or(Ok(()), |fault| {
            Err(fault.error("close the store".into(), &self.location))
        })
    }
}

impl QueueStore for FaultyStore {
    fn identity(&self) -> Result<Identity, StoreError> {
        self.run(
            Operation::Identity,
            || "read the identity".into(),
            QueueStore::identity,
        )
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.run(
            Operation::Commit,
            || format!("write commit {}", batch.fence().commit),
            |inner| inner.commit(batch),
        )
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.run(
            Operation::Get,
            || format!("read row {key}"),
            |inner| inner.get(key),
        )
    }

    fn scan(
        &self,
        from: &Key,
        to: &Key,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.run(
            Operation::Scan,
            || format!("scan the rows from {from} to {to}"),
            |inner| inner.scan(from, to, each),
        )
    }

    fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        self.run(
            Operation::Verify,
            || "verify the store".into(),
            |inner| inner.verify(found),
        )
    }

    /// A reopen that fails leaves the store closed, as the contract says.
    fn reopen(&self) -> Result<(), StoreError> {
        match self.faults.strike(Operation::Reopen) {
            None => {
                self.inner.reopen()?;
                self.faults.reopened();
                Ok(())
            }
            Some(fault) => {
                self.inner.close()?;
                Err(fault.error("reopen the store".into(), &self.location))
            }
        }
    }

    /// A close that fails leaves the store closed, as the contract says.
    fn close(&self) -> Result<(), StoreError> {
        self.closing(QueueStore::close)
    }

    fn close_for(&self, opening: OpeningTag) -> Result<(), StoreError> {
        self.closing(|inner| inner.close_for(opening))
    }
}
