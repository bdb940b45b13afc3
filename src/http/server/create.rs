//! Jobs come in: checked against the registry and decoded now, queued on this host, and answered when
//! they are durable.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use data_encoding::BASE64;
use serde_json::value::RawValue;

use super::super::problem::Code;
use super::super::wire;
use super::Host;
use super::answer::{Refusal, json};
use super::body::{Held, read};
use super::guard::Role;
use super::room::Taken;
use crate::options::Start;
use crate::runtime;
use crate::{Codec, Draft, Durability, Receipt, Timestamp};

/// No longer name is registered, nor told back.
const NAME_BYTES: usize = 128;

/// `POST /v1/jobs`
pub(super) async fn one(
    State(host): State<Arc<Host>>,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let drafts = host.drafts(request, |host, body| {
        let wire::Object(job) = read(body, host.limits.depth)?;
        Ok(vec![host.draft(job)?])
    });
    let (drafts, _room) = drafts.await?;
    let receipts = host.accept(drafts).await?;
    let Some(receipt) = receipts.first() else {
        return Err(Refusal::new(Code::Internal, "no receipt came back"));
    };
    let existing = host.existing(receipt).await;
    Ok(json(status(&receipts), &accepted(receipt, existing)))
}

/// `POST /v1/batches`
pub(super) async fn batch(
    State(host): State<Arc<Host>>,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let drafts = host.drafts(request, |host, body| {
        let wire::Object(batch) = read::<wire::Object<wire::Batch>>(body, host.limits.depth)?;
        let drafts = batch
            .jobs
            .into_iter()
            .zip(0..)
            .map(|(job, index)| host.draft(job).map_err(|refusal| refusal.within(index)));
        drafts.collect()
    });
    let (drafts, _room) = drafts.await?;
    let receipts = host.accept(drafts).await?;
    let mut existing = Vec::with_capacity(receipts.len());
    for receipt in &receipts {
        existing.push(host.existing(receipt).await);
    }
    let told = move || {
        let jobs = receipts.iter().zip(existing);
        let jobs = jobs.map(|(receipt, existing)| accepted(receipt, existing));
        let jobs = jobs.collect();
        json(status(&receipts), &wire::AcceptedAll { jobs })
    };
    Ok(host.told(told).await)
}

/// Only what is durable was created, and what was not there before.
fn status(receipts: &[Receipt]) -> StatusCode {
    let is_buffered = |receipt: &Receipt| receipt.durability() == Durability::Buffered;
    if receipts.iter().any(is_buffered) {
        StatusCode::ACCEPTED
    } else if !receipts.is_empty() && receipts.iter().all(Receipt::is_existing) {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    }
}

fn accepted(receipt: &Receipt, existing: Option<String>) -> wire::Accepted {
    wire::Accepted {
        receipt: receipt.to_string(),
        server: receipt.server().into(),
        number: receipt.number().0,
        durability: receipt.durability(),
        existing,
    }
}

impl Host {
    /// The jobs of a request, from one who may create them, and the memory that is counted for them.
    async fn drafts(
        self: &Arc<Self>,
        request: Request<Body>,
        decode: fn(&Self, &[u8]) -> Result<Vec<Draft>, Refusal>,
    ) -> Result<(Vec<Draft>, Taken), Refusal> {
        let token = self.tokens.check(request.headers(), &[Role::Create])?;
        let Held { bytes, room } = self.body(request).await?;
        let drafts = self.decoded(bytes, decode).await?;
        let now = self.manager.shared().clock.now().steady;
        token.spend(drafts.len(), self.limits.rate, now)?;
        Ok((drafts, room))
    }

    /// Where the job stands, if it was there already.
    async fn existing(&self, receipt: &Receipt) -> Option<String> {
        if !receipt.is_existing() {
            return None;
        }
        let status = self.manager.status_async(receipt).await;
        Some(match status {
            Ok(status) => status.state().as_str().into(),
            Err(error) if error.is_pruned() => "gone".into(),
            Err(_) => "unknown".into(),
        })
    }

    async fn accept(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, Refusal> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let accepted = self.manager.accepting(drafts).await;
        accepted.map_err(|error| self.refusal(&error))
    }

    /// Jobs of this name are taken over HTTP, whether they are to be queued here or run at once.
    pub(super) fn may_come(&self, name: &str) -> Result<(), Refusal> {
        let registry = &self.manager.shared().registry;
        let mut names = registry.names(name).unwrap_or_default().iter();
        if registry.is_remote(name) || names.any(|name| self.allowed.contains(*name)) {
            return Ok(());
        }
        Err(Refusal::new(
            Code::NotRemote,
            format_args!("jobs {name:?} are not taken over HTTP here"),
        ))
    }

    /// The job, decoded as its registered type, with its options.
    fn draft(&self, job: wire::NewJob) -> Result<Draft, Refusal> {
        let sent = (job.payload.as_deref(), job.bincode.as_deref());
        let draft = self.decode(&job.name, sent, job.key.as_deref())?;
        settle(draft, job)
    }

    /// A value as its registered type, with the type's policy.
    pub(super) fn decode(
        &self,
        name: &str,
        (payload, bincode): (Option<&RawValue>, Option<&str>),
        key: Option<&str>,
    ) -> Result<Draft, Refusal> {
        if name.len() > NAME_BYTES {
            return Err(Refusal::new(
                Code::UnknownName,
                format_args!("no job type has a name of {} bytes", name.len()),
            ));
        }
        let handler = self.manager.shared().registry.handler(name);
        let handler = handler.ok_or_else(|| {
            Refusal::new(
                Code::UnknownName,
                format_args!("no job type is registered under the name {name:?}"),
            )
        })?;
        self.may_come(name)?;
        let draft = |codec, bytes: &[u8]| {
            let drafted = runtime::catch(|| handler.draft(codec, bytes, key));
            drafted.unwrap_or_else(|_| Err("the type's own decoder panics over it".into()))
        };
        let (draft, sent) = match (payload, bincode) {
            (Some(payload), None) => (draft(Codec::Json, payload.get().as_bytes()), payload.get()),
            (None, Some(text)) => {
                let bytes = BASE64.decode(text.as_bytes());
                let bytes =
                    bytes.map_err(|cause| format!("`bincode` is not valid base64: {cause}"));
                (bytes.and_then(|bytes| draft(Codec::Bincode, &bytes)), text)
            }
            _ => (
                Err("give exactly one of `payload` and `bincode`".into()),
                "",
            ),
        };
        let draft = draft.map_err(|cause| {
            Refusal::new(
                Code::Undecodable,
                format_args!("the payload of job {name:?}: {cause}"),
            )
        })?;
        Ok(draft.sent_as(sent))
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
                "give at most one of `delay_ms` and `run_at_ms`",
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
    draft.key_retention_ms = job.key_retention_ms.or(draft.key_retention_ms);
    draft.durability = job.durability;
    Ok(draft)
}
