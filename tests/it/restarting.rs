use std::time::Duration;

use jobkeep::{AttemptEnd, NewJob, Priority, QueueStore, Reason, Receipt, StateKind};
use jobkeep_store::{Batch, Encoded, Fence, Key, OpeningTag};

use crate::place::{Door, HOUR, PATIENCE, Place, Work, one_worker, succeeding, through, work};

/// Leaves a job in flight and one waiting, as a process that dies does, and gives their receipts.
/// The old thread still stands at the door.
fn leave_in_flight(place: &dyn Place, door: &Door) -> [Receipt<Work>; 2] {
    let manager = through(one_worker(place), door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    // A turn in which the committer learns that the job was taken, and a commit that says so.
    let waiting = manager.enqueue(work("b")).unwrap();
    let report = manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(report.still_running.len(), 1);
    [receipt, waiting]
}

pub(crate) fn what_waited_runs_after_a_restart(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let receipts = manager
        .enqueue_all((0..50).map(|n| work(n.to_string())))
        .unwrap();
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    let recovery = manager.recovery();
    assert_eq!(
        (recovery.waiting, recovery.interrupted, recovery.damaged),
        (50, 0, 0)
    );
    for receipt in &receipts {
        manager
            .wait(receipt, PATIENCE)
            .unwrap()
            .into_output()
            .unwrap();
    }
}

pub(crate) fn what_was_in_flight_is_interrupted_and_runs_again(place: &dyn Place) {
    let door = Door::new();
    let [receipt, waiting] = leave_in_flight(place, &door);
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(
        (manager.recovery().waiting, manager.recovery().interrupted),
        (2, 1)
    );
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(
        (done.attempts(), done.interruptions(), done.job().runs),
        (1, 1, 1)
    );
    let ends: Vec<_> = done
        .history()
        .iter()
        .map(|attempt| attempt.end.clone())
        .collect();
    assert_eq!(
        ends,
        [
            AttemptEnd::Succeeded,
            AttemptEnd::Interrupted { begun: true }
        ]
    );
    // The old thread ends at last, and nobody takes its word.
    door.open(1);
    manager.wait(&waiting, PATIENCE).unwrap();
    assert_eq!(manager.counts().unwrap().succeeded, 2);
    assert_eq!(manager.completed(&receipt).unwrap().unwrap().job().runs, 1);
}

pub(crate) fn a_cancel_request_survives_the_process(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    manager.cancel(&receipt).unwrap();
    manager.shutdown(Duration::ZERO).unwrap();
    let manager = succeeding(one_worker(place)).start().unwrap();
    let failure = manager
        .completed(&receipt)
        .unwrap()
        .unwrap()
        .into_output()
        .unwrap_err();
    assert_eq!(failure.reason(), Reason::Cancelled);
    door.open(1);
}

pub(crate) fn what_was_finished_stays_finished(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(work("x".repeat(2_000))).unwrap();
    let before = manager.wait(&receipt, PATIENCE).unwrap();
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().waiting, 0);
    let after = manager.completed(&receipt).unwrap().unwrap();
    assert_eq!(after.job(), before.job());
    assert_eq!(after.history(), before.history());
    assert_eq!(after.into_output().unwrap(), before.into_output().unwrap());
    assert_eq!(manager.counts().unwrap().succeeded, 1);
}

pub(crate) fn numbers_are_never_used_twice(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    manager.remove(&receipt).unwrap();
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.enqueue(work("b")).unwrap().number().0, 2);
}

pub(crate) fn the_order_is_the_same_after_a_restart(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    manager.enqueue(work("2")).unwrap();
    manager
        .enqueue(NewJob::new(work("1")).priority(Priority::Urgent))
        .unwrap();
    manager.enqueue(work("3")).unwrap();
    manager
        .enqueue(NewJob::new(work("4")).priority(Priority::Low))
        .unwrap();
    drop(manager);
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let last = manager
        .enqueue(NewJob::new(work("5")).priority(Priority::Low))
        .unwrap();
    door.open(5);
    for expected in 1..=5 {
        assert_eq!(door.arrived(), expected.to_string());
    }
    manager.wait(&last, PATIENCE).unwrap();
}

pub(crate) fn jobs_that_are_not_ready_keep_their_state(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let later = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    let parked = manager.enqueue(work("b")).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(
        manager.status(&later).unwrap().state(),
        StateKind::Scheduled
    );
    manager.wait(&parked, PATIENCE).unwrap();
}

pub(crate) fn a_damaged_row_is_set_aside_and_the_rest_runs(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let receipts = manager.enqueue_all([work("a"), work("b")]).unwrap();
    drop(manager);
    // A row that is sound as a row and no record of a job.
    let store = place.open();
    let fence = store.identity().unwrap().fence.unwrap();
    let opening = Fence {
        opening: OpeningTag(1),
        commit: fence.commit + 1,
        ..fence
    };
    let mut batch = Batch::opening(opening, Some(fence.opening));
    batch.put(
        Key::live(receipts[0].number()),
        Encoded::new(&[0xff_u8; 3]).unwrap(),
    );
    store.commit(&batch).unwrap();
    store.close().unwrap();
    drop(store);

    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().damaged, 1);
    manager
        .wait(&receipts[1], PATIENCE)
        .unwrap()
        .into_output()
        .unwrap();
    let error = manager.status(&receipts[0]).unwrap_err();
    assert!(error.is_damaged());
    let text = error.to_string();
    assert!(
        text.starts_with("look up job 1: its row is damaged and was set aside with its bytes: "),
        "{text}"
    );
    let counts = manager.counts().unwrap();
    assert_eq!((counts.damaged, counts.parked, counts.succeeded), (1, 0, 1));
}
