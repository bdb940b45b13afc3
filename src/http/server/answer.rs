//! Answers, and what of an error is told to a stranger.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;

use super::super::problem::{Code, Problem};
use super::Host;
use super::body::AT_ONCE;
use super::room::{Taken, crowded};
use super::show;
use crate::{Error, Receipt};

/// An answer as JSON, which nobody on the way may keep.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    match written(body) {
        Ok(bytes) => answer(status, JSON, bytes.into()),
        Err(refusal) => refusal.into_response(),
    }
}

impl Host {
    /// An answer that may be large, about what has been done: made on a thread for that. It is sent however
    /// much is being sent already, because nothing else would be true.
    pub(super) async fn told(
        &self,
        write: impl FnOnce() -> Response<Body> + Send + 'static,
    ) -> Response<Body> {
        let written = self.workers.run(move || Ok(write())).await;
        let lost = |_| {
            // It was done.
            let told = "the answer could not be made: whether this took effect is not known";
            Refusal::new(Code::OutcomeUnknown, told).into_response()
        };
        written.unwrap_or_else(lost)
    }

    /// An answer to who only asks, as JSON, on a thread for what is large: refused if there is no room for
    /// it beside those that are being sent.
    pub(super) fn shown(&self, body: &impl Serialize) -> Result<Response<Body>, Refusal> {
        let mut bytes = written(body)?;
        bytes.shrink_to_fit();
        if bytes.len() <= AT_ONCE {
            return Ok(answer(StatusCode::OK, JSON, bytes.into()));
        }
        let room = self.memory.answers.take(bytes.len()).ok_or_else(crowded)?;
        let bytes = Bytes::from_owner(Sent { bytes, _room: room });
        Ok(answer(StatusCode::OK, JSON, bytes))
    }
}

/// An answer, and the memory that is counted for it until all of it is sent.
struct Sent {
    bytes: Vec<u8>,
    _room: Taken,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    let failed = |_| Refusal::new(Code::Internal, "the answer could not be written as JSON");
    serde_json::to_vec(body).map_err(failed)
}

/// Done, and there is nothing to tell.
pub(super) fn done() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    answer
}

const JSON: &str = "application/json";
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

fn answer(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Body> {
    let mut answer = Response::new(Body::from(bytes));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    answer
}

/// A request refused.
#[derive(Debug)]
pub(super) struct Refusal(Box<Problem>);

impl Refusal {
    pub(super) fn new(code: Code, detail: impl std::fmt::Display) -> Self {
        Self(Box::new(Problem::new(code, detail)))
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self(Box::new(self.0.retry_after(seconds)))
    }

    /// The whole answer, for a connection on which no request has come so far. It is then closed.
    pub(super) fn bytes(self) -> Vec<u8> {
        let Self(problem) = self;
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let Problem { status, title, .. } = &*problem;
        let after = problem.retry_after;
        let after = after.map_or(String::new(), |seconds| {
            format!("retry-after: {seconds}\r\n")
        });
        let head = format!(
            "HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\n\
             cache-control: no-store\r\nconnection: close\r\n{after}content-length: {}\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    }

    /// Of one job of a batch, counted from 0.
    pub(super) fn within(mut self, index: usize) -> Self {
        self.0.detail = format!("job {} of the batch: {}", index + 1, self.0.detail);
        self.0.index = Some(index);
        self
    }

    /// Why the manager did not do it. Its words may name files and receipts; a stranger gets a sentence
    /// of ours.
    pub(super) fn of(error: &Error, server: &str) -> Self {
        let (code, detail) = Self::told(error);
        let mut problem = Problem::new(code, detail);
        problem.server = Some(server.into());
        problem.state = error.illegal_state().map(|state| state.as_str().into());
        problem.job = error.key_conflict_with().map(|job| job.0);
        if error.is_parked() {
            problem.parked = error.park_reason().map(show::parked);
        }
        if problem.status == 503 {
            problem.retry_after = Some(1);
        }
        let refusal = Self(Box::new(problem));
        match error.batch_index() {
            Some(index) => refusal.within(index),
            None => refusal,
        }
    }

    /// The same about a job, with the name of the server that has it where that is another one.
    pub(super) fn about(receipt: &Receipt, error: &Error, server: &str) -> Self {
        let mut refusal = Self::of(error, server);
        if error.is_other_server() {
            refusal.0.ask = Some(receipt.server().into());
        }
        refusal
    }

    fn told(error: &Error) -> (Code, &'static str) {
        match error {
            _ if error.is_unknown() => (
                Code::OutcomeUnknown,
                "the store failed in the middle: whether this took effect is not known",
            ),
            _ if error.is_full() => (Code::Full, "too many jobs are waiting to be written"),
            _ if error.is_shut_down() => (Code::ShuttingDown, "this host is shutting down"),
            _ if error.is_undeclared_queue() => (Code::UnknownQueue, "this host has no such queue"),
            _ if error.is_too_large() => (
                Code::TooLarge,
                "the payload, the key or the batch is larger than this host takes",
            ),
            _ if error.key_conflict_with().is_some() && error.park_reason().is_some() => (
                Code::KeyConflict,
                "another job holds this idempotency key, and is parked: amend that job, or remove it",
            ),
            _ if error.key_conflict_with().is_some() => {
                (Code::KeyConflict, "another job holds this idempotency key")
            }
            _ if error.is_other_server() => (
                Code::OtherServer,
                "the receipt was given by another server: ask that one",
            ),
            _ if error.is_replaced() => (
                Code::StoreReplaced,
                "the store was replaced since the receipt was given: the job is not here",
            ),
            _ if error.is_lost() => (
                Code::Lost,
                "the job was accepted as buffered and did not survive: create it anew",
            ),
            _ if error.is_never_existed() => {
                (Code::NeverExisted, "no such job was ever accepted here")
            }
            _ if error.is_pruned() => (
                Code::Pruned,
                "the job was accepted once and is no longer kept",
            ),
            _ if error.illegal_state().is_some() => {
                (Code::IllegalState, "the job's state does not allow this")
            }
            _ if error.is_parked() => (
                Code::Parked,
                "the job is parked: this host has no handler of its name, or no such queue",
            ),
            _ if error.is_codec() => (
                Code::Undecodable,
                "the payload is not that of a job of this name",
            ),
            _ if error.is_bad_receipt() => (
                Code::BadReceipt,
                "the text in the path is no receipt that this host gave, or was changed",
            ),
            _ if error.is_damaged() => (Code::Damaged, "the job's row in the store is damaged"),
            _ if error.as_store().is_some() => (
                Code::StoreRefuses,
                "the store does not take or give anything at the moment",
            ),
            _ => (Code::Internal, "internal error"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let Self(problem) = self;
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let bytes = serde_json::to_vec(&problem).unwrap_or_default();
        let mut answer = answer(status, "application/problem+json", bytes.into());
        let headers = answer.headers_mut();
        if let Some(seconds) = problem.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(code) = Code::read(&problem.code) {
            answer.extensions_mut().insert(code);
        }
        answer
    }
}
