pub(crate) mod awaited;
mod list;
mod operate;

use std::fmt;
use std::time::Duration;

use jobkeep_store::{Durability, JobNumber, QueueStore, Timestamp};

use crate::batch::unfold;
use crate::core::Counts;
use crate::enqueue::{drafts, first};
use crate::finished::{Completed, Finished, Status};
use crate::receipt::Origin;
use crate::runtime::{
    self, Command, Health, Recovery, Shared, Shutdown, StillRunning, Stuck, WhenFull,
};
use crate::sync::{Arc, Weak};
use crate::{Batch, Builder, Codec, Draft, Enqueue, Error, IntoNewJob, Job, Receipt};

/// Queues jobs and runs them, on thread pools inside this process.
///
/// A handle, cheap to clone and to share. One manager owns its store: for several processes on the
/// same jobs, let one own the store. The drop of the last handle shuts the manager down and waits
/// [`drop_grace`](Builder::drop_grace) for running jobs. A process that is forked from the manager's has none of
/// its threads: every call there is [refused](Error::is_forked), and dropping a handle does nothing.
#[derive(Clone)]
pub struct Manager(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    recovery: Recovery,
}

impl Manager {
    /// A manager on `store`, to be configured.
    pub fn builder(store: impl QueueStore) -> Builder {
        Builder::new(Arc::new(store))
    }

    pub(crate) fn new(shared: Arc<Shared>, recovery: Recovery) -> Self {
        Self(Arc::new(Handle { shared, recovery }))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// The name of this server in the receipts that it gives: see [`Builder::server`].
    pub fn server(&self) -> &str {
        &self.shared().origin.server
    }

    /// A handle that does not keep the manager from ending.
    pub fn downgrade(&self) -> WeakManager {
        WeakManager(Arc::downgrade(&self.0))
    }

    /// Has this process taken for one that was forked, or not: for this project's own tests.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn pretend_fork(&self, forked: bool) {
        self.shared().pretend_fork(forked);
    }

    /// What this manager found when it took the store over.
    pub fn recovery(&self) -> Recovery {
        self.0.recovery.clone()
    }

    /// The time by this manager's clock: the wall's, or what a test's `ManualClock` shows.
    pub fn now(&self) -> Timestamp {
        self.shared().clock.now().wall
    }

    /// The receipt of the job with this number in this manager's store, as good as the one that its
    /// acceptance gave. Whether there is such a job shows when it is asked for.
    #[doc(alias("get", "job"))]
    pub fn receipt(&self, job: JobNumber) -> Receipt {
        self.shared().receipt_of(job)
    }

    /// Whether the store takes what is written to it, and since when it does not.
    pub fn health(&self) -> Health {
        let shared = self.shared();
        let now = shared.clock.now();
        if let Err(forked) = shared.check_process("look at the store") {
            return Health::Poisoned {
                since: now.wall,
                cause: forked.to_string(),
            };
        }
        shared.health.show(now)
    }

    /// The threads of this process that still run a job of this store whose attempt is over: beyond its
    /// [time-out](crate::Policy::timeout), or since a manager before this one ended. Each holds its
    /// job back, and memory; one that never returns calls for a restart of the process.
    pub fn stuck(&self) -> Vec<Stuck> {
        self.shared().stuck()
    }

    /// Queues a job, or a [`NewJob`](crate::NewJob) with its options. Waits for room where the inbox is full.
    ///
    /// A job that does so with the [key](crate::NewJob::key) that it holds gets its own receipt: for its next run
    /// there is [`Context::enqueue`](crate::Context::enqueue).
    ///
    /// # Durability
    /// The job is in the store, to the degree that [`Receipt::durability`] names, when this
    /// returns. One that is [buffered](crate::NewJob::durability) may not be there yet.
    ///
    /// # Errors
    /// Where its queue is not declared, its payload too large, or its idempotency key held with another
    /// payload; where it does not come back from its own encoding, so that it could never run,
    /// [`Error::is_codec`]; where the manager is shut down; where the store fails, and then
    /// [`Error::is_unknown`] tells whether the job may have been accepted.
    #[doc(alias("add", "insert", "perform_async", "push"))]
    pub fn enqueue<N: IntoNewJob>(&self, job: N) -> Result<Receipt<N::Job>, Error> {
        let draft = job.into_new_job().draft()?;
        first(self.shared().accept(vec![draft], WhenFull::Wait)?).map(Receipt::typed)
    }

    /// Queues a job like [`enqueue`](Self::enqueue), but does not wait for room.
    ///
    /// # Durability
    /// As [`enqueue`](Self::enqueue): it waits for its commit, unless the job is buffered.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), and where the inbox is full: [`Error::is_full`].
    pub fn try_enqueue<N: IntoNewJob>(&self, job: N) -> Result<Receipt<N::Job>, Error> {
        let draft = job.into_new_job().draft()?;
        first(self.shared().accept(vec![draft], WhenFull::Refuse)?).map(Receipt::typed)
    }

    /// Queues several jobs in one commit: all or none, in their order. At most 10,000 jobs and
    /// 16 MiB of rows.
    ///
    /// # Durability
    /// As [`enqueue`](Self::enqueue). They are buffered where each of them is.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), for any one of them; and where they are too many.
    pub fn enqueue_all<N: IntoNewJob>(
        &self,
        jobs: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Receipt<N::Job>>, Error> {
        let drafts = drafts(jobs)?;
        let receipts = self.shared().accept(drafts, WhenFull::Wait)?;
        Ok(receipts.into_iter().map(Receipt::typed).collect())
    }

    /// Queues jobs of several types in one commit, all or none, in their order: see [`Batch`] for an
    /// example. At most 10,000 jobs and 16 MiB of rows.
    ///
    /// # Durability
    /// As [`enqueue`](Self::enqueue). They are buffered where each of them is.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), for any one of them; and where they are too many.
    pub fn enqueue_batch<B: Batch>(&self, batch: B) -> Result<B::Receipts, Error> {
        let (drafts, take) = unfold(batch)?;
        let receipts = self.shared().accept(drafts, WhenFull::Wait)?;
        take(&mut receipts.into_iter())
    }

    /// Where a job stands.
    ///
    /// # Errors
    /// Where the receipt is of another server or store, or the job is not kept any more; where the
    /// manager is shut down, or the store fails.
    pub fn status<J>(&self, receipt: &Receipt<J>) -> Result<Status, Error> {
        let number = self.shared().check(receipt)?;
        self.ask(number, "look up", |reply| Command::Look { number, reply })
    }

    /// The job, if it has finished: its value, its output or failure, its history. What this has
    /// shown once never changes, unless somebody retries the job.
    ///
    /// # Errors
    /// Where the receipt is of another server or store, the job is not kept any more, or is of another
    /// type; where the store cannot be read.
    pub fn completed<J: Job>(&self, receipt: &Receipt<J>) -> Result<Option<Completed<J>>, Error> {
        let number = self.shared().check(receipt)?;
        self.shared()
            .finished(number)?
            .map(Completed::new)
            .transpose()
    }

    /// The job, as soon as it has finished, waiting up to `patience`.
    ///
    /// # Errors
    /// As [`completed`](Self::completed); where patience ran out, [`Error::is_timed_out`], whose text says
    /// how an attempt of the job failed last, if one has; where the job is parked, or becomes so, at once
    /// [`Error::is_parked`]; where the manager ended before the job did, and as soon as it shuts down while
    /// the job does not run: [`Error::is_shut_down`]. In a job, where the wait would have no end because of
    /// itself: [`Error::is_deadlock`].
    pub fn wait<J: Job>(
        &self,
        receipt: &Receipt<J>,
        patience: Duration,
    ) -> Result<Completed<J>, Error> {
        let number = self.shared().check(receipt)?;
        if let Some(finished) = self.shared().wait(number, patience)? {
            return Completed::new(finished);
        }
        let error = Error::impatient(number, patience.as_millis());
        Err(error.after_failure(self.shared().last_error(number)))
    }

    /// Cancels a job. One that waits is cancelled when this returns. One that runs is told so by
    /// [`Context::is_cancelled`](crate::Context::is_cancelled), and is not tried again: its attempt
    /// ends as cancelled unless it succeeds.
    ///
    /// # Durability
    /// The cancellation, or the request for it, is in the store when this returns.
    ///
    /// # Errors
    /// As [`status`](Self::status), and where the job has finished: [`Error::illegal_state`].
    #[doc(alias("cancel_all"))]
    pub fn cancel<J>(&self, receipt: &Receipt<J>) -> Result<(), Error> {
        let number = self.shared().check(receipt)?;
        self.ask(number, "cancel", |reply| Command::Cancel { number, reply })
    }

    /// Runs a finished job again, with all its attempts, starting from its value as it was left. Its
    /// history goes on. Also lets a [parked](crate::ParkReason) job run again, with the attempts that it has
    /// left. A pushed job of which nobody knows whether it still runs elsewhere is put off until the deadline
    /// of its lost call.
    ///
    /// # Durability
    /// The job is ready, or put off, in the store when this returns.
    ///
    /// # Errors
    /// As [`status`](Self::status); where the job waits or runs, [`Error::illegal_state`]; where it is
    /// parked and this manager still lacks its name or queue, [`Error::is_parked`]; where its idempotency
    /// key has run out, [`Error::key_conflict_with`].
    #[doc(alias("retry_all"))]
    pub fn retry<J>(&self, receipt: &Receipt<J>) -> Result<(), Error> {
        let number = self.shared().check(receipt)?;
        self.ask(number, "retry", |reply| Command::Retry { number, reply })
    }

    /// Gives a job another payload, where no worker has it: a parked job whose payload does not decode, or
    /// kills the process, runs again with the one given, as by [`retry`](Self::retry); one that waits goes on
    /// waiting where it stands. What attempts have spent stays spent. The idempotency key stays with the
    /// job, and stands for the payload that was queued.
    ///
    /// A job that is parked because its name or queue is not known here gets its payload, and stays
    /// parked.
    ///
    /// # Durability
    /// The payload is in the store when this returns.
    ///
    /// # Errors
    /// As [`status`](Self::status); where the job is of another type, [`Error::is_other_type`]; where it
    /// runs or has finished, [`Error::illegal_state`]; where the payload cannot be encoded or is too large.
    pub fn amend<J: Job>(&self, receipt: &Receipt<J>, job: &J) -> Result<(), Error> {
        let number = self.shared().check(receipt)?;
        let amendment = self.shared().encode_amendment(number, job)?;
        self.ask(number, "amend", |reply| Command::Amend {
            number,
            amendment,
            reply,
        })
    }

    /// The same for an operator who has the payload as JSON, and a receipt of whatever type, as
    /// [`jobs`](Self::jobs) gives it: it is decoded as the type that is registered under the job's name, and
    /// encoded as that asks.
    ///
    /// # Durability
    /// As [`amend`](Self::amend).
    ///
    /// # Errors
    /// As [`amend`](Self::amend); where no type is registered under the job's name, or it does not take the
    /// payload, [`Error::is_codec`].
    pub fn amend_json<J>(&self, receipt: &Receipt<J>, json: &str) -> Result<(), Error> {
        let number = self.shared().check(receipt)?;
        let name = self.status(receipt)?.name().to_owned();
        let refused = |cause: String| Error::codec(format_args!("amend job {number}"), cause);
        let handler = self.shared().registry.handler(&name);
        let handler =
            handler.ok_or_else(|| refused(format!("no handler is registered for `{name}`")))?;
        let drafted = runtime::catch(|| handler.draft(Codec::Json, json.as_bytes(), None));
        let thrown = |_| Err("the type's own decoder panics over it".into());
        let draft = drafted.unwrap_or_else(thrown).map_err(refused)?;
        let Draft { codec, payload, .. } = draft;
        let amendment = self
            .shared()
            .amendment(number, vec![name], codec, payload)?;
        self.ask(number, "amend", |reply| Command::Amend {
            number,
            amendment,
            reply,
        })
    }

    /// Deletes a job and everything about it, its idempotency key included. Not one that runs: cancel
    /// it first.
    ///
    /// # Durability
    /// The job is gone from the store when this returns.
    ///
    /// # Errors
    /// As [`status`](Self::status), and where a worker has the job: [`Error::illegal_state`].
    #[doc(alias("delete", "purge"))]
    pub fn remove<J>(&self, receipt: &Receipt<J>) -> Result<(), Error> {
        let number = self.shared().check(receipt)?;
        self.ask(number, "remove", |reply| Command::Remove { number, reply })
    }

    /// How many jobs stand where. Counted all along, never by a scan.
    ///
    /// # Errors
    /// Where the manager is shut down, or the store has failed.
    #[doc(alias("stats"))]
    pub fn counts(&self) -> Result<Counts, Error> {
        let count = |reply| Command::Count { reply };
        self.shared()
            .inbox
            .ask("count the jobs", WhenFull::Wait, count)
    }

    /// Shuts the manager down, and says how it went: no job is accepted or started any more, those
    /// handed to a pool and not begun are put back with nothing spent, and running ones have `grace`
    /// to end. Then the store is closed. A second call, from wherever, gets the same report.
    ///
    /// The end is in order from its beginning: a process that is killed within the grace makes no
    /// [suspects](Builder::probation) of the jobs that still run. Whoever [waits](Self::wait) for a job that
    /// does not run is sent away at once, since nothing starts any more.
    ///
    /// A store that does not answer holds nobody up: where it has been silent for 5 seconds at the end of the
    /// grace, this returns, and [`Shutdown::stalled`] says so. The store is closed when it answers.
    ///
    /// Called by a job, it begins the shutdown and returns at once with the jobs that run: a job
    /// cannot wait for its own end.
    ///
    /// # Durability
    /// Everything that ended within the grace is in the store when this returns.
    ///
    /// # Errors
    /// Where the process was [forked](Error::is_forked); a store that failed shows in [`Shutdown::unrecorded`], one that does not answer in
    /// [`Shutdown::stalled`].
    pub fn shutdown(&self, grace: Duration) -> Result<Shutdown, Error> {
        self.shared().check_process("shut the manager down")?;
        Ok(self.shared().shut_down(grace))
    }

    fn ask<T>(
        &self,
        number: JobNumber,
        act: &str,
        command: impl FnOnce(runtime::Reply<T>) -> Command,
    ) -> Result<T, Error> {
        self.shared()
            .inbox
            .ask(&format!("{act} job {number}"), WhenFull::Wait, command)
    }
}

/// A handle that does not keep its [`Manager`] from ending: for jobs, and for whatever else the manager itself
/// holds.
///
/// A handler or a resource that holds a `Manager` is a ring: the manager's last handle is never dropped, so
/// that it ends only by [`shutdown`](Manager::shutdown). Jobs queue what follows them with
/// [`Context::enqueue`](crate::Context::enqueue), and need no manager for that.
///
/// ```
/// # use jobkeep::{Job, JobError, Manager, MemoryStore, NewJob, WeakManager};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Report; #[derive(serde::Serialize, serde::Deserialize)] struct Mail;
/// # impl Job for Report { const NAME: &'static str = "report"; type Output = u64; }
/// # impl Job for Mail { const NAME: &'static str = "mail"; type Output = (); }
/// use std::sync::{Arc, OnceLock};
///
/// let own = Arc::new(OnceLock::<WeakManager>::new());
/// let manager = Manager::builder(MemoryStore::new())
///     .resource(Arc::clone(&own))
///     .handle::<Report>(|_, ctx| {
///         let own: &Arc<OnceLock<WeakManager>> = ctx.resource()?;
///         let manager = own.get().and_then(WeakManager::upgrade);
///         let manager = manager.ok_or_else(|| JobError::new("the manager ends"))?;
///         Ok(manager.counts()?.ready)
///     })
///     .start()?;
/// own.set(manager.downgrade()).unwrap();
/// # Ok::<(), jobkeep::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias("manager"))]
pub struct WeakManager(Weak<Handle>);

impl WeakManager {
    /// The manager, if a handle of it is left. A job that is the last to drop that ends the manager.
    pub fn upgrade(&self) -> Option<Manager> {
        self.0.upgrade().map(Manager)
    }
}

impl Enqueue for Manager {
    fn accept(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, Error> {
        self.shared().accept(drafts, WhenFull::Wait)
    }

    fn look_up(&self, receipt: &Receipt, patience: Duration) -> Result<Option<Finished>, Error> {
        let number = self.shared().check(receipt)?;
        if patience.is_zero() {
            return self.shared().finished_for_sure(number);
        }
        self.shared().wait(number, patience)
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Manager")
            .field(&self.shared().location)
            .finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.shared.is_forked() {
            // The threads that would end are in another process.
            return;
        }
        self.shared.shut_down(self.shared.config.drop_grace);
    }
}

impl Shared {
    /// The receipt of a job of this store.
    pub(crate) fn receipt_of(&self, number: JobNumber) -> Receipt {
        match self.opening_of(number) {
            Some(opening) if opening != self.origin.opening => {
                let origin = Origin {
                    opening,
                    ..(*self.origin).clone()
                };
                Receipt::new(Arc::new(origin), number)
            }
            _ => Receipt::new(Arc::clone(&self.origin), number),
        }
    }

    /// The receipt's number, if this store gave it: under whatever name, for the server may have got
    /// another since.
    pub(crate) fn check<J>(&self, receipt: &Receipt<J>) -> Result<JobNumber, Error> {
        let (origin, number) = (receipt.origin(), receipt.number());
        self.check_process(format_args!("ask for job {number}"))?;
        if origin.store != self.origin.store {
            let (server, own) = (&origin.server, &self.origin.server);
            return Err(if server == own {
                Error::replaced(number)
            } else {
                Error::other_server(number, server, own)
            });
        }
        if !receipt.is_signed_with(&self.secret) {
            return Err(Error::forged(number));
        }
        if Some(origin.opening) == self.opening_of(number) {
            if self.lost.contains(number) {
                return Err(Error::lost(number));
            }
            return Ok(number);
        }
        // The number was given before it was written. It may be another job's by now.
        if origin.durability == Durability::Buffered {
            return Err(Error::lost(number));
        }
        Err(Error::replaced(number))
    }

    /// The finished job, waiting up to `patience`; `None` where it has not finished by then.
    pub(crate) fn wait(
        &self,
        number: JobNumber,
        patience: Duration,
    ) -> Result<Option<Finished>, Error> {
        let until = self.clock.now().steady.after(patience);
        let over = || self.wait_refused(number);
        let mut in_job = None;
        loop {
            let waiting = self
                .waiters
                .register(number, &self.clock)
                .ok_or_else(over)?;
            let mut finished = self.end_for_sure(number);
            if !matches!(finished, Ok(None)) || patience.is_zero() {
                return finished;
            }
            if in_job.is_none() {
                self.check_own_end(number)?;
                in_job = self.wait_in_job(number)?;
            }
            if !waiting.wait(&self.clock, until) {
                return Ok(None);
            }
            // While it counts as waiting, the store is kept open for it.
            finished = self.end_for_sure(number);
            if !matches!(finished, Ok(None)) {
                return finished;
            }
            // Somebody retried the job since, or it will not end here.
            if self.waiters.is_over() {
                return Err(over());
            }
            if !self.waiters.may_end(number) {
                return Err(Error::ends_no_more(number));
            }
        }
    }

    /// Starts no job any more, whosesoever. Those that run go on, and others are accepted still: a
    /// shutdown is to follow.
    pub(crate) fn halt(&self) {
        for pool in &self.pools {
            pool.halt();
        }
        self.executors.halt();
    }

    pub(crate) fn shut_down(&self, grace: Duration) -> Shutdown {
        let had_failed = self.inbox.is_poisoned();
        // The committer may be at a commit, and what is handed over must not start meanwhile.
        self.halt();
        self.inbox.drain();
        if runtime::is_own_thread(self.origin.opening) {
            let running = self.pools.iter().flat_map(|pool| pool.all_running());
            let still_running = running
                .map(|(job, thread)| StillRunning { job, thread })
                .collect();
            return Shutdown {
                still_running,
                ..Shutdown::default()
            };
        }
        let until = self.clock.now().steady.after(grace);
        let ended = self.ending.wait(&self.clock, Some(until)).is_some() || {
            self.inbox.close();
            self.has_ended_unless_stalled()
        };
        let report = if ended {
            let report = self.last_word(had_failed);
            self.ending.join(&report.still_running);
            report
        } else {
            self.stalled_report()
        };
        self.executors.wait(&self.clock, until);
        self.observers.join(until);
        self.say_the_end(&report);
        report
    }
}
