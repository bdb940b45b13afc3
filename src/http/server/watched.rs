//! Around every request: a panic becomes an answer, and a line is written for who asked for it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::{Method, Request, Response, StatusCode};
use axum::middleware::Next;
use axum::response::IntoResponse;

use super::super::problem::Code;
use super::answer::Refusal;
use super::{Host, Server};
use crate::runtime;

/// One request, for a log: see [`Server::log`]. Nothing in it is a secret: no payload, no receipt, no token.
#[derive(Debug)]
pub struct Answered {
    method: Method,
    route: Option<MatchedPath>,
    status: StatusCode,
    code: Option<&'static str>,
    taken: Duration,
}

impl Answered {
    /// The method.
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// The route, such as `/v1/jobs/{receipt}`: never the path itself. `None` where there is no such path.
    pub fn route(&self) -> Option<&str> {
        self.route.as_ref().map(MatchedPath::as_str)
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The code of the problem, where the request was refused.
    pub fn code(&self) -> Option<&str> {
        self.code
    }

    /// How long it took, to the millisecond.
    pub fn taken(&self) -> Duration {
        self.taken
    }
}

/// As a line: `POST /v1/jobs 201 in 3 ms`.
impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, status) = (&self.method, self.status.as_u16());
        let route = self.route().unwrap_or("(no such path)");
        write!(f, "{method} {route} {status}")?;
        if let Some(code) = self.code {
            write!(f, " {code}")?;
        }
        write!(f, " in {} ms", self.taken.as_millis())
    }
}

/// What is told of every request.
pub(super) type Log = Box<dyn Fn(&Answered) + Send + Sync>;

impl Server {
    /// Tells `log` of every request when it is answered; nobody is told by default. It is called on the
    /// threads that answer, so it should not wait for anything.
    ///
    /// ```
    /// # use jobkeep::{Manager, MemoryStore, http::Server};
    /// # let manager = Manager::builder(MemoryStore::new()).start()?;
    /// let server = Server::new(&manager).log(|answered| eprintln!("{answered}"));
    /// # Ok::<(), jobkeep::Error>(())
    /// ```
    pub fn log(mut self, log: impl Fn(&Answered) + Send + Sync + 'static) -> Self {
        self.log = Some(Box::new(log));
        self
    }
}

/// The layer.
pub(super) async fn watched(
    State(host): State<Arc<Host>>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let clock = &host.manager.shared().clock;
    let begun = clock.now().steady;
    let noted = host.log.as_ref().map(|log| {
        let route = request.extensions().get::<MatchedPath>().cloned();
        (log, request.method().clone(), route)
    });
    let answer = Caught(Box::pin(next.run(request))).await;
    if let Some((log, method, route)) = noted {
        let answered = Answered {
            method,
            route,
            status: answer.status(),
            code: answer.extensions().get::<Code>().map(|code| code.as_str()),
            taken: clock.now().steady.since(begun),
        };
        // What it throws is no reason to leave a request without its answer.
        drop(runtime::catch(|| log(&answered)));
    }
    answer
}

/// An answer whose making may panic: a defect of ours, or of a job type's own code.
struct Caught<F>(Pin<Box<F>>);

impl<F: Future<Output = Response<Body>>> Future for Caught<F> {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        runtime::catch(|| self.0.as_mut().poll(context)).unwrap_or_else(|_| {
            let refusal = Refusal::new(Code::Internal, "internal error");
            Poll::Ready(refusal.into_response())
        })
    }
}
