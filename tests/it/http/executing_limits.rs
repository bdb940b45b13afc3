//! Pushed jobs that snooze, overrun, are cancelled, and meet with hosts that are full or end.
//!
//! Both hosts have clocks that move when told: what is refused here is sent again no sooner, and what
//! overruns there does so exactly.

use std::net::TcpStream;
use std::thread::{scope, yield_now};

use jobkeep::testing::ManualClock;
use jobkeep::{AttemptEnd, Builder, JobError, Manager, MemoryStore, Reason, Receipt, Status};
use jobkeep::{NewJob, StateKind, Timestamp};
use serde_json::{Value, json};

use super::executing::{call, default, execute, pusher, serving, to};
use super::wire::{Answer, Told};
use crate::place::{Door, HOUR, PATIENCE, SECOND, Work, through, work};
use crate::pushing::{LIMIT, MINUTE, due_in, ends, limited, waits};
use crate::restarting::until_nothing_is_stuck;

/// A host that pushes its jobs to another.
struct Pair {
    manager: Manager,
    here: ManualClock,
    host: Manager,
    there: ManualClock,
    told: Told,
}

/// The other host has so many executors, and runs jobs like this.
fn pair(executors: usize, handle: impl FnOnce(Builder) -> Builder) -> Pair {
    let (here, there) = (ManualClock::new(), ManualClock::new());
    let builder = handle(Manager::builder(MemoryStore::new()));
    let (host, told) = serving(builder.executors(executors).clock(there.clone()));
    let builder = pusher(default().push_to(to(&told))).clock(here.clone());
    Pair {
        manager: builder.start().unwrap(),
        here,
        host,
        there,
        told,
    }
}

/// Jobs named `slow` go through the door, others run at once.
fn slow_ones_through(door: &Door) -> impl FnOnce(Builder) -> Builder {
    let door = door.clone();
    |builder| {
        builder.handle::<Work>(move |work, _| {
            if work.label == "slow" {
                door.enter("slow");
            }
            work.runs += 1;
            Ok(format!("{} done", work.label))
        })
    }
}

/// Waits until the job has been refused, and says why as well.
fn refused(manager: &Manager, receipt: &Receipt<Work>) -> (Status, String) {
    loop {
        let status = manager.status(receipt).unwrap();
        if status.state() == StateKind::Scheduled
            && let Some(AttemptEnd::NotStarted(why)) = ends(&status).first()
        {
            return (status, why.clone());
        }
        yield_now();
    }
}

/// Waits until it has been refused once more, and is due later.
fn refused_again(manager: &Manager, receipt: &Receipt<Work>, before: Option<Timestamp>) -> Status {
    loop {
        let (status, _) = refused(manager, receipt);
        if status.due() > before {
            return status;
        }
        yield_now();
    }
}

/// A call that no queue makes.
fn own(store: &str, label: &str) -> Value {
    call(store, 1, "work", &json!({"label": label, "runs": 0}))
}

/// A refusal for now, which says when to try again.
fn not_now(answer: &Answer, code: &str) {
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!(code)));
    assert_eq!(answer.body["retry_after"], 1);
    assert!(answer.head.contains("\r\nretry-after: 1\r\n"));
}

#[test]
fn a_job_that_snoozes_there_is_put_off_here_by_as_much_and_spends_no_attempt() {
    let pair = pair(1, |builder| {
        builder.handle::<Work>(|work, ctx| {
            work.runs += 1;
            match work.runs {
                1 => Err(JobError::snooze(HOUR)),
                _ => Ok(format!("attempt {}", ctx.attempt())),
            }
        })
    });
    let receipt = pair.manager.enqueue(limited("a").attempts(1)).unwrap();
    let status = waits(&pair.manager, &receipt);
    assert_eq!((status.attempts(), due_in(&status, &pair.here)), (0, HOUR));
    assert_eq!(ends(&status), [AttemptEnd::Snoozed(status.due().unwrap())]);
    // The time of the host that ran it counts for nothing.
    pair.there.advance(2 * HOUR);
    pair.here.advance(HOUR - SECOND);
    pair.manager.counts().unwrap();
    let state = pair.manager.status(&receipt).unwrap().state();
    assert_eq!(state, StateKind::Scheduled);
    pair.here.advance(SECOND);
    let done = pair.manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.job().unwrap().runs), (1, 2));
    assert_eq!(done.into_output().unwrap(), "attempt 1");
}

#[test]
fn a_job_that_overruns_there_is_refused_alone_until_its_thread_has_returned() {
    let door = Door::new();
    let pair = pair(2, slow_ones_through(&door));
    let slow = pair.manager.enqueue(limited("slow").attempts(2)).unwrap();
    door.arrived();
    pair.there.advance(LIMIT);
    let (status, why) = refused(&pair.manager, &slow);
    assert_eq!(why, "refused with 409 (busy): the job still runs there");
    // More refusals than the answer makes up for, if they counted against the queue.
    let mut due = status.due();
    for _ in 0..5 {
        pair.here.advance(MINUTE);
        let again = refused_again(&pair.manager, &slow, due);
        assert_eq!(again.attempts(), 1);
        assert_eq!(
            ends(&again),
            [
                AttemptEnd::NotStarted(why.clone()),
                AttemptEnd::TimedOut(30_000)
            ]
        );
        due = again.due();
    }
    // A queue that rested would send nothing, as time stands still here.
    let quick = pair.manager.enqueue(work("quick")).unwrap();
    let done = pair.manager.wait(&quick, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.history().len()), (1, 1));
    assert!(door.is_quiet());
    door.open(1);
    until_nothing_is_stuck(&pair.manager);
    pair.here.advance(MINUTE);
    door.arrived();
    door.open(1);
    let done = pair.manager.wait(&slow, PATIENCE).unwrap();
    // What the first run left is lost.
    assert_eq!((done.attempts(), done.job().unwrap().runs), (2, 1));
    assert_eq!(done.into_output().unwrap(), "slow done");
}

#[test]
fn a_call_is_answered_at_its_deadline_and_its_job_is_busy_afterwards() {
    const STORE: &str = "6578656375746564206c617465206f6e";
    let door = Door::new();
    let pair = pair(2, slow_ones_through(&door));
    let slow = own(STORE, "slow");
    let busy = || {
        let answer = execute(&pair.told, &slow);
        assert_eq!((answer.status, &answer.body["code"]), (409, &json!("busy")));
        assert!(!answer.head.contains("retry-after"));
    };
    scope(|scope| {
        let first = scope.spawn(|| execute(&pair.told, &slow));
        door.arrived();
        pair.there.advance(LIMIT - SECOND);
        busy();
        assert!(!first.is_finished());
        pair.there.advance(SECOND);
        let first = first.join().unwrap();
        let timed_out = json!({"end": {"kind": "timed_out", "after_ms": 30_000}});
        assert_eq!((first.status, first.body), (200, timed_out));
    });
    busy();
    // The same number of another store is another job.
    let other = own("6578656375746564206d65616e74696d", "quick");
    assert_eq!(execute(&pair.told, &other).status, 200);
    assert!(door.is_quiet());
    door.open(2);
    let answer = loop {
        let answer = execute(&pair.told, &slow);
        if answer.status != 409 {
            break answer;
        }
    };
    assert_eq!(answer.body["output"], "slow done");
}

#[test]
fn a_full_host_refuses_before_anything_starts_and_takes_the_job_when_it_has_room() {
    const STORE: &str = "746f6f206d616e7920666f72206f6e65";
    let door = Door::new();
    let pair = pair(2, |builder| through(builder, &door));
    let receipts = pair.manager.enqueue_all(["a", "b"].map(work)).unwrap();
    for _ in &receipts {
        door.arrived();
    }
    not_now(&execute(&pair.told, &own(STORE, "own")), "full");
    let third = pair.manager.enqueue(limited("c").attempts(1)).unwrap();
    let (status, why) = refused(&pair.manager, &third);
    assert_eq!(
        why,
        "refused with 503 (full): every executor of the host has a job"
    );
    // The host said when, and that is longer than the first wait.
    assert_eq!(
        (status.attempts(), due_in(&status, &pair.here)),
        (0, SECOND)
    );
    assert!(door.is_quiet());
    door.open(2);
    for receipt in &receipts {
        pair.manager.wait(receipt, PATIENCE).unwrap();
    }
    assert!(door.is_quiet());
    pair.here.advance(SECOND);
    assert_eq!(door.arrived(), "c");
    door.open(1);
    let done = pair.manager.wait(&third, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.job().unwrap().runs), (1, 1));
    door.open(1);
    assert_eq!(execute(&pair.told, &own(STORE, "own")).status, 200);
}

#[test]
fn a_host_without_executors_says_so_and_the_queue_rests() {
    let pair = pair(0, |builder| through(builder, &Door::new()));
    let mut strange = own("6e6f7420686572652c206e6f74206e6f", "own");
    not_now(&execute(&pair.told, &strange), "no_executors");
    strange["name"] = json!("strange");
    not_now(&execute(&pair.told, &strange), "no_executors");
    let first = pair.manager.enqueue(limited("a")).unwrap();
    let (status, why) = refused(&pair.manager, &first);
    assert_eq!(
        why,
        "refused with 503 (no_executors): the host has no executors, and runs jobs of its own only"
    );
    assert_eq!(status.attempts(), 0);
    let next = pair.manager.enqueue(limited("b")).unwrap();
    pair.manager.counts().unwrap();
    let status = pair.manager.status(&next).unwrap();
    assert_eq!(
        (status.state(), status.history().len()),
        (StateKind::Ready, 0)
    );
    pair.here.advance(MINUTE);
    refused(&pair.manager, &next);
}

#[test]
fn a_request_to_cancel_a_pushed_job_is_kept_and_does_not_reach_it() {
    let door = Door::new();
    let inside = door.clone();
    let pair = pair(1, |builder| {
        builder.handle::<Work>(move |work, ctx| {
            inside.enter(&work.label);
            match work.label.as_str() {
                "fails" => Err(JobError::new("stopped half-way")),
                _ => Ok(format!("cancelled: {}", ctx.is_cancelled())),
            }
        })
    });
    let cancelled = |label: &str| {
        let receipt = pair.manager.enqueue(limited(label)).unwrap();
        assert_eq!(door.arrived(), label);
        pair.manager.cancel(&receipt).unwrap();
        let status = pair.manager.status(&receipt).unwrap();
        assert!(status.is_cancel_requested());
        assert_eq!(status.state(), StateKind::Running);
        door.open(1);
        let done = pair.manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!((done.attempts(), done.history().len()), (1, 1));
        done.into_output()
    };
    assert_eq!(cancelled("succeeds").unwrap(), "cancelled: false");
    let failure = cancelled("fails").unwrap_err();
    assert_eq!(
        (failure.reason(), failure.message()),
        (Reason::Cancelled, "stopped half-way")
    );
}

#[test]
fn a_host_that_ends_answers_what_it_runs_and_takes_nothing_new() {
    const STORE: &str = "746865206c617374206f6e6573206865";
    let door = Door::new();
    let pair = pair(2, slow_ones_through(&door));
    let slow = pair.manager.enqueue(limited("slow")).unwrap();
    door.arrived();
    scope(|scope| {
        let ending = scope.spawn(|| pair.host.shutdown(HOUR).unwrap());
        let answer = loop {
            let answer = execute(&pair.told, &own(STORE, "quick"));
            if answer.status != 200 {
                break answer;
            }
        };
        not_now(&answer, "shutting_down");
        let late = pair.manager.enqueue(limited("late")).unwrap();
        let (status, why) = refused(&pair.manager, &late);
        assert_eq!(why, "refused with 503 (shutting_down): the host shuts down");
        assert_eq!(status.attempts(), 0);
        assert!(!ending.is_finished());
        door.open(1);
        ending.join().unwrap();
    });
    let done = pair.manager.wait(&slow, PATIENCE).unwrap();
    assert_eq!(done.attempts(), 1);
    assert_eq!(done.into_output().unwrap(), "slow done");
}

#[test]
fn a_server_that_ends_lets_nobody_in_and_answers_what_it_has() {
    let door = Door::new();
    let pair = pair(2, slow_ones_through(&door));
    let slow = pair.manager.enqueue(limited("slow")).unwrap();
    door.arrived();
    let address = pair.told.serving.address();
    scope(|scope| {
        let ending = scope.spawn(|| pair.told.serving.shutdown(PATIENCE).unwrap());
        while TcpStream::connect(address).is_ok() {
            yield_now();
        }
        let late = pair.manager.enqueue(limited("late")).unwrap();
        let (status, _) = refused(&pair.manager, &late);
        assert_eq!(status.attempts(), 0);
        assert!(!ending.is_finished());
        door.open(1);
        let done = pair.manager.wait(&slow, PATIENCE).unwrap();
        assert_eq!(done.attempts(), 1);
        assert_eq!(done.into_output().unwrap(), "slow done");
        ending.join().unwrap();
    });
    let error = pair.host.enqueue(NewJob::new(work("own"))).unwrap_err();
    assert!(error.is_shut_down());
}

#[test]
fn a_server_that_ends_starts_no_job_of_its_own_while_it_answers_what_it_has() {
    let door = Door::new();
    let pair = pair(2, slow_ones_through(&door));
    pair.manager.enqueue(limited("slow")).unwrap();
    door.arrived();
    let address = pair.told.serving.address();
    let report = scope(|scope| {
        let ending = scope.spawn(|| pair.told.serving.shutdown(PATIENCE).unwrap());
        while TcpStream::connect(address).is_ok() {
            yield_now();
        }
        // Those that began now would have what is left of the grace, which may be nothing.
        let late = pair.host.enqueue(NewJob::new(work("late"))).unwrap();
        for _ in 0..3 {
            let state = pair.host.status(&late).unwrap().state();
            assert_eq!(state, StateKind::Ready);
        }
        door.open(1);
        ending.join().unwrap()
    });
    assert_eq!((report.finished, report.handed_back), (0, 1));
}
