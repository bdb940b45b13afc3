//! What jobs are told about themselves, and what is shown of them.

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::testing::pushing::{Answer, Call, End, Foreign};
use jobkeep::{
    Codec, Completed, Context, Enqueue, Job, JobError, JobNumber, Manager, NewJob, Priority, Queue,
    ResultExt, StateKind, Timestamp,
};
use jobkeep_store::{
    Batch, Damaged, Encoded, Fence, JobRecord, Kept, Key, OpeningTag, Space, StoreId, Token,
    get_typed,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, to_value};

use crate::place::{Door, HOUR, Other, PATIENCE, Place, SECOND, Work, one_worker, through, work};
use crate::retrying::until;

pub(crate) fn a_job_knows_its_attempt_its_queue_and_its_key(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = Manager::builder(place.open())
        .queue(Queue::new("default").workers(1))
        .queue(Queue::new("mail").workers(1))
        .clock(clock.clone())
        .handle::<Work>(|work, ctx| {
            let receipt = ctx.receipt()?;
            let seen = (
                ctx.queue(),
                ctx.key(),
                ctx.enqueued_at(),
                ctx.max_attempts(),
            );
            let number = receipt.number();
            let (is_last, error) = (ctx.is_last_attempt(), ctx.last_error());
            work.label = format!("{}{number}: {seen:?} {is_last} {error:?}, ", work.label);
            Err(JobError::new("no luck"))
        })
        .start()
        .unwrap();
    let accepted = clock.wall();
    let job = NewJob::new(work("")).queue("mail").key("a/1").attempts(2);
    let job = job.backoff(Duration::ZERO, Duration::ZERO);
    let receipt = manager.enqueue(job).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let seen = ("mail", Some("a/1"), Some(accepted), Some(2));
    assert_eq!(
        done.job().unwrap().label,
        format!("1: {seen:?} false None, 1: {seen:?} true Some(\"no luck\"), ")
    );
    let status = manager.status(&receipt).unwrap();
    assert_eq!((status.key(), status.max_attempts()), (Some("a/1"), 2));
    assert_eq!(status.last_error().as_deref(), Some("no luck"));
    assert_eq!((status.timeout(), status.snoozes()), (None, 0));
}

pub(crate) fn a_job_reckons_with_the_managers_clock(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = one_worker(place)
        .clock(clock.clone())
        .handle::<Other>(|_, _| Ok(0))
        .handle::<Work>(|_, ctx| {
            let next = NewJob::new(Other { amount: 1 });
            ctx.enqueue(next.run_at(ctx.now().after(HOUR)))?;
            Ok(ctx.now().to_string())
        })
        .start()
        .unwrap();
    let now = manager.now();
    assert_eq!(now, clock.wall());
    let receipt = manager.enqueue(work("a")).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(*done.output().unwrap(), now.to_string());
    let next = manager.receipt(JobNumber(2));
    assert_eq!(manager.status(&next).unwrap().due(), Some(now.after(HOUR)));
}

/// Whatever becomes a boxed error does, and text.
pub(crate) fn a_job_fails_by_whatever_its_program_calls_an_error(place: &dyn Place) {
    fn boxed() -> Result<(), Box<dyn Error + Send + Sync>> {
        Err("boxed".into())
    }
    fn fail(work: &mut Work, _: &Context) -> Result<String, JobError> {
        match work.label.as_str() {
            "anyhow" => Err(anyhow::anyhow!("the cause").context("the act"))?,
            "boxed" => boxed()?,
            "io" => Err(std::io::Error::other("of the system"))?,
            "string" => Err(String::from("a string"))?,
            "permanent" => Err(anyhow::anyhow!("for good")).permanent()?,
            other => return Err(other.into()),
        }
        Ok(String::new())
    }
    let manager = one_worker(place).handle::<Work>(fail).start().unwrap();
    for (label, message) in [
        ("anyhow", "the act: the cause"),
        ("boxed", "boxed"),
        ("io", "of the system"),
        ("string", "a string"),
        ("permanent", "for good"),
        ("text", "text"),
    ] {
        let receipt = manager
            .enqueue(NewJob::new(work(label)).attempts(1))
            .unwrap();
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(done.output().unwrap_err().message(), message);
    }
}

pub(crate) fn a_number_gives_its_jobs_receipt(place: &dyn Place) {
    let receipt = one_worker(place)
        .start()
        .unwrap()
        .enqueue(work("a"))
        .unwrap();
    let manager = one_worker(place).start().unwrap();
    assert_eq!(manager.receipt(receipt.number()), receipt.untyped());
    let next = manager.enqueue(work("b")).unwrap();
    assert_eq!(manager.receipt(next.number()), next.untyped());
    let nobody = manager.receipt(JobNumber(77));
    assert!(manager.status(&nobody).unwrap_err().is_never_existed());
}

const SECRET: &str = "Ada Lovelace, 12 Main Street";

/// Neither the text nor its bytes.
fn is_discreet(what: &str, shown: &dyn Debug) {
    let bytes = format!("{:?}", SECRET.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    for shown in [
        format!("{shown:?}"),
        format!("{shown:#?}").replace([' ', '\n'], ""),
    ] {
        for leak in [
            SECRET.to_owned(),
            SECRET.replace(' ', ""),
            bytes.replace(' ', ""),
            bytes.into(),
        ] {
            assert!(!shown.contains(&leak), "{what} shows {leak}: {shown}");
        }
    }
}

/// A type without `Debug`, as many a job is.
#[derive(Serialize, Deserialize)]
struct Letter {
    to: String,
}

impl Job for Letter {
    const NAME: &'static str = "letter";
    type Output = String;
}

/// Whatever an application may print has its payloads, outputs and log lines in numbers only.
pub(crate) fn nothing_that_is_printed_shows_what_a_job_carries(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let manager = one_worker(place)
        .handle::<Letter>(move |letter, ctx| {
            ctx.log(&letter.to);
            inside.enter("running");
            ctx.checkpoint(letter)?;
            Ok(letter.to.clone())
        })
        .start()
        .unwrap();
    let letter = |to: String| NewJob::new(Letter { to });
    is_discreet("NewJob", &letter(SECRET.into()));
    is_discreet("Draft", &letter(SECRET.into()).draft().unwrap());
    // One that stands in its record, and one in a row of its own.
    for to in [SECRET.to_owned(), SECRET.repeat(100)] {
        let receipt = manager.enqueue(letter(to)).unwrap();
        door.arrived();
        is_discreet(
            "Status of one that runs",
            &manager.status(&receipt).unwrap(),
        );
        door.open(1);
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        is_discreet("Completed", &done);
        is_discreet("Attempt", &done.history());
        assert_eq!(done.history()[0].log.len(), 1);
        let status = manager.status(&receipt).unwrap();
        is_discreet("Status", &status);
        assert!(format!("{status:?}").contains(" bytes"));
        assert!(status.payload_bytes() >= SECRET.len());
        let finished = manager.look_up(&receipt.untyped(), Duration::ZERO).unwrap();
        let finished = finished.unwrap();
        is_discreet("Finished", &finished);
        assert_eq!(
            (finished.name(), finished.number()),
            ("letter", receipt.number())
        );
        let output: String = serde_json::from_slice(finished.output().unwrap()).unwrap();
        assert!(output.starts_with(SECRET));
        is_discreet("Completed", &Completed::<Letter>::new(finished).unwrap());
    }
    let page = manager.jobs(StateKind::Succeeded, None, 10).unwrap();
    is_discreet("Page", &page);
    manager.shutdown(PATIENCE).unwrap();
    let record: JobRecord = get_typed(&place.open(), Key::done(JobNumber(1)))
        .unwrap()
        .unwrap();
    is_discreet("JobRecord", &record);
}

#[test]
fn nothing_of_a_store_or_of_a_pushed_job_shows_what_it_carries() {
    let bytes = SECRET.as_bytes().to_vec();
    is_discreet("Kept", &Kept::Inline(bytes.clone()));
    let row = Encoded::new(SECRET).unwrap();
    is_discreet("Encoded", &row);
    let fence = Fence {
        store: StoreId(1),
        opening: OpeningTag(1),
        commit: 1,
    };
    let mut batch = Batch::new(fence);
    batch.put(Key::new(Space::Live, 1), row);
    is_discreet("Batch", &batch);
    let (at, reason) = (Timestamp(0), String::new());
    is_discreet(
        "Damaged",
        &Damaged {
            at,
            reason,
            bytes: bytes.clone(),
        },
    );
    let (store, job, token) = (
        StoreId(1),
        JobNumber(1),
        Token {
            opening: OpeningTag(1),
            sequence: 1,
        },
    );
    is_discreet(
        "Call",
        &Call {
            store,
            job,
            token,
            name: "letter",
            codec: Codec::Json,
            payload: &bytes,
            attempt: 1,
            deadline_ms: 1,
        },
    );
    is_discreet(
        "Foreign",
        &Foreign {
            store,
            job,
            name: "letter".into(),
            codec: Codec::Json,
            payload: bytes.clone(),
            attempt: 1,
            deadline_ms: 1,
        },
    );
    is_discreet(
        "Answer",
        &Answer {
            left: Some(bytes.clone()),
            end: End::Succeeded(bytes),
            log: vec![SECRET.into()],
        },
    );
}

pub(crate) fn what_is_shown_of_jobs_serializes(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(one_worker(place).clock(clock.clone()), &door)
        .start()
        .unwrap();
    let now = clock.wall();
    let job = NewJob::new(work("a"))
        .key("k")
        .priority(Priority::High)
        .timeout(SECOND);
    let receipt = manager.enqueue(job.delay(HOUR)).unwrap();
    until(&manager, &receipt, StateKind::Scheduled);
    let shown = json!({
        "state": "scheduled", "parked": null, "name": "work", "queue": "default", "key": "k",
        "priority": "high", "payload_bytes": 22, "created_ms": now.0, "due_ms": now.after(HOUR).0,
        "finished_ms": null, "attempts": 0, "max_attempts": 25, "timeout_ms": 1000, "snoozes": 0,
        "interruptions": 0, "cancel_requested": false, "progress": null, "last_error": null,
    });
    assert_eq!(to_value(manager.status(&receipt).unwrap()).unwrap(), shown);
    let page = manager.jobs(StateKind::Scheduled, None, 1).unwrap();
    let shown = json!({
        "receipt": receipt.to_string(), "state": "scheduled", "parked": null, "name": "work",
        "queue": "default", "priority": "high", "attempts": 0, "created_ms": now.0,
        "due_ms": now.after(HOUR).0, "finished_ms": null,
    });
    assert_eq!(to_value(&page.jobs()[0]).unwrap(), shown);
    let counts = to_value(manager.counts().unwrap()).unwrap();
    assert_eq!(
        (&counts["scheduled"], &counts["failed"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(Priority::Urgent.to_string(), "urgent");
}
