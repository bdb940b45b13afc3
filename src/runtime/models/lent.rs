use std::sync::Mutex;

use shuttle::thread;

use super::in_a_second;
use super::pause::pause_and_wait;
use super::whole::{EVER, Errand, Whole, enqueue};
use crate::runtime::lent::run_next;
use crate::runtime::pause::Rested;
use crate::runtime::shared::Shared;
use crate::sync::Arc;
use crate::{Context, Error, MemoryStore};

/// As [`Kit::run_one`](crate::testing::Kit::run_one): `true` where a job ran.
fn run_one(shared: &Arc<Shared>) -> Result<bool, Error> {
    run_next(shared, &shared.pools[0]).map(|ran| ran.is_some())
}

pub(super) fn jobs_run_on_a_thread_that_is_lent() {
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(0, MemoryStore::new()).beside(run, |shared, _| {
        let numbers = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let number = enqueue(shared).unwrap();
                    run_one(shared).unwrap();
                    numbers.lock().unwrap().push(number);
                });
            }
        });
        while run_one(shared).unwrap() {}
        for number in numbers.into_inner().unwrap() {
            assert!(shared.finished(number).unwrap().is_some());
        }
        shared.shut_down(EVER);
    });
}

pub(super) fn a_lent_thread_outlives_the_manager() {
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(0, MemoryStore::new()).beside(run, |shared, _| {
        thread::scope(|scope| {
            scope.spawn(|| {
                match enqueue(shared).and_then(|_| run_one(shared)) {
                    // None, where the shutdown had begun.
                    Ok(_) => {}
                    Err(error) => assert!(error.is_shut_down()),
                }
            });
            scope.spawn(|| {
                let report = shared.shut_down(EVER);
                assert!(report.still_running.is_empty() && report.unrecorded.is_empty());
            });
        });
    });
}

pub(super) fn who_waits_for_rest_hears_of_a_lent_thread() {
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(0, MemoryStore::new()).beside(run, |shared, _| {
        enqueue(shared).unwrap();
        let until = in_a_second(&shared.clock);
        thread::scope(|scope| {
            scope.spawn(|| run_one(shared).unwrap());
            scope.spawn(|| assert_eq!(pause_and_wait(shared, until).unwrap(), Rested::Yes));
        });
        shared.shut_down(EVER);
    });
}
