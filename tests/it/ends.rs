use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::scope;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    Builder, Enqueue, Error, Job, JobError, Manager, NewJob, Queue, Reason, Receipt, StateKind,
    WeakManager,
};
use serde::{Deserialize, Serialize};

use crate::executor;
use crate::place::{
    Door, HOUR, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};

pub(crate) fn who_waits_in_vain_is_told_how_the_last_attempt_failed(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Work>(|_, _| Err(JobError::retry_after(HOUR, "no such photograph")))
        .clock(ManualClock::new())
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    while manager.status(&receipt).unwrap().attempts() == 0 {
        std::thread::yield_now();
    }
    let error = manager.wait(&receipt, Duration::ZERO).unwrap_err();
    assert!(error.is_timed_out());
    assert_eq!(
        error.to_string(),
        "wait for job 1: it has not finished within 0 ms: its last failure: no such \
         photograph"
    );
}

pub(crate) fn wait_runs_out_of_patience(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = succeeding(one_worker(place))
        .clock(clock.clone())
        .start()
        .unwrap();
    manager.pause("default").unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let assert_impatient = |error: Error, ms: u64| {
        assert_eq!(
            error.to_string(),
            format!("wait for job 1: it has not finished within {ms} ms")
        );
        assert!(error.is_timed_out());
    };
    let now = manager.wait(&receipt, Duration::ZERO).unwrap_err();
    assert_impatient(now, 0);
    let later = scope(|scope| {
        let waiter = scope.spawn(|| manager.wait(&receipt, HOUR).unwrap_err());
        // It may begin to wait after the first of these.
        while !waiter.is_finished() {
            clock.advance(HOUR);
            std::thread::yield_now();
        }
        waiter.join().unwrap()
    });
    assert_impatient(later, 3_600_000);
    let queue: &dyn Enqueue = &manager;
    assert_impatient(queue.wait(&receipt, Duration::ZERO).unwrap_err(), 0);
    assert!(queue.completed(&receipt).unwrap().is_none());
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Ready,
        "the job is as it was"
    );
}

pub(crate) fn patience_does_not_run_out_before_its_time(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = succeeding(one_worker(place))
        .clock(clock.clone())
        .start()
        .unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    scope(|scope| {
        let waiter = scope.spawn(|| manager.wait(&receipt, 1_000 * HOUR).unwrap());
        clock.advance(HOUR - SECOND);
        clock.set_wall(clock.wall().after(10_000 * HOUR));
        clock.advance(SECOND);
        assert_eq!(waiter.join().unwrap().attempts(), 1);
    });
}

pub(crate) fn everybody_who_waits_gets_the_end(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    scope(|scope| {
        let wait = || manager.wait(&receipt, PATIENCE).unwrap();
        let waiters: Vec<_> = (0..8).map(|_| scope.spawn(wait)).collect();
        door.arrived();
        door.open(1);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().into_output().unwrap(), "a done");
        }
    });
    // Who comes later does not wait at all.
    let done = manager.wait(&receipt, Duration::ZERO).unwrap();
    assert_eq!(done.into_output().unwrap(), "a done");
}

/// A manager whose jobs of type `Outer` have it, and wait.
fn with_outer(
    builder: Builder,
    run: impl Fn(&Manager, &Outer) -> Result<String, JobError> + Send + Sync + 'static,
) -> Manager {
    let own = Arc::new(OnceLock::<WeakManager>::new());
    let inside = Arc::clone(&own);
    let manager = succeeding(builder)
        .handle::<Outer>(move |outer, _| {
            let manager = inside.wait().upgrade().unwrap();
            run(&manager, outer)
        })
        .start()
        .unwrap();
    own.set(manager.downgrade()).unwrap();
    manager
}

/// Has a job of type `Work` run in this queue, and waits for it.
fn run_inner(manager: &Manager, queue: &str) -> Result<String, JobError> {
    let receipt = manager.enqueue(NewJob::new(work("inner")).queue(queue))?;
    match manager.wait(&receipt, HOUR) {
        Ok(done) => Ok(done.into_output()?),
        Err(error) if error.is_deadlock() => Ok(error.to_string()),
        Err(error) => Err(error.into()),
    }
}

fn outer(queue: &str) -> NewJob<Outer> {
    NewJob::new(Outer {
        inner: queue.into(),
    })
}

pub(crate) fn a_job_waits_for_another(place: &dyn Place) {
    let builder = one_worker(place).queue(Queue::new("outer").workers(1));
    let manager = with_outer(builder, |manager, outer| run_inner(manager, &outer.inner));
    let receipt = manager.enqueue(outer("default").queue("outer")).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), "inner done");
}

pub(crate) fn a_job_waits_for_one_that_runs_beside_it(place: &dyn Place) {
    let builder = Manager::builder(place.open()).queue(Queue::new("default").workers(2));
    let manager = with_outer(builder, |manager, outer| run_inner(manager, &outer.inner));
    for _ in 0..50 {
        let receipt = manager.enqueue(outer("default")).unwrap();
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(done.into_output().unwrap(), "inner done");
    }
}

pub(crate) fn a_job_that_waits_for_itself_is_refused(place: &dyn Place) {
    let own = Arc::new(OnceLock::<Receipt<Outer>>::new());
    let inside = Arc::clone(&own);
    let manager = with_outer(one_worker(place), move |manager, _| {
        let own = inside.wait();
        assert!(manager.completed(own)?.is_none());
        let awaited = executor::block_on(manager.finished(own)).unwrap_err();
        let error = manager.wait(own, HOUR).unwrap_err();
        assert!(error.is_deadlock() && awaited.is_deadlock());
        assert_eq!(awaited.to_string(), error.to_string());
        Ok(error.to_string())
    });
    own.set(manager.enqueue(outer("default")).unwrap()).unwrap();
    let done = manager.wait(own.get().unwrap(), PATIENCE).unwrap();
    assert_eq!(
        done.into_output().unwrap(),
        "wait for job 1: it is the job that waits, and would wait for its own end"
    );
}

pub(crate) fn a_job_that_waits_where_no_worker_is_left_is_refused(place: &dyn Place) {
    let manager = with_outer(one_worker(place), |manager, outer| {
        run_inner(manager, &outer.inner)
    });
    let receipt = manager.enqueue(outer("default")).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(
        done.into_output().unwrap(),
        "wait for job 2 in job 1: every worker of queue `default` has a job that waits so, and none is \
         left to run it: give awaited jobs a queue of their own, or queue the job with \
         `Context::enqueue` and do not wait"
    );
}

pub(crate) fn jobs_of_two_queues_that_wait_for_each_other_are_refused(place: &dyn Place) {
    let (door, builder) = (Door::new(), one_worker(place));
    let inside = door.clone();
    let builder = builder.queue(Queue::new("other").workers(1));
    let manager = with_outer(builder, move |manager, outer| {
        inside.enter("outer");
        run_inner(manager, &outer.inner)
    });
    let receipts = [
        manager.enqueue(outer("other")).unwrap(),
        manager.enqueue(outer("default").queue("other")).unwrap(),
    ];
    door.arrived();
    door.arrived();
    door.open(2);
    let ends = receipts.map(|receipt| manager.wait(&receipt, PATIENCE).unwrap());
    let said = ends.map(|done| done.into_output().unwrap());
    let refused = |said: &String| said.contains("every worker of queue");
    assert!(said.iter().any(refused), "{said:?}");
    while manager.counts().unwrap().succeeded < 4 {
        std::thread::yield_now();
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Outer {
    /// The queue of the job that it waits for.
    inner: String,
}

impl Job for Outer {
    const NAME: &'static str = "outer";
    type Output = String;
}

pub(crate) fn a_finished_job_runs_again(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    door.arrived();
    manager.retry(&receipt).unwrap();
    door.arrived();
    assert!(manager.completed(&receipt).unwrap().is_none());
    let status = manager.status(&receipt).unwrap();
    assert_eq!(
        (status.state(), status.attempts(), status.finished()),
        (StateKind::Running, 0, None)
    );
    let counts = manager.counts().unwrap();
    assert_eq!((counts.running, counts.succeeded), (1, 0));
    door.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    // From its value as it was left, with its history.
    assert_eq!((done.job().unwrap().runs, done.attempts()), (2, 1));
    assert_eq!(done.history().len(), 2);
    assert_eq!(manager.counts().unwrap().succeeded, 1);
}

pub(crate) fn a_failed_job_gets_all_its_attempts_again(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Work>(|work, _| {
            work.runs += 1;
            if work.runs < 4 {
                Err(JobError::retry_after(Duration::ZERO, "not yet"))
            } else {
                Ok(String::new())
            }
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).attempts(2)).unwrap();
    let failure = manager.wait(&receipt, PATIENCE).unwrap().into_output();
    assert_eq!(failure.unwrap_err().attempts(), 2);
    assert_eq!(manager.counts().unwrap().failed, 1);
    manager.retry(&receipt).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (4, 2));
    done.into_output().unwrap();
    let counts = manager.counts().unwrap();
    assert_eq!((counts.failed, counts.succeeded), (0, 1));
}

pub(crate) fn a_cancelled_job_runs_again_as_if_nobody_had_cancelled_it(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let manager = one_worker(place)
        .handle::<Work>(move |work, ctx| {
            inside.enter(&work.label);
            if ctx.is_cancelled() {
                return Err(JobError::new("told to"));
            }
            Ok(String::new())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    manager.cancel(&receipt).unwrap();
    door.open(1);
    let failure = manager.wait(&receipt, PATIENCE).unwrap().into_output();
    assert_eq!(failure.unwrap_err().reason(), Reason::Cancelled);
    manager.retry(&receipt).unwrap();
    door.arrived();
    let status = manager.status(&receipt).unwrap();
    assert!(!status.is_cancel_requested());
    door.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.attempts(), 1);
    done.into_output().unwrap();
}

pub(crate) fn only_a_finished_job_is_retried(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let running = manager.enqueue(work("running")).unwrap();
    door.arrived();
    let ready = manager.enqueue(work("ready")).unwrap();
    let later = manager
        .enqueue(NewJob::new(work("later")).delay(HOUR))
        .unwrap();
    for (receipt, state) in [
        (&running, StateKind::Running),
        (&ready, StateKind::Ready),
        (&later, StateKind::Scheduled),
    ] {
        let error = manager.retry(receipt).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "retry job {}: it is {state}, and this needs a finished job, or one that \
                 is parked",
                receipt.number()
            )
        );
        assert_eq!(error.illegal_state(), Some(state));
    }
    door.open(2);
}

pub(crate) fn a_running_job_is_not_removed(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let error = manager.remove(&receipt).unwrap_err();
    assert_eq!(
        error.to_string(),
        "remove job 1: it is running, and this needs one that no worker has: cancel it first"
    );
    assert_eq!(error.illegal_state(), Some(StateKind::Running));
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    manager.remove(&receipt).unwrap();
    assert!(manager.completed(&receipt).unwrap_err().is_pruned());
    assert_eq!(manager.counts().unwrap(), jobkeep::Counts::default());
}

pub(crate) fn a_removed_job_does_not_run(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let labels = ["warm", "running", "a", "b", "c"];
    let receipts = manager.enqueue_all(labels.map(work)).unwrap();
    door.open(1);
    assert_eq!([door.arrived(), door.arrived()], ["warm", "running"]);
    // The pool had finished one job, so that two of these stand ready for the worker.
    let later = manager.enqueue(NewJob::new(work("d")).delay(HOUR)).unwrap();
    for receipt in receipts[2..].iter().chain([&later]) {
        manager.remove(receipt).unwrap();
        assert!(manager.status(receipt).unwrap_err().is_pruned());
    }
    let last = manager.enqueue(work("last")).unwrap();
    assert_eq!(last.number().0, 7);
    door.open(2);
    manager.wait(&last, PATIENCE).unwrap();
    assert_eq!(door.arrived(), "last");
    assert!(door.is_quiet());
    let counts = manager.counts().unwrap();
    assert_eq!(
        (counts.ready, counts.scheduled, counts.succeeded),
        (0, 0, 3)
    );
}

pub(crate) fn who_waits_for_a_removed_job_learns_of_it(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    let error = scope(|scope| {
        let waiter = scope.spawn(|| manager.wait(&receipt, PATIENCE).unwrap_err());
        manager.remove(&receipt).unwrap();
        waiter.join().unwrap()
    });
    assert_eq!(
        error.to_string(),
        "look up job 1: it was accepted once and is gone, pruned by retention or removed: see \
         `Builder::retention` for how long finished jobs are kept"
    );
}

pub(crate) fn who_waits_for_a_cancelled_job_learns_of_it(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    let done = scope(|scope| {
        let waiter = scope.spawn(|| manager.wait(&receipt, PATIENCE).unwrap());
        manager.cancel(&receipt).unwrap();
        waiter.join().unwrap()
    });
    let failure = done.into_output().unwrap_err();
    assert_eq!(failure.reason(), Reason::Cancelled);
}

pub(crate) fn progress_shows_while_the_job_runs(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let manager = one_worker(place)
        .handle::<Work>(move |_, ctx| {
            inside.enter("start");
            ctx.progress(3, 10);
            inside.enter("middle");
            Ok(String::new())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let progress = || manager.status(&receipt).unwrap().progress();
    door.arrived();
    assert_eq!(progress(), None);
    door.open(1);
    assert_eq!(door.arrived(), "middle");
    assert_eq!(progress(), Some((3, 10)));
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(manager.status(&receipt).unwrap().attempts(), 1);
}

pub(crate) fn a_status_tells_where_a_job_stands(place: &dyn Place) {
    let clock = ManualClock::new();
    let door = Door::new();
    let (seen, ids) = channel();
    let (inside, seen) = (door.clone(), Mutex::new(seen));
    let manager = one_worker(place)
        .handle::<Work>(move |work, ctx| {
            seen.lock()
                .unwrap()
                .send((ctx.id(), ctx.attempt()))
                .unwrap();
            inside.enter(&work.label);
            Ok(String::new())
        })
        .clock(clock.clone())
        .start()
        .unwrap();
    let created = clock.wall();
    let receipt = manager
        .enqueue(
            NewJob::new(work("a"))
                .delay(HOUR)
                .priority(jobkeep::Priority::High),
        )
        .unwrap();
    let status = manager.status(&receipt).unwrap();
    assert_eq!(
        (status.name(), status.queue(), status.priority()),
        ("work", "default", jobkeep::Priority::High)
    );
    assert_eq!((status.created(), status.finished()), (created, None));
    assert_eq!(status.due(), Some(created.after(HOUR)));
    clock.advance(HOUR);
    door.arrived();
    let status = manager.status(&receipt).unwrap();
    assert_eq!((status.state(), status.due()), (StateKind::Running, None));
    clock.advance(SECOND);
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    let status = manager.status(&receipt).unwrap();
    assert_eq!(status.state(), StateKind::Succeeded);
    assert_eq!(status.finished(), Some(created.after(HOUR + SECOND)));
    let attempt = &status.history()[0];
    assert_eq!(
        (attempt.started, attempt.ended),
        (created.after(HOUR), created.after(HOUR + SECOND))
    );
    assert_eq!(ids.recv_timeout(PATIENCE).unwrap(), (receipt.number(), 1));
}
