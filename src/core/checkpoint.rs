//! The value of a job that runs, kept before its attempt ends.

use jobkeep_store::{JobNumber, JobRecord, Kept, Key, RowError, State, Token};

use super::encoded::{EncodedJob, Origins};
use super::engine::{Engine, put_apart};
use super::operate::Operated;
use super::settle::replace_payload;
use crate::Error;

/// Encodes the rows of a job with this payload. `record` is in an attempt's hands; its row stays in
/// the `stored` state, because a running job is never stored as running. Also gives how the record
/// keeps the payload, without what stands in it.
pub(crate) fn checkpoint(
    record: &JobRecord,
    stored: &State,
    origins: Origins,
    payload: Vec<u8>,
) -> Result<(EncodedJob, Kept), RowError> {
    let mut record = Box::new(record.clone());
    record.state = stored.clone();
    let body = replace_payload(&mut record, payload)?;
    let kept = match record.payload {
        Kept::Inline(_) => Kept::Inline(Vec::new()),
        Kept::Apart(length) => Kept::Apart(length),
    };
    Ok((EncodedJob::new(record, origins, body, None)?, kept))
}

impl Engine {
    /// Writes the rows of a job that stays claimed. Without the current token nothing changes.
    pub(crate) fn checkpoint(
        &mut self,
        number: JobNumber,
        token: Token,
        mut job: EncodedJob,
    ) -> Operated<()> {
        let claim = self.flight.get(number);
        let Some(claim) = claim.filter(|claim| claim.token == token) else {
            return Ok(Err(Error::attempt_over(format_args!(
                "checkpoint job {number}"
            ))));
        };
        // The worker's record is from before the request.
        if claim.cancel_requested
            && let Some(mut record) = job.record.take()
        {
            record.cancel_requested = true;
            let origins = job.line.origins();
            job = EncodedJob::new(record, origins, job.body, None)?;
        }
        let batch = &mut self.group.batch;
        batch.put_job(Key::live(number), job.head, job.columns);
        put_apart(batch, Key::body(number), job.body);
        Ok(Ok(()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use jobkeep_store::{OpeningTag, QueueName, Secret, StoreId, Timestamp};

    use super::*;
    use crate::clock::Now;
    use crate::core::{self, Drawn, Rules, Stored};
    use crate::observer::Interest;
    use crate::{Job, NewJob, Retention};

    #[derive(serde::Serialize, serde::Deserialize)]
    pub(in crate::core) struct Count(pub(in crate::core) u32);

    impl Job for Count {
        const NAME: &'static str = "count";
        type Output = ();
    }

    pub(in crate::core) const HERE: Origins = Origins {
        queue: 0,
        known: true,
    };

    /// An engine with one job, which is claimed, and the job's record in its attempt's hands.
    pub(in crate::core) fn claimed() -> (Engine, JobNumber, Token, Box<JobRecord>) {
        let rules = Rules {
            queues: vec!["default".into()],
            pushed: std::collections::HashMap::new(),
            retention: Retention::new(),
            key_retention: Duration::ZERO,
            probation: Duration::ZERO,
            observed: Interest::Nothing,
            stuck: Vec::new(),
        };
        let drawn = Drawn {
            tag: OpeningTag(1),
            store: StoreId(1),
            secret: Secret { receipts: [1; 32] },
        };
        let mut engine = Engine::open(&rules, Stored::default(), &drawn, Now::default()).unwrap();
        let draft = NewJob::new(Count(1)).draft().unwrap();
        let (queue, now) = (QueueName::from("default"), Now::default());
        let job = core::accept(draft, queue, HERE, now, Timestamp::default()).unwrap();
        let record = job.record.clone().unwrap();
        let numbers = engine
            .accept(vec![(job, None)], JobNumber(1), None)
            .unwrap();
        assert!(engine.claim(0));
        let (_, token) = engine.claim_of(numbers[0]).unwrap();
        engine.end_group().unwrap();
        (engine, numbers[0], token, record)
    }

    #[test]
    fn a_checkpoint_without_the_current_token_changes_nothing() {
        let (mut engine, number, token, record) = claimed();
        let job = || {
            checkpoint(&record, &record.state, HERE, b"2".to_vec())
                .unwrap()
                .0
        };
        let other = Token {
            sequence: token.sequence + 1,
            ..token
        };
        let error = engine
            .checkpoint(number, other, job())
            .unwrap()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "checkpoint job 1: this attempt no longer has the job, and nothing that it says is \
             recorded: return"
        );
        assert!(error.is_attempt_over());
        assert!(!engine.touches(number));
        engine.checkpoint(number, token, job()).unwrap().unwrap();
        assert!(engine.touches(number));
        engine.end_group().unwrap();
        engine.hand_back(number, token);
        let error = engine
            .checkpoint(number, token, job())
            .unwrap()
            .unwrap_err();
        assert!(error.is_attempt_over());
        assert!(!engine.touches(number));
    }
}
