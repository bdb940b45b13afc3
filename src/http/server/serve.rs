//! A server that listens by itself, on threads of its own.

use std::fmt;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::{Host, Server, routes};
use crate::{Error, Shutdown};

/// A server that listens: see [`Server::serve`].
pub struct Serving {
    host: Arc<Host>,
    address: SocketAddr,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    stopped: Option<oneshot::Receiver<()>>,
}

impl Server {
    /// Listens at `address`, on threads of its own, and returns at once. The server speaks plain HTTP;
    /// leave TLS to the balancer before it.
    ///
    /// # Errors
    /// Where nobody can listen there; and without a [`token`](Self::token), where the address can be
    /// reached from another machine.
    pub fn serve(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Serving, Error> {
        let act = format!("listen at {address:?}");
        let failed = |cause: std::io::Error| Error::host(&act, cause);
        let listener = TcpListener::bind(&address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if self.tokens.is_empty() && !address.ip().is_loopback() {
            return Err(Error::host(
                &act,
                "without a token everybody who reaches it could create jobs: give one with \
                 `Server::token`, or listen at 127.0.0.1",
            ));
        }
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("jobkeep-http")
            .enable_all()
            .build()
            .map_err(failed)?;
        let host = self.host();
        let (stop, told) = oneshot::channel();
        let (ended, stopped) = oneshot::channel();
        let accepting = accept(Arc::clone(&host), listener, told, ended);
        runtime.spawn(accepting);
        Ok(Serving {
            host,
            address,
            runtime: Some(runtime),
            stop: Some(stop),
            stopped: Some(stopped),
        })
    }
}

async fn accept(
    host: Arc<Host>,
    listener: TcpListener,
    mut told: oneshot::Receiver<()>,
    ended: oneshot::Sender<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let router = routes(host);
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10));
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let service = TowerToHyperService::new(router.clone());
                let connection = server.serve_connection(TokioIo::new(stream), service);
                let connection = graceful.watch(connection);
                tokio::spawn(async move {
                    // Who breaks off knows it.
                    let _ = connection.await;
                });
            }
            _ = &mut told => break,
        }
    }
    drop(listener);
    graceful.shutdown().await;
    let _ = ended.send(());
}

impl Serving {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says on `/v1/health` that it leaves, takes no connection any more, finishes the requests that
    /// are there, and then shuts the manager down.
    ///
    /// # Errors
    /// As [`Manager::shutdown`](crate::Manager::shutdown).
    pub fn shutdown(mut self, grace: Duration) -> Result<Shutdown, Error> {
        self.host.is_leaving.store(true, Ordering::Release);
        self.stop(grace);
        self.host.manager.shutdown(grace)
    }

    fn stop(&mut self, grace: Duration) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let (Some(runtime), Some(stopped)) = (self.runtime.take(), self.stopped.take()) {
            let _ = runtime.block_on(async { tokio::time::timeout(grace, stopped).await });
            runtime.shutdown_background();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
