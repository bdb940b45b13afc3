//! What a running job asks of its manager.

use jobkeep_store::JobNumber;

use super::command::Command;
use super::inbox::WhenFull;
use super::shared::Shared;
use crate::Error;
use crate::context::{Hand, Resources, Runtime};
use crate::core::{self, Origins};

impl Runtime for Shared {
    fn resources(&self) -> &Resources {
        &self.resources
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
}
