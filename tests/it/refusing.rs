//! A store that refuses a write: nothing accepted is lost, and the manager goes on by itself.

use std::thread::scope;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{Builder, Health, JobError, Manager, NewJob, Priority, Queue, QueueStore, StateKind};
use jobkeep_store::conformance::{Fault, Faults, Lasting, Operation};

use crate::place::{
    Door, HOUR, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};
use crate::retrying::until;

struct Refusing {
    builder: Builder,
    faults: Faults,
    clock: ManualClock,
    location: String,
}

fn refusing(place: &dyn Place) -> Refusing {
    let store = place.open();
    let (faults, location) = (store.faults(), store.identity().unwrap().location);
    let clock = ManualClock::new();
    let builder = Manager::builder(store)
        .queue(Queue::new("default").workers(1))
        .clock(clock.clone());
    Refusing {
        builder,
        faults,
        clock,
        location,
    }
}

fn full(faults: &Faults) {
    let fault = Fault::next(Operation::Commit).full();
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
}

fn is_refusing(manager: &Manager) -> bool {
    matches!(manager.health(), Health::Refusing { .. })
}

/// Returns when the manager has met the full store, by no call of the test's.
fn until_refusing(manager: &Manager) {
    while !is_refusing(manager) {
        std::thread::yield_now();
    }
}

/// Lets the manager try its store again, with success. No pause is longer than half a minute.
fn until_working(manager: &Manager, clock: &ManualClock) {
    clock.advance(30 * SECOND);
    while manager.health() != Health::Working {
        std::thread::yield_now();
    }
}

/// What redb does: nothing of the handle works any more.
pub(crate) fn a_store_that_is_of_no_use_after_a_refused_write_is_opened_again(place: &dyn Place) {
    refused(place, Lasting::UntilReopened);
}

pub(crate) fn a_refused_write_reaches_its_caller_and_the_manager_goes_on(place: &dyn Place) {
    refused(place, Lasting::Once);
}

fn refused(place: &dyn Place, lasting: Lasting) {
    let Refusing {
        builder,
        faults,
        location,
        ..
    } = refusing(place);
    let manager = succeeding(builder).start().unwrap();
    let kept = manager.enqueue(work("kept")).unwrap();
    manager.wait(&kept, PATIENCE).unwrap();
    manager.counts().unwrap();
    faults.arm(Fault::next(Operation::Commit).lasting(lasting));
    let commit = faults.count(Operation::Commit) + 1;
    let before = manager.counts().unwrap();
    let error = manager.enqueue(work("refused")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("enqueue job `work`: write commit {commit} of {location}: a fault was armed")
    );
    assert!(!error.is_unknown());
    assert_eq!(manager.health(), Health::Working);
    assert_eq!(manager.counts().unwrap(), before);
    let next = manager.enqueue(work("next")).unwrap();
    manager.wait(&next, PATIENCE).unwrap();
    assert!(manager.completed(&kept).unwrap().is_some());
}

pub(crate) fn a_group_that_took_effect_all_the_same_is_accepted(place: &dyn Place) {
    let Refusing {
        builder, faults, ..
    } = refusing(place);
    let manager = succeeding(builder).start().unwrap();
    faults.arm(Fault::next(Operation::Commit).but_done());
    let receipt = manager.enqueue(work("a")).unwrap();
    assert_eq!(
        manager
            .wait(&receipt, PATIENCE)
            .unwrap()
            .job()
            .unwrap()
            .runs,
        1
    );
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(one_worker(place).start().unwrap().recovery().waiting, 0);
}

pub(crate) fn the_end_of_a_job_survives_a_refused_write(place: &dyn Place) {
    let Refusing {
        builder, faults, ..
    } = refusing(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let receipt = manager.enqueue(work("x".repeat(2_000))).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    faults.arm(Fault::next(Operation::Commit).full());
    door.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 1));
    assert!(done.output().unwrap().ends_with("x done"));
    assert_eq!(done.interruptions(), 0);
    assert_eq!(manager.counts().unwrap().succeeded, 1);
}

pub(crate) fn an_operator_survives_a_refused_write(place: &dyn Place) {
    let Refusing {
        builder, faults, ..
    } = refusing(place);
    let manager = builder.start().unwrap();
    let receipts = manager.enqueue_all(["a", "b"].map(work)).unwrap();
    faults.arm(Fault::next(Operation::Commit).full());
    manager.cancel(&receipts[0]).unwrap();
    let state = || manager.status(&receipts[0]).unwrap().state();
    assert_eq!(state(), StateKind::Cancelled);
    faults.arm(Fault::next(Operation::Commit).full());
    manager.retry(&receipts[0]).unwrap();
    assert_eq!(state(), StateKind::Parked);
    faults.arm(Fault::next(Operation::Commit).full());
    manager.remove(&receipts[1]).unwrap();
    manager.status(&receipts[1]).unwrap_err();
    assert_eq!(manager.counts().unwrap().parked, 1);
}

pub(crate) fn nothing_new_is_taken_until_a_commit_succeeds(place: &dyn Place) {
    let Refusing {
        builder,
        faults,
        clock,
        location,
    } = refusing(place);
    let manager = builder.start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    full(&faults);
    let commit = faults.count(Operation::Commit) + 1;
    let cause = format!("write commit {commit} of {location}: no space left, as a fault was armed");
    let error = manager.enqueue(work("b")).unwrap_err();
    assert_eq!(error.to_string(), format!("enqueue job `work`: {cause}"));
    let since = clock.wall();
    let refusing = Health::Refusing {
        since,
        cause: cause.clone(),
    };
    assert_eq!(manager.health(), refusing);
    let tried = faults.count(Operation::Commit);
    clock.advance(SECOND / 2);
    // Refused without a try, whoever asks.
    let error = manager.enqueue(work("c")).unwrap_err();
    assert_eq!(error.to_string(), format!("enqueue job `work`: {cause}"));
    let error = manager.cancel(&receipt).unwrap_err();
    assert_eq!(error.to_string(), format!("cancel job 1: {cause}"));
    // What needs no write is answered.
    assert_eq!(manager.status(&receipt).unwrap().state(), StateKind::Parked);
    assert_eq!(manager.counts().unwrap().parked, 1);
    assert_eq!(faults.count(Operation::Commit), tried);
    // The next try fails too, and it has been refusing all along.
    clock.advance(SECOND);
    while faults.count(Operation::Commit) == tried {
        std::thread::yield_now();
    }
    manager.counts().unwrap();
    assert_eq!(manager.health(), refusing);
    faults.disarm();
    until_working(&manager, &clock);
    manager.cancel(&receipt).unwrap();
    manager.enqueue(work("d")).unwrap();
}

pub(crate) fn what_runs_goes_on_and_its_end_is_written_later(place: &dyn Place) {
    let Refusing {
        builder,
        faults,
        clock,
        ..
    } = refusing(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let receipts = manager.enqueue_all(["a", "b"].map(work)).unwrap();
    door.arrived();
    until(&manager, &receipts[0], StateKind::Running);
    full(&faults);
    manager.enqueue(work("refused")).unwrap_err();
    assert!(is_refusing(&manager));
    let state = |n: usize| manager.status(&receipts[n]).unwrap().state();
    assert_eq!(state(0), StateKind::Running);
    door.open(1);
    // No other job begins, and the end is not shown before it is written.
    clock.advance(2 * SECOND);
    assert_eq!(manager.counts().unwrap().succeeded, 0);
    assert!(door.is_quiet());
    faults.disarm();
    until_working(&manager, &clock);
    let done = manager.wait(&receipts[0], PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 0));
    assert_eq!(door.arrived(), "b");
    door.open(1);
    manager.wait(&receipts[1], PATIENCE).unwrap();
}

/// The claim was never handed over: nobody else may have it, and it is not lost.
pub(crate) fn a_job_claimed_by_a_refused_group_is_claimed_again(place: &dyn Place) {
    let Refusing {
        builder,
        faults,
        clock,
        ..
    } = refusing(place);
    let manager = succeeding(builder).start().unwrap();
    let later = NewJob::new(work("later")).delay(SECOND);
    let receipt = manager.enqueue(later).unwrap();
    full(&faults);
    clock.advance(SECOND);
    until_refusing(&manager);
    assert_eq!(manager.status(&receipt).unwrap().state(), StateKind::Ready);
    faults.disarm();
    until_working(&manager, &clock);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.interruptions()), (1, 0));
}

pub(crate) fn the_schedule_is_the_same_after_a_refused_write(place: &dyn Place) {
    let Refusing {
        builder,
        faults,
        clock,
        ..
    } = refusing(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let first = manager.enqueue(work("running")).unwrap();
    door.arrived();
    until(&manager, &first, StateKind::Running);
    let jobs = [
        NewJob::new(work("3")),
        NewJob::new(work("4")).priority(Priority::Low),
        NewJob::new(work("1")).priority(Priority::Urgent),
        NewJob::new(work("2")).priority(Priority::High),
        NewJob::new(work("delayed")).delay(HOUR),
    ];
    manager.enqueue_all(jobs).unwrap();
    let before = manager.counts().unwrap();
    faults.arm(Fault::next(Operation::Commit).full());
    manager.enqueue(work("refused")).unwrap_err();
    assert_eq!(manager.counts().unwrap(), before);
    door.open(5);
    for label in ["1", "2", "3", "4"] {
        assert_eq!(door.arrived(), label);
    }
    clock.advance(HOUR);
    assert_eq!(door.arrived(), "delayed");
    door.open(1);
}

pub(crate) fn a_cancellation_that_was_refused_cancels_nothing(place: &dyn Place) {
    let Refusing {
        builder,
        faults,
        clock,
        ..
    } = refusing(place);
    let door = Door::new();
    let inside = door.clone();
    let manager = builder
        .handle::<Work>(move |work, _| {
            inside.enter(&work.label);
            Err(JobError::retry_after(HOUR, "not yet"))
        })
        .start()
        .unwrap();
    let receipts = ["a", "b"].map(|label| {
        let receipt = manager.enqueue(work(label)).unwrap();
        door.arrived();
        until(&manager, &receipt, StateKind::Running);
        if label == "b" {
            manager.cancel(&receipt).unwrap();
        }
        full(&faults);
        manager.cancel(&receipt).unwrap_err();
        faults.disarm();
        until_working(&manager, &clock);
        door.open(1);
        receipt
    });
    until(&manager, &receipts[0], StateKind::Scheduled);
    // The one before it was accepted.
    until(&manager, &receipts[1], StateKind::Cancelled);
}

pub(crate) fn what_needs_no_write_is_answered_while_the_store_refuses(place: &dyn Place) {
    let Refusing {
        builder, faults, ..
    } = refusing(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let running = manager.enqueue(work("running")).unwrap();
    door.arrived();
    until(&manager, &running, StateKind::Running);
    let waiting = manager.enqueue(work("waiting")).unwrap();
    full(&faults);
    manager.pause("default").unwrap_err();
    assert!(is_refusing(&manager));
    assert_eq!(manager.paused().unwrap(), Vec::<String>::new());
    for (state, receipt) in [(StateKind::Running, &running), (StateKind::Ready, &waiting)] {
        let page = manager.jobs(state, None, 10).unwrap();
        let numbers: Vec<_> = page.jobs().iter().map(jobkeep::ListedJob::number).collect();
        assert_eq!(numbers, [receipt.number()]);
        assert_eq!(manager.status(receipt).unwrap().state(), state);
    }
    assert!(manager.completed(&waiting).unwrap().is_none());
    faults.disarm();
    door.open(2);
}

pub(crate) fn a_shutdown_writes_what_was_kept_as_soon_as_it_can(place: &dyn Place) {
    let Refusing {
        builder,
        faults,
        clock,
        ..
    } = refusing(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    full(&faults);
    door.open(1);
    until_refusing(&manager);
    faults.disarm();
    // No clock has to move for it.
    let shutdown = manager.shutdown(PATIENCE).unwrap();
    assert_eq!((shutdown.finished, shutdown.unrecorded), (1, vec![]));
    // By another clock the job may have ended so long ago that it is not kept.
    let manager = one_worker(place).clock(clock).start().unwrap();
    assert!(manager.completed(&receipt).unwrap().is_some());
}

pub(crate) fn a_shutdown_stops_trying_at_the_end_of_its_grace(place: &dyn Place) {
    let Refusing {
        builder,
        faults,
        clock,
        ..
    } = refusing(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    full(&faults);
    door.open(1);
    until_refusing(&manager);
    let shutdown = scope(|scope| {
        let ending = scope.spawn(|| manager.shutdown(HOUR).unwrap());
        // The grace begins at some moment of these.
        while !ending.is_finished() {
            clock.advance(HOUR);
            std::thread::yield_now();
        }
        ending.join().unwrap()
    });
    assert_eq!(shutdown.unrecorded, [receipt.number()]);
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 1));
}

pub(crate) fn a_store_that_is_damaged_when_it_is_opened_again_stops_the_manager(place: &dyn Place) {
    for is_full in [true, false] {
        let Refusing {
            builder,
            faults,
            location,
            ..
        } = refusing(place);
        let manager = builder.start().unwrap();
        let receipt = manager.enqueue(work("a")).unwrap();
        let commit = Fault::next(Operation::Commit);
        faults.arm(if is_full { commit.full() } else { commit });
        faults.arm(Fault::next(Operation::Reopen).damaged());
        let error = manager.enqueue(work("b")).unwrap_err();
        let cause = if is_full {
            "no space left, as a fault was armed"
        } else {
            "a fault was armed"
        };
        let text =
            format!("of {location}: {cause}; then reopen the store: damaged, as a fault was armed");
        assert!(error.to_string().ends_with(&text), "{error}");
        // Nothing is there of a commit that found no room; of any other nobody knows.
        assert_eq!(error.is_unknown(), !is_full);
        assert!(
            matches!(manager.health(), Health::Poisoned { cause, .. } if cause.ends_with(&text))
        );
        manager.shutdown(PATIENCE).unwrap();
        let error = manager.wait(&receipt, PATIENCE).unwrap_err();
        assert!(error.to_string().ends_with(&text), "{error}");
    }
}

/// No descriptor, no permission, no room for a repair: what keeps a store from being opened may pass.
pub(crate) fn a_store_that_cannot_be_opened_again_is_tried_until_it_can(place: &dyn Place) {
    for fault in [
        Fault::next(Operation::Reopen),
        Fault::next(Operation::Reopen).full(),
    ] {
        for is_full in [true, false] {
            opened_again_later(place, fault, is_full);
        }
    }
}

fn opened_again_later(place: &dyn Place, fault: Fault, is_full: bool) {
    let Refusing {
        builder,
        faults,
        clock,
        location,
    } = refusing(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    // The second is at hand for the worker, and its payload has to be read.
    let receipts = ["running".into(), "x".repeat(2_000)].map(|label| {
        let receipt = manager.enqueue(work(label)).unwrap();
        manager.counts().unwrap();
        receipt
    });
    door.arrived();
    until(&manager, &receipts[0], StateKind::Running);
    let commit = Fault::next(Operation::Commit);
    faults.arm(if is_full { commit.full() } else { commit });
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
    let error = manager.enqueue(work("refused")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("; then reopen the store: "), "{text}");
    assert_eq!(text.matches(&location).count(), 1, "{text}");
    assert_eq!(error.as_store().unwrap().is_full(), is_full);
    assert_eq!(error.is_unknown(), !is_full);
    assert!(is_refusing(&manager));
    // What was not tried is not unknown, whoever asks.
    for error in [
        manager.enqueue(work("refused")).unwrap_err(),
        manager.cancel(&receipts[1]).unwrap_err(),
        manager.counts().unwrap_err(),
        manager.completed(&receipts[1]).unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("; then reopen the store: "),
            "{error}"
        );
        assert!(!error.is_unknown() && !error.is_shut_down(), "{error}");
    }
    door.open(1);
    let tried = faults.count(Operation::Reopen);
    clock.advance(SECOND);
    while faults.count(Operation::Reopen) == tried {
        std::thread::yield_now();
    }
    // With its answer the next try has its time, so that the clock does not move before.
    manager.counts().unwrap_err();
    assert!(is_refusing(&manager));
    faults.disarm();
    until_working(&manager, &clock);
    door.open(1);
    for receipt in &receipts {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!((done.attempts(), done.interruptions()), (1, 0));
    }
    let report = manager.shutdown(PATIENCE).unwrap();
    assert_eq!((report.unrecorded, report.still_running), (vec![], vec![]));
}

/// Its end was written to the group of which nobody knows what became.
pub(crate) fn an_end_in_a_group_that_cannot_be_looked_at_is_written_later(place: &dyn Place) {
    let Refusing {
        builder,
        faults,
        clock,
        ..
    } = refusing(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let receipt = manager.enqueue(work("x".repeat(2_000))).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    for took_effect in [false, true] {
        let fault = Fault::next(Operation::Commit);
        faults.arm(if took_effect { fault.but_done() } else { fault });
        faults.arm(Fault::next(Operation::Reopen));
        if took_effect {
            manager
                .enqueue(work("told that it is unknown"))
                .unwrap_err();
        } else {
            door.open(1);
        }
        until_refusing(&manager);
        until_working(&manager, &clock);
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!((done.attempts(), done.interruptions()), (1, 0));
        assert!(done.output().unwrap().ends_with("x done"));
    }
    door.open(1);
}

pub(crate) fn a_key_that_cannot_be_read_once_is_read_again(place: &dyn Place) {
    let Refusing {
        builder,
        faults,
        clock,
        ..
    } = refusing(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let keyed = || NewJob::new(work("a")).key("k");
    let receipt = manager.enqueue(keyed()).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    let read = faults.count(Operation::Get);
    faults.arm(Fault::next(Operation::Get));
    door.open(1);
    // By nobody but the committer.
    while faults.count(Operation::Get) == read {
        std::thread::yield_now();
    }
    manager.wait(&receipt, PATIENCE).unwrap();
    // Its end was noted, so that it is let go in its time.
    assert_eq!(manager.enqueue(keyed()).unwrap(), receipt);
    clock.advance(25 * HOUR);
    let next = manager.enqueue(keyed()).unwrap();
    assert_ne!(next, receipt);
    door.open(1);
    manager.wait(&next, PATIENCE).unwrap();
}

/// As where the store is just being opened anew.
pub(crate) fn a_job_that_cannot_be_read_once_is_read_again(place: &dyn Place) {
    let clock = ManualClock::new();
    // What an earlier opening accepted has to be read.
    let receipt = {
        let manager = one_worker(place).clock(clock.clone()).start().unwrap();
        let later = NewJob::new(work("a")).delay(HOUR);
        manager.enqueue(later).unwrap()
    };
    let store = place.open();
    let faults = store.faults();
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let manager = succeeding(builder).clock(clock.clone()).start().unwrap();
    let read = faults.count(Operation::Get);
    faults.arm(Fault::next(Operation::Get));
    clock.advance(HOUR);
    // By its worker.
    while faults.count(Operation::Get) == read {
        std::thread::yield_now();
    }
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.history().len()), (1, 1));
}

pub(crate) fn a_retry_whose_write_was_refused_comes_once(place: &dyn Place) {
    let Refusing {
        builder,
        faults,
        clock,
        ..
    } = refusing(place);
    let manager = builder
        .handle::<Work>(|work, _| {
            work.runs += 1;
            match work.runs {
                1 => Err(JobError::retry_after(SECOND, "not yet")),
                _ => Ok(String::new()),
            }
        })
        .start()
        .unwrap();
    // Its acceptance and its claim are written; its retry is not.
    faults.arm(Fault::nth(Operation::Commit, 2).full());
    let receipt = manager.enqueue(work("a")).unwrap();
    until(&manager, &receipt, StateKind::Scheduled);
    assert_eq!(manager.counts().unwrap().scheduled, 1);
    clock.advance(SECOND);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (2, 2));
    assert_eq!(manager.shutdown(Duration::ZERO).unwrap().unrecorded, []);
}
