//! Options change speed and nothing else.

use std::fs;

use jobkeep_redb::RedbStore;
use jobkeep_store::{Durability, Finding, QueueStore};

use crate::owner::{commits, place, put_rows, text};

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
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    let identity = store.identity().unwrap();
    assert_eq!(identity.location, path.display().to_string());
    assert_eq!(identity.durability, Durability::Synced);
    assert!(format!("{store:?}").starts_with("RedbStore { location: "));
}
