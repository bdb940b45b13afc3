use jobkeep_store::JobNumber;
use shuttle::thread;

use super::{SECOND, clock, in_a_second};
use crate::Error;
use crate::clock::{Clock, Steady};
use crate::finished::Finished;
use crate::runtime::waiters::Waiters;
use crate::sync::Mutex;

const JOB: JobNumber = JobNumber(1);

/// What a waiter looks at.
#[derive(Debug, Default)]
struct Store {
    finished: bool,
    closed: bool,
}

/// As a caller waits: `Some(true)` where the job has finished, `None` where nothing will end any more.
fn wait(waiters: &Waiters, store: &Mutex<Store>, clock: &Clock, until: Steady) -> Option<bool> {
    let has_finished = || {
        let store = store.lock();
        assert!(!store.closed, "the store is kept open for a waiter");
        store.finished
    };
    let waiting = waiters.register(JOB, clock)?;
    if has_finished() {
        return Some(true);
    }
    if !waiting.wait(clock, until) {
        return Some(false);
    }
    if has_finished() {
        return Some(true);
    }
    let ends_no_more = waiters.is_over() || !waiters.may_end(JOB);
    assert!(ends_no_more, "a ring that means nothing");
    None
}

fn nobody_left_an_address(_: JobNumber) -> Result<Finished, Error> {
    unreachable!("only threads wait")
}

pub(super) fn who_registers_sees_the_end() {
    let (_, clock) = clock();
    let (waiters, store) = (Waiters::default(), Mutex::default());
    let until = in_a_second(&clock);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(wait(&waiters, &store, &clock, until), Some(true)));
        }
        scope.spawn(|| {
            store.lock().finished = true;
            waiters.ring(&[JOB]);
        });
    });
}

pub(super) fn nobody_looks_once_the_store_is_closed() {
    let (_, clock) = clock();
    let (waiters, store) = (Waiters::default(), Mutex::default());
    let until = in_a_second(&clock);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_ne!(wait(&waiters, &store, &clock, until), Some(false)));
        }
        scope.spawn(|| {
            if super::flip() {
                store.lock().finished = true;
                waiters.ring(&[JOB]);
            }
            waiters.dismiss(&clock, nobody_left_an_address);
            store.lock().closed = true;
        });
    });
    assert!(waiters.register(JOB, &clock).is_none());
}

pub(super) fn who_waits_for_what_does_not_run_is_sent_away() {
    let (_, clock) = clock();
    let (waiters, store) = (Waiters::default(), Mutex::default());
    let until = in_a_second(&clock);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_ne!(wait(&waiters, &store, &clock, until), Some(false)));
        }
        scope.spawn(|| {
            waiters.close_to([JOB].into());
            if super::flip() {
                store.lock().finished = true;
                waiters.ring(&[JOB]);
            }
            waiters.close_to([].into());
        });
    });
}

pub(super) fn patience_runs_out_beside_a_ring() {
    let (manual, clock) = clock();
    let (waiters, store) = (Waiters::default(), Mutex::default());
    let until = in_a_second(&clock);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| wait(&waiters, &store, &clock, until));
        }
        scope.spawn(|| manual.advance(SECOND));
        scope.spawn(|| {
            store.lock().finished = true;
            waiters.ring(&[JOB]);
            waiters.dismiss(&clock, nobody_left_an_address);
            store.lock().closed = true;
        });
    });
}
