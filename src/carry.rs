//! Jobs that another host runs: what a queue in push mode asks of whoever carries them there, and what
//! comes back.

#![cfg_attr(
    not(all(feature = "testing", feature = "http")),
    allow(
        dead_code,
        unreachable_pub,
        reason = "only the remote protocol and tests call it"
    )
)]

use std::fmt;
use std::time::Duration;

use jobkeep_store::{ByteCount, JobNumber, StoreId, Token};

use crate::retry::millis;
use crate::sync::Arc;
use crate::{Codec, Queue};

/// Carries jobs to an executor.
pub trait Carry: fmt::Debug + Send + Sync {
    /// Carries one attempt to an executor and brings back what became of it. Called on a thread of the
    /// queue's own, which does nothing else meanwhile, and by many of them at once.
    ///
    /// It must return by the call's deadline, or a little later: [`RETURN_GRACE`] after it the attempt
    /// is given up as unknown. Where anything may have reached an executor and no answer came back,
    /// that is [`Carried::Unknown`]; a panic counts as that too.
    fn carry(&self, call: &Call<'_>) -> Carried;
}

/// One attempt of a job, to be run elsewhere. `Debug` counts the bytes of its payload.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The store that has the job: executors tell jobs of the same number apart by it.
    pub store: StoreId,
    /// The job's number.
    pub job: JobNumber,
    /// The claim of this attempt: another one for each.
    pub token: Token,
    /// The stable name of the job's type.
    pub name: &'a str,
    /// How payload and output are encoded.
    pub codec: Codec,
    /// The job's value.
    pub payload: &'a [u8],
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// In how many milliseconds from now it is to end: 24 hours at most.
    pub deadline_ms: u64,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// No executor has begun it, and none will: it was refused, or nobody was reached.
    NotStarted {
        /// Whether the next job would meet with the same.
        refusal: Refusal,
        /// When to try again at the earliest, where somebody said so. More than a day counts as a day.
        retry_after: Option<Duration>,
        /// Why.
        why: String,
    },
    /// An executor ran it.
    Answered(Answer),
    /// It was sent, and the answer was lost.
    Unknown {
        /// Why.
        why: String,
    },
}

/// How much a refusal speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Any job: nobody was reached, or the executor is full or ends. The queue rests.
    OfAll,
    /// This job: its type is not known there, or it runs there still.
    OfThisJob,
}

/// A job as an executor left it. `Debug` counts its bytes and its lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its value, encoded. `None` leaves it as it was sent.
    pub left: Option<Vec<u8>>,
    /// How its attempt ended.
    pub end: End,
    /// The lines that it logged.
    pub log: Vec<String>,
}

/// How an attempt ended elsewhere. `Debug` counts the bytes of its output.
#[derive(Clone, PartialEq, Eq)]
pub enum End {
    /// It returned this output.
    Succeeded(Vec<u8>),
    /// It returned an error: its text, then those of its sources.
    Failed {
        /// The texts.
        chain: Vec<String>,
        /// The wait before the next attempt, where the job asked for one.
        retry_after: Option<Duration>,
    },
    /// It returned an error that it called permanent.
    Permanent(Vec<String>),
    /// It panicked.
    Panicked {
        /// What it said.
        message: String,
        /// File, line and column, where they are known.
        location: String,
    },
    /// It ran longer than so many milliseconds.
    TimedOut(u64),
    /// It cancelled itself: its reason, then the reason's sources.
    Cancelled(Vec<String>),
    /// It put itself off by so long.
    Snoozed(Duration),
    /// The payload does not decode to the type that the executor knows: the decoder's message. Nothing has
    /// run, and the job is put off like one whose type is not known there.
    Undecodable(String),
}

/// A job of another store, to be run here. `Debug` counts the bytes of its payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The store that has the job.
    pub store: StoreId,
    /// The job's number there.
    pub job: JobNumber,
    /// The stable name of the job's type.
    pub name: String,
    /// How payload and output are encoded.
    pub codec: Codec,
    /// The job's value.
    pub payload: Vec<u8>,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// In how many milliseconds from now it is to be answered.
    pub deadline_ms: u64,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("store", &self.store)
            .field("job", &self.job)
            .field("token", &self.token)
            .field("name", &self.name)
            .field("codec", &self.codec)
            .field("payload", &ByteCount::of(self.payload))
            .field("attempt", &self.attempt)
            .field("deadline_ms", &self.deadline_ms)
            .finish()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("left", &self.left.as_deref().map(ByteCount::of))
            .field("end", &self.end)
            .field("log", &format_args!("{} lines", self.log.len()))
            .finish()
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded(output) => f
                .debug_tuple("Succeeded")
                .field(&ByteCount::of(output))
                .finish(),
            Self::Failed { chain, retry_after } => f
                .debug_struct("Failed")
                .field("chain", chain)
                .field("retry_after", retry_after)
                .finish(),
            Self::Permanent(chain) => f.debug_tuple("Permanent").field(chain).finish(),
            Self::Panicked { message, location } => f
                .debug_struct("Panicked")
                .field("message", message)
                .field("location", location)
                .finish(),
            Self::TimedOut(ms) => f.debug_tuple("TimedOut").field(ms).finish(),
            Self::Cancelled(chain) => f.debug_tuple("Cancelled").field(chain).finish(),
            Self::Snoozed(span) => f.debug_tuple("Snoozed").field(span).finish(),
            Self::Undecodable(message) => f.debug_tuple("Undecodable").field(message).finish(),
        }
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreign")
            .field("store", &self.store)
            .field("job", &self.job)
            .field("name", &self.name)
            .field("codec", &self.codec)
            .field("payload", &ByteCount::of(&self.payload))
            .field("attempt", &self.attempt)
            .field("deadline_ms", &self.deadline_ms)
            .finish()
    }
}

/// Why an executor did not begin a job. Nothing of it ran, and nothing will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The host runs jobs of its own store only.
    NoExecutors,
    /// Every executor has a job.
    Full {
        /// How long to wait at least.
        retry_after: Duration,
    },
    /// The same job of the same store runs here: it was sent twice, or the thread of its last attempt
    /// has not returned.
    Busy,
    /// No handler is registered here under the job's name.
    UnknownName,
    /// The host shuts down.
    ShutDown,
}

impl Refused {
    /// How much it speaks of.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::NoExecutors | Self::Full { .. } | Self::ShutDown => Refusal::OfAll,
            Self::Busy | Self::UnknownName => Refusal::OfThisJob,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoExecutors => "the host has no executors, and runs jobs of its own only",
            Self::Full { .. } => "every executor of the host has a job",
            Self::Busy => "the job still runs there",
            Self::UnknownName => "no handler is registered there under the job's name",
            Self::ShutDown => "the host shuts down",
        })
    }
}

/// What becomes of a job of which nobody knows whether it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnknown {
    /// It is tried again like after an error, but not before the lost call's deadline: it may run twice.
    #[default]
    Retry,
    /// It fails for good: it runs once at most, and somebody has to look.
    Fail,
}

/// How long a pushed attempt may take where neither the job nor its queue has a time-out: a call needs
/// one, so that it is known when nobody runs the job any more.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The longest that a pushed attempt may take, whatever is asked for. Executors refuse longer deadlines, so
/// that no thread of theirs, and no connection, is taken for good.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How much longer than its deadline a carrier may take to say what it knows.
pub const RETURN_GRACE: Duration = Duration::from_secs(5);

/// How many jobs of a queue in push mode are in flight at once, by default.
pub(crate) const IN_FLIGHT: usize = 64;

/// How long a pushed attempt may take, where job and queue ask for so much. Whoever waits for the end of
/// one counts by this: the call, the attempt, and the opening of a store with calls in flight.
pub(crate) fn timeout_ms(asked: Option<u64>) -> u64 {
    let asked = asked.filter(|ms| *ms > 0);
    asked.unwrap_or(millis(TIMEOUT)).min(millis(LONGEST))
}

/// What a queue in push mode is told.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) carrier: Arc<dyn Carry>,
}

impl Queue {
    /// Has another host run the queue's jobs: its workers carry them there, whatever their names, and
    /// run none of them here. They are threads of this queue alone, which sleep as long as a call takes:
    /// 64 by default, and [`workers`](Self::workers) sets how many calls are in flight at once.
    ///
    /// A call that no executor has begun spends no attempt. Its job comes again after 1 second, then 2,
    /// 4 and so on up to 60, half of each drawn, or later where the executor says so; as long the queue
    /// rests, unless its calls are answered, each of which makes up for four refusals.
    ///
    /// The executor's attempt has no checkpoints, follows up with no jobs, and shows no progress here; a
    /// request to cancel it is kept and does not reach it. Its time-out is the job's or the queue's, a
    /// minute where these have none, and 24 hours at most.
    pub(crate) fn push_through(mut self, carrier: Arc<dyn Carry>) -> Self {
        self.push = Some(Push { carrier });
        self
    }

    /// A fault that the start is to tell.
    #[cfg(feature = "http-client")]
    pub(crate) fn faulty(mut self, why: String) -> Self {
        self.fault = Some(why);
        self
    }

    /// What becomes of a job whose call was lost, so that nobody knows whether it ran:
    /// [`OnUnknown::Retry`] by default.
    pub fn on_unknown(mut self, policy: OnUnknown) -> Self {
        self.on_unknown = policy;
        self
    }

    /// Where its jobs run on other hosts: the time-out of its own.
    pub(crate) fn push_timeout_ms(&self) -> Option<u64> {
        self.push.as_ref()?;
        Some(timeout_ms(self.timeout.map(millis)))
    }
}
