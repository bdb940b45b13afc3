//! Embedded, synchronous, durable background jobs.
//!
//! An application opens a store, registers its job types, and gets a [`Manager`] that queues jobs
//! and runs them on thread pools inside the same process: no server, no async runtime, no polling.
//!
//! ```
//! use std::time::Duration;
//! use jobkeep::{Context, Job, JobError, Manager, MemoryStore, Queue, Run};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greet { name: String }
//!
//! impl Job for Greet {
//!     const NAME: &'static str = "greet";
//!     type Output = String;
//! }
//!
//! impl Run for Greet {
//!     fn run(&mut self, _ctx: &Context) -> Result<String, JobError> {
//!         Ok(format!("Hello, {}!", self.name))
//!     }
//! }
//!
//! let manager = Manager::builder(MemoryStore::new())      // or RedbStore::open("jobs.redb")?
//!     .register::<Greet>()
//!     .queue(Queue::new("default").workers(2))
//!     .start()?;
//!
//! let receipt = manager.enqueue(Greet { name: "Ada".into() })?;
//! let done = manager.wait(&receipt, Duration::from_secs(30))?;
//! assert_eq!(done.output()?, "Hello, Ada!");
//! manager.shutdown(Duration::from_secs(10))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! A job runs at least once; its state changes exactly once; nothing acknowledged is lost within the
//! durability level of its store.
//!
//! | store | `enqueue` returns after | a killed process loses | a power cut loses |
//! |---|---|---|---|
//! | `RedbStore` | the commit is synced | nothing accepted | nothing accepted |
//! | `SledStore` | its flush | nothing accepted | what the operating system had not written |
//! | [`MemoryStore`] | the job is in RAM | everything | everything |
//! | any, [`Buffered`](Durability::Buffered) | the manager has taken the job in | the last jobs accepted, those whose commit had not ended | the same, and what its store loses |
//!
//! # A job
//!
//! A [`Job`] is a value with a stable [`NAME`](Job::NAME): serde encodes it when it is queued, each attempt
//! decodes it, and it comes back with its output as [`run`](Run::run) left it. A type that is renamed lists
//! its old name in [`ALIASES`](Job::ALIASES). A field that is added needs `#[serde(default)]`, and JSON: a
//! type in [bincode](Codec::Bincode) stays as it is.
//!
//! A type runs itself ([`Run`], [`Builder::register`]), or by a handler that holds state of its own
//! ([`Builder::handle`]). [`Builder::resource`] gives all jobs what they share.
//!
//! [`Job::POLICY`] says once for the type how often and how far apart it is tried, and where it waits;
//! [`NewJob`] says it for one job, together with delays, moments and an idempotency key:
//!
//! ```
//! use std::time::Duration;
//! use jobkeep::{Job, Manager, MemoryStore, NewJob, Policy, Priority, Queue};
//! # use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Mail { to: String }
//!
//! impl Job for Mail {
//!     const NAME: &'static str = "mail";
//!     const POLICY: Policy = Policy::new().attempts(5).queue("mail");
//!     type Output = ();
//! }
//!
//! # fn send(_from: &str, _to: &str) -> Result<(), std::io::Error> { Ok(()) }
//! let from = String::from("noreply@example.org");
//! let manager = Manager::builder(MemoryStore::new())
//!     .queue(Queue::new("mail").workers(8))
//!     .handle::<Mail>(move |mail, _ctx| Ok(send(&from, &mail.to)?))    // an error is tried again
//!     .start()?;
//!
//! let to = || String::from("ada@example.org");
//! let welcome = NewJob::new(Mail { to: to() }).delay(Duration::from_secs(60)).key("welcome/42");
//! let receipt = manager.enqueue(welcome)?;
//! manager.enqueue(NewJob::new(Mail { to: to() }).priority(Priority::High))?;
//! manager.enqueue_all((0..3).map(|_| Mail { to: to() }))?;             // all or none, in one commit
//! manager.cancel(&receipt)?;
//! # Ok::<(), jobkeep::Error>(())
//! ```
//!
//! # Its attempts
//!
//! `?` in a job means *try again, by the policy*. [`JobError`] and [`ResultExt`] say anything else:
//! permanent, after so long, not now, not any more. A panic is an error with its place. A job can run more
//! than once, because a process that dies cannot record what it just did: make it harmless to repeat, or
//! give what it does to others the [job's number](Context::id) as a key.
//!
//! An attempt that outlasts its [time-out](Policy::timeout) has failed. A thread cannot be stopped from
//! outside, so another one stands in for it, and the next attempt waits until it has returned.
//!
//! The [`Context`] of an attempt takes progress and log lines, and says whether somebody
//! [cancelled](Context::is_cancelled) it. [`Context::checkpoint`] keeps the job's value on the way.
//! [`Context::enqueue`] queues jobs that follow, in the commit that records the success. A job that needs
//! its manager for more than that has it as a [`WeakManager`].
//!
//! # Its end
//!
//! [`Manager::wait`] waits for a job's end, and [`Manager::completed`] looks for it: both give the
//! [`Completed`] job, with its output or [`Failure`] and the history of its attempts.
//! [`Manager::status`] tells where any job stands. All take the [`Receipt`], whose short text fits a cookie
//! or a link. Nobody can make one up, and whoever has one may use it: what such a function answers, it
//! answers to everybody who was given the cookie or the link.
//!
//! ```
//! # use jobkeep::{Error, Job, Manager, Receipt};
//! fn is_done<J: Job>(manager: &Manager, cookie: &str) -> Result<bool, Error> {
//!     let receipt: Receipt<J> = cookie.parse()?;
//!     Ok(manager.completed(&receipt)?.is_some())
//! }
//! ```
//!
//! Finished jobs are kept for [`Builder::retention`]; [`Manager::retry`] runs one again, and a parked one too.
//!
//! # In an async program
//!
//! [`Manager::submit`] and [`Manager::finished`] return futures of nothing but std, which every
//! executor can drive. The page [`async_programs`] tells how, and what blocks.
//!
//! # Operating
//!
//! [`Builder`] has the table of all settings with their defaults. [`Manager::counts`] and
//! [`Manager::health`] may be asked each second, and an [`Observer`] hears what happens.
//! [`Manager::jobs`] lists jobs by their state; [`Manager::pause`] stops a queue and not the process;
//! [`Manager::shutdown`] says what became of the jobs that ran, and with the feature `signals` a manager
//! does it by itself when the process is told to end. What each [`Error`] asks of its reader
//! stands on the page [`operating`], as do sizes and limits.
//!
//! # When things go wrong
//!
//! - The process dies: the next [start](Builder::start) settles what was in flight as interrupted, with no
//!   attempt spent, and it runs again. A job that had just begun at two such ends in a row is
//!   [held back](Builder::probation) for a while, and parked if processes go on to die beside it. An end in
//!   order suspects nobody.
//! - A job cannot run here, because its type or queue is unknown or its payload does not decode: it is
//!   [parked](ParkReason) until a start that can, or until somebody gives it [another
//!   payload](Manager::amend). Whoever waits for it [is told](Error::is_parked) at once, and a start
//!   [counts](Recovery::parked) such jobs.
//! - The disk is full: the manager is [`Refusing`](Health::Refusing) until there is room, and goes on by
//!   itself; with sled only where the file system tells how full it is. A sync fails, or somebody moved or
//!   wrote the store's file: it is [`Poisoned`](Health::Poisoned), and writes nothing any more.
//!
//! # Tests
//!
//! With the feature `testing`, the module `testing` runs an application's jobs on the test's own thread,
//! one by one, by a clock that moves when told and on a store that fails when told.
//!
//! # One owner a store
//!
//! One process owns a store at a time, and that process runs its jobs. A process that only queues,
//! on a store of its own, registers nothing: its jobs wait until a process that knows them opens the
//! store.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod builder;
#[cfg(any(feature = "http-call", all(feature = "command", unix)))]
pub mod builtin;
mod cancellation;
mod carry;
mod clock;
mod config;
mod context;
mod core;
mod digest;
mod enqueue;
mod error;
pub mod event;
mod finished;
mod finishing;
#[cfg(any(feature = "http-server", feature = "http-client"))]
pub mod http;
mod job;
mod logging;
mod manager;
mod observer;
mod options;
mod page;
mod parked;
mod payload;
mod receipt;
mod registry;
mod retry;
mod runtime;
mod submission;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod verify;

#[doc(hidden)]
pub use batch::Take;
pub use batch::{Batch, BatchSubmission};
pub use builder::Builder;
pub use cancellation::Cancelled;
pub use carry::OnUnknown;
pub use config::{Queue, Retention};
pub use context::{Context, LOG_LINE_BYTES, LOG_LINES};
pub use core::{Counts, HISTORY};
pub use enqueue::Enqueue;
pub use error::Error;
pub use finished::{Completed, Failure, Finished, Reason, Status};
pub use finishing::Finishing;
pub use job::{Job, JobError, ResultExt, Run};
pub use jobkeep_memory::MemoryStore;
#[cfg(feature = "redb")]
pub use jobkeep_redb::{RedbOptions, RedbStore};
#[cfg(feature = "sled")]
pub use jobkeep_sled::{SledOptions, SledStore};
pub use jobkeep_store::{
    Attempt, AttemptEnd, Durability, JobNumber, ParkReason, PayloadCodec as Codec, Priority,
    QueueStore, StateKind, StoreError, Timestamp,
};
pub use manager::awaited::Pending;
pub use manager::{Manager, WeakManager};
pub use observer::Observer;
pub use options::{Draft, IntoNewJob, NewJob};
pub use page::{ListedJob, Page};
pub use parked::{ParkedJobs, ParkedKind};
pub use receipt::{AnyJob, Receipt};
pub use retry::Policy;
pub use runtime::{Health, Recovery, Shutdown, StillRunning, Stuck};
pub use submission::Submission;
pub use verify::{Finding, Part, Repair, Verification, repair, verify};

#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/async.md")]
pub mod async_programs {}

#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/operating.md")]
pub mod operating {}

#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/reliability.md")]
pub mod reliability {}

#[cfg(any(doc, doctest))]
#[doc = "[reliability]: crate::reliability"]
#[doc = ""]
#[doc = include_str!("../docs/remote.md")]
pub mod remote {}

#[cfg(any(doc, doctest))]
#[doc = "[remote]: crate::remote"]
#[doc = ""]
#[doc = include_str!("../docs/zend.md")]
pub mod zend {}

// What is guessed by habit and is not there leads here.
#[cfg(any(doc, doctest))]
#[doc(alias(
    "backup",
    "concurrency_per_key",
    "cron",
    "depends_on",
    "derive",
    "expires_at"
))]
#[doc(alias(
    "heartbeat",
    "meta",
    "middleware",
    "on_failure",
    "queues",
    "rate_limit",
    "reschedule"
))]
#[doc(alias("schedule", "tag"))]
#[doc = "[async]: crate::async_programs"]
#[doc = "[zend]: crate::zend"]
#[doc = ""]
#[doc = include_str!("../docs/coming-from.md")]
pub mod coming_from {}

/// The program of the README compiles.
#[cfg(all(doctest, feature = "redb"))]
#[doc = include_str!("../README.md")]
struct Readme;
