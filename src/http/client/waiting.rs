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

    /// Waits before another try. No is the answer where patience is over, or would be before the host
    /// wants to be asked again.
    pub(super) fn again(&mut self, host_wants: Option<Duration>) -> bool {
        let Some(pause) = self.next(self.left(), host_wants.unwrap_or_default()) else {
            return false;
        };
        self.waiting.wait(self.waiting.now().after(pause));
        true
    }

    /// The next pause: what the host asked for, and a while that grows from one to the next.
    fn next(&mut self, left: Duration, wanted: Duration) -> Option<Duration> {
        if left.is_zero() || wanted > left {
            return None;
        }
        let pause = wanted.saturating_add(scattered(self.pause));
        self.pause = self.pause.saturating_mul(2).min(LONGEST);
        Some(pause.min(left))
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

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    fn pauses(waiting: &Waiting, wanted: Duration) -> Vec<Duration> {
        let mut tries = waiting.tries(LONG);
        (0..8).map_while(|_| tries.next(LONG, wanted)).collect()
    }

    #[test]
    fn pauses_grow_up_to_their_cap_and_come_on_top_of_what_the_host_wants() {
        let waiting = Waiting::new();
        let most = [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000].map(Duration::from_millis);
        for wanted in [Duration::ZERO, Duration::from_secs(7)] {
            let pauses = pauses(&waiting, wanted);
            assert_eq!(pauses.len(), most.len());
            for (pause, most) in pauses.into_iter().zip(most) {
                assert!(pause >= wanted + most / 2 && pause <= wanted + most);
            }
        }
    }

    #[test]
    fn no_pause_is_longer_than_patience() {
        let waiting = Waiting::new();
        let mut tries = waiting.tries(LONG);
        let left = Duration::from_millis(10);
        assert_eq!(tries.next(left, Duration::ZERO), Some(left));
        assert_eq!(tries.next(left, left), Some(left));
        assert_eq!(tries.next(left, left * 2), None);
        assert_eq!(tries.next(Duration::ZERO, Duration::ZERO), None);
    }
}
