use jobkeep_store::{JobNumber, JobRecord, ParkReason, Priority, QueueName, StateKind, Timestamp};

use serde::{Serialize, Serializer};

use crate::Receipt;

/// Some jobs of one state, in the order of their numbers: see [`Manager::jobs`](crate::Manager::jobs).
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub(crate) jobs: Vec<ListedJob>,
    pub(crate) cursor: Option<JobNumber>,
    pub(crate) damaged: Vec<JobNumber>,
}

impl Page {
    /// The jobs.
    pub fn jobs(&self) -> &[ListedJob] {
        &self.jobs
    }

    /// The jobs.
    pub fn into_jobs(self) -> Vec<ListedJob> {
        self.jobs
    }

    /// What to give as `after` for the next page; `None` where everything was looked at. A page may
    /// have few jobs, or none, and a cursor all the same.
    pub fn cursor(&self) -> Option<JobNumber> {
        self.cursor
    }

    /// Jobs whose rows were looked at and do not check out, of whatever state.
    pub fn damaged(&self) -> &[JobNumber] {
        &self.damaged
    }
}

/// One job of a [`Page`]. Serialized, it is what its calls say.
#[derive(Clone, Debug, Serialize)]
pub struct ListedJob {
    receipt: Receipt,
    state: StateKind,
    #[serde(serialize_with = "shown")]
    parked: Option<ParkReason>,
    name: String,
    queue: QueueName,
    priority: Priority,
    attempts: u32,
    #[serde(rename = "created_ms")]
    created: Timestamp,
    #[serde(rename = "due_ms")]
    due: Option<Timestamp>,
    #[serde(rename = "finished_ms")]
    finished: Option<Timestamp>,
}

#[expect(clippy::ref_option, reason = "serde passes it so")]
fn shown<S: Serializer>(parked: &Option<ParkReason>, serializer: S) -> Result<S::Ok, S::Error> {
    parked
        .as_ref()
        .map(ToString::to_string)
        .serialize(serializer)
}

impl ListedJob {
    pub(crate) fn new(
        receipt: Receipt,
        state: StateKind,
        parked: Option<ParkReason>,
        due: Option<Timestamp>,
        record: JobRecord,
    ) -> Self {
        let due = due.filter(|_| state == StateKind::Scheduled);
        Self {
            receipt,
            state,
            parked,
            name: record.name,
            queue: record.queue,
            priority: record.priority,
            attempts: record.attempts,
            created: record.created,
            due,
            finished: record.finished,
        }
    }

    /// Its receipt: as good as the one that its acceptance gave, whose text may be another, where the server
    /// had another name then or the job was accepted as buffered.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Its number in its store.
    pub fn number(&self) -> JobNumber {
        self.receipt.number()
    }

    /// Its state.
    pub fn state(&self) -> StateKind {
        self.state
    }

    /// Why it is parked, where it is.
    pub fn parked(&self) -> Option<&ParkReason> {
        self.parked.as_ref()
    }

    /// The stable name of its type.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The queue that it waits in.
    pub fn queue(&self) -> &str {
        self.queue.as_str()
    }

    /// Its priority in that queue.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// How many attempts ended so far, interruptions and snoozes not counted.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When it was accepted.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// When it becomes ready, where it is scheduled.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// When it reached its final state.
    pub fn finished(&self) -> Option<Timestamp> {
        self.finished
    }
}
