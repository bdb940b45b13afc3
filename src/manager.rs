use std::fmt;
use std::time::Duration;

use jobkeep_store::{JobNumber, Key, QueueName, QueueStore, State, Totals, get_typed};

use crate::config::{BATCH_BYTES, BATCH_JOBS};
use crate::core::{self, Counts, EncodedJob, Found, KeyClaim};
use crate::enqueue::first;
use crate::finished::{Completed, Finished, Status};
use crate::receipt::Origin;
use crate::runtime::{
    self, Command, FindError, Recovery, Shared, Shutdown, StillRunning, WhenFull,
};
use crate::sync::Arc;
use crate::{Builder, Draft, Enqueue, Error, Job, NewJob, Receipt};

/// Queues jobs and runs them, on thread pools inside this process.
///
/// A handle, cheap to clone and to share. One manager owns its store: for several processes on the
/// same jobs, let one own the store and the others reach it over HTTP. The drop of the last handle
/// shuts the manager down and waits [`drop_grace`](Builder::drop_grace) for running jobs.
#[derive(Clone)]
pub struct Manager(Arc<Handle>);

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

    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// What this manager found when it took the store over.
    pub fn recovery(&self) -> Recovery {
        self.0.recovery
    }

    /// Queues a job, or a [`NewJob`] with its options. Waits for room where the inbox is full.
    ///
    /// # Durability
    /// The job is in the store, to the degree that [`Receipt::durability`] names, when this
    /// returns.
    ///
    /// # Errors
    /// Where its queue is not declared, its payload too large or not encodable, or its idempotency
    /// key held with another payload; where the manager is shut down; where the store fails, and then
    /// [`Error::is_unknown`] tells whether the job may have been accepted.
    pub fn enqueue<J: Job>(&self, job: impl Into<NewJob<J>>) -> Result<Receipt<J>, Error> {
        let draft = job.into().draft()?;
        first(self.shared().accept(vec![draft], WhenFull::Wait)?).map(Receipt::typed)
    }

    /// Queues a job like [`enqueue`](Self::enqueue), but does not wait for room.
    ///
    /// # Durability
    /// As [`enqueue`](Self::enqueue): it waits for its commit.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), and where the inbox is full: [`Error::is_full`].
    pub fn try_enqueue<J: Job>(&self, job: impl Into<NewJob<J>>) -> Result<Receipt<J>, Error> {
        let draft = job.into().draft()?;
        first(self.shared().accept(vec![draft], WhenFull::Refuse)?).map(Receipt::typed)
    }

    /// Queues several jobs in one commit: all or none, in their order. At most 10,000 jobs and
    /// 16 MiB of rows.
    ///
    /// # Durability
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), for any one of them; and where they are too many.
    pub fn enqueue_all<J: Job, N: Into<NewJob<J>>>(
        &self,
        jobs: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Receipt<J>>, Error> {
        let drafts = jobs
            .into_iter()
            .map(|job| job.into().draft())
            .collect::<Result<_, _>>()?;
        let receipts = self.shared().accept(drafts, WhenFull::Wait)?;
        Ok(receipts.into_iter().map(Receipt::typed).collect())
    }

    /// Where a job stands.
    ///
    /// # Errors
    /// Where the receipt is of another server or store, or the job is not kept any more.
    pub fn status<J>(&self, receipt: &Receipt<J>) -> Result<Status, Error> {
        let number = self.shared().check(receipt)?;
        self.ask(number, "look up", |reply| Command::Look { number, reply })
    }

    /// The job, if it has finished: its value, its output or failure, its history. What this has
    /// shown once never changes, unless somebody retries the job.
    ///
    /// # Errors
    /// Where the receipt is of another server or store, the job is not kept any more, is of another
    /// type, or does not decode.
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
    /// As [`completed`](Self::completed); where patience ran out, [`Error::is_timed_out`]; where
    /// the manager ended before the job did.
    pub fn wait<J: Job>(
        &self,
        receipt: &Receipt<J>,
        patience: Duration,
    ) -> Result<Completed<J>, Error> {
        let number = self.shared().check(receipt)?;
        match self.shared().wait(number, patience)? {
            Some(finished) => Completed::new(finished),
            None => Err(Error::impatient(number, patience.as_millis())),
        }
    }

    /// Cancels a job. One that waits is cancelled when this returns. One that runs is told so by
    /// [`Context::is_cancelled`](crate::Context::is_cancelled), and is not tried again: its attempt
    /// ends as cancelled unless it succeeds.
    ///
    /// # Durability
    /// The cancellation, or the request for it, is in the store when this returns.
    ///
    /// # Errors
    /// Where the job has finished, or is not kept any more.
    pub fn cancel<J>(&self, receipt: &Receipt<J>) -> Result<(), Error> {
        let number = self.shared().check(receipt)?;
        self.ask(number, "cancel", |reply| Command::Cancel { number, reply })
    }

    /// Runs a finished job again, with all its attempts, starting from its value as it was left. Its
    /// history goes on.
    ///
    /// # Durability
    /// The job is ready in the store when this returns.
    ///
    /// # Errors
    /// Where the job has not finished, or is not kept any more, or its idempotency key has run out.
    pub fn retry<J>(&self, receipt: &Receipt<J>) -> Result<(), Error> {
        let number = self.shared().check(receipt)?;
        self.ask(number, "retry", |reply| Command::Retry { number, reply })
    }

    /// Deletes a job and everything about it, its idempotency key included. Not one that runs: cancel
    /// it first.
    ///
    /// # Durability
    /// The job is gone from the store when this returns.
    ///
    /// # Errors
    /// Where a worker has the job, or it is not kept any more.
    pub fn remove<J>(&self, receipt: &Receipt<J>) -> Result<(), Error> {
        let number = self.shared().check(receipt)?;
        self.ask(number, "remove", |reply| Command::Remove { number, reply })
    }

    /// How many jobs stand where. Counted all along, never by a scan.
    ///
    /// # Errors
    /// Where the manager is shut down, or the store has failed.
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
    /// Called by a job, it begins the shutdown and returns at once with the jobs that run: a job
    /// cannot wait for its own end.
    ///
    /// # Durability
    /// Everything that ended within the grace is in the store when this returns.
    ///
    /// # Errors
    /// None so far; a store that failed shows in [`Shutdown::unrecorded`].
    pub fn shutdown(&self, grace: Duration) -> Result<Shutdown, Error> {
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

impl Enqueue for Manager {
    fn accept(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, Error> {
        self.shared().accept(drafts, WhenFull::Wait)
    }

    fn look_up(&self, receipt: &Receipt, patience: Duration) -> Result<Option<Finished>, Error> {
        let number = self.shared().check(receipt)?;
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
        self.shared.shut_down(self.shared.config.drop_grace);
    }
}

impl Shared {
    /// Encodes the drafts on this thread and has them accepted.
    fn accept(&self, drafts: Vec<Draft>, when_full: WhenFull) -> Result<Vec<Receipt>, Error> {
        let act = match drafts.as_slice() {
            [] => return Ok(Vec::new()),
            [only] => format!("enqueue job `{}`", only.name()),
            many => format!("enqueue {} jobs", many.len()),
        };
        let jobs = self.encode(drafts)?;
        let numbers = self
            .inbox
            .ask(&act, when_full, |reply| Command::Accept { jobs, reply })?;
        Ok(numbers
            .into_iter()
            .map(|number| self.receipt(number))
            .collect())
    }

    fn encode(&self, drafts: Vec<Draft>) -> Result<Vec<(EncodedJob, Option<KeyClaim>)>, Error> {
        let count = drafts.len();
        let now = self.clock.now();
        let order = self.order(now);
        let mut jobs = Vec::with_capacity(count.min(BATCH_JOBS));
        let mut bytes = 0_usize;
        for draft in drafts {
            let (size, limit) = (draft.payload.len(), self.config.payload_limit);
            if size > limit {
                return Err(Error::payload_too_large(&draft.name, size, limit));
            }
            if let Some(key) = &draft.key
                && key.len() > KEY_BYTES
            {
                return Err(Error::key_too_large(&draft.name, key.len(), KEY_BYTES));
            }
            let (queue, origins) = self.queue_of(&draft)?;
            let store = self.origin.store;
            let claim = draft
                .key
                .as_ref()
                .map(|key| KeyClaim::new(store, &draft.name, key, &draft.payload));
            let name = draft.name.clone();
            let mut job = core::accept(draft, queue, origins, now, order)
                .map_err(|cause| Error::codec(format_args!("encode job `{name}`"), cause))?;
            bytes = bytes.saturating_add(job.bytes());
            if jobs.len() >= AT_HAND && claim.is_none() {
                // Dropped here, because the committer has better things to do.
                job.record = None;
            }
            jobs.push((job, claim));
        }
        if count > 1 && (count > BATCH_JOBS || bytes > BATCH_BYTES) {
            return Err(Error::batch_too_large(
                count,
                bytes,
                (BATCH_JOBS, BATCH_BYTES),
            ));
        }
        Ok(jobs)
    }

    fn queue_of(&self, draft: &Draft) -> Result<(QueueName, core::Origins), Error> {
        let origins = self.origins(&draft.queue, &draft.name);
        let found = origins.and_then(|origins| {
            let pool = self.pools.get(usize::from(origins.queue))?;
            Some((pool.queue.clone(), origins))
        });
        found.ok_or_else(|| {
            let declared = self.pools.iter().map(|pool| pool.queue.as_str());
            Error::undeclared_queue(&draft.name, &draft.queue, declared)
        })
    }

    /// The receipt of a job of this store.
    fn receipt(&self, number: JobNumber) -> Receipt {
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

    /// The receipt's number, if it is of this server and store.
    fn check<J>(&self, receipt: &Receipt<J>) -> Result<JobNumber, Error> {
        let (origin, number) = (receipt.origin(), receipt.number());
        if origin.server != self.origin.server {
            let own = &self.origin.server;
            return Err(Error::other_server(
                &receipt.to_string(),
                &origin.server,
                own,
            ));
        }
        if origin.store != self.origin.store || Some(origin.opening) != self.opening_of(number) {
            return Err(Error::replaced(&receipt.to_string()));
        }
        Ok(number)
    }

    /// The finished job with its bytes.
    fn finished(&self, number: JobNumber) -> Result<Option<Finished>, Error> {
        let failed = |cause| self.unread(number, cause);
        let record = match self.find(number).map_err(failed)? {
            Found::Done(record) => *record,
            Found::Live(_) => return Ok(None),
            Found::Nowhere => return Err(self.nowhere(number)?),
        };
        let payload = self
            .kept(&record.payload, Key::body(number))
            .map_err(failed)?;
        let output = match (&record.state, &record.output) {
            (State::Succeeded, Some(output)) => {
                Some(self.kept(output, Key::output(number)).map_err(failed)?)
            }
            (State::Succeeded, None) => {
                return Err(failed(FindError::Missing(Key::output(number))));
            }
            _ => None,
        };
        Ok(Some(Finished {
            number,
            record,
            payload,
            output,
        }))
    }

    /// Why the job could not be read. Who finds the store closed is told what closed it.
    fn unread(&self, number: JobNumber, cause: FindError) -> Error {
        match cause {
            FindError::Store(cause) if cause.is_closed() => {
                self.inbox.refusal(&format!("look up job {number}"))
            }
            cause => runtime::find_failed(number, cause),
        }
    }

    /// Why the store has no such job.
    fn nowhere(&self, number: JobNumber) -> Result<Error, Error> {
        let totals: Option<Totals> = get_typed(&*self.store, Key::TOTALS)
            .map_err(|cause| self.unread(number, cause.into()))?;
        let given = totals.is_some_and(|totals| number.0 < totals.next_number);
        Ok(if given {
            Error::pruned(number)
        } else {
            Error::never_existed(number)
        })
    }

    /// The finished job, waiting up to `patience`; `None` where it has not finished by then.
    pub(crate) fn wait(
        &self,
        number: JobNumber,
        patience: Duration,
    ) -> Result<Option<Finished>, Error> {
        let until = self.clock.now().steady.after(patience);
        let over = || self.inbox.refusal(&format!("wait for job {number}"));
        loop {
            let waiting = self
                .waiters
                .register(number, &self.clock)
                .ok_or_else(over)?;
            let mut finished = self.finished(number);
            if !matches!(finished, Ok(None)) || patience.is_zero() {
                return finished;
            }
            if !waiting.wait(&self.clock, until) {
                return Ok(None);
            }
            // While it counts as waiting, the store is kept open for it.
            finished = self.finished(number);
            if !matches!(finished, Ok(None)) {
                return finished;
            }
            // Somebody retried the job since, or it will not end here.
            if self.waiters.is_over() {
                return Err(over());
            }
        }
    }

    pub(crate) fn shut_down(&self, grace: Duration) -> Shutdown {
        // The committer may be at a commit, and what is handed over must not start meanwhile.
        for pool in &self.pools {
            pool.halt();
        }
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
        let report = self.ending.wait(&self.clock, Some(until)).or_else(|| {
            self.inbox.close();
            self.ending.wait(&self.clock, None)
        });
        let report = report.unwrap_or_default();
        self.ending.join(&report.still_running);
        report
    }
}

/// So many jobs of a batch may start without being read back from the store.
const AT_HAND: usize = 1_024;

/// How long an idempotency key may be, in bytes.
const KEY_BYTES: usize = 256;
