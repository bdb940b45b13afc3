//! A store that times the commits of another one.
#![expect(clippy::disallowed_methods, reason = "a stopwatch reads time")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use jobkeep::{QueueStore, StoreError};
use jobkeep_store::{Batch, Finding, Identity, Key, Space, Write};

use crate::ledger::Ledger;

#[derive(Debug)]
pub(crate) struct Timed {
    store: Box<dyn QueueStore>,
    ledger: Arc<Ledger>,
}

impl Timed {
    pub(crate) fn new(store: Box<dyn QueueStore>, ledger: Arc<Ledger>) -> Self {
        Self { store, ledger }
    }
}

impl QueueStore for Timed {
    fn identity(&self) -> Result<Identity, StoreError> {
        self.store.identity()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let begun = Instant::now();
        let committed = self.store.commit(batch);
        let ended = Instant::now();
        match &committed {
            Ok(()) => {
                self.ledger.commits.add(ended.duration_since(begun));
                self.ledger.committed(settled(batch), ended);
            }
            Err(cause) => self.ledger.fail(cause.to_string()),
        }
        committed
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key)
    }

    fn scan(
        &self,
        from: &Key,
        to: &Key,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.store.scan(from, to, each)
    }

    fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        self.store.verify(found)
    }

    fn reopen(&self) -> Result<(), StoreError> {
        self.store.reopen()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.store.close()
    }
}

/// The jobs that a commit brings to their end: it puts a row into *done* for each.
fn settled(batch: &Batch) -> u64 {
    let ends = |write: &&Write| matches!(write, Write::Put { key, .. } if key.space == Space::Done);
    batch.writes().iter().filter(ends).count() as u64
}
