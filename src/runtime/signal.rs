//! The only way in which a thread of ours, or a caller's, waits.

use crate::clock::{Clock, Steady};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// A condition that threads wait on, beside the mutex that guards what it is about.
///
/// 1. The waiter holds the mutex, finds that there is nothing to do, and waits: mutex and sleep are
///    exchanged in one step.
/// 2. Whoever makes something to do changes the state under the same mutex, then wakes.
///
/// So no wake-up falls between looking and sleeping. A manual clock counts as such a change: see
/// [`wake_from`](Self::wake_from). `models` takes away one wake-up after the other, and knows each by
/// the line that calls it.
#[derive(Debug, Default)]
pub(crate) struct Signal(Condvar);

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The moment has come.
    Due,
    /// Somebody woke the waiter, or nobody did: it looks again.
    Called,
}

impl Signal {
    /// Waits until somebody wakes, or until that moment, whichever is first; for ever where it is
    /// `None`.
    pub(crate) fn wait<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        clock: &Clock,
        until: Option<Steady>,
    ) -> Woken {
        let Some(moment) = until else {
            self.0.wait(guard);
            return Woken::Called;
        };
        if clock.now().steady >= moment {
            return Woken::Due;
        }
        match clock.instant(moment) {
            Some(instant) => {
                self.0.wait_until(guard, instant);
            }
            None => self.0.wait(guard),
        }
        if clock.now().steady >= moment {
            Woken::Due
        } else {
            Woken::Called
        }
    }

    #[cfg_attr(jobkeep_model, track_caller)]
    pub(crate) fn wake_one(&self) {
        self.0.notify_one();
    }

    #[cfg_attr(jobkeep_model, track_caller)]
    pub(crate) fn wake_all(&self) {
        self.0.notify_all();
    }

    /// Wakes everybody after a change that was not made under `mutex`, such as the move of a manual
    /// clock: passing through the mutex makes sure that no waiter is between looking and sleeping.
    #[cfg_attr(
        not(feature = "testing"),
        allow(dead_code, reason = "only a manual clock wakes")
    )]
    #[cfg_attr(jobkeep_model, track_caller)]
    pub(crate) fn wake_from<T>(&self, mutex: &Mutex<T>) {
        drop(mutex.lock());
        self.wake_all();
    }
}
