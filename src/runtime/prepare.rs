//! Drafts made ready for the committer, on the thread of whoever has them.

use jobkeep_store::{JobNumber, QueueName};

use super::shared::Shared;
use crate::clock::Now;
use crate::config::{BATCH_JOBS, check_batch};
use crate::core::{self, Amendment, EncodedJob, KeyClaim, Origins};
use crate::observer::Interest;
use crate::{Codec, Draft, Error, Job, payload};

impl Shared {
    /// Encodes the jobs of one batch.
    pub(crate) fn encode(
        &self,
        drafts: Vec<Draft>,
    ) -> Result<Vec<(EncodedJob, Option<KeyClaim>)>, Error> {
        let count = drafts.len();
        let jobs = self.prepare(drafts, self.clock.now());
        let jobs = jobs.map_err(|(index, error)| match count {
            1 => error,
            _ => error.of_batch(index),
        })?;
        let bytes = jobs.iter().map(|(job, _)| job.bytes()).sum();
        check_batch(count, bytes)?;
        Ok(jobs)
    }

    /// Encodes jobs that are accepted at this moment. An error has the position of its job.
    pub(super) fn prepare(
        &self,
        drafts: Vec<Draft>,
        now: Now,
    ) -> Result<Vec<(EncodedJob, Option<KeyClaim>)>, OfOne> {
        let order = self.order(now);
        let mut jobs = Vec::with_capacity(drafts.len().min(BATCH_JOBS));
        for (index, draft) in drafts.into_iter().enumerate() {
            let checked = self.check_draft(&draft);
            let (queue, origins) = checked.map_err(|error| (index, error))?;
            let claim = self.claim(&draft);
            let name = draft.name.clone();
            let mut job = core::accept(draft, queue, origins, now, order).map_err(|cause| {
                let error = Error::codec(format_args!("encode job `{name}`"), cause);
                (index, error)
            })?;
            if jobs.len() >= AT_HAND
                && claim.is_none()
                && self.observers.lasting_interest() != Interest::All
            {
                // Dropped here, because the committer has better things to do.
                job.record = None;
            }
            jobs.push((job, claim));
        }
        Ok(jobs)
    }

    fn claim(&self, draft: &Draft) -> Option<KeyClaim> {
        let key = draft.key.as_ref()?;
        let names = self.registry.names(&draft.name).unwrap_or(draft.aliases);
        let others = names.iter().copied().filter(|name| *name != draft.name);
        let sameness = draft.sameness();
        let (store, name) = (self.origin.store, draft.name.as_ref());
        Some(KeyClaim::new(
            store,
            (name, others),
            key,
            sameness,
            draft.key_retention_ms,
        ))
    }

    /// Encodes this job in place of the one of that number.
    pub(crate) fn encode_amendment<J: Job>(
        &self,
        number: JobNumber,
        job: &J,
    ) -> Result<Box<Amendment>, Error> {
        let payload = payload::encode(J::CODEC, job, &[])
            .map_err(|cause| Error::codec(format_args!("amend job {number}"), cause))?;
        let names = [J::NAME].iter().chain(J::ALIASES);
        let names = names.map(|&name| name.into()).collect();
        self.amendment(number, names, J::CODEC, payload)
    }

    /// Encodes another payload for a job that is stored under one of these names.
    pub(crate) fn amendment(
        &self,
        number: JobNumber,
        names: Vec<String>,
        codec: Codec,
        payload: Vec<u8>,
    ) -> Result<Box<Amendment>, Error> {
        let (size, limit) = (payload.len(), self.config.payload_limit);
        if size > limit {
            return Err(Error::amendment_too_large(number, size, limit));
        }
        let amendment = Amendment::new(names, codec, payload)
            .map_err(|cause| Error::codec(format_args!("amend job {number}"), cause))?;
        Ok(Box::new(amendment))
    }

    /// Checks what needs no committer, and says where the job is to stand.
    pub(super) fn check_draft(&self, draft: &Draft) -> Result<(QueueName, Origins), Error> {
        let (size, limit) = (draft.payload.len(), self.config.payload_limit);
        if size > limit {
            return Err(Error::payload_too_large(&draft.name, size, limit));
        }
        if let Some(key) = &draft.key
            && key.len() > KEY_BYTES
        {
            return Err(Error::key_too_large(&draft.name, key.len(), KEY_BYTES));
        }
        let origins = self.origins(&draft.queue, &draft.name);
        let found = origins.and_then(|origins| {
            let pool = self.pools.get(usize::from(origins.queue))?;
            Some((pool.queue.clone(), origins))
        });
        found.ok_or_else(|| {
            let declared = self.pools.iter().map(|pool| pool.queue.as_str());
            let Draft { name, queue, .. } = draft;
            let act = format_args!("enqueue job `{name}` in queue `{queue}`");
            Error::undeclared_queue(act, declared)
        })
    }
}

/// Why a batch cannot be accepted, and the position of the job for which that is so.
type OfOne = (usize, Error);

/// So many jobs of a batch may start without being read back from the store.
const AT_HAND: usize = 1_024;

/// How long an idempotency key may be, in bytes.
const KEY_BYTES: usize = 256;
