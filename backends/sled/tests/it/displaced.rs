//! A store whose files are moved away, replaced or opened by somebody else while it is open.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jobkeep_sled::SledStore;
use jobkeep_store::QueueStore;

use crate::owner::{commit, commits, image, place, put_rows};

/// Does `act` with an open store of one commit, and returns what the next commit says.
fn refused_after(act: impl FnOnce(&Path)) -> String {
    let (_folder, path) = place();
    let store = SledStore::open(&path).unwrap();
    put_rows(&store, 0..1);
    act(&path);
    let error = commit(&store, |_| ()).unwrap_err();
    assert!(error.is_replaced(), "{error}");
    error.at("PATH").to_string()
}

#[test]
fn nothing_is_committed_to_a_store_that_is_not_at_its_path() {
    let gone = "write commit 2 of PATH: its files are not at their path any more, deleted or moved away: \
                put them or a copy back, and start again";
    assert_eq!(
        refused_after(|path| fs::remove_dir_all(path).unwrap()),
        gone
    );
    let away = |path: &Path| fs::rename(path, path.with_extension("old")).unwrap();
    assert_eq!(refused_after(away), gone);
    let another = |path: &Path| {
        away(path);
        SledStore::open(path).unwrap();
    };
    let elsewhere = "write commit 2 of PATH: another store stands at its path: start again with the one \
                     that is to be used";
    assert_eq!(refused_after(another), elsewhere);
}

/// As an owner does it whom the lock does not reach, and as a copy does that is laid over the files.
#[test]
fn a_store_that_somebody_else_has_opened_is_not_written_any_more() {
    let (_folder, path) = place();
    let store = SledStore::open(&path).unwrap();
    put_rows(&store, 0..1);
    fs::write(path.join("jobkeep-owner"), "another").unwrap();
    assert!(commit(&store, |_| ()).unwrap_err().is_replaced());
    let before = image(&path);
    assert!(store.close().unwrap_err().is_replaced());
    assert!(
        image(&path) == before,
        "nothing is written at the end either"
    );
    assert_eq!(commits(&SledStore::open(&path).unwrap()), 1);
}

/// What an owner whom the lock does not reach commits while sled reads the log is not acknowledged.
#[test]
fn an_owner_leaves_its_name_before_it_reads_anything() {
    let (_folder, path) = place();
    let name = || fs::read(path.join("jobkeep-owner")).unwrap();
    let store = SledStore::open(&path).unwrap();
    put_rows(&store, 0..1);
    let first = name();
    assert!(SledStore::open(&path).unwrap_err().is_in_use());
    assert_eq!(name(), first, "the lock reaches that one");
    store.close().unwrap();
    fs::write(path.join("db"), "no log").unwrap();
    SledStore::open(&path).unwrap_err();
    assert_ne!(name(), first);
}

#[test]
fn a_new_owner_waits_for_the_end_of_the_old_one() {
    let (_folder, path) = place();
    let old = SledStore::open(&path).unwrap();
    put_rows(&old, 0..1);
    let waiting = |patience| SledStore::options().wait_for_owner(patience).open(&path);
    let refused = waiting(Duration::from_millis(20)).unwrap_err();
    assert!(refused.is_in_use(), "{refused}");
    let new = std::thread::scope(|scope| {
        let opening = scope.spawn(|| waiting(Duration::from_secs(60)).unwrap());
        drop(old);
        opening.join().unwrap()
    });
    assert_eq!(commits(&new), 1);
}
