use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ByteCount, JobNumber, OpeningTag, QueueName, StoreId, Timestamp, Token};

/// A job as stored: everything about it but its number, which is its key.
///
/// The fields up to `name` are those of [`Place`], in the same order: opening a store decodes no
/// more than these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Where the job stands. A job in flight is stored as it stood before its claim.
    pub state: State,
    /// The queue that it waits in.
    pub queue: QueueName,
    /// Its priority in that queue.
    pub priority: Priority,
    /// Its place among jobs of the same priority: when it was accepted, or becomes due, by the steady
    /// clock: see [`Clocks`].
    pub order: Timestamp,
    /// The stable name of the job type.
    pub name: String,
    /// How payload and output are encoded.
    pub codec: PayloadCodec,
    /// The job's value, encoded: as it was queued, or as the last ended attempt or its last checkpoint
    /// left it.
    pub payload: Kept,
    /// What the job returned, encoded. Present on a success only.
    pub output: Option<Kept>,
    /// When it was accepted.
    pub created: Timestamp,
    /// When it reached its final state.
    pub finished: Option<Timestamp>,
    /// How many attempts it may have. The last one's error is final.
    pub max_attempts: u32,
    /// How long it waits between attempts.
    pub backoff: Backoff,
    /// How long an attempt may take, in milliseconds: zero is as long as it likes, and with `None` the job's
    /// queue says it.
    pub timeout_ms: Option<u64>,
    /// The attempts that ended by the job's own doing. Interruptions and snoozes are not among them.
    pub attempts: u32,
    /// How often the process died or shut down while the job was in flight.
    pub interruptions: u32,
    /// At how many unclean ends in a row the job had begun shortly before.
    pub unclean_ends: u32,
    /// How often the job put itself off.
    pub snoozes: u32,
    /// Somebody asked to cancel the job while it ran.
    pub cancel_requested: bool,
    /// The idempotency key, where the job has one.
    pub key: Option<String>,
    /// How earlier attempts ended: the newest first, the oldest dropped.
    pub history: Vec<Attempt>,
    /// Until when, by the steady clock, another host may still run its last attempt, if it was sent to one
    /// and nobody knows what became of it.
    pub lost_until: Option<Timestamp>,
}

/// The front of a [`JobRecord`]: what the schedule needs of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Place<'a> {
    /// Where the job stands.
    pub state: State,
    /// The queue that it waits in.
    pub queue: &'a str,
    /// Its priority in that queue.
    pub priority: Priority,
    /// Its place among jobs of the same priority.
    pub order: Timestamp,
    /// The stable name of the job type.
    pub name: &'a str,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum State {
    /// Not due yet: delayed, snoozed, or between two attempts.
    Scheduled {
        /// When it becomes ready.
        due: Timestamp,
        /// What `due` was counted by.
        by: Due,
    },
    /// Waits for a worker.
    Ready,
    /// Claimed for an attempt. Never stored: the claim stands in [`InFlight`].
    Running,
    /// Set aside because it cannot run here. Starting again with what it lacks brings it back.
    Parked(ParkReason),
    /// Final: an attempt succeeded.
    Succeeded,
    /// Final: it failed for good.
    Failed(FailureKind),
    /// Final: somebody cancelled it, or it cancelled itself.
    Cancelled,
}

impl State {
    /// The state without its data.
    pub fn kind(&self) -> StateKind {
        match self {
            Self::Scheduled { .. } => StateKind::Scheduled,
            Self::Ready => StateKind::Ready,
            Self::Running => StateKind::Running,
            Self::Parked(_) => StateKind::Parked,
            Self::Succeeded => StateKind::Succeeded,
            Self::Failed(_) => StateKind::Failed,
            Self::Cancelled => StateKind::Cancelled,
        }
    }
}

/// A [`State`] without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StateKind {
    /// Not due yet.
    Scheduled,
    /// Waits for a worker.
    Ready,
    /// Claimed for an attempt.
    Running,
    /// Set aside because it cannot run here.
    Parked,
    /// Final: succeeded.
    Succeeded,
    /// Final: failed.
    Failed,
    /// Final: cancelled.
    Cancelled,
}

impl StateKind {
    /// The state is final: the job has left *live* for *done*.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The state as one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Parked => "parked",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a due time was counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Due {
    /// The wall clock: the moment itself was asked for.
    Wall,
    /// A span from the moment of writing, by the steady clock: see [`Clocks`].
    Delay,
}

/// Why a job cannot run here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ParkReason {
    /// No handler is registered under the job's name. Derived at each start, not stored.
    UnknownName,
    /// The job's queue is not declared. Derived at each start, not stored.
    UnknownQueue,
    /// The payload does not decode to the registered type; the message of its decoder.
    Undecodable(String),
    /// The store could not read the job; the message of the store. Not stored.
    Unreadable(String),
    /// The process died shortly after it had begun, so many times in a row; the last times it had been held
    /// back until the process had lived for a while.
    Crashing(u32),
}

impl fmt::Display for ParkReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownName => f.write_str("no handler is registered under its name"),
            Self::UnknownQueue => f.write_str("its queue is not declared"),
            Self::Undecodable(cause) => write!(f, "its payload does not decode: {cause}"),
            Self::Unreadable(cause) => write!(f, "the store could not read it: {cause}"),
            Self::Crashing(times) => {
                write!(f, "the process died beside it {times} times in a row")
            }
        }
    }
}

/// Why a job failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FailureKind {
    /// Its last attempt ended with an error.
    Error,
    /// An attempt ended with an error that the job called permanent.
    Permanent,
    /// Its last attempt panicked.
    Panicked,
    /// Its last attempt ran longer than its time-out.
    TimedOut,
    /// Nobody knows how its last attempt ended, which another host may have run.
    Unknown,
}

/// The priority of a job within its queue.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// After everything else.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before normal jobs.
    High,
    /// Before everything else.
    Urgent,
}

impl Priority {
    /// The priority as one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a payload is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PayloadCodec {
    /// JSON: can be read, searched, sent from any language. A type may gain a field while jobs of it
    /// wait: with `#[serde(default)]`, or an `Option`.
    ///
    /// It takes everything that serde's attributes make, but no NaN and no infinity, nothing nested
    /// deeper than 127 levels, no key of a map that is no text or number, and no 128-bit number within
    /// a tagged, untagged or flattened type. It does not tell `Some(None)` from `None`, nor an
    /// `Option<f64>` of NaN.
    #[default]
    Json,
    /// bincode 2: compact, and as rigid as the type. While jobs of a type are kept, append nothing to
    /// it, remove nothing, change nothing: neither an order, nor the name of a field or variant (its
    /// aliases count), nor the kind of a number; `#[serde(default)]` does not help. Each value's bytes
    /// carry a fingerprint of these, and a type that has changed does not read them. A variant may be
    /// added at the end, a type be renamed or wrapped in a newtype. Where a type evolves, take JSON.
    ///
    /// It takes every number, NaN included, but none of `skip_serializing_if`, `flatten`, `tag`,
    /// `untagged` and `serde_json::Value`, and nothing nested deeper than 128 levels.
    Bincode,
}

/// Bytes that belong to a record. [`Debug`](fmt::Debug) counts them: they are an application's, and may
/// be about people.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// Small enough to stand in the record.
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
    /// In a row of their own, under the job's number; their length in bytes.
    Apart(u32),
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.debug_tuple("Inline"),
            Self::Apart(_) => f.debug_tuple("Apart"),
        }
        .field(&ByteCount(self.length()))
        .finish()
    }
}

impl Kept {
    /// How many bytes there are.
    pub fn length(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Apart(length) => usize::try_from(*length).unwrap_or(usize::MAX),
        }
    }

    /// Up to this many bytes stand in the record.
    pub const INLINE_BYTES: usize = 512;

    /// The bytes have a row of their own.
    pub fn is_apart(&self) -> bool {
        matches!(self, Self::Apart(_))
    }
}

/// Exponential backoff: after the n-th attempt a job waits a random part of
/// `min(base * 2^(n-1), cap)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The longest wait after the first attempt, in milliseconds.
    pub base_ms: u64,
    /// The longest wait after any attempt, in milliseconds.
    pub cap_ms: u64,
}

/// One attempt that has ended. `Debug` counts the lines of its log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which attempt of the job it was, from 1. An interrupted or snoozed attempt is repeated under
    /// its number.
    pub number: u32,
    /// When it began; for an interruption, the last commit that listed the job in flight.
    pub started: Timestamp,
    /// When it ended; for an interruption, the opening that found it.
    pub ended: Timestamp,
    /// The name of the worker's thread; empty for an interruption.
    pub thread: String,
    /// How it ended.
    pub end: AttemptEnd,
    /// The lines that the job logged.
    pub log: Vec<String>,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("number", &self.number)
            .field("started", &self.started)
            .field("ended", &self.ended)
            .field("thread", &self.thread)
            .field("end", &self.end)
            .field("log", &format_args!("{} lines", self.log.len()))
            .finish()
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AttemptEnd {
    /// The job returned its output.
    Succeeded,
    /// The job returned an error: its text, then those of its sources.
    Error(Vec<String>),
    /// The job returned an error that it called permanent.
    Permanent(Vec<String>),
    /// The job panicked.
    Panicked {
        /// What it said.
        message: String,
        /// The file, line and column, where they are known.
        location: String,
    },
    /// The job put itself off, until then.
    Snoozed(Timestamp),
    /// The job was cancelled: its reason, then the reason's sources.
    Cancelled(Vec<String>),
    /// The process died or shut down while the job was in flight.
    Interrupted {
        /// A worker is known to have begun it; else it may have.
        begun: bool,
    },
    /// The payload did not decode: the decoder's message.
    Undecodable(String),
    /// The job ran longer than so many milliseconds, its time-out.
    TimedOut(u64),
    /// The job was sent to another host, and nobody knows what became of it there: why.
    Unknown(String),
    /// The job was to be sent to another host, and was not begun there: why. Of several such ends in
    /// a row the last is kept, with the beginning of the first.
    NotStarted(String),
}

/// Which opening may write, and its last commit. The store keeps it and checks it: see
/// [`admit`](crate::admit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The store's name.
    pub store: StoreId,
    /// The newest opening.
    pub opening: OpeningTag,
    /// How many commits the store has had.
    pub commit: u64,
}

/// One opening, under the first job number that it could give. An opening that accepted nothing is
/// overwritten by the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Its tag, as it stands in the receipts of its jobs.
    pub tag: OpeningTag,
    /// When it was written.
    pub at: Timestamp,
}

/// The jobs in flight as of the last commit that changed them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// The opening that claimed them.
    pub opening: OpeningTag,
    /// When this was written.
    pub at: Timestamp,
    /// The jobs, by number.
    pub jobs: Vec<Listed>,
}

/// One job in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The job.
    pub number: JobNumber,
    /// The sequence of its [`Token`].
    pub sequence: u64,
    /// A worker is known to have taken it; else it may have.
    pub taken: bool,
    /// It had run for longer than its probation: it is not to blame for an end of the process.
    pub lasting: bool,
    /// It had been held back before it began, because it is suspected of having ended a process.
    pub suspect: bool,
}

/// An opening whose end in order began while jobs still ran: they did not end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The opening.
    pub opening: OpeningTag,
}

impl InFlight {
    /// The token of one of its jobs.
    pub fn token(&self, listed: &Listed) -> Token {
        Token {
            opening: self.opening,
            sequence: listed.sequence,
        }
    }
}

/// What is counted in the store so that nobody need scan it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The first number that no written job has, nor any after it.
    pub next_number: u64,
    /// Jobs in *done* that succeeded.
    pub succeeded: u64,
    /// Jobs in *done* that failed.
    pub failed: u64,
    /// Jobs in *done* that were cancelled.
    pub cancelled: u64,
    /// Rows set aside as damaged.
    pub damaged: u64,
    /// How many jobs ever reached a final state: the sequence that numbers the expiring rows.
    pub ended: u64,
}

/// What the two clocks of a store showed at the same moment, not long before the last commit.
///
/// Delays and ages are counted by the store's steady clock. It goes on with the time that passes while a
/// manager has the store, wherever the wall clock is set meanwhile; and between two managers with the wall
/// clock, but never back. So the numbers of both clocks may be far apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// The wall clock.
    pub wall: Timestamp,
    /// The steady clock.
    pub steady: Timestamp,
}

/// The queues whose jobs are not to start, declared or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Their names, in order.
    pub queues: Vec<QueueName>,
}

/// What a store signs with, by chance. Nothing shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The key of the receipts' signatures.
    pub receipts: [u8; 32],
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// All idempotency keys of one hash: nearly always one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueRow {
    /// The keys.
    pub entries: Vec<UniqueEntry>,
}

/// One idempotency key and its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueEntry {
    /// The job type that the key belongs to.
    pub name: String,
    /// The key.
    pub key: String,
    /// The job that holds it.
    pub job: JobNumber,
    /// A hash of the payload that the job was queued with.
    pub payload_hash: u128,
    /// When the job ended, by the steady clock; it holds the key for a while longer.
    pub ended: Option<Timestamp>,
    /// A hash of the payload as it was sent, if it came from another process.
    pub sent_hash: Option<u128>,
    /// How long the job holds the key after its end, in milliseconds, if that is less than the manager
    /// says for all keys.
    pub retention_ms: Option<u64>,
}

/// Up to [`Expiring::MOST`] jobs that one commit brought to a final state, under the sequence of the
/// first: what retention deletes, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiring {
    /// When they ended, by the steady clock: see [`Clocks`].
    pub at: Timestamp,
    /// The jobs.
    pub jobs: Vec<Ended>,
}

impl Expiring {
    /// So many entries at most stand in one row, so that retention works in small commits.
    pub const MOST: usize = 256;
}

/// One finished job, as retention needs it: deleting it reads nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The job.
    pub number: JobNumber,
    /// It has a row in *bodies*.
    pub body: bool,
    /// It has a row in *outputs*.
    pub output: bool,
    /// It was cancelled, not failed. Successes stand in a space of their own.
    pub cancelled: bool,
}

/// Up to [`Expiring::MOST`] idempotency keys whose jobs one commit brought to a final state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiringKeys {
    /// When they ended, by the steady clock: see [`Clocks`].
    pub at: Timestamp,
    /// The number of the key's row in *unique*, and the job that holds it.
    pub keys: Vec<(u64, JobNumber)>,
}

/// How many entries of a job in the expiring spaces no longer speak of a row in *done*, because the
/// job was retried or removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Entries among the successes.
    pub successes: u32,
    /// Entries among the failures.
    pub failures: u32,
}

/// A row that failed its checksum, set aside as it was found. `Debug` counts its bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// When it was found.
    pub at: Timestamp,
    /// What was wrong with it.
    pub reason: String,
    /// The row.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Damaged")
            .field("at", &self.at)
            .field("reason", &self.reason)
            .field("bytes", &ByteCount::of(&self.bytes))
            .finish()
    }
}
