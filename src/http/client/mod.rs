//! Jobs sent to other hosts.

mod address;
mod ask;
mod builder;
mod create;
mod exchange;
mod lookup;
mod pool;
mod push;
mod read;
mod refused;
mod waiting;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Method;

pub use builder::ClientBuilder;
pub use pool::Pool;
pub use push::Push;

use crate::batch::unfold;
use crate::enqueue::{drafts, first};
use crate::finished::{Completed, Finished, Status};
use crate::page::Page;
use crate::{Batch, Draft, Enqueue, Error, IntoNewJob, Job, JobNumber, Receipt, StateKind};
use address::Servers;
use exchange::Exchange;
use pool::Pools;
use waiting::Waiting;

/// Sends jobs to hosts, and asks the host that took one how it ended. A handle, cheap to clone and to
/// share; all clones share their connections. Calls block, as those of a [`Manager`](crate::Manager) do.
///
#[cfg_attr(feature = "http-server", doc = "```")]
#[cfg_attr(not(feature = "http-server"), doc = "```ignore")]
/// use std::time::Duration;
/// use jobkeep::http::{Client, Pool, Server};
/// use jobkeep::{Context, Job, JobError, Manager, MemoryStore, Run};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Greet { name: String }
///
/// impl Job for Greet {
///     const NAME: &'static str = "greet";
///     type Output = String;
/// }
///
/// impl Run for Greet {
///     fn run(&mut self, _ctx: &Context) -> Result<String, JobError> {
///         Ok(format!("Hello, {}!", self.name))
///     }
/// }
///
/// // The host.
/// let manager = Manager::builder(MemoryStore::new()).server("web-1").register::<Greet>().start()?;
/// let serving = Server::new(&manager).serve("127.0.0.1:0")?;
///
/// // Whoever has jobs.
/// let client = Client::builder(Pool::host(format!("http://{}", serving.address()))).build()?;
/// let receipt = client.enqueue(Greet { name: "Ada".into() })?;
/// let done = client.wait(&receipt, Duration::from_secs(30))?;
/// assert_eq!(done.output()?, "Hello, Ada!");
/// # serving.shutdown(Duration::from_secs(10))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Where jobs go, and where they are asked for
///
/// A new job goes to a [`Pool`]: a balancer's URL, and whatever stands behind it today. The host that gets
/// it queues it on itself and names itself in the receipt. Later the client asks that server, where its
/// own configuration says that it is:
///
/// ```
/// use jobkeep::http::{Client, Pool};
///
/// let client = Client::builder("https://jobs.example.org")
///     .pool(Pool::new("https://images.example.org").job("thumbnail"))
///     .server("web-1", "http://10.0.0.1:8081")                 // a table of servers,
///     .servers("http://{server}.internal:8081")                // and a pattern for the others
///     .token("s3cret")
///     .plain_http(true)                                        // as far as the network is ours
///     .build()?;
/// # Ok::<(), jobkeep::Error>(())
/// ```
///
/// An address that came over the wire is never followed. A server that neither table nor pattern knows
/// is [unknown](Error::is_unknown_server). Without table and pattern the first pool is asked, which suits
/// a single host, or several [`hosts`](Pool::hosts); a balancer leads to any of its hosts, and one that has
/// not given the receipt [says so](Error::is_other_server).
///
/// # What is sent twice, and when a job is made twice
///
/// A job without an [idempotency key](crate::NewJob::key) gets one from the client, a random one for each call, so
/// that a request that comes twice to one host makes one job there. Keys are each host's own: a request
/// that comes to *two* hosts makes two jobs. A host keeps such a key
/// [as long](crate::Builder::key_retention) as any other. So:
///
/// - What was certainly not accepted is sent again, as long as [`patience`](ClientBuilder::patience) lasts:
///   no connection came about, not all of the request was sent, or a host said that its inbox is full, that
///   it shuts down or that its store refuses. A host that says when to come again is not asked before.
/// - Where the answer was lost (the connection broke, no answer came in time, or the balancer answers 502 or
///   504, or 5xx in words of its own) a host may have accepted the job. Through a balancer it is *not* sent
///   again, and the error [is unknown](Error::is_unknown). To a [`host`](Pool::host) of which the client
///   knows that it is one it is sent again, and makes one job.
/// - With [`repeat_unanswered`](ClientBuilder::repeat_unanswered) it is sent again through a balancer too.
///   That makes the job twice where the balancer chooses another host than the first time, and the first
///   one had accepted it. The same happens where the application enqueues again after such an error, even
///   with a key of its own; and where the balancer itself repeats requests: nginx does so for a `POST` only
///   with `proxy_next_upstream non_idempotent`.
///
/// A [buffered](crate::Durability::Buffered) job gets no key, because with one it would wait for its commit,
/// and is not sent again where an answer was lost. Where a host buffers by default, its jobs from a client
/// wait for their commit all the same.
///
/// Looking at a job changes nothing, and is repeated as long as its caller's patience lasts: also where a
/// balancer says 404, as it may while hosts are exchanged, or 429. Cancelling, retrying, amending and removing
/// are sent once.
///
/// # Connections
///
/// They are kept and used again, at most 64 to one host, and none that rested for 4 s or that the other
/// side has closed. Where it closes one in the same moment in which a request goes out, the answer is lost:
/// let servers and balancers keep idle connections for longer than 5 s, which most do. TLS is rustls, with
/// Mozilla's authorities or [your own](ClientBuilder::root_certificate). A proxy is not used, whatever the
/// environment says; redirects are not followed. A token never shows in errors and `Debug`.
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

    /// Sends one job, or a [`NewJob`](crate::NewJob) with its options.
    ///
    /// # Durability
    /// The job is in the store of its host, to the degree that [`Receipt::durability`] names, when this
    /// returns.
    ///
    /// # Errors
    /// Where no host accepted it: as [`Manager::enqueue`](crate::Manager::enqueue), and
    /// [`Error::is_unreachable`], [`Error::is_denied`], [`Error::is_too_many`]. Where the answer was
    /// lost, so that it may have been accepted: [`Error::is_unknown`].
    pub fn enqueue<N: IntoNewJob>(&self, job: N) -> Result<Receipt<N::Job>, Error> {
        let draft = job.into_new_job().draft()?;
        first(self.0.create(vec![draft])?).map(Receipt::typed)
    }

    /// Sends several jobs to one host: all or none, in their order.
    ///
    /// # Durability
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), for any one of them; and where they belong to different pools.
    pub fn enqueue_all<N: IntoNewJob>(
        &self,
        jobs: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Receipt<N::Job>>, Error> {
        let drafts = drafts(jobs)?;
        let receipts = self.0.create(drafts)?;
        Ok(receipts.into_iter().map(Receipt::typed).collect())
    }

    /// Sends jobs of several types to one host, all or none, in their order: see [`Batch`].
    ///
    /// # Durability
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Errors
    /// As [`enqueue_all`](Self::enqueue_all).
    pub fn enqueue_batch<B: Batch>(&self, batch: B) -> Result<B::Receipts, Error> {
        let (drafts, take) = unfold(batch)?;
        take(&mut self.0.create(drafts)?.into_iter())
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
    /// As [`completed`](Self::completed). Where the job is parked, or becomes so, at once
    /// [`Error::is_parked`]. Where patience ran out: [`Error::is_timed_out`] where the job had not finished, or
    /// what the last try met.
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
        self.0
            .tell("cancel", &Method::POST, receipt, "/cancel", Some(&[]))
    }

    /// Runs a finished job again, or lets a parked one run: see [`Manager::retry`](crate::Manager::retry). Sent once.
    ///
    /// # Durability
    /// The job is ready in the host's store when this returns.
    ///
    /// # Errors
    /// As [`status`](Self::status), and as [`Manager::retry`](crate::Manager::retry). Where the answer
    /// was lost: [`Error::is_unknown`].
    pub fn retry<J>(&self, receipt: &Receipt<J>) -> Result<(), Error> {
        self.0
            .tell("retry", &Method::POST, receipt, "/retry", Some(&[]))
    }

    /// Gives a job another payload, and lets it run where it is parked: see
    /// [`Manager::amend`](crate::Manager::amend). The host decodes it as the type that it has registered under
    /// the job's name. Sent once.
    ///
    /// # Durability
    /// The payload is in the host's store when this returns.
    ///
    /// # Errors
    /// As [`status`](Self::status), and as [`Manager::amend`](crate::Manager::amend); where the host's type does
    /// not take the payload: [`Error::is_codec`]. Where the answer was lost: [`Error::is_unknown`].
    pub fn amend<J: Job>(&self, receipt: &Receipt<J>, job: &J) -> Result<(), Error> {
        let body = create::amendment(receipt.number(), job)?;
        let (method, path) = (&Method::PUT, "/payload");
        self.0.tell("amend", method, receipt, path, Some(&body))
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
        self.0.tell("remove", &Method::DELETE, receipt, "", None)
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
