//! The post of a pool whose one worker does not return in time, and of the thread that stands in for
//! it.

use jobkeep_store::JobNumber;
use shuttle::sync::Barrier;
use shuttle::thread;

use super::{clock, flip};
use crate::clock::{Clock, Now, Steady};
use crate::config::Queue;
use crate::context::Limit;
use crate::runtime::models::pool::post;
use crate::runtime::pool::{Done, Pool};
use crate::sync::Mutex;

const DEADLINE: Steady = Steady(1);

/// A worker whose job 1 may be given up meanwhile. The number of the job that was.
fn work(pool: &Pool, clock: &Clock, returned: &Mutex<Vec<JobNumber>>, runs: &Barrier) {
    while let Some((handed, running)) = pool.next(&"worker".into(), clock) {
        let number = handed.order.number;
        if number.0 == 1 {
            let limit = Limit {
                began: Now::default(),
                deadline: DEADLINE,
                timeout_ms: 1,
            };
            pool.limit(&running, limit);
            runs.wait();
        }
        let Done {
            was_stuck, retires, ..
        } = pool.done(number);
        if was_stuck {
            returned.lock().push(number);
        }
        if retires {
            break;
        }
    }
    pool.thread_ended();
}

/// Whether the job returns before it is given up or after, each job is taken once, the thread that was
/// given up is known to return, and in the end as many threads are free as there are workers.
pub(super) fn a_stuck_worker_is_stood_in_for_and_leaves() {
    let (_, clock) = clock();
    let pool = Pool::new(&Queue::new("default").workers(1).hand_over(0));
    let (returned, runs, stands_in) = (Mutex::new(Vec::new()), Barrier::new(2), Barrier::new(2));
    let given_up = Mutex::new(Vec::new());
    let has_substitute = Mutex::new(false);
    pool.thread_started();
    post(&pool, [1]);
    thread::scope(|scope| {
        scope.spawn(|| work(&pool, &clock, &returned, &runs));
        scope.spawn(|| {
            stands_in.wait();
            if !*has_substitute.lock() {
                return;
            }
            if pool.stand_in() {
                work(&pool, &clock, &returned, &runs);
            } else {
                pool.thread_ended();
            }
        });
        scope.spawn(|| {
            runs.wait();
            let overdue = pool.overdue(DEADLINE, |job, _| given_up.lock().push(job));
            if !overdue.is_empty() && pool.wants_substitute().is_some() {
                pool.thread_started();
                *has_substitute.lock() = true;
            }
            stands_in.wait();
            if flip() {
                post(&pool, [2, 3]);
            } else {
                post(&pool, [2]);
                post(&pool, [3]);
            }
            while !pool.is_resting() || pool.is_filled() {
                thread::yield_now();
            }
            pool.halt();
        });
    });
    assert_eq!(pool.look(&mut Vec::new(), clock.now().steady).room, 1);
    assert_eq!(*returned.lock(), *given_up.lock());
    assert!(pool.is_over());
}
