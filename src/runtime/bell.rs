use std::task::Waker;

use super::signal::{Signal, Woken};
use super::wakers::{self, Wakers};
use crate::clock::{Clock, Steady};
use crate::sync::{Arc, Mutex};

/// Rings once. All callers of one commit group wait on the same bell, so that the committer wakes
/// them with one call and they wake each other.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    signal: Signal,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    wakers: Wakers,
}

impl Bell {
    /// A bell that a manual clock moves on.
    pub(crate) fn new(clock: &Clock) -> Arc<Self> {
        let bell = Arc::new(Self::default());
        clock.tell(&bell);
        bell
    }

    pub(crate) fn ring(&self) {
        let mut state = self.state.lock();
        state.rung = true;
        let wakers = state.wakers.take();
        drop(state);
        self.signal.wake_all();
        wakers::wake(wakers);
    }

    /// Waits for the ring; `false` where that moment comes first.
    pub(crate) fn wait(&self, clock: &Clock, until: Option<Steady>) -> bool {
        let mut state = self.state.lock();
        while !state.rung {
            if self.signal.wait(&mut state, clock, until) == Woken::Due {
                return state.rung;
            }
        }
        true
    }

    /// Has it rung? Else the waker takes the future's seat, and is called at the ring.
    pub(super) fn poll(&self, seat: &mut Option<u64>, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut state = self.state.lock();
        if state.rung {
            return true;
        }
        let replaced = state.wakers.put(seat, waker);
        drop(state);
        drop(replaced);
        false
    }

    /// The future on that seat is gone.
    pub(super) fn leave(&self, seat: u64) {
        let left = self.state.lock().wakers.remove(seat);
        drop(left);
    }
}

impl crate::clock::Wake for Bell {
    fn wake(&self) {
        self.signal.wake_from(&self.state);
    }
}
