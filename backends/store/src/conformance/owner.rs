//! A stand-in for the manager: it opens stores and commits in turn. And rows of text.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    Batch, Encoded, Fence, Key, OpeningTag, QueueStore, Space, StoreError, StoreId, get_typed,
};

pub(super) type Rows = BTreeMap<Key, Vec<u8>>;

pub(super) const STORE: StoreId = StoreId(0x5704e);
pub(super) const FIRST: OpeningTag = OpeningTag(0xf1);
pub(super) const SECOND: OpeningTag = OpeningTag(0x5e);
pub(super) const THIRD: OpeningTag = OpeningTag(0x3d);

/// One opening of a store.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    /// The fence that its last commit left.
    fence: Fence,
}

impl Owner {
    /// Founds the store with its commit 1.
    pub(super) fn found(store: &dyn QueueStore) -> Self {
        let fence = fence(FIRST, 1);
        store
            .commit(&Batch::opening(fence, None))
            .expect("a new store takes its first opening");
        Self { fence }
    }

    /// The owner whose last commit left this fence.
    pub(super) fn of(fence: Fence) -> Self {
        Self { fence }
    }

    /// Takes the store over from this owner, which does not learn of it.
    pub(super) fn replaced_by(self, store: &dyn QueueStore, opening: OpeningTag) -> Self {
        let fence = Fence {
            opening,
            ..self.next()
        };
        store
            .commit(&Batch::opening(fence, Some(self.fence.opening)))
            .expect("the newest opening is replaced");
        Self { fence }
    }

    /// The fence of the last commit.
    pub(super) fn fence(self) -> Fence {
        self.fence
    }

    /// The fence that the next commit names.
    pub(super) fn next(self) -> Fence {
        Fence {
            commit: self.fence.commit + 1,
            ..self.fence
        }
    }

    /// Commits the next batch, with what `fill` puts into it.
    pub(super) fn commit(&mut self, store: &dyn QueueStore, fill: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::new(self.next());
        fill(&mut batch);
        self.try_commit(store, &batch)
            .expect("the newest opening commits in turn");
    }

    /// Commits a batch and keeps its fence, where the store takes it.
    pub(super) fn try_commit(
        &mut self,
        store: &dyn QueueStore,
        batch: &Batch,
    ) -> Result<(), StoreError> {
        store.commit(batch)?;
        self.fence = batch.fence();
        Ok(())
    }
}

pub(super) fn fence(opening: OpeningTag, commit: u64) -> Fence {
    Fence {
        store: STORE,
        opening,
        commit,
    }
}

pub(super) fn live(number: u64) -> Key {
    Key::new(Space::Live, number)
}

pub(super) fn put(batch: &mut Batch, key: Key, text: &str) {
    batch.put(key, encoded(text));
}

pub(super) fn encoded(text: &str) -> Encoded {
    Encoded::new(text).expect("text encodes")
}

pub(super) fn text(store: &dyn QueueStore, key: Key) -> Option<String> {
    get_typed(store, key).expect("the row is sound text")
}

/// The keys from `from` to `to`, as a scan hands them out.
pub(super) fn keys(store: &dyn QueueStore, from: Key, to: Key) -> Vec<Key> {
    let mut keys = Vec::new();
    store
        .scan(&from, &to, &mut |key, _| {
            keys.push(key);
            ControlFlow::Continue(())
        })
        .expect("an open store is scanned");
    keys
}

/// Every row but the fence, as one scan hands them out.
pub(super) fn rows(store: &dyn QueueStore) -> Rows {
    let mut rows = Rows::new();
    store
        .scan(&FROM, &TO, &mut |key, row| {
            rows.insert(key, row.to_vec());
            ControlFlow::Continue(())
        })
        .expect("an open store is scanned");
    rows
}

/// The first key after the fence, and the last key of all.
pub(super) const FROM: Key = Key::new(Space::Manager, 0);
pub(super) const TO: Key = Key::new(Space::Damaged, u64::MAX);

pub(super) fn fence_of(store: &dyn QueueStore) -> Option<Fence> {
    store.identity().expect("an open store knows itself").fence
}

pub(super) fn location(store: &dyn QueueStore) -> String {
    store
        .identity()
        .expect("an open store knows itself")
        .location
}

/// Ends the loops of other threads, even when the thread that they wait for panics.
pub(super) struct SetOnDrop<'a>(pub(super) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
