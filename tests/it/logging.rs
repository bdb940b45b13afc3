//! What an operator reads in a log without a line of code. A logger is one for all of a process, so this
//! happens in one of its own.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{JobError, Manager, MemoryStore, NewJob, Queue};
use jobkeep_store::conformance::{Fault, FaultyStore, Lasting, Operation};
use log::{LevelFilter, Log, Metadata, Record};

use crate::parking::Reshaped;
use crate::place::{Door, Other, PATIENCE, SECOND, through, work};
use crate::restarting::until_nothing_is_stuck;
use crate::suspecting::kill;

const ALONE: &str = "JOBKEEP_TEST_LOG";
const SECRET: &str = "Ada Lovelace, 12 Main Street";

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn lines() -> MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target() == "jobkeep" {
            lines().push(format!("{}: {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// What was said since, in which each of these occurs in a line, in this order.
fn said(expected: &[&str]) {
    let said = std::mem::take(&mut *lines());
    let mut rest = said.iter();
    for expected in expected {
        let found = rest.any(|line| line.contains(expected));
        assert!(found, "no `{expected}` in {said:#?}");
    }
    assert!(said.iter().all(|line| !line.contains(SECRET)), "{said:#?}");
}

#[test]
fn an_operator_reads_what_must_be_known_in_the_log() {
    if std::env::var_os(ALONE).is_some() {
        say_all();
        return say_suspects();
    }
    let run = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "logging::an_operator_reads_what_must_be_known_in_the_log",
        ])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && out.contains("1 passed"), "{run:?}");
}

fn say_all() {
    let store = MemoryStore::new();
    let (clock, door) = (ManualClock::new(), Door::new());
    let start = |store| Manager::builder(store).clock(clock.clone());

    // Before there is a logger: nothing of it is heard of later.
    let manager = start(FaultyStore::new(store.clone())).start().unwrap();
    manager.enqueue(work(SECRET)).unwrap();
    manager.enqueue(Other { amount: 7 }).unwrap();
    drop(manager);
    log::set_logger(&Lines).unwrap();
    log::set_max_level(LevelFilter::Info);

    let manager = start(FaultyStore::new(store.clone())).handle::<Reshaped>(|_, _| Ok(0));
    let manager = manager.start().unwrap();
    said(&[
        "INFO: started on memory: 2 jobs have not finished, 0 of them were interrupted",
        "ERROR: 1 job cannot run here: 1 `other` (no handler)",
    ]);
    while manager.counts().unwrap().parked < 2 {
        std::thread::yield_now();
    }
    manager.shutdown(PATIENCE).unwrap();
    said(&[
        "ERROR: job 1 (`work`, queue `default`) cannot run here: its payload does not decode: missing \
         field",
        "INFO: shut down on memory: 0 jobs ended meanwhile, 0 were put back untouched",
    ]);

    let refusing = FaultyStore::new(MemoryStore::new());
    let faults = refusing.faults();
    let inside = door.clone();
    let manager = start(refusing)
        .queue(Queue::new("default").workers(1))
        .handle::<crate::place::Work>(move |work, ctx| match work.label.as_str() {
            "stays" => {
                inside.enter("stays");
                Ok(String::new())
            }
            _ if ctx.is_last_attempt() => Err(JobError::new("broken\nfor good")),
            _ => Err(JobError::retry_after(SECOND, "broken")),
        })
        .start()
        .unwrap();
    let fails = manager
        .enqueue(NewJob::new(work("fails")).attempts(2))
        .unwrap();
    while manager.status(&fails).unwrap().attempts() == 0 {
        std::thread::yield_now();
    }
    let due = manager.status(&fails).unwrap().due().unwrap();
    clock.advance(SECOND);
    manager.wait(&fails, PATIENCE).unwrap();
    let stays = NewJob::new(work("stays")).timeout(SECOND).attempts(1);
    let stays = manager.enqueue(stays).unwrap();
    door.arrived();
    clock.advance(SECOND);
    manager.wait(&stays, PATIENCE).unwrap();
    door.open(1);
    until_nothing_is_stuck(&manager);
    faults.arm(
        Fault::next(Operation::Commit)
            .full()
            .lasting(Lasting::UntilDisarmed),
    );
    manager.enqueue(work("a")).unwrap_err();
    faults.disarm();
    clock.advance(SECOND);
    while manager.counts().is_err() || manager.health() != jobkeep::Health::Working {
        std::thread::yield_now();
    }
    manager.enqueue(NewJob::new(work("stays"))).unwrap();
    door.arrived();
    manager.shutdown(Duration::ZERO).unwrap();
    // What the log's own thread says has no patience left to wait for.
    while lines().iter().all(|line| !line.contains("takes again")) {
        std::thread::yield_now();
    }
    let retried = format!(
        "WARN: job 1 (`work`, queue `default`) is tried again at {due}, after attempt 1: broken"
    );
    {
        // The end is said by who waits for it, and may come before.
        let mut lines = lines();
        lines.sort_by_key(|line| line.contains("shut down") || line.contains("job 4"));
    }
    said(&[
        "INFO: started on",
        &retried,
        "ERROR: job 1 (`work`, queue `default`) failed at attempt 2: broken\\nfor good",
        "ERROR: job 2 (`work`, queue `default`) failed at attempt 1: ran longer than its time-out",
        "WARN: job 2 (`work`, queue `default`) still runs on thread default-worker-1",
        "ERROR: the store refuses",
        "INFO: the store takes again",
        "INFO: shut down on",
        "still runs on thread default-worker",
    ]);
    door.open(1);
}

/// Whoever wonders why a job does not begin finds it there.
fn say_suspects() {
    let (store, door) = (MemoryStore::new(), Door::new());
    let start = |store| through(Manager::builder(store), &door).start().unwrap();
    for death in 0..2 {
        let mortal = FaultyStore::new(store.clone());
        let faults = mortal.faults();
        let manager = start(mortal);
        if death == 0 {
            manager.enqueue(work("dies")).unwrap();
        }
        door.arrived();
        kill(&manager, &faults);
        door.open(1);
        until_nothing_is_stuck(&manager);
    }
    let manager = start(FaultyStore::new(store.clone()));
    assert_eq!(manager.recovery().suspects, 1);
    manager.shutdown(PATIENCE).unwrap();
    said(&["WARN: job 1 (`work`, queue `default`) is held back until"]);
}
