//! Calls of a queue in push mode of which nobody knows how they ended.

use std::sync::Arc;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::testing::pushing::{self, Call, Carried, Carry, OnUnknown, RETURN_GRACE};
use jobkeep::{AttemptEnd, Queue, Reason, StateKind};

use crate::place::{HOUR, PATIENCE, Place, SECOND};
use crate::pushing::{
    LIMIT, Line, builder, due_in, ends, limited, lost, queue, started, succeeded, waits,
};
use crate::restarting::until_nothing_is_stuck;

pub(crate) fn a_lost_call_is_an_attempt_and_comes_again_after_its_deadline(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a").attempts(2)).unwrap();
    let first = line.heard();
    clock.advance(10 * SECOND);
    line.end(lost());
    let status = waits(&manager, &receipt);
    assert_eq!(
        (status.attempts(), due_in(&status, &clock)),
        (1, LIMIT - 10 * SECOND)
    );
    let unknown = AttemptEnd::Unknown("connection reset by peer".into());
    assert_eq!(ends(&status), [unknown]);
    clock.advance(LIMIT - 11 * SECOND);
    manager.counts().unwrap();
    assert!(line.is_quiet());
    clock.advance(SECOND);
    let second = line.heard();
    assert_eq!(second.attempt, 2);
    assert!(second.sequence > first.sequence);
    line.end(lost());
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let failure = done.output().unwrap_err();
    assert_eq!(
        (failure.reason(), failure.attempts(), failure.message()),
        (
            Reason::Unknown,
            2,
            "nobody knows how it ended: connection reset by peer"
        )
    );
}

pub(crate) fn a_lost_call_waits_for_the_longer_of_backoff_and_deadline(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let patient = limited("a").backoff(1_000_000_000 * HOUR, 1_000_000_000 * HOUR);
    let receipt = manager.enqueue(patient).unwrap();
    line.heard();
    line.end(lost());
    assert!(due_in(&waits(&manager, &receipt), &clock) > HOUR);
}

pub(crate) fn a_queue_may_have_lost_calls_fail(place: &dyn Place) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let queue = pushing::on_unknown(queue(&line), OnUnknown::Fail);
    let manager = builder(place, queue, &clock).start().unwrap();
    let receipt = manager.enqueue(limited("a")).unwrap();
    line.end(lost());
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap_err().reason(), Reason::Unknown);
    assert_eq!(done.attempts(), 1);
}

pub(crate) fn an_operators_retry_waits_for_the_end_of_a_lost_call_too(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    for (attempts, cancels_before, cancels_after) in
        [(1, false, false), (2, true, false), (2, false, true)]
    {
        let receipt = manager.enqueue(limited("a").attempts(attempts)).unwrap();
        line.heard();
        clock.advance(10 * SECOND);
        if cancels_before {
            manager.cancel(&receipt).unwrap();
        }
        line.end(lost());
        // Whatever the wall clock says meanwhile.
        clock.set_wall(clock.wall().after(1_000 * SECOND));
        if cancels_after {
            waits(&manager, &receipt);
            manager.cancel(&receipt).unwrap();
        }
        manager.wait(&receipt, PATIENCE).unwrap();
        clock.advance(SECOND);
        manager.retry(&receipt).unwrap();
        let left = LIMIT - 11 * SECOND;
        assert_eq!(due_in(&waits(&manager, &receipt), &clock), left);
        clock.advance(left - SECOND);
        manager.counts().unwrap();
        assert!(line.is_quiet());
        clock.advance(SECOND);
        assert_eq!(line.heard().attempt, 1);
        line.answer(succeeded());
        manager.wait(&receipt, PATIENCE).unwrap();
    }
    // What was answered waits for nobody.
    let receipt = manager.enqueue(limited("b")).unwrap();
    for _ in 0..2 {
        line.heard();
        line.answer(succeeded());
        manager.wait(&receipt, PATIENCE).unwrap();
        manager.retry(&receipt).unwrap();
    }
    line.heard();
    line.answer(succeeded());
}

pub(crate) fn an_operators_retry_waits_for_the_call_of_a_process_that_died(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    line.heard();
    manager.shutdown(Duration::ZERO).unwrap();
    line.answer(succeeded());
    let manager = builder(place, queue(&line), &clock).start().unwrap();
    until_nothing_is_stuck(&manager);
    waits(&manager, &receipt);
    manager.cancel(&receipt).unwrap();
    clock.advance(SECOND);
    manager.retry(&receipt).unwrap();
    let left = LIMIT - SECOND;
    assert_eq!(due_in(&waits(&manager, &receipt), &clock), left);
    clock.advance(left);
    line.heard();
    line.answer(succeeded());
    manager.wait(&receipt, PATIENCE).unwrap();
}

/// Drops each call.
#[derive(Debug)]
struct Panicking;

impl Carry for Panicking {
    fn carry(&self, _call: &Call<'_>) -> Carried {
        panic!("dropped")
    }
}

pub(crate) fn a_carrier_that_panics_has_lost_its_call(place: &dyn Place) {
    let queue = pushing::through(Queue::new("default").workers(1), Arc::new(Panicking));
    let manager = builder(place, queue, &ManualClock::new()).start().unwrap();
    let receipt = manager.enqueue(limited("a").attempts(1)).unwrap();
    let failure = manager.wait(&receipt, PATIENCE).unwrap().into_output();
    let failure = failure.unwrap_err();
    assert_eq!(failure.reason(), Reason::Unknown);
    let message = failure.message();
    assert!(message.starts_with("nobody knows how it ended: its carrier panicked at "));
    assert!(message.ends_with(": dropped"), "{message}");
}

pub(crate) fn a_carrier_that_does_not_return_has_lost_its_call(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    line.heard();
    clock.advance(LIMIT);
    manager.counts().unwrap();
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Running
    );
    clock.advance(RETURN_GRACE);
    let status = waits(&manager, &receipt);
    assert_eq!(
        ends(&status),
        [AttemptEnd::Unknown(
            "its carrier has not returned 5 s after the call's deadline".into()
        )]
    );
    assert_eq!(status.attempts(), 1);
    // It may still send the call: nobody sends another one before it has returned.
    clock.advance(HOUR);
    manager.counts().unwrap();
    assert!(line.is_quiet());
    assert_eq!(manager.stuck().len(), 1);
    // What it says late counts for nothing.
    line.answer(succeeded());
    assert_eq!(line.heard().attempt, 2);
    line.answer(succeeded());
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.attempts(), 2);
    until_nothing_is_stuck(&manager);
}
