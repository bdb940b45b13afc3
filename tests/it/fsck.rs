//! The fsck example as its user meets it: its words and its exit codes.
//!
//! `cargo test` builds the example beside these tests, with the same features.
#![cfg(feature = "redb")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jobkeep::{Manager, RedbStore};
use jobkeep_store::{Encoded, Key};

use crate::damage::change;
use crate::place::work;

/// Runs the example: its exit code, and what it said and complained of, with the path as `PATH`.
fn fsck(path: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().unwrap().parent().unwrap();
    let name = format!("fsck{}", std::env::consts::EXE_SUFFIX);
    let program = built.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is not built: run `cargo test` without `--test`, or `cargo build --examples` first",
        program.display()
    );
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace(path.to_str().unwrap(), "PATH")
    };
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A store with two waiting jobs.
fn store() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.redb");
    let manager = Manager::builder(RedbStore::open(&path).unwrap());
    let manager = manager.start().unwrap();
    manager
        .enqueue_all([work("a"), work("x".repeat(1_000))])
        .unwrap();
    drop(manager);
    (folder, path)
}

#[test]
fn a_sound_store_is_said_to_be_one() {
    let (_folder, path) = store();
    let (code, said, complained) = fsck(&path, &[path.to_str().unwrap()]);
    assert_eq!(
        said,
        "PATH: 2 jobs not finished, 0 finished, 0 rows set aside.\nNothing is wrong.\n"
    );
    assert_eq!((code, complained.as_str()), (Some(0), ""));
}

#[test]
fn what_is_found_is_named_then_repaired_and_what_is_left_is_named() {
    let (_folder, path) = store();
    change(&RedbStore::open(&path).unwrap(), |batch| {
        let nobodys = Encoded::new(serde_bytes::Bytes::new(b"nobody's")).unwrap();
        batch.put(Key::output(jobkeep::JobNumber(1)), nobodys);
        batch.delete(Key::body(jobkeep::JobNumber(2)));
    });
    let missing =
        "- the payload of job 2 is missing: restore the store from a copy, or remove the job\n";
    let nobodys = "- there is the output of a job 1 that has none: `repair` puts it in order\n";
    let head = "PATH: 2 jobs not finished, 0 finished, 0 rows set aside.\n";
    let (code, said, _) = fsck(&path, &[path.to_str().unwrap()]);
    assert_eq!(
        said,
        format!(
            "{head}Found 2:\n{missing}{nobodys}Nothing was changed. Make a copy of the store, then \
             give --repair to do what is safe.\n"
        )
    );
    assert_eq!(code, Some(1));

    let (code, said, _) = fsck(&path, &[path.to_str().unwrap(), "--repair"]);
    assert_eq!(
        said,
        format!("{head}Found 2:\n{missing}{nobodys}Repaired 1:\n{nobodys}Left 1:\n{missing}")
    );
    assert_eq!(code, Some(1));

    change(&RedbStore::open(&path).unwrap(), |batch| {
        batch.delete(Key::live(jobkeep::JobNumber(2)));
    });
    let (code, _, _) = fsck(&path, &[path.to_str().unwrap(), "--repair"]);
    assert_eq!(code, Some(0));
    change(&RedbStore::open(&path).unwrap(), |batch| {
        batch.delete(Key::TOTALS);
    });
    let (code, said, _) = fsck(&path, &[path.to_str().unwrap(), "--repair"]);
    assert!(said.ends_with("Nothing is wrong any more.\n"), "{said}");
    assert_eq!(code, Some(0));
}

#[test]
fn what_cannot_be_read_is_an_error_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.redb");
    let (code, said, complained) = fsck(&path, &[path.to_str().unwrap()]);
    assert_eq!(
        complained,
        "fsck: there is no store at PATH: give the path of one\n"
    );
    assert_eq!((code, said.as_str()), (Some(2), ""));
    assert!(!path.exists());
    fs::write(&path, "a letter, and no store").unwrap();
    let (code, _, complained) = fsck(&path, &[path.to_str().unwrap()]);
    assert_eq!(
        complained,
        "fsck: open the store of PATH: it is no redb file\n"
    );
    assert_eq!(code, Some(2));
}

#[test]
fn wrong_usage_is_told() {
    let usage = "Usage: fsck PATH [--repair] [--store redb|sled] [--help]\n";
    let (code, _, complained) = fsck(Path::new("PATH"), &[]);
    assert_eq!(
        complained,
        format!("fsck: give the path of a store\n{usage}")
    );
    assert_eq!(code, Some(2));
    let (code, _, complained) = fsck(Path::new("PATH"), &["a", "--store", "paper"]);
    assert_eq!(
        complained,
        format!("fsck: --store is redb or sled, not 'paper'\n{usage}")
    );
    assert_eq!(code, Some(2));
    let (code, said, _) = fsck(Path::new("PATH"), &["--help"]);
    assert!(said.contains(usage), "{said}");
    assert_eq!(code, Some(0));
}

#[cfg(feature = "sled")]
#[test]
fn a_folder_is_a_store_of_sled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sled");
    let store = jobkeep::SledStore::open(&path).unwrap();
    drop(Manager::builder(store).start().unwrap());
    let (code, said, complained) = fsck(&path, &[path.to_str().unwrap()]);
    assert!(said.ends_with("Nothing is wrong.\n"), "{said}{complained}");
    assert_eq!(code, Some(0));
}
