use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread::scope;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    Builder, Health, JobError, JobNumber, Manager, MemoryStore, NewJob, Queue, Receipt, Shutdown,
    StateKind, WeakManager,
};
use jobkeep_store::conformance::{Fault, Lasting, Operation};

use crate::executor::{Task, block_on};
use crate::gate::GatedStore;
use crate::place::{
    Door, HOUR, Other, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};
use crate::restarting::until_nothing_is_stuck;
use crate::retrying::until;

/// Returns when the manager accepts nothing more.
pub(crate) fn until_shut_down(manager: &Manager) {
    while manager.counts().is_ok() {
        std::thread::yield_now();
    }
}

/// Tells the test that a worker's thread has ended, the last words of the manager's own included.
struct Leaving(Sender<()>);

impl Drop for Leaving {
    fn drop(&mut self) {
        // The test may have ended before.
        let _ = self.0.send(());
    }
}

thread_local! {
    static LEAVING: RefCell<Option<Leaving>> = const { RefCell::new(None) };
}

/// Every job goes through the door; the receiver hears of the end of the thread that ran one.
pub(crate) fn through_and_leaving(builder: Builder, door: &Door) -> (Builder, Receiver<()>) {
    let (left, leaving) = channel();
    let (door, left) = (door.clone(), Mutex::new(left));
    let builder = builder.handle::<Work>(move |work, _| {
        LEAVING.set(Some(Leaving(left.lock().unwrap().clone())));
        door.enter(&work.label);
        Ok(String::new())
    });
    (builder, leaving)
}

fn report(finished: u64, handed_back: u64) -> Shutdown {
    let mut report = Shutdown::default();
    report.finished = finished;
    report.handed_back = handed_back;
    report
}

/// The one job that still ran, and its thread.
fn still_running(report: &Shutdown) -> (JobNumber, &str) {
    let [running] = report.still_running.as_slice() else {
        panic!("{report:?}");
    };
    (running.job, &running.thread)
}

pub(crate) fn a_running_job_may_end_within_the_grace(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let shutdown = scope(|scope| {
        let shutdown = scope.spawn(|| manager.shutdown(PATIENCE).unwrap());
        until_shut_down(&manager);
        door.open(1);
        shutdown.join().unwrap()
    });
    assert_eq!(shutdown, report(1, 0));
    let manager = one_worker(place).start().unwrap();
    let done = manager.completed(&receipt).unwrap().unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 0));
    assert_eq!(done.into_output().unwrap(), "a done");
}

pub(crate) fn an_attempt_that_fails_within_the_grace_is_not_repeated(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let manager = one_worker(place)
        .handle::<Work>(move |work, _| {
            inside.enter(&work.label);
            Err(JobError::retry_after(Duration::ZERO, "again"))
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let shutdown = scope(|scope| {
        let shutdown = scope.spawn(|| manager.shutdown(PATIENCE).unwrap());
        until_shut_down(&manager);
        door.open(2);
        shutdown.join().unwrap()
    });
    assert_eq!(shutdown, report(1, 0));
    assert!(door.is_quiet());
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.wait(&receipt, PATIENCE).unwrap().attempts(), 2);
}

/// The last worker's thread may end while the committer writes: what it said is still to be written.
pub(crate) fn what_ends_during_the_last_commits_is_recorded(place: &dyn Place) {
    let store = GatedStore::new(place.open());
    let (gate, door) = (store.gate(), Door::new());
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let (builder, leaving) = through_and_leaving(builder, &door);
    let manager = builder.start().unwrap();
    // A pool that has finished one job is handed two ahead, and to hand them back takes a commit.
    let receipts = manager
        .enqueue_all([work("warm"), work("a"), work("b")])
        .unwrap();
    door.open(1);
    assert_eq!([door.arrived(), door.arrived()], ["warm", "a"]);
    // Turns in which the committer writes what it knows by now, so that the next commit is the last.
    manager.counts().unwrap();
    manager.counts().unwrap();
    gate.shut();
    let shutdown = scope(|scope| {
        let shutdown = scope.spawn(|| manager.shutdown(PATIENCE).unwrap());
        gate.reached();
        door.open(1);
        leaving.recv_timeout(PATIENCE).unwrap();
        gate.open();
        shutdown.join().unwrap()
    });
    assert_eq!(shutdown, report(1, 1));
    let manager = one_worker(place).start().unwrap();
    assert!(manager.completed(&receipts[1]).unwrap().is_some());
}

pub(crate) fn what_no_worker_took_is_handed_back_untouched(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let labels = ["warm", "running", "a", "b", "c"];
    let receipts = manager.enqueue_all(labels.map(work)).unwrap();
    let (running, waiting) = (&receipts[1], &receipts[2..]);
    door.open(1);
    assert_eq!([door.arrived(), door.arrived()], ["warm", "running"]);
    let shutdown = scope(|scope| {
        let shutdown = scope.spawn(|| manager.shutdown(PATIENCE).unwrap());
        until_shut_down(&manager);
        door.open(1);
        shutdown.join().unwrap()
    });
    // The pool had finished one job, so that it was handed two ahead; the last was not.
    assert_eq!(shutdown, report(1, 2));
    assert!(door.is_quiet());
    let manager = through(one_worker(place).queue(Queue::new("other")), &door)
        .start()
        .unwrap();
    assert_eq!(manager.recovery().waiting, 3);
    assert_eq!(manager.recovery().interrupted, 0);
    assert!(manager.completed(running).unwrap().is_some());
    door.open(3);
    for receipt in waiting {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!((done.attempts(), done.interruptions()), (1, 0));
        assert_eq!(done.history().len(), 1);
    }
    assert_eq!(
        [door.arrived(), door.arrived(), door.arrived()],
        ["a", "b", "c"]
    );
}

pub(crate) fn a_job_that_does_not_end_is_named_with_its_thread(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let shutdown = manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(
        still_running(&shutdown),
        (receipt.number(), "default-worker-1")
    );
    assert_eq!((shutdown.finished, shutdown.handed_back), (0, 0));
    assert!(shutdown.unrecorded.is_empty());
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().interrupted, 1);
    door.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 1));
}

pub(crate) fn an_end_after_the_grace_is_not_recorded(place: &dyn Place) {
    let door = Door::new();
    let (builder, leaving) = through_and_leaving(one_worker(place), &door);
    let manager = builder.start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let first = manager.shutdown(Duration::ZERO).unwrap();
    let second = one_worker(place).start().unwrap();
    door.open(1);
    leaving.recv_timeout(PATIENCE).unwrap();
    let status = second.status(&receipt).unwrap();
    assert_eq!((status.attempts(), status.interruptions()), (0, 1));
    assert!(second.completed(&receipt).unwrap().is_none());
    assert_eq!(manager.shutdown(Duration::ZERO).unwrap(), first);
}

pub(crate) fn a_job_sees_that_the_grace_has_ended(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let (seen, cancelled) = channel();
    let seen = Mutex::new(seen);
    let manager = one_worker(place)
        .handle::<Work>(move |_, ctx| {
            let seen = seen.lock().unwrap();
            for when in ["before", "after"] {
                inside.enter(when);
                seen.send((when, ctx.is_cancelled())).unwrap();
            }
            Ok(String::new())
        })
        .start()
        .unwrap();
    manager.enqueue(work("a")).unwrap();
    door.open(1);
    assert_eq!(cancelled.recv_timeout(PATIENCE).unwrap(), ("before", false));
    manager.shutdown(Duration::ZERO).unwrap();
    door.open(1);
    assert_eq!(cancelled.recv_timeout(PATIENCE).unwrap(), ("after", true));
}

pub(crate) fn a_second_call_gets_the_same_report(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    manager.enqueue_all(["a", "b"].map(work)).unwrap();
    door.arrived();
    let first = manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(first.still_running.len(), 1);
    assert_eq!(manager.clone().shutdown(PATIENCE).unwrap(), first);
    door.open(2);
    assert_eq!(manager.shutdown(PATIENCE).unwrap(), first);
}

pub(crate) fn two_threads_shut_down_at_once(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipts = manager
        .enqueue_all((0..20).map(|n| work(n.to_string())))
        .unwrap();
    let together = Barrier::new(2);
    let stop = || {
        together.wait();
        manager.shutdown(PATIENCE).unwrap()
    };
    let (one, other) = scope(|scope| {
        let other = scope.spawn(stop);
        (stop(), other.join().unwrap())
    });
    assert_eq!(one, other);
    assert!(one.still_running.is_empty());
    let manager = succeeding(one_worker(place)).start().unwrap();
    for receipt in &receipts {
        manager.wait(receipt, PATIENCE).unwrap();
    }
}

pub(crate) fn the_shorter_of_two_graces_counts(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    manager.enqueue(work("a")).unwrap();
    door.arrived();
    let (long, short) = scope(|scope| {
        let long = scope.spawn(|| manager.shutdown(HOUR).unwrap());
        until_shut_down(&manager);
        let short = manager.shutdown(Duration::ZERO).unwrap();
        (long.join().unwrap(), short)
    });
    assert_eq!(long, short);
    assert_eq!(short.still_running.len(), 1);
    door.open(1);
}

pub(crate) fn nothing_is_accepted_afterwards(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    let errors = [
        ("enqueue job `work`", manager.enqueue(work("b")).err()),
        ("enqueue job `work`", manager.try_enqueue(work("b")).err()),
        (
            "enqueue 2 jobs",
            manager.enqueue_all([work("b"), work("c")]).err(),
        ),
        ("look up job 1", manager.status(&receipt).err()),
        ("look up job 1", manager.completed(&receipt).err()),
        ("wait for job 1", manager.wait(&receipt, PATIENCE).err()),
        ("cancel job 1", manager.cancel(&receipt).err()),
        ("retry job 1", manager.retry(&receipt).err()),
        ("remove job 1", manager.remove(&receipt).err()),
        ("count the jobs", manager.counts().err()),
    ];
    for (act, error) in errors {
        let error = error.unwrap();
        assert_eq!(
            error.to_string(),
            format!("{act}: the manager has been shut down: start another one on the store")
        );
        assert!(error.is_shut_down());
    }
}

pub(crate) fn what_waits_for_room_is_refused(place: &dyn Place) {
    let store = GatedStore::new(place.open());
    let gate = store.gate();
    let manager = Manager::builder(store).inbox(1).start().unwrap();
    gate.shut();
    let (results, shutdown) = scope(|scope| {
        let enqueue = || manager.enqueue(Other { amount: 1 });
        let written = scope.spawn(enqueue);
        gate.reached();
        // One of these two fills the inbox, and the other waits for room.
        let others = [scope.spawn(enqueue), scope.spawn(enqueue)];
        let shutdown = scope.spawn(|| manager.shutdown(PATIENCE).unwrap());
        while !others
            .iter()
            .any(std::thread::ScopedJoinHandle::is_finished)
        {
            std::thread::yield_now();
        }
        gate.open();
        let [one, other] = others.map(|other| other.join().unwrap());
        (
            [written.join().unwrap(), one, other],
            shutdown.join().unwrap(),
        )
    });
    assert_eq!(shutdown, report(0, 0));
    assert!(results[0].is_ok());
    let accepted = results.iter().filter(|result| result.is_ok()).count();
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(error.is_shut_down());
    }
    let manager = one_worker(place).start().unwrap();
    assert_eq!(manager.recovery().waiting, accepted as u64);
}

pub(crate) fn a_job_may_shut_its_own_manager_down(place: &dyn Place) {
    let own: Arc<Mutex<Option<Manager>>> = Arc::default();
    let (said, reports) = channel();
    let (inside, said) = (Arc::clone(&own), Mutex::new(said));
    let manager = one_worker(place)
        .handle::<Work>(move |_, _| {
            let own = inside.lock().unwrap().take().unwrap();
            let report = own.shutdown(HOUR)?;
            said.lock().unwrap().send(report).unwrap();
            Ok(String::new())
        })
        .start()
        .unwrap();
    *own.lock().unwrap() = Some(manager.clone());
    let receipt = manager.enqueue(work("a")).unwrap();
    let seen = reports.recv_timeout(PATIENCE).unwrap();
    assert_eq!(still_running(&seen), (receipt.number(), "default-worker-1"));
    let shutdown = manager.shutdown(PATIENCE).unwrap();
    assert_eq!(shutdown.still_running, []);
    assert!(manager.enqueue(work("b")).unwrap_err().is_shut_down());
    let manager = one_worker(place).start().unwrap();
    assert!(manager.completed(&receipt).unwrap().is_some());
}

pub(crate) fn a_job_that_shuts_another_manager_down_waits_for_it(place: &dyn Place) {
    let door = Door::new();
    let other = through(one_worker(place), &door).start().unwrap();
    let receipt = other.enqueue(work("other")).unwrap();
    door.arrived();
    let (begins, begun) = channel();
    let (inside, begins) = (other.clone(), Mutex::new(begins));
    let manager = Manager::builder(MemoryStore::new())
        .handle::<Work>(move |_, _| {
            begins.lock().unwrap().send(()).unwrap();
            let shutdown = inside.shutdown(PATIENCE)?;
            Ok(format!("{shutdown:?}"))
        })
        .start()
        .unwrap();
    let shutting = manager.enqueue(work("shutting")).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    until_shut_down(&other);
    door.open(1);
    let done = manager.wait(&shutting, PATIENCE).unwrap();
    let output = done.output().unwrap();
    assert_eq!(*output, format!("{:?}", report(1, 0)));
    let again = one_worker(place).start().unwrap();
    assert!(again.completed(&receipt).unwrap().is_some());
}

pub(crate) fn a_waiter_learns_of_the_end(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    let error = scope(|scope| {
        let waiter = scope.spawn(|| manager.wait(&receipt, HOUR).unwrap_err());
        manager.shutdown(PATIENCE).unwrap();
        waiter.join().unwrap()
    });
    // It may begin to wait before the shutdown, amid it or after it.
    let said = error.to_string();
    assert!(said.starts_with("wait for job 1: the manager "), "{said}");
    assert!(error.is_shut_down());
}

/// Nothing starts any more: who waits for a job that does not run need not wait for those that do.
pub(crate) fn who_waits_for_what_does_not_run_is_sent_away_at_once(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let running = manager.enqueue(work("runs")).unwrap();
    let later = NewJob::new(work("later")).delay(HOUR);
    let later = manager.enqueue(later).unwrap();
    assert_eq!(door.arrived(), "runs");
    until(&manager, &running, StateKind::Running);
    scope(|scope| {
        let waits = scope.spawn(|| manager.wait(&later, HOUR).unwrap_err());
        let awaits = scope.spawn(|| block_on(manager.finished(&later)).unwrap_err());
        let shutdown = scope.spawn(|| manager.shutdown(HOUR).unwrap());
        until_shut_down(&manager);
        // One that comes now likewise.
        let comes = manager.wait(&later, HOUR).unwrap_err();
        for error in [waits.join().unwrap(), awaits.join().unwrap(), comes] {
            assert_eq!(
                error.to_string(),
                "wait for job 2: the manager is shutting down, and the job does not run, so that it \
                 ends no more: wait for it at the next manager on the store"
            );
            assert!(error.is_shut_down());
        }
        door.open(1);
        assert_eq!(shutdown.join().unwrap(), report(1, 0));
    });
}

pub(crate) fn a_wait_within_a_job_ends_with_the_shutdown(place: &dyn Place) {
    let own = Arc::new(OnceLock::<WeakManager>::new());
    let (inside, door) = (Arc::clone(&own), Door::new());
    let before = door.clone();
    let manager = one_worker(place)
        .handle::<Work>(move |work, _| {
            let manager = inside.wait().upgrade().unwrap();
            let child = NewJob::new(Other { amount: 1 }).delay(HOUR);
            let child = manager.enqueue(child.queue("other"))?;
            before.enter(&work.label);
            let error = manager.wait(&child, HOUR).unwrap_err();
            Ok(error.is_shut_down().to_string())
        })
        .handle::<Other>(|other, _| Ok(other.amount))
        .queue(Queue::new("other").workers(1))
        .start()
        .unwrap();
    own.set(manager.downgrade()).unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    door.open(1);
    assert_eq!(manager.shutdown(HOUR).unwrap(), report(1, 0));
    let manager = one_worker(place).start().unwrap();
    let done = manager.completed(&receipt).unwrap().unwrap();
    assert_eq!(done.into_output().unwrap(), "true");
}

/// It is frozen for a snapshot, or a network mount is gone.
pub(crate) fn a_store_that_does_not_answer_holds_up_no_shutdown(place: &dyn Place) {
    let store = GatedStore::new(place.open());
    let (gate, door, clock) = (store.gate(), Door::new(), ManualClock::new());
    let builder = Manager::builder(store).queue(Queue::new("default").workers(2));
    let (builder, leaving) = through_and_leaving(builder, &door);
    let manager = builder.clock(clock.clone()).start().unwrap();
    let receipts = manager.enqueue_all(["a", "b"].map(work)).unwrap();
    door.arrived();
    door.arrived();
    for receipt in &receipts {
        until(&manager, receipt, StateKind::Running);
    }
    gate.shut();
    let since = clock.wall();
    let waiting = manager.submit(work("c"));
    gate.reached();
    clock.advance(4 * SECOND);
    assert_eq!(manager.health(), Health::Working);
    let report = scope(|scope| {
        let shutdown = scope.spawn(|| manager.shutdown(HOUR).unwrap());
        while Task::new()
            .poll(&mut manager.submit(work("d")))
            .is_pending()
        {
            std::thread::yield_now();
        }
        // One of them ends, and nobody reads how.
        door.open(1);
        leaving.recv_timeout(PATIENCE).unwrap();
        clock.advance(HOUR);
        shutdown.join().unwrap()
    });
    assert_eq!(manager.health(), Health::Stalled { since });
    assert_eq!(report.stalled, Some(since));
    let [unrecorded] = report.unrecorded[..] else {
        panic!("{report:?}");
    };
    let (running, _) = still_running(&report);
    let mut named = [running, unrecorded];
    named.sort_unstable();
    assert!(receipts.iter().map(Receipt::number).eq(named), "{report:?}");
    gate.open();
    door.open(1);
    assert!(waiting.wait().is_ok());
    assert_eq!(manager.shutdown(HOUR).unwrap().stalled, None);
}

pub(crate) fn a_store_that_does_not_answer_holds_up_no_drop(place: &dyn Place) {
    let store = GatedStore::new(place.open());
    let (gate, clock) = (store.gate(), ManualClock::new());
    let manager = Manager::builder(store)
        .clock(clock.clone())
        .start()
        .unwrap();
    gate.shut();
    let waiting = manager.submit(Other { amount: 1 });
    gate.reached();
    scope(|scope| {
        let dropped = scope.spawn(move || drop(manager));
        while !dropped.is_finished() {
            clock.advance(SECOND);
            std::thread::yield_now();
        }
    });
    gate.open();
    assert!(waiting.wait().is_ok());
}

/// The committer's last word may be long ago when somebody asks for it.
pub(crate) fn threads_that_have_returned_are_in_no_report(place: &dyn Place) {
    let store = place.open();
    let (faults, door) = (store.faults(), Door::new());
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let manager = through(builder, &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let fault = Fault::next(Operation::Commit).unknown();
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
    manager.enqueue(work("b")).unwrap_err();
    while manager.stuck().is_empty() {
        std::thread::yield_now();
    }
    door.open(1);
    until_nothing_is_stuck(&manager);
    let shutdown = manager.shutdown(PATIENCE).unwrap();
    assert_eq!(shutdown.still_running, []);
    assert_eq!(shutdown.unrecorded, [receipt.number()]);
    assert_eq!(manager.shutdown(PATIENCE).unwrap(), shutdown);
}

pub(crate) fn a_waiter_gets_what_ends_within_the_grace(place: &dyn Place) {
    let (door, waiters) = (Door::new(), 8);
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    scope(|scope| {
        let waiters: Vec<_> = (0..waiters)
            .map(|_| {
                let (begun, begins) = channel();
                let (manager, receipt) = (&manager, &receipt);
                let waiter = scope.spawn(move || {
                    begun.send(()).unwrap();
                    manager.wait(receipt, HOUR).map(|done| done.attempts())
                });
                begins.recv_timeout(PATIENCE).unwrap();
                waiter
            })
            .collect();
        let shutdown = scope.spawn(|| manager.shutdown(PATIENCE).unwrap());
        until_shut_down(&manager);
        door.open(1);
        for waiter in waiters {
            match waiter.join().unwrap() {
                Ok(attempts) => assert_eq!(attempts, 1),
                // It began to wait only after the end.
                Err(error) => assert!(error.is_shut_down(), "{error}"),
            }
        }
        assert_eq!(shutdown.join().unwrap(), report(1, 0));
    });
}
