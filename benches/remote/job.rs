//! The job that is sent: some 150 bytes of JSON, and nothing to do.

use jobkeep::{Context, Job, JobError, NewJob, Queue, Run};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Fault;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Nothing {
    photo: String,
    text: String,
    width: u32,
}

impl Job for Nothing {
    const NAME: &'static str = "nothing";
    type Output = u32;
}

impl Run for Nothing {
    fn run(&mut self, _: &Context) -> Result<u32, JobError> {
        Ok(self.width)
    }
}

impl Nothing {
    pub(crate) fn new() -> Self {
        Self {
            photo: "/srv/photos/2026/11/a-walk-in-the-woods.jpg".into(),
            text: "the same text of some length in each of the jobs, as jobs have it".into(),
            width: 320,
        }
    }

    /// One that waits in this queue.
    pub(crate) fn within(queue: &str) -> NewJob<Self> {
        NewJob::new(Self::new()).queue(queue)
    }
}

/// The name of the queue below.
pub(crate) const LOCAL: &str = "default";

/// Where they wait, here and there: with two workers.
pub(crate) fn queue() -> Queue {
    Queue::new(LOCAL).workers(2)
}

/// The body of a request that creates one.
pub(crate) fn create() -> Result<Vec<u8>, Fault> {
    let job = json!({"name": Nothing::NAME, "payload": Nothing::new()});
    Ok(serde_json::to_vec(&job)?)
}

/// The body of a request that creates many.
pub(crate) fn batch(jobs: usize) -> Result<Vec<u8>, Fault> {
    let job = json!({"name": Nothing::NAME, "payload": Nothing::new()});
    Ok(serde_json::to_vec(&json!({"jobs": vec![job; jobs]}))?)
}

/// The body of a request that has an executor run one, of this number: as a queue in push mode writes it.
pub(crate) fn execute(number: u64) -> Result<Vec<u8>, Fault> {
    let job = json!({
        "store": "0123456789abcdef0123456789abcdef",
        "job": number,
        "token": "0123456789abcdef-123456",
        "name": Nothing::NAME,
        "payload": Nothing::new(),
        "attempt": 1,
        "deadline_ms": 60_000,
    });
    Ok(serde_json::to_vec(&job)?)
}
