//! Options change speed and nothing else.

use std::fs;

use jobkeep_redb::RedbStore;
use jobkeep_store::{Durability, Finding, QueueStore};

use crate::owner::{commit, commits, live, place, put_rows, text};

#[test]
fn a_store_works_without_a_cache() {
    let (_folder, path) = place();
    let options = RedbStore::options().cache_bytes(0);
    let store = options.clone().open(&path).unwrap();
    put_rows(&store, 0..1000);
    store.reopen().unwrap();
    put_rows(&store, 1000..2000);
    assert!(text(&store, 0).is_some() && text(&store, 1999).is_some());
    store
        .verify(&mut |found: Finding| panic!("{found:?}"))
        .unwrap();
}

#[test]
fn quick_repair_keeps_every_commit_of_a_killed_process() {
    let (_folder, path) = place();
    let options = RedbStore::options().quick_repair(true);
    let store = options.clone().open(&path).unwrap();
    put_rows(&store, 0..1000);
    put_rows(&store, 1000..1001);
    let killed = fs::read(&path).unwrap();
    drop(store);
    fs::write(&path, killed).unwrap();
    let store = options.open(&path).unwrap();
    assert_eq!(commits(&store), 2);
    assert!(text(&store, 1000).is_some());
}

#[test]
fn a_store_says_where_it_is_and_that_it_is_synced() {
    // The folder for temporary files may be in memory, where nothing is.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("jobs.redb");
    let store = RedbStore::open(&path).unwrap();
    let identity = store.identity().unwrap();
    assert_eq!(identity.location, path.display().to_string());
    assert_eq!(identity.durability, Durability::Synced);
    assert!(format!("{store:?}").starts_with("RedbStore { location: "));
}

#[test]
fn a_compacted_file_is_small_and_has_every_row() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    put_rows(&store, 0..20_000);
    commit(&store, |batch| {
        (10..20_000).for_each(|number| batch.delete(live(number)));
    })
    .unwrap();
    let size = || fs::metadata(&path).unwrap().len();
    let before = size();
    assert!(store.compact().unwrap());
    assert!(size() < before / 4, "{before} and {}", size());
    put_rows(&store, 10..11);
    store
        .verify(&mut |found: Finding| panic!("{found:?}"))
        .unwrap();
    store.close().unwrap();
    assert!(store.compact().unwrap_err().is_closed());
    let store = RedbStore::options()
        .compact_on_open(true)
        .open(&path)
        .unwrap();
    assert_eq!(commits(&store), 3);
    assert!((0..11).all(|number| text(&store, number).is_some()));
}

/// Only root may mount: elsewhere it stands for itself where the folder for temporary files is in memory.
#[cfg(target_os = "linux")]
#[test]
fn in_memory_a_store_does_not_say_that_it_is_synced() {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let store = RedbStore::open(folder.path().join("jobs.redb")).unwrap();
    let identity = store.identity().unwrap();
    assert_eq!(identity.durability, Durability::Flushed);
}
