//! What is in flight: claimed, and not yet settled.

use std::collections::BTreeMap;

use jobkeep_store::{InFlight, JobNumber, Listed, OpeningTag, Priority, Timestamp, Token};

use super::schedule::Order;

/// One claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) token: Token,
    pub(crate) queue: u16,
    pub(crate) priority: Priority,
    pub(crate) order: Order,
    /// A worker is known to have taken it.
    pub(crate) taken: bool,
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
            made: Vec::new(),
            ended: Vec::new(),
            requested: Vec::new(),
            changed: true,
        }
    }

    /// Claims a job, and gives its token.
    pub(crate) fn claim(&mut self, queue: u16, priority: Priority, order: Order) -> Token {
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
            taken: false,
            cancel_requested: false,
        };
        self.claims.insert(order.number, claim);
        self.made.push(order.number);
        self.changed = true;
        token
    }

    pub(crate) fn get(&self, number: JobNumber) -> Option<&Claim> {
        self.claims.get(&number)
    }

    /// A worker took it. Known late is well: the stored record says *may have begun* until then.
    pub(crate) fn mark_taken(&mut self, number: JobNumber) {
        if let Some(claim) = self.claims.get_mut(&number)
            && !claim.taken
        {
            claim.taken = true;
            self.taken += 1;
            self.changed = true;
        }
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
        self.taken -= u64::from(claim.taken);
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
        let taken = self.claims.values().filter(|claim| claim.taken);
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

    pub(crate) fn taken_jobs(&self) -> impl Iterator<Item = JobNumber> {
        let taken = self.claims.iter().filter(|(_, claim)| claim.taken);
        taken.map(|(&number, _)| number)
    }

    /// The jobs from this number on that workers took, in the order of numbers.
    pub(crate) fn taken_from(&self, from: JobNumber) -> impl Iterator<Item = JobNumber> {
        let taken = self.claims.range(from..).filter(|(_, claim)| claim.taken);
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
                    taken: claim.taken,
                })
                .collect(),
        })
    }
}
