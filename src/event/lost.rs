use jobkeep_store::StateKind;

use super::Event;

/// So many events were not told, because the observer was too slow: by kind, so that what was heard and
/// what was lost make up what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    accepted: u64,
    started: u64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    retried: u64,
    snoozed: u64,
    parked: u64,
    suspected: u64,
    stuck: u64,
    others: u64,
}

impl Lost {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self {
            accepted,
            started,
            succeeded,
            failed,
            cancelled,
            retried,
            snoozed,
            parked,
            suspected,
            stuck,
            others,
        } = *self;
        let of_attempts = started + succeeded + failed + cancelled + retried + snoozed;
        accepted + of_attempts + parked + suspected + stuck + others
    }

    /// [`Accepted`](super::Accepted) ones.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// [`Started`](super::Started) ones.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// [`Finished`](super::Finished) ones of this final state; none of any other state.
    pub fn finished(&self, state: StateKind) -> u64 {
        match state {
            StateKind::Succeeded => self.succeeded,
            StateKind::Failed => self.failed,
            StateKind::Cancelled => self.cancelled,
            _ => 0,
        }
    }

    /// [`Retried`](super::Retried) ones.
    pub fn retried(&self) -> u64 {
        self.retried
    }

    /// [`Snoozed`](super::Snoozed) ones.
    pub fn snoozed(&self) -> u64 {
        self.snoozed
    }

    /// [`Parked`](super::Parked) ones.
    pub fn parked(&self) -> u64 {
        self.parked
    }

    /// [`Suspected`](super::Suspected) ones.
    pub fn suspected(&self) -> u64 {
        self.suspected
    }

    /// [`Stuck`](super::Stuck) ones.
    pub fn stuck(&self) -> u64 {
        self.stuck
    }

    /// Those that speak of queues and of the store.
    pub fn others(&self) -> u64 {
        self.others
    }

    pub(crate) fn count(&mut self, events: &[Event]) {
        for event in events {
            *match event {
                Event::Accepted(_) => &mut self.accepted,
                Event::Started(_) => &mut self.started,
                Event::Finished(event) => match event.state() {
                    StateKind::Succeeded => &mut self.succeeded,
                    StateKind::Cancelled => &mut self.cancelled,
                    _ => &mut self.failed,
                },
                Event::Retried(_) => &mut self.retried,
                Event::Snoozed(_) => &mut self.snoozed,
                Event::Parked(_) => &mut self.parked,
                Event::Suspected(_) => &mut self.suspected,
                Event::Stuck(_) => &mut self.stuck,
                Event::Paused(_)
                | Event::Resumed(_)
                | Event::Degraded(_)
                | Event::Recovered(_)
                | Event::Lost(_) => &mut self.others,
            } += 1;
        }
    }
}
