//! Where a job stands, and its end as soon as it has one.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;

use super::answer::{Refusal, json};
use super::guard::Role;
use super::query::{Named, Parameters};
use super::show;
use super::{Host, Leaving};
use crate::finished::Finished;
use crate::manager::awaited::Ended;
use crate::{Error, Receipt};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patience {
    #[serde(default)]
    wait_ms: u64,
}

/// `GET /v1/jobs/{receipt}`
pub(super) async fn job(
    State(host): State<Arc<Host>>,
    Named(receipt): Named,
    Parameters(patience): Parameters<Patience>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    host.tokens.check(&headers, &[Role::Read, Role::ReadAll])?;
    let (receipt, patience) = (host.receipt(&receipt?)?, patience?);
    let manager = &host.manager;
    let refused = |error| host.refusal_about(&receipt, &error);
    let mut finished = manager.look(&receipt).map_err(refused)?;
    if finished.is_none() && patience.wait_ms > 0 {
        let ended = manager.ended(&receipt).map_err(refused)?;
        finished = host
            .wait(ended, Duration::from_millis(patience.wait_ms))
            .await
            .transpose()
            .map_err(refused)?;
    }
    loop {
        if let Some(finished) = finished {
            return Ok(json(StatusCode::OK, &host.finished(&receipt, &finished)));
        }
        let status = manager.status_async(&receipt).await.map_err(refused)?;
        if !status.state().is_final() {
            return Ok(json(StatusCode::OK, &show::status(&receipt, &status)));
        }
        // It has finished meanwhile, and is shown with what is left of it.
        finished = manager.look(&receipt).map_err(refused)?;
    }
}

impl Host {
    /// The end of a job, if it comes in time. Else its caller learns how it stands: where the job is parked,
    /// the time is over, as many wait as may, or the host is about to end.
    async fn wait(&self, ended: Ended, patience: Duration) -> Option<Result<Finished, Error>> {
        let _permit = self.long_polls.try_acquire().ok()?;
        let mut leaving = self.leaving.subscribe();
        tokio::select! {
            // How a parked job stands is told like that of any other.
            ended = ended => Some(ended).filter(|ended| !ended.as_ref().is_err_and(Error::is_parked)),
            () = tokio::time::sleep(patience.min(self.limits.long_poll)) => None,
            () = Leaving::now(&mut leaving) => None,
        }
    }

    pub(super) fn receipt(&self, text: &str) -> Result<Receipt, Refusal> {
        text.parse().map_err(|error| self.refusal(&error))
    }

    pub(super) fn refusal(&self, error: &Error) -> Refusal {
        Refusal::of(error, self.manager.server())
    }

    pub(super) fn refusal_about(&self, receipt: &Receipt, error: &Error) -> Refusal {
        Refusal::about(receipt, error, self.manager.server())
    }
}
