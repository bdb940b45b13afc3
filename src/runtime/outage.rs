//! An executor that takes no calls: a queue in push mode rests meanwhile.

use std::time::Duration;

use jobkeep_store::Backoff;

use super::pool::Pool;
use crate::clock::{Clock, Steady, Wake};
use crate::retry;

/// The longest rest.
const LONGEST: Duration = Duration::from_secs(60);

/// Half of how long a queue rests: the other half is drawn.
const HALF: Backoff = Backoff {
    base_ms: 500,
    cap_ms: 30_000,
};

/// What a queue knows of its executor.
///
/// 1. A refused call has the queue rest: nothing is claimed for it, and no worker takes what is on its
///    shelf. The rests of an outage double; calls that began before the last one was counted count with
///    it, since they say nothing new.
/// 2. Workers sleep until the rest is over, and the committer looks then.
/// 3. A call that is answered ends the outage, whatever other calls said: the workers are woken.
#[derive(Debug, Default)]
pub(super) struct Outage {
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
        if self.rests == 0 || began > self.counted {
            self.rests += 1;
            self.counted = now;
        }
        let wait = wait(self.rests, seed).max(retry_after.unwrap_or_default());
        let until = now.after(wait.min(LONGEST));
        self.until = self.until.max(Some(until));
        wait
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
    let half = HALF.base_ms.saturating_mul(1 << doublings).min(HALF.cap_ms);
    Duration::from_millis(half) + retry::delay(HALF, refusals, seed)
}

/// The wait of a job that was refused for its own sake: as after many refusals.
pub(super) fn wait_alone(seed: u64) -> Duration {
    wait(u32::MAX, seed)
}

impl Pool {
    /// A call of this queue that began then was refused. Gives how long its job waits.
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
        let rested = std::mem::take(&mut self.state.lock().outage).until;
        if rested.is_some() {
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
