//! Jobs that are accepted with the settlement of the one that wants them.

use jobkeep_store::JobNumber;

use super::encoded::EncodedJob;
use super::engine::Engine;
use super::settle::{Outcome, Run, Settlement, settle};
use super::unique::KeyClaim;
use crate::Error;
use crate::clock::Now;

/// The jobs that follow one that succeeded.
#[derive(Debug)]
pub(crate) struct FollowUps {
    pub(crate) jobs: Vec<(EncodedJob, Option<KeyClaim>)>,
    /// The number of the first of them. The inbox gives it.
    pub(crate) first: JobNumber,
    /// Why they cannot be accepted, where that is known already.
    refused: Option<Error>,
    /// Only where one of them has a key: nothing else is refused at this point.
    otherwise: Option<Otherwise>,
}

/// What the job's end is made of where its follow-up jobs are refused: its attempt fails, so that they
/// are not lost.
#[derive(Debug)]
struct Otherwise {
    run: Run,
    left: Vec<u8>,
    now: Now,
    seed: u64,
}

impl FollowUps {
    /// `run` left the value `left`.
    pub(crate) fn new(
        jobs: Vec<(EncodedJob, Option<KeyClaim>)>,
        run: &Run,
        left: &[u8],
        now: Now,
        seed: u64,
    ) -> Self {
        let keyed = jobs.iter().any(|(_, claim)| claim.is_some());
        let otherwise = keyed.then(|| Otherwise {
            run: run.clone(),
            left: left.to_vec(),
            now,
            seed,
        });
        Self {
            jobs,
            first: JobNumber(0),
            refused: None,
            otherwise,
        }
    }

    /// None of them can be accepted.
    pub(crate) fn refuse(&mut self, error: Error) {
        self.refused = Some(error);
    }
}

impl Otherwise {
    fn end(&self, error: Error) -> Result<Settlement, String> {
        let outcome = Outcome::failed(self.left.clone(), &error.into());
        settle(self.run.clone(), outcome, self.now, self.seed, None)
    }
}

impl Engine {
    /// Accepts all that follow this job; or none, and gives the end that it has instead. They are kept,
    /// because the group may not be written.
    ///
    /// # Errors
    /// Where it cannot be ended like that: a defect of jobkeep, as text.
    pub(super) fn follow(
        &mut self,
        number: JobNumber,
        follow_ups: &FollowUps,
    ) -> Result<Option<Settlement>, String> {
        let FollowUps {
            jobs,
            first,
            refused,
            otherwise,
        } = follow_ups;
        let error = match refused.clone() {
            Some(refused) => refused,
            None => match self.accept(jobs.clone(), *first, Some(number)) {
                Ok(_) => return Ok(None),
                Err((_, error)) => error,
            },
        };
        match otherwise {
            Some(otherwise) => otherwise.end(error).map(Some),
            None => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use jobkeep_store::{JobNumber, QueueName, Timestamp, Token};

    use super::*;
    use crate::core::checkpoint::tests::{Count, HERE, claimed};
    use crate::core::{Settlement, accept, begin_attempt};
    use crate::observer::Interest;
    use crate::{Job, NewJob};

    #[test]
    fn an_end_without_the_current_token_has_no_jobs_that_follow() {
        let (mut engine, number, token, mut record) = claimed();
        begin_attempt(&mut record).unwrap();
        let end = |token| -> Settlement {
            let run = Run {
                number,
                token,
                origins: HERE,
                record: record.clone(),
                payload: b"1".to_vec(),
                began: Now::default(),
                thread: String::new(),
                log: Vec::new(),
                observed: Interest::Nothing,
            };
            let (draft, queue) = (NewJob::new(Count(2)).draft().unwrap(), Count::POLICY.queue);
            let (now, order) = (Now::default(), Timestamp::default());
            let job = accept(draft, QueueName::from(queue), HERE, now, order).unwrap();
            let mut follow_ups = FollowUps::new(vec![(job, None)], &run, b"1", now, 0);
            follow_ups.first = JobNumber(number.0 + 1);
            let (left, output) = (b"1".to_vec(), b"null".to_vec());
            let outcome = Outcome::Succeeded { left, output };
            let mut settlement = settle(run, outcome, now, 0, None).unwrap();
            settlement.follow_ups = Some(Box::new(follow_ups));
            settlement
        };
        let next = JobNumber(number.0 + 1);
        let other = Token {
            sequence: token.sequence + 1,
            ..token
        };
        assert!(!engine.settle(&mut end(other)).unwrap());
        assert_eq!(engine.first_number(), next);
        assert!(!engine.touches(number) && !engine.touches(next));
        assert!(engine.settle(&mut end(token)).unwrap());
        assert!(engine.touches(number) && engine.touches(next));
        engine.end_group().unwrap();
        assert!(!engine.settle(&mut end(token)).unwrap());
        assert!(!engine.touches(number) && !engine.touches(JobNumber(next.0 + 1)));
    }
}
