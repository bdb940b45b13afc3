//! What `open` does with what it finds.

use std::fs::{self, File};
use std::path::Path;

use jobkeep_sled::SledStore;
use jobkeep_store::{Durability, Encoded, FORMAT, Key, QueueStore, Space};

use crate::owner::{commit, commits, fence, image, place, put_rows, refusal};

#[test]
fn a_store_before_its_first_commit_opens_again() {
    let (_folder, path) = place();
    SledStore::open(&path).unwrap().close().unwrap();
    let store = SledStore::open(&path).unwrap();
    commit(&store, |_| ()).unwrap();
    assert_eq!(commits(&store), 1);
}

#[test]
fn an_empty_directory_becomes_a_store() {
    let (_folder, path) = place();
    fs::create_dir(&path).unwrap();
    let store = SledStore::open(&path).unwrap();
    assert_eq!(store.identity().unwrap().fence, None);
}

#[test]
fn a_store_says_where_it_is_and_that_it_is_only_flushed() {
    let (_folder, path) = place();
    let store = SledStore::options().cache_bytes(0).open(&path).unwrap();
    let identity = store.identity().unwrap();
    assert_eq!(identity.location, path.display().to_string());
    assert_eq!(identity.durability, Durability::Flushed);
    assert!(format!("{store:?}").starts_with("SledStore { location: "));
}

#[test]
fn a_closed_store_can_be_opened_at_once() {
    let (_folder, path) = place();
    for round in 0..20 {
        let store = SledStore::open(&path).unwrap();
        assert_eq!(commits(&store), round);
        put_rows(&store, 0..1000);
        store.close().unwrap();
    }
    for round in 20..40 {
        let store = SledStore::open(&path).unwrap();
        put_rows(&store, 0..1000);
        assert_eq!(commits(&store), round + 1);
    }
}

#[test]
fn an_open_store_is_in_use() {
    let (_folder, path) = place();
    let store = SledStore::open(&path).unwrap();
    commit(&store, |_| ()).unwrap();
    let error = refusal(&path);
    assert!(error.is_in_use());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: it is already open, here or in another process: a store has one \
         owner at a time; close the other one, or reach it over HTTP"
    );
    commit(&store, |_| ()).unwrap();
}

#[test]
fn a_missing_directory_is_named_and_not_made() {
    let (folder, _) = place();
    let error = refusal(&folder.path().join("missing/jobs.sled"));
    assert_eq!(
        error.to_string(),
        "open the store of PATH: No such file or directory (os error 2): create the directory \
         that the store is to be in first"
    );
    assert!(!folder.path().join("missing").exists());
}

#[test]
fn a_path_below_a_file_is_refused() {
    let (_folder, path) = place();
    fs::write(&path, "a file").unwrap();
    let error = refusal(&path.join("jobs.sled"));
    assert_eq!(
        error.to_string(),
        "open the store of PATH: Not a directory (os error 20): a part of the path is no \
         directory; choose another path"
    );
}

#[test]
fn a_file_is_foreign() {
    let (_folder, path) = place();
    fs::write(&path, "a file").unwrap();
    let error = refusal(&path);
    assert!(error.is_foreign());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: it is a file, and a sled store is a directory"
    );
    assert_eq!(fs::read(&path).unwrap(), b"a file");
}

#[test]
fn a_directory_of_other_files_is_foreign_and_nothing_is_put_into_it() {
    let (_folder, path) = place();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("letter.txt"), "dear").unwrap();
    let error = refusal(&path);
    assert!(error.is_foreign());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: it has \"letter.txt\" in it and no file \"jobkeep-founded\": it is \
         no store of jobkeep"
    );
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
}

#[test]
fn the_sled_database_of_another_program_is_foreign_and_not_written_to() {
    let (_folder, path) = place();
    let other = sled::open(&path).unwrap();
    other.insert("cookie", "crumbs").unwrap();
    other.flush().unwrap();
    drop(other);
    let before = image(&path);
    assert!(refusal(&path).is_foreign());
    assert!(image(&path) == before);
}

/// Puts a row past the store, into its closed database.
fn put_raw(path: &Path, key: Key, row: Vec<u8>) {
    let db = sled::open(path).unwrap();
    db.insert(key.to_bytes(), row).unwrap();
    db.flush().unwrap();
    drop(db);
    // sled's threads let go of the lock some time later.
    File::open(path.join("db")).unwrap().lock().unwrap();
}

/// Puts a row in the place of a store's fence.
fn with_fence_row(path: &Path, row: Vec<u8>) {
    let store = SledStore::open(path).unwrap();
    commit(&store, |_| ()).unwrap();
    store.close().unwrap();
    put_raw(path, Key::FENCE, row);
}

#[test]
fn a_newer_format_is_refused() {
    let (_folder, path) = place();
    let newer = FORMAT + 1;
    let mut row = Encoded::new(&fence(1)).unwrap().seal(Key::FENCE);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&row[5..]);
    hasher.update(&Key::FENCE.to_bytes());
    hasher.update(&[newer]);
    row[0] = newer;
    row[1..5].copy_from_slice(&hasher.finalize().to_le_bytes());
    with_fence_row(&path, row);
    let error = refusal(&path);
    assert!(error.is_newer_format());
    assert_eq!(
        error.to_string(),
        "read row fence 0 of PATH: the row is in format 2, and this jobkeep reads formats up to \
         1: open the store with a newer jobkeep"
    );
}

#[test]
fn a_damaged_fence_is_refused() {
    let (_folder, path) = place();
    with_fence_row(&path, vec![FORMAT, 0, 0, 0, 0, 1, 2, 3]);
    let error = refusal(&path);
    assert!(error.is_damaged());
    assert_eq!(
        error.to_string(),
        "read row fence 0 of PATH: the row does not match its checksum"
    );
}

#[test]
fn rows_without_a_fence_are_damaged() {
    let (_folder, path) = place();
    SledStore::open(&path).unwrap().close().unwrap();
    put_raw(&path, Key::new(Space::Live, 1), b"row".to_vec());
    let error = refusal(&path);
    assert!(error.is_damaged());
    assert_eq!(
        error.to_string(),
        "open the store of PATH: its rows are gone"
    );
}

#[test]
fn reopening_never_makes_a_store_where_one_was() {
    let (folder, path) = place();
    let store = SledStore::open(&path).unwrap();
    commit(&store, |_| ()).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let error = store.reopen().unwrap_err().at("PATH");
    assert!(error.is_replaced());
    assert_eq!(
        error.to_string(),
        "reopen the store of PATH: its files are not at their path any more, deleted or moved away: put \
         them or a copy back, and start again"
    );
    assert!(store.identity().unwrap_err().is_closed());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
