//! A store whose commits wait at a gate, so that a test decides what happens before they end.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex};

use jobkeep::{QueueStore, StoreError};
use jobkeep_store::{Batch, Finding, Identity, Key};

use crate::place::PATIENCE;

#[derive(Debug)]
pub(crate) struct GatedStore<S> {
    inner: S,
    gate: Gate,
}

/// The handle of the gate. It is open until it is shut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    shut: bool,
    before_it: bool,
    reads: usize,
    holds_reads: bool,
    held_reads: usize,
}

impl<S: QueueStore> GatedStore<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            gate: Gate::default(),
        }
    }

    pub(crate) fn gate(&self) -> Gate {
        self.gate.clone()
    }
}

impl Gate {
    /// Commits wait from now on.
    pub(crate) fn shut(&self) {
        self.0.0.lock().unwrap().shut = true;
    }

    /// Returns when a commit waits at the gate.
    pub(crate) fn reached(&self) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let (state, _) = changed
            .wait_timeout_while(state, PATIENCE, |state| !state.before_it)
            .unwrap();
        assert!(state.before_it, "no commit has come to the gate");
    }

    /// Does it, and returns when rows have been looked for so often since.
    pub(crate) fn until_read(&self, times: usize, act: impl FnOnce()) {
        let (state, changed) = &*self.0;
        let enough = state.lock().unwrap().reads + times;
        act();
        let state = state.lock().unwrap();
        let (state, _) = changed
            .wait_timeout_while(state, PATIENCE, |state| state.reads < enough)
            .unwrap();
        assert!(state.reads >= enough, "too few rows are read");
    }

    /// Lets the commit through that waits, and all after it.
    pub(crate) fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().shut = false;
        changed.notify_all();
    }

    /// Reads of single rows wait from now on, those of the committer too.
    pub(crate) fn hold_reads(&self) {
        self.0.0.lock().unwrap().holds_reads = true;
    }

    /// Returns when as many reads wait.
    pub(crate) fn reads_held(&self, reads: usize) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let (state, _) = changed
            .wait_timeout_while(state, PATIENCE, |state| state.held_reads < reads)
            .unwrap();
        assert!(state.held_reads >= reads, "too few reads wait");
    }

    /// Lets them go on.
    pub(crate) fn let_reads(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().holds_reads = false;
        changed.notify_all();
    }

    fn read(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.reads += 1;
        state.held_reads += 1;
        changed.notify_all();
        let (mut state, _) = changed
            .wait_timeout_while(state, PATIENCE, |state| state.holds_reads)
            .unwrap();
        state.held_reads -= 1;
    }

    fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.before_it = state.shut;
        changed.notify_all();
        let (mut state, _) = changed
            .wait_timeout_while(state, PATIENCE, |state| state.shut)
            .unwrap();
        state.before_it = false;
    }
}

impl<S: QueueStore> QueueStore for GatedStore<S> {
    fn identity(&self) -> Result<Identity, StoreError> {
        self.inner.identity()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.gate.pass();
        self.inner.commit(batch)
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.inner.get(key);
        self.gate.read();
        found
    }

    fn scan(
        &self,
        from: &Key,
        to: &Key,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.inner.scan(from, to, each)
    }

    fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        self.inner.verify(found)
    }

    fn reopen(&self) -> Result<(), StoreError> {
        self.inner.reopen()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}
