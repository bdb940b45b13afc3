//! For balancers and operators.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};

use super::super::problem::Code;
use super::super::wire;
use super::answer::{Refusal, json};
use super::guard::Role;
use super::{Host, Leaving};
use crate::Health;

/// `GET /v1/health`: for everybody, so without the store's own words.
pub(super) async fn health(State(host): State<Arc<Host>>) -> Response<Body> {
    let server = host.manager.server().into();
    let is_here = *host.leaving.borrow() == Leaving::No;
    let takes_in = host.manager.shared().inbox.is_open();
    let (state, since, reason) = match (is_here, host.manager.health()) {
        (true, Health::Working) if takes_in => ("working", None, None),
        (true, Health::Refusing { since, .. }) => (
            "refusing",
            Some(since.0),
            Some("the store refuses writes: the host tries again by itself"),
        ),
        (true, Health::Stalled { since }) => (
            "stalled",
            Some(since.0),
            Some("the store does not answer: the host goes on when it does"),
        ),
        (true, Health::Poisoned { since, .. }) => (
            "poisoned",
            Some(since.0),
            Some("the store has failed: the host is to be started again"),
        ),
        _ => ("shutting_down", None, Some("the host is shutting down")),
    };
    let ready = reason.is_none();
    let health = wire::Health {
        server,
        live: true,
        ready,
        state: state.into(),
        since_ms: since,
        reasons: reason.into_iter().map(Into::into).collect(),
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &health)
}

/// Every other path. `OPTIONS /` is what HAProxy asks where it is not told what to ask for.
pub(super) async fn elsewhere(
    state: State<Arc<Host>>,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let is_check = request.method() == Method::OPTIONS && matches!(request.uri().path(), "/" | "*");
    if is_check {
        return Ok(health(state).await);
    }
    Err(Refusal::new(Code::NoSuchPath, "there is no such path"))
}

/// `GET /v1/stats`
pub(super) async fn stats(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    host.tokens
        .check(&headers, &[Role::Operate, Role::ReadAll])?;
    let manager = &host.manager;
    let counts = manager.counts_async().await;
    let counts = counts.map_err(|error| host.refusal(&error))?;
    let paused = manager.paused_async().await;
    let stats = wire::Stats {
        server: manager.server().into(),
        scheduled: counts.scheduled,
        ready: counts.ready,
        running: counts.running,
        parked: counts.parked,
        succeeded: counts.succeeded,
        failed: counts.failed,
        cancelled: counts.cancelled,
        damaged: counts.damaged,
        stuck: manager.stuck().len() as u64,
        paused: paused.map_err(|error| host.refusal(&error))?,
    };
    Ok(json(StatusCode::OK, &stats))
}
