//! The store of a simulated machine: rows in memory, every commit on record, and a sync that may lie.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use jobkeep_store::{
    Batch, Durability, Encoded, Fence, Finding, Identity, Key, OpeningTag, QueueStore, StoreError,
    StoreId, Write, admit, open_row, verify_rows,
};

pub(crate) type Rows = BTreeMap<Key, Vec<u8>>;

/// A row before and after a commit.
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) before: Option<Vec<u8>>,
    pub(crate) after: Option<Vec<u8>>,
}

/// What one commit changed.
pub(crate) struct Commit {
    pub(crate) opens: bool,
    pub(crate) changes: Vec<Change>,
}

struct State {
    rows: Rows,
    /// Since somebody last looked.
    commits: Vec<Commit>,
    /// What the last commits changed, the newest last: what a sync that lies takes back.
    undo: Vec<Vec<Change>>,
    opening: OpeningTag,
}

/// A handle of the rows, open whatever the others are.
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
    closed: AtomicBool,
}

const LOCATION: &str = "disk";

/// How many commits a sync that lies may take back.
const DEPTH: usize = 24;

impl Disk {
    /// A store of this name, so that everything that is drawn from the name comes out the same.
    pub(crate) fn new(name: u64) -> Self {
        let fence = Fence {
            store: StoreId(name.into()),
            opening: OpeningTag(0),
            commit: 1,
        };
        let row = Encoded::new(&fence).unwrap().seal(Key::FENCE);
        let state = State {
            rows: BTreeMap::from([(Key::FENCE, row)]),
            commits: Vec::new(),
            undo: Vec::new(),
            opening: fence.opening,
        };
        Self::of(Arc::new(Mutex::new(state)))
    }

    fn of(state: Arc<Mutex<State>>) -> Self {
        Self {
            state,
            closed: AtomicBool::new(false),
        }
    }

    /// Another handle.
    pub(crate) fn handle(&self) -> Self {
        Self::of(Arc::clone(&self.state))
    }

    /// The commits since the last call.
    pub(crate) fn commits(&self) -> Vec<Commit> {
        std::mem::take(&mut self.state.lock().unwrap().commits)
    }

    /// The last commits vanish, though they were acknowledged: so many, or as many as are known.
    pub(crate) fn forget(&self, commits: usize) {
        let mut state = self.state.lock().unwrap();
        for _ in 0..commits {
            for change in state.undo.pop().into_iter().flatten().rev() {
                match change.before {
                    Some(row) => state.rows.insert(change.key, row),
                    None => state.rows.remove(&change.key),
                };
            }
        }
        state.commits.clear();
        state.opening = fence(&state.rows).unwrap().unwrap().opening;
    }

    pub(crate) fn rows(&self) -> Rows {
        self.state.lock().unwrap().rows.clone()
    }

    pub(crate) fn row(&self, key: Key) -> Option<Vec<u8>> {
        self.state.lock().unwrap().rows.get(&key).cloned()
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(StoreError::closed("use the store", LOCATION));
        }
        Ok(self.state.lock().unwrap())
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl QueueStore for Disk {
    fn identity(&self) -> Result<Identity, StoreError> {
        Ok(Identity {
            location: LOCATION.into(),
            durability: Durability::Synced,
            fence: fence(&self.open()?.rows)?,
        })
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut state = self.open()?;
        let fence = admit(fence(&state.rows)?.as_ref(), batch, LOCATION)?;
        let sealed = Encoded::new(&fence).unwrap().seal(Key::FENCE);
        let writes = batch.writes().iter().map(|write| match write {
            Write::Put { key, row, .. } => (*key, Some(row.clone())),
            Write::Delete { key } => (*key, None),
        });
        let mut changes: Vec<Change> = Vec::new();
        for (key, after) in writes.chain([(Key::FENCE, Some(sealed))]) {
            let before = match &after {
                Some(row) => state.rows.insert(key, row.clone()),
                None => state.rows.remove(&key),
            };
            match changes.iter_mut().find(|change| change.key == key) {
                // Written twice: nobody ever sees what was in between.
                Some(change) => change.after = after,
                None => changes.push(Change { key, before, after }),
            }
        }
        let opens = std::mem::replace(&mut state.opening, fence.opening) != fence.opening;
        if state.undo.len() == DEPTH {
            state.undo.remove(0);
        }
        state.undo.push(changes.clone());
        state.commits.push(Commit { opens, changes });
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.open()?.rows.get(key).cloned())
    }

    fn scan(
        &self,
        from: &Key,
        to: &Key,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let state = self.open()?;
        if from > to {
            return Ok(());
        }
        for (key, row) in state.rows.range(from..=to) {
            if each(*key, row).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        verify_rows(self, found)
    }

    fn reopen(&self) -> Result<(), StoreError> {
        self.closed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

fn fence(rows: &Rows) -> Result<Option<Fence>, StoreError> {
    rows.get(&Key::FENCE)
        .map(|row| open_row(Key::FENCE, row))
        .transpose()
        .map_err(|reason| StoreError::row(Key::FENCE, reason).at(LOCATION))
}
