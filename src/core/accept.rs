//! Accepting jobs under the numbers given, and keeping idempotency keys.

use std::collections::HashMap;

use jobkeep_store::JobNumber;

use super::encoded::EncodedJob;
use super::engine::Engine;
use super::unique::KeyClaim;
use crate::Error;
use crate::event::Event;

impl Engine {
    /// Accepts all jobs or none, numbered from `first` on, and gives their numbers. A job whose key
    /// is held gets its holder's number, and is not written; the number that was its own belongs to
    /// nobody. A key that `passing` holds goes to its successor: they follow that job, which ends.
    ///
    /// The rows of all keys must have been learned.
    ///
    /// # Errors
    /// Where a key is held with another payload: the position of the job that claims it.
    pub(crate) fn accept(
        &mut self,
        jobs: Vec<(EncodedJob, Option<KeyClaim>)>,
        first: JobNumber,
        passing: Option<JobNumber>,
    ) -> Result<Vec<JobNumber>, (usize, Error)> {
        self.check_keys(&jobs, first, passing)?;
        let mut numbers = Vec::with_capacity(jobs.len());
        let numbered = (first.0..).map(JobNumber).zip(jobs);
        for (index, (number, (mut job, claim))) in numbered.enumerate() {
            if let Some(claim) = &claim
                && let Some(holder) = self
                    .holder(&job, claim, passing)
                    .map_err(|error| (index, error))?
            {
                numbers.push(holder);
                continue;
            }
            self.totals.next_number = self.totals.next_number.max(number.0 + 1);
            if let Some(claim) = &claim
                && let Some(record) = &job.record
                && let Some(key) = &record.key
            {
                self.uniques.hold(claim, &record.name, key, number);
            }
            if let Some(record) = job.record.take() {
                self.observe(|now| Event::accepted(number, &record, now));
                let waiting = self.schedule.ready_in(job.line.queue);
                self.fresh.keep(number, record, waiting);
            }
            self.live += 1;
            self.file_live(number, job);
            numbers.push(number);
        }
        Ok(numbers)
    }

    /// Finds conflicts before anything is written, those within the batch itself included.
    fn check_keys(
        &self,
        jobs: &[(EncodedJob, Option<KeyClaim>)],
        first: JobNumber,
        passing: Option<JobNumber>,
    ) -> Result<(), (usize, Error)> {
        let mut seen: HashMap<(&str, &str), (JobNumber, &KeyClaim)> = HashMap::new();
        let numbered = (first.0..).map(JobNumber).zip(jobs);
        for (index, (number, (job, claim))) in numbered.enumerate() {
            let Some((claim, (name, key))) = claim.as_ref().zip(job.name_and_key()) else {
                continue;
            };
            let holder = self.holder(job, claim, passing);
            if holder.map_err(|error| (index, error))?.is_some() {
                continue;
            }
            let mut earlier = claim.names(name).filter_map(|name| seen.get(&(name, key)));
            match earlier.next() {
                Some((_, same)) if same.is_same(claim) => {}
                Some((holder, _)) => {
                    return Err((index, Error::key_twice(name, key, *holder)));
                }
                None => seen.extend(claim.names(name).map(|name| ((name, key), (number, claim)))),
            }
        }
        Ok(())
    }

    fn holder(
        &self,
        job: &EncodedJob,
        claim: &KeyClaim,
        passing: Option<JobNumber>,
    ) -> Result<Option<JobNumber>, Error> {
        match job.name_and_key() {
            Some((name, key)) => self
                .uniques
                .holder(claim, name, key, self.now.steady, passing),
            None => Ok(None),
        }
    }
}
