//! Pausing a queue, and waiting until none of its jobs runs any more.

use jobkeep_store::QueueName;

use super::bell::Bell;
use super::committer::Committer;
use crate::Error;
use crate::clock::{Clock, Steady};
use crate::sync::{Arc, AtomicBool, Ordering};

/// The wait of one caller until a paused queue rests.
///
/// 1. The caller makes it, leaves it with the command that pauses the queue, and waits.
/// 2. The committer looks after each commit whether the queue rests. It says so here, then rings.
/// 3. When it ends, it rings without having said so.
#[derive(Debug)]
pub(crate) struct Rest {
    bell: Arc<Bell>,
    rests: AtomicBool,
}

/// How such a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rested {
    Yes,
    /// The moment came first.
    Late,
    /// The committer has ended: nobody will say it any more.
    Over,
}

impl Rest {
    pub(crate) fn new(clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            bell: Bell::new(clock),
            rests: AtomicBool::new(false),
        })
    }

    pub(crate) fn wait(&self, clock: &Clock, until: Steady) -> Rested {
        if !self.bell.wait(clock, Some(until)) {
            Rested::Late
        } else if self.rests.load(Ordering::Relaxed) {
            Rested::Yes
        } else {
            Rested::Over
        }
    }
}

impl Committer {
    /// Pauses the queue, and takes back what was handed over and not taken.
    pub(super) fn pause(
        &mut self,
        queue: &QueueName,
        rest: Option<Arc<Rest>>,
    ) -> Result<(), Error> {
        let position = self.engine.pause(queue)?;
        if let Some(pool) = self.shared.pools.get(usize::from(position)) {
            for (number, token) in pool.clear() {
                self.engine.hand_back(number, token);
                // Resumed in this turn, it would lack the room that the pool had before.
                self.shared.inbox.nudge();
            }
        }
        self.resting.extend(rest.map(|rest| (position, rest)));
        Ok(())
    }

    /// Tells those whose queue rests, and forgets who went away.
    pub(super) fn ring_rested(&mut self) {
        let (engine, pools) = (&self.engine, &self.shared.pools);
        let rests = |queue: u16| {
            let pool = pools.get(usize::from(queue));
            engine.is_resting(queue) && pool.is_some_and(|pool| pool.is_resting())
        };
        self.resting.retain(|(queue, rest)| {
            let rests = rests(*queue);
            if rests {
                rest.rests.store(true, Ordering::Relaxed);
                rest.bell.ring();
            }
            !rests && Arc::strong_count(rest) > 1
        });
    }

    pub(super) fn dismiss_resting(&mut self) {
        for (_, rest) in self.resting.drain(..) {
            rest.bell.ring();
        }
    }
}
