//! Threads: one committer, and a pool of workers a queue. The only place that blocks.
//!
//! Start: store, engine, committer, workers. Stop, in this order: intake, dispatch, workers,
//! committer, store.

mod bell;
mod command;
mod committer;
mod execute;
mod inbox;
#[cfg(all(test, jobkeep_model))]
mod models;
mod panics;
mod pool;
mod prune;
mod shared;
mod signal;
mod start;
mod step;
mod waiters;

pub(crate) use command::{Command, Reply};
pub(crate) use inbox::WhenFull;
pub(crate) use panics::is_own_thread;
pub(crate) use shared::{FindError, Shared};
pub use shared::{Shutdown, StillRunning};
pub use start::Recovery;
pub(crate) use start::{Parts, start};
pub(crate) use step::find_failed;
