//! What a running job asks of its manager.

use std::pin::Pin;

use jobkeep_store::{JobNumber, Kept};

use super::asked::Asked;
use super::command::Command;
use super::drive::drive;
use super::inbox::WhenFull;
use super::shared::Shared;
use crate::cancellation::Cancellation;
use crate::clock::{Clock, Now};
use crate::context::{Hand, Resources, Runtime};
use crate::core::{self, FollowUps, Origins, Outcome, Run};
use crate::{Draft, Error, JobError, Receipt};

impl Runtime for Shared {
    fn resources(&self) -> &Resources {
        &self.resources
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn has_the_job(&self) -> bool {
        true
    }

    fn receipt(&self, number: JobNumber) -> Result<Receipt, Error> {
        Ok(self.receipt_of(number))
    }

    fn drive(&self, cancelled: &Cancellation, future: Pin<&mut dyn Future<Output = ()>>) {
        drive(cancelled, future, &self.clock);
    }

    fn checkpoint(
        &self,
        number: JobNumber,
        hand: &mut Hand,
        payload: Vec<u8>,
    ) -> Result<(), Error> {
        let act = format!("checkpoint job {number}");
        let (asked, kept) = self.leave_checkpoint(&act, number, hand, payload.clone())?;
        asked.wait(&act, &self.inbox)?;
        hand.keep(kept, payload);
        Ok(())
    }

    fn check(&self, draft: &Draft) -> Result<(), Error> {
        self.check_draft(draft).map(drop)
    }
}

impl Shared {
    /// Leaves a running job with this payload for the committer. Also gives how its record is to keep
    /// that, once the answer is here.
    pub(super) fn leave_checkpoint(
        &self,
        act: &str,
        number: JobNumber,
        hand: &Hand,
        payload: Vec<u8>,
    ) -> Result<(Asked<()>, Kept), Error> {
        let (size, limit) = (payload.len(), self.config.payload_limit);
        if size > limit {
            return Err(Error::checkpoint_too_large(number, size, limit));
        }
        let record = &hand.record;
        let origins = self.origins(record.queue.as_str(), &record.name);
        let origins = origins.unwrap_or(Origins {
            queue: 0,
            known: false,
        });
        let (job, kept) = core::checkpoint(record, &hand.stored, origins, payload)
            .map_err(|cause| Error::checkpoint_codec(number, cause))?;
        let token = hand.token;
        let checkpoint = |reply| Command::Checkpoint {
            number,
            token,
            job: Box::new(job),
            reply,
        };
        Ok((self.inbox.leave(&act, WhenFull::Wait, checkpoint)?, kept))
    }

    /// Encodes the jobs that follow a success; other outcomes have none.
    pub(super) fn follow_ups(
        &self,
        outcome: Outcome,
        drafts: Vec<Draft>,
        run: &Run,
        now: Now,
        seed: u64,
    ) -> (Outcome, Option<Box<FollowUps>>) {
        let Outcome::Succeeded { left, .. } = &outcome else {
            return (outcome, None);
        };
        if drafts.is_empty() {
            return (outcome, None);
        }
        match self.prepare(drafts, now) {
            Ok(jobs) => {
                let follow_ups = FollowUps::new(jobs, run, left, now, seed);
                (outcome, Some(Box::new(follow_ups)))
            }
            Err((_, error)) => (Outcome::failed(left.clone(), &JobError::new(error)), None),
        }
    }
}
