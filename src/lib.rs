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
//! # In an async program
//!
//! [`Manager::submit`] and [`Manager::finished`] return futures of nothing but std, which every
//! executor can drive. The page [`async_programs`] tells how, and what blocks.
//!
//! # One owner a store
//!
//! One process owns a store at a time, and that process runs its jobs. A process that only queues,
//! on a store of its own, registers nothing: its jobs wait until a process that knows them opens the
//! store.

mod builder;
mod clock;
mod config;
mod context;
mod core;
mod enqueue;
mod error;
pub mod event;
mod finished;
mod finishing;
mod job;
mod manager;
mod observer;
mod options;
mod page;
mod payload;
mod receipt;
mod registry;
mod retry;
mod runtime;
mod submission;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use builder::Builder;
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
pub use manager::Manager;
pub use observer::Observer;
pub use options::{Draft, NewJob};
pub use page::{ListedJob, Page};
pub use receipt::{AnyJob, Receipt};
pub use retry::Policy;
pub use runtime::{Health, Recovery, Shutdown, StillRunning, Stuck};
pub use submission::Submission;

#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/async.md")]
pub mod async_programs {}

/// The program of the README compiles.
#[cfg(all(doctest, feature = "redb"))]
#[doc = include_str!("../README.md")]
struct Readme;
