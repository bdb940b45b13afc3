use std::time::Duration;

use shuttle::thread;

use super::clock;
use super::pool::post;
use crate::clock::Clock;
use crate::config::Queue;
use crate::runtime::pool::Pool;
use crate::sync::Arc;

/// A pool of one worker whose queue rests for a minute at most.
fn resting(clock: &Clock) -> Arc<Pool> {
    let pool = Arc::new(Pool::new(&Queue::new("default").workers(1)));
    clock.tell(&pool);
    let now = clock.now().steady;
    pool.refused(now, now, None, 1);
    pool
}

/// Runs one job.
fn work(pool: &Pool, clock: &Clock) {
    while let Some((handed, _)) = pool.next(&"worker".into(), clock) {
        pool.done(handed.order.number);
        pool.halt();
    }
}

pub(super) fn an_answer_ends_it() {
    let (_, clock) = clock();
    let pool = resting(&clock);
    thread::scope(|scope| {
        scope.spawn(|| work(&pool, &clock));
        scope.spawn(|| post(&pool, [1]));
        scope.spawn(|| pool.answered());
    });
}

pub(super) fn its_moment_ends_it() {
    let (manual, clock) = clock();
    let pool = resting(&clock);
    thread::scope(|scope| {
        scope.spawn(|| work(&pool, &clock));
        scope.spawn(|| post(&pool, [1]));
        scope.spawn(|| manual.advance(Duration::from_secs(60)));
    });
}
