use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Codec, Context, Enqueue, Error, Policy, Receipt};

/// A job type: a value that can be queued, with the stable name under which it is stored.
///
/// The value is what travels: it is encoded when the job is queued, decoded for each attempt, and
/// comes back with the finished job as [`run`](Run::run) left it. A value that does not come back from
/// its encoding is refused when it is queued; that it comes back as the same value is up to the type, and
/// `testing::assert_travels` tells. What each encoding takes, and how a type may change while jobs of it
/// wait, stands at [`Codec`]. A process that only queues jobs
/// needs no more than this; to run them, implement [`Run`] or give the builder a
/// [`handle`](crate::Builder::handle)r.
///
/// ```
/// use jobkeep::{Context, Job, JobError, Run};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Greet { name: String }
///
/// impl Job for Greet {
///     const NAME: &'static str = "greet";
///     type Output = String;
/// }
///
/// impl Run for Greet {
///     fn run(&mut self, _ctx: &Context) -> Result<String, JobError> {
///         Ok(format!("Hello, {}!", self.name))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job",
    note = "implement `jobkeep::Job` for it: a `NAME`, an `Output`, and serde's `Serialize` and `Deserialize`"
)]
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// The name under which jobs of this type are stored. It must stay the same as long as one of
    /// them is kept; the type itself may be renamed and moved.
    const NAME: &'static str;

    /// Names that this type was stored under before. Jobs stored under one of them run as this type, and
    /// hold their [idempotency keys](crate::NewJob::key) for it; a pool of a client or a permission of a
    /// host that names one of them means this type.
    const ALIASES: &'static [&'static str] = &[];

    /// How payload and output are encoded: JSON by default. Jobs that wait keep the encoding that they
    /// were queued with.
    const CODEC: Codec = Codec::Json;

    /// Attempts, backoff, queue and priority: see [`Policy::new`] for the defaults.
    const POLICY: Policy = Policy::new();

    /// Whether a job of this type may come over HTTP to a host that serves that, to be queued or to be run
    /// for another host: `true` by default. Where it is `false`, such a host has to allow it in so many words.
    const REMOTE: bool = true;

    /// What a successful run returns; `()` where nothing is. An attempt that returns what does not come
    /// back from its encoding fails, permanently.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Queues the job, as [`Enqueue::enqueue`](trait.Enqueue.html#method.enqueue) does: reads like
    /// the front end of the Zend Server Job Queue.
    ///
    /// # Durability
    /// As the receipt says, when this returns.
    ///
    /// # Errors
    /// As `enqueue`.
    fn execute(self, queue: &dyn Enqueue) -> Result<Receipt<Self>, Error>
    where
        Self: Sized,
    {
        queue.enqueue(self)
    }
}

/// A job type that runs itself: registered with [`Builder::register`](crate::Builder::register).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not run itself",
    note = "implement `jobkeep::Run` for it, or register it with `Builder::handle::<{Self}>(..)`"
)]
pub trait Run: Job {
    /// Does the work, on a worker's thread.
    ///
    /// At least once: an attempt that the process does not live to record is repeated. `self` is the
    /// value as the last ended attempt left it; what this attempt leaves in it is kept with the
    /// result, or handed to the next attempt after an error. After a panic or an interruption the
    /// next attempt starts from the last durable value: that one, or this attempt's last
    /// [checkpoint](Context::checkpoint).
    ///
    /// # Errors
    /// `?` on any error, or text, means: try again, by the policy. The constructors of [`JobError`] say
    /// anything else.
    fn run(&mut self, ctx: &Context) -> Result<Self::Output, JobError>;
}

type Cause = Box<dyn StdError + Send + Sync>;

/// How a run ends other than with its output.
///
/// Whatever converts into a `Box<dyn Error + Send + Sync>` becomes one by `?` or `into()`, and means:
/// try again, by the policy. So do any error, a `String` or `&str`, a boxed error, and `anyhow::Error`. It is
/// no `std::error::Error` itself, so that this conversion can exist.
///
/// ```
/// use jobkeep::JobError;
///
/// fn total(cents: &[&str]) -> Result<u64, JobError> {
///     let cents: Vec<u64> = cents.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
///     let total = cents.iter().try_fold(0_u64, |sum, cents| sum.checked_add(*cents));
///     total.ok_or_else(|| "the total is too large".into())
/// }
/// assert!(total(&["1", "two"]).is_err());
/// ```
pub struct JobError {
    pub(crate) verdict: Verdict,
    pub(crate) cause: Option<Cause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Retry,
    RetryAfter(Duration),
    Permanent,
    Snooze(Duration),
    Cancel,
}

/// How many texts of an error's chain are kept.
pub(crate) const CHAIN: usize = 8;

impl JobError {
    /// An error or a text: tried again by the policy, and final when its attempts are spent.
    pub fn new(cause: impl Into<Cause>) -> Self {
        Self {
            verdict: Verdict::Retry,
            cause: Some(cause.into()),
        }
    }

    /// Final: no attempt after this one.
    #[doc(alias("discard"))]
    pub fn permanent(cause: impl Into<Cause>) -> Self {
        Self {
            verdict: Verdict::Permanent,
            cause: Some(cause.into()),
        }
    }

    /// Tried again after `delay` instead of the policy's backoff, and final when the attempts are
    /// spent.
    pub fn retry_after(delay: Duration, cause: impl Into<Cause>) -> Self {
        Self {
            verdict: Verdict::RetryAfter(delay),
            cause: Some(cause.into()),
        }
    }

    /// Not now: runs again after `delay`, without spending an attempt.
    #[doc(alias("defer"))]
    pub fn snooze(delay: Duration) -> Self {
        Self {
            verdict: Verdict::Snooze(delay),
            cause: None,
        }
    }

    /// Not any more: the job ends as cancelled.
    pub fn cancel(reason: impl Into<Cause>) -> Self {
        Self {
            verdict: Verdict::Cancel,
            cause: Some(reason.into()),
        }
    }

    /// The text of the cause, then those of its sources, as many as are kept: a chain may be a ring.
    /// Many an error ends its own text with its source's: that is not said again.
    pub(crate) fn chain(&self) -> Vec<String> {
        let first = self
            .cause
            .as_ref()
            .map(|cause| cause.as_ref() as &dyn StdError);
        let mut chain: Vec<String> = Vec::new();
        for error in std::iter::successors(first, |&error| error.source()).take(CHAIN) {
            let text = error.to_string();
            if chain.last().is_none_or(|before| !before.ends_with(&text)) {
                chain.push(text);
            }
        }
        chain
    }
}

impl<E: Into<Cause>> From<E> for JobError {
    fn from(cause: E) -> Self {
        Self::new(cause)
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.verdict, self.chain().join(": "))
    }
}

/// Says at the `?` how an error is to be taken.
///
/// ```
/// use jobkeep::{JobError, ResultExt};
///
/// fn width(text: &str) -> Result<u32, JobError> {
///     // Trying again will not make it a number.
///     text.parse::<u32>().permanent()
/// }
/// assert!(width("wide").is_err());
/// ```
pub trait ResultExt<T> {
    /// As [`JobError::permanent`].
    ///
    /// # Errors
    /// The error of `self`, made permanent.
    fn permanent(self) -> Result<T, JobError>;

    /// As [`JobError::retry_after`].
    ///
    /// # Errors
    /// The error of `self`, to be tried again after `delay`.
    fn retry_after(self, delay: Duration) -> Result<T, JobError>;
}

impl<T, E: Into<Cause>> ResultExt<T> for Result<T, E> {
    fn permanent(self) -> Result<T, JobError> {
        self.map_err(JobError::permanent)
    }

    fn retry_after(self, delay: Duration) -> Result<T, JobError> {
        self.map_err(|cause| JobError::retry_after(delay, cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error whose text may hold that of its source.
    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Layer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            self.1.as_deref().map(|source| source as _)
        }
    }

    fn chain(texts: &[&'static str]) -> Vec<String> {
        let wrap = |source, text: &&'static str| Some(Box::new(Layer(text, source)));
        let outer = texts.iter().rev().fold(None, wrap);
        outer.map_or_else(Vec::new, |outer| JobError::new(outer as Cause).chain())
    }

    #[test]
    fn a_source_that_the_text_ends_with_already_is_not_said_again() {
        assert_eq!(
            chain(&["send the mail", "refused"]),
            ["send the mail", "refused"]
        );
        let doubled = ["transient error (451): try later", "try later"];
        assert_eq!(chain(&doubled), ["transient error (451): try later"]);
        let nested = ["a: b: c", "b: c", "c"];
        assert_eq!(chain(&nested), ["a: b: c"]);
        let mixed = ["send the mail", "smtp: refused", "refused", "no such user"];
        assert_eq!(
            chain(&mixed),
            ["send the mail", "smtp: refused", "no such user"]
        );
    }
}
