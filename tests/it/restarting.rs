use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, UNIX_EPOCH};

use jobkeep::testing::ManualClock;
use jobkeep::{AttemptEnd, JobError, Manager, NewJob, Priority, Reason, Receipt, StateKind};

use crate::place::{
    Door, HOUR, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};
use crate::retrying::until;

/// Ends with the last thread of a manager: its handler goes with it.
struct OldThread(Receiver<()>);

impl OldThread {
    fn wait(&self) {
        let ended = self.0.recv_timeout(PATIENCE);
        assert_eq!(ended, Err(RecvTimeoutError::Disconnected));
    }
}

/// Leaves a job in flight and one waiting, as a process that dies does, and gives their receipts.
/// The old thread still stands at the door.
fn leave_in_flight(place: &dyn Place, door: &Door) -> ([Receipt<Work>; 2], OldThread) {
    let ((alive, gone), inside) = (channel(), door.clone());
    let manager = one_worker(place)
        .handle::<Work>(move |work, _| {
            let _ = &alive;
            inside.enter(&work.label);
            work.runs = 100;
            Ok("too late".into())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    // The commit that says that a worker has the job.
    until(&manager, &receipt, StateKind::Running);
    let waiting = manager.enqueue(work("b")).unwrap();
    let report = manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(report.still_running.len(), 1);
    ([receipt, waiting], OldThread(gone))
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
    let ([receipt, waiting], old_thread) = leave_in_flight(place, &door);
    door.open(1);
    old_thread.wait();
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(
        (manager.recovery().waiting, manager.recovery().interrupted),
        (2, 1)
    );
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(
        (
            done.attempts(),
            done.interruptions(),
            done.job().unwrap().runs
        ),
        (1, 1, 1)
    );
    assert_eq!(
        ends(done.history()),
        [
            AttemptEnd::Succeeded,
            AttemptEnd::Interrupted { begun: true }
        ]
    );
    let waited = manager.wait(&waiting, PATIENCE).unwrap();
    assert_eq!((waited.attempts(), waited.interruptions()), (1, 0));
}

pub(crate) fn the_late_end_of_an_older_opening_changes_nothing(place: &dyn Place) {
    let door = Door::new();
    let ([receipt, _], old_thread) = leave_in_flight(place, &door);
    let inside = Door::new();
    let manager = through(one_worker(place), &inside).start().unwrap();
    // The job waits for its old thread, and lets the other one before it.
    assert_eq!(inside.arrived(), "b");
    door.open(1);
    old_thread.wait();
    inside.open(1);
    // The job is in flight again, under another token.
    assert_eq!(inside.arrived(), "a");
    let status = until(&manager, &receipt, StateKind::Running);
    assert_eq!((status.attempts(), status.history().len()), (0, 1));
    inside.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 1));
    assert_eq!(done.into_output().unwrap(), "a done");
}

pub(crate) fn interruptions_add_up_and_spend_no_attempt(place: &dyn Place) {
    let (doors, receipt) = ([Door::new(), Door::new(), Door::new()], &mut None);
    for door in &doors {
        let manager = through(one_worker(place), door).start().unwrap();
        let receipt = receipt.get_or_insert_with(|| {
            let once = NewJob::new(work("a")).attempts(1);
            manager.enqueue(once).unwrap()
        });
        door.arrived();
        until(&manager, receipt, StateKind::Running);
        manager.shutdown(Duration::ZERO).unwrap();
        door.open(1);
    }
    let manager = succeeding(one_worker(place)).start().unwrap();
    let done = manager.wait(&receipt.take().unwrap(), PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 3));
    let interrupted = AttemptEnd::Interrupted { begun: true };
    assert_eq!(
        ends(done.history()),
        [
            AttemptEnd::Succeeded,
            interrupted.clone(),
            interrupted.clone(),
            interrupted
        ]
    );
}

/// Returns when no thread of an ended manager has a job any more.
pub(crate) fn until_nothing_is_stuck(manager: &Manager) {
    while !manager.stuck().is_empty() {
        std::thread::yield_now();
    }
}

fn ends(history: &[jobkeep::Attempt]) -> Vec<AttemptEnd> {
    history.iter().map(|attempt| attempt.end.clone()).collect()
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
    assert_eq!(after.job().unwrap(), before.job().unwrap());
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

/// Fills a queue with jobs that came to be ready in every way, behind one that holds the only worker.
fn fill(place: &dyn Place, clock: &ManualClock, door: &Door) -> Manager {
    let manager = guarded(place, clock, door);
    let begin = clock.wall();
    let snoozed = manager.enqueue(work("snoozed 60")).unwrap();
    let retried = manager.enqueue(work("retried 120")).unwrap();
    door.open(2);
    for (receipt, label) in [(&snoozed, "snoozed 60"), (&retried, "retried 120")] {
        assert_eq!(door.arrived(), label);
        until(&manager, receipt, StateKind::Scheduled);
    }
    manager.enqueue(work("holder")).unwrap();
    assert_eq!(door.arrived(), "holder");
    let enqueue = |label, change: &dyn Fn(NewJob<Work>) -> NewJob<Work>| {
        manager.enqueue(change(NewJob::new(work(label)))).unwrap();
    };
    enqueue("delayed 90", &|job| job.delay(90 * MINUTE));
    enqueue("moment 100", &|job| {
        let due = UNIX_EPOCH + Duration::from_millis(begin.after(100 * MINUTE).0);
        job.run_at(due)
    });
    enqueue("ready 0", &|job| job);
    enqueue("urgent 30", &|job| {
        job.priority(Priority::Urgent).delay(30 * MINUTE)
    });
    enqueue("low 0", &|job| job.priority(Priority::Low));
    clock.advance(45 * MINUTE);
    enqueue("ready 45", &|job| job);
    enqueue("high 45", &|job| job.priority(Priority::High));
    clock.advance(180 * MINUTE);
    enqueue("ready 225", &|job| job);
    manager
}

const MINUTE: Duration = Duration::from_secs(60);

const ORDER: [&str; 10] = [
    "urgent 30",
    "high 45",
    "ready 0",
    "ready 45",
    "snoozed 60",
    "delayed 90",
    "moment 100",
    "retried 120",
    "ready 225",
    "low 0",
];

fn guarded(place: &dyn Place, clock: &ManualClock, door: &Door) -> Manager {
    let inside = door.clone();
    one_worker(place)
        .handle::<Work>(move |work, _| {
            inside.enter(&work.label);
            work.runs += 1;
            match (work.label.as_str(), work.runs) {
                ("snoozed 60", 1) => Err(JobError::snooze(HOUR)),
                ("retried 120", 1) => Err(JobError::retry_after(2 * HOUR, "busy")),
                _ => Ok(String::new()),
            }
        })
        .clock(clock.clone())
        .start()
        .unwrap()
}

pub(crate) fn jobs_of_every_past_run_in_one_order(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let _manager = fill(place, &clock, &door);
    door.open(ORDER.len() + 1);
    assert_eq!(ORDER.map(|_| door.arrived()), ORDER);
}

pub(crate) fn the_order_is_the_same_after_a_restart(place: &dyn Place) {
    let (clock, old_door) = (ManualClock::new(), Door::new());
    let manager = fill(place, &clock, &old_door);
    manager.shutdown(Duration::ZERO).unwrap();
    old_door.open(1);
    until_nothing_is_stuck(&manager);
    clock.advance(SECOND);
    let door = Door::new();
    let _manager = guarded(place, &clock, &door);
    door.open(ORDER.len() + 1);
    let order: Vec<_> = (0..=ORDER.len()).map(|_| door.arrived()).collect();
    // The one that was interrupted keeps its place, before those that came after it.
    let [urgent, high, rest @ ..] = ORDER;
    let expected: Vec<_> = [urgent, high, "holder"].into_iter().chain(rest).collect();
    assert_eq!(order, expected);
}

pub(crate) fn a_clock_set_back_between_two_processes_keeps_the_order(place: &dyn Place) {
    let (later, earlier) = (ManualClock::new(), ManualClock::new());
    later.advance(10 * HOUR);
    let builder = succeeding(one_worker(place)).clock(later.clone());
    let manager = builder.start().unwrap();
    let finished = manager.enqueue(work("2")).unwrap();
    manager.wait(&finished, PATIENCE).unwrap();
    drop(manager);
    let manager = one_worker(place).clock(later).start().unwrap();
    manager.enqueue_all([work("0"), work("1")]).unwrap();
    drop(manager);
    let door = Door::new();
    let builder = through(one_worker(place), &door).clock(earlier);
    let manager = builder.start().unwrap();
    assert_eq!(door.arrived(), "0");
    // One is run again and one is new: both stand behind the one that waited.
    manager.retry(&finished).unwrap();
    manager.enqueue(work("3")).unwrap();
    door.open(4);
    assert_eq!([(); 3].map(|()| door.arrived()), ["1", "2", "3"]);
}

pub(crate) fn jobs_that_are_not_ready_keep_their_state(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = one_worker(place).clock(clock.clone()).start().unwrap();
    let later = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    let due = Some(clock.wall().after(HOUR));
    let parked = manager.enqueue(work("b")).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    let builder = succeeding(one_worker(place)).clock(clock);
    let manager = builder.start().unwrap();
    let status = manager.status(&later).unwrap();
    assert_eq!((status.state(), status.due()), (StateKind::Scheduled, due));
    manager.wait(&parked, PATIENCE).unwrap();
}
