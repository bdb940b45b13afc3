use jobkeep::{JobError, NewJob, Reason, StateKind};

use crate::place::{Door, HOUR, PATIENCE, Place, Work, one_worker, succeeding, through, work};

pub(crate) fn a_waiting_job_is_cancelled_at_once(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.cancel(&receipt).unwrap();
    let done = manager.completed(&receipt).unwrap().unwrap();
    let failure = done.into_output().unwrap_err();
    assert_eq!(failure.reason(), Reason::Cancelled);
    assert_eq!(failure.to_string(), "the job was cancelled: before it ran");
    assert_eq!(manager.counts().unwrap().cancelled, 1);
}

pub(crate) fn a_delayed_job_is_cancelled_at_once(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    manager.cancel(&receipt).unwrap();
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Cancelled
    );
    let counts = manager.counts().unwrap();
    assert_eq!((counts.scheduled, counts.cancelled), (0, 1));
}

pub(crate) fn a_running_job_is_told_and_not_tried_again(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let manager = one_worker(place)
        .handle::<Work>(move |work, ctx| {
            inside.enter(&work.label);
            assert!(ctx.is_cancelled());
            Err(JobError::new("stopped half-way"))
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    manager.cancel(&receipt).unwrap();
    assert!(manager.status(&receipt).unwrap().is_cancel_requested());
    door.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.attempts(), 1);
    let failure = done.into_output().unwrap_err();
    assert_eq!(failure.reason(), Reason::Cancelled);
    assert_eq!(failure.message(), "stopped half-way");
}

pub(crate) fn a_running_job_that_succeeds_all_the_same_has_succeeded(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    manager.cancel(&receipt).unwrap();
    door.open(1);
    assert_eq!(
        manager
            .wait(&receipt, PATIENCE)
            .unwrap()
            .into_output()
            .unwrap(),
        "a done"
    );
}

pub(crate) fn a_job_cancels_itself(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Work>(|_, _| Err(JobError::cancel("nothing to do")))
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let failure = manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap_err();
    assert_eq!(failure.to_string(), "the job was cancelled: nothing to do");
}

pub(crate) fn a_finished_job_is_not_cancelled(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    let error = manager.cancel(&receipt).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cancel job 1: it is succeeded, and this needs a job that has not finished"
    );
    assert_eq!(error.illegal_state(), Some(StateKind::Succeeded));
}

pub(crate) fn a_handed_over_job_is_cancelled_before_it_starts(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let warm = manager.enqueue_all((0..20).map(|_| work("warm"))).unwrap();
    door.open(19);
    manager.wait(&warm[18], PATIENCE).unwrap();
    // The last one holds the worker while more are handed over.
    let more = manager
        .enqueue_all((0..10).map(|n| work(n.to_string())))
        .unwrap();
    for receipt in &more {
        manager.cancel(receipt).unwrap();
        assert_eq!(
            manager.status(receipt).unwrap().state(),
            StateKind::Cancelled
        );
    }
    door.open(1);
    manager.wait(&warm[19], PATIENCE).unwrap();
    for _ in 0..20 {
        assert_eq!(door.arrived(), "warm");
    }
    assert!(door.is_quiet());
}
