use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jobkeep_store::{Backoff, ByteCount, Durability, Timestamp};

use crate::core::Sameness;
use crate::registry::is_name;
use crate::{Codec, Error, Job, Priority, digest, payload, retry};

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
#[derive(Clone)]
#[must_use = "a new job does nothing until it is enqueued"]
pub struct NewJob<J> {
    job: J,
    queue: Option<String>,
    priority: Option<Priority>,
    start: Start,
    key: Option<String>,
    key_retention: Option<Duration>,
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
            key_retention: None,
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

    /// Not before `delay` has passed. While a manager has the store this is counted by a clock that nobody
    /// sets and that stands still while the machine sleeps; between two managers by the wall clock, and if
    /// that is set back meanwhile, the time in between does not count. Rounded up to milliseconds. The
    /// last of `delay` and `run_at` counts.
    #[doc(alias("countdown", "perform_in", "run_in", "schedule_in"))]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.start = Start::After(delay);
        self
    }

    /// Not before this moment of the wall clock, a `SystemTime` or a [`Timestamp`], wherever the clock is
    /// set meanwhile. A moment that has passed means now.
    #[doc(alias("eta", "perform_at", "scheduled_at"))]
    pub fn run_at(mut self, moment: impl Into<Timestamp>) -> Self {
        self.start = Start::At(moment.into());
        self
    }

    /// An idempotency key, none by default: at most 256 bytes, unique for the job type in this store,
    /// whichever of its [names](Job::ALIASES) a job has. Enqueued again with the same payload, the
    /// existing job's receipt comes back, whatever became of that job, and nothing is written:
    /// [`Receipt::is_existing`](crate::Receipt::is_existing) says so. With another payload it is an error.
    ///
    /// Payloads are the same if their values are, whatever the order of their maps and sets. Other lists
    /// are told apart by what they hold and not by its order, because serde cannot tell a set from a
    /// list; arrays and tuples by their order too. In JSON, a field of the job itself does not count if
    /// the type fills it in with just that value where it is missing, so that a field with
    /// `#[serde(default)]` can be added while keys are held (in payloads of some kilobytes; in one of 256
    /// KiB no more). A request that comes over HTTP is also the same as one that sent the same bytes.
    ///
    /// The key is kept until 24 hours after the job ended: see
    /// [`Builder::key_retention`](crate::Builder::key_retention), and
    /// [`key_retention`](Self::key_retention) for one of its own. [Removing](crate::Manager::remove) the
    /// job lets it go at once, and a job that [follows](crate::Context::enqueue) the one that holds it may
    /// take it over.
    #[doc(alias("idempotency_key", "unique"))]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How long the job holds its [`key`](Self::key) after its end, where that is less than
    /// [`Builder::key_retention`](crate::Builder::key_retention) says for all; else as
    /// [`Policy::key_retention`](crate::Policy::key_retention) says. With zero it is released as soon as the job
    /// ends: one job at a time, and again afterwards. Rounded up to milliseconds.
    pub fn key_retention(mut self, age: Duration) -> Self {
        self.key_retention = Some(age);
        self
    }

    /// How many attempts it may have, the first included, else as [`Policy::attempts`](crate::Policy::attempts)
    /// says. Zero counts as one.
    #[doc(alias("max_attempts", "retries"))]
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

    /// Encodes the job and settles its options: what an [`Enqueue`](crate::Enqueue) takes. What was
    /// encoded is decoded once, so that no job is accepted that could never run.
    ///
    /// # Errors
    /// Where the job's own `Serialize` fails, or its `Deserialize` does not take what that wrote:
    /// [`Error::is_codec`]. Where [`NAME`](Job::NAME) is not of 1 to 128 bytes.
    ///
    /// # Panics
    /// Where one of these panics.
    pub fn draft(self) -> Result<Draft, Error> {
        self.encode(&[]).map_err(|cause| {
            let act = format_args!("encode job `{}` ({})", J::NAME, type_name::<J>());
            Error::codec(act, cause)
        })
    }

    /// As [`draft`](Self::draft). `known` are bytes that were decoded as a `J` before.
    pub(crate) fn encode(self, known: &[u8]) -> Result<Draft, String> {
        if !is_name(J::NAME) {
            return Err("its `NAME` must be 1 to 128 bytes: no start could register it".into());
        }
        let payload = payload::encode(J::CODEC, &self.job, known)?;
        let digest = self
            .key
            .as_ref()
            .map(|_| digest::of_job(&self.job, &payload));
        Ok(Draft {
            name: J::NAME.into(),
            aliases: J::ALIASES,
            digest: digest.transpose()?,
            sent: None,
            key_retention_ms: self
                .key_retention
                .map(retry::millis)
                .or(J::POLICY.key_retention_ms),
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

/// What can be queued: a job, or a [`NewJob`] with its options.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job",
    note = "implement `jobkeep::Job` for it: a `NAME`, an `Output`, and serde's `Serialize` and `Deserialize`"
)]
pub trait IntoNewJob {
    /// The job's type.
    type Job: Job;

    /// The job with its options.
    fn into_new_job(self) -> NewJob<Self::Job>;
}

impl<J: Job> IntoNewJob for J {
    type Job = J;

    fn into_new_job(self) -> NewJob<J> {
        NewJob::new(self)
    }
}

impl<J: Job> IntoNewJob for NewJob<J> {
    type Job = J;

    fn into_new_job(self) -> Self {
        self
    }
}

impl<J: Job> From<J> for NewJob<J> {
    fn from(job: J) -> Self {
        Self::new(job)
    }
}

/// A job as it travels to whoever accepts it: its name, its payload encoded, its options settled.
/// `Debug` counts the bytes of the payload.
#[derive(Clone)]
pub struct Draft {
    pub(crate) name: Cow<'static, str>,
    /// The names that its type had before.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) codec: Codec,
    pub(crate) payload: Vec<u8>,
    pub(crate) queue: Cow<'static, str>,
    pub(crate) priority: Priority,
    pub(crate) start: Start,
    pub(crate) key: Option<String>,
    /// Of the payload, where there is a key.
    digest: Option<u128>,
    /// Of the payload as it came from another process.
    sent: Option<u128>,
    pub(crate) key_retention_ms: Option<u64>,
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

    /// The draft of a job that came from another process like this.
    #[cfg(feature = "http-server")]
    pub(crate) fn sent_as(mut self, sent: &str) -> Self {
        self.sent = Some(digest::of_bytes(sent.as_bytes()));
        self
    }

    /// What tells whether another job of its key is the same.
    pub(crate) fn sameness(&self) -> Sameness {
        let of_bytes = || digest::of_bytes(&self.payload);
        Sameness {
            payload: self.digest.unwrap_or_else(of_bytes),
            sent: self.sent,
        }
    }
}

/// Without the job, whose value may be about people.
impl<J: Job> fmt::Debug for NewJob<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewJob")
            .field("name", &J::NAME)
            .field("queue", &self.queue)
            .field("priority", &self.priority)
            .field("start", &self.start)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("name", &self.name)
            .field("payload", &ByteCount::of(&self.payload))
            .field("queue", &self.queue)
            .field("priority", &self.priority)
            .field("start", &self.start)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
