//! Jobs come in: checked against the registry and decoded now, queued on this host, and answered when
//! they are durable.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use data_encoding::BASE64;
use serde::de::DeserializeOwned;

use super::super::problem::Code;
use super::super::wire;
use super::Host;
use super::answer::{Refusal, json};
use super::guard::Role;
use crate::options::Start;
use crate::runtime;
use crate::{Codec, Draft, Durability, Receipt, Timestamp};

/// `POST /v1/jobs`
pub(super) async fn one(
    State(host): State<Arc<Host>>,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    host.tokens.check(request.headers(), Role::Create)?;
    let body = host.body(request).await?;
    let job: wire::NewJob = read(&body, host.limits.depth)?;
    let draft = host.draft(job)?;
    let receipts = host.accept(vec![draft]).await?;
    let Some(receipt) = receipts.first() else {
        return Err(Refusal::new(Code::Internal, "no receipt came back"));
    };
    Ok(json(status(&receipts), &accepted(receipt)))
}

/// `POST /v1/batches`
pub(super) async fn batch(
    State(host): State<Arc<Host>>,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    host.tokens.check(request.headers(), Role::Create)?;
    let body = host.body(request).await?;
    let batch: wire::Batch = read(&body, host.limits.depth)?;
    let drafts = batch.jobs.into_iter().map(|job| host.draft(job));
    let drafts = drafts.collect::<Result<Vec<_>, _>>()?;
    let receipts = host.accept(drafts).await?;
    let jobs = receipts.iter().map(accepted).collect();
    Ok(json(status(&receipts), &wire::AcceptedAll { jobs }))
}

/// Only what is durable was created.
fn status(receipts: &[Receipt]) -> StatusCode {
    let is_buffered = |receipt: &Receipt| receipt.durability() == Durability::Buffered;
    if receipts.iter().any(is_buffered) {
        StatusCode::ACCEPTED
    } else {
        StatusCode::CREATED
    }
}

fn accepted(receipt: &Receipt) -> wire::Accepted {
    wire::Accepted {
        receipt: receipt.to_string(),
        server: receipt.server().into(),
        number: receipt.number().0,
        durability: receipt.durability(),
    }
}

impl Host {
    async fn accept(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, Refusal> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let accepted = self.manager.accepting(drafts).await;
        accepted.map_err(|error| self.refusal(&error))
    }

    /// The body, up to its limit.
    async fn body(&self, request: Request<Body>) -> Result<Bytes, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::new(
                Code::NotJson,
                "the body is to be declared as `content-type: application/json`",
            ));
        }
        let limit = self.limits.body;
        to_bytes(request.into_body(), limit).await.map_err(|_| {
            Refusal::new(
                Code::TooLarge,
                format_args!("the body is larger than {limit} bytes, or broke off"),
            )
        })
    }

    /// The job, decoded as its registered type, with its options.
    fn draft(&self, job: wire::NewJob) -> Result<Draft, Refusal> {
        let wire::NewJob {
            name,
            payload,
            bincode,
            ..
        } = &job;
        let handler = self.manager.shared().registry.handler(name);
        let handler = handler.ok_or_else(|| {
            Refusal::new(
                Code::UnknownName,
                format_args!("no job type is registered under the name {name:?}"),
            )
        })?;
        let draft = |codec, bytes: &[u8]| {
            let drafted = runtime::catch(|| handler.draft(codec, bytes));
            drafted.unwrap_or_else(|_| Err("the type's own decoder panics over it".into()))
        };
        let draft = match (payload, bincode) {
            (Some(payload), None) => draft(Codec::Json, payload.get().as_bytes()),
            (None, Some(text)) => BASE64
                .decode(text.as_bytes())
                .map_err(|cause| cause.to_string())
                .and_then(|bytes| draft(Codec::Bincode, &bytes)),
            _ => Err("one of `payload` and `bincode` is to be given".into()),
        };
        let draft = draft.map_err(|cause| {
            Refusal::new(
                Code::Undecodable,
                format_args!("the payload of job {name:?}: {cause}"),
            )
        })?;
        settle(draft, job)
    }
}

/// What the request says overrides the type's policy.
fn settle(mut draft: Draft, job: wire::NewJob) -> Result<Draft, Refusal> {
    draft.start = match (job.delay_ms, job.run_at_ms) {
        (None, None) => Start::Now,
        (Some(delay), None) => Start::After(Duration::from_millis(delay)),
        (None, Some(moment)) => Start::At(Timestamp(moment)),
        (Some(_), Some(_)) => {
            return Err(Refusal::new(
                Code::Malformed,
                "only one of `delay_ms` and `run_at_ms` may be given",
            ));
        }
    };
    if let Some(queue) = job.queue {
        draft.queue = queue.into();
    }
    if let Some(priority) = job.priority {
        draft.priority = priority;
    }
    if let Some(attempts) = job.max_attempts {
        draft.attempts = attempts.max(1);
    }
    if let Some(wire::Backoff { base_ms, cap_ms }) = job.backoff {
        draft.backoff = jobkeep_store::Backoff { base_ms, cap_ms };
    }
    draft.timeout_ms = job.timeout_ms.or(draft.timeout_ms);
    draft.key = job.key;
    draft.durability = job.durability;
    Ok(draft)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// The body as what it is to be.
fn read<T: DeserializeOwned>(body: &[u8], depth: usize) -> Result<T, Refusal> {
    if is_deeper(body, depth) {
        return Err(Refusal::new(
            Code::Malformed,
            format_args!("the body is nested deeper than {depth} levels"),
        ));
    }
    serde_json::from_slice(body).map_err(|cause| Refusal::new(Code::Malformed, cause))
}

/// Brackets are nested deeper than this. What is skipped over by a parser costs no stack, and so has no
/// limit of its own.
fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for &byte in json {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
