//! Parked jobs: who waits for one is told, and an operator lets it run again or gives it what it needs.

use std::sync::mpsc::{Sender, channel};
use std::task::Poll;
use std::thread::scope;

use jobkeep::testing::ManualClock;
use jobkeep::{
    Builder, Codec, Enqueue, Error, Job, JobNumber, Manager, NewJob, Observer, ParkReason,
    Priority, Queue, Receipt, StateKind, event,
};
use jobkeep_store::conformance::{Fault, Lasting, Operation};
use jobkeep_store::{JobRecord, Kept, Key, Space, get_typed};
use serde::{Deserialize, Serialize};

use crate::executor::{Task, block_on};
use crate::parking::Reshaped;
use crate::place::{
    Door, HOUR, Other, PATIENCE, Place, Work, one_worker, succeeding, through, work,
};
use crate::suspecting::{PROBATION, a_turn, park_as_crashing, two_suspects};
use crate::uniqueness::rows;

/// The job is found parked for this reason by whoever waits for it, at once.
fn is_told(manager: &Manager, receipt: &Receipt<Work>, reason: &ParkReason, text: &str) {
    let by_wait = manager.wait(receipt, PATIENCE).unwrap_err();
    let by_future = block_on(&mut manager.finished(receipt)).unwrap_err();
    let queue: &dyn Enqueue = manager;
    let by_trait = queue.wait(receipt, PATIENCE).unwrap_err();
    for error in [by_wait, by_future, by_trait] {
        assert!(error.is_parked() && !error.is_timed_out(), "{error}");
        assert_eq!(error.park_reason(), Some(reason));
        let expected = format!("wait for job {}: it is parked: {text}", receipt.number());
        assert_eq!(error.to_string(), expected);
    }
    // It has not finished, and that is no error.
    assert!(manager.completed(receipt).unwrap().is_none());
    assert!(queue.completed(receipt).unwrap().is_none());
}

const UNDECODABLE: &str = "missing field `lines` at line 1 column 22";

/// Knows the name `work`, and another shape.
fn reshaped(builder: Builder) -> Builder {
    builder.handle::<Reshaped>(|job, _| Ok(job.len()))
}

pub(crate) fn who_waits_for_a_parked_job_is_told_why(place: &dyn Place) {
    let builder = Manager::builder(place.open())
        .queue(Queue::new("default").workers(0))
        .queue(Queue::new("images").workers(0));
    let manager = builder.start().unwrap();
    let nameless = manager.enqueue(work("a")).unwrap();
    let text = "no handler is registered for `work`: register its type (a renamed one lists its old \
                name in `ALIASES`), and start again";
    is_told(&manager, &nameless, &ParkReason::UnknownName, text);
    let strayed = manager
        .enqueue(NewJob::new(work("a")).queue("images"))
        .unwrap();
    drop(manager);

    let manager = reshaped(one_worker(place)).start().unwrap();
    let text =
        "its queue `images` is not declared: declare it with `Builder::queue`, and start again";
    is_told(&manager, &strayed, &ParkReason::UnknownQueue, text);
    let text = format!(
        "its payload does not decode: {UNDECODABLE}: start with a type that it decodes to, or give it \
         another payload with `amend`"
    );
    let reason = ParkReason::Undecodable(UNDECODABLE.into());
    is_told(&manager, &nameless, &reason, &text);
    drop(manager);
    // What lacks nothing any more is waited for.
    let manager = succeeding(one_worker(place)).start().unwrap();
    manager.wait(&nameless, PATIENCE).unwrap();
}

pub(crate) fn who_waits_for_a_job_that_becomes_parked_is_told(place: &dyn Place) {
    let manager = reshaped(one_worker(place)).start().unwrap();
    manager.pause("default").unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let (task, mut finishing) = (Task::new(), manager.finished(&receipt));
    assert!(task.poll(&mut finishing).is_pending());
    scope(|scope| {
        let waiter = scope.spawn(|| manager.wait(&receipt, PATIENCE).unwrap_err());
        manager.resume("default").unwrap();
        assert!(waiter.join().unwrap().is_parked());
    });
    task.until_woken(1);
    let Poll::Ready(Err(error)) = task.poll(&mut finishing) else {
        panic!("woken, and not told");
    };
    assert!(error.is_parked(), "{error}");
    assert_eq!(task.wakes(), 1);
}

/// Hears of attempts, and of jobs parked.
struct Attempts(Sender<(&'static str, JobNumber)>);

impl Observer for Attempts {
    fn started(&self, event: &event::Started) {
        // The test may have ended before.
        let _ = self.0.send(("started", event.job()));
    }

    fn retried(&self, event: &event::Retried) {
        let _ = self.0.send(("retried", event.job()));
    }

    fn parked(&self, event: &event::Parked) {
        let _ = self.0.send(("parked", event.job()));
    }
}

pub(crate) fn an_undecodable_job_is_tried_once_more_where_an_operator_says_so(place: &dyn Place) {
    let (told, heard) = channel();
    let manager = reshaped(one_worker(place))
        .observer(Attempts(told))
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).unwrap_err().is_parked());
    manager.retry(&receipt).unwrap();
    // It is waited for again, and parked again.
    assert!(manager.wait(&receipt, PATIENCE).unwrap_err().is_parked());
    assert_eq!(manager.status(&receipt).unwrap().history().len(), 1);
    drop(manager);
    let job = receipt.number();
    let lines: Vec<_> = heard.iter().collect();
    let attempt = [("started", job), ("parked", job)];
    let expected = [&attempt[..], &[("retried", job)], &attempt].concat();
    assert_eq!(lines, expected);
}

pub(crate) fn an_undecodable_job_is_not_tried_again_because_a_write_was_refused(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let (told, heard) = channel();
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let manager = reshaped(builder).observer(Attempts(told)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).unwrap_err().is_parked());
    faults.arm(Fault::next(Operation::Commit).full());
    let later = Reshaped::new(3);
    let other = manager.enqueue(later).unwrap_err();
    assert!(
        other.as_store().is_some_and(jobkeep::StoreError::is_full),
        "{other}"
    );
    let next = manager.enqueue(Reshaped::new(3)).unwrap();
    manager.wait(&next, PATIENCE).unwrap();
    // One that was let go by a refused write is let go once.
    faults.arm(Fault::next(Operation::Commit).full());
    manager.retry(&receipt).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).unwrap_err().is_parked());
    drop(manager);
    let attempts = heard
        .iter()
        .filter(|line| *line == ("started", receipt.number()));
    assert_eq!(attempts.count(), 2);
}

pub(crate) fn what_is_not_known_here_is_not_retried(place: &dyn Place) {
    let builder = Manager::builder(place.open()).queue(Queue::new("images").workers(0));
    let manager = builder.start().unwrap();
    let strayed = manager
        .enqueue(NewJob::new(work("a")).queue("images"))
        .unwrap();
    drop(manager);
    let manager = one_worker(place).start().unwrap();
    let nameless = manager.enqueue(work("a")).unwrap();
    for (receipt, reason, text) in [
        (
            &nameless,
            ParkReason::UnknownName,
            "no handler is registered for `work`: ",
        ),
        (
            &strayed,
            ParkReason::UnknownQueue,
            "its queue `images` is not declared: ",
        ),
    ] {
        let error = manager.retry(receipt).unwrap_err();
        assert_eq!(
            (error.is_parked(), error.park_reason()),
            (true, Some(&reason))
        );
        let expected = format!("retry job {}: it is parked: {text}", receipt.number());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    assert_eq!(manager.counts().unwrap().parked, 2);
}

pub(crate) fn a_job_that_could_not_be_read_is_read_again_by_a_retry(place: &dyn Place) {
    let clock = ManualClock::new();
    let receipt = {
        let manager = one_worker(place).clock(clock.clone()).start().unwrap();
        manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap()
    };
    let store = place.open();
    let faults = store.faults();
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let manager = succeeding(builder).clock(clock.clone()).start().unwrap();
    let (task, mut finishing) = (Task::new(), manager.finished(&receipt));
    assert!(task.poll(&mut finishing).is_pending());
    faults.arm(Fault::next(Operation::Get).lasting(Lasting::UntilDisarmed));
    clock.advance(HOUR);
    task.until_woken(1);
    faults.disarm();
    let error = block_on(&mut finishing).unwrap_err();
    let reason = error.park_reason();
    assert!(matches!(reason, Some(ParkReason::Unreadable(_))), "{error}");
    manager.retry(&receipt).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 0));
    assert_eq!(manager.counts().unwrap().parked, 0);
}

pub(crate) fn who_waits_for_a_job_parked_as_crashing_is_told(place: &dyn Place) {
    let receipts = park_as_crashing(place, &ManualClock::new());
    let manager = succeeding(one_worker(place)).start().unwrap();
    let text = "the process died beside it 4 times in a row: once that is mended, `retry` runs it";
    is_told(&manager, &receipts[0], &ParkReason::Crashing(4), text);
    let line = "1 job cannot run here: 1 crashing";
    assert_eq!(manager.recovery().parked.to_string(), line);
    // What killed the process may have been what it carries.
    manager.amend(&receipts[0], &work("harmless")).unwrap();
    let done = manager.wait(&receipts[0], PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), "harmless done");
}

pub(crate) fn an_undecodable_job_gets_another_payload_and_runs(place: &dyn Place) {
    let manager = reshaped(one_worker(place)).start().unwrap();
    let receipts = [10, 2_000].map(|length| manager.enqueue(work("x".repeat(length))).unwrap());
    for (receipt, lines) in receipts.iter().zip([2_000, 10]) {
        assert!(manager.wait(receipt, PATIENCE).unwrap_err().is_parked());
        let receipt = receipt.untyped().typed::<Reshaped>();
        manager.amend(&receipt, &Reshaped::new(lines)).unwrap();
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!((done.attempts(), done.into_output().unwrap()), (1, lines));
    }
    assert_eq!(manager.counts().unwrap().parked, 0);
    drop(manager);
    assert_eq!(rows(place, Space::Bodies), 1);
    crate::verifying::is_sound(place);
}

pub(crate) fn an_operator_amends_a_listed_job_by_json(place: &dyn Place) {
    let manager = reshaped(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let unknown = manager.enqueue(Other { amount: 1 }).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).unwrap_err().is_parked());
    let page = manager.jobs(StateKind::Parked, None, 10).unwrap();
    let listed = page.jobs()[0].receipt();
    for (json, why) in [
        (r#"{"label":"b","runs":0}"#, "missing field `lines`"),
        ("{", "EOF while parsing"),
    ] {
        let error = manager.amend_json(listed, json).unwrap_err();
        assert!(error.is_codec(), "{error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("amend job 1: {why}")),
            "{error}"
        );
    }
    manager.amend_json(listed, r#"{"lines":[1,2,3]}"#).unwrap();
    let receipt = receipt.untyped().typed::<Reshaped>();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), 3);
    let error = manager.amend_json(&unknown, "1").unwrap_err();
    let expected = "amend job 2: no handler is registered for `other`";
    assert_eq!(
        (error.is_codec(), error.to_string().as_str()),
        (true, expected)
    );
}

pub(crate) fn a_job_that_waits_gets_another_payload_and_keeps_its_place(place: &dyn Place) {
    let (door, clock) = (Door::new(), ManualClock::new());
    let manager = through(one_worker(place), &door)
        .clock(clock.clone())
        .start()
        .unwrap();
    let running = manager.enqueue(work("running")).unwrap();
    door.arrived();
    // One at hand for the pool, others in line, one by priority, one due later.
    let receipts = manager.enqueue_all(["b", "c", "d"].map(work)).unwrap();
    let urgent = NewJob::new(work("urgent")).priority(Priority::Urgent);
    let urgent = manager.enqueue(urgent).unwrap();
    let later = manager
        .enqueue(NewJob::new(work("later")).delay(HOUR))
        .unwrap();
    for (receipt, label) in receipts.iter().zip(["B", "C", "D"]) {
        manager.amend(receipt, &work(label)).unwrap();
    }
    manager.amend(&urgent, &work("x".repeat(2_000))).unwrap();
    manager.amend(&later, &work("LATER")).unwrap();
    let error = manager.amend(&running, &work("x")).unwrap_err();
    assert_eq!(error.illegal_state(), Some(StateKind::Running));
    assert_eq!(
        error.to_string(),
        "amend job 1: it is running, and this needs one that is parked, or waits"
    );
    let due = manager.status(&later).unwrap().due();
    assert_eq!(due, Some(clock.wall().after(HOUR)));
    door.open(5);
    assert_eq!(door.arrived(), "x".repeat(2_000));
    for label in ["B", "C", "D"] {
        assert_eq!(door.arrived(), label);
    }
    manager.wait(&receipts[2], PATIENCE).unwrap();
    assert!(door.is_quiet());
    clock.advance(HOUR);
    door.open(1);
    let done = manager.wait(&later, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), "LATER done");
    let error = manager.amend(&later, &work("x")).unwrap_err();
    assert_eq!(error.illegal_state(), Some(StateKind::Succeeded));
}

pub(crate) fn only_a_payload_of_the_jobs_own_type_is_taken(place: &dyn Place) {
    let manager = one_worker(place).payload_limit(1_000).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let as_other = receipt.untyped().typed::<Other>();
    let error = manager.amend(&as_other, &Other { amount: 1 }).unwrap_err();
    assert!(error.is_other_type(), "{error}");
    assert_eq!(
        error.to_string(),
        "amend job 1 as `other`: it is stored as `work`"
    );
    let error = manager
        .amend(&receipt, &work("x".repeat(2_000)))
        .unwrap_err();
    assert!(error.is_too_large(), "{error}");
    let gone = manager.enqueue(work("b")).unwrap();
    manager.remove(&gone).unwrap();
    assert!(manager.amend(&gone, &work("x")).unwrap_err().is_pruned());
    // A job that lacks more than a payload gets that, and waits on.
    manager.amend(&receipt, &work("amended")).unwrap();
    assert_eq!(manager.counts().unwrap().parked, 1);
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), "amended done");
}

/// A [`Work`] of today.
#[derive(Debug, Serialize, Deserialize)]
struct Packed {
    parts: Vec<String>,
}

impl Job for Packed {
    const NAME: &'static str = "packed";
    const ALIASES: &'static [&'static str] = &["work"];
    const CODEC: Codec = Codec::Bincode;
    type Output = usize;
}

pub(crate) fn an_amended_job_is_encoded_as_its_type_is_today(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Packed>(|job, _| Ok(job.parts.len()))
        .start()
        .unwrap();
    manager.pause("default").unwrap();
    let old = one_worker_elsewhere(&manager);
    let receipt = old.untyped().typed::<Packed>();
    let parts = vec!["a".into(), "b".into()];
    manager.amend(&receipt, &Packed { parts }).unwrap();
    drop(manager);
    let record: JobRecord = get_typed(&place.open(), Key::live(receipt.number()))
        .unwrap()
        .unwrap();
    assert_eq!(
        (record.codec, record.name.as_str()),
        (Codec::Bincode, "work")
    );
    assert!(matches!(record.payload, Kept::Inline(bytes) if bytes.len() < 10));
    let manager = one_worker(place)
        .handle::<Packed>(|job, _| Ok(job.parts.len()))
        .start()
        .unwrap();
    manager.resume("default").unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), 2);
}

fn one_worker_elsewhere(manager: &Manager) -> Receipt<Work> {
    manager.enqueue(work("a")).unwrap()
}

pub(crate) fn a_key_stays_with_the_job_that_is_amended(place: &dyn Place) {
    let manager = reshaped(one_worker(place)).start().unwrap();
    let keyed = |label: &str| NewJob::new(work(label)).key("order/7");
    let receipt = manager.enqueue(keyed("a")).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).unwrap_err().is_parked());
    let error: Error = manager.enqueue(keyed("corrected")).unwrap_err();
    assert_eq!(error.key_conflict_with(), Some(receipt.number()));
    let reason = ParkReason::Undecodable(UNDECODABLE.into());
    assert_eq!(error.park_reason(), Some(&reason));
    assert!(!error.is_parked());
    assert_eq!(
        error.to_string(),
        format!(
            "enqueue job `work` with key `order/7`: job 1 holds this key with another payload, and is \
             parked: its payload does not decode: {UNDECODABLE}: give that job another payload with \
             `amend`, or remove it with its key"
        )
    );
    let amended = receipt.untyped().typed::<Reshaped>();
    manager.amend(&amended, &Reshaped::new(2)).unwrap();
    manager.wait(&amended, PATIENCE).unwrap();
    // The key stands for what was queued.
    assert_eq!(manager.enqueue(keyed("a")).unwrap(), receipt);
    let error = manager.enqueue(keyed("corrected")).unwrap_err();
    assert_eq!(
        (error.key_conflict_with(), error.park_reason()),
        (Some(receipt.number()), None)
    );
}

pub(crate) fn an_amendment_survives_a_refused_write(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let manager = reshaped(builder).start().unwrap();
    let receipt = manager.enqueue(work("x".repeat(2_000))).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).unwrap_err().is_parked());
    faults.arm(Fault::next(Operation::Commit).full());
    let receipt = receipt.untyped().typed::<Reshaped>();
    manager.amend(&receipt, &Reshaped::new(1_000)).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.into_output().unwrap()), (1, 1_000));
    drop(manager);
    crate::verifying::is_sound(place);
}

pub(crate) fn an_amended_suspect_is_held_back_like_before(place: &dyn Place) {
    let receipts = two_suspects(place);
    let (clock, door) = (ManualClock::new(), Door::new());
    let builder = through(one_worker(place), &door).clock(clock.clone());
    let manager = builder.start().unwrap();
    for (receipt, label) in receipts.iter().zip(["A", "B"]) {
        manager.amend(receipt, &work(label)).unwrap();
    }
    a_turn(&manager);
    assert!(door.is_quiet());
    assert_eq!(manager.counts().unwrap().ready, 2);
    clock.advance(PROBATION);
    for (receipt, label) in receipts.iter().zip(["A", "B"]) {
        assert_eq!(door.arrived(), label);
        door.open(1);
        manager.wait(receipt, PATIENCE).unwrap();
    }
}
