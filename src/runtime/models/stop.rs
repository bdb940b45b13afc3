//! The end of a manager.

use std::sync::Mutex;

use jobkeep_store::conformance::{Fault, FaultyStore, Operation};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::whole::{EVER, Errand, Whole, enqueue, is_kept};
use super::{SECOND, clock, flip, in_a_second};
use crate::runtime::bell::Bell;
use crate::runtime::shared::Ending;
use crate::sync::Arc;
use crate::{Context, MemoryStore};

pub(super) fn two_shutdowns_get_one_report() {
    let store = MemoryStore::new();
    let behind = store.clone();
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(2, store).beside(run, |shared, _| {
        let reports = Mutex::new(Vec::new());
        thread::scope(|scope| {
            scope.spawn(|| match enqueue(shared) {
                Ok(number) => assert!(is_kept(&behind, number)),
                Err(error) => assert!(error.is_shut_down()),
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    let report = shared.shut_down(EVER);
                    reports.lock().unwrap().push(report);
                });
            }
        });
        let reports = reports.into_inner().unwrap();
        assert_eq!(reports[0], reports[1]);
        assert!(reports[0].still_running.is_empty() && reports[0].unrecorded.is_empty());
    });
}

pub(super) fn who_waits_for_a_job_is_told() {
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(2, MemoryStore::new()).beside(run, |shared, _| {
        let number = enqueue(shared).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| match shared.wait(number, EVER) {
                Ok(finished) => assert!(finished.is_some()),
                Err(error) => assert!(error.is_shut_down()),
            });
            scope.spawn(|| shared.shut_down(EVER));
        });
    });
}

/// The end of one is all that has the committer hand the next one over.
pub(super) fn jobs_follow_each_other_on_one_worker() {
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(1, MemoryStore::new()).beside(run, |shared, _| {
        let run_one = || {
            let number = enqueue(shared).unwrap();
            assert!(shared.wait(number, EVER).unwrap().is_some());
        };
        // The first end of all gives retention something to read, and so the committer a turn more.
        run_one();
        thread::scope(|scope| {
            scope.spawn(run_one);
            scope.spawn(run_one);
        });
        shared.shut_down(EVER);
    });
}

pub(super) fn the_grace_ends() {
    let (manual, clock) = clock();
    let ending = Arc::<Ending>::default();
    clock.tell(&ending);
    let until = in_a_second(&clock);
    thread::scope(|scope| {
        scope.spawn(|| manual.advance(SECOND));
        scope.spawn(|| assert_eq!(ending.wait(&clock, Some(until)), None));
    });
}

pub(super) fn a_job_that_outlasts_the_grace_is_reported() {
    let gate = Arc::<Bell>::default();
    let opened = Arc::clone(&gate);
    let (_, still) = clock();
    let run = move |_: &mut Errand, _: &Context| {
        gate.wait(&still, None);
        Ok(())
    };
    Whole::new(2, MemoryStore::new()).beside(run, |shared, manual| {
        let number = enqueue(shared).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                // One of them may come when the grace has begun, or none.
                manual.advance(SECOND);
                manual.advance(SECOND);
                opened.ring();
            });
            scope.spawn(|| {
                let report = shared.shut_down(SECOND);
                let running = report.still_running.iter().map(|running| running.job);
                let ends = report.finished + report.handed_back;
                let lost = running.chain(report.unrecorded.iter().copied());
                match lost.collect::<Vec<_>>().as_slice() {
                    [] => assert!(ends <= 1),
                    [job] => assert_eq!((*job, ends), (number, 0)),
                    many => panic!("{many:?} of one job"),
                }
            });
        });
    });
}

pub(super) fn after_a_commit_of_unknown_outcome_everybody_is_told() {
    let store = MemoryStore::new();
    let behind = store.clone();
    let store = FaultyStore::new(store);
    // The first one is the opening's.
    let nth = thread_rng().gen_range(2..=4);
    let fault = Fault::nth(Operation::Commit, nth);
    store.faults().arm(if flip() {
        fault.unknown()
    } else {
        fault.unknown_but_done()
    });
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(2, store).beside(run, |shared, _| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    if let Ok(number) = enqueue(shared) {
                        assert!(is_kept(&behind, number));
                        drop(shared.wait(number, EVER));
                    }
                });
            }
        });
        shared.shut_down(EVER);
    });
}
