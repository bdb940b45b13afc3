//! Jobs that run longer than they may, and threads that do not return.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    AttemptEnd, Builder, Job, Manager, NewJob, Observer, Policy, Queue, Reason, Receipt, StateKind,
    Stuck, event,
};
use jobkeep_store::conformance::{Fault, Operation};
use serde::{Deserialize, Serialize};

use crate::place::{Door, HOUR, Other, PATIENCE, Place, SECOND, Work, through, work};
use crate::restarting::until_nothing_is_stuck;
use crate::retrying::until;

const LIMIT: Duration = Duration::from_secs(30);

fn limited(label: &str) -> NewJob<Work> {
    let job = NewJob::new(work(label)).timeout(LIMIT);
    job.backoff(Duration::ZERO, Duration::ZERO)
}

fn builder(place: &dyn Place, workers: usize, clock: &ManualClock) -> Builder {
    Manager::builder(place.open())
        .queue(Queue::new("default").workers(workers))
        .clock(clock.clone())
}

fn only_stuck(manager: &Manager) -> Stuck {
    let [stuck] = manager.stuck().try_into().unwrap();
    stuck
}

fn until_stuck(manager: &Manager) -> Stuck {
    while manager.stuck().is_empty() {
        std::thread::yield_now();
    }
    only_stuck(manager)
}

fn state(manager: &Manager, receipt: &Receipt<Work>) -> StateKind {
    manager.status(receipt).unwrap().state()
}

pub(crate) fn a_job_that_outlasts_its_time_out_fails_and_its_late_end_counts_for_nothing(
    place: &dyn Place,
) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(builder(place, 1, &clock), &door).start().unwrap();
    let receipt = manager.enqueue(limited("a").attempts(1)).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    let began = clock.wall();
    clock.advance(LIMIT - SECOND);
    assert_eq!(state(&manager, &receipt), StateKind::Running);
    clock.advance(SECOND);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let failure = done.output().unwrap_err();
    assert_eq!(failure.reason(), Reason::TimedOut);
    assert_eq!(
        failure.message(),
        "ran longer than its time-out of 30000 ms"
    );
    let [attempt] = done.history() else {
        panic!("{:?}", done.history());
    };
    assert_eq!(attempt.end, AttemptEnd::TimedOut(30_000));
    assert_eq!((attempt.started, attempt.ended), (began, clock.wall()));
    assert_eq!(attempt.thread, "default-worker-1");
    door.open(1);
    until_nothing_is_stuck(&manager);
    manager.counts().unwrap();
    let done = manager.completed(&receipt).unwrap().unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (0, 1));
}

pub(crate) fn a_job_does_not_overrun_while_its_process_is_stopped(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(builder(place, 2, &clock), &door).start().unwrap();
    let jobs = ["a", "b"].map(|label| limited(label).attempts(1));
    let receipts = manager.enqueue_all(jobs).unwrap();
    for receipt in &receipts {
        door.arrived();
        until(&manager, receipt, StateKind::Running);
    }
    clock.advance(LIMIT - SECOND);
    manager.counts().unwrap();
    clock.advance_stopped(HOUR);
    manager.counts().unwrap();
    manager.counts().unwrap();
    assert_eq!(manager.stuck(), []);
    door.open(1);
    while manager.counts().unwrap().succeeded < 1 {
        std::thread::yield_now();
    }
    // What is left of its time is left.
    clock.advance(SECOND);
    until_stuck(&manager);
    door.open(1);
    until_nothing_is_stuck(&manager);
}

pub(crate) fn a_job_is_told_that_its_time_is_over(place: &dyn Place) {
    let (clock, door, told) = (ManualClock::new(), Door::new(), Door::new());
    let (inside, tell, advance) = (door.clone(), told.clone(), clock.clone());
    let manager = builder(place, 1, &clock)
        .handle::<Work>(move |_, ctx| {
            assert!(!ctx.is_cancelled());
            assert_eq!(ctx.time_left(), Some(LIMIT));
            advance.advance(SECOND);
            assert_eq!(ctx.time_left(), Some(LIMIT - SECOND));
            inside.enter("running");
            tell.enter(&format!("{} {:?}", ctx.is_cancelled(), ctx.time_left()));
            Ok(String::new())
        })
        .start()
        .unwrap();
    manager.enqueue(limited("a").attempts(1)).unwrap();
    door.arrived();
    clock.advance(HOUR);
    until_stuck(&manager);
    door.open(1);
    assert_eq!(told.arrived(), "true Some(0ns)");
    told.open(1);
}

pub(crate) fn what_follows_an_attempt_that_is_over_is_refused(place: &dyn Place) {
    let (clock, door, told) = (ManualClock::new(), Door::new(), Door::new());
    let (inside, tell) = (door.clone(), told.clone());
    let manager = builder(place, 1, &clock)
        .handle::<Work>(move |_, ctx| {
            ctx.enqueue(Other { amount: 1 })?;
            inside.enter("running");
            let error = ctx.enqueue(Other { amount: 2 }).unwrap_err();
            tell.enter(&format!("{} {error}", error.is_attempt_over()));
            Ok(String::new())
        })
        .start()
        .unwrap();
    manager.enqueue(limited("a").attempts(1)).unwrap();
    door.arrived();
    clock.advance(HOUR);
    until_stuck(&manager);
    door.open(1);
    assert_eq!(
        told.arrived(),
        "true queue what follows job 1: this attempt no longer has the job, and nothing that it says is \
         recorded: return"
    );
    told.open(1);
}

pub(crate) fn the_next_attempt_waits_for_the_old_thread(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(builder(place, 2, &clock), &door).start().unwrap();
    let receipt = manager.enqueue(limited("a")).unwrap();
    assert_eq!(door.arrived(), "a");
    let began = clock.wall();
    clock.advance(LIMIT);
    let stuck = until_stuck(&manager);
    assert_eq!((stuck.job, stuck.since), (receipt.number(), clock.wall()));
    assert_eq!(stuck.queue, "default");
    assert!(stuck.thread.starts_with("default-worker-"), "{stuck:?}");
    assert!(began < stuck.since);
    let status = until(&manager, &receipt, StateKind::Scheduled);
    assert_eq!(status.attempts(), 1);
    assert_eq!(manager.counts().unwrap().scheduled, 1);
    // Due, workers free, and it does not start.
    clock.advance(HOUR);
    manager.counts().unwrap();
    assert_eq!(manager.counts().unwrap().scheduled, 1);
    assert!(door.is_quiet());
    door.open(1);
    assert_eq!(door.arrived(), "a");
    assert_eq!(manager.stuck(), []);
    door.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 2));
}

pub(crate) fn the_next_attempt_of_another_manager_waits_for_the_old_thread_too(place: &dyn Place) {
    let (clock, door, newer_door) = (ManualClock::new(), Door::new(), Door::new());
    let older = through(builder(place, 1, &clock), &door).start().unwrap();
    let receipt = older.enqueue(limited("a")).unwrap();
    door.arrived();
    clock.advance(LIMIT);
    let stuck = until_stuck(&older);
    until(&older, &receipt, StateKind::Scheduled);
    let report = older.shutdown(Duration::ZERO).unwrap();
    let named: Vec<_> = report.still_running.iter().map(|still| still.job).collect();
    assert_eq!(named, [receipt.number()]);
    let newer = through(builder(place, 1, &clock), &newer_door)
        .start()
        .unwrap();
    clock.advance(HOUR);
    assert_eq!(newer.recovery().interrupted, 0);
    assert_eq!(newer.stuck(), [stuck]);
    let other = newer.enqueue(work("other")).unwrap();
    assert_eq!(newer_door.arrived(), "other");
    newer_door.open(1);
    newer.wait(&other, PATIENCE).unwrap();
    assert!(newer_door.is_quiet());
    door.open(1);
    assert_eq!(newer_door.arrived(), "a");
    newer_door.open(1);
    assert_eq!(newer.wait(&receipt, PATIENCE).unwrap().attempts(), 2);
}

pub(crate) fn substitutes_stand_in_for_stuck_threads_up_to_a_cap(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let queue = Queue::new("default").workers(1).substitutes(2);
    let builder = Manager::builder(place.open())
        .queue(queue)
        .clock(clock.clone());
    let manager = through(builder, &door).start().unwrap();
    let mut receipts = Vec::new();
    for label in ["a", "b", "c"] {
        receipts.push(manager.enqueue(limited(label).attempts(1)).unwrap());
        assert_eq!(door.arrived(), label);
        clock.advance(LIMIT);
        manager.wait(receipts.last().unwrap(), PATIENCE).unwrap();
    }
    let threads: Vec<_> = manager
        .stuck()
        .into_iter()
        .map(|stuck| stuck.thread)
        .collect();
    assert_eq!(
        threads,
        ["default-worker-1", "default-worker-2", "default-worker-3"]
    );
    // Three are stuck and no fourth thread is to be had.
    let last = manager.enqueue(work("d")).unwrap();
    manager.counts().unwrap();
    assert_eq!(state(&manager, &last), StateKind::Ready);
    assert!(door.is_quiet());
    door.open(3);
    assert_eq!(door.arrived(), "d");
    door.open(1);
    manager.wait(&last, PATIENCE).unwrap();
    // The pool is as large as before: one job at a time.
    manager.enqueue_all(["e", "f"].map(work)).unwrap();
    assert_eq!(door.arrived(), "e");
    manager.counts().unwrap();
    assert!(door.is_quiet());
    door.open(2);
    assert_eq!(door.arrived(), "f");
}

pub(crate) fn a_time_out_follows_the_job_then_its_type_then_its_queue(place: &dyn Place) {
    /// With a time-out of its type's own.
    #[derive(Serialize, Deserialize)]
    struct Limited;
    impl Job for Limited {
        const NAME: &'static str = "limited";
        const POLICY: Policy = Policy::new().timeout(Duration::from_secs(20));
        type Output = ();
    }
    let clock = ManualClock::new();
    let (said, heard) = channel();
    let (said, of_works) = (Mutex::new(said.clone()), Mutex::new(said));
    let queue = Queue::new("default").workers(1).timeout(10 * SECOND);
    let manager = Manager::builder(place.open())
        .queue(queue)
        .clock(clock)
        .handle::<Limited>(move |_, ctx| {
            said.lock().unwrap().send(ctx.time_left()).unwrap();
            Ok(())
        })
        .handle::<Work>(move |_, ctx| {
            of_works.lock().unwrap().send(ctx.time_left()).unwrap();
            Ok(String::new())
        })
        .start()
        .unwrap();
    let left = || heard.recv_timeout(PATIENCE).unwrap();
    manager
        .enqueue(NewJob::new(Limited).timeout(30 * SECOND))
        .unwrap();
    assert_eq!(left(), Some(30 * SECOND));
    manager.enqueue(Limited).unwrap();
    assert_eq!(left(), Some(20 * SECOND));
    manager.enqueue(work("a")).unwrap();
    assert_eq!(left(), Some(10 * SECOND));
    manager
        .enqueue(NewJob::new(Limited).timeout(Duration::ZERO))
        .unwrap();
    assert_eq!(left(), None);
}

pub(crate) fn an_observer_hears_of_a_stuck_thread(place: &dyn Place) {
    struct Told(Mutex<std::sync::mpsc::Sender<String>>);
    impl Observer for Told {
        fn stuck(&self, event: &event::Stuck) {
            let line = format!("{} on {} at {}", event.job(), event.thread(), event.at());
            self.0.lock().unwrap().send(line).unwrap();
        }
    }
    let (clock, door) = (ManualClock::new(), Door::new());
    let (told, heard) = channel();
    let builder = builder(place, 1, &clock).observer(Told(Mutex::new(told)));
    let manager = through(builder, &door).start().unwrap();
    manager.enqueue(limited("a").attempts(1)).unwrap();
    door.arrived();
    clock.advance(LIMIT);
    let line = heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!(line, format!("1 on default-worker-1 at {}", clock.wall()));
    door.open(1);
}

pub(crate) fn a_job_that_ends_in_time_is_never_stuck(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(builder(place, 1, &clock), &door).start().unwrap();
    let receipt = manager.enqueue(limited("a")).unwrap();
    door.arrived();
    clock.advance(LIMIT - SECOND);
    door.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 1));
    clock.advance(HOUR);
    manager.counts().unwrap();
    assert_eq!(manager.stuck(), []);
    assert_eq!(manager.completed(&receipt).unwrap().unwrap().attempts(), 1);
}

pub(crate) fn a_shutdown_names_a_stuck_thread_and_does_not_wait_beyond_its_grace(
    place: &dyn Place,
) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(builder(place, 1, &clock), &door).start().unwrap();
    let receipt = manager.enqueue(limited("a").attempts(1)).unwrap();
    door.arrived();
    clock.advance(LIMIT);
    manager.wait(&receipt, PATIENCE).unwrap();
    let report = manager.shutdown(Duration::ZERO).unwrap();
    let [still] = report.still_running.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(
        (still.job, still.thread.as_str()),
        (receipt.number(), "default-worker-1")
    );
    assert_eq!(report.unrecorded, []);
    door.open(1);
    until_nothing_is_stuck(&manager);
}

pub(crate) fn a_time_out_whose_write_was_refused_is_recorded_once(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let store = place.open();
    let faults = store.faults();
    let builder = Manager::builder(store)
        .queue(Queue::new("default").workers(1))
        .clock(clock.clone());
    let manager = through(builder, &door).start().unwrap();
    let receipt = manager.enqueue(limited("a")).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    faults.arm(Fault::next(Operation::Commit).full());
    clock.advance(LIMIT);
    let status = until(&manager, &receipt, StateKind::Scheduled);
    assert_eq!((status.attempts(), status.history().len()), (1, 1));
    assert_eq!(manager.counts().unwrap().scheduled, 1);
    clock.advance(HOUR);
    manager.counts().unwrap();
    assert!(door.is_quiet());
    door.open(2);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 2));
}

pub(crate) fn a_large_job_that_times_out_keeps_its_payload(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(builder(place, 1, &clock), &door).start().unwrap();
    let label = "x".repeat(5_000);
    let receipt = manager.enqueue(limited(&label)).unwrap();
    door.arrived();
    clock.advance(LIMIT);
    until_stuck(&manager);
    door.open(2);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.job().unwrap().label, label);
    assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 2));
}

pub(crate) fn a_cancelled_job_that_times_out_is_cancelled(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(builder(place, 1, &clock), &door).start().unwrap();
    let receipt = manager.enqueue(limited("a")).unwrap();
    door.arrived();
    manager.cancel(&receipt).unwrap();
    clock.advance(LIMIT);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap_err().reason(), Reason::Cancelled);
    door.open(1);
}

pub(crate) fn a_job_that_waits_for_its_old_thread_is_cancelled_or_removed_like_any_other(
    place: &dyn Place,
) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(builder(place, 2, &clock), &door).start().unwrap();
    let receipts = manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    door.arrived();
    door.arrived();
    clock.advance(LIMIT);
    for receipt in &receipts {
        until(&manager, receipt, StateKind::Scheduled);
    }
    manager.cancel(&receipts[0]).unwrap();
    manager.remove(&receipts[1]).unwrap();
    door.open(2);
    until_nothing_is_stuck(&manager);
    let counts = manager.counts().unwrap();
    assert_eq!((counts.scheduled, counts.ready, counts.running), (0, 0, 0));
    assert_eq!(counts.cancelled, 1);
    assert!(door.is_quiet());
}
