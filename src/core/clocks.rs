//! What the next opening is to know of the clocks.

use std::time::Duration;

use jobkeep_store::{Batch, Clocks, Encoded, Key, RowError};

use super::engine::Engine;
use crate::clock::{Now, Steady};

/// What the store says of its clocks. It goes with commits that are written anyway.
#[derive(Debug, Default)]
pub(super) struct Known(Option<Clocks>);

/// What the store says is older. If the wall clock is set back between two processes, delays and ages
/// stand still for so long at most.
const OLD: Duration = Duration::from_secs(30);

/// The clocks have moved apart since.
const APART: Duration = Duration::from_secs(1);

impl Known {
    /// Adds a row to a batch, if the next opening would reckon by something that is no longer so.
    pub(super) fn write(&mut self, batch: &mut Batch, now: Now) -> Result<(), RowError> {
        if self.holds(now) {
            return Ok(());
        }
        let clocks = Clocks {
            wall: now.wall,
            steady: now.steady.kept(),
        };
        batch.put(Key::CLOCKS, Encoded::new(&clocks)?);
        self.0 = Some(clocks);
        Ok(())
    }

    fn holds(&self, now: Now) -> bool {
        self.0.is_some_and(|last| {
            let passed = now.steady.since(Steady::of(last.steady));
            let shown = last.wall.after(passed);
            let apart = shown.since(now.wall).max(now.wall.since(shown));
            passed < OLD && apart < APART
        })
    }

    /// What was added was not written.
    pub(super) fn roll_back(&mut self) {
        self.0 = None;
    }
}

impl Engine {
    /// The opening ends, and may have written nothing for long: adds what the next one is to know.
    pub(crate) fn keep_clocks(&mut self, now: Now) -> Result<(), RowError> {
        self.now = now;
        self.clocks.write(&mut self.group.batch, now)
    }
}

#[cfg(test)]
mod tests {
    use jobkeep_store::{Fence, OpeningTag, StoreId, Timestamp};

    use super::*;

    fn now(wall: u64, steady: u64) -> Now {
        Now::new(Timestamp(wall), Steady(steady))
    }

    #[test]
    fn the_clocks_are_written_when_they_are_old_or_apart() {
        let fence = Fence {
            store: StoreId(1),
            opening: OpeningTag(1),
            commit: 1,
        };
        let mut known = Known::default();
        let mut writes = |now| {
            let mut batch = Batch::new(fence);
            known.write(&mut batch, now).unwrap();
            !batch.is_empty()
        };
        assert!(writes(now(100_000, 500_000)));
        assert!(!writes(now(129_999, 529_999)));
        assert!(writes(now(130_000, 530_000)));
        assert!(!writes(now(130_999, 530_000)));
        assert!(writes(now(131_000, 530_000)));
        assert!(!writes(now(130_001, 530_000)));
        assert!(writes(now(130_000, 530_000)));
    }
}
