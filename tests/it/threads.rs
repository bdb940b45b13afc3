//! A host that runs out of threads, which a limit on its memory stands for: each thread wants more
//! of it for its stack than the limit leaves for all.
#![cfg(all(target_os = "linux", feature = "redb"))]

use std::fs;
use std::process::Command;

use jobkeep::{Manager, Queue, RedbStore};

/// The folder of the store, for the process under the limit.
const FOLDER: &str = "JOBKEEP_TEST_FOLDER";
const WORKERS: usize = 64;
const STACK_BYTES: usize = 256 << 20;
const LIMIT_KIB: usize = 4 << 20;

#[test]
fn a_start_that_lacks_a_thread_stops_those_it_started_and_leaves_the_store_free() {
    if std::env::var_os(FOLDER).is_some() {
        return start_under_the_limit();
    }
    let folder = tempfile::tempdir().unwrap();
    let name =
        "threads::a_start_that_lacks_a_thread_stops_those_it_started_and_leaves_the_store_free";
    let limited = format!("ulimit -v {LIMIT_KIB} && exec \"$0\" --exact \"$1\" --test-threads 1");
    let run = Command::new("sh")
        .args(["-c", &limited])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(FOLDER, folder.path())
        .env("RUST_MIN_STACK", STACK_BYTES.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
}

fn start_under_the_limit() {
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let path = std::path::PathBuf::from(std::env::var_os(FOLDER).unwrap()).join("jobs.redb");
    let start = |workers| {
        Manager::builder(RedbStore::open(&path).unwrap())
            .queue(Queue::new("default").workers(workers))
            .start()
    };
    let error = start(WORKERS).unwrap_err();
    let cause = std::io::Error::from_raw_os_error(11);
    let said = error.to_string();
    assert!(
        said.starts_with("start the manager: the system does not start thread `default-worker-"),
        "{said}"
    );
    assert!(said.contains(&format!("`: {cause}: allow")), "{said}");
    while threads() > before {
        std::thread::yield_now();
    }
    drop(start(1).unwrap());
}
