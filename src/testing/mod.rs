//! For tests of an application's jobs: they run on the test's own thread, one by one, by a clock that
//! moves when told, on a store that fails when told. Nothing here sleeps or waits for real time.
//!
//! # A job and its retries
//!
//! The test starts the application's own [`Builder`](crate::Builder) with
//! [`start_for_tests`](crate::Builder::start_for_tests), and lets the code under test queue through the
//! [`Kit`] as it does through a manager:
//!
//! ```
//! # use jobkeep::{Builder, Enqueue, Error, Job, JobError, Manager, MemoryStore, Receipt, StateKind};
//! # use jobkeep::{Policy, QueueStore};
//! # #[derive(serde::Serialize, serde::Deserialize)] struct Mail { to: String }
//! # impl Job for Mail {
//! #     const NAME: &'static str = "mail";
//! #     const POLICY: Policy = Policy::new().queue("mail");
//! #     type Output = ();
//! # }
//! # fn jobs(store: impl QueueStore) -> Builder {
//! #     Manager::builder(store).queue(jobkeep::Queue::new("mail")).handle::<Mail>(|_, ctx| {
//! #         match ctx.attempt() { 1 => Err(JobError::new("the mail server is down")), _ => Ok(()) }
//! #     })
//! # }
//! # fn sign_up(queue: &dyn Enqueue, to: &str) -> Result<Receipt<Mail>, Error> {
//! #     Mail { to: to.into() }.execute(queue)
//! # }
//! use std::time::Duration;
//! use jobkeep::testing::ManualClock;
//!
//! let clock = ManualClock::new();
//! let kit = jobs(MemoryStore::new()).clock(clock.clone()).start_for_tests()?;
//! let receipt = sign_up(&kit, "ada@example.org")?;                // the code under test
//! kit.assert_enqueued::<Mail>(|mail| mail.to == "ada@example.org");
//! kit.run_one("mail")?;                                           // the mail server is down
//! assert_eq!(kit.status(&receipt)?.state(), StateKind::Scheduled);
//! clock.advance(Duration::from_secs(1));                          // the longest first wait
//! assert_eq!(kit.drain("mail")?, [receipt.untyped()]);
//! let done = kit.completed(&receipt)?.unwrap();
//! assert_eq!((done.attempts(), done.output().is_ok()), (2, true));
//! # Ok::<(), Error>(())
//! ```
//!
//! # A store that fails
//!
//! A [`FaultyStore`] does what the store inside it does, until a [`Fault`] is armed. Here the disk is
//! full at the next commit:
//!
//! ```
//! # use jobkeep::{Enqueue, Error, Job, Manager, MemoryStore, Receipt, StoreError};
//! # #[derive(serde::Serialize, serde::Deserialize)] struct Mail { to: String }
//! # impl Job for Mail { const NAME: &'static str = "mail"; type Output = (); }
//! # fn sign_up(queue: &dyn Enqueue, to: &str) -> Result<Receipt<Mail>, Error> {
//! #     Mail { to: to.into() }.execute(queue)
//! # }
//! use jobkeep::testing::{Fault, FaultyStore, Operation};
//!
//! let store = FaultyStore::new(MemoryStore::new());
//! let faults = store.faults();
//! let kit = Manager::builder(store).start_for_tests()?;
//! faults.arm(Fault::next(Operation::Commit).full());
//! let error = sign_up(&kit, "ada@example.org").unwrap_err();      // what the code under test sees
//! assert!(error.as_store().is_some_and(StoreError::is_full));
//! # Ok::<(), Error>(())
//! ```
//!
//! # Values that travel
//!
//! A job is run from what its encoding decodes to, in production and here. [`assert_travels`] holds that
//! this is the value that was enqueued.
//!
//! # Time
//!
//! [`ManualClock`] serves a [`Manager`](crate::Manager) with workers as well as a kit: delays, retries,
//! retention, the patience of [`wait`](crate::Manager::wait) and the grace of
//! [`shutdown`](crate::Manager::shutdown) pass when the test says so.

mod clock;
mod enqueued;
mod kit;
#[doc(hidden)]
pub mod pushing;
mod travelling;
#[doc(hidden)]
pub mod simulation {
    //! For this project's own simulation. It promises nothing to anybody else.
    pub use crate::runtime::simulation::{Answer, Attempt, Process, forget_threads};
}

pub use clock::ManualClock;
pub use jobkeep_store::conformance::{Fault, Faults, FaultyStore, Lasting, Operation};
pub use kit::{DRAIN_ATTEMPTS, Kit};
pub use travelling::{assert_output_travels, assert_travels};
