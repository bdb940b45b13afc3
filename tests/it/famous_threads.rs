//! Famous bugs of other job systems, of those that take a thread with them. The numbers are those of the
//! table in `tests/README.md`.

use std::error::Error;
use std::fmt;
use std::panic::panic_any;

use jobkeep::testing::ManualClock;
use jobkeep::{AttemptEnd, JobError, Manager, NewJob, Queue};

use crate::famous::LIMIT;
use crate::place::{Door, PATIENCE, Place, Work, one_worker, work};
use crate::restarting::until_nothing_is_stuck;

/// A hung handler held its slot for ever. Here another thread stands in, but as many hung as may be stood
/// in for, and one of those that returned was sent home all the same.
pub(crate) fn r20_a_thread_that_returns_stands_in_for_one_that_hangs(place: &dyn Place) {
    let clock = ManualClock::new();
    let (returning, hanging) = (Door::new(), Door::new());
    let (first, second) = (returning.clone(), hanging.clone());
    let queue = Queue::new("default").workers(1).substitutes(1);
    let manager = Manager::builder(place.open())
        .queue(queue)
        .clock(clock.clone())
        .handle::<Work>(move |work, _| {
            match work.label.as_str() {
                "returns" => first.enter("returns"),
                "hangs" => second.enter("hangs"),
                _ => {}
            }
            Ok(String::new())
        })
        .start()
        .unwrap();
    for (label, door) in [("returns", &returning), ("hangs", &hanging)] {
        let job = NewJob::new(work(label)).timeout(LIMIT).attempts(1);
        let receipt = manager.enqueue(job).unwrap();
        door.arrived();
        clock.advance(LIMIT);
        manager.wait(&receipt, PATIENCE).unwrap();
    }
    let waiting = manager.enqueue(work("waiting")).unwrap();
    returning.open(1);
    manager.wait(&waiting, PATIENCE).unwrap();
    assert_eq!(manager.stuck().len(), 1);
    hanging.open(1);
    until_nothing_is_stuck(&manager);
    // One thread is left, as was asked for.
    manager.shutdown(PATIENCE).unwrap();
}

/// An error that does not even know its own text.
#[derive(Debug)]
struct Speechless;

impl fmt::Display for Speechless {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words for it")
    }
}

impl Error for Speechless {}

/// An error that is its own source.
#[derive(Debug)]
struct Ring;

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("round")
    }
}

impl Error for Ring {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

/// What a panic throws, and what throws again when it is dropped.
struct Thrown;

impl Drop for Thrown {
    fn drop(&mut self) {
        panic_any("thrown once more")
    }
}

/// Runs a job that ends badly, and one behind it on the same thread.
fn end_badly(
    place: &dyn Place,
    end: impl Fn() -> Result<String, JobError> + Send + Sync + 'static,
) -> AttemptEnd {
    let manager = one_worker(place)
        .handle::<Work>(move |work, _| match work.label.as_str() {
            "bad" => end(),
            _ => Ok(String::new()),
        })
        .start()
        .unwrap();
    let bad = NewJob::new(work("bad")).attempts(1);
    let bad = manager.enqueue(bad).unwrap();
    let next = manager.enqueue(work("next")).unwrap();
    manager.wait(&next, PATIENCE).unwrap();
    let end = manager.wait(&bad, PATIENCE).unwrap().history()[0]
        .end
        .clone();
    assert_eq!(manager.counts().unwrap().running, 0);
    manager.shutdown(PATIENCE).unwrap();
    end
}

/// Threads of the machinery died of what a job had left behind, in silence: its job ran for ever.
pub(crate) fn r21_an_error_that_panics_ends_its_job_and_no_thread(place: &dyn Place) {
    let end = end_badly(place, || Err(JobError::permanent(Speechless)));
    let AttemptEnd::Panicked { message, .. } = end else {
        panic!("{end:?}");
    };
    assert_eq!(message, "no words for it");
}

/// The same, of what a panic had thrown.
pub(crate) fn r21_a_panic_that_panics_ends_its_job_and_no_thread(place: &dyn Place) {
    let end = end_badly(place, || panic_any(Thrown));
    let AttemptEnd::Panicked { message, .. } = end else {
        panic!("{end:?}");
    };
    assert_eq!(message, "the panic carries no text");
}

/// The same, of an error whose chain of sources has no end.
pub(crate) fn r21_an_error_that_is_its_own_source_ends_its_job(place: &dyn Place) {
    let end = end_badly(place, || Err(JobError::permanent(Ring)));
    assert_eq!(end, AttemptEnd::Permanent(vec!["round".into()]));
}
