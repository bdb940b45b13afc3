//! A stand-in for the manager, and places to put a store.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jobkeep_sled::SledStore;
use jobkeep_store::{
    Batch, Encoded, Fence, Key, OpeningTag, QueueStore, Space, StoreError, StoreId, get_typed,
};
use tempfile::TempDir;

/// The files of a directory, without those in directories of it.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// A path in a folder of its own, with nothing there.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sled");
    (folder, path)
}

/// What `open` says, with the path as `PATH`.
pub(crate) fn refusal(path: &Path) -> StoreError {
    let refused = SledStore::open(path).expect_err("the store is not opened");
    refused.at("PATH")
}

pub(crate) fn image(path: &Path) -> Image {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.path().is_file());
    files
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, fs::read(file.path()).unwrap())
        })
        .collect()
}

/// Puts the files into a new directory.
pub(crate) fn lay(image: &Image, path: &Path) {
    let _ = fs::remove_dir_all(path);
    fs::create_dir(path).unwrap();
    for (name, bytes) in image {
        fs::write(path.join(name), bytes).unwrap();
    }
}

pub(crate) fn fence(commit: u64) -> Fence {
    Fence {
        store: StoreId(1),
        opening: OpeningTag(7),
        commit,
    }
}

/// Commits the next batch of the one opening that there is.
pub(crate) fn commit(store: &SledStore, fill: impl FnOnce(&mut Batch)) -> Result<(), StoreError> {
    let fence = fence(commits(store) + 1);
    let mut batch = Batch::opening(fence, (fence.commit > 1).then_some(fence.opening));
    fill(&mut batch);
    store.commit(&batch)
}

/// Commits one row a number, each with its number as text, padded to a hundred bytes.
pub(crate) fn put_rows(store: &SledStore, numbers: impl Iterator<Item = u64>) {
    let put = |batch: &mut Batch| {
        for number in numbers {
            let row = Encoded::new(&format!("{number:0>100}")).unwrap();
            batch.put(Key::new(Space::Live, number), row);
        }
    };
    commit(store, put).unwrap();
}

/// Every row of the numbers is there, and sound.
pub(crate) fn has_rows(store: &SledStore, mut numbers: impl Iterator<Item = u64>) -> bool {
    numbers.all(|number| {
        let row = get_typed::<String>(store, Key::new(Space::Live, number));
        row.ok().flatten() == Some(format!("{number:0>100}"))
    })
}

pub(crate) fn commits(store: &SledStore) -> u64 {
    let fence = store.identity().unwrap().fence;
    fence.map_or(0, |fence| fence.commit)
}

/// How many rows the images hold: enough for several of sled's segments.
pub(crate) const ROWS: u64 = 12_000;

/// The files of a store with three commits, opened twice, and closed in order.
pub(crate) fn closed_image() -> Image {
    let (_folder, path) = place();
    let store = SledStore::open(&path).unwrap();
    put_rows(&store, 0..ROWS / 2);
    store.reopen().unwrap();
    put_rows(&store, ROWS / 2..ROWS - 1);
    put_rows(&store, ROWS - 1..ROWS);
    store.close().unwrap();
    image(&path)
}
