//! Threads: one committer, and a pool of workers a queue. The only place that blocks.
//!
//! Start: store, engine, committer, workers. Stop, in this order: intake, dispatch, workers,
//! committer, store, observer.

mod addresses;
mod asked;
mod attending;
mod bell;
mod clocks;
mod command;
mod committer;
mod count;
mod drive;
mod execute;
mod executors;
mod foreign;
mod health;
mod inbox;
#[cfg(feature = "testing")]
mod lent;
mod living;
mod lost;
#[cfg(all(test, jobkeep_model))]
mod models;
mod observe;
mod outage;
mod overrun;
mod panics;
mod parked;
mod pause;
mod pool;
mod prepare;
mod process;
mod prune;
mod push;
mod read;
mod recover;
mod rings;
mod shared;
mod signal;
#[cfg(all(unix, feature = "signals"))]
mod signals;
#[cfg(feature = "testing")]
pub(crate) mod simulation;
mod start;
mod step;
mod threads;
mod waiters;
mod wakers;
mod within;

pub(crate) use asked::Asked;
pub(crate) use attending::Attending;
pub(crate) use command::{Command, Reply};
pub use health::Health;
pub(crate) use inbox::WhenFull;
#[cfg(feature = "testing")]
pub(crate) use lent::run_next;
pub use living::Stuck;
pub(crate) use panics::catch;
pub(crate) use panics::is_own_thread;
pub(crate) use pause::{Rest, Rested};
pub(crate) use shared::{FindError, Shared};
pub use shared::{Shutdown, StillRunning};
#[cfg(any(
    feature = "http-client",
    feature = "http-server",
    all(feature = "command", unix)
))]
pub(crate) use signal::{Signal, Woken};
pub use start::Recovery;
pub(crate) use start::{Parts, start};
#[cfg(feature = "testing")]
pub(crate) use step::find_failed;
