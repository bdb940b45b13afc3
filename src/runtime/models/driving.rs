//! A future of a job on its worker's thread, and tasks that wait for the job to be told to stop.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};

use shuttle::future::block_on;
use shuttle::thread;

use super::{clock, flip};
use crate::cancellation::Cancellation;
use crate::runtime::drive::{call, drive};
use crate::sync::Mutex;

pub(super) fn a_future_that_is_woken_comes_to_its_end() {
    let (_, clock) = clock();
    let (cancelled, seen) = (Cancellation::default(), Mutex::new((false, None::<Waker>)));
    thread::scope(|scope| {
        scope.spawn(|| {
            let future = pin!(poll_fn(|context| {
                let mut seen = seen.lock();
                if seen.0 {
                    return Poll::Ready(());
                }
                seen.1 = Some(context.waker().clone());
                Poll::Pending
            }));
            assert!(drive(&cancelled, future, &clock));
        });
        scope.spawn(|| {
            let mut seen = seen.lock();
            seen.0 = true;
            let waker = seen.1.take();
            drop(seen);
            if let Some(waker) = waker {
                if flip() {
                    waker.wake();
                } else {
                    waker.wake_by_ref();
                }
            }
        });
    });
}

pub(super) fn a_future_of_a_job_that_is_to_stop_is_given_up() {
    let (_, clock) = clock();
    let cancelled = Cancellation::default();
    thread::scope(|scope| {
        scope.spawn(|| assert!(!drive(&cancelled, pin!(pending()), &clock)));
        scope.spawn(|| call(cancelled.ask()));
    });
}

pub(super) fn tasks_hear_that_a_job_is_to_stop() {
    let cancelled = Cancellation::default();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seat = None;
                // Polled once in vain, as a future is that moves to another task.
                if flip() {
                    let _ = cancelled.poll(&mut seat, Waker::noop());
                }
                block_on(poll_fn(|context| {
                    cancelled.poll(&mut seat, context.waker())
                }));
            });
        }
        scope.spawn(|| call(cancelled.ask()));
    });
}
