//! Suspects: jobs that were in flight at two unclean ends in a row. Each runs alone, so that the next
//! end tells which one it is.

use std::collections::BTreeMap;
use std::time::Duration;

use jobkeep_store::{Alone, Batch, Encoded, JobNumber, Key, OpeningTag, Priority, RowError};

use super::flight::Flight;
use super::schedule::Order;
use crate::clock::Steady;

/// So many unclean ends in a row make a suspect.
const SUSPICIOUS: u32 = 2;

/// What may be claimed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Whatever is ready.
    Open,
    /// The first suspect of this queue, and nothing beside it.
    Suspect(u16),
    /// Nothing: a suspect is alone, or the next one waits until nothing runs.
    Shut,
}

/// Where a suspect belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspect {
    pub(crate) queue: u16,
    pub(crate) priority: Priority,
    pub(crate) order: Order,
}

#[derive(Debug)]
pub(crate) struct Probation {
    opening: OpeningTag,
    /// How long a suspect is alone at most; zero where nobody is suspected.
    span: Duration,
    waiting: BTreeMap<JobNumber, Suspect>,
    /// Those that the present group cancels or removes.
    removed: Vec<Suspect>,
    /// The one that runs, and until when nothing is started beside it, where that is not over.
    running: Option<(Suspect, Option<Steady>)>,
    /// Nothing ran beside it so far.
    alone: bool,
    /// Until when nothing is started, so that the next suspect finds nothing beside it.
    clearing: Option<Steady>,
    /// The stored row may say otherwise.
    changed: bool,
}

impl Probation {
    pub(crate) fn new(opening: OpeningTag, span: Duration) -> Self {
        Self {
            opening,
            span,
            waiting: BTreeMap::new(),
            removed: Vec::new(),
            running: None,
            alone: false,
            clearing: None,
            // An earlier opening may have left its row.
            changed: true,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        !self.span.is_zero()
    }

    /// A job with so many unclean ends in a row is a suspect.
    pub(crate) fn suspects(&self, unclean_ends: u32) -> bool {
        self.is_on() && unclean_ends >= SUSPICIOUS
    }

    pub(crate) fn add(&mut self, suspect: Suspect) {
        self.waiting.insert(suspect.order.number, suspect);
    }

    pub(crate) fn holds(&self, number: JobNumber) -> bool {
        self.waiting.contains_key(&number)
    }

    /// It is cancelled or removed before it ran.
    pub(crate) fn remove(&mut self, number: JobNumber) {
        self.removed.extend(self.waiting.remove(&number));
    }

    /// The group is written.
    pub(crate) fn committed(&mut self) {
        self.removed.clear();
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// What may be claimed. `has_room` says which queues have a free worker. A suspect finds nothing
    /// beside it, unless what runs takes longer than anybody is to wait for that.
    pub(crate) fn gate(
        &mut self,
        now: Steady,
        flight: &Flight,
        has_room: impl Fn(u16) -> bool,
    ) -> Gate {
        if let Some((suspect, until)) = self.running {
            let runs = flight.get(suspect.order.number).is_some();
            if runs && until.is_some_and(|until| now < until) {
                return Gate::Shut;
            }
            // It has ended, or the pools start again around it.
            self.end_solitude();
            if runs {
                return Gate::Open;
            }
            self.running = None;
        }
        let mut queues = self.waiting.values().map(|suspect| suspect.queue);
        let Some(queue) = queues.find(|&queue| has_room(queue)) else {
            self.clearing = None;
            return Gate::Open;
        };
        let until = *self.clearing.get_or_insert(now.after(self.span));
        if flight.len() == 0 || now >= until {
            Gate::Suspect(queue)
        } else {
            Gate::Shut
        }
    }

    /// Takes the first suspect of a queue: nothing is started beside it from now on, and it is `alone`
    /// if nothing runs either.
    pub(crate) fn take(&mut self, queue: u16, now: Steady, alone: bool) -> Option<Suspect> {
        let mut suspects = self.waiting.values();
        let suspect = *suspects.find(|suspect| suspect.queue == queue)?;
        self.waiting.remove(&suspect.order.number);
        self.running = Some((suspect, Some(now.after(self.span))));
        self.clearing = None;
        self.alone = alone;
        self.changed = true;
        Some(suspect)
    }

    /// The claim of this job came to nothing: a suspect waits again. `false` where it is none.
    pub(crate) fn put_back(&mut self, number: JobNumber) -> bool {
        let Some((suspect, _)) = self.running.take_if(|(of, _)| of.order.number == number) else {
            return false;
        };
        self.end_solitude();
        self.add(suspect);
        true
    }

    fn end_solitude(&mut self) {
        self.changed |= std::mem::take(&mut self.alone);
        if let Some((_, until)) = &mut self.running {
            *until = None;
        }
    }

    /// When the pools start again around the one that runs, or the next one is waited for no longer.
    pub(crate) fn next_due(&self) -> Option<Steady> {
        let running = self.running.and_then(|(_, until)| until);
        running.or(self.clearing)
    }

    pub(crate) fn write(&mut self, batch: &mut Batch) -> Result<(), RowError> {
        if std::mem::take(&mut self.changed) {
            match self.running.filter(|_| self.alone) {
                Some((suspect, _)) => {
                    let alone = Alone {
                        opening: self.opening,
                        job: suspect.order.number,
                    };
                    batch.put(Key::ALONE, Encoded::new(&alone)?);
                }
                None => batch.delete(Key::ALONE),
            }
        }
        Ok(())
    }

    /// The group is not written: a claim that it made never was, and whom it removed is still here.
    pub(crate) fn roll_back(&mut self, flight: &Flight) {
        self.changed = true;
        for suspect in std::mem::take(&mut self.removed) {
            self.add(suspect);
        }
        if let Some((suspect, _)) = self.running {
            let number = suspect.order.number;
            if flight.get(number).is_none() {
                self.put_back(number);
            }
        }
    }
}
