//! A manager on the wire.

mod answer;
mod ask;
mod create;
mod guard;
mod operate;
mod serve;
mod show;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};

pub use guard::Role;
pub use serve::Serving;

use crate::Manager;
use answer::Refusal;
use guard::Tokens;

use super::problem::Code;

/// Answers requests of the remote protocol with a [`Manager`], and adds no behaviour to its queue.
///
/// Either [`serve`](Self::serve) it, or nest its [`router`](Self::router) into an axum application of
/// your own.
#[derive(Debug)]
pub struct Server {
    manager: Manager,
    tokens: Tokens,
    limits: Limits,
}

/// What requests may take.
#[derive(Clone, Debug)]
struct Limits {
    body: usize,
    depth: usize,
    long_poll: Duration,
}

/// What all requests share.
struct Host {
    manager: Manager,
    tokens: Tokens,
    limits: Limits,
    /// Set before anything else of the shutdown, so that balancers send nothing any more.
    is_leaving: AtomicBool,
}

impl Server {
    /// A server for the jobs of `manager`, which keeps its name in receipts:
    /// [`Builder::server`](crate::Builder::server).
    pub fn new(manager: &Manager) -> Self {
        Self {
            manager: manager.clone(),
            tokens: Tokens::default(),
            limits: Limits {
                body: 2 << 20,
                depth: 64,
                long_poll: Duration::from_secs(25),
            },
        }
    }

    /// Lets in who has this token, to do what belongs to the roles. Several may be valid at a time, so
    /// that one can be exchanged without a gap.
    pub fn token(
        mut self,
        token: impl Into<String>,
        roles: impl IntoIterator<Item = Role>,
    ) -> Self {
        self.tokens.add(token.into(), roles);
        self
    }

    /// The routes, all below `/v1`, for an axum application.
    pub fn router(self) -> Router {
        routes(self.host())
    }

    fn host(self) -> Arc<Host> {
        Arc::new(Host {
            manager: self.manager,
            tokens: self.tokens,
            limits: self.limits,
            is_leaving: AtomicBool::new(false),
        })
    }
}

fn routes(host: Arc<Host>) -> Router {
    let job = get(ask::job).delete(operate::remove);
    Router::new()
        .route("/v1/jobs", post(create::one).get(operate::list))
        .route("/v1/batches", post(create::batch))
        .route("/v1/jobs/{receipt}", job)
        .route("/v1/jobs/{receipt}/cancel", post(operate::cancel))
        .route("/v1/jobs/{receipt}/retry", post(operate::retry))
        .route("/v1/health", get(watch::health))
        .route("/v1/stats", get(watch::stats))
        .fallback(async || Refusal::new(Code::NoSuchPath, "there is no such path"))
        .method_not_allowed_fallback(async || {
            Refusal::new(Code::MethodNotAllowed, "the path does not take this method")
        })
        .with_state(host)
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}
