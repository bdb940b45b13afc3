//! What a job says from within: checkpoints.

use std::sync::Arc;
use std::thread::scope;
use std::time::Duration;

use jobkeep::{Builder, Context, Job, JobError, Manager, NewJob, Queue, QueueStore, Reason};
use jobkeep_store::conformance::{Fault, FaultyStore, Lasting, Operation};
use jobkeep_store::{JobRecord, Key, Space, StateKind, get_typed};
use serde::{Deserialize, Serialize};

use crate::place::{Door, Other, PATIENCE, Place, Work, one_worker, succeeding, through, work};
use crate::retrying::until;
use crate::uniqueness::rows;

fn start(
    place: &dyn Place,
    run: impl Fn(&mut Work, &Context) -> Result<String, JobError> + Send + Sync + 'static,
) -> Manager {
    one_worker(place).handle::<Work>(run).start().unwrap()
}

fn twice(job: Work) -> NewJob<Work> {
    NewJob::new(job)
        .attempts(2)
        .backoff(Duration::ZERO, Duration::ZERO)
}

/// Goes through the door before and after its checkpoint.
fn checkpointing(builder: Builder, door: &Door) -> Builder {
    let door = door.clone();
    builder.handle::<Work>(move |work, ctx| {
        door.enter("before");
        work.runs = 5;
        let checkpoint = ctx.checkpoint(work);
        work.runs = 100;
        door.enter(&checkpoint.map_or_else(|error| error.to_string(), |()| "after".into()));
        Ok(String::new())
    })
}

pub(crate) fn a_panic_goes_on_from_the_checkpoint(place: &dyn Place) {
    let manager = start(place, |work, ctx| {
        work.runs += 1;
        if ctx.attempt() == 1 {
            work.runs = 5;
            ctx.checkpoint(work)?;
            work.runs = 10;
            ctx.checkpoint(work)?;
            work.runs = 20;
            panic!("after the checkpoint");
        }
        Ok(String::new())
    });
    let receipt = manager.enqueue(twice(work("a"))).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (11, 2));
}

pub(crate) fn an_error_goes_on_from_the_value_that_run_left(place: &dyn Place) {
    let manager = start(place, |work, ctx| {
        work.runs += 1;
        if ctx.attempt() == 1 {
            ctx.checkpoint(work)?;
            work.runs = 20;
            return Err(JobError::new("after the checkpoint"));
        }
        Ok(String::new())
    });
    let receipt = manager.enqueue(twice(work("a"))).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (21, 2));
}

pub(crate) fn a_checkpoint_is_in_the_store_when_it_returns(place: &dyn Place) {
    let store = place.open();
    let (faults, door) = (store.faults(), Door::new());
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let manager = checkpointing(builder, &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.open(1);
    assert_eq!([door.arrived(), door.arrived()], ["before", "after"]);
    // Nothing is written any more, as where the process dies.
    let fault = Fault::next(Operation::Commit).unknown();
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap_err();
    manager.shutdown(PATIENCE).unwrap();
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().interrupted, 1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let found = (
        done.job().unwrap().runs,
        done.attempts(),
        done.interruptions(),
    );
    assert_eq!(found, (6, 1, 1));
}

pub(crate) fn a_checkpoint_that_is_not_written_says_so(place: &dyn Place) {
    let store = place.open();
    let location = store.identity().unwrap().location;
    let (faults, door) = (store.faults(), Door::new());
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let manager = checkpointing(builder, &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    // What the worker took is written with the next commit, so that the one after is its checkpoint.
    manager.counts().unwrap();
    let commit = faults.count(Operation::Commit) + 1;
    let fault = Fault::next(Operation::Commit).unknown();
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
    door.open(1);
    assert_eq!(
        door.arrived(),
        format!(
            "checkpoint job 1: write commit {commit} of {location}: a sync failed, as a fault was armed"
        )
    );
    door.open(1);
    manager.shutdown(PATIENCE).unwrap();
    let manager = succeeding(one_worker(place)).start().unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.interruptions()), (1, 1));
}

/// It is written in the group that is stepped again.
pub(crate) fn a_checkpoint_whose_write_is_refused_once_is_written(place: &dyn Place) {
    let store = place.open();
    let (faults, door) = (store.faults(), Door::new());
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let manager = checkpointing(builder, &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    assert_eq!(door.arrived(), "before");
    manager.counts().unwrap();
    faults.arm(Fault::next(Operation::Commit).full());
    door.open(1);
    assert_eq!(door.arrived(), "after");
    let fault = Fault::next(Operation::Commit).unknown();
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap_err();
    manager.shutdown(PATIENCE).unwrap();
    let manager = succeeding(one_worker(place)).start().unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.interruptions()), (6, 1));
}

pub(crate) fn a_checkpoint_of_an_older_opening_changes_nothing(place: &dyn Place) {
    let (door, newer_door) = (Door::new(), Door::new());
    let older = checkpointing(one_worker(place), &door).start().unwrap();
    let receipt = older.enqueue(work("a")).unwrap();
    door.arrived();
    older.shutdown(Duration::ZERO).unwrap();
    let newer = through(one_worker(place), &newer_door).start().unwrap();
    door.open(1);
    assert_eq!(
        door.arrived(),
        "checkpoint job 1: the manager has been shut down: start another one on the store"
    );
    door.open(1);
    assert_eq!(newer_door.arrived(), "a");
    newer_door.open(1);
    assert_eq!(
        newer.wait(&receipt, PATIENCE).unwrap().job().unwrap().runs,
        1
    );
}

pub(crate) fn a_checkpoint_of_an_owner_that_was_replaced_changes_nothing(place: &dyn Place) {
    let store: Arc<dyn QueueStore> = Arc::new(place.open());
    let (location, door) = (store.identity().unwrap().location, Door::new());
    let opening = || store.identity().unwrap().fence.unwrap().opening;
    let owner = || {
        let store = FaultyStore::over(Arc::clone(&store));
        let faults = store.faults();
        let queue = Queue::new("default").workers(1);
        (Manager::builder(store).queue(queue), faults)
    };
    let (builder, faults) = owner();
    let older = checkpointing(builder, &door).start().unwrap();
    let receipt = older.enqueue(work("a")).unwrap();
    door.arrived();
    older.counts().unwrap();
    let (replaced, commit) = (opening(), faults.count(Operation::Commit) + 1);
    let newer = succeeding(owner().0).start().unwrap();
    let holder = opening();
    assert_eq!(
        newer.wait(&receipt, PATIENCE).unwrap().job().unwrap().runs,
        1
    );
    door.open(1);
    assert_eq!(
        door.arrived(),
        format!(
            "checkpoint job 1: commit {commit} of opening {replaced} of {location}: opening \
             {holder} has taken the store over: this owner must stop"
        )
    );
    door.open(1);
    drop((older, newer, store));
    let manager = one_worker(place).start().unwrap();
    let done = manager.completed(&receipt).unwrap().unwrap();
    assert_eq!(done.job().unwrap().runs, 1);
}

pub(crate) fn a_checkpoint_and_a_cancel_request_both_survive_the_process(place: &dyn Place) {
    for cancel_first in [true, false] {
        let door = Door::new();
        let manager = checkpointing(one_worker(place), &door).start().unwrap();
        let receipt = manager.enqueue(work("a")).unwrap();
        door.arrived();
        if cancel_first {
            manager.cancel(&receipt).unwrap();
        }
        door.open(1);
        assert_eq!(door.arrived(), "after");
        if !cancel_first {
            manager.cancel(&receipt).unwrap();
        }
        manager.shutdown(Duration::ZERO).unwrap();
        let manager = one_worker(place).start().unwrap();
        let done = manager.completed(&receipt).unwrap().unwrap();
        assert_eq!(done.job().unwrap().runs, 5);
        let failure = done.into_output().unwrap_err();
        assert_eq!(failure.reason(), Reason::Cancelled);
        door.open(1);
    }
}

pub(crate) fn a_checkpoint_is_written_within_the_grace(place: &dyn Place) {
    let door = Door::new();
    let manager = checkpointing(one_worker(place), &door).start().unwrap();
    manager.enqueue(work("a")).unwrap();
    door.arrived();
    scope(|scope| {
        let report = scope.spawn(|| manager.shutdown(PATIENCE).unwrap());
        while manager.counts().is_ok() {
            std::thread::yield_now();
        }
        door.open(2);
        assert_eq!(door.arrived(), "after");
        assert_eq!(report.join().unwrap().finished, 1);
    });
}

pub(crate) fn the_row_of_a_job_that_runs_keeps_its_state(place: &dyn Place) {
    let store: Arc<dyn QueueStore> = Arc::new(place.open());
    let door = Door::new();
    let inside = door.clone();
    let builder = Manager::builder(FaultyStore::over(Arc::clone(&store)))
        .queue(Queue::new("default").workers(1));
    let manager = builder
        .handle::<Work>(move |work, ctx| {
            work.runs += 1;
            ctx.checkpoint(work)?;
            inside.enter("after");
            match ctx.attempt() {
                1 => Err(JobError::new("again")),
                _ => Ok(String::new()),
            }
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(twice(work("a"))).unwrap();
    for (attempts, stored) in [(0, StateKind::Ready), (1, StateKind::Scheduled)] {
        door.arrived();
        let record: JobRecord = get_typed(&*store, Key::live(receipt.number()))
            .unwrap()
            .unwrap();
        assert_eq!((record.attempts, record.state.kind()), (attempts, stored));
        let status = until(&manager, &receipt, StateKind::Running);
        assert_eq!(status.attempts(), attempts);
        door.open(1);
    }
    assert_eq!(
        manager
            .wait(&receipt, PATIENCE)
            .unwrap()
            .job()
            .unwrap()
            .runs,
        2
    );
}

/// The text of a label, short or long, by one bit of the plan.
fn sized(plan: u32, bit: u32) -> String {
    let bytes = if plan >> bit & 1 == 1 { 2_000 } else { 10 };
    bit.to_string().repeat(bytes)
}

pub(crate) fn a_checkpoint_may_grow_and_shrink_across_the_inline_bound(place: &dyn Place) {
    const PLANS: u32 = 32;
    let manager = start(place, |work, ctx| {
        let (plan, panics) = (work.runs, work.runs >> 4 & 1 == 1);
        if ctx.attempt() == 2 {
            let expected = if panics { 2 } else { 3 };
            assert_eq!(work.label, sized(plan, expected));
            return Ok(String::new());
        }
        assert_eq!(work.label, sized(plan, 0));
        for bit in [1, 2] {
            work.label = sized(plan, bit);
            ctx.checkpoint(work)?;
        }
        work.label = sized(plan, 3);
        assert!(!panics, "as planned");
        Err(JobError::new("as planned"))
    });
    let jobs = (0..PLANS).map(|plan| {
        twice(Work {
            label: sized(plan, 0),
            runs: plan,
        })
    });
    let receipts = manager.enqueue_all(jobs).unwrap();
    let mut apart = 0;
    for receipt in &receipts {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        apart += usize::from(done.job().unwrap().label.len() > 1_000);
        done.into_output().unwrap();
    }
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(apart, 16);
    assert_eq!(rows(place, Space::Bodies), apart);
}

pub(crate) fn a_checkpoint_of_another_type_is_refused(place: &dyn Place) {
    let manager = start(place, |_, ctx| {
        let error = ctx.checkpoint(&Other { amount: 1 }).unwrap_err();
        assert!(error.is_other_type());
        Ok(error.to_string())
    });
    let receipt = manager.enqueue(NewJob::new(work("a")).attempts(1)).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.job().unwrap(), &work("a"));
    assert_eq!(
        done.into_output().unwrap(),
        "checkpoint job 1 as `other`: it is stored as `work`: give the job that runs"
    );
}

#[derive(Serialize, Deserialize)]
struct Renamed {
    label: String,
    runs: u32,
}

impl Job for Renamed {
    const NAME: &'static str = "renamed";
    const ALIASES: &'static [&'static str] = &["work"];
    type Output = String;
}

pub(crate) fn a_job_of_an_older_name_makes_checkpoints(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Renamed>(|job, ctx| {
            job.runs += 1;
            if ctx.attempt() == 1 {
                ctx.checkpoint(job)?;
                panic!("after the checkpoint");
            }
            Ok(job.label.clone())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(twice(work("a"))).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (2, 2));
}

pub(crate) fn a_checkpoint_over_the_limit_is_refused(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Work>(|work, ctx| {
            let before = std::mem::replace(&mut work.label, "x".repeat(200));
            let error = ctx.checkpoint(work).unwrap_err();
            assert!(error.is_too_large());
            work.label = before;
            Ok(error.to_string())
        })
        .payload_limit(200)
        .start()
        .unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).attempts(1)).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.job().unwrap(), &work("a"));
    assert_eq!(
        done.into_output().unwrap(),
        "checkpoint job 1: its payload has 221 bytes and the limit is 200: keep a reference to the \
         data instead, or raise `Builder::payload_limit`"
    );
}
