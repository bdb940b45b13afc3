//! A real file system that has no room left for a redb file: a limit on the size of files stands for
//! it, which a test may set without being root. It is lifted later, as when somebody makes room.
#![cfg(all(target_os = "linux", feature = "redb"))]

use std::path::PathBuf;
use std::process::Command;

use jobkeep::{Health, Manager, Queue, RedbStore};

use crate::place::{Door, PATIENCE, succeeding, through, work};

/// The folder of the store, for the process under the limit.
const FOLDER: &str = "JOBKEEP_TEST_FULL_DISK";
const LIMIT_BYTES: u64 = 4 << 20;

#[test]
fn a_full_disk_refuses_and_when_there_is_room_again_everything_accepted_is_done() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return on_a_full_disk(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let name =
        "full_disk::a_full_disk_refuses_and_when_there_is_room_again_everything_accepted_is_done";
    // The signal that comes with the error would end the process.
    let script = "trap '' XFSZ && exec \"$0\" --exact \"$1\" --test-threads 1";
    let run = Command::new("prlimit")
        .arg(format!("--fsize={LIMIT_BYTES}:unlimited"))
        .args(["sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
}

fn on_a_full_disk(folder: PathBuf) {
    let path = folder.join("jobs.redb");
    let builder = || {
        let store = RedbStore::open(&path).unwrap();
        Manager::builder(store).queue(Queue::new("default").workers(1))
    };
    let door = Door::new();
    let manager = through(builder(), &door).start().unwrap();
    let mut accepted = vec![manager.enqueue(work("running")).unwrap()];
    door.arrived();
    let refused = loop {
        match manager.enqueue(work("x".repeat(100_000))) {
            Ok(receipt) => accepted.push(receipt),
            Err(error) => break error,
        }
    };
    assert!(refused.as_store().unwrap().is_full(), "{refused}");
    assert!(!refused.is_unknown());
    let jobs = accepted.len();
    assert!(jobs > 5, "{jobs}");
    // Small writes may still find room; large ones do not.
    manager.enqueue(work("x".repeat(100_000))).unwrap_err();
    assert!(!matches!(manager.health(), Health::Poisoned { .. }));
    door.open(1);

    let lifted = Command::new("prlimit")
        .args([
            "--pid",
            &std::process::id().to_string(),
            "--fsize=unlimited",
        ])
        .status()
        .unwrap();
    assert!(lifted.success());
    door.open(jobs - 1);
    let mut ended = 0;
    for receipt in &accepted {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!((done.attempts(), done.interruptions()), (1, 0));
        ended += 1;
    }
    assert_eq!(ended, jobs);
    accepted.push(manager.enqueue(work("x".repeat(100_000))).unwrap());
    door.open(1);
    manager.shutdown(PATIENCE).unwrap();
    let manager = succeeding(builder()).start().unwrap();
    for receipt in &accepted {
        manager.wait(receipt, PATIENCE).unwrap();
    }
}
