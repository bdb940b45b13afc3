//! Taking a store over: the schedule rebuilt from one scan of *live*, and what an older opening left
//! in flight settled as interrupted.

use std::collections::HashMap;

use jobkeep_store::{
    Batch, Damaged, Encoded, Fence, InFlight, JobNumber, JobRecord, Key, Listed, Opening,
    OpeningTag, Paused, Place, RowError, Space, StateKind, StoreId, Timestamp, Totals, Withdrawn,
};

use super::encoded::{Apart, EncodedJob, Origins};
use super::engine::{Engine, Rules};
use super::schedule::Line;
use super::state;
use crate::clock::Now;

/// What a store says before its jobs are looked at.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) fence: Option<Fence>,
    pub(crate) totals: Option<Totals>,
    pub(crate) paused: Paused,
    pub(crate) withdrawn: HashMap<JobNumber, Withdrawn>,
}

impl Engine {
    /// Begins an opening. Its first group takes the store over, and founds it as `store` where it is
    /// new. Every live row is to be [restored](Self::restore) before anything else happens.
    pub(crate) fn open(
        rules: &Rules,
        stored: Stored,
        store: StoreId,
        tag: OpeningTag,
        now: Now,
    ) -> Result<Self, RowError> {
        let Stored {
            fence,
            totals,
            paused,
            withdrawn,
        } = stored;
        let last = fence.unwrap_or(Fence {
            store,
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
        if origins.known {
            // A parked job is tried once more: what it lacked may be here now.
            let line = Line::new(origins, &place.state, place.priority, place.order);
            self.schedule.insert(number, line);
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

    /// Settles a restored job as interrupted that an older opening had in flight.
    pub(crate) fn interrupt(
        &mut self,
        listed: &Listed,
        in_flight: &InFlight,
        mut record: Box<JobRecord>,
        origins: Option<Origins>,
        key: Option<u64>,
    ) -> Result<(), RowError> {
        let number = listed.number;
        let here = origins.unwrap_or(Origins {
            queue: 0,
            known: false,
        });
        let line = Line::new(here, &record.state, record.priority, record.order);
        self.schedule.remove(number, line);
        let now = self.now.wall;
        let interrupted = state::claim(&mut record)
            .and_then(|()| state::interrupt(&mut record, in_flight.at, listed.taken, now));
        let cancelled = record.cancel_requested && state::cancel(&mut record, now).is_ok();
        if interrupted.is_err() && !cancelled {
            // A finished record among the live ones: nothing that this version writes.
            return Ok(());
        }
        let job = EncodedJob::new(record, here, Apart::Leave, None)?;
        self.file(number, job, key);
        Ok(())
    }
}
