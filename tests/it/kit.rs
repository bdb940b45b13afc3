use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, scope};
use std::time::Duration;

use jobkeep::testing::{DRAIN_ATTEMPTS, Fault, FaultyStore, Kit, Lasting, ManualClock, Operation};
use jobkeep::{
    AttemptEnd, Builder, Codec, Context, Enqueue, Error, Health, Job, JobError, Manager, NewJob,
    Priority, Queue, QueueStore, Receipt, Shutdown, StateKind, StoreError,
};
use jobkeep_store::{InFlight, Key, get_typed};
use serde::{Deserialize, Serialize};

use crate::place::{
    Door, HOUR, Memory, Other, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};

/// A kit whose jobs do this.
fn start(
    place: &dyn Place,
    run: impl Fn(&mut Work, &Context) -> Result<String, JobError> + Send + Sync + 'static,
) -> Kit {
    let builder = Manager::builder(place.open());
    builder.handle::<Work>(run).start_for_tests().unwrap()
}

/// What ran, in its order.
type Ran = Arc<Mutex<Vec<String>>>;

fn noting(builder: Builder) -> (Builder, Ran) {
    let ran = Ran::default();
    let noted = Arc::clone(&ran);
    let builder = builder.handle::<Work>(move |work, _| {
        noted.lock().unwrap().push(work.label.clone());
        Ok(String::new())
    });
    (builder, ran)
}

pub(crate) fn one_job_runs_on_the_callers_thread_and_its_end_is_in_the_store(place: &dyn Place) {
    let store: Arc<dyn QueueStore> = Arc::new(place.open());
    let test = thread::current().id();
    let kit = Manager::builder(FaultyStore::over(Arc::clone(&store)))
        .queue(Queue::new("default").workers(4))
        .handle::<Work>(move |_, _| {
            assert_eq!(thread::current().id(), test);
            Ok(String::new())
        })
        .start_for_tests()
        .unwrap();
    let receipts = kit.enqueue_all(["a", "b"].map(work)).unwrap();
    let counts = kit.counts().unwrap();
    assert_eq!((counts.ready, counts.running), (2, 0));
    let ran = kit.run_one("default").unwrap();
    let first = &receipts[0];
    assert_eq!(ran, Some(first.untyped()));
    assert!(store.get(&Key::done(first.number())).unwrap().is_some());
    let in_flight: InFlight = get_typed(&*store, Key::IN_FLIGHT).unwrap().unwrap();
    assert_eq!(in_flight.jobs, []);
    let counts = kit.counts().unwrap();
    assert_eq!((counts.succeeded, counts.ready), (1, 1));
    let done = kit.completed(first).unwrap().unwrap();
    let attempt = &done.history()[0];
    assert_eq!(attempt.end, AttemptEnd::Succeeded);
    assert_eq!(Some(attempt.thread.as_str()), thread::current().name());
    let second = kit.run_one("default").unwrap();
    assert_eq!(second, Some(receipts[1].untyped()));
    assert_eq!(kit.run_one("default").unwrap(), None);
    let shutdown = kit.shutdown(Duration::ZERO).unwrap();
    assert_eq!(shutdown, Shutdown::default());
}

pub(crate) fn code_under_test_queues_through_the_kit(place: &dyn Place) {
    fn through_the_trait(queue: &dyn Enqueue) -> Receipt<Work> {
        work("a").execute(queue).unwrap()
    }
    fn through_the_manager(manager: &Manager) -> Receipt<Work> {
        manager.enqueue(work("b")).unwrap()
    }
    let (builder, ran) = noting(Manager::builder(place.open()));
    let kit = builder.start_for_tests().unwrap();
    let receipts = [through_the_trait(&kit), through_the_manager(&kit)];
    let queue: &dyn Enqueue = &kit;
    assert!(queue.completed(&receipts[0]).unwrap().is_none());
    let drained = kit.drain("default").unwrap();
    assert_eq!(drained, receipts.each_ref().map(Receipt::untyped));
    assert_eq!(*ran.lock().unwrap(), ["a", "b"]);
    assert!(queue.completed(&receipts[0]).unwrap().is_some());
}

pub(crate) fn a_drain_runs_the_most_urgent_first_and_what_is_queued_meanwhile(place: &dyn Place) {
    let own: Arc<OnceLock<Manager>> = Arc::default();
    let inside = Arc::clone(&own);
    let order = Ran::default();
    let noted = Arc::clone(&order);
    let kit = Manager::builder(place.open())
        .queue(Queue::new("default"))
        .queue(Queue::new("other"))
        .handle::<Work>(move |work, _| {
            noted.lock().unwrap().push(work.label.clone());
            if work.label == "urgent" {
                let follow_up = crate::place::work("follow-up");
                let follow_up = NewJob::new(follow_up).priority(Priority::High);
                inside.get().unwrap().enqueue(follow_up)?;
            }
            Ok(String::new())
        })
        .start_for_tests()
        .unwrap();
    assert!(own.set(kit.clone()).is_ok());
    for (label, priority) in [
        ("low", Priority::Low),
        ("normal", Priority::Normal),
        ("urgent", Priority::Urgent),
    ] {
        let job = NewJob::new(work(label)).priority(priority);
        kit.enqueue(job).unwrap();
    }
    let elsewhere = NewJob::new(work("elsewhere")).queue("other");
    kit.enqueue(elsewhere).unwrap();
    let drained = kit.drain("default").unwrap();
    let numbers: Vec<_> = drained.iter().map(|receipt| receipt.number().0).collect();
    assert_eq!(numbers, [3, 5, 2, 1]);
    let expected = ["urgent", "follow-up", "normal", "low"];
    assert_eq!(*order.lock().unwrap(), expected);
    assert_eq!(kit.counts().unwrap().ready, 1);
}

pub(crate) fn a_retry_runs_when_the_clock_says_so(place: &dyn Place) {
    let clock = ManualClock::new();
    let kit = Manager::builder(place.open())
        .handle::<Work>(|_, ctx| match ctx.attempt() {
            1 => Err(JobError::retry_after(HOUR, "busy")),
            _ => Ok("at last".into()),
        })
        .clock(clock.clone())
        .start_for_tests()
        .unwrap();
    let receipt = kit.enqueue(work("a")).unwrap();
    assert_eq!(kit.drain("default").unwrap(), [receipt.untyped()]);
    let status = kit.status(&receipt).unwrap();
    assert_eq!(status.state(), StateKind::Scheduled);
    assert_eq!(status.due(), Some(clock.wall().after(HOUR)));
    clock.advance(HOUR - SECOND);
    assert_eq!(kit.drain("default").unwrap(), []);
    clock.advance(SECOND);
    assert_eq!(kit.drain("default").unwrap(), [receipt.untyped()]);
    let done = kit.completed(&receipt).unwrap().unwrap();
    assert_eq!(
        (done.attempts(), done.output().unwrap().as_str()),
        (2, "at last")
    );
}

pub(crate) fn a_panic_of_a_job_is_recorded_and_the_thread_is_the_tests_again(place: &dyn Place) {
    let kit = start(place, |work, _| panic!("cannot do {}", work.label));
    let receipt = kit.enqueue(work("a")).unwrap();
    assert_eq!(kit.run_one("default").unwrap(), Some(receipt.untyped()));
    let status = kit.status(&receipt).unwrap();
    let AttemptEnd::Panicked { message, location } = &status.history()[0].end else {
        panic!("{:?}", status.history());
    };
    assert_eq!(message, "cannot do a");
    assert!(location.contains("kit.rs:"), "{location}");
    // A thread of the manager's own would not wait for the end, and the store would still be held.
    assert_eq!(kit.shutdown(PATIENCE).unwrap(), Shutdown::default());
    let recovery = one_worker(place).start().unwrap().recovery();
    assert_eq!((recovery.waiting, recovery.interrupted), (1, 0));
}

pub(crate) fn a_job_on_the_callers_thread_may_shut_its_manager_down(place: &dyn Place) {
    let own: Arc<OnceLock<(Manager, Receipt<Work>)>> = Arc::default();
    let (inside, seen) = (Arc::clone(&own), Ran::default());
    let said = Arc::clone(&seen);
    let kit = start(place, move |_, _| {
        let (manager, receipt) = inside.get().unwrap();
        let report = manager.shutdown(HOUR)?;
        let [running] = report.still_running.as_slice() else {
            panic!("{report:?}");
        };
        said.lock().unwrap().push(running.thread.clone());
        // The manager waits for the job, however long it takes: its store stays open.
        for _ in 0..1_000 {
            assert!(manager.completed(receipt)?.is_none());
            thread::yield_now();
        }
        Ok("the last".into())
    });
    let receipts = kit.enqueue_all(["a", "b"].map(work)).unwrap();
    assert!(own.set((kit.clone(), receipts[0].clone())).is_ok());
    let ran = kit.run_one("default").unwrap();
    assert_eq!(ran, Some(receipts[0].untyped()));
    assert_eq!(*seen.lock().unwrap(), [thread::current().name().unwrap()]);
    let error = kit.drain("default").unwrap_err();
    assert_eq!(
        error.to_string(),
        "run the next job of queue `default`: the manager has been shut down: start another one on \
         the store"
    );
    assert!(error.is_shut_down());
    let shutdown = kit.shutdown(PATIENCE).unwrap();
    assert_eq!((shutdown.finished, shutdown.handed_back), (1, 0));
    let manager = one_worker(place).start().unwrap();
    let recovery = manager.recovery();
    assert_eq!((recovery.waiting, recovery.interrupted), (1, 0));
    let done = manager.completed(&receipts[0]).unwrap().unwrap();
    assert_eq!(done.into_output().unwrap(), "the last");
}

pub(crate) fn a_job_that_outlives_its_manager_is_an_error(place: &dyn Place) {
    let own: Arc<OnceLock<Manager>> = Arc::default();
    let inside = Arc::clone(&own);
    let kit = start(place, move |_, _| {
        let manager = inside.get().unwrap();
        let shutdown = scope(|scope| {
            let shutdown = scope.spawn(|| manager.shutdown(Duration::ZERO).unwrap());
            shutdown.join().unwrap()
        });
        assert_eq!(shutdown.still_running.len(), 1);
        Ok(String::new())
    });
    assert!(own.set(kit.clone()).is_ok());
    let receipt = kit.enqueue(work("a")).unwrap();
    assert!(kit.run_one("default").unwrap_err().is_shut_down());
    let manager = one_worker(place).start().unwrap();
    assert_eq!(manager.recovery().interrupted, 1);
    assert!(manager.completed(&receipt).unwrap().is_none());
}

pub(crate) fn a_queue_that_is_not_declared_is_not_run(place: &dyn Place) {
    let kit = start(place, |_, _| Ok(String::new()));
    let text = "run the next job of queue `nowhere`: no such queue is declared, only `default`: name \
                one of these, or declare it with `Builder::queue`";
    let errors: [Error; 2] = [
        kit.run_one("nowhere").unwrap_err(),
        kit.drain("nowhere").unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), text);
        assert!(error.is_undeclared_queue());
    }
}

pub(crate) fn what_is_enqueued_is_what_has_not_finished(place: &dyn Place) {
    let kit = start(place, |work, _| {
        work.runs += 1;
        match work.label.as_str() {
            "finished" => Ok(String::new()),
            _ => Err(JobError::new("again")),
        }
    });
    let long = "long ".repeat(1_000);
    let labels = ["finished", "retried", "ready", &long];
    let receipts = kit.enqueue_all(labels.map(work)).unwrap();
    let delayed = kit
        .enqueue(NewJob::new(work("delayed")).delay(HOUR))
        .unwrap();
    // Nobody runs it here.
    let parked = kit.enqueue(Other { amount: 7 }).unwrap();
    for _ in 0..2 {
        kit.run_one("default").unwrap().unwrap();
    }
    let mut enqueued = kit.enqueued::<Work>().unwrap();
    assert_eq!(
        enqueued.remove(0),
        Work {
            runs: 1,
            ..work("retried")
        }
    );
    assert_eq!(enqueued, ["ready", &long, "delayed"].map(work));
    assert_eq!(kit.enqueued::<Other>().unwrap(), [Other { amount: 7 }]);
    let of_work = kit.assert_enqueued::<Work>(|work| work.label != "retried");
    assert_eq!(of_work, [receipts[2].clone(), receipts[3].clone(), delayed]);
    assert_eq!(kit.assert_enqueued::<Other>(|_| true), [parked]);
}

/// What the assertion says.
fn failure(act: impl FnOnce() -> Vec<Receipt<Work>>) -> String {
    let caught = catch_unwind(AssertUnwindSafe(act)).unwrap_err();
    *caught.downcast::<String>().unwrap()
}

#[derive(Serialize, Deserialize)]
struct Compact(u64);

impl Job for Compact {
    const NAME: &'static str = "compact";
    const CODEC: Codec = Codec::Bincode;
    type Output = ();
}

/// Stored under the name of [`Work`].
#[derive(Serialize, Deserialize)]
struct Impostor {
    size: u32,
}

impl Job for Impostor {
    const NAME: &'static str = Work::NAME;
    type Output = ();
}

pub(crate) fn a_failed_assertion_lists_what_is_enqueued(place: &dyn Place) {
    let kit = Manager::builder(place.open()).start_for_tests().unwrap();
    let unmatched = || failure(|| kit.assert_enqueued::<Work>(|work| work.label == "z"));
    assert_eq!(
        unmatched(),
        "no job `work` is enqueued as wanted: nothing is enqueued"
    );
    kit.enqueue(work("a")).unwrap();
    kit.enqueue(NewJob::new(Compact(7_000)).delay(HOUR))
        .unwrap();
    kit.enqueue(Impostor { size: 3 }).unwrap();
    let listed = "no job `work` is enqueued as wanted, but these are:\n\
                  - job 1 `work` in queue `default`: {\"label\":\"a\",\"runs\":0}\n\
                  - job 2 `compact` in queue `default`: 7 bytes of Bincode\n\
                  - job 3 `work` in queue `default`: {\"size\":3}, which does not decode: missing \
                  field `label` at line 1 column 10";
    assert_eq!(unmatched(), listed);
    let error = kit.enqueued::<Work>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "decode the payload of job 3: missing field `label` at line 1 column 10"
    );
    kit.enqueue(work("x".repeat(1_000))).unwrap();
    kit.enqueue_all((5..=22).map(|amount| Other { amount }))
        .unwrap();
    let long = unmatched();
    let lines: Vec<_> = long.lines().collect();
    let cut = format!("{{\"label\":\"{}", "x".repeat(246));
    assert_eq!(
        lines[4],
        format!("- job 4 `work` in queue `default`: {cut}")
    );
    assert_eq!(
        lines[20],
        "- job 20 `other` in queue `default`: {\"amount\":20}"
    );
    assert_eq!(lines[21..], ["- and 2 more"]);
    kit.shutdown(PATIENCE).unwrap();
    assert_eq!(
        unmatched(),
        "read what is enqueued: the manager has been shut down: start another one on the store"
    );
}

pub(crate) fn a_fault_strikes_when_it_is_armed(place: &dyn Place) {
    let store = place.open();
    let (faults, location) = (store.faults(), store.identity().unwrap().location);
    let (builder, ran) = noting(Manager::builder(store));
    let kit = builder.start_for_tests().unwrap();
    let receipt = kit.enqueue(work("a")).unwrap();
    // The first commit claims the job, the second records its end.
    faults.arm(Fault::nth(Operation::Commit, 2).unknown());
    let error = kit.run_one("default").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "run the next job of queue `default`: write commit 4 of {location}: a sync failed, as a \
             fault was armed"
        )
    );
    assert!(error.is_unknown() && faults.is_spent());
    assert_eq!(*ran.lock().unwrap(), ["a"]);
    drop(kit);
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().interrupted, 1);
    assert_eq!(manager.wait(&receipt, PATIENCE).unwrap().attempts(), 1);
}

pub(crate) fn a_claim_that_is_not_written_runs_nothing(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let (builder, ran) = noting(Manager::builder(store));
    let kit = builder.start_for_tests().unwrap();
    kit.enqueue(work("a")).unwrap();
    faults.arm(Fault::next(Operation::Commit).unknown());
    assert!(kit.run_one("default").unwrap_err().is_unknown());
    assert!(ran.lock().unwrap().is_empty());
    drop(kit);
    assert_eq!(one_worker(place).start().unwrap().recovery().interrupted, 0);
}

pub(crate) fn a_store_that_refuses_shows_at_the_kit(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let clock = ManualClock::new();
    let (builder, ran) = noting(Manager::builder(store).clock(clock.clone()));
    let kit = builder.start_for_tests().unwrap();
    let full = |nth| {
        let full = Fault::nth(Operation::Commit, nth).full();
        faults.arm(full.lasting(Lasting::UntilDisarmed));
    };
    let goes_on = || {
        faults.disarm();
        clock.advance(SECOND);
        while kit.health() != Health::Working {
            thread::yield_now();
        }
    };
    let refused = || {
        let error = kit.run_one("default").unwrap_err();
        assert!(error.as_store().is_some_and(StoreError::is_full));
        assert!(
            error
                .to_string()
                .starts_with("run the next job of queue `default`: write commit")
        );
    };
    let receipt = kit.enqueue(work("a")).unwrap();
    // Its claim is not written: nothing runs, and that is not because nothing is ready.
    full(1);
    refused();
    assert!(ran.lock().unwrap().is_empty());
    goes_on();
    // Its end is not written.
    full(2);
    refused();
    assert_eq!(*ran.lock().unwrap(), ["a"]);
    assert!(kit.completed(&receipt).unwrap().is_none());
    goes_on();
    assert!(kit.completed(&receipt).unwrap().is_some());
    assert_eq!(kit.run_one("default").unwrap(), None);
}

pub(crate) fn the_grace_of_a_shutdown_passes_by_a_manual_clock(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let builder = through(one_worker(place), &door).clock(clock.clone());
    let manager = builder.start().unwrap();
    manager.enqueue(work("a")).unwrap();
    door.arrived();
    let shutdown = scope(|scope| {
        let shutdown = scope.spawn(|| manager.shutdown(HOUR).unwrap());
        // It may begin to wait after the first of these.
        while !shutdown.is_finished() {
            clock.advance(HOUR);
            thread::yield_now();
        }
        shutdown.join().unwrap()
    });
    assert_eq!(shutdown.still_running.len(), 1);
    door.open(1);
}

#[test]
fn a_drain_takes_a_whole_batch() {
    let (builder, ran) = noting(Manager::builder(Memory::new().open()));
    let kit = builder.start_for_tests().unwrap();
    let batch = (0..DRAIN_ATTEMPTS).map(|n| work(n.to_string()));
    kit.enqueue_all(batch).unwrap();
    assert_eq!(kit.drain("default").unwrap().len(), DRAIN_ATTEMPTS);
    assert_eq!(ran.lock().unwrap().len(), DRAIN_ATTEMPTS);
}

/// Ten thousand attempts, which would take minutes on a disk.
#[test]
fn a_drain_without_end_is_an_error() {
    let kit = start(&Memory::new(), |_, _| Err(JobError::snooze(Duration::ZERO)));
    kit.enqueue(work("a")).unwrap();
    let error = kit.drain("default").unwrap_err();
    assert_eq!(
        error.to_string(),
        "drain queue `default`: it is not empty after 10000 attempts, and job 1 came next: look for \
         a job that is put off by no time, or that queues itself, and run it with `run_one`"
    );
}

pub(crate) fn who_waits_for_rest_hears_of_the_end_of_a_job(place: &dyn Place) {
    let door = Door::new();
    let kit = through(Manager::builder(place.open()), &door)
        .start_for_tests()
        .unwrap();
    kit.enqueue_all(["a", "b"].map(work)).unwrap();
    // After the first end of all, the committer looks at what is to expire.
    door.open(1);
    kit.run_one("default").unwrap();
    assert_eq!(door.arrived(), "a");
    scope(|scope| {
        scope.spawn(|| {
            assert_eq!(door.arrived(), "b");
            // Before half a minute has passed, when the committer looks at its clock.
            let waiting = scope.spawn(|| kit.pause_and_wait("default", 20 * SECOND));
            while kit.paused().unwrap().is_empty() {
                thread::yield_now();
            }
            door.open(1);
            waiting.join().unwrap().unwrap();
        });
        assert!(kit.run_one("default").unwrap().is_some());
    });
}
