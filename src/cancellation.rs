//! The wish that a running job should stop.

use std::fmt;

use crate::clock::Wake;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

/// Once asked, for ever. A job looks now and then; one that waits for something else has itself woken.
#[derive(Default)]
pub(crate) struct Cancellation {
    asked: AtomicBool,
    /// Whoever waits in the job's stead.
    waiter: Mutex<Option<Arc<dyn Wake>>>,
}

impl Cancellation {
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Callers may hold locks of the pool's: a waiter takes none of them.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        // The lock orders this with `watch`: a waiter that is not found here sees what was stored.
        let waiter = self.waiter.lock().clone();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Wakes `waiter` at each [`ask`](Self::ask) as long as the watch lives. It has to look once by
    /// itself afterwards.
    #[cfg(any(feature = "http-call", all(feature = "command", unix)))]
    pub(crate) fn watch(&self, waiter: Arc<dyn Wake>) -> Watch<'_> {
        *self.waiter.lock() = Some(waiter);
        Watch(self)
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancellation")
            .field(&self.is_asked())
            .finish()
    }
}

#[cfg(any(feature = "http-call", all(feature = "command", unix)))]
#[must_use = "the watch ends with it"]
pub(crate) struct Watch<'a>(&'a Cancellation);

#[cfg(any(feature = "http-call", all(feature = "command", unix)))]
impl Drop for Watch<'_> {
    fn drop(&mut self) {
        *self.0.waiter.lock() = None;
    }
}
