//! Famous bugs of other job systems, as they would look in this one. The numbers are those of the table
//! in `tests/README.md`, which names the tests of the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    AttemptEnd, Builder, Health, JobError, Manager, NewJob, ParkReason, Queue, Reason, Receipt,
    Retention, StateKind,
};
use jobkeep_store::Space;
use jobkeep_store::conformance::{Fault, Faults, Lasting, Operation};

use crate::place::{
    Door, HOUR, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};
use crate::restarting::until_nothing_is_stuck;
use crate::retention::settled;
use crate::retrying::until;
use crate::suspecting::{PROBATION, a_turn, kill, two_suspects};
use crate::uniqueness::rows;

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

fn builder(place: &dyn Place, workers: usize) -> (Builder, Faults) {
    let store = place.open();
    let faults = store.faults();
    let queue = Queue::new("default").workers(workers);
    (Manager::builder(store).queue(queue), faults)
}

/// How often each job began, by its label.
#[derive(Clone, Default)]
struct Begun(Arc<Mutex<BTreeMap<String, u32>>>);

impl Begun {
    fn count(&self, builder: Builder) -> Builder {
        let begun = self.clone();
        builder.handle::<Work>(move |work, _| {
            *begun
                .0
                .lock()
                .unwrap()
                .entry(work.label.clone())
                .or_default() += 1;
            Ok(String::new())
        })
    }

    fn of(&self, label: &str) -> u32 {
        self.0.lock().unwrap().get(label).copied().unwrap_or(0)
    }
}

/// A server took jobs off its list before it ran them: a process that died had taken them with it.
pub(crate) fn r01_every_accepted_job_is_there_whichever_commit_was_the_last(place: &dyn Place) {
    let (clock, begun) = (ManualClock::new(), Begun::default());
    for commit in 1..=12 {
        for done in [false, true] {
            let fault = Fault::nth(Operation::Commit, commit).unknown();
            let fault = if done { fault.but_done() } else { fault };
            let label = |n| format!("{commit} {done} {n}");
            let (accepted, cancelled) = accept_until_death(place, (&clock, &begun), fault, label);
            let builder = one_worker(place).clock(clock.clone());
            let manager = begun.count(builder).start().unwrap();
            for receipt in &accepted {
                let done = manager.wait(receipt, PATIENCE).unwrap();
                assert_eq!(done.attempts(), 1);
                let begun = begun.of(&done.job().unwrap().label);
                assert!((1..=1 + done.interruptions()).contains(&begun), "{begun}");
            }
            for receipt in &cancelled {
                let state = manager.status(receipt).unwrap().state();
                assert_eq!(state, StateKind::Cancelled);
            }
            clock.advance(HOUR);
            // What is there though nobody was told that it is accepted ends too.
            let unfinished = || {
                let counts = manager.counts().unwrap();
                assert_eq!((counts.parked, counts.failed), (0, 0));
                counts.ready + counts.scheduled + counts.running
            };
            while unfinished() > 0 {
                std::thread::yield_now();
            }
        }
    }
}

/// Gives the receipts of what was accepted, and of what was cancelled after.
fn accept_until_death(
    place: &dyn Place,
    (clock, begun): (&ManualClock, &Begun),
    fault: Fault,
    label: impl Fn(u32) -> String,
) -> (Vec<Receipt<Work>>, Vec<Receipt<Work>>) {
    let (builder, faults) = builder(place, 1);
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
    let (mut accepted, mut cancelled) = (Vec::new(), Vec::new());
    let Ok(manager) = begun.count(builder.clock(clock.clone())).start() else {
        return (accepted, cancelled);
    };
    accepted.extend(manager.enqueue(work(label(1))));
    let batch = [work(label(2)), work(label(3))];
    accepted.extend(manager.enqueue_all(batch).into_iter().flatten());
    if let Some(first) = accepted.first() {
        // Its end is written, and so is what follows: or the store has failed.
        drop(manager.wait(first, PATIENCE));
    }
    let large = work(label(4) + &"x".repeat(2_000));
    accepted.extend(manager.enqueue(large));
    let later = NewJob::new(work(label(5))).delay(HOUR);
    if let Ok(later) = manager.enqueue(later)
        && manager.cancel(&later).is_ok()
    {
        cancelled.push(later);
    }
    manager.shutdown(Duration::ZERO).unwrap();
    until_nothing_is_stuck(&manager);
    (accepted, cancelled)
}

/// A nightly job ran three times over for a week, because it took longer than "surely dead by now".
pub(crate) fn r02_a_long_job_is_not_started_again_because_of_its_age(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let start = || {
        let builder = builder(place, 2).0.clock(clock.clone());
        through(builder, &door).start().unwrap()
    };
    let nobody_else_comes = |manager: &Manager| {
        let wall = clock.wall();
        for moment in [wall.after(10_000 * HOUR), wall] {
            clock.set_wall(moment);
            clock.advance(10_000 * HOUR);
            a_turn(manager);
            a_turn(manager);
            assert!(door.is_quiet());
        }
    };
    let manager = start();
    let receipt = manager.enqueue(work("long")).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    nobody_else_comes(&manager);
    assert_eq!(manager.counts().unwrap().running, 1);
    // Nor by a manager that comes after, while the thread is at it.
    manager.shutdown(Duration::ZERO).unwrap();
    drop(manager);
    let manager = start();
    nobody_else_comes(&manager);
    door.open(1);
    assert_eq!(door.arrived(), "long");
    door.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 1));
    assert_eq!(done.interruptions(), 1);
}

/// A job whose process was killed was taken for failed, and nobody ran it again.
pub(crate) fn r05_a_killed_job_runs_again_though_it_had_one_attempt(place: &dyn Place) {
    let (builder, faults) = builder(place, 1);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).attempts(1)).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    kill(&manager, &faults);
    door.open(1);
    until_nothing_is_stuck(&manager);
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap(), "a done");
    let ends: Vec<_> = done.history().iter().map(|attempt| &attempt.end).collect();
    let interrupted = AttemptEnd::Interrupted { begun: true };
    assert_eq!(ends, [&AttemptEnd::Succeeded, &interrupted]);
}

/// What was to keep a poisonous job from its neighbours kept the neighbours from running. A suspect waits,
/// and nobody for it; nor does it wait for one that does not end.
pub(crate) fn r06_suspects_hold_nobody_up_behind_a_job_without_end(place: &dyn Place) {
    let receipts = two_suspects(place);
    let (clock, door) = (ManualClock::new(), Door::new());
    let builder = builder(place, 4).0.clock(clock.clone());
    let manager = through(builder, &door).start().unwrap();
    manager.enqueue(work("endless")).unwrap();
    assert_eq!(door.arrived(), "endless");
    clock.advance(PROBATION);
    assert_eq!(door.arrived(), "a");
    manager.enqueue(work("neighbour")).unwrap();
    assert_eq!(door.arrived(), "neighbour");
    a_turn(&manager);
    clock.advance(PROBATION);
    assert_eq!(door.arrived(), "b");
    door.open(4);
    for receipt in &receipts {
        manager.wait(receipt, PATIENCE).unwrap();
    }
}

/// The wrong one was locked away: of two that were there each time, the one that only took long.
pub(crate) fn r06_a_suspect_beside_which_the_poisonous_one_ran_is_not_parked(place: &dyn Place) {
    let receipts = two_suspects(place);
    let clock = ManualClock::new();
    for life in 0..2 {
        let door = Door::new();
        let (builder, faults) = builder(place, 4);
        let manager = through(builder.clock(clock.clone()), &door);
        let manager = manager.start().unwrap();
        if life == 0 {
            clock.advance(PROBATION);
        }
        assert_eq!(door.arrived(), "a");
        a_turn(&manager);
        clock.advance(2 * PROBATION);
        assert_eq!(door.arrived(), "b");
        kill(&manager, &faults);
        door.open(2);
        until_nothing_is_stuck(&manager);
    }
    let manager = succeeding(one_worker(place)).start().unwrap();
    let done = manager.wait(&receipts[0], PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 4));
    let status = manager.status(&receipts[1]).unwrap();
    assert_eq!(status.parked(), Some(&ParkReason::Crashing(4)));
}

/// After a laptop's sleep every node seemed to be dead, by a wall clock that had jumped.
pub(crate) fn r10_a_time_out_does_not_follow_the_wall_clock(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let builder = builder(place, 1).0.clock(clock.clone());
    let manager = through(builder, &door).start().unwrap();
    let job = NewJob::new(work("a")).timeout(LIMIT).attempts(1);
    let receipt = manager.enqueue(job).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    let wall = clock.wall();
    clock.set_wall(wall.after(10_000 * HOUR));
    clock.advance(LIMIT - SECOND);
    a_turn(&manager);
    assert_eq!(manager.stuck(), []);
    // And back: its time is over all the same.
    clock.set_wall(wall);
    clock.advance(SECOND);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap_err().reason(), Reason::TimedOut);
    door.open(1);
}

/// A disk filled up, because nothing was deleted any more: here, behind an end that a clock dated years
/// ahead before it was set right.
pub(crate) fn r11_a_clock_that_was_ahead_keeps_nothing_for_ever(place: &dyn Place) {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let clock = ManualClock::new();
    let start = || {
        let builder = one_worker(place).clock(clock.clone());
        let manager = succeeding(builder).start().unwrap();
        let end = |label: &str| {
            let receipt = manager
                .enqueue(NewJob::new(work(label)).key(label))
                .unwrap();
            manager.wait(&receipt, PATIENCE).unwrap();
        };
        let wall = clock.wall();
        clock.set_wall(wall.after(10_000 * DAY));
        end("ahead");
        end("ahead too");
        clock.set_wall(wall);
        end("right");
        manager
    };
    drop(start());
    let manager = start();
    clock.advance(SECOND);
    assert_eq!(settled(&manager).succeeded, 3);
    clock.advance(7 * DAY - 2 * SECOND);
    assert_eq!(settled(&manager).succeeded, 3);
    clock.advance(SECOND);
    assert_eq!(settled(&manager).succeeded, 0);
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(rows(place, Space::Unique), 0);
    assert_eq!(rows(place, Space::ExpiringKeys), 0);
}

/// Workers gave up after ten tries to write how a job had ended, and it was nobody's from then on.
pub(crate) fn r13_a_time_out_is_recorded_though_the_store_could_not_be_read_once(
    place: &dyn Place,
) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let (builder, faults) = builder(place, 1);
    let manager = through(builder.clock(clock.clone()), &door)
        .start()
        .unwrap();
    let job = NewJob::new(work("a")).timeout(LIMIT).attempts(1);
    let receipt = manager.enqueue(job).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    faults.arm(Fault::next(Operation::Get));
    clock.advance(LIMIT);
    while !faults.is_spent() || manager.counts().unwrap().running > 0 {
        std::thread::yield_now();
    }
    let done = manager.completed(&receipt).unwrap().unwrap();
    assert_eq!(done.output().unwrap_err().reason(), Reason::TimedOut);
    assert_eq!(manager.health(), Health::Working);
    door.open(1);
}

/// Locks of unique jobs outlived their jobs, and new ones were turned away for ever.
pub(crate) fn r14_no_end_of_a_job_leaves_its_key_held(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let start = |label: &'static str| {
        let inside = door.clone();
        builder(place, 1)
            .0
            .clock(clock.clone())
            .retention(Retention::new().at_most(3))
            .handle::<Work>(move |work, ctx| {
                if work.label == label {
                    inside.enter(label);
                }
                match work.label.as_str() {
                    "fail" => Err(JobError::permanent("failed")),
                    "panic" => panic!("as asked"),
                    "give up" => Err(JobError::cancel("given up")),
                    "retry" if ctx.attempt() == 1 => Err(JobError::new("once more")),
                    "snooze" if work.runs == 0 => {
                        work.runs += 1;
                        Err(JobError::snooze(HOUR))
                    }
                    _ => Ok(String::new()),
                }
            })
            .start()
            .unwrap()
    };
    let keyed = |label: &str| {
        let job = NewJob::new(work(label)).key(label).attempts(2);
        job.timeout(LIMIT).backoff(Duration::ZERO, Duration::ZERO)
    };
    let manager = start("hang");
    for label in ["succeed", "fail", "panic", "give up", "retry"] {
        let receipt = manager.enqueue(keyed(label)).unwrap();
        // The job's own second attempt does not meet its own key.
        manager.wait(&receipt, PATIENCE).unwrap();
    }
    let snoozed = manager.enqueue(keyed("snooze")).unwrap();
    until(&manager, &snoozed, StateKind::Scheduled);
    let waiting = manager.enqueue(keyed("wait").delay(HOUR)).unwrap();
    manager.cancel(&waiting).unwrap();
    let removed = manager.enqueue(keyed("remove").delay(HOUR)).unwrap();
    manager.remove(&removed).unwrap();
    let hanging = manager.enqueue(keyed("hang").attempts(1)).unwrap();
    door.arrived();
    clock.advance(LIMIT);
    manager.wait(&hanging, PATIENCE).unwrap();
    door.open(1);
    until_nothing_is_stuck(&manager);
    clock.advance(HOUR);
    manager.wait(&snoozed, PATIENCE).unwrap();
    drop(manager);
    // Cancelled while it runs, and settled by the next opening.
    let manager = start("cancelled");
    let cancelled = manager.enqueue(keyed("cancelled").attempts(1)).unwrap();
    door.arrived();
    manager.cancel(&cancelled).unwrap();
    manager.shutdown(Duration::ZERO).unwrap();
    door.open(1);
    until_nothing_is_stuck(&manager);
    drop(manager);
    let manager = start("");
    clock.advance(24 * HOUR);
    let counts = settled(&manager);
    assert_eq!(counts.succeeded + counts.failed + counts.cancelled, 3);
    drop(manager);
    assert_eq!(rows(place, Space::Unique), 0);
    assert_eq!(rows(place, Space::ExpiringKeys), 0);
}

/// A counter went beyond its maximum, because one statement took effect more often than it said.
pub(crate) fn r22_no_attempt_is_counted_twice_though_its_commit_was_refused(place: &dyn Place) {
    for commit in 1..=6 {
        for fault in [
            Fault::nth(Operation::Commit, commit).full(),
            Fault::nth(Operation::Commit, commit).but_done(),
        ] {
            let clock = ManualClock::new();
            let (builder, faults) = builder(place, 1);
            let manager = builder
                .clock(clock.clone())
                .handle::<Work>(|work, ctx| {
                    work.runs += 1;
                    assert_eq!(ctx.attempt(), work.runs);
                    Err(JobError::retry_after(Duration::ZERO, "failed"))
                })
                .start()
                .unwrap();
            let receipt = manager.enqueue(NewJob::new(work("a")).attempts(3));
            let receipt = receipt.unwrap();
            faults.arm(fault);
            let done = manager.wait(&receipt, PATIENCE).unwrap();
            assert_eq!((done.job().unwrap().runs, done.attempts()), (3, 3));
            let numbers: Vec<_> = done
                .history()
                .iter()
                .map(|attempt| attempt.number)
                .collect();
            assert_eq!(numbers, [3, 2, 1]);
        }
    }
}

/// Jobs went back to their list while a thread could still take them, at every deployment.
pub(crate) fn r23_no_job_runs_twice_because_of_a_shutdown(place: &dyn Place) {
    let begun = Begun::default();
    let manager = begun.count(builder(place, 4).0).start().unwrap();
    let jobs = (0..500).map(|n| work(n.to_string()));
    let receipts = manager.enqueue_all(jobs).unwrap();
    manager.wait(&receipts[20], PATIENCE).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    let manager = begun.count(builder(place, 4).0).start().unwrap();
    assert_eq!(manager.recovery().interrupted, 0);
    for (n, receipt) in receipts.iter().enumerate() {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!((done.attempts(), begun.of(&n.to_string())), (1, 1));
    }
}
