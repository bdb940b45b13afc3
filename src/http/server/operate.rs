//! What an operator does with jobs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response};
use serde::Deserialize;

use super::super::problem::Code;
use super::super::wire;
use super::Host;
use super::answer::{Refusal, done};
use super::body::{Held, read};
use super::guard::Role;
use super::query::{Named, Parameters};
use super::show;
use crate::manager::awaited::Pending;
use crate::{Draft, JobNumber, Manager, Receipt, StateKind};

/// `POST /v1/jobs/{receipt}/cancel`
pub(super) async fn cancel(
    State(host): State<Arc<Host>>,
    Named(receipt): Named,
    headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    host.act(&headers, receipt, Manager::cancel_async).await
}

/// `POST /v1/jobs/{receipt}/retry`
pub(super) async fn retry(
    State(host): State<Arc<Host>>,
    Named(receipt): Named,
    headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    host.act(&headers, receipt, Manager::retry_async).await
}

/// `PUT /v1/jobs/{receipt}/payload`
pub(super) async fn amend(
    State(host): State<Arc<Host>>,
    Named(receipt): Named,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    host.tokens.check(request.headers(), &[Role::Operate])?;
    let receipt = host.receipt(&receipt?)?;
    let refused = |error| host.refusal_about(&receipt, &error);
    let Held { bytes, room } = host.body(request).await?;
    let status = host.manager.status_async(&receipt).await;
    let name = status.map_err(refused)?.name().to_owned();
    let stored = name.clone();
    let draft = host.decoded(bytes, move |host, body| {
        let wire::Object(wire::Amendment { payload, bincode }) = read(body, host.limits.depth)?;
        let sent = (payload.as_deref(), bincode.as_deref());
        host.decode(&stored, sent, None)
    });
    let Draft { codec, payload, .. } = draft.await?;
    let amended = host.manager.amend_encoded(&receipt, name, codec, payload);
    amended.await.map_err(refused)?;
    drop(room);
    Ok(done())
}

/// `DELETE /v1/jobs/{receipt}`
pub(super) async fn remove(
    State(host): State<Arc<Host>>,
    Named(receipt): Named,
    headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    host.act(&headers, receipt, Manager::remove_async).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    state: StateKind,
    after: Option<u64>,
    limit: Option<usize>,
}

/// So many jobs at most stand on a page.
const MOST: usize = 1_000;

/// `GET /v1/jobs`
pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Parameters(listing): Parameters<Listing>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    host.tokens
        .check(&headers, &[Role::Operate, Role::ReadAll])?;
    let Listing {
        state,
        after,
        limit,
    } = listing?;
    let limit = limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        let told = format_args!("`limit` must be between 1 and {MOST}");
        return Err(Refusal::new(Code::Malformed, told));
    }
    let lists = Arc::clone(&host);
    // Reads rows, and asks the committer as a thread does, which may wait for the disk: nobody else is to
    // wait with it.
    let page = move || {
        let page = lists.manager.jobs(state, after.map(JobNumber), limit);
        let page = page.map_err(|error| lists.refusal(&error))?;
        lists.shown(&wire::Page {
            jobs: page.jobs().iter().map(show::listed).collect(),
            next: page.cursor().map(|number| number.0),
            damaged: page.damaged().iter().map(|number| number.0).collect(),
        })
    };
    host.listers.run(page).await
}

impl Host {
    /// Does it with a job, for one who may.
    async fn act(
        &self,
        headers: &HeaderMap,
        receipt: Result<String, Refusal>,
        act: fn(&Manager, &Receipt) -> Pending<()>,
    ) -> Result<Response<Body>, Refusal> {
        self.tokens.check(headers, &[Role::Operate])?;
        let receipt = self.receipt(&receipt?)?;
        let answer = act(&self.manager, &receipt).await;
        answer.map_err(|error| self.refusal_about(&receipt, &error))?;
        Ok(done())
    }
}
