//! Where a job panicked, whoever sets the panic hook. The hook is one for all of a process, so this happens
//! in one of its own.

use std::panic::{set_hook, take_hook};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jobkeep::{JobError, Manager, MemoryStore, NewJob, Queue};

use crate::place::{PATIENCE, Work, work};

const ALONE: &str = "JOBKEEP_TEST_PANIC_HOOK";

#[test]
fn a_panic_has_its_place_though_the_application_sets_a_hook_later() {
    if std::env::var_os(ALONE).is_some() {
        return exchange_the_hook();
    }
    let name = "panicking::a_panic_has_its_place_though_the_application_sets_a_hook_later";
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && out.contains("1 passed"), "{run:?}");
}

fn start() -> Manager {
    Manager::builder(MemoryStore::new())
        .queue(Queue::new("default").workers(1))
        .handle::<Work>(|_, _| -> Result<String, JobError> { panic!("boom") })
        .start()
        .unwrap()
}

/// What the job's attempts ended with, the newest first.
fn ends(manager: &Manager, attempts: u32) -> Vec<bool> {
    let job = NewJob::new(work("a")).attempts(attempts);
    let job = job.backoff(Duration::ZERO, Duration::ZERO);
    let receipt = manager.enqueue(job).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let has_place = |attempt: &jobkeep::Attempt| match &attempt.end {
        jobkeep::AttemptEnd::Panicked { message, location } => {
            assert_eq!(message, "boom");
            location.contains("panicking.rs")
        }
        other => panic!("{other:?}"),
    };
    done.history().iter().map(has_place).collect()
}

fn exchange_the_hook() {
    let called = Arc::new(AtomicUsize::new(0));
    let hook = || {
        let called = Arc::clone(&called);
        set_hook(Box::new(move |_| {
            called.fetch_add(1, Ordering::Relaxed);
        }));
    };
    let manager = start();
    assert_eq!(ends(&manager, 2), [true, true]);
    // The first one finds out.
    hook();
    assert_eq!(ends(&manager, 3), [true, true, false]);
    assert_eq!(called.load(Ordering::Relaxed), 3);
    // A start does too, and so nothing is lost.
    hook();
    assert_eq!(ends(&start(), 1), [true]);
    // One that calls ours is wrapped, and called once.
    let ours = take_hook();
    set_hook(Box::new(move |panic| ours(panic)));
    let before = called.load(Ordering::Relaxed);
    assert_eq!(ends(&manager, 1), [true]);
    assert_eq!(called.load(Ordering::Relaxed), before + 1);
}
