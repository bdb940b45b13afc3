//! Paused queues: their jobs are accepted, and none of them starts.

use std::collections::BTreeSet;

use jobkeep_store::{Batch, Encoded, Key, Paused, QueueName, RowError};

use super::engine::Engine;
use crate::Error;
use crate::event::Event;

#[derive(Debug)]
pub(crate) struct Pauses {
    /// The declared queues, by their positions, and whether they are paused.
    declared: Vec<(QueueName, bool)>,
    /// All that are paused, those that are not declared any more among them.
    paused: BTreeSet<QueueName>,
    /// The stored record no longer says what is here.
    changed: bool,
}

impl Pauses {
    pub(super) fn new(queues: &[QueueName]) -> Self {
        Self {
            declared: queues.iter().map(|queue| (queue.clone(), false)).collect(),
            paused: BTreeSet::new(),
            changed: false,
        }
    }

    /// Takes the record as the store has it.
    pub(super) fn restore(&mut self, stored: Paused) {
        self.paused = stored.queues.into_iter().collect();
        for (queue, paused) in &mut self.declared {
            *paused = self.paused.contains(queue);
        }
    }

    /// No job of the queue at this position may start.
    pub(super) fn holds(&self, queue: u16) -> bool {
        self.declared
            .get(usize::from(queue))
            .is_some_and(|(_, paused)| *paused)
    }

    pub(super) fn name(&self, queue: u16) -> Option<&QueueName> {
        let declared = self.declared.get(usize::from(queue));
        declared.map(|(name, _)| name)
    }

    fn position(&self, queue: &QueueName) -> Option<u16> {
        (0..)
            .zip(&self.declared)
            .find_map(|(position, (declared, _))| (declared == queue).then_some(position))
    }

    /// Says whether that changes anything.
    fn set(&mut self, queue: &QueueName, paused: bool) -> bool {
        let changes = if paused {
            self.paused.insert(queue.clone())
        } else {
            self.paused.remove(queue)
        };
        self.changed |= changes;
        for (declared, held) in &mut self.declared {
            if declared == queue {
                *held = paused;
            }
        }
        changes
    }

    fn undeclared(&self, act: &str, queue: &QueueName) -> Error {
        let declared = self.declared.iter().map(|(queue, _)| queue.as_str());
        Error::undeclared_queue(format_args!("{act} queue `{queue}`"), declared)
    }

    /// Writes the record, where the stored one no longer holds.
    pub(super) fn write(&mut self, batch: &mut Batch) -> Result<(), RowError> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        if self.paused.is_empty() {
            batch.delete(Key::PAUSED);
            return Ok(());
        }
        let queues = self.paused.iter().cloned().collect();
        batch.put(Key::PAUSED, Encoded::new(&Paused { queues })?);
        Ok(())
    }
}

impl Engine {
    /// Claims no job of the queue any more, and gives its position. What was handed over is to be
    /// [handed back](Self::hand_back).
    ///
    /// # Errors
    /// Where the queue is not declared.
    pub(crate) fn pause(&mut self, queue: &QueueName) -> Result<u16, Error> {
        let position = self.pauses.position(queue);
        let position = position.ok_or_else(|| self.pauses.undeclared("pause", queue))?;
        if self.pauses.set(queue, true) {
            self.observe(|now| Event::paused(queue.clone(), now.wall));
        }
        Ok(position)
    }

    /// Claims jobs of the queue again.
    ///
    /// # Errors
    /// Where the queue is neither declared nor paused.
    pub(crate) fn resume(&mut self, queue: &QueueName) -> Result<(), Error> {
        if self.pauses.position(queue).is_none() && !self.pauses.paused.contains(queue) {
            return Err(self.pauses.undeclared("resume", queue));
        }
        if self.pauses.set(queue, false) {
            self.observe(|now| Event::resumed(queue.clone(), now.wall));
        }
        Ok(())
    }

    /// The paused queues, in the order of their names.
    pub(crate) fn paused(&self) -> Vec<String> {
        let names = self.pauses.paused.iter();
        names.map(|queue| queue.as_str().into()).collect()
    }

    /// The queue is paused, and nothing of it is claimed.
    pub(crate) fn is_resting(&self, queue: u16) -> bool {
        self.pauses.holds(queue) && !self.flight.has_of(queue)
    }
}
