//! Where a job stands, and its end as soon as it has one.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use serde::Deserialize;
use tokio::sync::watch;

use super::answer::Refusal;
use super::guard::Role;
use super::query::{Named, Parameters};
use super::show;
use super::{Host, Leaving};
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
    let refused = |error| host.refusal_about(&receipt, &error);
    let mut finished = host.look(&receipt).await?;
    if finished.is_none() && patience.wait_ms > 0 {
        let patience = Duration::from_millis(patience.wait_ms);
        finished = host.wait(&receipt, patience).await?;
    }
    loop {
        if let Some(finished) = finished {
            return Ok(finished);
        }
        let status = host.manager.status_async(&receipt).await;
        let status = status.map_err(refused)?;
        if !status.state().is_final() {
            let (shows, receipt) = (Arc::clone(&host), receipt.clone());
            let status = move || shows.shown(&show::status(&receipt, &status));
            return host.workers.run(status).await;
        }
        // It has finished meanwhile, and is shown with what is left of it.
        finished = host.look(&receipt).await?;
    }
}

/// Calls whoever waits for the end of a job to look again.
struct Called(watch::Sender<()>);

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.send_replace(());
    }
}

impl Host {
    /// The job as an answer, if it has finished.
    async fn look(self: &Arc<Self>, receipt: &Receipt) -> Result<Option<Response<Body>>, Refusal> {
        let (host, receipt) = (Arc::clone(self), receipt.clone());
        let look = move || {
            let finished = host.manager.look(&receipt);
            let finished = finished.map_err(|error| host.refusal_about(&receipt, &error))?;
            finished
                .map(|finished| host.shown(&host.finished(&receipt, finished)))
                .transpose()
        };
        self.workers.run(look).await
    }

    /// The job as an answer, if it ends in time. Else its caller learns how it stands: where the job is
    /// parked, the time is over, as many wait as may, or the host is about to end.
    async fn wait(
        self: &Arc<Self>,
        receipt: &Receipt,
        patience: Duration,
    ) -> Result<Option<Response<Body>>, Refusal> {
        let Ok(_permit) = self.long_polls.try_acquire() else {
            return Ok(None);
        };
        let ended = self.manager.ended(receipt);
        let ended = ended.map_err(|error| self.refusal_about(receipt, &error))?;
        let mut leaving = self.leaving.subscribe();
        tokio::select! {
            ended = self.end(receipt, ended) => ended,
            () = tokio::time::sleep(patience.min(self.limits.long_poll)) => Ok(None),
            () = Leaving::now(&mut leaving) => Ok(None),
        }
    }

    /// The job as an answer, when it has ended; none where it is parked, and how it stands is told like that
    /// of any other. What it left is read where the future of its end is polled: never here.
    async fn end(
        self: &Arc<Self>,
        receipt: &Receipt,
        mut ended: Ended,
    ) -> Result<Option<Response<Body>>, Refusal> {
        let (calls, mut called) = watch::channel(());
        let calls = Arc::new(Called(calls));
        loop {
            let (host, receipt) = (Arc::clone(self), receipt.clone());
            let waker = Waker::from(Arc::clone(&calls));
            let look = move || match Pin::new(&mut ended).poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => Ok(Err(ended)),
                Poll::Ready(Ok(finished)) => {
                    let answer = host.shown(&host.finished(&receipt, finished))?;
                    Ok(Ok(Some(answer)))
                }
                Poll::Ready(Err(error)) if error.is_parked() => Ok(Ok(None)),
                Poll::Ready(Err(error)) => Err(host.refusal_about(&receipt, &error)),
            };
            ended = match self.workers.run(look).await? {
                Ok(answer) => return Ok(answer),
                Err(waits) => waits,
            };
            // It is ours, so it does not end.
            let _ = called.changed().await;
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
