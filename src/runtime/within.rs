//! What a running job asks of its manager.

use jobkeep_store::JobNumber;

use super::command::Command;
use super::inbox::WhenFull;
use super::shared::Shared;
use crate::clock::{Now, Steady};
use crate::context::{Hand, Resources, Runtime};
use crate::core::{self, FollowUps, Origins, Outcome, Run};
use crate::{Draft, Error};

impl Runtime for Shared {
    fn resources(&self) -> &Resources {
        &self.resources
    }

    fn now(&self) -> Steady {
        self.clock.now().steady
    }

    fn checkpoint(
        &self,
        number: JobNumber,
        hand: &mut Hand,
        payload: Vec<u8>,
    ) -> Result<(), Error> {
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
        let (job, kept) = core::checkpoint(record, &hand.stored, origins, payload.clone())
            .map_err(|cause| Error::checkpoint_codec(number, cause))?;
        let token = hand.token;
        let act = format!("checkpoint job {number}");
        self.inbox
            .ask(&act, WhenFull::Wait, |reply| Command::Checkpoint {
                number,
                token,
                job: Box::new(job),
                reply,
            })?;
        hand.record.payload = kept;
        hand.checkpoint = Some(payload);
        Ok(())
    }

    fn check(&self, draft: &Draft) -> Result<(), Error> {
        self.check_draft(draft).map(drop)
    }
}

impl Shared {
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
            Err(error) => (Outcome::failed(left.clone(), &error.into()), None),
        }
    }
}
