//! Jobs that a job queues from within: they come with its success, or not at all.

use std::sync::Arc;
use std::thread::scope;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    Builder, Context, Error, Job, JobError, JobNumber, Manager, NewJob, Priority, Queue,
    QueueStore, Reason, Receipt, StateKind,
};
use jobkeep_store::conformance::{Fault, FaultyStore, Lasting, Operation};
use jobkeep_store::{JobRecord, Key, Space, get_typed};
use serde::{Deserialize, Serialize};

use crate::damage::{damage, first_key};
use crate::place::{
    Door, HOUR, Other, PATIENCE, Place, Work, one_worker, succeeding, through, work,
};
use crate::retrying::until;
use crate::uniqueness::rows;

/// Jobs of type `work` do this. Those of type `other` have no handler and stay parked.
fn doing(
    builder: Builder,
    run: impl Fn(&mut Work, &Context) -> Result<(), JobError> + Send + Sync + 'static,
) -> Manager {
    builder
        .handle::<Work>(move |work, ctx| run(work, ctx).map(|()| "done".into()))
        .start()
        .unwrap()
}

fn other(amount: u64) -> NewJob<Other> {
    NewJob::new(Other { amount })
}

fn once(job: Work) -> NewJob<Work> {
    NewJob::new(job).attempts(1)
}

fn twice(job: Work) -> NewJob<Work> {
    NewJob::new(job)
        .attempts(2)
        .backoff(Duration::ZERO, Duration::ZERO)
}

fn parked(manager: &Manager) -> u64 {
    manager.counts().unwrap().parked
}

/// The failure of a job that had only this attempt.
fn failure(manager: &Manager, receipt: &Receipt<Work>) -> String {
    let done = manager.wait(receipt, PATIENCE).unwrap();
    let failure = done.into_output().unwrap_err();
    assert_eq!(failure.reason(), Reason::Error);
    failure.message().into()
}

pub(crate) fn jobs_that_follow_come_with_the_success(place: &dyn Place) {
    let (store, door): (Arc<dyn QueueStore>, _) = (Arc::new(place.open()), Door::new());
    let builder = Manager::builder(FaultyStore::over(Arc::clone(&store)))
        .queue(Queue::new("default").workers(1))
        .queue(Queue::new("later"));
    let inside = door.clone();
    let manager = doing(builder, move |_, ctx| {
        let urgent = other(2).queue("later").priority(Priority::Urgent);
        ctx.enqueue(urgent.delay(HOUR).attempts(7))?;
        ctx.enqueue_all([Other { amount: 3 }, Other { amount: 4 }])?;
        inside.enter("queued");
        Ok(())
    });
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let found = until(&manager, &receipt, StateKind::Running);
    assert_eq!((found.attempts(), parked(&manager)), (0, 0));
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    // In the same commit: whoever sees the success sees these.
    let record = |number| -> JobRecord {
        let key = Key::live(JobNumber(number));
        get_typed(&*store, key).unwrap().unwrap()
    };
    let first = record(2);
    let options = (first.queue.as_str(), first.priority, first.max_attempts);
    assert_eq!(options, ("later", Priority::Urgent, 7));
    assert_eq!(first.state.kind(), StateKind::Scheduled);
    assert_eq!([3, 4].map(|number| record(number).name), ["other", "other"]);
    assert_eq!(parked(&manager), 3);
    door.open(1);
    assert_eq!(manager.enqueue(work("next")).unwrap().number().0, 5);
}

pub(crate) fn jobs_that_follow_run(place: &dyn Place) {
    let (door, inside) = (Door::new(), Door::new());
    let (begin, end) = (door.clone(), inside.clone());
    let manager = one_worker(place)
        .handle::<Work>(move |work, ctx| {
            begin.enter(&work.label);
            if work.runs > 0 {
                let (label, runs) = (format!("after {}", work.label), work.runs - 1);
                ctx.enqueue(Work { label, runs })?;
            }
            Ok(String::new())
        })
        .handle::<Other>(move |other, _| {
            end.enter("other");
            Ok(other.amount)
        })
        .start()
        .unwrap();
    let (label, runs) = ("a".into(), 2);
    manager.enqueue(Work { label, runs }).unwrap();
    assert_eq!(door.arrived(), "a");
    // Accepted before the first job that follows.
    manager.enqueue(other(1)).unwrap();
    door.open(1);
    assert_eq!(inside.arrived(), "other");
    inside.open(1);
    assert_eq!(door.arrived(), "after a");
    door.open(1);
    assert_eq!(door.arrived(), "after after a");
    door.open(1);
}

pub(crate) fn nothing_follows_an_attempt_without_success(place: &dyn Place) {
    let manager = doing(one_worker(place), |work, ctx| {
        ctx.enqueue(other(1))?;
        ctx.enqueue(other(1).key("k"))?;
        match work.label.as_str() {
            "error" => Err(JobError::new("as planned")),
            "permanent" => Err(JobError::permanent("as planned")),
            "cancel" => Err(JobError::cancel("as planned")),
            "snooze" => Err(JobError::snooze(HOUR)),
            _ => panic!("as planned"),
        }
    });
    for label in ["error", "permanent", "cancel", "panic"] {
        let receipt = manager.enqueue(once(work(label))).unwrap();
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        done.into_output().unwrap_err();
    }
    let snoozed = manager.enqueue(work("snooze")).unwrap();
    until(&manager, &snoozed, StateKind::Scheduled);
    manager.cancel(&snoozed).unwrap();
    assert_eq!(parked(&manager), 0);
    let last = manager.enqueue(once(work("panic"))).unwrap();
    assert_eq!(last.number().0, 6);
    manager.wait(&last, PATIENCE).unwrap();
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(
        (rows(place, Space::Live), rows(place, Space::Unique)),
        (0, 0)
    );
}

pub(crate) fn a_success_that_cannot_be_kept_has_no_jobs_that_follow(place: &dyn Place) {
    let manager = doing(one_worker(place).payload_limit(200), |work, ctx| {
        ctx.enqueue(other(1))?;
        work.label = "x".repeat(200);
        Ok(())
    });
    let receipt = manager.enqueue(work("a")).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap_err().reason(), Reason::Permanent);
    assert_eq!(parked(&manager), 0);
}

pub(crate) fn each_attempt_begins_without_jobs_that_follow(place: &dyn Place) {
    let manager = doing(one_worker(place), |_, ctx| {
        ctx.enqueue(other(u64::from(ctx.attempt())))?;
        if ctx.attempt() == 1 {
            return Err(JobError::new("again"));
        }
        Ok(())
    });
    let receipt = manager.enqueue(twice(work("a"))).unwrap();
    manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap();
    assert_eq!(parked(&manager), 1);
}

pub(crate) fn a_commit_that_fails_writes_neither_the_end_nor_what_follows(place: &dyn Place) {
    let store = place.open();
    let (faults, door) = (store.faults(), Door::new());
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let inside = door.clone();
    let manager = doing(builder, move |_, ctx| {
        ctx.enqueue(other(1))?;
        inside.enter("queued");
        Ok(())
    });
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    let fault = Fault::next(Operation::Commit).unknown();
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap_err();
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(rows(place, Space::Live), 1);
    let manager = doing(one_worker(place), |_, ctx| Ok(ctx.enqueue(other(1))?));
    let recovery = manager.recovery();
    assert_eq!((recovery.waiting, recovery.interrupted), (1, 1));
    manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(parked(&manager), 1);
}

pub(crate) fn what_follows_is_written_once_though_its_commit_was_refused(place: &dyn Place) {
    let store = place.open();
    let (faults, door) = (store.faults(), Door::new());
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let inside = door.clone();
    let manager = doing(builder, move |_, ctx| {
        ctx.enqueue(other(1))?;
        ctx.enqueue(other(2).key("k"))?;
        inside.enter("queued");
        Ok(())
    });
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    faults.arm(Fault::next(Operation::Commit).full());
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(parked(&manager), 2);
    let held = manager.enqueue(other(2).key("k")).unwrap();
    assert_eq!(held.number().0, 3);
    manager.enqueue(other(1).key("k")).unwrap_err();
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(one_worker(place).start().unwrap().recovery().waiting, 2);
}

pub(crate) fn a_key_that_is_held_for_the_same_is_not_written_again(place: &dyn Place) {
    let manager = doing(one_worker(place), |_, ctx| {
        let keys = ["held", "new", "new"];
        Ok(ctx.enqueue_all(keys.map(|key| other(1).key(key)))?)
    });
    let held = manager.enqueue(other(1).key("held")).unwrap();
    for label in ["a", "b"] {
        let receipt = manager.enqueue(once(work(label))).unwrap();
        manager
            .wait(&receipt, PATIENCE)
            .unwrap()
            .into_output()
            .unwrap();
        assert_eq!(parked(&manager), 2);
    }
    assert_eq!(manager.enqueue(other(1).key("held")).unwrap(), held);
    let new = manager.enqueue(other(1).key("new")).unwrap();
    // The one that was held and the second one of its key left gaps.
    assert_eq!(new.number().0, 4);
}

pub(crate) fn a_key_that_is_held_for_something_else_fails_the_attempt(place: &dyn Place) {
    let manager = doing(one_worker(place), |work, ctx| {
        work.runs += 1;
        ctx.enqueue(other(7))?;
        Ok(ctx.enqueue(other(1).key("k"))?)
    });
    let holder = manager.enqueue(other(2).key("k")).unwrap();
    let receipt = manager.enqueue(once(work("a"))).unwrap();
    assert_eq!(
        failure(&manager, &receipt),
        "enqueue job `other` with key `k`: job 1 holds this key with another payload: use another \
         key, or the same payload"
    );
    // As after any error the value is the one that the run left, and nothing is lost.
    let left = manager.completed(&receipt).unwrap().unwrap();
    assert_eq!((left.job().unwrap().runs, left.attempts()), (1, 1));
    assert_eq!(parked(&manager), 1);
    manager.remove(&holder).unwrap();
    manager.retry(&receipt).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, parked(&manager)), (2, 2));
    done.into_output().unwrap();
}

pub(crate) fn an_attempt_that_fails_for_a_key_is_tried_again(place: &dyn Place) {
    let clock = ManualClock::new();
    let builder = one_worker(place).clock(clock.clone());
    let manager = doing(builder, |work, ctx| {
        // Across the inline bound and back, so that the row of the value is the right one.
        work.label = "x".repeat(2_000 * usize::from(ctx.attempt() == 1 && work.runs == 0));
        ctx.checkpoint(work)?;
        work.label = "y".repeat(2_000);
        work.runs += 1;
        Ok(ctx.enqueue(other(1).key("k"))?)
    });
    let holder = manager.enqueue(other(2).key("k")).unwrap();
    let job = NewJob::new(work("a")).backoff(HOUR, HOUR);
    let receipt = manager.enqueue(job).unwrap();
    let status = until(&manager, &receipt, StateKind::Scheduled);
    assert_eq!((status.attempts(), parked(&manager)), (1, 1));
    manager.remove(&holder).unwrap();
    clock.advance(HOUR);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let found = (
        done.attempts(),
        done.job().unwrap().runs,
        done.job().unwrap().label.len(),
    );
    assert_eq!((found, parked(&manager)), ((2, 2, 2_000), 1));
}

pub(crate) fn two_jobs_that_follow_may_not_want_one_key_for_different_things(place: &dyn Place) {
    let manager = doing(one_worker(place), |_, ctx| {
        Ok(ctx.enqueue_all([other(1).key("k"), other(2).key("k")])?)
    });
    let receipt = manager.enqueue(once(work("a"))).unwrap();
    assert_eq!(
        failure(&manager, &receipt),
        "enqueue job `other` with key `k`: a job before it, which is to be accepted with it, has this key \
         with another payload: use another key, or the same payload"
    );
    assert_eq!(parked(&manager), 0);
}

pub(crate) fn a_cancelled_job_whose_jobs_are_refused_is_cancelled(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let manager = doing(one_worker(place), move |_, ctx| {
        inside.enter("running");
        Ok(ctx.enqueue(other(1).key("k"))?)
    });
    manager.enqueue(other(2).key("k")).unwrap();
    let receipt = manager.enqueue(twice(work("a"))).unwrap();
    door.arrived();
    manager.cancel(&receipt).unwrap();
    door.open(1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), parked(&manager)), (1, 1));
    let failure = done.into_output().unwrap_err();
    assert_eq!(failure.reason(), Reason::Cancelled);
}

pub(crate) fn a_damaged_key_fails_the_attempt(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    manager.enqueue(other(1).key("k")).unwrap();
    drop(manager);
    let key = first_key(place, Space::Unique);
    damage(place, key);
    let manager = doing(one_worker(place), |_, ctx| {
        Ok(ctx.enqueue(other(1).key("k"))?)
    });
    let receipt = manager.enqueue(once(work("a"))).unwrap();
    let text = failure(&manager, &receipt);
    let begin =
        format!("enqueue job `other` with key `k`: read row {key}: the bytes do not decode");
    assert!(text.starts_with(&begin), "{text}");
    assert_eq!(parked(&manager), 1);
}

/// What a job is told at once. It then succeeds with the jobs that were taken before.
fn told(
    builder: Builder,
    enqueue: impl Fn(&Context) -> Result<(), Error> + Send + Sync + 'static,
) -> (Manager, String) {
    let manager = builder
        .handle::<Work>(move |_, ctx| {
            ctx.enqueue(other(1))?;
            Ok(enqueue(ctx).unwrap_err().to_string())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(once(work("a"))).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let text = done.into_output().unwrap();
    assert_eq!(parked(&manager), 1);
    (manager, text)
}

pub(crate) fn a_job_that_cannot_follow_is_refused_at_once(place: &dyn Place) {
    let (_, text) = told(one_worker(place), |ctx| {
        ctx.enqueue_all([other(2), other(3).queue("mail")])
    });
    assert_eq!(
        text,
        "job 2 of the batch: enqueue job `other` in queue `mail`: no such queue is declared, only \
         `default`: name one of these, or declare it with `Builder::queue`"
    );
}

pub(crate) fn a_large_job_that_follows_is_refused_at_once(place: &dyn Place) {
    let (_, text) = told(one_worker(place).payload_limit(100), |ctx| {
        ctx.enqueue(work("x".repeat(100)))
    });
    assert_eq!(
        text,
        "enqueue job `work`: its payload has 121 bytes and the limit is 100: queue a reference to the \
         data instead, or raise `Builder::payload_limit`"
    );
}

pub(crate) fn a_long_key_of_a_job_that_follows_is_refused_at_once(place: &dyn Place) {
    let (_, text) = told(one_worker(place), |ctx| {
        ctx.enqueue(other(1).key("k".repeat(257)))
    });
    let expected = "enqueue job `other`: its key has 257 bytes and the limit is 256";
    assert_eq!(text, expected);
}

pub(crate) fn as_many_jobs_follow_as_a_batch_has(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Work>(|_, ctx| {
            ctx.enqueue_all((0..9_999).map(other))?;
            ctx.enqueue(other(0))?;
            let many = ctx.enqueue(other(0)).unwrap_err();
            assert!(many.is_too_large());
            Ok(many.to_string())
        })
        .start()
        .unwrap();
    let receipt = manager.enqueue(once(work("a"))).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let amounts = (0..9_999).chain([0, 0]);
    let bytes: usize = amounts.map(|n| format!(r#"{{"amount":{n}}}"#).len()).sum();
    assert_eq!(
        done.into_output().unwrap(),
        format!(
            "enqueue 10001 jobs of {bytes} bytes at once: one batch takes at most 10000 jobs and \
             16777216 bytes: split it"
        )
    );
    assert_eq!(parked(&manager), 10_000);
}

pub(crate) fn no_more_bytes_follow_than_a_batch_has(place: &dyn Place) {
    const MIB: usize = 1 << 20;
    let (_, text) = told(one_worker(place), |ctx| {
        ctx.enqueue_all((0..17).map(|_| work("x".repeat(MIB - 21))))
    });
    assert_eq!(
        text,
        format!(
            "enqueue 18 jobs of {} bytes at once: one batch takes at most 10000 jobs and 16777216 \
             bytes: split it",
            17 * MIB + r#"{"amount":1}"#.len()
        )
    );
}

pub(crate) fn an_end_that_the_fence_refuses_has_no_jobs_that_follow(place: &dyn Place) {
    let store: Arc<dyn QueueStore> = Arc::new(place.open());
    let owner = || {
        let store = FaultyStore::over(Arc::clone(&store));
        Manager::builder(store).queue(Queue::new("default").workers(1))
    };
    let door = Door::new();
    let inside = door.clone();
    let older = doing(owner(), move |_, ctx| {
        ctx.enqueue_all([other(1), other(2)])?;
        inside.enter("queued");
        Ok(())
    });
    let receipt = older.enqueue(work("a")).unwrap();
    door.arrived();
    let newer = doing(owner(), |_, ctx| Ok(ctx.enqueue(other(3))?));
    newer.wait(&receipt, PATIENCE).unwrap();
    door.open(1);
    older.shutdown(PATIENCE).unwrap();
    drop((older, newer, store));
    assert_eq!(rows(place, Space::Live), 1);
}

pub(crate) fn an_end_of_an_older_opening_has_no_jobs_that_follow(place: &dyn Place) {
    let (door, newer_door) = (Door::new(), Door::new());
    let inside = door.clone();
    let older = doing(one_worker(place), move |_, ctx| {
        ctx.enqueue(other(1))?;
        inside.enter("queued");
        Ok(())
    });
    let receipt = older.enqueue(work("a")).unwrap();
    door.arrived();
    older.shutdown(Duration::ZERO).unwrap();
    let newer = through(one_worker(place), &newer_door).start().unwrap();
    door.open(1);
    newer_door.arrived();
    newer_door.open(1);
    newer.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(parked(&newer), 0);
    assert_eq!(newer.enqueue(work("next")).unwrap().number().0, 2);
    newer_door.open(1);
}

pub(crate) fn jobs_that_follow_are_accepted_within_the_grace(place: &dyn Place) {
    let door = Door::new();
    let inside = door.clone();
    let manager = doing(one_worker(place), move |_, ctx| {
        ctx.enqueue(work("next"))?;
        inside.enter("queued");
        Ok(())
    });
    manager.enqueue(work("a")).unwrap();
    door.arrived();
    scope(|scope| {
        let report = scope.spawn(|| manager.shutdown(PATIENCE).unwrap());
        while manager.counts().is_ok() {
            std::thread::yield_now();
        }
        door.open(1);
        assert_eq!(report.join().unwrap().finished, 1);
    });
    assert!(door.is_quiet());
    let manager = succeeding(one_worker(place)).start().unwrap();
    let recovery = manager.recovery();
    assert_eq!((recovery.waiting, recovery.interrupted), (1, 0));
}

pub(crate) fn the_delay_of_a_job_that_follows_counts_from_the_end(place: &dyn Place) {
    let (clock, door) = (ManualClock::new(), Door::new());
    let inside = door.clone();
    let manager = doing(one_worker(place).clock(clock.clone()), move |work, ctx| {
        if work.label == "a" {
            let label = "later".into();
            ctx.enqueue(NewJob::new(Work { label, runs: 0 }).delay(HOUR))?;
        }
        inside.enter(&work.label);
        Ok(())
    });
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    clock.advance(HOUR);
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(manager.counts().unwrap().scheduled, 1);
    clock.advance(HOUR);
    assert_eq!(door.arrived(), "later");
    door.open(1);
}

/// Polls again and again under one key, until it has done so often enough.
fn polling(builder: Builder, is_other: bool) -> Builder {
    builder.handle::<Work>(move |work, ctx| {
        if work.runs > 0 {
            let next = Work {
                label: if is_other {
                    format!("after {}", work.label)
                } else {
                    work.label.clone()
                },
                runs: work.runs - 1,
            };
            ctx.enqueue(NewJob::new(next).key("poll").delay(HOUR))?;
        }
        Ok(String::new())
    })
}

pub(crate) fn a_job_hands_its_key_to_the_one_that_follows_it(place: &dyn Place) {
    let clock = ManualClock::new();
    for is_other in [false, true] {
        let start = || {
            polling(one_worker(place), is_other)
                .clock(clock.clone())
                .start()
        };
        let mut manager = start().unwrap();
        let label = if is_other { "other" } else { "same" };
        let poll = |runs| {
            NewJob::new(Work {
                label: label.into(),
                runs,
            })
            .key("poll")
        };
        let first = manager.enqueue(poll(3)).unwrap();
        manager.wait(&first, PATIENCE).unwrap();
        for _ in 0..3 {
            let page = manager.jobs(StateKind::Scheduled, None, 10).unwrap();
            let [next] = page.jobs() else {
                panic!("{page:?}");
            };
            let next: Receipt<Work> = next.receipt().clone().typed();
            let held = manager.enqueue(NewJob::new(work("x")).key("poll"));
            let error = held.unwrap_err();
            assert_eq!(error.key_conflict_with(), Some(next.number()));
            let error = manager.retry(&first).unwrap_err();
            assert_eq!(error.key_conflict_with(), Some(first.number()));
            drop(manager);
            clock.advance(HOUR);
            manager = start().unwrap();
            manager.wait(&next, PATIENCE).unwrap();
        }
        assert_eq!(manager.counts().unwrap().scheduled, 0);
        clock.advance(24 * HOUR);
        manager.shutdown(PATIENCE).unwrap();
        assert_eq!(jobkeep::verify(&place.open()).unwrap().findings, []);
    }
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

pub(crate) fn a_key_is_handed_on_under_a_new_name(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let old = NewJob::new(work("a")).key("k");
    let first = manager.enqueue(old.clone()).unwrap();
    drop(manager);
    let builder = one_worker(place).handle::<Renamed>(|job, ctx| {
        if job.runs == 0 {
            let (label, runs) = ("b".into(), 1);
            ctx.enqueue(NewJob::new(Renamed { label, runs }).key("k").delay(HOUR))?;
        }
        Ok(String::new())
    });
    let manager = builder.start().unwrap();
    manager.wait(&first, PATIENCE).unwrap();
    assert_eq!(manager.counts().unwrap().scheduled, 1);
    let error = manager.enqueue(old).unwrap_err();
    assert_eq!(error.key_conflict_with(), Some(JobNumber(2)));
    manager.shutdown(PATIENCE).unwrap();
    assert_eq!(jobkeep::verify(&place.open()).unwrap().findings, []);
}
