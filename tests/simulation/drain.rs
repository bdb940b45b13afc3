//! The end of every history: the disk works, nothing dies, and whatever can end must end.

use jobkeep::testing::simulation::Process;
use jobkeep_store::{Key, State, StateKind};

use crate::model::Verdict;
use crate::steps::{End, Step};
use crate::world::{QUEUES, World};

/// So many turns are enough for everything.
const TURNS: usize = 4_000;

impl World {
    pub(crate) fn drain(&mut self) -> Verdict {
        self.step(Step::Heal)?;
        for _ in 0..TURNS {
            if self.process.is_none() {
                self.open(None)?;
            }
            if self.disk.row(Key::PAUSED).is_some() {
                // Refused as long as the store is.
                for queue in 0..QUEUES.len() {
                    self.step(Step::Resume(queue))?;
                }
            }
            self.turn(None)?;
            while let Some(at) = self.workers.iter().position(|worker| !worker.waits) {
                self.end(at, End::Succeed)?;
            }
            for (queue, (_, workers)) in QUEUES.iter().enumerate() {
                for _ in 0..*workers {
                    self.take(queue)?;
                }
            }
            let process = self.process.as_ref();
            let at_rest =
                process.is_some_and(|process| process.is_idle() && !process.looks_again());
            if !self.workers.is_empty() || !at_rest {
                continue;
            }
            let mut live = self.model.rows.values().filter(|row| !row.done);
            if live.all(|row| row.record.state.kind() == StateKind::Parked) {
                return Ok(());
            }
            match process.and_then(Process::sleeps) {
                Some(ms) => self.advance(ms),
                None => break,
            }
        }
        let live = self.model.rows.iter().filter(|(_, row)| !row.done);
        let waiting: Vec<_> = live
            .filter(|(_, row)| !matches!(row.record.state, State::Parked(_)))
            .map(|(number, row)| (number, &row.record.state, row.record.unclean_ends))
            .collect();
        Err(format!("these wait for ever: {waiting:?}"))
    }
}
