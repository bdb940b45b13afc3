//! Retention: what the engine wants to read before it deletes.

use std::ops::ControlFlow;

use jobkeep_store::{Space, StoreError};

use super::committer::{Committer, defect};
use super::shared::Shared;
use crate::core::Next;

impl Committer {
    pub(super) fn prune(&mut self) -> Result<(), StoreError> {
        let mut budget = self.engine.prune_budget();
        loop {
            match self.engine.prune(&mut budget).map_err(defect)? {
                Next::Rest => return Ok(()),
                Next::Read(space, from) => self.read_front(space, from)?,
                Next::Keys(keys, ended) => {
                    for (hash, _) in &keys {
                        // A damaged one holds its keys for ever: the lesser evil.
                        let _ = self.learn_key(*hash)?;
                    }
                    self.engine.expire_keys(&keys, ended);
                }
            }
        }
    }

    /// Gives the engine the first row of an expiring space.
    fn read_front(&mut self, space: Space, from: u64) -> Result<(), StoreError> {
        let mut learned = Ok(());
        let mut key = None;
        let engine = &mut self.engine;
        Shared::each_row(&*self.shared.store, space, from, &mut |found, row| {
            key = Some(found);
            learned = engine.learn_expiring(space, Some((found, row)));
            ControlFlow::Break(())
        })?;
        match (key, learned) {
            (Some(_), Ok(())) => Ok(()),
            // Its jobs are kept for ever: the lesser evil, and `verify` tells.
            (Some(key), Err(_)) => {
                engine.skip_expiring(key);
                Ok(())
            }
            (None, _) => engine.learn_expiring(space, None).map_err(defect),
        }
    }
}
