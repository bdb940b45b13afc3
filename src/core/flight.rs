//! What is in flight: claimed, and not yet settled.

use std::collections::BTreeMap;
use std::time::Duration;

use jobkeep_store::{InFlight, JobNumber, Listed, OpeningTag, Priority, Timestamp, Token};

use super::schedule::Order;
use crate::clock::Steady;

/// One claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) token: Token,
    pub(crate) queue: u16,
    pub(crate) priority: Priority,
    pub(crate) order: Order,
    /// When a worker took it, where one is known to have.
    pub(crate) taken: Option<Steady>,
    /// It had been held back as a suspect.
    pub(crate) suspect: bool,
    /// It has run for longer than its probation.
    pub(crate) lasting: bool,
    /// Somebody asked to cancel it while it ran.
    pub(crate) cancel_requested: bool,
}

/// All claims of this opening.
#[derive(Debug)]
pub(crate) struct Flight {
    opening: OpeningTag,
    claims: BTreeMap<JobNumber, Claim>,
    sequence: u64,
    taken: u64,
    /// When the next one may have run for longer than its probation.
    ripe: Option<Steady>,
    /// Claims that the present group made, and those that it ended: what a group that is not written
    /// must give back.
    made: Vec<JobNumber>,
    ended: Vec<(JobNumber, Claim)>,
    /// Claims whose cancellation the present group asks for.
    requested: Vec<JobNumber>,
    /// The stored record no longer says what is here.
    changed: bool,
}

impl Flight {
    pub(crate) fn new(opening: OpeningTag) -> Self {
        Self {
            opening,
            claims: BTreeMap::new(),
            sequence: 0,
            taken: 0,
            ripe: None,
            made: Vec::new(),
            ended: Vec::new(),
            requested: Vec::new(),
            changed: true,
        }
    }

    /// Claims a job, and gives its token. `ripe` is when it may have run for longer than its probation.
    pub(crate) fn claim(
        &mut self,
        (queue, priority, order): (u16, Priority, Order),
        suspect: bool,
        ripe: Option<Steady>,
    ) -> Token {
        self.sequence += 1;
        let token = Token {
            opening: self.opening,
            sequence: self.sequence,
        };
        let claim = Claim {
            token,
            queue,
            priority,
            order,
            taken: None,
            suspect,
            lasting: false,
            cancel_requested: false,
        };
        self.claims.insert(order.number, claim);
        self.made.push(order.number);
        self.changed = true;
        self.ripen(ripe);
        token
    }

    pub(crate) fn get(&self, number: JobNumber) -> Option<&Claim> {
        self.claims.get(&number)
    }

    fn ripen(&mut self, ripe: Option<Steady>) {
        self.ripe = self.ripe.into_iter().chain(ripe).min();
    }

    /// A worker took it at that moment. Known late is well: the stored record says *may have begun* until
    /// then.
    pub(crate) fn mark_taken(&mut self, number: JobNumber, at: Steady) {
        if let Some(claim) = self.claims.get_mut(&number)
            && claim.taken.is_none()
        {
            claim.taken = Some(at);
            self.taken += 1;
            self.changed = true;
        }
    }

    /// Notes which jobs have run for longer than their probation: they are not to blame for what ends the
    /// process from now on.
    pub(crate) fn note_lasting(&mut self, now: Steady, probation: Option<Duration>) {
        let (Some(span), Some(ripe)) = (probation, self.ripe) else {
            return;
        };
        if now < ripe {
            return;
        }
        let mut next = None;
        for claim in self.claims.values_mut().filter(|claim| !claim.lasting) {
            // One that nobody has taken may be taken now.
            let ripe = claim.taken.unwrap_or(now).after(span);
            if ripe <= now {
                claim.lasting = true;
                self.changed = true;
            } else {
                next = next.into_iter().chain([ripe]).min();
            }
        }
        self.ripe = next;
    }

    /// When there is something to [note](Self::note_lasting).
    pub(crate) fn next_ripe(&self) -> Option<Steady> {
        self.ripe
    }

    pub(crate) fn request_cancel(&mut self, number: JobNumber) {
        if let Some(claim) = self.claims.get_mut(&number)
            && !std::mem::replace(&mut claim.cancel_requested, true)
        {
            self.requested.push(number);
        }
    }

    /// Ends the claim that shows this token. Without the right one nothing happens: that is the
    /// fence.
    pub(crate) fn end(&mut self, number: JobNumber, token: Token) -> Option<Claim> {
        let claim = self.hand_back(number, token)?;
        self.ended.push((number, claim));
        Some(claim)
    }

    /// Ends a claim that no worker took and none will, whatever becomes of the group.
    pub(crate) fn hand_back(&mut self, number: JobNumber, token: Token) -> Option<Claim> {
        self.claims
            .get(&number)
            .filter(|claim| claim.token == token)?;
        let claim = self.claims.remove(&number)?;
        debug_assert!(claim.taken.is_none() || self.taken > 0);
        self.taken = self.taken.saturating_sub(u64::from(claim.taken.is_some()));
        self.changed = true;
        Some(claim)
    }

    /// The group is written.
    pub(crate) fn committed(&mut self) {
        self.made.clear();
        self.ended.clear();
        self.requested.clear();
    }

    /// The group is not written: what it claimed was never handed over, what it ended has not ended,
    /// and nobody asked for what it asked for.
    pub(crate) fn roll_back(&mut self) {
        for number in self.made.drain(..) {
            self.claims.remove(&number);
        }
        self.claims.extend(self.ended.drain(..));
        for number in self.requested.drain(..) {
            if let Some(claim) = self.claims.get_mut(&number) {
                claim.cancel_requested = false;
            }
        }
        let taken = self.claims.values().filter(|claim| claim.taken.is_some());
        self.taken = taken.count() as u64;
        self.changed = true;
    }

    /// Something of this queue is claimed.
    pub(crate) fn has_of(&self, queue: u16) -> bool {
        self.claims.values().any(|claim| claim.queue == queue)
    }

    pub(crate) fn len(&self) -> u64 {
        self.claims.len() as u64
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// What is counted is what is there.
    pub(super) fn check(&self) {
        let taken = || self.taken_jobs().count() as u64;
        debug_assert_eq!(self.taken, taken());
    }

    pub(crate) fn jobs(&self) -> impl Iterator<Item = JobNumber> {
        self.claims.keys().copied()
    }

    pub(crate) fn taken_jobs(&self) -> impl Iterator<Item = JobNumber> {
        let taken = self
            .claims
            .iter()
            .filter(|(_, claim)| claim.taken.is_some());
        taken.map(|(&number, _)| number)
    }

    /// The jobs from this number on that workers took, in the order of numbers.
    pub(crate) fn taken_from(&self, from: JobNumber) -> impl Iterator<Item = JobNumber> {
        let taken = self
            .claims
            .range(from..)
            .filter(|(_, claim)| claim.taken.is_some());
        taken.map(|(&number, _)| number)
    }

    /// The record to write, where the stored one no longer holds.
    pub(crate) fn take_changed(&mut self, at: Timestamp) -> Option<InFlight> {
        std::mem::take(&mut self.changed).then(|| InFlight {
            opening: self.opening,
            at,
            jobs: self
                .claims
                .iter()
                .map(|(&number, claim)| Listed {
                    number,
                    sequence: claim.token.sequence,
                    taken: claim.taken.is_some(),
                    lasting: claim.lasting,
                    suspect: claim.suspect,
                })
                .collect(),
        })
    }
}
