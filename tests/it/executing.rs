//! Jobs of other hosts' stores, run here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::testing::pushing::{
    self, Answer, Call, Carried, Carry, End, Foreign, Refusal, Refused,
};
use jobkeep::{Builder, Codec, Context, JobError, JobNumber, Manager, MemoryStore, NewJob, Queue};
use jobkeep_store::StoreId;

use crate::place::{
    Door, HOUR, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};

const LIMIT: Duration = Duration::from_secs(30);
const ELSEWHERE: StoreId = StoreId(7);

/// A manager with so many executors and one worker.
fn host(place: &dyn Place, executors: usize, clock: &ManualClock) -> Builder {
    pushing::executors(one_worker(place), executors).clock(clock.clone())
}

fn foreign(job: u64) -> Foreign {
    Foreign {
        store: ELSEWHERE,
        job: JobNumber(job),
        name: "work".into(),
        codec: Codec::Json,
        payload: br#"{"label":"a","runs":0}"#.to_vec(),
        attempt: 3,
        deadline_ms: 30_000,
    }
}

/// No other test has this store: the threads that outlive their attempts are the process's.
fn another_store() -> StoreId {
    static LAST: AtomicU64 = AtomicU64::new(100);
    StoreId(LAST.fetch_add(1, Ordering::Relaxed).into())
}

fn of(store: StoreId, job: u64) -> Foreign {
    Foreign {
        store,
        ..foreign(job)
    }
}

/// Has it run, and gives where the answer will be.
fn sent(manager: &Manager, foreign: Foreign) -> Result<Receiver<Answer>, Refused> {
    let (answers, answer) = channel();
    let done = move |answer| answers.send(answer).unwrap();
    pushing::execute(manager, foreign, done).map(|()| answer)
}

fn answered(manager: &Manager, foreign: Foreign) -> Answer {
    sent(manager, foreign)
        .unwrap()
        .recv_timeout(PATIENCE)
        .unwrap()
}

/// Sends it until the host begins it.
fn until_taken(manager: &Manager, foreign: &Foreign) -> Receiver<Answer> {
    loop {
        match sent(manager, foreign.clone()) {
            Ok(answer) => return answer,
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

pub(crate) fn a_foreign_job_is_answered_as_it_was_left_and_nothing_is_written(place: &dyn Place) {
    let clock = ManualClock::new();
    let builder = host(place, 1, &clock).handle::<Work>(|work, ctx| {
        work.runs += ctx.attempt();
        ctx.progress(1, 2);
        ctx.log(format!("job {}, {:?} left", ctx.id(), ctx.time_left()));
        Ok("done here".into())
    });
    let manager = builder.start().unwrap();
    let answer = answered(&manager, foreign(12));
    assert_eq!(text(answer.left.as_deref()), r#"{"label":"a","runs":3}"#);
    assert_eq!(answer.end, End::Succeeded(br#""done here""#.to_vec()));
    assert_eq!(answer.log, ["job 12, Some(30s) left"]);
    assert_eq!(manager.counts().unwrap(), jobkeep::Counts::default());
}

pub(crate) fn a_foreign_job_that_fails_is_an_answer(place: &dyn Place) {
    let clock = ManualClock::new();
    let builder = host(place, 1, &clock).handle::<Work>(|work, ctx| {
        work.runs = 9;
        Err(match ctx.id().0 {
            1 => JobError::new("no such file"),
            2 => JobError::retry_after(HOUR, "busy"),
            3 => JobError::permanent("gone"),
            4 => JobError::snooze(HOUR),
            5 => JobError::cancel("not needed"),
            _ => panic!("boom"),
        })
    });
    let manager = builder.start().unwrap();
    let chain = |text: &str| vec![text.to_string()];
    let failed = |text, retry_after| End::Failed {
        chain: chain(text),
        retry_after,
    };
    let ends = [
        failed("no such file", None),
        failed("busy", Some(HOUR)),
        End::Permanent(chain("gone")),
        End::Snoozed(HOUR),
        End::Cancelled(chain("not needed")),
    ];
    for (job, end) in (1..).zip(ends) {
        let answer = answered(&manager, foreign(job));
        assert_eq!(answer.end, end);
        assert_eq!(text(answer.left.as_deref()), r#"{"label":"a","runs":9}"#);
    }
    let answer = answered(&manager, foreign(6));
    let End::Panicked { message, location } = answer.end else {
        panic!("{answer:?}");
    };
    assert_eq!((message.as_str(), answer.left), ("boom", None));
    assert!(location.contains("executing.rs"), "{location}");
}

pub(crate) fn a_payload_that_does_not_decode_is_an_answer(place: &dyn Place) {
    let manager = succeeding(host(place, 1, &ManualClock::new()))
        .start()
        .unwrap();
    let payload = br#"{"label":"a"}"#.to_vec();
    let answer = answered(
        &manager,
        Foreign {
            payload,
            ..foreign(1)
        },
    );
    let End::Undecodable(message) = answer.end else {
        panic!("{answer:?}");
    };
    assert!(message.starts_with("missing field `runs`"), "{message}");
}

pub(crate) fn what_a_foreign_job_leaves_beyond_the_limits_fails_it(place: &dyn Place) {
    let builder = host(place, 1, &ManualClock::new()).output_limit(3);
    let manager = succeeding(builder).start().unwrap();
    let End::Permanent(chain) = answered(&manager, foreign(1)).end else {
        panic!("it is too large");
    };
    assert_eq!(
        chain,
        [
            "the output as the run left it has 8 bytes and the limit is 3: keep a reference to the \
          data instead, or raise `Builder::output_limit`"
        ]
    );
}

pub(crate) fn a_foreign_job_has_no_checkpoints_and_nothing_follows_it(place: &dyn Place) {
    let builder = host(place, 1, &ManualClock::new()).resource(String::from("shared"));
    let builder = builder.handle::<Work>(|job, ctx: &Context| {
        let errors = [
            ctx.checkpoint(job).unwrap_err().to_string(),
            ctx.enqueue(work("b")).unwrap_err().to_string(),
        ];
        Ok(format!(
            "{} {}",
            ctx.resource::<String>()?,
            errors.join("; ")
        ))
    });
    let manager = builder.start().unwrap();
    let End::Succeeded(output) = answered(&manager, foreign(12)).end else {
        panic!("it failed");
    };
    let why = "it is not available in a pushed job, whose store is elsewhere: run its queue where it \
               is stored";
    assert_eq!(
        text(Some(&output)),
        format!("\"shared checkpoint job 12: {why}; enqueue job `work` after this one: {why}\"")
    );
}

pub(crate) fn a_host_refuses_before_it_begins_anything(place: &dyn Place) {
    let store = another_store();
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(host(place, 1, &clock), &door).start().unwrap();
    let unknown = Foreign {
        name: "unknown".into(),
        ..of(store, 1)
    };
    assert_eq!(sent(&manager, unknown).unwrap_err(), Refused::UnknownName);
    let answer = sent(&manager, of(store, 1)).unwrap();
    door.arrived();
    assert_eq!(sent(&manager, of(store, 1)).unwrap_err(), Refused::Busy);
    let full = Refused::Full {
        retry_after: SECOND,
    };
    assert_eq!(sent(&manager, of(store, 2)).unwrap_err(), full);
    // The same number of another store is another job.
    assert_eq!(sent(&manager, of(another_store(), 1)).unwrap_err(), full);
    door.open(1);
    answer.recv_timeout(PATIENCE).unwrap();
    let answer = sent(&manager, of(store, 1)).unwrap();
    door.open(1);
    answer.recv_timeout(PATIENCE).unwrap();
    manager.shutdown(HOUR).unwrap();
    assert_eq!(sent(&manager, of(store, 1)).unwrap_err(), Refused::ShutDown);
    for (refused, refusal) in [
        (full, Refusal::OfAll),
        (Refused::ShutDown, Refusal::OfAll),
        (Refused::Busy, Refusal::OfThisJob),
        (Refused::UnknownName, Refusal::OfThisJob),
    ] {
        assert_eq!(refused.refusal(), refusal);
    }
}

pub(crate) fn a_host_without_executors_runs_no_foreign_job(place: &dyn Place) {
    let manager = succeeding(host(place, 0, &ManualClock::new()))
        .start()
        .unwrap();
    let unknown = Foreign {
        name: "unknown".into(),
        ..foreign(2)
    };
    for foreign in [foreign(1), unknown] {
        assert_eq!(sent(&manager, foreign).unwrap_err(), Refused::NoExecutors);
    }
    assert_eq!(Refused::NoExecutors.refusal(), Refusal::OfAll);
}

pub(crate) fn foreign_jobs_take_no_worker_and_own_jobs_no_executor(place: &dyn Place) {
    let store = another_store();
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(host(place, 1, &clock), &door).start().unwrap();
    let own = manager.enqueue(work("own")).unwrap();
    assert_eq!(door.arrived(), "own");
    let answer = sent(&manager, of(store, 1)).unwrap();
    assert_eq!(door.arrived(), "a");
    door.open(2);
    answer.recv_timeout(PATIENCE).unwrap();
    manager.wait(&own, PATIENCE).unwrap();
}

pub(crate) fn a_foreign_job_is_answered_at_its_deadline_and_refused_until_its_thread_returns(
    place: &dyn Place,
) {
    let store = another_store();
    let (clock, door) = (ManualClock::new(), Door::new());
    let (cancelled, told) = channel();
    let cancelled = Mutex::new(cancelled);
    let inside = door.clone();
    let builder = host(place, 1, &clock).handle::<Work>(move |work, ctx| {
        ctx.log("a line");
        inside.enter(&work.label);
        cancelled.lock().unwrap().send(ctx.is_cancelled()).unwrap();
        Ok("late".into())
    });
    let manager = builder.start().unwrap();
    let answer = sent(&manager, of(store, 1)).unwrap();
    door.arrived();
    clock.advance(LIMIT - SECOND);
    assert!(answer.try_recv().is_err());
    clock.advance(SECOND);
    let timed_out = Answer {
        left: None,
        end: End::TimedOut(30_000),
        log: vec!["a line".into()],
    };
    assert_eq!(answer.recv_timeout(PATIENCE).unwrap(), timed_out);
    assert_eq!(sent(&manager, of(store, 1)).unwrap_err(), Refused::Busy);
    // Another manager of the same process refuses it too.
    let other = pushing::executors(Manager::builder(MemoryStore::new()), 1);
    let other = succeeding(other).start().unwrap();
    assert_eq!(sent(&other, of(store, 1)).unwrap_err(), Refused::Busy);
    // Another thread stands in.
    let beside = until_taken(&manager, &of(store, 2));
    door.arrived();
    door.open(2);
    assert!(told.recv_timeout(PATIENCE).unwrap() || told.recv_timeout(PATIENCE).unwrap());
    beside.recv_timeout(PATIENCE).unwrap();
    let again = until_taken(&manager, &of(store, 1));
    door.open(1);
    let Answer { end, .. } = again.recv_timeout(PATIENCE).unwrap();
    assert_eq!(end, End::Succeeded(br#""late""#.to_vec()));
    // What the first thread returned reached nobody.
    assert!(answer.try_recv().is_err());
}

pub(crate) fn substitutes_stand_in_for_stuck_executors_up_to_as_many(place: &dyn Place) {
    let (store, clock) = (another_store(), ManualClock::new());
    let (door, later) = (Door::new(), Door::new());
    let (first, second) = (door.clone(), later.clone());
    let builder = host(place, 1, &clock).handle::<Work>(move |work, ctx| {
        let door = if ctx.id().0 <= 2 { &first } else { &second };
        door.enter(&work.label);
        Ok(String::new())
    });
    let manager = builder.start().unwrap();
    for job in 1..=2 {
        let answer = until_taken(&manager, &of(store, job));
        door.arrived();
        clock.advance(LIMIT);
        answer.recv_timeout(PATIENCE).unwrap();
    }
    let full = Refused::Full {
        retry_after: SECOND,
    };
    assert_eq!(sent(&manager, of(store, 3)).unwrap_err(), full);
    door.open(2);
    // In the end there is one executor again, and no more.
    let answer = until_taken(&manager, &of(store, 3));
    later.arrived();
    for job in 1..=2 {
        while sent(&manager, of(store, job)).unwrap_err() == Refused::Busy {
            std::thread::yield_now();
        }
    }
    assert_eq!(sent(&manager, of(store, 4)).unwrap_err(), full);
    later.open(1);
    answer.recv_timeout(PATIENCE).unwrap();
}

pub(crate) fn a_foreign_job_may_end_within_the_grace(place: &dyn Place) {
    let store = another_store();
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(host(place, 1, &clock), &door).start().unwrap();
    let answer = sent(&manager, of(store, 1)).unwrap();
    door.arrived();
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| manager.shutdown(HOUR).unwrap());
        while sent(&manager, of(store, 2)).unwrap_err() != Refused::ShutDown {
            std::thread::yield_now();
        }
        assert!(!ending.is_finished());
        door.open(1);
        ending.join().unwrap();
    });
    let Answer { end, .. } = answer.try_recv().unwrap();
    assert_eq!(end, End::Succeeded(br#""a done""#.to_vec()));
}

pub(crate) fn a_foreign_job_that_outlasts_the_grace_is_not_answered(place: &dyn Place) {
    let store = another_store();
    let (clock, door) = (ManualClock::new(), Door::new());
    let manager = through(host(place, 1, &clock), &door).start().unwrap();
    let answer = sent(&manager, of(store, 1)).unwrap();
    door.arrived();
    let report = manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(report.still_running, []);
    // Its caller's end of the line is gone.
    answer.recv_timeout(PATIENCE).unwrap_err();
    let next = pushing::executors(one_worker(place), 1);
    let next = succeeding(next).start().unwrap();
    assert_eq!(sent(&next, of(store, 1)).unwrap_err(), Refused::Busy);
    door.open(1);
    until_taken(&next, &of(store, 1))
        .recv_timeout(PATIENCE)
        .unwrap();
}

pub(crate) fn a_foreign_job_may_shut_its_host_down(place: &dyn Place) {
    let store = another_store();
    let own = Arc::new(Mutex::new(None::<Manager>));
    let inside = Arc::clone(&own);
    let builder = host(place, 1, &ManualClock::new()).handle::<Work>(move |_, _| {
        let manager = inside.lock().unwrap().take().unwrap();
        manager.shutdown(HOUR)?;
        Ok("shut down".into())
    });
    let manager = builder.start().unwrap();
    *own.lock().unwrap() = Some(manager.clone());
    let Answer { end, .. } = answered(&manager, of(store, 1));
    assert_eq!(end, End::Succeeded(br#""shut down""#.to_vec()));
    manager.shutdown(HOUR).unwrap();
}

pub(crate) fn who_hears_an_answer_and_panics_harms_nobody(place: &dyn Place) {
    let store = another_store();
    let manager = succeeding(host(place, 1, &ManualClock::new()))
        .start()
        .unwrap();
    pushing::execute(&manager, of(store, 1), |_| panic!("unheard")).unwrap();
    until_taken(&manager, &of(store, 2))
        .recv_timeout(PATIENCE)
        .unwrap();
}

/// Carries calls to a manager of this process.
#[derive(Debug)]
struct Loopback(Manager);

impl Carry for Loopback {
    fn carry(&self, call: &Call<'_>) -> Carried {
        let foreign = Foreign {
            store: call.store,
            job: call.job,
            name: call.name.into(),
            codec: call.codec,
            payload: call.payload.to_vec(),
            attempt: call.attempt,
            deadline_ms: call.deadline_ms,
        };
        match sent(&self.0, foreign) {
            Err(refused) => Carried::NotStarted {
                refusal: refused.refusal(),
                retry_after: match refused {
                    Refused::Full { retry_after } => Some(retry_after),
                    _ => None,
                },
                why: refused.to_string(),
            },
            Ok(answer) => match answer.recv() {
                Ok(answer) => Carried::Answered(answer),
                Err(gone) => Carried::Unknown {
                    why: gone.to_string(),
                },
            },
        }
    }
}

pub(crate) fn a_queue_is_pushed_to_another_manager(place: &dyn Place) {
    let host = pushing::executors(Manager::builder(MemoryStore::new()), 4);
    let host = succeeding(host).start().unwrap();
    let queue = pushing::through(Queue::new("default").workers(4), Arc::new(Loopback(host)));
    let manager = Manager::builder(place.open()).queue(queue).start().unwrap();
    let jobs = (0..50).map(|n| NewJob::new(work(n.to_string())));
    let receipts = manager.enqueue_all(jobs).unwrap();
    for (n, receipt) in receipts.iter().enumerate() {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 1));
        assert_eq!(done.into_output().unwrap(), format!("{n} done"));
    }
}
