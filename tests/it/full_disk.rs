//! A real file system that has no room left for a redb file: a small one of its own, where the test may
//! mount one, and a limit on the size of files, which everybody may set. Room is made later, as somebody
//! would who is woken up.
#![cfg(all(target_os = "linux", feature = "redb"))]

use std::path::PathBuf;
use std::process::Command;

use jobkeep::{Health, Manager, Queue, RedbStore};

use crate::place::{Door, PATIENCE, succeeding, through, work};

/// The folder of the store, for the process that has so little room.
const FOLDER: &str = "JOBKEEP_TEST_FULL_DISK";
const ROOM_BYTES: u64 = 4 << 20;

/// Runs one test in a process of its own, which `script` execs as `"$1" --exact "$2"`, after it has seen
/// to the room in folder `"$0"`. `None` where it may not.
fn with_little_room(name: &str, mut shell: Command, script: &str) -> Option<()> {
    const MAY_NOT: i32 = 77;
    let folder = tempfile::tempdir().unwrap();
    let run = shell
        .args(["sh", "-c", script])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .arg(format!("full_disk::{name}"))
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    if run.status.code() == Some(MAY_NOT) || (said.is_empty() && !run.status.success()) {
        return None;
    }
    assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
    Some(())
}

#[test]
fn on_a_full_file_system_jobs_are_refused_and_with_room_again_all_accepted_are_done() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return on_a_full_disk(folder.into(), |folder| {
            let mut mount = Command::new("mount");
            mount.args(["-o", "remount,size=1g"]).arg(folder);
            mount
        });
    }
    let mut shell = Command::new("unshare");
    shell.arg("--mount");
    // Only root may have a file system of its own: elsewhere the limit below stands for it alone.
    let script = format!(
        "mount -t tmpfs -o size={ROOM_BYTES} none \"$0\" || exit 77; exec \"$1\" --exact \"$2\" \
         --test-threads 1"
    );
    let name = "on_a_full_file_system_jobs_are_refused_and_with_room_again_all_accepted_are_done";
    let _ = with_little_room(name, shell, &script);
}

#[test]
fn beyond_the_size_of_a_file_jobs_are_refused_and_with_room_again_all_accepted_are_done() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return on_a_full_disk(folder.into(), |_| {
            let mut prlimit = Command::new("prlimit");
            prlimit.args(["--fsize=unlimited", "--pid"]);
            prlimit.arg(std::process::id().to_string());
            prlimit
        });
    }
    let mut shell = Command::new("prlimit");
    shell.arg(format!("--fsize={ROOM_BYTES}:unlimited"));
    // The signal that comes with the error would end the process.
    let script = "trap '' XFSZ && exec \"$1\" --exact \"$2\" --test-threads 1";
    let name =
        "beyond_the_size_of_a_file_jobs_are_refused_and_with_room_again_all_accepted_are_done";
    with_little_room(name, shell, script).unwrap();
}

fn on_a_full_disk(folder: PathBuf, make_room: impl FnOnce(&PathBuf) -> Command) {
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

    assert!(make_room(&folder).status().unwrap().success());
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
