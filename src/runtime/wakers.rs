//! Tasks of async programs that wait, beside threads.

use std::collections::{HashMap, HashSet};
use std::ptr;
use std::task::Waker;

use super::panics;

/// The wakers of futures, each at a seat of its own.
///
/// Cloning, dropping and waking a waker runs somebody else's code, so none of it happens here, under
/// a lock: what goes in has been cloned before, and what comes out is dropped or woken after.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    seats: u64,
    seated: HashMap<u64, Waker>,
}

impl Wakers {
    /// Puts the waker on its future's seat, the first time on a new one, and gives the one that was
    /// there.
    pub(super) fn put(&mut self, seat: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let seat = *seat.get_or_insert_with(|| {
            self.seats += 1;
            self.seats
        });
        self.seated.insert(seat, waker)
    }

    pub(super) fn remove(&mut self, seat: u64) -> Option<Waker> {
        self.seated.remove(&seat)
    }

    pub(super) fn take(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.seated).into_values().collect()
    }
}

/// Wakes each task once, however many of its futures wait. Never called under a lock: see
/// [`Wakers`].
#[cfg_attr(jobkeep_model, track_caller)]
pub(super) fn wake(wakers: Vec<Waker>) {
    #[cfg(jobkeep_model)]
    if crate::sync::model::is_removed(std::panic::Location::caller()) {
        return;
    }
    // As `Waker::will_wake` compares them.
    let mut woken = HashSet::new();
    for waker in wakers {
        if woken.insert((waker.data(), ptr::from_ref(waker.vtable()))) {
            // What an executor throws has been reported by the panic hook, and is no fault of the
            // store's: the committer goes on.
            drop(panics::catch(|| waker.wake()));
        }
    }
}
