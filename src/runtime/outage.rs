//! An executor that takes no calls: a queue in push mode rests meanwhile.

use std::ops::RangeInclusive;
use std::time::Duration;

use jobkeep_store::Backoff;

use super::pool::Pool;
use crate::clock::{Clock, Steady, Wake};
use crate::retry;

/// The longest rest.
const LONGEST: Duration = Duration::from_secs(60);

/// Half of the shortest and of the longest rest: the other half is drawn.
const HALF_MS: RangeInclusive<u64> = 500..=30_000;

/// So many refusals does an answer make up for, as retries are throttled in gRPC (proposal A6).
const CREDIT_OF_ANSWER: u32 = 4;

/// As many refusals are borne when all executors end at once.
const MOST_CREDIT: u32 = 64;

/// What a queue knows of its executor.
///
/// 1. A refused call has the queue rest: nothing is claimed for it, and no worker takes what is on its
///    shelf. The rests of an outage double; calls that began before the last one was counted count with
///    it, since they say nothing new.
/// 2. Workers sleep until the rest is over, and the committer looks then.
/// 3. A call that is answered ends the outage, whatever other calls said: the workers are woken.
/// 4. It also makes up for some refusals to come, which then put off their own jobs only: one of several
///    executors that is full, or gone, must not slow down the others.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Refusals that are made up for.
    credit: u32,
    /// How many rests it has had.
    rests: u32,
    /// When the last of them was counted.
    counted: Steady,
    until: Option<Steady>,
}

impl Outage {
    /// A call that began then was refused: how long its job waits.
    fn refused(
        &mut self,
        began: Steady,
        now: Steady,
        retry_after: Option<Duration>,
        seed: u64,
    ) -> Duration {
        if let Some(left) = self.credit.checked_sub(1) {
            self.credit = left;
            return wait(1, seed).max(retry_after.unwrap_or_default());
        }
        if self.rests == 0 || began > self.counted {
            self.rests += 1;
            self.counted = now;
        }
        let wait = wait(self.rests, seed).max(retry_after.unwrap_or_default());
        let until = now.after(wait.min(LONGEST));
        self.until = self.until.max(Some(until));
        wait
    }

    /// A call was answered: whether it ended a rest.
    fn answered(&mut self) -> bool {
        let credit = (self.credit + CREDIT_OF_ANSWER).min(MOST_CREDIT);
        let before = std::mem::replace(
            self,
            Self {
                credit,
                ..Self::default()
            },
        );
        before.until.is_some()
    }

    /// The queue rests at this moment. One that is over is forgotten.
    pub(super) fn rests(&mut self, now: Steady) -> bool {
        self.until = self.until.filter(|until| now < *until);
        self.until.is_some()
    }

    /// Until when the queue rests, where it does.
    pub(super) fn rest(&self, clock: &Clock) -> Option<Steady> {
        self.until.filter(|until| clock.now().steady < *until)
    }
}

/// The wait after the n-th refusal in a row: half of `min(1 s * 2^(n-1), 60 s)`, and up to as much again.
fn wait(refusals: u32, seed: u64) -> Duration {
    let doublings = refusals.saturating_sub(1).min(63);
    let half_ms = HALF_MS.start().saturating_mul(1 << doublings);
    drawn(half_ms, seed ^ u64::from(refusals))
}

/// The wait of a job that has been refused for its own sake for so long: as long again, and up
/// to twice that. So the times between its refusals grow without a count.
pub(super) fn wait_alone(refused_for: Duration, seed: u64) -> Duration {
    let half_ms = retry::millis(refused_for);
    drawn(half_ms, seed ^ half_ms)
}

/// So long, within the bounds of a rest, and up to as much again.
fn drawn(half_ms: u64, seed: u64) -> Duration {
    let half_ms = half_ms.clamp(*HALF_MS.start(), *HALF_MS.end());
    let other = Backoff {
        base_ms: half_ms,
        cap_ms: half_ms,
    };
    Duration::from_millis(half_ms) + retry::delay(other, 1, seed)
}

impl Pool {
    /// A call of this queue that began then was refused, or lost. Gives how long a refused job waits.
    pub(super) fn refused(
        &self,
        began: Steady,
        now: Steady,
        retry_after: Option<Duration>,
        seed: u64,
    ) -> Duration {
        let mut state = self.state.lock();
        state.outage.refused(began, now, retry_after, seed)
    }

    /// A call of this queue was answered.
    pub(super) fn answered(&self) {
        let rested = self.state.lock().outage.answered();
        if rested {
            self.work.wake_all();
        }
    }

    /// When the queue's rest ends, where it rests.
    pub(super) fn rest_end(&self) -> Option<Steady> {
        self.state.lock().outage.until
    }
}

impl Wake for Pool {
    fn wake(&self) {
        self.work.wake_from(&self.state);
    }
}
