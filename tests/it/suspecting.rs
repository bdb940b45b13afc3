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
use jobkeep_store::conformance::{Fault, Faults, Lasting, Operation};

use crate::place::{Door, HOUR, Other, PATIENCE, Place, SECOND, Work, succeeding, through, work};
use crate::restarting::until_nothing_is_stuck;
use crate::retrying::until;
use crate::shutdown::until_shut_down;

pub(crate) const PROBATION: Duration = Duration::from_secs(30);

fn builder(place: &dyn Place, workers: usize) -> Builder {
    Manager::builder(place.open()).queue(Queue::new("default").workers(workers))
}

/// Has an opening die while these jobs run, which must be the first ones to start. They are queued
/// where there are none yet.
fn die_beside(place: &dyn Place, labels: &[&str], receipts: &mut Vec<Receipt<Work>>) {
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

pub(crate) fn kill(manager: &Manager, faults: &Faults) {
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

/// A manager whose jobs go through the door, and the faults that end it.
fn mortal(place: &dyn Place, clock: &ManualClock, door: &Door) -> (Manager, Faults) {
    let store = place.open();
    let faults = store.faults();
    let builder = Manager::builder(store)
        .queue(Queue::new("default").workers(4))
        .queue(Queue::new("mail").workers(1));
    let builder = through(builder, door).handle::<Other>(|other, _| Ok(other.amount));
    (builder.clock(clock.clone()).start().unwrap(), faults)
}

/// The process dies: what its threads still do, nobody learns.
fn die(manager: Manager, faults: &Faults, door: &Door, inside: usize) {
    kill(&manager, faults);
    door.open(inside);
    until_nothing_is_stuck(&manager);
}

fn assert_nobody_comes(manager: &Manager, door: &Door) {
    a_turn(manager);
    a_turn(manager);
    assert!(door.is_quiet());
}

pub(crate) fn suspects_begin_one_at_a_time_and_nothing_waits_for_them(place: &dyn Place) {
    let receipts = two_suspects(place);
    let (clock, door) = (ManualClock::new(), Door::new());
    let (manager, _) = mortal(place, &clock, &door);
    let recovery = manager.recovery();
    assert_eq!((recovery.interrupted, recovery.suspects), (2, 2));
    let neighbour = manager.enqueue(work("neighbour")).unwrap();
    assert_eq!(door.arrived(), "neighbour");
    door.open(1);
    manager.wait(&neighbour, PATIENCE).unwrap();
    clock.advance(PROBATION - SECOND);
    assert_nobody_comes(&manager, &door);
    clock.advance(SECOND);
    assert_eq!(door.arrived(), "a");
    until(&manager, &receipts[0], StateKind::Running);
    clock.advance(PROBATION - SECOND);
    assert_nobody_comes(&manager, &door);
    door.open(1);
    assert_eq!(door.arrived(), "b");
    door.open(1);
    for receipt in &receipts {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!((done.attempts(), done.interruptions()), (1, 2));
    }
}

pub(crate) fn a_suspect_that_lasts_is_free_and_the_next_one_begins(place: &dyn Place) {
    let receipts = two_suspects(place);
    let (clock, door) = (ManualClock::new(), Door::new());
    let (manager, faults) = mortal(place, &clock, &door);
    clock.advance(PROBATION);
    assert_eq!(door.arrived(), "a");
    until(&manager, &receipts[0], StateKind::Running);
    clock.advance(PROBATION);
    assert_eq!(door.arrived(), "b");
    die(manager, &faults, &door, 2);

    let door = Door::new();
    let (manager, _) = mortal(place, &clock, &door);
    assert_eq!(manager.recovery().suspects, 1);
    assert_eq!(door.arrived(), "a");
    // Longer than the first time.
    clock.advance(2 * PROBATION - SECOND);
    assert_nobody_comes(&manager, &door);
    clock.advance(SECOND);
    assert_eq!(door.arrived(), "b");
    door.open(2);
    for receipt in &receipts {
        manager.wait(receipt, PATIENCE).unwrap();
    }
}

/// The first of two suspects is parked: processes died beside it however long they had lived.
pub(crate) fn park_as_crashing(place: &dyn Place, clock: &ManualClock) -> Vec<Receipt<Work>> {
    let receipts = two_suspects(place);
    for held in [PROBATION, 2 * PROBATION] {
        let door = Door::new();
        let (manager, faults) = mortal(place, clock, &door);
        if held > PROBATION {
            // It was held back when the process died, and is free.
            assert_eq!(door.arrived(), "b");
            door.open(1);
            manager.wait(&receipts[1], PATIENCE).unwrap();
        }
        clock.advance(held);
        assert_eq!(door.arrived(), "a");
        until(&manager, &receipts[0], StateKind::Running);
        die(manager, &faults, &door, 1);
    }
    receipts
}

pub(crate) fn a_job_beside_which_processes_go_on_to_die_is_parked(place: &dyn Place) {
    let clock = ManualClock::new();
    let receipts = park_as_crashing(place, &clock);
    let door = Door::new();
    let (manager, _) = mortal(place, &clock, &door);
    let status = manager.status(&receipts[0]).unwrap();
    assert_eq!(status.state(), StateKind::Parked);
    assert_eq!(status.parked(), Some(&ParkReason::Crashing(4)));
    assert_eq!(status.interruptions(), 4);
    drop(manager);
    // Not even the next start runs it.
    let (manager, _) = mortal(place, &clock, &door);
    clock.advance(HOUR);
    assert_nobody_comes(&manager, &door);
    assert_eq!(manager.counts().unwrap().parked, 1);
    // Somebody who has seen to it lets it run again, like any other job.
    manager.retry(&receipts[0]).unwrap();
    assert_eq!(door.arrived(), "a");
    door.open(1);
    let done = manager.wait(&receipts[0], PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 4));
    let interrupted =
        |attempt: &jobkeep::Attempt| matches!(attempt.end, AttemptEnd::Interrupted { .. });
    assert!(done.history()[1..].iter().all(interrupted));
}

/// Whatever ends it, such as a limit on the size of files or a program that just ends, does so without
/// the suspects too.
pub(crate) fn processes_that_die_before_a_suspect_begins_park_nobody(place: &dyn Place) {
    let receipts = two_suspects(place);
    let clock = ManualClock::new();
    for _ in 0..3 {
        let door = Door::new();
        let (manager, faults) = mortal(place, &clock, &door);
        assert_eq!(manager.recovery().suspects, 2);
        assert_nobody_comes(&manager, &door);
        die(manager, &faults, &door, 0);

        let (manager, faults) = mortal(place, &clock, &door);
        assert_eq!(manager.recovery().suspects, 0);
        for receipt in &receipts {
            until(&manager, receipt, StateKind::Running);
        }
        die(manager, &faults, &door, 2);
    }
    let door = Door::new();
    let (manager, _) = mortal(place, &clock, &door);
    clock.advance(PROBATION);
    door.open(2);
    for receipt in &receipts {
        assert_eq!(manager.wait(receipt, PATIENCE).unwrap().interruptions(), 5);
    }
}

/// A service that is killed to be restarted, with a job of many minutes in flight.
pub(crate) fn a_job_that_has_run_for_long_is_never_suspected(place: &dyn Place) {
    let (clock, mut invoice) = (ManualClock::new(), None);
    for _ in 0..6 {
        let door = Door::new();
        let (manager, faults) = mortal(place, &clock, &door);
        let receipt = invoice.get_or_insert_with(|| manager.enqueue(work("invoice")).unwrap());
        assert_eq!(door.arrived(), "invoice");
        until(&manager, receipt, StateKind::Running);
        clock.advance(PROBATION);
        // The turn that notes how long it has run.
        a_turn(&manager);
        assert_eq!(manager.recovery().suspects, 0);
        die(manager, &faults, &door, 1);
    }
    let manager = succeeding(builder(place, 1)).clock(clock).start().unwrap();
    let done = manager.wait(&invoice.unwrap(), PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 6));
}

/// The same, killed two seconds after each start: nothing else waits, and the job is never parked.
pub(crate) fn restarts_in_quick_succession_hold_up_no_other_queue(place: &dyn Place) {
    let (clock, mut invoice) = (ManualClock::new(), None);
    let mut suspected = 0;
    for _ in 0..8 {
        let door = Door::new();
        let (manager, faults) = mortal(place, &clock, &door);
        let receipt = invoice.get_or_insert_with(|| manager.enqueue(work("invoice")).unwrap());
        let suspects = manager.recovery().suspects;
        suspected += suspects;
        if suspects == 0 {
            until(&manager, receipt, StateKind::Running);
        }
        let mail = NewJob::new(Other { amount: 1 }).queue("mail");
        let mail = manager.enqueue(mail).unwrap();
        manager.wait(&mail, PATIENCE).unwrap();
        clock.advance(2 * SECOND);
        assert_ne!(manager.status(receipt).unwrap().state(), StateKind::Parked);
        die(manager, &faults, &door, usize::from(suspects == 0));
    }
    assert_eq!(suspected, 3);
}

/// A shutdown that takes longer than the grace of whoever then kills the process.
pub(crate) fn an_end_in_order_counts_from_its_beginning(place: &dyn Place) {
    let mut long = None;
    for _ in 0..4 {
        let store = place.open();
        let (faults, door) = (store.faults(), Door::new());
        let inside = door.clone();
        let manager = Manager::builder(store)
            .handle::<Work>(move |work, ctx| {
                inside.enter(&work.label);
                ctx.checkpoint(work)?;
                inside.enter("written");
                Ok(String::new())
            })
            .start()
            .unwrap();
        assert_eq!(manager.recovery().suspects, 0);
        let long = long.get_or_insert_with(|| manager.enqueue(work("long")).unwrap());
        assert_eq!(door.arrived(), "long");
        until(&manager, long, StateKind::Running);
        scope(|scope| {
            let shutdown = scope.spawn(|| manager.shutdown(HOUR).unwrap());
            until_shut_down(&manager);
            door.open(1);
            assert_eq!(door.arrived(), "written");
            let fault = Fault::next(Operation::Commit).unknown();
            faults.arm(fault.lasting(Lasting::UntilDisarmed));
            let killed = manager.shutdown(Duration::ZERO).unwrap();
            assert_eq!(shutdown.join().unwrap(), killed);
        });
        door.open(1);
        until_nothing_is_stuck(&manager);
    }
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
    clock.advance(PROBATION);
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
    let (clock, door) = (ManualClock::new(), Door::new());
    let (manager, faults) = mortal(place, &clock, &door);
    a_turn(&manager);
    // The claim of the first suspect is not written.
    faults.arm(Fault::nth(Operation::Commit, 1).full());
    clock.advance(PROBATION);
    for (label, receipt) in ["a", "b"].iter().zip(&receipts) {
        assert_eq!(door.arrived(), *label);
        assert_nobody_comes(&manager, &door);
        door.open(1);
        manager.wait(receipt, PATIENCE).unwrap();
    }
}

pub(crate) fn a_suspect_whose_cancellation_is_refused_is_still_one(place: &dyn Place) {
    let receipts = two_suspects(place);
    let (clock, door) = (ManualClock::new(), Door::new());
    let (manager, faults) = mortal(place, &clock, &door);
    clock.advance(PROBATION);
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
    assert_nobody_comes(&manager, &door);
    door.open(1);
    assert_eq!(door.arrived(), "b");
    door.open(1);
    manager.wait(&receipts[1], PATIENCE).unwrap();
}

pub(crate) fn a_suspect_of_a_paused_queue_begins_when_that_is_resumed(place: &dyn Place) {
    let receipts = two_suspects(place);
    let clock = ManualClock::new();
    let kit = succeeding(builder(place, 4)).clock(clock.clone());
    let kit = kit.start_for_tests().unwrap();
    kit.pause("default").unwrap();
    let neighbour = kit.enqueue(work("neighbour")).unwrap();
    clock.advance(PROBATION);
    // They are listed where they stand.
    let page = kit.jobs(StateKind::Ready, None, 2).unwrap();
    let suspects = receipts.iter().map(Receipt::number);
    assert!(page.jobs().iter().map(ListedJob::number).eq(suspects));
    assert_eq!(kit.run_one("default").unwrap(), None);
    kit.resume("default").unwrap();
    let all = [&receipts[0], &receipts[1], &neighbour].map(Receipt::untyped);
    assert_eq!(kit.drain("default").unwrap(), all);
}

pub(crate) fn a_kit_runs_suspects_when_its_clock_has_moved(place: &dyn Place) {
    let receipts = two_suspects(place);
    let clock = ManualClock::new();
    let kit = succeeding(builder(place, 4)).clock(clock.clone());
    let kit = kit.start_for_tests().unwrap();
    let neighbour = kit.enqueue(work("neighbour")).unwrap();
    assert_eq!(kit.drain("default").unwrap(), [neighbour.untyped()]);
    clock.advance(PROBATION);
    let both = [&receipts[0], &receipts[1]].map(Receipt::untyped);
    assert_eq!(kit.drain("default").unwrap(), both);
    let done = kit.completed(&receipts[0]).unwrap().unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 2));
}

struct Suspicions(Sender<(JobNumber, u32, u64)>);

impl Observer for Suspicions {
    fn suspected(&self, event: &event::Suspected) {
        let held = event.until().since(event.at());
        let held = u64::try_from(held.as_millis()).unwrap();
        let told = (event.job(), event.unclean_ends(), held);
        self.0.send(told).unwrap();
    }
}

pub(crate) fn an_observer_hears_of_suspects(place: &dyn Place) {
    let receipts = two_suspects(place);
    let (told, heard) = channel();
    let builder = succeeding(builder(place, 1)).clock(ManualClock::new());
    let manager = builder.observer(Suspicions(told)).start().unwrap();
    drop(manager);
    let heard: Vec<_> = heard.iter().collect();
    let expected = receipts.iter().map(|receipt| (receipt.number(), 2, 30_000));
    assert!(expected.eq(heard));
}

struct Retries(Sender<(JobNumber, Option<String>)>);

impl Observer for Retries {
    fn retried(&self, event: &event::Retried) {
        let error = event.error().map(Into::into);
        self.0.send((event.job(), error)).unwrap();
    }
}

pub(crate) fn the_retry_of_a_job_parked_as_crashing_is_told(place: &dyn Place) {
    let receipts = park_as_crashing(place, &ManualClock::new());
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
        // Twice beside others, and twice after the process had lived well without it.
        assert_eq!(deaths, 4);
        let manager = start(folder.path().into());
        let counts = manager.counts().unwrap();
        assert_eq!((counts.parked, counts.succeeded), (1, 8), "{counts:?}");
    }

    fn start(folder: PathBuf) -> Manager {
        let store = RedbStore::open(folder.join("jobs.redb")).unwrap();
        Manager::builder(store)
            .queue(Queue::new("default").workers(3))
            .probation(Duration::from_millis(500))
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
        let is_over = |counts: jobkeep::Counts| counts.succeeded + counts.parked == 9;
        while !is_over(manager.counts().unwrap()) {
            std::thread::yield_now();
        }
    }
}
