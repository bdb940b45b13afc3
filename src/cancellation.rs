//! The wish that a running job should stop.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::clock::Wake;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// Once asked, for ever. A job looks now and then; one that waits for something else has itself woken.
#[derive(Default)]
pub(crate) struct Cancellation {
    asked: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// Who is to be told, each at a seat of its own.
#[derive(Default)]
struct Waiting {
    seats: u64,
    watches: Vec<(u64, Arc<dyn Wake>)>,
    tasks: Vec<(u64, Waker)>,
}

impl Waiting {
    fn seat(&mut self) -> u64 {
        self.seats += 1;
        self.seats
    }
}

fn leave<T>(seated: &mut Vec<(u64, T)>, seat: u64) -> Option<T> {
    let place = seated.iter().position(|(taken, _)| *taken == seat)?;
    Some(seated.swap_remove(place).1)
}

impl Cancellation {
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Callers may hold locks of the pool's: a watch takes none of them. The tasks that wait are given
    /// back, to be woken under no lock, because a waker is somebody else's code.
    #[must_use = "the tasks are to be woken"]
    pub(crate) fn ask(&self) -> Vec<Waker> {
        self.asked.store(true, Ordering::Relaxed);
        // The lock orders this with those who begin to wait: one that is not found here sees what was
        // stored.
        let (watches, tasks) = {
            let mut waiting = self.waiting.lock();
            (waiting.watches.clone(), std::mem::take(&mut waiting.tasks))
        };
        for (_, watch) in watches {
            watch.wake();
        }
        tasks.into_iter().map(|(_, waker)| waker).collect()
    }

    /// Wakes `watch` at each [`ask`](Self::ask) as long as the watch lives. It has to look once by
    /// itself afterwards.
    pub(crate) fn watch(&self, watch: Arc<dyn Wake>) -> Watch<'_> {
        let mut waiting = self.waiting.lock();
        let seat = waiting.seat();
        waiting.watches.push((seat, watch));
        Watch {
            cancellation: self,
            seat,
        }
    }

    /// Resolves when somebody has asked.
    pub(crate) fn poll(&self, seat: &mut Option<u64>, waker: &Waker) -> Poll<()> {
        if self.is_asked() {
            return Poll::Ready(());
        }
        // Cloned before the lock and dropped after it: both are somebody else's code.
        let waker = waker.clone();
        let before = {
            let mut waiting = self.waiting.lock();
            let seat = *seat.get_or_insert_with(|| waiting.seat());
            let before = leave(&mut waiting.tasks, seat);
            waiting.tasks.push((seat, waker));
            before
        };
        drop(before);
        if self.is_asked() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// The task does not wait any more.
    pub(crate) fn forget(&self, seat: u64) {
        let waker = leave(&mut self.waiting.lock().tasks, seat);
        drop(waker);
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancellation")
            .field(&self.is_asked())
            .finish()
    }
}

#[must_use = "the watch ends with it"]
pub(crate) struct Watch<'a> {
    cancellation: &'a Cancellation,
    seat: u64,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let watch = leave(&mut self.cancellation.waiting.lock().watches, self.seat);
        drop(watch);
    }
}

/// Resolves when its job is to stop: see [`Context::cancelled`](crate::Context::cancelled).
///
/// It needs no particular executor, and may be moved into a task of another thread. Where the attempt
/// ends without being told to stop, it never resolves.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Cancelled {
    running: Arc<crate::context::Running>,
    seat: Option<u64>,
}

impl Cancelled {
    pub(crate) fn new(running: Arc<crate::context::Running>) -> Self {
        Self {
            running,
            seat: None,
        }
    }
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { running, seat } = &mut *self;
        running.cancelled.poll(seat, context.waker())
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            self.running.cancelled.forget(seat);
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancelled")
            .field(&self.running.number)
            .finish()
    }
}
