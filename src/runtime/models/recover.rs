//! A store that refuses writes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use jobkeep_store::conformance::{Fault, FaultyStore, Lasting, Operation};
use jobkeep_store::{JobNumber, Key, QueueStore};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::whole::{EVER, Errand, Whole, enqueue, is_kept};
use super::{SECOND, flip, linger};
use crate::runtime::shared::Shared;
use crate::sync::Arc;
use crate::testing::ManualClock;
use crate::{Context, MemoryStore};

/// One of the commits after the opening's.
fn a_commit() -> Fault {
    Fault::nth(Operation::Commit, thread_rng().gen_range(2..=6)).full()
}

/// Lets a second pass now and then.
fn pass_time(clock: &ManualClock, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        clock.advance(SECOND);
        linger();
    }
}

/// A caller, whose job the store takes and runs to its end, or does not take.
fn call(shared: &Shared, behind: &MemoryStore) {
    match enqueue(shared) {
        Ok(number) => {
            assert!(is_kept(behind, number));
            match shared.wait(number, EVER) {
                Ok(finished) => assert!(finished.is_some()),
                Err(error) => assert!(error.as_store().is_some()),
            }
        }
        Err(error) => assert!(error.as_store().unwrap().is_full()),
    }
}

pub(super) fn a_store_that_refuses_once_keeps_nobody_waiting() {
    let behind = MemoryStore::new();
    let store = FaultyStore::new(behind.clone());
    let fault = match (flip(), flip()) {
        (true, true) => a_commit(),
        (true, false) => a_commit().but_done(),
        _ => a_commit().lasting(Lasting::UntilReopened),
    };
    store.faults().arm(fault);
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(2, store).beside(run, |shared, _| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| call(shared, &behind));
            }
        });
        let report = shared.shut_down(EVER);
        assert!(report.still_running.is_empty() && report.unrecorded.is_empty());
    });
}

pub(super) fn a_store_that_refuses_for_a_while_keeps_nobody_waiting() {
    let behind = MemoryStore::new();
    let store = FaultyStore::new(behind.clone());
    let faults = store.faults();
    faults.arm(a_commit().lasting(Lasting::UntilDisarmed));
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(1, store).beside(run, |shared, manual| {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| call(shared, &behind));
                    }
                });
                over.store(true, Ordering::Relaxed);
            });
            scope.spawn(|| {
                linger();
                faults.disarm();
                pass_time(manual, &over);
            });
        });
        let report = shared.shut_down(EVER);
        assert!(report.still_running.is_empty() && report.unrecorded.is_empty());
    });
}

pub(super) fn a_shutdown_names_what_the_store_refused() {
    let behind = MemoryStore::new();
    let store = FaultyStore::new(behind.clone());
    let faults = store.faults();
    faults.arm(a_commit().lasting(Lasting::UntilDisarmed));
    let ran = Arc::<Mutex<Vec<JobNumber>>>::default();
    let noted = Arc::clone(&ran);
    let run = move |_: &mut Errand, context: &Context| {
        noted.lock().unwrap().push(context.id());
        Ok(())
    };
    Whole::new(1, store).beside(run, |shared, manual| {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    if let Ok(number) = enqueue(shared)
                        && let Ok(finished) = shared.wait(number, EVER)
                    {
                        assert!(finished.is_some());
                    }
                });
            }
            scope.spawn(|| {
                linger();
                if flip() {
                    faults.disarm();
                }
                pass_time(manual, &over);
            });
            scope.spawn(|| {
                linger();
                let report = shared.shut_down(3 * SECOND);
                over.store(true, Ordering::Relaxed);
                behind.reopen().unwrap();
                let running = report.still_running.iter().map(|running| running.job);
                let lost: Vec<_> = running.chain(report.unrecorded).collect();
                for number in ran.lock().unwrap().iter() {
                    let is_done = behind.get(&Key::done(*number)).unwrap().is_some();
                    assert_ne!(is_done, lost.contains(number), "the end of job {number}");
                }
            });
        });
    });
}
