//! Pauses between two tries.

use std::time::Duration;

use crate::clock::{Clock, Steady};
use crate::runtime::{Signal, Woken};
use crate::sync::Mutex;

/// Where the threads of a client wait. Nobody wakes them: a pause ends by its time.
#[derive(Debug)]
pub(super) struct Waiting {
    clock: Clock,
    mutex: Mutex<()>,
    signal: Signal,
}

/// The first pause is half to all of this, and each one twice the one before.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

impl Waiting {
    pub(super) fn new() -> Self {
        Self {
            clock: Clock::system(),
            mutex: Mutex::new(()),
            signal: Signal::default(),
        }
    }

    pub(super) fn now(&self) -> Steady {
        self.clock.now().steady
    }

    fn wait(&self, until: Steady) {
        let mut guard = self.mutex.lock();
        while self.signal.wait(&mut guard, &self.clock, Some(until)) != Woken::Due {}
    }

    pub(super) fn tries(&self, patience: Duration) -> Tries<'_> {
        Tries {
            waiting: self,
            until: self.now().after(patience),
            pause: FIRST,
        }
    }
}

/// Tries of one request, as long as patience lasts.
#[derive(Debug)]
pub(super) struct Tries<'a> {
    waiting: &'a Waiting,
    until: Steady,
    pause: Duration,
}

impl Tries<'_> {
    /// How much patience is left.
    pub(super) fn left(&self) -> Duration {
        self.until.since(self.waiting.now())
    }

    /// Waits before another try: for the whole of what the host asked for, else for a while that grows.
    /// No is the answer where patience is over, or would be before the host wants to be asked again.
    pub(super) fn again(&mut self, host_wants: Option<Duration>) -> bool {
        let left = self.left();
        let pause = match host_wants {
            _ if left.is_zero() => return false,
            Some(wanted) if wanted > left => return false,
            Some(wanted) => wanted.max(self.pause),
            None => self.pause,
        };
        self.pause = self.pause.saturating_mul(2).min(LONGEST);
        let pause = host_wants.unwrap_or_default().max(scattered(pause));
        self.waiting.wait(self.waiting.now().after(pause.min(left)));
        true
    }

    /// The next failure is the first one again.
    pub(super) fn succeeded(&mut self) {
        self.pause = FIRST;
    }
}

/// Half to all of it, by chance, so that clients whose host came back do not all come at once.
fn scattered(pause: Duration) -> Duration {
    let chance = getrandom::u32().unwrap_or(u32::MAX);
    let half = pause / 2;
    half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}
