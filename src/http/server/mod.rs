//! A manager on the wire.

mod answer;
mod ask;
mod body;
mod create;
mod execute;
mod guard;
mod limits;
mod linger;
mod operate;
mod patience;
mod query;
mod rest;
mod room;
mod serve;
mod show;
mod watch;
mod watched;
mod work;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, header};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use axum::{Router, middleware};
use tokio::sync::{Semaphore, watch as channel};

pub use guard::Role;
pub use serve::Serving;
pub use watched::Answered;

use super::problem::Code;
use crate::{Error, Manager};
use answer::Refusal;
use guard::Tokens;
use limits::Limits;
use room::Memory;
use watched::{Log, watched};
use work::Workers;

/// Answers requests of the remote protocol with a [`Manager`], and adds no behaviour to its queue.
///
/// ```
/// use std::time::Duration;
/// use jobkeep::http::{Role, Server};
/// # use jobkeep::{Context, Job, JobError, Manager, MemoryStore, Run};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Echo { text: String }
/// # impl Job for Echo { const NAME: &'static str = "echo"; type Output = String; }
/// # impl Run for Echo { fn run(&mut self, _: &Context) -> Result<String, JobError> { Ok(self.text.clone()) } }
/// # let secret = String::from("s3cret");
/// let manager = Manager::builder(MemoryStore::new())      // or RedbStore::open("jobs.redb")?
///     .server("web-1")                                    // each host has a name of its own
///     .register::<Echo>()
///     .start()?;
/// let serving = Server::new(&manager)
///     .token(secret, [Role::Create, Role::Read])
///     .serve("127.0.0.1:0")?;                             // or "0.0.0.0:8081"
/// println!("jobs at http://{}", serving.address());
/// serving.shutdown(Duration::from_secs(10))?;             // requests, and then the manager
/// # Ok::<(), jobkeep::Error>(())
/// ```
///
/// ```sh
/// curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \
///      -d '{"name":"echo","payload":{"text":"hello"}}' http://127.0.0.1:8081/v1/jobs
/// curl -H "Authorization: Bearer $TOKEN" "http://127.0.0.1:8081/v1/jobs/$RECEIPT?wait_ms=20000"
/// ```
///
/// | request | role | does |
/// |---|---|---|
/// | `POST /v1/jobs` | `create` | queues a job on this host |
/// | `POST /v1/batches` | `create` | queues several, all or none |
/// | `GET /v1/jobs/{receipt}` | `read`, `read_all` | how the job stands, and waits for its end up to `wait_ms` |
/// | `POST /v1/jobs/{receipt}/cancel`, `/retry` | `operate` | as [`Manager::cancel`], [`Manager::retry`] |
/// | `PUT /v1/jobs/{receipt}/payload` | `operate` | as [`Manager::amend`], decoded as the job's registered type first |
/// | `DELETE /v1/jobs/{receipt}` | `operate` | as [`Manager::remove`] |
/// | `GET /v1/jobs?state=failed` | `operate`, `read_all` | pages, as [`Manager::jobs`] |
/// | `GET /v1/stats` | `operate`, `read_all` | how many jobs stand where |
/// | `POST /v1/execute` | `execute` | runs a job of another host: see [`Queue::push_to`](crate::Queue) |
/// | `GET /v1/health` | none | whether to send requests here: 200 or 503 |
/// | `GET /v1/openapi.json` | none | all of this for programs |
///
/// Every refusal is a problem (RFC 9457) whose `code` stays the same; a full host answers 503 with
/// `Retry-After` and has accepted nothing. No answer may be kept by anybody on the way.
///
/// Tokens travel readable where nobody encrypts: put a balancer that speaks TLS before every server that
/// listens to more than its own machine.
///
/// | limit | default |
/// |---|---|
/// | [`body_limit`](Self::body_limit) | 2 MiB |
/// | [`memory_limit`](Self::memory_limit) of all requests together | 256 MiB |
/// | [`unwanted_limit`](Self::unwanted_limit) of a body that is refused | 64 MiB |
/// | [`header_limit`](Self::header_limit) | 16 KiB |
/// | [`depth_limit`](Self::depth_limit) of JSON | 64 levels |
/// | [`connections`](Self::connections) | 4,096, or what descriptors allow |
/// | [`header_timeout`](Self::header_timeout) | 10 seconds |
/// | [`body_timeout`](Self::body_timeout) | 30 seconds |
/// | [`idle_timeout`](Self::idle_timeout) | 75 seconds |
/// | [`longest_wait`](Self::longest_wait) | 25 seconds |
/// | [`long_polls`](Self::long_polls) at once | 1,024 |
/// | [`create_rate`](Self::create_rate) of a token | none |
/// | jobs of one batch, of one page | 10,000, 1,000; fixed |
///
/// A job type may say that it does not [come over HTTP](crate::Job::REMOTE); [`allow`](Self::allow) lifts
/// that.
pub struct Server {
    manager: Manager,
    tokens: Tokens,
    open: bool,
    allowed: BTreeSet<String>,
    limits: Limits,
    log: Option<Log>,
}

/// What all requests share.
struct Host {
    manager: Manager,
    tokens: Tokens,
    /// Names of jobs that are taken here though their types say otherwise.
    allowed: BTreeSet<String>,
    limits: Limits,
    log: Option<Log>,
    memory: Memory,
    workers: Workers,
    /// Who lists waits for the committer as well.
    listers: Workers,
    long_polls: Semaphore,
    leaving: channel::Sender<Leaving>,
}

/// How near the end of the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leaving {
    No,
    /// Balancers are told.
    Soon,
    /// Nobody is let in, and nobody waits.
    Now,
    /// What is left is broken off.
    Over,
}

impl Leaving {
    /// Waits for the end.
    async fn now(leaving: &mut channel::Receiver<Self>) {
        Self::until(leaving, Self::Now).await;
    }

    async fn until(leaving: &mut channel::Receiver<Self>, end: Self) {
        // Where nobody is left to say so, it is the end as well.
        drop(leaving.wait_for(|leaving| *leaving >= end).await);
    }
}

impl Server {
    /// A server for the jobs of `manager`, which keeps its name in receipts:
    /// [`Builder::server`](crate::Builder::server).
    pub fn new(manager: &Manager) -> Self {
        Self {
            manager: manager.clone(),
            tokens: Tokens::default(),
            open: false,
            allowed: BTreeSet::new(),
            limits: Limits::default(),
            log: None,
        }
    }

    /// Lets in who has this token, to do what belongs to the roles. Several may be valid at a time, so
    /// that one can be exchanged without a gap. A token should have 16 random bytes or more; it is compared in
    /// constant time, and shown nowhere.
    pub fn token(
        mut self,
        token: impl Into<String>,
        roles: impl IntoIterator<Item = Role>,
    ) -> Self {
        self.tokens.add(token.into(), roles);
        self
    }

    /// Lets in everybody where no token is given, wherever the server listens: for one that only those can
    /// reach who may do everything.
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Takes jobs of the type with this name, or once with it ([`Job::ALIASES`](crate::Job::ALIASES)), over
    /// HTTP, to be queued and to be executed, though their type says that they are not to come so
    /// ([`Job::REMOTE`](crate::Job::REMOTE)): whoever may create or execute jobs may then have this host do
    /// what they do.
    pub fn allow(mut self, name: impl Into<String>) -> Self {
        self.allowed.insert(name.into());
        self
    }

    /// The routes, all below `/v1`, for an axum application, whose own are then the limits of connections
    /// and the end of the manager.
    ///
    /// # Errors
    /// Where a token is none, or a thread cannot be started; and without any token, unless the server is [`open`](Self::open).
    pub fn router(self) -> Result<Router, Error> {
        const ACT: &str = "route requests to the server";
        if let Some(fault) = self.tokens.fault() {
            return Err(Error::host(ACT, fault));
        }
        if self.tokens.is_empty() && !self.open {
            return Err(Error::host(
                ACT,
                "without a token everybody who reaches it could create jobs: give one with \
                 `Server::token`, or say `Server::open` where the application checks who asks",
            ));
        }
        let host = self.host().map_err(|cause| Error::host(ACT, cause))?;
        Ok(routes(&host))
    }

    fn host(mut self) -> io::Result<Arc<Host>> {
        self.limits.long_polls = self.limits.long_polls.min(Semaphore::MAX_PERMITS);
        Ok(Arc::new(Host {
            memory: Memory::new(self.limits.memory),
            workers: Workers::start("jobkeep-http-work", work::cores())?,
            listers: Workers::start("jobkeep-http-list", 2)?,
            manager: self.manager,
            tokens: self.tokens,
            allowed: self.allowed,
            long_polls: Semaphore::new(self.limits.long_polls),
            limits: self.limits,
            log: self.log,
            leaving: channel::Sender::new(Leaving::No),
        }))
    }
}

fn routes(host: &Arc<Host>) -> Router {
    let job = get(ask::job).delete(operate::remove);
    Router::new()
        .route("/v1/jobs", post(create::one).get(operate::list))
        .route("/v1/batches", post(create::batch))
        .route("/v1/jobs/{receipt}", job)
        .route("/v1/jobs/{receipt}/cancel", post(operate::cancel))
        .route("/v1/jobs/{receipt}/retry", post(operate::retry))
        .route("/v1/jobs/{receipt}/payload", put(operate::amend))
        .route("/v1/execute", post(execute::execute))
        .route("/v1/health", get(watch::health).options(watch::health))
        .route("/v1/stats", get(watch::stats))
        .route("/v1/openapi.json", get(description))
        .fallback(watch::elsewhere)
        .method_not_allowed_fallback(async || {
            Refusal::new(Code::MethodNotAllowed, "the path does not take this method")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(host), watched))
        .with_state(Arc::clone(host))
}

/// `GET /v1/openapi.json`
async fn description() -> Response<Body> {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, include_str!("openapi.json")).into_response()
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("manager", &self.manager)
            .field("tokens", &self.tokens)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}
