use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{Builder, Counts, JobError, Manager, NewJob, Receipt, Retention};
use jobkeep_store::Space;

use crate::place::{HOUR, PATIENCE, Place, Work, one_worker, work};
use crate::uniqueness::rows;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Jobs fail whose label says so; the others succeed.
fn builder(place: &dyn Place, clock: &ManualClock, retention: Retention) -> Builder {
    one_worker(place)
        .handle::<Work>(|work, _| match work.label.as_str() {
            "fail" => Err(JobError::permanent("failed")),
            _ => Ok("x".repeat(600)),
        })
        .clock(clock.clone())
        .retention(retention)
}

fn run(manager: &Manager, label: &str) -> Receipt<Work> {
    let receipt = manager.enqueue(work(label)).unwrap();
    drop(manager.wait(&receipt, PATIENCE));
    receipt
}

/// Retention works in the committer's turns, and each question is one: asks until it rests.
pub(crate) fn settled(manager: &Manager) -> Counts {
    let mut counts = manager.counts().unwrap();
    for _ in 0..50 {
        counts = manager.counts().unwrap();
    }
    counts
}

pub(crate) fn the_oldest_of_too_many_finished_jobs_go_first(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = builder(place, &clock, Retention::new().at_most(10))
        .start()
        .unwrap();
    let receipts: Vec<_> = (0..25)
        .map(|n| run(&manager, if n % 5 == 0 { "fail" } else { "a" }))
        .collect();
    let counts = settled(&manager);
    assert_eq!((counts.succeeded, counts.failed), (8, 2));
    for receipt in &receipts[..15] {
        let error = manager.completed(receipt).unwrap_err();
        assert!(error.is_pruned(), "{error}");
    }
    for receipt in &receipts[15..] {
        assert!(manager.completed(receipt).unwrap().is_some());
    }
    let error = manager.status(&receipts[0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "look up job 1: it was accepted once and is gone, pruned by retention or removed: see \
         `Builder::retention` for how long finished jobs are kept"
    );
}

pub(crate) fn successes_and_failures_go_at_their_own_age(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = builder(place, &clock, Retention::new()).start().unwrap();
    let (success, failure) = (run(&manager, "a"), run(&manager, "fail"));
    clock.advance(7 * DAY - HOUR);
    settled(&manager);
    assert!(manager.completed(&success).unwrap().is_some());
    clock.advance(HOUR);
    settled(&manager);
    assert!(manager.completed(&success).unwrap_err().is_pruned());
    assert!(manager.completed(&failure).unwrap().is_some());
    clock.advance(23 * DAY);
    settled(&manager);
    assert!(manager.completed(&failure).unwrap_err().is_pruned());
    assert_eq!(manager.counts().unwrap(), Counts::default());
}

pub(crate) fn a_wall_clock_set_forward_lets_nothing_go(place: &dyn Place) {
    let clock = ManualClock::new();
    let start = |clock: &ManualClock| builder(place, clock, Retention::new()).start().unwrap();
    let manager = start(&clock);
    let keyed = || NewJob::new(work("a")).key("k");
    let receipt = manager.enqueue(keyed()).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    let is_kept = |manager: &Manager| {
        settled(manager);
        assert!(manager.completed(&receipt).unwrap().is_some());
        assert_eq!(manager.enqueue(keyed()).unwrap(), receipt);
    };
    let wall = clock.wall();
    clock.set_wall(wall.after(1_000 * DAY));
    is_kept(&manager);
    drop(manager);
    // It was ahead for as long as that process lived, and is so in the next.
    let manager = start(&clock);
    is_kept(&manager);
    clock.set_wall(wall);
    is_kept(&manager);
    clock.set_wall(wall.before(1_000 * DAY));
    clock.advance(DAY - HOUR);
    is_kept(&manager);
    clock.advance(HOUR);
    settled(&manager);
    assert_ne!(manager.enqueue(keyed()).unwrap(), receipt);
    clock.advance(6 * DAY);
    settled(&manager);
    assert!(manager.completed(&receipt).unwrap_err().is_pruned());
}

pub(crate) fn keep_all_keeps_all(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = builder(place, &clock, Retention::keep_all())
        .start()
        .unwrap();
    let receipt = run(&manager, "a");
    clock.advance(4_000 * DAY);
    settled(&manager);
    assert!(manager.completed(&receipt).unwrap().is_some());
}

pub(crate) fn a_retried_job_is_not_pruned_for_its_first_end(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = builder(place, &clock, Retention::new()).start().unwrap();
    let receipt = run(&manager, "a");
    let other = run(&manager, "a");
    clock.advance(6 * DAY);
    manager.retry(&receipt).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(settled(&manager).succeeded, 2);
    clock.advance(DAY);
    settled(&manager);
    assert!(manager.completed(&other).unwrap_err().is_pruned());
    assert!(manager.completed(&receipt).unwrap().is_some());
    assert_eq!(manager.counts().unwrap().succeeded, 1);
    clock.advance(6 * DAY);
    assert_eq!(settled(&manager).succeeded, 0);
    manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(rows(place, Space::Withdrawn), 0);
}

pub(crate) fn a_removed_job_is_gone_and_counted_once(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = builder(place, &clock, Retention::new()).start().unwrap();
    let (removed, kept) = (run(&manager, "a"), run(&manager, "a"));
    manager.remove(&removed).unwrap();
    assert!(manager.completed(&removed).unwrap_err().is_pruned());
    assert_eq!(manager.counts().unwrap().succeeded, 1);
    clock.advance(7 * DAY);
    assert_eq!(settled(&manager).succeeded, 0);
    assert!(manager.completed(&kept).unwrap_err().is_pruned());
}

pub(crate) fn pruning_goes_on_after_a_restart(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = builder(place, &clock, Retention::new()).start().unwrap();
    let receipts = manager.enqueue_all((0..700).map(|_| work("a"))).unwrap();
    for receipt in &receipts {
        manager.wait(receipt, PATIENCE).unwrap();
    }
    manager.shutdown(PATIENCE).unwrap();
    clock.advance(7 * DAY);
    let manager = builder(place, &clock, Retention::new()).start().unwrap();
    assert_eq!(settled(&manager).succeeded, 0);
    assert!(manager.completed(&receipts[699]).unwrap_err().is_pruned());
}

pub(crate) fn no_row_of_a_pruned_job_is_left(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = builder(place, &clock, Retention::new()).start().unwrap();
    run(&manager, &"x".repeat(2_000));
    run(&manager, "a");
    run(&manager, "fail");
    clock.advance(30 * DAY);
    settled(&manager);
    manager.shutdown(Duration::ZERO).unwrap();
    for space in [
        Space::Live,
        Space::Bodies,
        Space::Outputs,
        Space::Done,
        Space::ExpiringSuccesses,
        Space::ExpiringFailures,
    ] {
        assert_eq!(rows(place, space), 0, "{}", space.name());
    }
}
