use std::sync::Arc;
use std::thread::scope;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    Builder, Error, Health, Manager, MemoryStore, NewJob, ParkReason, Queue, QueueStore, Receipt,
    Shutdown, StateKind,
};
use jobkeep_store::conformance::{Fault, Faults, FaultyStore, Lasting, Operation};

use crate::gate::GatedStore;
use crate::place::{Door, HOUR, PATIENCE, Place, Work, one_worker, succeeding, through, work};

/// A manager whose store fails when told, and where messages say that this store is.
fn faulty(place: &dyn Place) -> (Builder, Faults, String) {
    let store = place.open();
    let (faults, location) = (store.faults(), store.identity().unwrap().location);
    (one_worker_on(store), faults, location)
}

fn one_worker_on(store: impl QueueStore) -> Builder {
    Manager::builder(store).queue(Queue::new("default").workers(1))
}

/// The number that the store's next commit has, as the opening was its first.
fn next_commit(faults: &Faults) -> u64 {
    faults.count(Operation::Commit) + 1
}

/// Every later call is refused for the same cause.
fn assert_stopped(manager: &Manager, receipt: &Receipt<Work>, cause: &str) {
    let number = receipt.number();
    let errors = [
        (
            "enqueue job `work`".into(),
            manager.enqueue(work("x")).err(),
        ),
        (
            format!("look up job {number}"),
            manager.status(receipt).err(),
        ),
        (
            format!("wait for job {number}"),
            manager.wait(receipt, PATIENCE).err(),
        ),
        (
            format!("cancel job {number}"),
            manager.cancel(receipt).err(),
        ),
        ("count the jobs".into(), manager.counts().err()),
    ];
    for (act, error) in errors {
        let error: Error = error.unwrap();
        assert_eq!(error.to_string(), format!("{act}: {cause}"));
        assert!(error.as_store().is_some() && !error.is_shut_down());
    }
}

pub(crate) fn a_failed_sync_reaches_its_caller_and_stops_the_manager(place: &dyn Place) {
    let (builder, faults, location) = faulty(place);
    let manager = builder.start().unwrap();
    let kept = manager.enqueue(work("kept")).unwrap();
    assert_eq!(manager.health(), Health::Working);
    let commit = next_commit(&faults);
    faults.arm(Fault::next(Operation::Commit).unknown());
    let error = manager.enqueue(work("lost")).unwrap_err();
    let cause = format!("write commit {commit} of {location}: a sync failed, as a fault was armed");
    assert_eq!(error.to_string(), format!("enqueue job `work`: {cause}"));
    assert!(error.is_unknown());
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), cause);
    let Health::Poisoned { cause: shown, .. } = manager.health() else {
        panic!("{}", manager.health());
    };
    assert_eq!(shown, cause);
    // The end of the committer, after which nothing can be read any more.
    assert_eq!(manager.shutdown(PATIENCE).unwrap(), Shutdown::default());
    assert_stopped(&manager, &kept, &cause);
    let error = manager.completed(&kept).unwrap_err();
    assert_eq!(error.to_string(), format!("look up job 1: {cause}"));
    drop(manager);
    let manager = one_worker(place).start().unwrap();
    assert_eq!(manager.recovery().waiting, 1);
    let status = manager.status(&kept).unwrap();
    assert_eq!(status.parked(), Some(&ParkReason::UnknownName));
    assert_eq!(manager.enqueue(work("next")).unwrap().number().0, 2);
}

pub(crate) fn a_full_store_says_so(place: &dyn Place) {
    let (builder, faults, location) = faulty(place);
    let manager = builder.start().unwrap();
    let commit = next_commit(&faults);
    faults.arm(
        Fault::next(Operation::Commit)
            .full()
            .lasting(Lasting::UntilDisarmed),
    );
    let error = manager.enqueue_all(["a", "b"].map(work)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "enqueue 2 jobs: write commit {commit} of {location}: no space left, as a fault was armed"
        )
    );
    assert!(error.as_store().unwrap().is_full() && !error.is_unknown());
    drop(manager);
    assert_eq!(one_worker(place).start().unwrap().recovery().waiting, 0);
}

pub(crate) fn a_commit_of_unknown_outcome_says_so(place: &dyn Place) {
    for (waiting, fault) in [
        (0, Fault::next(Operation::Commit).unknown()),
        (1, Fault::next(Operation::Commit).unknown_but_done()),
    ] {
        let (builder, faults, location) = faulty(place);
        let manager = builder.start().unwrap();
        faults.arm(fault);
        let error = manager.enqueue(work("a")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("enqueue job `work`: write commit "),
            "{text}"
        );
        let cause = format!(" of {location}: a sync failed, as a fault was armed");
        assert!(text.ends_with(&cause), "{text}");
        assert!(error.is_unknown());
        drop(manager);
        let manager = one_worker(place).start().unwrap();
        assert_eq!(manager.recovery().waiting, waiting);
    }
}

pub(crate) fn all_callers_of_a_failed_commit_learn_of_it(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let store = GatedStore::new(store);
    let gate = store.gate();
    let manager = one_worker_on(store).start().unwrap();
    let first = manager.enqueue(work("first")).unwrap();
    gate.shut();
    scope(|scope| {
        let written = scope.spawn(|| manager.enqueue(work("second")));
        gate.reached();
        // These meet in one turn, or come after it; some of them look at what others change.
        let waiter = scope.spawn(|| manager.wait(&first, HOUR).map(drop));
        let callers = [
            scope.spawn(|| manager.cancel(&first)),
            scope.spawn(|| manager.status(&first).map(drop)),
            scope.spawn(|| manager.enqueue(work("third")).map(drop)),
            scope.spawn(|| manager.retry(&first)),
            waiter,
        ];
        faults.arm(Fault::nth(Operation::Commit, 2).unknown());
        gate.open();
        written.join().unwrap().unwrap();
        let mut failed = 0;
        for caller in callers {
            if let Err(error) = caller.join().unwrap()
                && error.as_store().is_some()
            {
                failed += 1;
            }
        }
        // Whoever came to a turn that needed no commit has a true answer.
        assert!(failed >= 3, "{failed}");
    });
    drop(manager);
    let manager = one_worker(place).start().unwrap();
    assert_eq!(manager.recovery().waiting, 2);
    assert_eq!(manager.status(&first).unwrap().state(), StateKind::Parked);
}

pub(crate) fn an_end_that_cannot_be_written_is_reported(place: &dyn Place) {
    let (builder, faults, location) = faulty(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    // What the worker took is written with the next commit, so that the one after is its end.
    manager.counts().unwrap();
    let commit = next_commit(&faults);
    faults.arm(Fault::next(Operation::Commit).unknown());
    let error = scope(|scope| {
        let waiter = scope.spawn(|| manager.wait(&receipt, PATIENCE).unwrap_err());
        door.open(1);
        waiter.join().unwrap()
    });
    assert_eq!(
        error.to_string(),
        format!(
            "wait for job 1: write commit {commit} of {location}: a sync failed, as a fault was \
             armed"
        )
    );
    assert!(error.is_unknown());
    let shutdown = manager.shutdown(PATIENCE).unwrap();
    assert_eq!(shutdown.unrecorded, [receipt.number()]);
    assert_eq!((shutdown.finished, shutdown.still_running), (0, vec![]));
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 1));
}

/// They end while the manager does: some before the failure, some after, some in between.
pub(crate) fn every_end_that_was_not_written_is_reported(place: &dyn Place) {
    let store = place.open();
    let (faults, door) = (store.faults(), Door::new());
    let builder = Manager::builder(store).queue(Queue::new("default").workers(6));
    let manager = through(builder, &door).start().unwrap();
    let receipts = manager
        .enqueue_all((0..6).map(|n| work(n.to_string())))
        .unwrap();
    for _ in 0..6 {
        door.arrived();
    }
    faults.arm(Fault::next(Operation::Commit).unknown());
    door.open(6);
    manager.wait(&receipts[0], PATIENCE).unwrap_err();
    let shutdown = manager.shutdown(PATIENCE).unwrap();
    let running = shutdown.still_running.iter().map(|running| running.job);
    let mut named: Vec<_> = shutdown.unrecorded.iter().copied().chain(running).collect();
    named.sort_unstable();
    let all: Vec<_> = receipts.iter().map(Receipt::number).collect();
    assert_eq!(named, all);
    drop(manager);
    assert_eq!(one_worker(place).start().unwrap().recovery().interrupted, 6);
}

pub(crate) fn a_job_that_runs_when_the_store_fails_is_told(place: &dyn Place) {
    let (builder, faults, _) = faulty(place);
    let (door, told) = (Door::new(), Door::new());
    let (inside, tell) = (door.clone(), told.clone());
    let manager = builder
        .handle::<Work>(move |work, ctx| {
            inside.enter(&work.label);
            tell.enter(&ctx.is_cancelled().to_string());
            Ok(String::new())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    faults.arm(Fault::next(Operation::Commit).unknown());
    manager.enqueue(work("b")).unwrap_err();
    let shutdown = manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(shutdown.still_running.len(), 1);
    assert_eq!(shutdown.still_running[0].job, receipt.number());
    door.open(1);
    assert_eq!(told.arrived(), "true");
    told.open(1);
}

pub(crate) fn a_failed_read_reaches_its_caller_and_nobody_else(place: &dyn Place) {
    let (builder, faults, location) = faulty(place);
    let manager = succeeding(builder).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    let failed = format!("look up job 1: read row done 1 of {location}: a fault was armed");
    let fail = || faults.arm(Fault::next(Operation::Get));
    fail();
    assert_eq!(manager.status(&receipt).unwrap_err().to_string(), failed);
    fail();
    assert_eq!(manager.completed(&receipt).unwrap_err().to_string(), failed);
    // Who waits is told only of what does not pass.
    fail();
    let error = manager.wait(&receipt, Duration::ZERO).unwrap_err();
    assert!(error.is_timed_out());
    faults.arm(Fault::next(Operation::Get).lasting(Lasting::UntilDisarmed));
    let error = manager.wait(&receipt, PATIENCE).unwrap_err();
    assert_eq!(error.to_string(), failed);
    faults.disarm();
    fail();
    assert_eq!(manager.cancel(&receipt).unwrap_err().to_string(), failed);
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Scheduled
    );
    manager.enqueue(work("b")).unwrap();
}

pub(crate) fn a_job_that_cannot_be_read_is_parked_until_the_next_opening(place: &dyn Place) {
    let clock = ManualClock::new();
    // What an earlier opening accepted has to be read.
    let receipt = {
        let manager = one_worker(place).clock(clock.clone()).start().unwrap();
        let later = NewJob::new(work("a")).delay(HOUR);
        manager.enqueue(later).unwrap()
    };
    let (builder, faults, location) = faulty(place);
    let manager = succeeding(builder).clock(clock.clone()).start().unwrap();
    faults.arm(Fault::next(Operation::Get).lasting(Lasting::UntilDisarmed));
    clock.advance(HOUR);
    while manager.counts().unwrap().parked == 0 {
        assert_eq!(manager.counts().unwrap().succeeded, 0);
        std::thread::yield_now();
    }
    faults.disarm();
    let status = manager.status(&receipt).unwrap();
    let reason = format!("read row live 1 of {location}: a fault was armed");
    assert_eq!(status.state(), StateKind::Parked);
    assert_eq!(status.parked(), Some(&ParkReason::Unreadable(reason)));
    assert_eq!(manager.shutdown(PATIENCE).unwrap(), Shutdown::default());
    let manager = succeeding(one_worker(place)).start().unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 0));
}

pub(crate) fn a_start_that_fails_leaves_the_store_free(place: &dyn Place) {
    for (operation, text) in [
        (Operation::Identity, "read the identity of LOCATION"),
        (
            Operation::Scan,
            "scan the rows from withdrawn 0 to withdrawn 18446744073709551615 of LOCATION",
        ),
        (Operation::Get, "read row manager 6 of LOCATION"),
        (Operation::Commit, "write commit 1 of LOCATION"),
    ] {
        let (builder, faults, location) = faulty(place);
        faults.arm(Fault::next(operation));
        let error = builder.start().unwrap_err();
        let text = text.replace("LOCATION", &location);
        assert_eq!(
            error.to_string(),
            format!("start the manager: {text}: a fault was armed")
        );
        assert!(error.as_store().is_some());
    }
    let (builder, ..) = faulty(place);
    builder.start().unwrap();
}

pub(crate) fn an_owner_that_was_replaced_stops(place: &dyn Place) {
    let store: Arc<dyn QueueStore> = Arc::new(place.open());
    let owner = || {
        let store = FaultyStore::over(Arc::clone(&store));
        one_worker_on(store).start().unwrap()
    };
    let opening = || store.identity().unwrap().fence.unwrap().opening;
    let older = owner();
    let receipt = older.enqueue(work("a")).unwrap();
    let replaced = opening();
    let newer = owner();
    let (holder, location) = (opening(), store.identity().unwrap().location);
    let error = older.enqueue(work("b")).unwrap_err();
    let cause = format!(
        "commit 3 of opening {replaced} of {location}: opening {holder} has taken the store over: \
         this owner must stop"
    );
    assert_eq!(error.to_string(), format!("enqueue job `work`: {cause}"));
    assert!(error.is_replaced() && !error.is_unknown());
    older.shutdown(PATIENCE).unwrap();
    assert_stopped(&older, &receipt, &cause);
    // The store is the newer one's, and open: what it says is true.
    assert!(older.completed(&receipt).unwrap().is_none());
    drop((older, newer, store));
    let manager = one_worker(place).start().unwrap();
    assert_eq!(manager.recovery().waiting, 1);
}

/// Two managers on one value of a store, as two parts of a program may have it.
pub(crate) fn an_owner_that_was_replaced_leaves_the_store_to_its_successor(place: &dyn Place) {
    let store: Arc<dyn QueueStore> = Arc::new(place.open());
    let owner = || {
        let builder = one_worker_on(Arc::clone(&store));
        succeeding(builder).start().unwrap()
    };
    for finds_out in [true, false] {
        let older = owner();
        let newer = owner();
        if finds_out {
            assert!(older.enqueue(work("a")).unwrap_err().is_replaced());
        }
        older.shutdown(PATIENCE).unwrap();
        let receipt = newer.enqueue(work("b")).unwrap();
        newer.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(newer.health(), Health::Working);
        newer.shutdown(PATIENCE).unwrap();
        // The last owner closes it.
        assert!(store.identity().unwrap_err().is_closed());
        store.reopen().unwrap();
    }
}

/// The older one commits between the newer one's look at the store and its first commit.
pub(crate) fn a_start_takes_over_from_an_owner_that_never_rests(place: &dyn Place) {
    let store: Arc<dyn QueueStore> = Arc::new(place.open());
    let owner = || one_worker_on(Arc::clone(&store)).start().unwrap();
    let mut older = owner();
    for _ in 0..5 {
        let newer = std::thread::scope(|scope| {
            let (begun, busy) = std::sync::mpsc::channel();
            let older = &older;
            scope.spawn(move || {
                while older.enqueue(work("a")).is_ok() {
                    let _ = begun.send(());
                }
            });
            busy.recv().unwrap();
            owner()
        });
        newer.enqueue(work("b")).unwrap();
        older = newer;
    }
}

/// The older owner has a handle of its own here, so that its end leaves the newer one alone.
#[test]
fn an_owner_that_replaced_another_goes_on() {
    let store = MemoryStore::new();
    let owner = || succeeding(one_worker_on(store.clone())).start().unwrap();
    let older = owner();
    let receipt = older.enqueue(work("a")).unwrap();
    older.wait(&receipt, PATIENCE).unwrap();
    let newer = owner();
    assert!(older.enqueue(work("b")).unwrap_err().is_replaced());
    assert!(newer.completed(&receipt).unwrap().is_some());
    let receipt = newer.enqueue(work("b")).unwrap();
    assert_eq!(receipt.number().0, 2);
    drop(older);
    newer.wait(&receipt, PATIENCE).unwrap();
}
