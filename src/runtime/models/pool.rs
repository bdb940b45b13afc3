use std::sync::Mutex;

use jobkeep_store::{JobNumber, OpeningTag, Timestamp, Token};
use shuttle::sync::Barrier;
use shuttle::thread;

use super::clock;
use crate::clock::{Clock, Steady};
use crate::config::Queue;
use crate::core::{Handed, Order};
use crate::runtime::pool::Pool;

fn handed(number: u64) -> Handed {
    Handed {
        order: Order {
            rank: 0,
            since: Timestamp(0),
            number: JobNumber(number),
        },
        token: Token {
            opening: OpeningTag(1),
            sequence: number,
        },
        record: None,
    }
}

pub(super) fn post(pool: &Pool, numbers: impl IntoIterator<Item = u64>) {
    pool.post(numbers.into_iter().map(handed));
}

/// A pool of two workers, none of them started.
fn pool() -> Pool {
    let pool = Pool::new(&Queue::new("default").workers(2));
    pool.thread_started();
    pool.thread_started();
    pool
}

/// A worker, until it is to end.
fn work(pool: &Pool, clock: &Clock, mut job: impl FnMut(u64)) {
    while let Some((handed, _)) = pool.next(&"worker".into(), clock) {
        job(handed.order.number.0);
        pool.done(handed.order.number);
    }
    pool.thread_ended();
}

/// Each job waits for the other: a worker that slept beside a job on the shelf would be missed.
pub(super) fn two_jobs_run_at_once_on_two_workers() {
    let ((_, clock), pool) = (clock(), pool());
    let all = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                work(&pool, &clock, |_| {
                    all.wait();
                });
            });
        }
        scope.spawn(|| {
            for batch in [[1, 2], [3, 4]] {
                if super::flip() {
                    post(&pool, batch);
                } else {
                    for number in batch {
                        post(&pool, [number]);
                    }
                }
                all.wait();
            }
            pool.halt();
        });
    });
    assert!(pool.is_over());
}

pub(super) fn each_job_is_taken_withdrawn_or_left() {
    let ((_, clock), pool) = (clock(), pool());
    let taken = Mutex::new(Vec::new());
    let mut others = Vec::new();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| work(&pool, &clock, |number| taken.lock().unwrap().push(number)));
        }
        scope.spawn(|| pool.halt());
        scope.spawn(|| {
            for batch in [[1, 2], [3, 4]] {
                post(&pool, batch);
                let [first, _] = batch;
                if pool.withdraw(JobNumber(first)) {
                    others.push(first);
                }
            }
            others.extend(pool.stop().into_iter().map(|(number, _)| number.0));
        });
    });
    let mut shown = Vec::new();
    pool.look(&mut shown, Steady::default());
    let mut shown: Vec<_> = shown.into_iter().map(|(number, _)| number.0).collect();
    let mut taken = taken.into_inner().unwrap();
    taken.sort_unstable();
    shown.sort_unstable();
    assert_eq!(shown, taken, "what was taken is what the committer sees");
    taken.extend(others);
    taken.sort_unstable();
    assert_eq!(taken, [1, 2, 3, 4]);
    assert!(pool.is_over());
}

pub(super) fn all_workers_end() {
    let ((_, clock), pool) = (clock(), pool());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| work(&pool, &clock, drop));
        }
        scope.spawn(|| pool.halt());
        scope.spawn(|| drop(pool.stop()));
    });
    assert!(pool.is_over());
}
