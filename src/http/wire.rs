//! What travels: JSON, apart from what is stored, so that neither binds the other.
//!
//! Names are `snake_case`, moments are milliseconds since 1970 (`_ms`), and a field that says nothing
//! is left out. Requests with fields that nobody knows are refused, so that a misspelt option is no
//! silent default; answers may gain fields.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{Durability, Priority};

/// What comes as an object and as nothing else: serde would also take the fields in their order, as a list.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<fn() -> T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// A job to be created.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewJob {
    /// The name of its type.
    pub(super) name: String,
    /// Its value, as JSON. This or `bincode`.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "given"
    )]
    pub(super) payload: Option<Box<RawValue>>,
    /// Its value in the type's own encoding, as base64: for types whose codec is bincode, as another
    /// jobkeep makes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) bincode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) priority: Option<Priority>,
    /// Not before so many milliseconds have passed. This or `run_at_ms`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) delay_ms: Option<u64>,
    /// Not before this moment of the host's clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) run_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) max_attempts: Option<u32>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "backoff"
    )]
    pub(super) backoff: Option<Backoff>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) timeout_ms: Option<u64>,
    /// The idempotency key: of this job type, on the host that gets the request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) key: Option<String>,
    /// How long the key is held after the job's end, where that is less than the host says for all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) key_retention_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) durability: Option<Durability>,
}

/// `null` is a value like others: that of a unit.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(value).map(Some)
}

fn backoff<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Backoff>, D::Error> {
    let object = Option::deserialize(value)?;
    Ok(object.map(|Object(backoff)| backoff))
}

/// How far apart attempts are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backoff {
    pub(super) base_ms: u64,
    pub(super) cap_ms: u64,
}

/// Jobs to be created, all or none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    #[serde(deserialize_with = "objects")]
    pub(super) jobs: Vec<NewJob>,
}

fn objects<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<NewJob>, D::Error> {
    let jobs = Vec::<Object<NewJob>>::deserialize(value)?;
    Ok(jobs.into_iter().map(|Object(job)| job).collect())
}

/// What a job is to carry instead of its payload.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Amendment {
    /// Its value, as JSON. This or `bincode`.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "given"
    )]
    pub(super) payload: Option<Box<RawValue>>,
    /// Its value in the type's own encoding, as base64.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) bincode: Option<String>,
}

/// A job that was accepted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Accepted {
    pub(super) receipt: String,
    pub(super) server: String,
    pub(super) number: u64,
    /// What the acceptance survives.
    pub(super) durability: Durability,
    /// Where the job stands that was there already, under its key: a state, `gone` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) existing: Option<String>,
}

/// Jobs that were accepted, in the order of the request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AcceptedAll {
    pub(super) jobs: Vec<Accepted>,
}

/// A job, wherever it stands.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) receipt: String,
    pub(super) server: String,
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) queue: String,
    pub(super) priority: Priority,
    pub(super) state: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) parked: Option<Parked>,
    pub(super) created_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) due_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) finished_ms: Option<u64>,
    pub(super) attempts: u32,
    pub(super) interruptions: u32,
    #[serde(skip_serializing_if = "is_false", default)]
    pub(super) cancel_requested: bool,
    /// Absent in a listing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) options: Option<Options>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) progress: Option<Progress>,
    /// Lines of the attempt that runs; those of ended attempts stand in `history`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) log: Vec<String>,
    /// Ended attempts, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) history: Vec<Attempt>,
    /// The value as it was left. With the fields below, only of a finished job.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "given"
    )]
    pub(super) payload: Option<Box<RawValue>>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "given"
    )]
    pub(super) output: Option<Box<RawValue>>,
    /// Of a type whose codec is bincode: the bytes, as base64.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) bincode: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) failure: Option<Failure>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What was asked for it, and how often it put itself off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Options {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) key: Option<String>,
    pub(super) max_attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) timeout_ms: Option<u64>,
    pub(super) snoozes: u32,
    /// Of the payload, encoded.
    pub(super) payload_bytes: u32,
}

/// Why a job cannot run where it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Parked {
    /// `unknown_name`, `unknown_queue`, `undecodable`, `unreadable` or `crashing`.
    pub(super) reason: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) message: Option<String>,
    /// For `crashing`, how often in a row the process died beside it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) times: Option<u32>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) total: u64,
}

/// Payload and output in the type's own encoding.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bytes {
    pub(super) payload: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) output: Option<String>,
}

/// How a job failed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    /// `error`, `permanent`, `panicked`, `timed_out`, `cancelled` or `unknown`.
    pub(super) reason: String,
    pub(super) message: String,
}

/// An attempt that has ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) started_ms: u64,
    pub(super) ended_ms: u64,
    pub(super) end: End,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) log: Vec<String>,
}

/// How an attempt ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum End {
    Succeeded,
    /// The error's text, then those of its sources.
    Error {
        messages: Vec<String>,
    },
    Permanent {
        messages: Vec<String>,
    },
    Panicked {
        message: String,
        location: String,
    },
    Snoozed {
        until_ms: u64,
    },
    Cancelled {
        messages: Vec<String>,
    },
    Interrupted {
        begun: bool,
    },
    Undecodable {
        message: String,
    },
    TimedOut {
        after_ms: u64,
    },
    /// Sent to another host, and nobody knows what became of it.
    Unknown {
        message: String,
    },
    /// To be sent to another host, and not begun there.
    NotStarted {
        message: String,
    },
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

/// Some jobs of one state.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) jobs: Vec<Job>,
    /// What to give as `after` for the next page; absent where everything was looked at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) next: Option<u64>,
    /// Numbers of jobs whose rows do not check out.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) damaged: Vec<u64>,
}

/// Whether the host takes requests.
#[cfg(feature = "http-server")]
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Health {
    pub(super) server: String,
    /// The process answers.
    pub(super) live: bool,
    /// New jobs are accepted: send them here.
    pub(super) ready: bool,
    /// `working`, `refusing`, `stalled`, `poisoned` or `shutting_down`.
    pub(super) state: String,
    /// Since when, where it is not working.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) since_ms: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) reasons: Vec<String>,
}

/// How many jobs stand where.
#[cfg(feature = "http-server")]
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stats {
    pub(super) server: String,
    pub(super) scheduled: u64,
    pub(super) ready: u64,
    pub(super) running: u64,
    pub(super) parked: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) damaged: u64,
    /// Threads that still run a job whose attempt is over.
    pub(super) stuck: u64,
    pub(super) paused: Vec<String>,
}

/// One attempt of a job of another host, to be run here and now.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Execute {
    /// The store that has the job, as 32 hexadecimal digits.
    pub(super) store: String,
    /// Its number there.
    pub(super) job: u64,
    /// The claim of this attempt, for logs: another one for each. The tag of the store's opening, as 16
    /// hexadecimal digits, `-` and a number.
    pub(super) token: String,
    pub(super) name: String,
    /// Its value, as JSON. This or `bincode`.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "given"
    )]
    pub(super) payload: Option<Box<RawValue>>,
    /// Its value in the type's own encoding, as base64.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) bincode: Option<String>,
    /// From 1.
    pub(super) attempt: u32,
    /// In how many milliseconds it is to be answered: 24 hours at most.
    pub(super) deadline_ms: u64,
}

/// A job as an executor left it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Executed {
    /// Its value, in the encoding in which it was sent; absent where it stays as it was.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "given"
    )]
    pub(super) payload: Option<Box<RawValue>>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "given"
    )]
    pub(super) output: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) bincode: Option<Left>,
    pub(super) end: Ran,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) log: Vec<String>,
}

/// Payload and output in the type's own encoding, as far as there are any.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Left {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) output: Option<String>,
}

/// How an attempt ended on an executor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Ran {
    Succeeded,
    Error {
        messages: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        retry_after_ms: Option<u64>,
    },
    Permanent {
        messages: Vec<String>,
    },
    Panicked {
        message: String,
        location: String,
    },
    TimedOut {
        after_ms: u64,
    },
    Cancelled {
        messages: Vec<String>,
    },
    Snoozed {
        for_ms: u64,
    },
    Undecodable {
        message: String,
    },
}
