use std::time::Duration;

use jobkeep_store::{JobNumber, StoreId};
use shuttle::sync::Barrier;
use shuttle::thread;

use super::{clock, flip, linger};
use crate::Codec;
use crate::carry::{Answer, End, Foreign};
use crate::clock::{Clock, Steady};
use crate::runtime::executors::{Done, Executors};
use crate::sync::{Arc, Mutex};

const LIMIT: Duration = Duration::from_secs(30);

fn one(clock: &Clock) -> Arc<Executors> {
    let executors = Arc::new(Executors::new(1));
    clock.tell(&executors);
    executors.join_in(1);
    executors
}

fn foreign(store: u128) -> Foreign {
    Foreign {
        store: StoreId(store),
        job: JobNumber(1),
        name: "work".into(),
        codec: Codec::Json,
        payload: Vec::new(),
        attempt: 1,
        deadline_ms: 30_000,
    }
}

/// Who waits for an answer.
struct Caller {
    answers: Mutex<Vec<Answer>>,
    told: Barrier,
}

fn caller() -> (Arc<Caller>, Done) {
    let caller = Arc::new(Caller {
        answers: Mutex::default(),
        told: Barrier::new(2),
    });
    let told = Arc::clone(&caller);
    let done = move |answer| {
        told.answers.lock().push(answer);
        told.told.wait();
    };
    (caller, Box::new(done))
}

impl Caller {
    fn hears(&self) {
        self.told.wait();
    }
}

/// An executor, until it is to end.
fn work(executors: &Executors, clock: &Clock, job: impl Fn()) {
    while let Some(work) = executors.next(&"executor-1".into(), clock) {
        job();
        let answer = Answer {
            left: None,
            end: End::Succeeded(Vec::new()),
            log: Vec::new(),
        };
        if !executors.end(work.id(), answer) {
            break;
        }
    }
}

fn watch(executors: &Executors, clock: &Clock) {
    while let Some(mut overdue) = executors.watch(clock) {
        overdue.answer();
        for _ in overdue.substitutes {
            executors.no_substitute();
        }
    }
}

pub(super) fn a_job_is_answered_and_all_end() {
    let (_, clock) = clock();
    let executors = one(&clock);
    thread::scope(|scope| {
        scope.spawn(|| work(&executors, &clock, || {}));
        scope.spawn(|| watch(&executors, &clock));
        scope.spawn(|| {
            let (caller, done) = caller();
            executors.take_in(foreign(1), clock.now(), done).unwrap();
            caller.hears();
            executors.halt();
        });
    });
}

pub(super) fn a_job_that_runs_is_waited_for() {
    let (_, clock) = clock();
    let executors = one(&clock);
    let runs = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            work(&executors, &clock, || {
                runs.wait();
            });
        });
        scope.spawn(|| watch(&executors, &clock));
        scope.spawn(|| {
            let (caller, done) = caller();
            executors.take_in(foreign(2), clock.now(), done).unwrap();
            runs.wait();
            executors.halt();
            executors.wait(&clock, Steady(u64::MAX));
            caller.hears();
        });
    });
}

/// The deadline may be over before the job is taken in: the watch must look at it all the same.
pub(super) fn a_job_is_answered_at_its_deadline_or_its_end_and_once() {
    let (manual, clock) = clock();
    let executors = one(&clock);
    let now = clock.now();
    let answered = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            work(&executors, &clock, || {
                answered.wait();
            });
        });
        scope.spawn(|| watch(&executors, &clock));
        scope.spawn(|| {
            if flip() {
                linger();
            }
            manual.advance(LIMIT);
        });
        scope.spawn(|| {
            let (caller, done) = caller();
            executors.take_in(foreign(3), now, done).unwrap();
            caller.hears();
            executors.halt();
            // Where no executor had begun it, none waits there.
            if executors.is_stuck() {
                answered.wait();
            }
            let answers = caller.answers.lock();
            let ends: Vec<_> = answers.iter().map(|answer| &answer.end).collect();
            assert_eq!(ends, [&End::TimedOut(30_000)]);
        });
    });
}
