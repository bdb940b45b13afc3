//! A stand-in for the manager, and places to put a store.

use std::fs;
use std::path::{Path, PathBuf};

use jobkeep_redb::RedbStore;
use jobkeep_store::{
    Batch, Encoded, Fence, Key, OpeningTag, QueueStore, Space, StoreError, StoreId, get_typed,
};
use tempfile::TempDir;

/// A path in a folder of its own, with nothing there.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.redb");
    (folder, path)
}

/// What `open` says, with the path as `PATH`. The file must be as it was.
pub(crate) fn refusal(path: &Path) -> StoreError {
    let before = fs::read(path).ok();
    let error = RedbStore::open(path).expect_err("the file is not opened");
    assert!(
        fs::read(path).ok() == before,
        "a refused file is left as it was"
    );
    error.at("PATH")
}

pub(crate) fn fence(commit: u64) -> Fence {
    Fence {
        store: StoreId(1),
        opening: OpeningTag(7),
        commit,
    }
}

/// Commits the next batch of the one opening that there is.
pub(crate) fn commit(store: &RedbStore, fill: impl FnOnce(&mut Batch)) -> Result<(), StoreError> {
    let fence = fence(commits(store) + 1);
    let mut batch = Batch::opening(fence, (fence.commit > 1).then_some(fence.opening));
    fill(&mut batch);
    store.commit(&batch)
}

/// Commits one row a number, each with its number as text, padded to a hundred bytes.
pub(crate) fn put_rows(store: &RedbStore, numbers: impl Iterator<Item = u64>) {
    let put = |batch: &mut Batch| {
        for number in numbers {
            let row = Encoded::new(&format!("{number:0>100}")).unwrap();
            batch.put(live(number), row);
        }
    };
    commit(store, put).unwrap();
}

pub(crate) fn live(number: u64) -> Key {
    Key::new(Space::Live, number)
}

pub(crate) fn text(store: &RedbStore, number: u64) -> Option<String> {
    get_typed(store, live(number)).unwrap()
}

pub(crate) fn commits(store: &RedbStore) -> u64 {
    let fence = store.identity().unwrap().fence;
    fence.map_or(0, |fence| fence.commit)
}

/// The bytes of a store with three commits and a thousand rows, closed in order.
pub(crate) fn closed_image() -> Vec<u8> {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    put_rows(&store, 0..600);
    put_rows(&store, 600..999);
    put_rows(&store, 999..1000);
    store.close().unwrap();
    fs::read(path).unwrap()
}

/// The same as its process left it when it was killed.
pub(crate) fn crashed_image() -> Vec<u8> {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    put_rows(&store, 0..600);
    put_rows(&store, 600..999);
    put_rows(&store, 999..1000);
    fs::read(path).unwrap()
}
