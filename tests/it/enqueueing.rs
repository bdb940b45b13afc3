use std::collections::HashSet;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use jobkeep::{Codec, Enqueue, Job, Manager, NewJob, Queue, StateKind};
use jobkeep_store::conformance::Operation;
use serde::{Deserialize, Serialize};

use crate::place::{
    Door, HOUR, Other, PATIENCE, Place, Work, one_worker, succeeding, through, work,
};

pub(crate) fn a_job_runs_and_comes_back_as_run_left_it(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap(), "a done");
    assert_eq!(
        *done.job().unwrap(),
        Work {
            label: "a".into(),
            runs: 1
        }
    );
    assert_eq!((done.attempts(), done.interruptions()), (1, 0));
    assert_eq!(done.history().len(), 1);
    assert_eq!(done.history()[0].thread, "default-worker-1");
    let again = manager.completed(&receipt).unwrap().unwrap();
    assert_eq!(again.into_output().unwrap(), "a done");
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Succeeded
    );
}

pub(crate) fn a_handler_may_hold_state_of_its_own(place: &dyn Place) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let manager = one_worker(place)
        .handle::<Work>(move |work, _| {
            log.lock().unwrap().push(work.label.clone());
            Ok(String::new())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["a"]);
}

pub(crate) fn a_job_reads_the_applications_resources(place: &dyn Place) {
    let manager = one_worker(place)
        .resource(String::from("shared"))
        .handle::<Work>(|_, ctx| Ok(ctx.resource::<String>()?.clone()))
        .handle::<Other>(|_, ctx| Ok(*ctx.resource::<u64>()?))
        .start()
        .unwrap();
    let found = manager.enqueue(work("a")).unwrap();
    assert_eq!(
        manager
            .wait(&found, PATIENCE)
            .unwrap()
            .into_output()
            .unwrap(),
        "shared"
    );
    let missing = manager
        .enqueue(NewJob::new(Other { amount: 1 }).attempts(1))
        .unwrap();
    let failure = manager
        .wait(&missing, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the job failed at attempt 1: find resource `u64`: none was given: give one with \
         `Builder::resource`"
    );
}

pub(crate) fn jobs_of_one_batch_are_numbered_in_order(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipts = manager
        .enqueue_all((0..100).map(|n| work(n.to_string())))
        .unwrap();
    let numbers: Vec<_> = receipts.iter().map(|receipt| receipt.number().0).collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    for (n, receipt) in receipts.iter().enumerate() {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!(done.output().unwrap(), &format!("{n} done"));
    }
}

pub(crate) fn an_empty_batch_is_accepted_and_writes_nothing(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert!(manager.enqueue_all(Vec::<Work>::new()).unwrap().is_empty());
    assert_eq!(manager.enqueue(work("a")).unwrap().number().0, 1);
}

pub(crate) fn a_batch_is_accepted_whole_or_not_at_all(place: &dyn Place) {
    let manager = succeeding(one_worker(place))
        .payload_limit(100)
        .start()
        .unwrap();
    let small = work("a");
    let large = work("x".repeat(200));
    let error = manager.enqueue_all([small, large]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "job 2 of the batch: enqueue job `work`: its payload has 221 bytes and the limit is 100: queue \
         a reference to the data instead, or raise `Builder::payload_limit`"
    );
    assert!(error.is_too_large());
    assert_eq!(error.batch_index(), Some(1));
    assert_eq!(manager.enqueue(work("b")).unwrap().number().0, 1);
    let error = manager
        .enqueue_all((0..10_001).map(|_| work("")))
        .unwrap_err();
    assert!(error.is_too_large());
    let text = error.to_string();
    assert!(text.starts_with("enqueue 10001 jobs of "), "{text}");
    assert!(
        text.ends_with("at once: one batch takes at most 10000 jobs and 16777216 bytes: split it"),
        "{text}"
    );
}

pub(crate) fn a_large_payload_and_a_large_output_come_back_whole(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let label = "x".repeat(300_000);
    let receipt = manager.enqueue(work(label.clone())).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.job().unwrap().label, label);
    assert_eq!(done.into_output().unwrap(), format!("{label} done"));
}

pub(crate) fn a_payload_may_grow_and_shrink_across_the_inline_bound(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Work>(|work, ctx| {
            work.label = if ctx.attempt() % 2 == 1 {
                "x".repeat(5_000)
            } else {
                "small".into()
            };
            work.runs += 1;
            if ctx.attempt() < 4 {
                Err(jobkeep::JobError::new("again"))
            } else {
                Ok(String::new())
            }
        })
        .start()
        .unwrap();
    let fast = NewJob::new(work("a")).backoff(std::time::Duration::ZERO, HOUR);
    let receipt = manager.enqueue(fast).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(
        *done.job().unwrap(),
        Work {
            label: "small".into(),
            runs: 4
        }
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Compact(u64, Vec<i32>);

impl Job for Compact {
    const NAME: &'static str = "compact";
    const CODEC: Codec = Codec::Bincode;
    type Output = (u64, String);
}

pub(crate) fn a_bincode_job_goes_round(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Compact>(|job, _| {
            job.1.push(3);
            Ok((job.0, "fine".into()))
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(Compact(7, vec![1, 2])).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(*done.job().unwrap(), Compact(7, vec![1, 2, 3]));
    assert_eq!(done.into_output().unwrap(), (7, "fine".into()));
}

pub(crate) fn a_job_is_queued_through_the_trait(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let queue: &dyn Enqueue = &manager;
    let receipt = work("a").execute(queue).unwrap();
    let done = queue.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), "a done");
    assert!(queue.completed(&receipt).unwrap().is_some());
    assert_eq!(queue.enqueue_all([work("b"), work("c")]).unwrap().len(), 2);
}

pub(crate) fn a_thousand_jobs_of_many_threads_all_run_once(place: &dyn Place) {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&ran);
    let manager = Manager::builder(place.open())
        .queue(Queue::new("default").workers(4))
        .handle::<Work>(move |work, _| {
            log.lock().unwrap().push(work.label.clone());
            Ok(String::new())
        })
        .start()
        .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let manager = &manager;
            scope.spawn(move || {
                let receipts: Vec<_> = (0..125)
                    .map(|n| manager.enqueue(work(format!("{thread}/{n}"))).unwrap())
                    .collect();
                for receipt in receipts {
                    manager
                        .wait(&receipt, PATIENCE)
                        .unwrap()
                        .into_output()
                        .unwrap();
                }
            });
        }
    });
    let ran = ran.lock().unwrap();
    assert_eq!(ran.len(), 1_000);
    assert_eq!(ran.iter().collect::<HashSet<_>>().len(), 1_000);
}

/// Thousands that waited for a host which was away had each job of the other queues read back from the
/// store.
pub(crate) fn a_job_is_not_read_back_because_many_wait_in_another_queue(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let (tell, told) = channel();
    let manager = Manager::builder(store)
        .queue(Queue::new("default").workers(1))
        .queue(Queue::new("idle").workers(0))
        .handle::<Work>({
            let faults = faults.clone();
            move |_, _| {
                tell.send(faults.count(Operation::Get)).unwrap();
                Ok(String::new())
            }
        })
        .start()
        .unwrap();
    let idle = |_| NewJob::new(work("waits")).queue("idle");
    manager.enqueue_all((0..5_000).map(idle)).unwrap();
    let before = faults.count(Operation::Get);
    manager.enqueue(work("runs")).unwrap();
    // Nobody waits for the job meanwhile, who would read as well.
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), before);
}

pub(crate) fn counts_follow_the_jobs(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let running = manager.enqueue(work("running")).unwrap();
    door.arrived();
    manager.enqueue(work("ready")).unwrap();
    manager
        .enqueue(NewJob::new(work("later")).delay(HOUR))
        .unwrap();
    manager.enqueue(Other { amount: 1 }).unwrap();
    let counts = manager.counts().unwrap();
    assert_eq!(
        (
            counts.running,
            counts.ready,
            counts.scheduled,
            counts.parked
        ),
        (1, 1, 1, 1)
    );
    door.open(2);
    manager.wait(&running, PATIENCE).unwrap();
    assert_eq!(door.arrived(), "ready");
    let done = manager.shutdown(PATIENCE).unwrap();
    assert!(done.still_running.is_empty());
    let manager = one_worker(place).start().unwrap();
    let counts = manager.counts().unwrap();
    assert_eq!((counts.succeeded, counts.parked), (2, 2));
}

#[derive(Serialize, Deserialize)]
struct Nameless;

impl Job for Nameless {
    const NAME: &'static str = "";
    type Output = ();
}

pub(crate) fn a_job_whose_name_no_start_could_register_is_refused(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let error = manager.enqueue(Nameless).unwrap_err();
    assert!(error.is_codec());
    assert!(
        error.to_string().contains("`NAME` must be 1 to 128 bytes"),
        "{error}"
    );
    assert_eq!(manager.counts().unwrap().parked, 0);
}
