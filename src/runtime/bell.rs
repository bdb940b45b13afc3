use super::signal::{Signal, Woken};
use crate::clock::{Clock, Steady};
use crate::sync::{Arc, Mutex};

/// Rings once. All callers of one commit group wait on the same bell, so that the committer wakes
/// them with one call and they wake each other.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    signal: Signal,
}

impl Bell {
    /// A bell that a manual clock moves on.
    pub(crate) fn new(clock: &Clock) -> Arc<Self> {
        let bell = Arc::new(Self::default());
        clock.tell(&bell);
        bell
    }

    pub(crate) fn ring(&self) {
        *self.rung.lock() = true;
        self.signal.wake_all();
    }

    /// Waits for the ring; `false` where that moment comes first.
    pub(crate) fn wait(&self, clock: &Clock, until: Option<Steady>) -> bool {
        let mut rung = self.rung.lock();
        while !*rung {
            if self.signal.wait(&mut rung, clock, until) == Woken::Due {
                return *rung;
            }
        }
        true
    }
}

impl crate::clock::Wake for Bell {
    fn wake(&self) {
        self.signal.wake_from(&self.rung);
    }
}
