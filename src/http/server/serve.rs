//! A server that listens by itself, on threads of its own.
//!
//! The end, in this order: `/v1/health` says so; the notice passes; nobody is let in any more, and who waits
//! for the end of a job is told how it stands; no job starts any more; requests are finished; the manager is
//! shut down.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Request, Version, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::super::problem::Code;
use super::answer::Refusal;
use super::limits::Limits;
use super::linger::Linger;
use super::patience::{Patient, Stage};
use super::rest::lend;
use super::work;
use super::{Host, Leaving, Server, routes};
use crate::clock::Clock;
use crate::runtime::{Signal, Woken};
use crate::sync::Mutex;
use crate::{Error, Shutdown};

/// So many descriptors are left for the store and everything else of the process.
const RESERVE: usize = 64;

/// So many of those that are turned away may be read on at once: they are none of the connections that are
/// counted, and have their descriptors from the reserve.
const TURNED_AWAY: usize = RESERVE / 2;

/// How long the server waits to accept another connection where the system could not give it one.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A server that listens: see [`Server::serve`]. Dropped, it breaks off what it has, and leaves the manager
/// alone.
pub struct Serving {
    host: Arc<Host>,
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stopped: Arc<Stopped>,
}

/// On so many threads connections are served, each on one of them.
const THREADS: usize = 2;

impl Server {
    /// Listens at `address`, on threads of its own, and returns at once. The server speaks plain HTTP;
    /// leave TLS to the balancer before it.
    ///
    /// # Errors
    /// Where nobody can listen there, a token is none, or a thread cannot be started; and without a
    /// [`token`](Self::token), where the address can be reached from another machine.
    pub fn serve(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Serving, Error> {
        let act = format!("listen at {address:?}");
        let failed = |cause: io::Error| Error::host(&act, cause);
        if let Some(fault) = self.tokens.fault() {
            return Err(Error::host(&act, fault));
        }
        let listener = TcpListener::bind(&address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if self.tokens.is_empty() && !self.open && !address.ip().is_loopback() {
            return Err(Error::host(
                &act,
                "without a token everybody who reaches it could create jobs: give one with \
                 `Server::token`, or listen at 127.0.0.1",
            ));
        }
        listener.set_nonblocking(true).map_err(failed)?;
        let host = self.host().map_err(failed)?;
        // Dropped where something fails below, it ends what was begun.
        let serving = Serving {
            host: Arc::clone(&host),
            address,
            connections: Arc::default(),
            stopped: Arc::default(),
        };
        let accepting = Accepting {
            router: routes(&host),
            most: most(&host.limits),
            limits: host.limits.clone(),
            open: Arc::clone(&serving.connections),
            turned_away: Arc::default(),
            leaving: host.leaving.subscribe(),
        };
        for number in 1..=THREADS {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(failed)?;
            let listener = listener.try_clone().map_err(failed)?;
            let (accepting, serves) = (accepting.clone(), Serves::count(&serving.stopped));
            let mut leaving = host.leaving.subscribe();
            let serve = move || {
                let _serves = serves;
                runtime.block_on(async {
                    tokio::select! {
                        () = accepting.run(listener) => {}
                        () = Leaving::until(&mut leaving, Leaving::Over) => {}
                    }
                });
            };
            work::start(&format!("jobkeep-http-{number}"), serve).map_err(failed)?;
        }
        Ok(serving)
    }
}

/// As many connections as are wanted and the system has descriptors for.
fn most(limits: &Limits) -> usize {
    limits
        .connections
        .min(descriptors().saturating_sub(RESERVE))
        .max(1)
}

/// How many the process may have open.
#[cfg(unix)]
fn descriptors() -> usize {
    use rustix::process::{Resource, getrlimit};
    let most = getrlimit(Resource::Nofile).current;
    most.and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn descriptors() -> usize {
    usize::MAX
}

/// The task that accepts connections, on each of the threads.
#[derive(Clone)]
struct Accepting {
    router: Router,
    limits: Limits,
    most: usize,
    open: Arc<AtomicUsize>,
    turned_away: Arc<AtomicUsize>,
    leaving: watch::Receiver<Leaving>,
}

impl Accepting {
    async fn run(self, listener: TcpListener) {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
            return;
        };
        let mut server = http1::Builder::new();
        server.max_buf_size(self.limits.header.max(8 << 10));
        // Who has no more to say may still want to hear.
        server.half_close(true);
        let mut leaving = self.leaving.clone();
        let graceful = GracefulShutdown::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.take(stream, &server, &graceful),
                    Err(cause) if is_of_one(&cause) => {}
                    // No descriptor is left, or no memory: those that are open go on.
                    Err(_) => tokio::time::sleep(EXHAUSTED).await,
                },
                () = Leaving::now(&mut leaving) => break,
            }
        }
        drop(listener);
        graceful.shutdown().await;
    }

    fn take(&self, stream: TcpStream, server: &http1::Builder, graceful: &GracefulShutdown) {
        let open = Open::count(&self.open);
        if self.open.load(Ordering::Relaxed) > self.most {
            self.turn_away(stream);
            return;
        }
        // Answers are small and whole.
        let _ = stream.set_nodelay(true);
        let stage = Stage::new();
        let (limits, leaving) = (self.limits.clone(), self.leaving.clone());
        let connection = Patient::new(TokioIo::new(stream), stage.clone(), limits, leaving);
        let router = TowerToHyperService::new(self.router.clone());
        // Near the limit nobody keeps a connection, so that others come in between.
        let (open_now, kept) = (Arc::clone(&self.open), self.most / 4 * 3);
        let service = hyper::service::service_fn(move |request| {
            stage.works();
            let is_named = is_named(&request);
            let (request, rest) = lend(request);
            let answer = is_named.then(|| router.call(request));
            let stage = stage.clone();
            let is_crowded = open_now.load(Ordering::Relaxed) > kept;
            async move {
                let mut answer = if let Some(answer) = answer {
                    answer.await
                } else {
                    let told = "an HTTP/1.1 request must have exactly one `host` header";
                    Ok(Refusal::new(Code::Malformed, told).into_response())
                };
                let is_read = rest.read().await;
                if !is_read {
                    stage.leaves_the_rest();
                }
                if (is_crowded || !is_read)
                    && let Ok(answer) = &mut answer
                {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(header::CONNECTION, close);
                }
                stage.rests();
                answer
            }
        });
        let connection = graceful.watch(server.serve_connection(connection, service));
        tokio::spawn(async move {
            let _open = open;
            // Who breaks off knows it.
            let _ = connection.await;
        });
    }

    /// Tells a connection too many so, and closes it.
    fn turn_away(&self, stream: TcpStream) {
        let refusal = Refusal::new(Code::Full, "too many connections are open");
        // As far as it goes without waiting.
        let _ = stream.try_write(&refusal.retry_after(1).bytes());
        let turned_away = Open::count(&self.turned_away);
        if self.turned_away.load(Ordering::Relaxed) <= TURNED_AWAY {
            let linger = Linger::new(&self.limits, self.leaving.clone());
            tokio::spawn(async move {
                let _turned_away = turned_away;
                linger.close(TokioIo::new(stream)).await;
            });
        }
    }
}

/// It names the host that it is for, and one only: RFC 9112, 3.2.
fn is_named(request: &Request<Incoming>) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11)
}

/// The client has gone already: the next one may be there.
fn is_of_one(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// A connection that is counted.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn count(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether all threads that serve have ended, and with them all requests.
#[derive(Debug, Default)]
struct Stopped {
    serving: Mutex<usize>,
    signal: Signal,
}

/// A thread that serves.
struct Serves(Arc<Stopped>);

impl Serves {
    fn count(stopped: &Arc<Stopped>) -> Self {
        *stopped.serving.lock() += 1;
        Self(Arc::clone(stopped))
    }
}

impl Drop for Serves {
    fn drop(&mut self) {
        let mut serving = self.0.serving.lock();
        debug_assert!(*serving > 0);
        *serving = serving.saturating_sub(1);
        drop(serving);
        self.0.signal.wake_all();
    }
}

impl Serving {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many requests wait for the end of a job.
    pub fn waiting(&self) -> usize {
        let free = self.host.long_polls.available_permits();
        self.host.limits.long_polls.saturating_sub(free)
    }

    /// How many bytes are counted at the moment for bodies and answers, of those that
    /// [`memory_limit`](Server::memory_limit) says.
    pub fn memory(&self) -> usize {
        self.host.memory.held()
    }

    /// Ends the server, and then the manager: `/v1/health` answers 503 for as long as
    /// [`Server::notice`] says; then nobody is let in and no job starts any more, requests that are there
    /// are finished, and the manager is shut down with what is left of the grace. Do not call it on a
    /// thread of an async runtime: it blocks.
    ///
    /// # Errors
    /// As [`Manager::shutdown`](crate::Manager::shutdown).
    pub fn shutdown(self, grace: Duration) -> Result<Shutdown, Error> {
        // The time of sockets, which no manual clock drives.
        let clock = Clock::system();
        let until = clock
            .now()
            .steady
            .after(self.host.limits.notice)
            .after(grace);
        self.host.leaving.send_replace(Leaving::Soon);
        self.stopped.wait(&clock, self.host.limits.notice);
        self.host.leaving.send_replace(Leaving::Now);
        // A job of another host may take all of the grace, which is that of our own jobs too.
        self.host.manager.shared().halt();
        let left = || until.since(clock.now().steady);
        self.stopped.wait(&clock, left());
        self.end();
        self.host.manager.shutdown(left())
    }

    fn end(&self) {
        self.host.leaving.send_replace(Leaving::Over);
    }
}

impl Stopped {
    /// Waits for the end, so long at most.
    fn wait(&self, clock: &Clock, time: Duration) {
        let until = clock.now().steady.after(time);
        let mut serving = self.serving.lock();
        while *serving > 0 && self.signal.wait(&mut serving, clock, Some(until)) == Woken::Called {}
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
