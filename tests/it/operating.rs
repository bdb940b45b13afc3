//! Queues paused and resumed, and jobs listed.

use std::thread::scope;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{Builder, JobError, Manager, NewJob, Priority, Queue, Receipt, StateKind};
use jobkeep_store::conformance::{Fault, Lasting, Operation};

use crate::place::{
    Door, HOUR, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};

/// A manager with one worker on queue `default` and one on `other`.
fn two_queues(place: &dyn Place) -> Builder {
    one_worker(place).queue(Queue::new("other").workers(1))
}

/// Runs a job of queue `other`: whatever else could start has been handed over by then.
fn run_another(manager: &Manager, door: &Door) {
    let other = NewJob::new(work("other")).queue("other");
    let receipt = manager.enqueue(other).unwrap();
    assert_eq!(door.arrived(), "other");
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
}

fn states(manager: &Manager, receipts: &[Receipt<Work>]) -> Vec<StateKind> {
    let state = |receipt| manager.status(receipt).unwrap().state();
    receipts.iter().map(state).collect()
}

pub(crate) fn a_paused_queue_accepts_jobs_and_starts_none(place: &dyn Place) {
    let door = Door::new();
    let manager = through(two_queues(place), &door).start().unwrap();
    assert!(manager.paused().unwrap().is_empty());
    manager.pause("default").unwrap();
    assert_eq!(manager.paused().unwrap(), ["default"]);
    let urgent = NewJob::new(work("a")).priority(Priority::Urgent);
    let receipt = manager.enqueue(urgent).unwrap();
    run_another(&manager, &door);
    assert!(door.is_quiet());
    let status = manager.status(&receipt).unwrap();
    assert_eq!((status.state(), status.attempts()), (StateKind::Ready, 0));
    assert_eq!(manager.counts().unwrap().ready, 1);
    manager.resume("default").unwrap();
    assert_eq!(door.arrived(), "a");
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    assert!(manager.paused().unwrap().is_empty());
}

pub(crate) fn a_pause_withdraws_what_was_handed_over_and_not_begun(place: &dyn Place) {
    let door = Door::new();
    let manager = through(two_queues(place), &door).start().unwrap();
    let labels = ["warm", "running", "a", "b", "c"];
    let receipts = manager.enqueue_all(labels.map(work)).unwrap();
    door.open(1);
    // A pool that has finished one job is handed two ahead.
    assert_eq!([door.arrived(), door.arrived()], ["warm", "running"]);
    manager.pause("default").unwrap();
    assert_eq!(manager.counts().unwrap().running, 1);
    door.open(1);
    manager.wait(&receipts[1], PATIENCE).unwrap();
    run_another(&manager, &door);
    assert!(door.is_quiet());
    assert_eq!(states(&manager, &receipts[2..]), [StateKind::Ready; 3]);
    manager.enqueue(work("d")).unwrap();
    manager.resume("default").unwrap();
    door.open(4);
    let order = [(); 4].map(|()| door.arrived());
    assert_eq!(order, ["a", "b", "c", "d"]);
    let done = manager.wait(&receipts[2], PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 0));
    assert_eq!(done.history().len(), 1);
}

pub(crate) fn a_delayed_job_of_a_paused_queue_becomes_ready_and_does_not_start(place: &dyn Place) {
    let clock = ManualClock::new();
    let door = Door::new();
    let manager = through(two_queues(place), &door)
        .clock(clock.clone())
        .start()
        .unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    manager.pause("default").unwrap();
    clock.advance(HOUR);
    run_another(&manager, &door);
    assert!(door.is_quiet());
    assert_eq!(manager.status(&receipt).unwrap().state(), StateKind::Ready);
    manager.resume("default").unwrap();
    assert_eq!(door.arrived(), "a");
    door.open(1);
}

pub(crate) fn a_pause_holds_over_a_restart_until_it_is_lifted(place: &dyn Place) {
    let door = Door::new();
    let start = || through(two_queues(place), &door).start().unwrap();
    let manager = start();
    manager.pause("default").unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    drop(manager);
    let manager = start();
    assert_eq!(manager.paused().unwrap(), ["default"]);
    run_another(&manager, &door);
    assert!(door.is_quiet());
    manager.pause("other").unwrap();
    manager.resume("default").unwrap();
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(door.arrived(), "a");
    drop(manager);
    let manager = start();
    assert_eq!(manager.paused().unwrap(), ["other"]);
    manager.resume("other").unwrap();
    drop(manager);
    assert!(start().paused().unwrap().is_empty());
}

pub(crate) fn a_queue_that_is_not_declared_any_more_keeps_its_pause(place: &dyn Place) {
    let manager = two_queues(place).start().unwrap();
    manager.pause("other").unwrap();
    drop(manager);
    let manager = one_worker(place).start().unwrap();
    assert_eq!(manager.paused().unwrap(), ["other"]);
    manager.pause("default").unwrap();
    manager.resume("default").unwrap();
    drop(manager);
    let manager = two_queues(place).start().unwrap();
    assert_eq!(manager.paused().unwrap(), ["other"]);
    drop(manager);
    let manager = one_worker(place).start().unwrap();
    manager.resume("other").unwrap();
    assert!(manager.resume("other").unwrap_err().is_undeclared_queue());
    drop(manager);
    assert!(
        two_queues(place)
            .start()
            .unwrap()
            .paused()
            .unwrap()
            .is_empty()
    );
}

pub(crate) fn only_a_declared_queue_is_paused_or_resumed(place: &dyn Place) {
    let manager = two_queues(place).start().unwrap();
    let tail = "no such queue is declared, only `default`, `other`: name one of these, or declare \
                it with `Builder::queue`";
    for (act, error) in [
        ("pause", manager.pause("images")),
        ("pause", manager.pause_and_wait("images", PATIENCE)),
        ("resume", manager.resume("images")),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), format!("{act} queue `images`: {tail}"));
        assert!(error.is_undeclared_queue());
    }
    assert!(manager.paused().unwrap().is_empty());
}

pub(crate) fn what_changes_nothing_writes_nothing(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let manager = Manager::builder(store).start().unwrap();
    let commits = || faults.count(Operation::Commit);
    let before = commits();
    manager.resume("default").unwrap();
    assert_eq!(commits(), before);
    manager.pause("default").unwrap();
    assert_eq!(commits(), before + 1);
    manager.pause("default").unwrap();
    assert_eq!(commits(), before + 1);
}

pub(crate) fn a_pause_that_cannot_be_written_reaches_its_caller(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let manager = Manager::builder(store).start().unwrap();
    let full = Fault::next(Operation::Commit).full();
    faults.arm(full.lasting(Lasting::UntilDisarmed));
    let error = manager.pause("default").unwrap_err();
    assert!(error.as_store().unwrap().is_full());
    drop(manager);
    assert!(
        one_worker(place)
            .start()
            .unwrap()
            .paused()
            .unwrap()
            .is_empty()
    );
}

pub(crate) fn pause_and_wait_returns_at_once_where_nothing_runs(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    manager.pause_and_wait("default", Duration::ZERO).unwrap();
    manager.pause_and_wait("default", Duration::ZERO).unwrap();
    assert_eq!(manager.paused().unwrap(), ["default"]);
}

/// An attempt that ends is enough, though its job is to run again.
pub(crate) fn pause_and_wait_returns_with_the_last_end(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let manager = Manager::builder(place.open())
        .queue(Queue::new("default").workers(2))
        .handle::<Work>(move |work, _| {
            inside.enter(&work.label);
            Err(JobError::retry_after(Duration::ZERO, "again"))
        })
        .start()
        .unwrap();
    let receipts = manager
        .enqueue_all([work("a"), work("b"), work("c")])
        .unwrap();
    assert_eq!(door.arrived().len() + door.arrived().len(), 2);
    scope(|scope| {
        let waiting = scope.spawn(|| manager.pause_and_wait("default", PATIENCE));
        while manager.paused().unwrap().is_empty() {
            std::thread::yield_now();
        }
        door.open(1);
        while manager.counts().unwrap().running > 1 {
            std::thread::yield_now();
        }
        assert!(!waiting.is_finished());
        door.open(1);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(manager.counts().unwrap().running, 0);
    let status = |receipt| manager.status(receipt).unwrap();
    assert_eq!(status(&receipts[0]).attempts(), 1);
    assert_eq!(status(&receipts[1]).attempts(), 1);
    assert_eq!(status(&receipts[2]).attempts(), 0);
    assert!(door.is_quiet());
}

pub(crate) fn pause_and_wait_looks_at_its_own_queue_only(place: &dyn Place) {
    let door = Door::new();
    let manager = through(two_queues(place), &door).start().unwrap();
    manager.enqueue(work("a")).unwrap();
    assert_eq!(door.arrived(), "a");
    manager.pause_and_wait("other", PATIENCE).unwrap();
    assert!(manager.pause_and_wait("default", Duration::ZERO).is_err());
    door.open(1);
    manager.pause_and_wait("default", PATIENCE).unwrap();
}

pub(crate) fn pause_and_wait_runs_out_of_patience_and_the_queue_stays_paused(place: &dyn Place) {
    let clock = ManualClock::new();
    let door = Door::new();
    let manager = through(one_worker(place), &door)
        .clock(clock.clone())
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let error = scope(|scope| {
        let waiting = scope.spawn(|| manager.pause_and_wait("default", SECOND));
        while manager.paused().unwrap().is_empty() {
            std::thread::yield_now();
        }
        clock.advance(SECOND);
        waiting.join().unwrap().unwrap_err()
    });
    assert!(error.is_timed_out());
    assert_eq!(
        error.to_string(),
        "wait for queue `default` to rest: 1 of its jobs still ran after 1000 ms: it stays paused, \
         so wait again, or cancel them"
    );
    assert_eq!(manager.paused().unwrap(), ["default"]);
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    manager.pause_and_wait("default", SECOND).unwrap();
}

pub(crate) fn who_waits_for_a_queue_to_rest_learns_of_the_end(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    manager.enqueue(work("a")).unwrap();
    door.arrived();
    let error = scope(|scope| {
        let waiting = scope.spawn(|| manager.pause_and_wait("default", PATIENCE));
        while manager.paused().unwrap().is_empty() {
            std::thread::yield_now();
        }
        manager.shutdown(Duration::ZERO).unwrap();
        waiting.join().unwrap().unwrap_err()
    });
    assert!(error.is_shut_down());
    assert_eq!(
        error.to_string(),
        "wait for queue `default` to rest: the manager has been shut down: start another one on \
         the store"
    );
    door.open(1);
}

pub(crate) fn log_lines_show_while_the_job_runs(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let manager = one_worker(place)
        .handle::<Work>(move |_, ctx| {
            inside.enter("start");
            ctx.log("half");
            ctx.log(format_args!("attempt {}", ctx.attempt()));
            inside.enter("middle");
            if ctx.attempt() == 1 {
                return Err(JobError::retry_after(Duration::ZERO, "again"));
            }
            Ok(String::new())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let log = || manager.status(&receipt).unwrap().log().to_vec();
    assert_eq!(door.arrived(), "start");
    assert!(log().is_empty());
    door.open(1);
    assert_eq!(door.arrived(), "middle");
    assert_eq!(log(), ["half", "attempt 1"]);
    door.open(1);
    assert_eq!(door.arrived(), "start");
    assert!(log().is_empty());
    door.open(1);
    assert_eq!(door.arrived(), "middle");
    assert_eq!(log(), ["half", "attempt 2"]);
    door.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.history()[0].log, ["half", "attempt 2"]);
    assert!(log().is_empty());
}
