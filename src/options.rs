use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jobkeep_store::{Backoff, Durability, Timestamp};

use crate::{Codec, Error, Job, Priority, payload, retry};

/// A job with its options, bound to no manager. What is not said follows the job type's
/// [`Policy`](crate::Policy).
///
/// ```
/// # use jobkeep::{Job, NewJob, Priority};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Mail { to: String }
/// # impl Job for Mail { const NAME: &'static str = "mail"; type Output = (); }
/// use std::time::Duration;
///
/// let welcome = NewJob::new(Mail { to: "ada@example.org".into() })
///     .delay(Duration::from_secs(60))
///     .priority(Priority::High)
///     .key("welcome/42");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a new job does nothing until it is enqueued"]
pub struct NewJob<J> {
    job: J,
    queue: Option<String>,
    priority: Option<Priority>,
    start: Start,
    key: Option<String>,
    attempts: Option<u32>,
    backoff: Option<Backoff>,
    timeout: Option<Duration>,
    durability: Option<Durability>,
}

/// When a job becomes ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Now,
    After(Duration),
    At(Timestamp),
}

impl<J: Job> NewJob<J> {
    /// The job, with nothing said.
    pub fn new(job: J) -> Self {
        Self {
            job,
            queue: None,
            priority: None,
            start: Start::Now,
            key: None,
            attempts: None,
            backoff: None,
            timeout: None,
            durability: None,
        }
    }

    /// The queue that it waits in, else that of [`Policy::queue`](crate::Policy::queue).
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Its priority in that queue, else that of [`Policy::priority`](crate::Policy::priority). Jobs of one
    /// priority run in the order in which they were accepted
    /// or became due.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Not before `delay` has passed, counted by the monotonic clock while the process lives.
    /// Rounded down to milliseconds. The last of `delay` and `run_at` counts.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.start = Start::After(delay);
        self
    }

    /// Not before this moment of the wall clock, wherever the clock is set meanwhile. A moment that
    /// has passed means now.
    pub fn run_at(mut self, moment: SystemTime) -> Self {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.start = Start::At(Timestamp::default().after(since));
        self
    }

    /// An idempotency key, none by default: at most 256 bytes, unique for the job type in this store. Enqueued again
    /// with the same payload, the existing job's receipt comes back and nothing is written; with
    /// another payload it is an error. The key is kept until 24 hours after the job ended: see
    /// [`Builder::key_retention`](crate::Builder::key_retention).
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How many attempts it may have, the first included, else as [`Policy::attempts`](crate::Policy::attempts)
    /// says. Zero counts as one.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts.max(1));
        self
    }

    /// How far apart its attempts are: see [`Policy::backoff`](crate::Policy::backoff).
    pub fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.backoff = Some(retry::backoff(base, cap));
        self
    }

    /// How long an attempt may take: see [`Policy::timeout`](crate::Policy::timeout). Zero means as long
    /// as it likes, whatever the policy and the queue say.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// What it waits for before it counts as accepted; else
    /// [`Builder::durability`](crate::Builder::durability) says it.
    ///
    /// [`Durability::Buffered`]: it is accepted as soon as the manager has taken it in, and written
    /// with the next commit. What survives a crash is a prefix of the order of acceptance. Where the
    /// store refuses that commit, and once more, the jobs in it are lost, and nobody is told but who
    /// asks for one of them: [`Error::is_lost`]. A job with a [`key`](Self::key), or in a batch with one that is not
    /// buffered, waits for its commit all the same: the receipt says which it was.
    ///
    /// Everything else: it waits for its commit, which survives what its store promises.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Encodes the job and settles its options: what an [`Enqueue`](crate::Enqueue) takes.
    ///
    /// # Errors
    /// Where the job's own `Serialize` fails.
    pub fn draft(self) -> Result<Draft, Error> {
        let payload = payload::encode(J::CODEC, &self.job)
            .map_err(|cause| Error::codec(format_args!("encode job `{}`", J::NAME), cause))?;
        Ok(Draft {
            name: J::NAME.into(),
            codec: J::CODEC,
            payload,
            queue: self.queue.map_or(J::POLICY.queue.into(), Cow::Owned),
            priority: self.priority.unwrap_or(J::POLICY.priority),
            start: self.start,
            key: self.key,
            attempts: self.attempts.unwrap_or(J::POLICY.attempts),
            backoff: self.backoff.unwrap_or(J::POLICY.backoff),
            timeout_ms: self.timeout.map(retry::millis).or(J::POLICY.timeout_ms),
            durability: self.durability,
        })
    }
}

impl<J: Job> From<J> for NewJob<J> {
    fn from(job: J) -> Self {
        Self::new(job)
    }
}

/// A job as it travels to whoever accepts it: its name, its payload encoded, its options settled.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(crate) name: Cow<'static, str>,
    pub(crate) codec: Codec,
    pub(crate) payload: Vec<u8>,
    pub(crate) queue: Cow<'static, str>,
    pub(crate) priority: Priority,
    pub(crate) start: Start,
    pub(crate) key: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
    /// Else the queue decides.
    pub(crate) timeout_ms: Option<u64>,
    /// Else the manager decides.
    pub(crate) durability: Option<Durability>,
}

impl Draft {
    /// The stable name of the job type.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The payload, encoded.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The queue that it is to wait in.
    pub fn queue(&self) -> &str {
        &self.queue
    }
}
