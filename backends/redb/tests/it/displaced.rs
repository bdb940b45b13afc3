//! A file that is moved away, replaced or overwritten while a store has it open.

use std::fs;
use std::path::Path;

use jobkeep_redb::RedbStore;
use jobkeep_store::QueueStore;

use crate::owner::{commit, commits, place, put_rows, text};

fn said(store: &RedbStore) -> String {
    let error = commit(store, |_| ()).unwrap_err();
    assert!(error.is_replaced(), "{error}");
    error.at("PATH").to_string()
}

/// Does `act` with the open file, and returns what the next commit says.
fn refused_after(act: impl FnOnce(&Path)) -> String {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    put_rows(&store, 0..1);
    act(&path);
    said(&store)
}

const GONE: &str = "write commit 2 of PATH: the file is not at its path any more, deleted or moved \
                    away: put it or a copy back, and start again";
const ELSEWHERE: &str = "write commit 2 of PATH: another file stands at its path: start again with the one that is to be \
     used";
const OVERWRITTEN: &str = "write commit 2 of PATH: somebody else has written the file, and a lock \
                           did not keep them from it: another owner by way of another mount, or a \
                           copy that was laid over it; this owner must stop";

#[test]
fn nothing_is_committed_to_a_file_that_is_not_at_its_path() {
    let away = |path: &Path| fs::rename(path, path.with_extension("old")).unwrap();
    let backed_up = |path: &Path| {
        fs::hard_link(path, path.with_extension("backup")).unwrap();
        fs::remove_file(path).unwrap();
    };
    let folder_away = |path: &Path| {
        let folder = path.parent().unwrap();
        let other = folder.with_extension("old");
        fs::rename(folder, &other).unwrap();
        fs::create_dir(folder).unwrap();
        fs::remove_dir_all(other).unwrap();
    };
    assert_eq!(refused_after(away), GONE);
    assert_eq!(refused_after(backed_up), GONE);
    assert_eq!(refused_after(|path| fs::remove_file(path).unwrap()), GONE);
    #[cfg(unix)]
    assert_eq!(refused_after(folder_away), GONE);
    let another = |path: &Path| {
        away(path);
        RedbStore::open(path).unwrap();
    };
    assert_eq!(refused_after(another), ELSEWHERE);
}

#[test]
fn a_file_that_was_moved_away_keeps_its_commits_and_ends_in_order() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    put_rows(&store, 0..10);
    let moved = path.with_extension("old");
    fs::rename(&path, &moved).unwrap();
    said(&store);
    assert!(RedbStore::open(&moved).unwrap_err().is_in_use());
    // Read as ever, and taken up again once it is back.
    assert!(text(&store, 9).is_some());
    fs::rename(&moved, &path).unwrap();
    put_rows(&store, 10..11);
    fs::rename(&path, &moved).unwrap();
    store.close().unwrap();
    assert_eq!(commits(&RedbStore::open(&moved).unwrap()), 2);
}

#[test]
fn a_copy_laid_over_the_open_file_is_found_before_anything_is_written_to_it() {
    for close in [true, false] {
        let (_folder, path) = place();
        let backup = path.with_extension("backup");
        let store = RedbStore::open(&path).unwrap();
        put_rows(&store, 0..1);
        store.close().unwrap();
        fs::copy(&path, &backup).unwrap();
        store.reopen().unwrap();
        put_rows(&store, 1..2);
        // As `cp` does it: the same file, emptied and written anew.
        fs::write(&path, fs::read(&backup).unwrap()).unwrap();
        if close {
            assert_eq!(said(&store), OVERWRITTEN.replace("commit 2", "commit 3"));
            assert!(store.reopen().unwrap_err().is_replaced());
        }
        drop(store);
        assert!(fs::read(&path).unwrap() == fs::read(&backup).unwrap());
        assert_eq!(commits(&RedbStore::open(&path).unwrap()), 1);
    }
}

#[test]
fn an_owner_that_others_overwrote_writes_nothing_at_its_end() {
    let (_folder, path) = place();
    let store = RedbStore::open(&path).unwrap();
    put_rows(&store, 0..1);
    let image = fs::read(&path).unwrap();
    put_rows(&store, 1..2);
    fs::write(&path, &image).unwrap();
    assert!(store.close().unwrap_err().is_replaced());
    assert!(fs::read(&path).unwrap() == image);
}

#[cfg(unix)]
const LOCKED_OUT: &str = "JOBKEEP_REDB_TEST_LOCKED_OUT";

/// In a process that has no rights of root's.
#[cfg(unix)]
#[test]
fn child_that_may_not_open_its_store_any_more() {
    use std::os::unix::fs::PermissionsExt;
    let Some(folder) = std::env::var_os(LOCKED_OUT) else {
        return;
    };
    let folder = Path::new(&folder);
    let store = RedbStore::open(folder.join("jobs.redb")).unwrap();
    put_rows(&store, 0..1);
    let allow = |mode| fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    allow(0);
    assert!(RedbStore::open(folder.join("jobs.redb")).is_err());
    store.reopen().unwrap();
    put_rows(&store, 1..2);
    allow(0o700);
    assert_eq!(commits(&store), 2);
}

#[cfg(unix)]
#[test]
#[allow(
    clippy::print_stderr,
    reason = "whoever runs the tests sees what was not"
)]
fn a_store_is_opened_again_by_a_process_that_may_not_open_it_any_more() {
    use std::os::unix::fs::chown;
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let binary = std::env::current_exe().unwrap();
    // Root may open anything: it steps down. Others need not.
    let mut child = if chown(folder.path(), Some(65534), Some(65534)).is_ok() {
        let mut stepping_down = Command::new("setpriv");
        stepping_down.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        stepping_down.arg(binary);
        stepping_down
    } else {
        Command::new(binary)
    };
    let name = "displaced::child_that_may_not_open_its_store_any_more";
    let run = child.args(["--exact", name, "--nocapture"]);
    let run = run.env(LOCKED_OUT, folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    if said.is_empty() && !run.status.success() {
        eprintln!("skipped, because nobody else may run the tests here: {run:?}");
        return;
    }
    assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
}
