use jobkeep::{
    AttemptEnd, Codec, Counts, Job, JobError, Manager, NewJob, ParkReason, ParkedKind, Queue,
    Reason, Receipt, StateKind,
};
use jobkeep_store::{JobRecord, Kept, Key, get_typed};
use serde::{Deserialize, Serialize};

use crate::place::{HOUR, Other, PATIENCE, Place, Work, one_worker, succeeding, work};
use crate::retrying::until;

pub(crate) fn a_job_of_an_unknown_name_waits_for_its_type(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(Other { amount: 7 }).unwrap();
    let status = manager.status(&receipt).unwrap();
    assert_eq!(status.state(), StateKind::Parked);
    assert_eq!(status.parked(), Some(&ParkReason::UnknownName));
    assert_eq!(status.name(), "other");
    drop(manager);
    let manager = one_worker(place)
        .handle::<Other>(|job, _| Ok(job.amount))
        .start()
        .unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.into_output().unwrap()), (1, 7));
}

/// The same name as [`Work`], and another shape.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reshaped {
    lines: Vec<u8>,
}

impl Reshaped {
    pub(crate) fn new(lines: usize) -> Self {
        Self {
            lines: vec![7; lines],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }
}

impl Job for Reshaped {
    const NAME: &'static str = "work";
    const CODEC: Codec = Codec::Json;
    type Output = usize;
}

/// A manager that knows the name and not the shape, at which this job has been parked.
fn park(place: &dyn Place, receipt: Option<Receipt<Work>>) -> (Manager, Receipt<Work>) {
    let manager = one_worker(place)
        .handle::<Reshaped>(|job, _| Ok(job.lines.len()))
        .start()
        .unwrap();
    let receipt = receipt.unwrap_or_else(|| manager.enqueue(work("a")).unwrap());
    until(&manager, &receipt, StateKind::Parked);
    (manager, receipt)
}

const REASON: &str = "missing field `lines` at line 1 column 22";

pub(crate) fn an_undecodable_payload_is_parked_with_its_bytes(place: &dyn Place) {
    let (manager, receipt) = park(place, None);
    let large = manager.enqueue(work("x".repeat(2_000))).unwrap();
    let status = manager.status(&receipt).unwrap();
    let reason = ParkReason::Undecodable(REASON.into());
    assert_eq!((status.parked(), status.attempts()), (Some(&reason), 0));
    assert_eq!(
        status.history()[0].end,
        AttemptEnd::Undecodable(REASON.into())
    );
    // Others run past it.
    let other = manager.enqueue(Reshaped { lines: vec![1, 2] }).unwrap();
    manager.wait(&other, PATIENCE).unwrap();
    until(&manager, &large, StateKind::Parked);
    assert_eq!(manager.counts().unwrap().parked, 2);
    manager.shutdown(PATIENCE).unwrap();

    let store = place.open();
    let record: JobRecord = get_typed(&store, Key::live(receipt.number()))
        .unwrap()
        .unwrap();
    let bytes = serde_json::to_vec(&work("a")).unwrap();
    assert_eq!(record.payload, Kept::Inline(bytes));
    drop(store);
    let manager = succeeding(one_worker(place)).start().unwrap();
    for receipt in [&receipt, &large] {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 1));
    }
}

pub(crate) fn a_job_parked_at_every_start_remembers_that_once(place: &dyn Place) {
    let (mut manager, receipt) = park(place, None);
    for _ in 0..3 {
        drop(manager);
        manager = park(place, Some(receipt.clone())).0;
    }
    let status = manager.status(&receipt).unwrap();
    assert_eq!((status.history().len(), status.interruptions()), (1, 0));
}

pub(crate) fn a_parked_job_is_cancelled_or_removed_like_any_other(place: &dyn Place) {
    let (manager, undecodable) = park(place, None);
    let unknown = manager.enqueue(Other { amount: 7 }).unwrap();
    let removed = manager.enqueue(Other { amount: 8 }).unwrap();
    assert_eq!(manager.counts().unwrap().parked, 3);
    manager.cancel(&undecodable).unwrap();
    manager.cancel(&unknown).unwrap();
    manager.remove(&removed).unwrap();
    let done = manager.completed(&unknown).unwrap().unwrap();
    assert_eq!(done.into_output().unwrap_err().reason(), Reason::Cancelled);
    let mut left = Counts::default();
    left.cancelled = 2;
    assert_eq!(manager.counts().unwrap(), left);
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().waiting, 0);
    assert_eq!(manager.counts().unwrap(), left);
}

pub(crate) fn a_delayed_job_of_an_unknown_name_still_waits_for_its_time(place: &dyn Place) {
    let clock = jobkeep::testing::ManualClock::new();
    let manager = one_worker(place).clock(clock.clone()).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    assert_eq!(
        manager.status(&receipt).unwrap().parked(),
        Some(&ParkReason::UnknownName)
    );
    drop(manager);
    let builder = succeeding(one_worker(place)).clock(clock.clone());
    let manager = builder.start().unwrap();
    let status = manager.status(&receipt).unwrap();
    assert_eq!(status.state(), StateKind::Scheduled);
    assert_eq!(status.due(), Some(clock.wall().after(HOUR)));
    clock.advance(HOUR);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), "a done");
}

pub(crate) fn a_job_of_an_undeclared_queue_waits_for_its_queue(place: &dyn Place) {
    let builder = Manager::builder(place.open())
        .queue(Queue::new("default").workers(0))
        .queue(Queue::new("images").workers(0));
    let manager = builder.start().unwrap();
    let receipt = manager
        .enqueue(NewJob::new(work("a")).queue("images"))
        .unwrap();
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    let status = manager.status(&receipt).unwrap();
    assert_eq!(status.parked(), Some(&ParkReason::UnknownQueue));
    assert_eq!(manager.counts().unwrap().parked, 1);
    drop(manager);
    let builder = Manager::builder(place.open())
        .queue(Queue::new("default").workers(1))
        .queue(Queue::new("images").workers(1));
    let manager = succeeding(builder).start().unwrap();
    manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap();
}

pub(crate) fn a_start_says_how_many_jobs_cannot_run_here_and_why(place: &dyn Place) {
    let (manager, undecodable) = park(place, None);
    manager
        .enqueue_all([1, 2].map(|amount| Other { amount }))
        .unwrap();
    let large = manager.enqueue(work("x".repeat(2_000))).unwrap();
    until(&manager, &large, StateKind::Parked);
    drop(manager);
    let builder = Manager::builder(place.open())
        .queue(Queue::new("default").workers(0))
        .queue(Queue::new("images").workers(0));
    let manager = builder.start().unwrap();
    assert_eq!(manager.recovery().parked.total(), 4);
    let in_images = NewJob::new(work("a")).queue("images");
    manager.enqueue(in_images).unwrap();
    drop(manager);

    let manager = one_worker(place)
        .handle::<Reshaped>(|job, _| Ok(job.lines.len()))
        .start()
        .unwrap();
    let parked = manager.recovery().parked;
    assert_eq!(
        parked.to_string(),
        "5 jobs cannot run here: 2 `other` (no handler), 1 in queue \
        `images` (not declared), 2 undecodable"
    );
    let kinds: Vec<_> = parked.kinds().collect();
    let expected = [
        (&ParkedKind::UnknownName("other".into()), 2),
        (&ParkedKind::UnknownQueue("images".into()), 1),
        (&ParkedKind::Undecodable, 2),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(manager.recovery().waiting, 5);
    // Until they are tried again.
    until(&manager, &undecodable, StateKind::Parked);
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().parked.total(), 5);
    manager.wait(&undecodable, PATIENCE).unwrap();
    manager.wait(&large, PATIENCE).unwrap();
    drop(manager);
    let parked = succeeding(one_worker(place))
        .start()
        .unwrap()
        .recovery()
        .parked;
    assert_eq!(parked.total(), 3);
}

/// What [`Work`] was called before.
#[derive(Debug, Serialize, Deserialize)]
struct Renamed {
    label: String,
}

impl Job for Renamed {
    const NAME: &'static str = "renamed";
    const ALIASES: &'static [&'static str] = &["work"];
    type Output = String;
}

pub(crate) fn an_alias_runs_jobs_of_the_old_name(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    drop(manager);
    let manager = one_worker(place)
        .handle::<Renamed>(|job, _| Ok::<_, JobError>(job.label.clone()))
        .start()
        .unwrap();
    let receipt = receipt.typed::<Renamed>();
    assert_eq!(
        manager
            .wait(&receipt, PATIENCE)
            .unwrap()
            .into_output()
            .unwrap(),
        "a"
    );
}
