//! Jobs that the process died beside. A store whose commits fail with an unknown outcome from some
//! moment on shows the next opening what a process shows that died then.

use std::sync::mpsc::{Sender, channel};
use std::thread::scope;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    AttemptEnd, Builder, Health, JobNumber, ListedJob, Manager, NewJob, Observer, ParkReason,
    Queue, Receipt, StateKind, event,
};
use jobkeep_store::conformance::{Fault, Lasting, Operation};

use crate::place::{Door, HOUR, Other, PATIENCE, Place, SECOND, Work, succeeding, through, work};
use crate::restarting::until_nothing_is_stuck;
use crate::retrying::until;

pub(crate) const PROBATION: Duration = Duration::from_secs(30);

fn builder(place: &dyn Place, workers: usize) -> Builder {
    Manager::builder(place.open()).queue(Queue::new("default").workers(workers))
}

/// Has an opening die while these jobs run, which must be the first ones to start. They are queued
/// where there are none yet.
pub(crate) fn die_beside(place: &dyn Place, labels: &[&str], receipts: &mut Vec<Receipt<Work>>) {
    let store = place.open();
    let faults = store.faults();
    let builder = Manager::builder(store).queue(Queue::new("default").workers(labels.len()));
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    if receipts.is_empty() {
        receipts.extend(
            manager
                .enqueue_all(labels.iter().map(|label| work(*label)))
                .unwrap(),
        );
    }
    let mut arrived: Vec<_> = labels.iter().map(|_| door.arrived()).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, labels);
    kill(&manager, &faults);
    door.open(labels.len());
    until_nothing_is_stuck(&manager);
}

pub(crate) fn kill(manager: &Manager, faults: &jobkeep_store::conformance::Faults) {
    let fault = Fault::next(Operation::Commit).unknown();
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
    manager.enqueue(work("never written")).unwrap_err();
    manager.shutdown(Duration::ZERO).unwrap();
}

/// Two jobs that were in flight at two unclean ends.
pub(crate) fn two_suspects(place: &dyn Place) -> Vec<Receipt<Work>> {
    let mut receipts = Vec::new();
    die_beside(place, &["a", "b"], &mut receipts);
    die_beside(place, &["a", "b"], &mut receipts);
    receipts
}

/// A turn of the committer has gone by since whatever happened before.
pub(crate) fn a_turn(manager: &Manager) {
    manager.counts().unwrap();
}

/// Two jobs come to the door side by side, and end well.
fn both_run_at_once(manager: &Manager, door: &Door, receipts: &[Receipt<Work>]) {
    door.arrived();
    door.arrived();
    door.open(2);
    for receipt in receipts {
        manager.wait(receipt, PATIENCE).unwrap();
    }
}

pub(crate) fn a_single_unclean_end_makes_nobody_a_suspect(place: &dyn Place) {
    let mut receipts = Vec::new();
    die_beside(place, &["a", "b"], &mut receipts);
    let door = Door::new();
    let manager = through(builder(place, 2), &door).start().unwrap();
    // Side by side.
    door.arrived();
    door.arrived();
    door.open(2);
    for receipt in &receipts {
        assert_eq!(manager.wait(receipt, PATIENCE).unwrap().interruptions(), 1);
    }
}

pub(crate) fn suspects_run_one_at_a_time_with_nothing_beside_them(place: &dyn Place) {
    let receipts = two_suspects(place);
    let clock = ManualClock::new();
    let door = Door::new();
    let manager = through(builder(place, 4), &door)
        .clock(clock.clone())
        .start()
        .unwrap();
    let neighbour = manager.enqueue(work("neighbour")).unwrap();
    for (label, receipt) in ["a", "b"].iter().zip(&receipts) {
        assert_eq!(door.arrived(), *label);
        until(&manager, receipt, StateKind::Running);
        clock.advance(PROBATION - SECOND);
        a_turn(&manager);
        a_turn(&manager);
        assert!(door.is_quiet());
        assert_eq!(manager.counts().unwrap().running, 1);
        door.open(1);
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!((done.attempts(), done.interruptions()), (1, 2));
    }
    assert_eq!(door.arrived(), "neighbour");
    door.open(1);
    manager.wait(&neighbour, PATIENCE).unwrap();
}

pub(crate) fn after_its_probation_the_pools_start_again_around_a_suspect(place: &dyn Place) {
    let receipts = two_suspects(place);
    let clock = ManualClock::new();
    let door = Door::new();
    let manager = through(builder(place, 4), &door)
        .clock(clock.clone())
        .start()
        .unwrap();
    manager.enqueue(work("neighbour")).unwrap();
    assert_eq!(door.arrived(), "a");
    clock.advance(PROBATION);
    assert_eq!(door.arrived(), "neighbour");
    // The other suspect still waits for its turn alone.
    a_turn(&manager);
    assert!(door.is_quiet());
    assert_eq!(
        manager.status(&receipts[1]).unwrap().state(),
        StateKind::Ready
    );
    door.open(2);
    assert_eq!(door.arrived(), "b");
    door.open(1);
    manager.wait(&receipts[1], PATIENCE).unwrap();
}

pub(crate) fn a_job_beside_which_the_process_died_alone_is_parked(place: &dyn Place) {
    let receipts = two_suspects(place);
    let store = place.open();
    let faults = store.faults();
    let queue = Queue::new("default").workers(4);
    let door = Door::new();
    let manager = through(Manager::builder(store).queue(queue), &door)
        .start()
        .unwrap();
    let neighbour = manager.enqueue(work("neighbour")).unwrap();
    assert_eq!(door.arrived(), "a");
    kill(&manager, &faults);
    door.open(1);
    until_nothing_is_stuck(&manager);
    drop(manager);

    let door = Door::new();
    let manager = through(builder(place, 4), &door).start().unwrap();
    let status = manager.status(&receipts[0]).unwrap();
    assert_eq!(status.state(), StateKind::Parked);
    assert_eq!(status.parked(), Some(&ParkReason::Crashing(3)));
    assert_eq!(status.interruptions(), 3);
    // The others finish; the second suspect was not in flight this time.
    let mut arrived = [door.arrived(), door.arrived()];
    arrived.sort_unstable();
    assert_eq!(arrived, ["b", "neighbour"]);
    door.open(2);
    for receipt in [&receipts[1], &neighbour] {
        manager.wait(receipt, PATIENCE).unwrap();
    }
    drop(manager);
    // Not even the next start runs it.
    let door = Door::new();
    let manager = through(builder(place, 4), &door).start().unwrap();
    a_turn(&manager);
    assert_eq!(manager.counts().unwrap().parked, 1);
    assert!(door.is_quiet());
    // Somebody who has seen to it lets it run again, like any other job.
    manager.retry(&receipts[0]).unwrap();
    assert_eq!(door.arrived(), "a");
    door.open(1);
    let done = manager.wait(&receipts[0], PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 3));
    let interrupted =
        |attempt: &jobkeep::Attempt| matches!(attempt.end, AttemptEnd::Interrupted { .. });
    assert!(done.history()[1..].iter().all(interrupted));
}

pub(crate) fn any_other_end_frees_a_suspect(place: &dyn Place) {
    let receipts = two_suspects(place);
    let clock = ManualClock::new();
    let manager = builder(place, 2)
        .clock(clock.clone())
        .handle::<Work>(|work, ctx| {
            work.runs += 1;
            if ctx.attempt() == 1 {
                return Err(jobkeep::JobError::retry_after(SECOND, "once more"));
            }
            Ok(String::new())
        })
        .start()
        .unwrap();
    for receipt in &receipts {
        until(&manager, receipt, StateKind::Scheduled);
    }
    drop(manager);
    // In flight again at an unclean end, as for the first time.
    let store = place.open();
    let faults = store.faults();
    let door = Door::new();
    let queue = Queue::new("default").workers(2);
    let manager = through(Manager::builder(store).queue(queue), &door)
        .clock(clock.clone())
        .start()
        .unwrap();
    clock.advance(HOUR);
    door.arrived();
    door.arrived();
    kill(&manager, &faults);
    door.open(2);
    until_nothing_is_stuck(&manager);
    drop(manager);
    let door = Door::new();
    let manager = through(builder(place, 2), &door)
        .clock(clock)
        .start()
        .unwrap();
    both_run_at_once(&manager, &door, &receipts);
}

/// A job that is longer than the time between two deployments is no suspect.
pub(crate) fn a_job_that_outlasts_an_orderly_shutdown_is_no_suspect(place: &dyn Place) {
    let mut receipts = Vec::new();
    for _ in 0..3 {
        let door = Door::new();
        let manager = through(builder(place, 2), &door).start().unwrap();
        if receipts.is_empty() {
            receipts = manager.enqueue_all(["a", "b"].map(work)).unwrap();
        }
        door.arrived();
        door.arrived();
        let shutdown = manager.shutdown(Duration::ZERO).unwrap();
        assert_eq!(shutdown.still_running.len(), 2);
        door.open(2);
    }
    let manager = succeeding(builder(place, 2)).start().unwrap();
    for receipt in &receipts {
        assert_eq!(manager.wait(receipt, PATIENCE).unwrap().interruptions(), 3);
    }
}

pub(crate) fn without_a_probation_nobody_is_suspected(place: &dyn Place) {
    let receipts = two_suspects(place);
    let door = Door::new();
    let manager = through(builder(place, 2), &door)
        .probation(Duration::ZERO)
        .start()
        .unwrap();
    both_run_at_once(&manager, &door, &receipts);
}

pub(crate) fn a_suspect_is_cancelled_or_removed_like_any_other(place: &dyn Place) {
    let receipts = two_suspects(place);
    let manager = succeeding(builder(place, 0)).start().unwrap();
    assert_eq!(manager.counts().unwrap().ready, 2);
    manager.cancel(&receipts[0]).unwrap();
    manager.remove(&receipts[1]).unwrap();
    let counts = manager.counts().unwrap();
    assert_eq!((counts.ready, counts.cancelled), (0, 1));
}

pub(crate) fn a_suspect_whose_claim_is_not_written_is_still_one(place: &dyn Place) {
    let receipts = two_suspects(place);
    let store = place.open();
    let faults = store.faults();
    let door = Door::new();
    let queue = Queue::new("default").workers(2);
    // The opening is the first commit; the claim of the first suspect is not written.
    faults.arm(Fault::nth(Operation::Commit, 2).full());
    let manager = through(Manager::builder(store).queue(queue), &door)
        .start()
        .unwrap();
    a_turn(&manager);
    for (label, receipt) in ["a", "b"].iter().zip(&receipts) {
        assert_eq!(door.arrived(), *label);
        a_turn(&manager);
        assert!(door.is_quiet());
        door.open(1);
        manager.wait(receipt, PATIENCE).unwrap();
    }
}

pub(crate) fn a_suspect_whose_cancellation_is_refused_is_still_one(place: &dyn Place) {
    let receipts = two_suspects(place);
    let store = place.open();
    let faults = store.faults();
    let clock = ManualClock::new();
    let door = Door::new();
    let queue = Queue::new("default").workers(4);
    let manager = through(Manager::builder(store).queue(queue), &door)
        .clock(clock.clone())
        .start()
        .unwrap();
    manager.enqueue(work("neighbour")).unwrap();
    assert_eq!(door.arrived(), "a");
    let full = Fault::next(Operation::Commit).full();
    faults.arm(full.lasting(Lasting::UntilDisarmed));
    manager.cancel(&receipts[1]).unwrap_err();
    manager.remove(&receipts[1]).unwrap_err();
    faults.disarm();
    clock.advance(SECOND);
    while manager.health() != Health::Working {
        std::thread::yield_now();
    }
    door.open(1);
    assert_eq!(door.arrived(), "b");
    a_turn(&manager);
    a_turn(&manager);
    assert!(door.is_quiet());
    door.open(1);
    assert_eq!(door.arrived(), "neighbour");
    door.open(1);
}

pub(crate) fn a_suspect_of_a_paused_queue_holds_nobody_up_and_runs_alone_later(place: &dyn Place) {
    let receipts = two_suspects(place);
    let door = Door::new();
    let inside = door.clone();
    let kit = succeeding(builder(place, 4).queue(Queue::new("other")))
        .handle::<Other>(move |other, _| {
            inside.enter(&other.amount.to_string());
            Ok(0)
        })
        .start_for_tests()
        .unwrap();
    kit.pause("default").unwrap();
    let neighbour = kit.enqueue(work("neighbour")).unwrap();
    let other = NewJob::new(Other { amount: 1 }).queue("other");
    let beside = kit.enqueue(other).unwrap();
    // They are listed where they stand.
    let page = kit.jobs(StateKind::Ready, None, 2).unwrap();
    let suspects = receipts.iter().map(Receipt::number);
    assert!(page.jobs().iter().map(ListedJob::number).eq(suspects));
    assert_eq!(kit.run_one("default").unwrap(), None);
    scope(|scope| {
        let ran = scope.spawn(|| kit.run_one("other").unwrap());
        assert_eq!(door.arrived(), "1");
        kit.resume("default").unwrap();
        assert_eq!(kit.run_one("default").unwrap(), None);
        door.open(1);
        assert_eq!(ran.join().unwrap(), Some(beside.untyped()));
    });
    let first = kit.run_one("default").unwrap();
    assert_eq!(first, Some(receipts[0].untyped()));
    kit.pause_and_wait("default", PATIENCE).unwrap();
    assert_eq!(kit.run_one("default").unwrap(), None);
    kit.resume("default").unwrap();
    let rest = [receipts[1].untyped(), neighbour.untyped()];
    assert_eq!(kit.drain("default").unwrap(), rest);
}

pub(crate) fn a_kit_runs_suspects_one_by_one_before_the_others(place: &dyn Place) {
    let receipts = two_suspects(place);
    let kit = succeeding(builder(place, 4)).start_for_tests().unwrap();
    let neighbour = kit.enqueue(work("neighbour")).unwrap();
    let mut expected: Vec<_> = receipts.iter().map(Receipt::untyped).collect();
    expected.push(neighbour.untyped());
    assert_eq!(kit.drain("default").unwrap(), expected);
    let done = kit.completed(&receipts[0]).unwrap().unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 2));
}

struct Retries(Sender<(JobNumber, Option<String>)>);

impl Observer for Retries {
    fn retried(&self, event: &event::Retried) {
        let error = event.error().map(Into::into);
        self.0.send((event.job(), error)).unwrap();
    }
}

pub(crate) fn the_retry_of_a_job_parked_as_crashing_is_told(place: &dyn Place) {
    let receipts = two_suspects(place);
    die_beside(place, &["a"], &mut receipts.clone());
    let (told, heard) = channel();
    let manager = succeeding(builder(place, 1))
        .observer(Retries(told))
        .start()
        .unwrap();
    manager.retry(&receipts[0]).unwrap();
    manager.wait(&receipts[0], PATIENCE).unwrap();
    drop(manager);
    assert_eq!(
        heard.iter().collect::<Vec<_>>(),
        [(receipts[0].number(), None)]
    );
}

#[cfg(all(unix, feature = "redb"))]
mod aborting {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;
    use jobkeep::RedbStore;

    /// The folder of the store, for the process that dies.
    const FOLDER: &str = "JOBKEEP_TEST_ABORTING";

    #[test]
    fn a_job_that_aborts_its_process_is_parked_and_its_neighbours_finish() {
        if let Some(folder) = std::env::var_os(FOLDER) {
            return run_until_death(folder.into());
        }
        let folder = tempfile::tempdir().unwrap();
        let name = "suspecting::aborting::a_job_that_aborts_its_process_is_parked_and_its_neighbours_finish";
        let run = || {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name, "--test-threads", "1"])
                .env(FOLDER, folder.path())
                .output()
                .unwrap()
        };
        let deaths = (0..10).take_while(|_| !run().status.success()).count();
        // Beside others, beside others, alone.
        assert_eq!(deaths, 3);
        let manager = start(folder.path().into());
        let counts = manager.counts().unwrap();
        assert_eq!((counts.parked, counts.succeeded), (1, 8), "{counts:?}");
    }

    fn start(folder: PathBuf) -> Manager {
        let store = RedbStore::open(folder.join("jobs.redb")).unwrap();
        Manager::builder(store)
            .queue(Queue::new("default").workers(3))
            .handle::<Work>(|work, _| {
                if work.label == "4" {
                    std::process::abort();
                }
                Ok(String::new())
            })
            .start()
            .unwrap()
    }

    fn run_until_death(folder: PathBuf) {
        let manager = start(folder);
        if manager.recovery().waiting == 0 && manager.counts().unwrap().succeeded == 0 {
            let jobs = (0..9).map(|n| work(n.to_string()));
            // One commit: it is accepted, or this is the first start.
            drop(manager.enqueue_all(jobs).unwrap());
        }
        while manager.counts().unwrap().succeeded < 8 {
            std::thread::yield_now();
        }
        assert_eq!(manager.counts().unwrap().parked, 1);
    }
}
