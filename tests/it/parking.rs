use jobkeep::{Codec, Job, JobError, Manager, NewJob, ParkReason, Queue, StateKind};
use serde::{Deserialize, Serialize};

use crate::place::{Other, PATIENCE, Place, Work, one_worker, succeeding, work};
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
struct Reshaped {
    lines: Vec<u8>,
}

impl Job for Reshaped {
    const NAME: &'static str = "work";
    const CODEC: Codec = Codec::Json;
    type Output = usize;
}

pub(crate) fn an_undecodable_payload_is_parked_with_its_bytes(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Reshaped>(|job, _| Ok(job.lines.len()))
        .start();
    let manager = manager.unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let status = until(&manager, &receipt, StateKind::Parked);
    let Some(ParkReason::Undecodable(message)) = status.parked() else {
        panic!("{:?}", status.parked());
    };
    assert!(message.starts_with("missing field `lines`"), "{message}");
    assert_eq!(status.attempts(), 0);
    // Others run past it.
    let other = manager.enqueue(Reshaped { lines: vec![1, 2] }).unwrap();
    manager.wait(&other, PATIENCE).unwrap();
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(
        *done.job(),
        Work {
            label: "a".into(),
            runs: 1
        }
    );
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
