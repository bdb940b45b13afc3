//! Suspects: jobs that had begun shortly before each of the last two unclean ends. The next start holds
//! each back for a while, and lets one begin at a time: a process that lived well until then, and dies
//! shortly after, tells which job is to blame. Nothing else waits for them.

use std::collections::BTreeMap;
use std::time::Duration;

use jobkeep_store::{JobNumber, Listed, Priority};

use super::flight::Flight;
use super::schedule::Order;
use crate::clock::Steady;

/// A job with so many unclean ends in a row is a suspect.
const SUSPICIOUS: u32 = 2;
/// A job with so many is not started again. The last ones came after it had been held back, for longer
/// each time.
const CRASHING: u32 = 4;

/// Where a suspect belongs, and when it may begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspect {
    pub(crate) queue: u16,
    pub(crate) priority: Priority,
    pub(crate) order: Order,
    pub(crate) from: Steady,
}

#[derive(Debug)]
pub(crate) struct Probation {
    /// How long a job is on probation from its beginning; zero where nobody is suspected.
    span: Duration,
    waiting: BTreeMap<JobNumber, Suspect>,
    /// Those that the present group cancels or removes.
    removed: Vec<Suspect>,
    /// The one that was claimed last, and whether the present group did it.
    last: Option<(Suspect, bool)>,
}

impl Probation {
    pub(crate) fn new(span: Duration) -> Self {
        Self {
            span,
            waiting: BTreeMap::new(),
            removed: Vec::new(),
            last: None,
        }
    }

    pub(crate) fn span(&self) -> Option<Duration> {
        Some(self.span).filter(|span| !span.is_zero())
    }

    /// At how many unclean ends in a row a job was on probation, this one included. A job that is not held
    /// back before it begins never gets beyond suspicion.
    pub(super) fn unclean_ends(before: u32, listed: &Listed) -> u32 {
        if listed.lasting {
            0
        } else if listed.suspect {
            before.saturating_add(1)
        } else {
            before.saturating_add(1).min(SUSPICIOUS)
        }
    }

    pub(super) fn is_crashing(&self, unclean_ends: u32) -> bool {
        self.span().is_some() && unclean_ends >= CRASHING
    }

    /// How long a job is to be held back; `None` where it is no suspect.
    pub(super) fn hold(&self, unclean_ends: u32) -> Option<Duration> {
        let beyond = unclean_ends.checked_sub(SUSPICIOUS)?;
        // Longer each time: processes that all live equally long do not end beside it twice.
        Some(self.span()?.saturating_mul(1 << beyond.min(CRASHING)))
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
        if let Some((_, now)) = &mut self.last {
            *now = false;
        }
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// The claimed suspect may still turn out to be to blame.
    fn is_busy(&self, flight: &Flight) -> bool {
        let claim = self
            .last
            .and_then(|(last, _)| flight.get(last.order.number));
        claim.is_some_and(|claim| claim.suspect && !claim.lasting)
    }

    /// Takes the first suspect that may begin now. `has_room` says which queues have a free worker.
    pub(crate) fn take(
        &mut self,
        now: Steady,
        flight: &Flight,
        has_room: impl Fn(u16) -> bool,
    ) -> Option<Suspect> {
        if self.waiting.is_empty() || self.is_busy(flight) {
            return None;
        }
        let may_begin = |suspect: &&Suspect| suspect.from <= now && has_room(suspect.queue);
        let suspect = *self.waiting.values().find(may_begin)?;
        self.waiting.remove(&suspect.order.number);
        self.last = Some((suspect, true));
        Some(suspect)
    }

    /// The claim of this job came to nothing: a suspect waits again. `false` where it is none.
    pub(crate) fn put_back(&mut self, number: JobNumber) -> bool {
        let last = self.last.take_if(|(last, _)| last.order.number == number);
        let Some((suspect, _)) = last else {
            return false;
        };
        self.add(suspect);
        true
    }

    /// When the next one may begin, where nothing but time is in its way.
    pub(crate) fn next_due(&self, now: Steady, flight: &Flight) -> Option<Steady> {
        if self.is_busy(flight) {
            return None;
        }
        let later = self.waiting.values().map(|suspect| suspect.from);
        later.filter(|from| *from > now).min()
    }

    /// The group is not written: a claim that it made never was, and whom it removed is still here.
    pub(crate) fn roll_back(&mut self) {
        for suspect in std::mem::take(&mut self.removed) {
            self.add(suspect);
        }
        if let Some((suspect, _)) = self.last.take_if(|(_, now)| *now) {
            self.add(suspect);
        }
    }
}
