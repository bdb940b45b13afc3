//! A new owner that waits for the old one.

use std::env;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use jobkeep_redb::RedbStore;

use crate::owner::{commits, place, put_rows};

const PATH: &str = "JOBKEEP_REDB_TEST_WAITING";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn child_that_has_the_store_until_it_is_told() {
    let Some(path) = env::var_os(PATH) else {
        return;
    };
    let store = RedbStore::open(path).unwrap();
    put_rows(&store, 0..1);
    writeln!(io::stdout(), "open").unwrap();
    io::stdin().read_exact(&mut [0]).unwrap();
}

#[test]
fn a_new_process_waits_for_the_end_of_the_old_one() {
    let (_folder, path) = place();
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "waiting::child_that_has_the_store_until_it_is_told",
            "--nocapture",
        ])
        .env(PATH, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = child.stdout.take().unwrap();
    let mut heard = String::new();
    while !heard.contains("open\n") {
        let mut byte = [0];
        said.read_exact(&mut byte).unwrap();
        heard.push(byte[0].into());
    }
    let waiting = |patience| RedbStore::options().wait_for_owner(patience);
    let refused = waiting(Duration::from_millis(30)).open(&path).unwrap_err();
    assert!(refused.is_in_use(), "{refused}");
    let store = std::thread::scope(|scope| {
        let opening = scope.spawn(|| waiting(PATIENCE).open(&path).unwrap());
        child.stdin.take().unwrap().write_all(b"!").unwrap();
        opening.join().unwrap()
    });
    assert_eq!(commits(&store), 1);
    assert!(child.wait().unwrap().success());
}

#[test]
fn whoever_waits_is_told_at_once_of_what_does_not_pass() {
    let (_folder, path) = place();
    std::fs::write(&path, "something else").unwrap();
    let refused = RedbStore::options().wait_for_owner(PATIENCE).open(&path);
    assert!(refused.unwrap_err().is_foreign());
}
