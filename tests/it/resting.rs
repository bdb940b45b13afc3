//! Queues in push mode whose executors take nothing: they rest, and others go on.

use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::testing::pushing::End;
use jobkeep::{NewJob, Queue, Receipt, StateKind};

use crate::place::{HOUR, PATIENCE, Place, SECOND, Work, work};
use crate::pushing::{
    Line, MINUTE, builder, due_in, limited, lost, queue, refused, refused_alone, started,
    succeeded, waits,
};

/// The longest wait, of which half is drawn.
#[track_caller]
fn assert_drawn(wait: Duration, longest: Duration) {
    let drawn = longest / 2..=longest;
    assert!(drawn.contains(&wait), "{wait:?} of {longest:?}");
}

pub(crate) fn the_rests_of_a_queue_double_up_to_a_minute(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    for longest in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        line.heard();
        line.end(refused(None));
        let wait = due_in(&waits(&manager, &receipt), &clock);
        assert_drawn(wait, Duration::from_secs(longest));
        clock.advance(wait - Duration::from_millis(1));
        manager.counts().unwrap();
        assert!(line.is_quiet());
        clock.advance(Duration::from_millis(1));
    }
    line.heard();
    line.answer(End::Failed {
        chain: vec!["failed there".into()],
        retry_after: None,
    });
    line.heard();
    line.end(refused(None));
    assert!(due_in(&waits(&manager, &receipt), &clock) <= SECOND);
}

pub(crate) fn a_lost_call_counts_as_a_refused_one_for_the_rest_of_its_queue(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    for longest in [1, 4, 16, 60] {
        line.heard();
        line.end(refused(None));
        let wait = due_in(&waits(&manager, &receipt), &clock);
        assert_drawn(wait, Duration::from_secs(longest));
        clock.advance(wait);
        line.heard();
        line.end(lost());
        waits(&manager, &receipt);
        // The lost call is over by then, and so is the rest.
        clock.advance(MINUTE);
    }
    line.heard();
    line.answer(succeeded());
}

pub(crate) fn a_queue_whose_calls_are_lost_at_once_does_not_spend_its_backlog(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipts = manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.heard();
    line.end(lost());
    assert_eq!(waits(&manager, &receipts[0]).attempts(), 1);
    assert!(line.is_quiet());
    clock.advance(SECOND);
    assert_eq!(line.heard().job, receipts[1].number().0);
    line.answer(succeeded());
}

pub(crate) fn a_refusal_puts_its_job_off_by_a_day_at_most(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    line.heard();
    line.end(refused(Some(Duration::from_secs(u64::MAX))));
    assert_eq!(due_in(&waits(&manager, &receipt), &clock), 24 * HOUR);
    clock.advance(24 * HOUR);
    line.heard();
    line.answer(succeeded());
}

pub(crate) fn a_refusal_that_says_when_is_heeded(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipts = manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.heard();
    line.end(refused(Some(HOUR)));
    assert_eq!(due_in(&waits(&manager, &receipts[0]), &clock), HOUR);
    // The queue itself tries others after its longest rest.
    clock.advance(MINUTE - SECOND);
    manager.counts().unwrap();
    assert!(line.is_quiet());
    clock.advance(SECOND);
    assert_eq!(line.heard().job, receipts[1].number().0);
    line.answer(succeeded());
    manager.wait(&receipts[1], PATIENCE).unwrap();
    assert!(line.is_quiet());
    clock.advance(HOUR - MINUTE);
    assert_eq!(line.heard().job, receipts[0].number().0);
    line.answer(succeeded());
}

pub(crate) fn a_refusal_of_one_job_holds_up_no_other(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipts = manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.end(refused_alone());
    line.answer(succeeded());
    manager.wait(&receipts[1], PATIENCE).unwrap();
    assert_drawn(due_in(&waits(&manager, &receipts[0]), &clock), SECOND);
}

pub(crate) fn a_job_refused_alone_waits_as_long_as_it_has_been_refused(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    let mut refused_for = Duration::ZERO;
    for _ in 0..10 {
        line.heard();
        line.end(refused_alone());
        let wait = due_in(&waits(&manager, &receipt), &clock);
        let half = refused_for.clamp(SECOND / 2, MINUTE / 2);
        assert!(half <= wait && wait <= 2 * half, "{wait:?} of {half:?}");
        clock.advance(wait);
        refused_for += wait;
    }
    assert!(refused_for > 3 * MINUTE, "{refused_for:?}");
    // An attempt in between is a new beginning.
    line.heard();
    line.answer(End::Failed {
        chain: vec!["failed there".into()],
        retry_after: None,
    });
    line.heard();
    line.end(refused_alone());
    assert!(due_in(&waits(&manager, &receipt), &clock) <= SECOND);
}

pub(crate) fn an_answer_ends_the_rest_of_its_queue(place: &dyn Place) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let manager = builder(place, queue(&line).workers(2), &clock)
        .start()
        .unwrap();
    let receipts = manager.enqueue_all(["a", "b", "c"].map(limited)).unwrap();
    line.heard();
    line.heard();
    line.end(refused(None));
    let off =
        |receipt: &&Receipt<Work>| manager.status(receipt).unwrap().state() == StateKind::Scheduled;
    while receipts.iter().find(off).is_none() {
        std::thread::yield_now();
    }
    assert!(line.is_quiet());
    line.answer(succeeded());
    assert_eq!(line.heard().job, receipts[2].number().0);
    line.answer(succeeded());
    manager.wait(&receipts[2], PATIENCE).unwrap();
}

pub(crate) fn a_queue_rests_only_where_few_calls_are_answered(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let texts = ["a", "b", "c", "d", "e", "f", "g"];
    let receipts = manager.enqueue_all(texts.map(limited)).unwrap();
    line.answer(succeeded());
    manager.wait(&receipts[0], PATIENCE).unwrap();
    line.heard();
    // The answer makes up for four of them.
    for receipt in &receipts[1..=5] {
        assert_eq!(line.heard().job, receipt.number().0);
        line.end(refused(None));
        assert!(due_in(&waits(&manager, receipt), &clock) <= SECOND);
    }
    assert!(line.is_quiet());
    clock.advance(SECOND);
    for _ in &receipts[1..] {
        line.answer(succeeded());
    }
    for receipt in &receipts[1..] {
        manager.wait(receipt, PATIENCE).unwrap();
    }
}

pub(crate) fn an_executor_that_is_dead_slows_no_other_queue(place: &dyn Place) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let local = builder(place, queue(&line), &clock).queue(Queue::new("local").workers(1));
    let manager = crate::place::succeeding(local).start().unwrap();
    let here = |n: u32| NewJob::new(work(n.to_string())).queue("local");
    // One call hangs.
    manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.heard();
    for receipt in manager.enqueue_all((0..20).map(here)).unwrap() {
        manager.wait(&receipt, PATIENCE).unwrap();
    }
    // The queue rests.
    line.end(refused(None));
    for receipt in manager.enqueue_all((0..20).map(here)).unwrap() {
        manager.wait(&receipt, PATIENCE).unwrap();
    }
    assert!(line.is_quiet());
}

pub(crate) fn a_queue_that_rests_shuts_down(place: &dyn Place) {
    let (manager, line, _) = started(place);
    let receipts = manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.heard();
    line.end(refused(None));
    waits(&manager, &receipts[0]);
    let report = manager.shutdown(HOUR).unwrap();
    assert_eq!((report.still_running, report.unrecorded), (vec![], vec![]));
}
