//! Taking a store over, and letting it go: the schedule rebuilt from one scan of *live*, and what an older opening left
//! in flight settled as interrupted.

use std::collections::HashMap;
use std::time::Duration;

use jobkeep_store::{
    Batch, Closing, Damaged, Encoded, Fence, InFlight, JobNumber, JobRecord, Key, Listed, Opening,
    OpeningTag, ParkReason, Paused, Place, RowError, Secret, Space, State, StateKind, StoreId,
    Timestamp, Totals, Withdrawn,
};

use super::encoded::{Apart, EncodedJob, Origins};
use super::engine::{Engine, Rules};
use super::operate::NOT_HERE;
use super::probation::{Probation, Suspect};
use super::schedule::{Line, Order};
use super::state::{self, Interruption};
use crate::carry;
use crate::clock::Now;
use crate::event::Event;

/// What a store says before its jobs are looked at.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) fence: Option<Fence>,
    pub(crate) totals: Option<Totals>,
    pub(crate) paused: Paused,
    pub(crate) withdrawn: HashMap<JobNumber, Withdrawn>,
    pub(crate) secret: Option<Secret>,
}

/// What an opening draws by chance.
#[derive(Debug)]
pub(crate) struct Drawn {
    pub(crate) tag: OpeningTag,
    /// For a store that is new.
    pub(crate) store: StoreId,
    /// For one that has none.
    pub(crate) secret: Secret,
}

impl Rules {
    /// How long another host may run a job of this queue, where others do.
    pub(crate) fn call_timeout(&self, queue: u16, record: &JobRecord) -> Option<Duration> {
        let own = *self.pushed.get(&queue)?;
        let asked = record.timeout_ms.or(Some(own));
        Some(Duration::from_millis(carry::timeout_ms(asked)))
    }
}

impl Engine {
    /// Begins an opening. Its first group takes the store over, and gives it what it lacks of what was
    /// drawn. Every live row is to be [restored](Self::restore) before anything else happens.
    pub(crate) fn open(
        rules: &Rules,
        stored: Stored,
        drawn: &Drawn,
        now: Now,
    ) -> Result<Self, RowError> {
        let Stored {
            fence,
            totals,
            paused,
            withdrawn,
            secret,
        } = stored;
        let tag = drawn.tag;
        let last = fence.unwrap_or(Fence {
            store: drawn.store,
            opening: tag,
            commit: 0,
        });
        let totals = totals.unwrap_or(Totals {
            next_number: 1,
            ..Totals::default()
        });
        let first = Fence {
            opening: tag,
            commit: last.commit + 1,
            ..last
        };
        let mut batch = Batch::opening(first, fence.map(|fence| fence.opening));
        let opening = Opening { tag, at: now.wall };
        batch.put(
            Key::new(Space::Openings, totals.next_number),
            Encoded::new(&opening)?,
        );
        if secret.is_none() {
            batch.put(Key::SECRET, Encoded::new(&drawn.secret)?);
        }
        batch.delete(Key::CLOSING);
        let fence = Fence {
            opening: tag,
            ..last
        };
        let mut engine = Self::new(rules, fence, totals, withdrawn, batch, now);
        engine.pauses.restore(paused);
        Ok(engine)
    }

    /// Takes a live job into the schedule. `origins` is `None` where its queue is not declared.
    /// Returns its place in line, for jobs that are ready.
    pub(crate) fn restore(
        &mut self,
        number: JobNumber,
        place: &Place<'_>,
        origins: Option<Origins>,
    ) -> Option<Timestamp> {
        self.live += 1;
        let origins = origins?;
        let elsewhere = self.flight.get(number).is_some()
            || self.parked.holds(number)
            || self.probation.holds(number)
            || matches!(place.state, State::Parked(ParkReason::Crashing(_)));
        if origins.known && !elsewhere {
            // What an earlier opening has parked is tried once more: what it lacked may be here now.
            let line = Line::new(origins, &place.state, place.priority, place.order);
            if !self.lingering.hold(number, line) {
                self.schedule.insert(number, line);
            }
        }
        (place.state.kind() == StateKind::Ready).then_some(place.order)
    }

    /// Sets a live row aside that does not check out, with its bytes.
    pub(crate) fn set_aside(
        &mut self,
        key: Key,
        bytes: &[u8],
        reason: &RowError,
    ) -> Result<(), RowError> {
        let damaged = Damaged {
            at: self.now.wall,
            reason: reason.to_string(),
            bytes: bytes.to_vec(),
        };
        let batch = &mut self.group.batch;
        batch.put(
            Key::new(Space::Damaged, key.number),
            Encoded::new(&damaged)?,
        );
        batch.delete(key);
        self.totals.damaged += 1;
        Ok(())
    }

    /// Settles a restored job as interrupted that an older opening had in flight. One that another host
    /// may still run is due `resend` from now, and is no suspect: it does not run in this process.
    /// Gives the state in which it is now.
    pub(crate) fn interrupt(
        &mut self,
        listed: &Listed,
        end: &UncleanEnd,
        mut record: Box<JobRecord>,
        origins: Option<Origins>,
        key: Option<u64>,
        resend: Option<Duration>,
    ) -> Result<State, RowError> {
        let number = listed.number;
        let here = origins.unwrap_or(NOT_HERE);
        let line = Line::new(here, &record.state, record.priority, record.order);
        self.schedule.remove(number, line);
        self.lingering.release(number);
        let now = self.now.wall;
        let interruption = Interruption {
            started: end.in_flight.at,
            at: now,
            begun: listed.taken,
            unclean_ends: match end.in_order {
                true if listed.lasting => 0,
                true => record.unclean_ends,
                false => Probation::unclean_ends(record.unclean_ends, listed),
            },
        };
        let due = resend.map(|wait| self.now.steady.after(wait).kept());
        let is_crashing = !end.in_order && self.probation.is_crashing(interruption.unclean_ends);
        let interrupted = state::claim(&mut record).and_then(|()| {
            if is_crashing {
                state::park_crashing(&mut record, interruption)
            } else {
                state::interrupt(&mut record, interruption, due)
            }
        });
        let cancelled = record.cancel_requested && state::cancel(&mut record, now).is_ok();
        if interrupted.is_err() && !cancelled {
            // A finished record among the live ones: nothing that this version writes.
            return Ok(record.state);
        }
        let state = record.state.clone();
        let may_begin = here.known && record.state == State::Ready && !self.lingering.has(number);
        let hold = self
            .probation
            .hold(record.unclean_ends)
            .filter(|_| may_begin);
        let from = hold.map(|hold| self.now.steady.after(hold));
        if let Some(from) = from {
            self.observe_trouble(|now| {
                Event::suspected(number, &record, now.shown(from), now.wall)
            });
        }
        let job = EncodedJob::new(record, here, Apart::Leave, None)?;
        let line = job.line;
        self.file(number, job, key);
        if let Some(from) = from {
            self.schedule.remove(number, line);
            self.probation.add(Suspect {
                queue: line.queue,
                priority: line.priority,
                order: Order::new(number, line),
                from,
            });
        }
        Ok(state)
    }

    /// The opening ends in order from now on: jobs that still run are not to blame for the end of the
    /// process, whenever and however that comes.
    pub(crate) fn close(&mut self) {
        self.closing = Some(self.closing.unwrap_or(false));
    }

    /// Writes that the opening ends in order, once, where jobs still run.
    pub(super) fn write_closing(&mut self) -> Result<(), RowError> {
        if self.closing == Some(false) && self.flight.len() > 0 {
            let opening = self.fence.opening;
            let row = Encoded::new(&Closing { opening })?;
            self.group.batch.put(Key::CLOSING, row);
        }
        Ok(())
    }

    /// The group is written.
    pub(super) fn closing_written(&mut self) {
        if self.closing.is_some() && self.flight.len() > 0 {
            self.closing = Some(true);
        }
    }
}

/// What an older opening left when it ended with jobs in flight.
#[derive(Debug)]
pub(crate) struct UncleanEnd {
    pub(crate) in_flight: InFlight,
    /// It was shut down in order: its jobs did not end it.
    pub(crate) in_order: bool,
}
