//! As much of an executor as tests need.

use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::place::PATIENCE;

/// A task: counts how often it is woken.
#[derive(Debug, Default)]
pub(crate) struct Task {
    wakes: Mutex<usize>,
    woken: Condvar,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        *self.wakes.lock().unwrap() += 1;
        self.woken.notify_all();
    }
}

impl Task {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    pub(crate) fn wakes(&self) -> usize {
        *self.wakes.lock().unwrap()
    }

    /// Returns when the task has been woken so often.
    pub(crate) fn until_woken(&self, times: usize) {
        let wakes = self.wakes.lock().unwrap();
        let (wakes, _) = self
            .woken
            .wait_timeout_while(wakes, PATIENCE, |wakes| *wakes < times)
            .unwrap();
        assert!(*wakes >= times, "woken {wakes} times");
    }
}

/// Polls the future on this thread until it is done, and only when it asked for it.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let (mut future, task) = (pin!(future), Task::new());
    loop {
        let seen = task.wakes();
        if let Poll::Ready(output) = task.poll(&mut future) {
            return output;
        }
        task.until_woken(seen + 1);
    }
}
