//! Two processes and one file: this binary runs itself as the second one.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use jobkeep_sled::SledStore;

use crate::owner::{commits, has_rows, place, put_rows};

const PATH: &str = "JOBKEEP_SLED_TEST_PATH";

/// Runs the test `name` of this binary in a process of its own, with the path of the store.
fn run(name: &str, path: &Path) -> i32 {
    let binary = env::current_exe().unwrap();
    let mut child = Command::new(binary);
    child.args(["--exact", name, "--nocapture"]).env(PATH, path);
    child.output().unwrap().status.code().unwrap()
}

/// The store's path in a child; nothing in the process that runs the tests.
fn told() -> Option<PathBuf> {
    env::var_os(PATH).map(PathBuf::from)
}

/// Where a child leaves what it has to say.
fn answer(path: &Path) -> PathBuf {
    path.with_extension("answer")
}

#[test]
fn child_that_opens_the_store() {
    let Some(path) = told() else { return };
    let error = SledStore::open(&path).unwrap_err();
    assert!(error.is_in_use());
    fs::write(answer(&path), error.at("PATH").to_string()).unwrap();
}

#[test]
fn a_store_open_in_another_process_is_in_use() {
    let (_folder, path) = place();
    let store = SledStore::open(&path).unwrap();
    put_rows(&store, 0..1);
    assert_eq!(run("processes::child_that_opens_the_store", &path), 0);
    assert_eq!(
        fs::read_to_string(answer(&path)).unwrap(),
        "open the store of PATH: it is already open, here or in another process: a store has one \
         owner at a time; close the other one, or reach it over HTTP"
    );
    put_rows(&store, 1..2);
}

#[test]
fn child_that_ends_with_the_store_open() {
    let Some(path) = told() else { return };
    let store = SledStore::open(path).unwrap();
    for number in 0..50 {
        put_rows(&store, number..=number);
    }
    // Nothing is dropped, nothing is closed.
    process::exit(77);
}

#[test]
fn a_process_that_ends_at_once_lets_go_of_the_store_and_loses_no_commit() {
    let (_folder, path) = place();
    let code = run("processes::child_that_ends_with_the_store_open", &path);
    assert_eq!(code, 77);
    let store = SledStore::open(&path).unwrap();
    assert_eq!(commits(&store), 50);
    assert!(has_rows(&store, 0..50));
}
