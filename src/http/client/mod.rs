//! Jobs sent to other hosts.

mod address;
mod ask;
mod builder;
mod create;
mod exchange;
mod pool;
mod read;
mod refused;
mod waiting;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Method;

pub use builder::ClientBuilder;
pub use pool::Pool;

use crate::enqueue::first;
use crate::finished::{Completed, Finished, Status};
use crate::page::Page;
use crate::{Draft, Enqueue, Error, Job, JobNumber, NewJob, Receipt, StateKind};
use address::Servers;
use exchange::Exchange;
use pool::Pools;
use waiting::Waiting;

/// Sends jobs to hosts, and asks the host that took one how it ended. A handle, cheap to clone and to
/// share; all clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    exchange: Exchange,
    pools: Pools,
    servers: Servers,
    waiting: Waiting,
    patience: Duration,
    repeat_unanswered: bool,
}

impl Client {
    /// A client that sends jobs to this pool, to be configured. A URL is a balancer's, or a single
    /// host's that is not to be told apart from one: see [`Pool`].
    pub fn builder(pool: impl Into<Pool>) -> ClientBuilder {
        ClientBuilder::new(pool.into())
    }

    fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Sends one job, or a [`NewJob`] with its options.
    ///
    /// # Durability
    /// The job is in the store of its host, to the degree that [`Receipt::durability`] names, when this
    /// returns.
    ///
    /// # Errors
    /// Where no host accepted it: as [`Manager::enqueue`](crate::Manager::enqueue), and
    /// [`Error::is_unreachable`], [`Error::is_denied`], [`Error::is_too_many`]. Where the answer was
    /// lost, so that it may have been accepted: [`Error::is_unknown`].
    pub fn enqueue<J: Job>(&self, job: impl Into<NewJob<J>>) -> Result<Receipt<J>, Error> {
        let draft = job.into().draft()?;
        first(self.0.create(vec![draft])?).map(Receipt::typed)
    }

    /// Sends several jobs to one host: all or none, in their order.
    ///
    /// # Durability
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), for any one of them; and where they belong to different pools.
    pub fn enqueue_all<J: Job, N: Into<NewJob<J>>>(
        &self,
        jobs: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Receipt<J>>, Error> {
        let drafts = jobs
            .into_iter()
            .map(|job| job.into().draft())
            .collect::<Result<_, _>>()?;
        let receipts = self.0.create(drafts)?;
        Ok(receipts.into_iter().map(Receipt::typed).collect())
    }

    /// Where a job stands.
    ///
    /// # Errors
    /// As [`completed`](Self::completed), but for what it decodes.
    pub fn status<J>(&self, receipt: &Receipt<J>) -> Result<Status, Error> {
        self.0.status(receipt)
    }

    /// The job, if it has finished. The host is asked once.
    ///
    /// # Errors
    /// Where the receipt's server is not known here, [`Error::is_unknown_server`]; where it cannot be
    /// reached, [`Error::is_unreachable`]; and as [`Manager::completed`](crate::Manager::completed).
    pub fn completed<J: Job>(&self, receipt: &Receipt<J>) -> Result<Option<Completed<J>>, Error> {
        let finished = self.0.look_up(receipt, Duration::ZERO)?;
        finished.map(Completed::new).transpose()
    }

    /// The job, as soon as it has finished, waiting up to `patience`: also while its host cannot be
    /// reached or takes no requests. The last request may take its
    /// [`timeout`](ClientBuilder::timeout) longer.
    ///
    /// # Errors
    /// As [`completed`](Self::completed). Where patience ran out: [`Error::is_timed_out`] where the job
    /// had not finished, or what the last try met.
    pub fn wait<J: Job>(
        &self,
        receipt: &Receipt<J>,
        patience: Duration,
    ) -> Result<Completed<J>, Error> {
        match self.0.look_up(receipt, patience)? {
            Some(finished) => Completed::new(finished),
            None => Err(Error::impatient(receipt.number(), patience.as_millis())),
        }
    }

    /// Cancels a job: see [`Manager::cancel`](crate::Manager::cancel). Sent once.
    ///
    /// # Durability
    /// The cancellation, or the request for it, is in the host's store when this returns.
    ///
    /// # Errors
    /// As [`status`](Self::status), and where the job has finished: [`Error::illegal_state`]. Where the
    /// answer was lost: [`Error::is_unknown`].
    pub fn cancel<J>(&self, receipt: &Receipt<J>) -> Result<(), Error> {
        self.0.tell("cancel", &Method::POST, receipt, "/cancel")
    }

    /// Runs a finished job again: see [`Manager::retry`](crate::Manager::retry). Sent once.
    ///
    /// # Durability
    /// The job is ready in the host's store when this returns.
    ///
    /// # Errors
    /// As [`status`](Self::status), and as [`Manager::retry`](crate::Manager::retry). Where the answer
    /// was lost: [`Error::is_unknown`].
    pub fn retry<J>(&self, receipt: &Receipt<J>) -> Result<(), Error> {
        self.0.tell("retry", &Method::POST, receipt, "/retry")
    }

    /// Deletes a job and everything about it: see [`Manager::remove`](crate::Manager::remove). Sent
    /// once.
    ///
    /// # Durability
    /// The job is gone from the host's store when this returns.
    ///
    /// # Errors
    /// As [`status`](Self::status), and where a worker has the job: [`Error::illegal_state`]. Where the
    /// answer was lost: [`Error::is_unknown`].
    pub fn remove<J>(&self, receipt: &Receipt<J>) -> Result<(), Error> {
        self.0.tell("remove", &Method::DELETE, receipt, "")
    }

    /// Jobs of one state on the server of that name, page by page: see
    /// [`Manager::jobs`](crate::Manager::jobs). A host gives at most 1,000 at a time.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn jobs(
        &self,
        server: &str,
        state: StateKind,
        after: Option<JobNumber>,
        limit: usize,
    ) -> Result<Page, Error> {
        self.0.jobs(server, state, after, limit)
    }
}

impl Enqueue for Client {
    fn accept(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, Error> {
        self.0.create(drafts)
    }

    fn look_up(&self, receipt: &Receipt, patience: Duration) -> Result<Option<Finished>, Error> {
        self.0.look_up(receipt, patience)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("pools", &self.0.pools)
            .field("servers", &self.0.servers)
            .finish_non_exhaustive()
    }
}
