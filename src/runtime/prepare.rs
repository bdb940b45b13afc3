//! Drafts made ready for the committer, on the thread of whoever has them.

use jobkeep_store::QueueName;

use super::shared::Shared;
use crate::clock::Now;
use crate::config::{BATCH_JOBS, check_batch};
use crate::core::{self, EncodedJob, KeyClaim, Origins};
use crate::{Draft, Error};

impl Shared {
    /// Encodes the jobs of one batch.
    pub(crate) fn encode(
        &self,
        drafts: Vec<Draft>,
    ) -> Result<Vec<(EncodedJob, Option<KeyClaim>)>, Error> {
        let count = drafts.len();
        let jobs = self.prepare(drafts, self.clock.now())?;
        let bytes = jobs.iter().map(|(job, _)| job.bytes()).sum();
        check_batch(count, bytes)?;
        Ok(jobs)
    }

    /// Encodes jobs that are accepted at this moment.
    pub(super) fn prepare(
        &self,
        drafts: Vec<Draft>,
        now: Now,
    ) -> Result<Vec<(EncodedJob, Option<KeyClaim>)>, Error> {
        let order = self.order(now);
        let mut jobs = Vec::with_capacity(drafts.len().min(BATCH_JOBS));
        for draft in drafts {
            let (queue, origins) = self.check_draft(&draft)?;
            let claim = self.claim(&draft);
            let name = draft.name.clone();
            let mut job = core::accept(draft, queue, origins, now, order)
                .map_err(|cause| Error::codec(format_args!("encode job `{name}`"), cause))?;
            if jobs.len() >= AT_HAND && claim.is_none() && self.observing.is_none() {
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

/// So many jobs of a batch may start without being read back from the store.
const AT_HAND: usize = 1_024;

/// How long an idempotency key may be, in bytes.
const KEY_BYTES: usize = 256;
