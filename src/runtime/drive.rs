//! A future of a job, on its worker's thread.

use std::pin::Pin;
use std::task::{self, Context, Waker};

use super::signal::Signal;
use super::wakers;
use crate::cancellation::Cancellation;
use crate::clock::{Clock, Wake};
use crate::sync::{Arc, Mutex};

/// Polls the future until it is ready, or the job is to stop: `false` then, and the caller drops it.
///
/// 1. The future is polled; its waker, and whoever tells the job to stop, leave a mark and wake the
///    thread.
/// 2. Without a mark the thread sleeps. It looks once whether the job is to stop after it has begun to
///    watch for that, so no word is missed.
pub(super) fn drive(
    cancelled: &Cancellation,
    mut future: Pin<&mut dyn Future<Output = ()>>,
    clock: &Clock,
) -> bool {
    let call = Arc::new(Call::default());
    let waker = Waker::from(Arc::clone(&call));
    let mut context = Context::from_waker(&waker);
    let _watch = cancelled.watch(Arc::clone(&call) as Arc<dyn Wake>);
    loop {
        if future.as_mut().poll(&mut context).is_ready() {
            return true;
        }
        if cancelled.is_asked() {
            return false;
        }
        call.wait(clock);
    }
}

/// Wakes the tasks that waited for a job to be told to stop. Called under no lock, as any waker.
pub(super) fn call(tasks: Vec<Waker>) {
    wakers::wake(tasks);
}

/// What wakes the thread. Its last waker may outlive the attempt.
#[derive(Default)]
struct Call {
    called: Mutex<bool>,
    arrived: Signal,
}

impl Call {
    fn wait(&self, clock: &Clock) {
        let mut called = self.called.lock();
        while !std::mem::take(&mut *called) {
            self.arrived.wait(&mut called, clock, None);
        }
    }

    fn leave(&self) {
        *self.called.lock() = true;
        self.arrived.wake_one();
    }
}

impl task::Wake for Call {
    fn wake(self: Arc<Self>) {
        self.leave();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.leave();
    }
}

impl Wake for Call {
    fn wake(&self) {
        self.leave();
    }
}
