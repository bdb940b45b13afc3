//! Jobs pushed through a balancer to hosts of which one dies, one is full and one is slow.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jobkeep::http::Push;
use jobkeep::{
    Attempt, AttemptEnd, Builder, Completed, Manager, MemoryStore, NewJob, Queue, RedbStore,
};

use crate::executor::{Event, Executor, Line, Manner, Traced, read};
use crate::fleet::{Fleet, TOKEN};
use crate::load::PATIENCE;

const JOBS: usize = 200;

/// The deadline of each call.
const DEADLINE: Duration = Duration::from_secs(1);

/// The job that keeps a host full: none of the others has its number.
const HOLDING: usize = JOBS;

#[test]
fn every_pushed_job_ends_though_one_executor_dies_one_is_full_and_one_is_slow() {
    const THIS: &str =
        "pushing::every_pushed_job_ends_though_one_executor_dies_one_is_full_and_one_is_slow";
    if let Some(executor) = Executor::of_this_process() {
        return executor.live();
    }
    let fleet = Fleet::of(3);
    let ledger = fleet.folder().join("ledger");
    let start = |number, threads, manner| {
        let executor = Executor {
            server: format!("web-{number}"),
            listen: fleet.address(number),
            threads,
            manner,
            ledger: ledger.clone(),
        };
        executor.start(THIS)
    };
    let dies = start(1, 16, Manner::HangsSometimes);
    let _full = start(2, 1, Manner::Hangs);
    let _slow = start(3, 16, Manner::IsSlow);
    let _balancer = fleet.balance(&[1, 2, 3]);

    let holder = push_to(&fleet.address(2), 1);
    let holder = Manager::builder(MemoryStore::new()).queue(holder);
    let holder = holder.start().unwrap();
    let hour = Duration::from_secs(3_600);
    holder.enqueue(traced(HOLDING).timeout(hour)).unwrap();
    until(&ledger, |lines| begun(lines, "web-2") == 1);

    let manager = pusher(&fleet).start().unwrap();
    let receipts = manager.enqueue_all((0..JOBS).map(traced)).unwrap();
    // Every fourth of its runs can have begun and never ends.
    until(&ledger, |lines| open_at(lines, "web-1") > 0);
    drop(dies);
    let lost_at_least = open_at(&read(&ledger), "web-1");

    let done = receipts.iter().map(|receipt| {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        (done.job().unwrap().n, done)
    });
    let done: BTreeMap<usize, Completed<Traced>> = done.collect();
    let lines = read(&ledger);
    let mut seen = Seen::default();
    for (n, done) in &done {
        assert_eq!(*done.output().unwrap(), *n);
        seen.add(done, &lines);
    }
    println!("{JOBS} jobs, {lost_at_least} begun on web-1 when it was killed: {seen:?}");
    assert!(seen.unknown >= lost_at_least, "{seen:?}");
    assert!(seen.refused > 0 && seen.timed_out > 0, "{seen:?}");
}

fn push_to(address: &str, calls: usize) -> Queue {
    let to = Push::new(format!("http://{address}")).token(TOKEN);
    Queue::new("default").workers(calls).push_to(to)
}

fn pusher(fleet: &Fleet) -> Builder {
    let store = RedbStore::open(fleet.folder().join("pusher.redb")).unwrap();
    let address = fleet.url();
    let queue = push_to(address.strip_prefix("http://").unwrap(), 16);
    Manager::builder(store).queue(queue)
}

fn traced(n: usize) -> NewJob<Traced> {
    let soon = Duration::from_millis(1);
    NewJob::new(Traced { n })
        .attempts(4)
        .backoff(soon, soon)
        .timeout(DEADLINE)
}

/// Waits until the ledger says so.
fn until(ledger: &Path, holds: impl Fn(&[Line]) -> bool) {
    while !holds(&read(ledger)) {
        std::thread::yield_now();
    }
}

fn begun(lines: &[Line], server: &str) -> usize {
    count(lines, server, Event::Begun)
}

/// Runs that have begun there and not ended.
fn open_at(lines: &[Line], server: &str) -> usize {
    begun(lines, server) - count(lines, server, Event::Ended)
}

fn count(lines: &[Line], server: &str, event: Event) -> usize {
    let of_it = |line: &&Line| line.0 == server && line.2 == event;
    lines.iter().filter(of_it).count()
}

/// What became of the calls of all jobs.
#[derive(Debug, Default)]
struct Seen {
    refused: usize,
    busy: usize,
    unknown: usize,
    timed_out: usize,
    ran_again: usize,
}

impl Seen {
    fn add(&mut self, done: &Completed<Traced>, lines: &[Line]) {
        let n = done.job().unwrap().n;
        let history = done.history();
        let (mut attempts, mut unknown, mut timed_out) = (0, 0, 0);
        for attempt in history {
            match &attempt.end {
                AttemptEnd::NotStarted(why) => {
                    // The full one, or the slow one whose thread has still to return.
                    let busy = why.contains("refused with 409 (busy)");
                    let full = why.contains("refused with 503 (full)");
                    assert!(full || busy, "{n}: {why}");
                    self.refused += usize::from(full);
                    self.busy += usize::from(busy);
                    continue;
                }
                AttemptEnd::Unknown(_) => unknown += 1,
                AttemptEnd::TimedOut { .. } => timed_out += 1,
                AttemptEnd::Succeeded => {}
                _ => panic!("{n}: {attempt:?}"),
            }
            attempts += 1;
        }
        assert_eq!(done.attempts(), attempts, "{n}: {history:?}");
        let of_it = |line: &&Line| line.1 == n && line.2 == Event::Begun;
        let runs = u32::try_from(lines.iter().filter(of_it).count()).unwrap();
        // A call whose end nobody knows may have begun or not; nothing else begins what is no attempt.
        assert!(
            attempts - unknown <= runs && runs <= attempts,
            "{n}: {runs} runs, {history:?}"
        );
        // What ran twice says why.
        assert!(runs <= 1 + unknown + timed_out, "{n}: {history:?}");
        for pair in history.windows(2) {
            let [before, after] = pair else {
                unreachable!("a window of two");
            };
            assert_later(before, after);
        }
        self.ran_again += usize::from(runs > 1);
        self.unknown += usize::try_from(unknown).unwrap();
        self.timed_out += usize::try_from(timed_out).unwrap();
    }
}

/// What may still run is not sent again before its deadline.
fn assert_later(before: &Attempt, after: &Attempt) {
    if let AttemptEnd::Unknown(_) = before.end {
        let deadline = before.started.0 + u64::try_from(DEADLINE.as_millis()).unwrap();
        assert!(after.started.0 >= deadline, "{before:?}, then {after:?}");
    }
}
