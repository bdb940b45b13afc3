//! Jobs sent to a host, and sent again where that makes no second job.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::value::RawValue;
use ureq::http::Method;

use super::super::wire;
use super::Inner;
use super::address::Address;
use super::exchange::{Answer, Request};
use super::refused::{Fate, Refused};
use crate::error::{Kind, Remote};
use crate::options::Start;
use crate::{Codec, Draft, Durability, Error, Job, JobNumber, Receipt, payload};

impl Inner {
    /// Has the drafts accepted, all or none, by one host of the pool that they go to.
    pub(super) fn create(&self, mut drafts: Vec<Draft>) -> Result<Vec<Receipt>, Error> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let act = act(&drafts);
        let line = self.pools.route(&act, &drafts)?;
        let keyed = drafts.iter().map(|draft| draft.key.is_some()).collect();
        let is_unique = give_keys(&act, &mut drafts)?;
        let creation = Creation {
            count: drafts.len(),
            keyed,
            body: body(&act, &drafts)?,
        };
        drop(drafts);
        let mut tries = self.waiting.tries(self.patience);
        // A host that may have accepted the jobs, and whoever else may.
        let (mut held, mut is_lost) = (None::<Address>, false);
        for failures in 1_usize.. {
            let Some(address) = held.as_ref().or_else(|| line.next()).cloned() else {
                break;
            };
            let refused = match self.try_to(&address, &creation) {
                Ok(receipts) => return Ok(receipts),
                Err(refused) => refused,
            };
            let may_be_there = matches!(refused.fate, Fate::Unanswered | Fate::Garbled);
            is_lost |= may_be_there;
            if may_be_there && line.is_hosts {
                held = Some(address.clone());
            }
            let makes_one = line.is_hosts && is_unique;
            let is_worth_it = match refused.fate {
                Fate::NotNow => true,
                Fate::Unanswered => makes_one || self.repeat_unanswered,
                Fate::Refused | Fate::Barred | Fate::Garbled => false,
            };
            let others_are_left = held.is_none() && failures % line.addresses.len() != 0;
            if !is_worth_it || !(others_are_left || tries.again(refused.retry_after)) {
                return Err(failed(&act, &address, refused, may_be_there, is_lost));
            }
        }
        Err(Error::host(act, "the pool has no host"))
    }

    fn try_to(&self, address: &Address, creation: &Creation) -> Result<Vec<Receipt>, Refused> {
        let path = if creation.count == 1 {
            "jobs"
        } else {
            "batches"
        };
        let answer = self.exchange.send(&Request {
            body: Some(&creation.body),
            ..Request::new(Method::POST, address.join(path))
        })?;
        match answer.status {
            200..=202 => receipts(&answer, creation).map_err(Refused::garbled),
            _ => Err(Refused::from(&answer)),
        }
    }
}

/// What is sent.
struct Creation {
    count: usize,
    /// Which of the jobs have a key of the application's.
    keyed: Vec<bool>,
    body: Vec<u8>,
}

/// Why the jobs were not accepted, or perhaps were.
fn failed(
    act: &str,
    address: &Address,
    refused: Refused,
    may_be_there: bool,
    is_lost: bool,
) -> Error {
    let told = format!("{act} at {address}: {}", refused.told);
    let unanswered = Kind::Remote(Remote::Unanswered);
    match (may_be_there, is_lost) {
        (true, _) => Error::new(
            unanswered,
            format!(
                "{told}: it may have been accepted all the same: enqueue it again only where a \
                 second one does no harm"
            ),
        ),
        (false, true) => Error::new(
            unanswered,
            format!("{told}: the answer to an earlier try was lost, which may have been accepted"),
        ),
        (false, false) if refused.fate == Fate::NotNow => {
            refused.error(format!("{told}: nothing was accepted: try again later"))
        }
        (false, false) => refused.error(told),
    }
}

fn act(drafts: &[Draft]) -> String {
    match drafts {
        [only] => format!("enqueue job `{}`", only.name),
        many => format!("enqueue {} jobs", many.len()),
    }
}

/// Gives a key to each job that has none, so that a request that comes twice to a host makes one job.
/// A buffered job stays without: with a key it would wait for its commit. Says whether all have one.
fn give_keys(act: &str, drafts: &mut [Draft]) -> Result<bool, Error> {
    let needs_one =
        |draft: &&mut Draft| draft.key.is_none() && draft.durability != Some(Durability::Buffered);
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|cause| Error::host(act, cause))?;
    let random = BASE64URL_NOPAD.encode(&random);
    for (position, draft) in drafts.iter_mut().filter(needs_one).enumerate() {
        draft.key = Some(format!("{KEY}{random}/{position}"));
    }
    Ok(drafts.iter().all(|draft| draft.key.is_some()))
}

/// No key of an application begins so.
const KEY: &str = "jobkeep.client/";

fn body(act: &str, drafts: &[Draft]) -> Result<Vec<u8>, Error> {
    let jobs = drafts.iter().map(|draft| wire_job(act, draft));
    let mut jobs = jobs.collect::<Result<Vec<_>, _>>()?;
    let body = match (jobs.len(), jobs.pop()) {
        (1, Some(job)) => serde_json::to_vec(&job),
        (_, last) => {
            jobs.extend(last);
            serde_json::to_vec(&wire::Batch { jobs })
        }
    };
    body.map_err(|cause| Error::codec(act, cause))
}

/// A payload to be put into a job in place of its own.
pub(super) fn amendment<J: Job>(number: JobNumber, job: &J) -> Result<Vec<u8>, Error> {
    let act = format!("amend job {number}");
    let bytes = payload::encode(J::CODEC, job, &[]).map_err(|cause| Error::codec(&act, cause))?;
    let (payload, bincode) = value(&act, J::CODEC, &bytes)?;
    let amendment = wire::Amendment { payload, bincode };
    serde_json::to_vec(&amendment).map_err(|cause| Error::codec(&act, cause))
}

/// A value as it travels.
fn value(
    act: &str,
    codec: Codec,
    bytes: &[u8],
) -> Result<(Option<Box<RawValue>>, Option<String>), Error> {
    match codec {
        Codec::Json => match raw(bytes) {
            Some(json) => Ok((Some(json), None)),
            None => Err(Error::codec(act, "its payload is no JSON")),
        },
        Codec::Bincode => Ok((None, Some(BASE64.encode(bytes)))),
        other => {
            let cause = format!("this version has no codec {other:?}");
            Err(Error::codec(act, cause))
        }
    }
}

fn wire_job(act: &str, draft: &Draft) -> Result<wire::NewJob, Error> {
    let (payload, bincode) = value(act, draft.codec, &draft.payload)?;
    let (delay_ms, run_at_ms) = match draft.start {
        Start::Now => (None, None),
        Start::After(delay) => (Some(crate::retry::millis(delay)), None),
        Start::At(moment) => (None, Some(moment.0)),
    };
    Ok(wire::NewJob {
        name: draft.name.to_string(),
        payload,
        bincode,
        queue: Some(draft.queue.to_string()),
        priority: Some(draft.priority),
        delay_ms,
        run_at_ms,
        max_attempts: Some(draft.attempts),
        backoff: Some(wire::Backoff {
            base_ms: draft.backoff.base_ms,
            cap_ms: draft.backoff.cap_ms,
        }),
        timeout_ms: draft.timeout_ms,
        key: draft.key.clone(),
        key_retention_ms: draft.key_retention_ms,
        durability: draft.durability,
    })
}

fn raw(bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    RawValue::from_string(text).ok()
}

/// The receipts, one a job; or what is wrong with the answer.
fn receipts(answer: &Answer, creation: &Creation) -> Result<Vec<Receipt>, String> {
    let count = creation.count;
    let accepted = if count == 1 {
        vec![answer.json::<wire::Accepted>()?]
    } else {
        answer.json::<wire::AcceptedAll>()?.jobs
    };
    if accepted.len() != count {
        let given = accepted.len();
        return Err(format!(
            "its answer holds {given} receipts for {count} jobs"
        ));
    }
    let receipts = accepted
        .iter()
        .zip(&creation.keyed)
        .map(|(accepted, is_keyed)| {
            let receipt = accepted.receipt.parse::<Receipt>();
            let receipt = receipt.map_err(|_| "its answer holds something that is no receipt")?;
            if receipt.server() != accepted.server || receipt.number().0 != accepted.number {
                return Err("its answer holds a receipt of another server or job".to_owned());
            }
            // Under a key of the client's own, an earlier try of this call has made it.
            Ok(receipt.of_existing(*is_keyed && accepted.existing.is_some()))
        });
    receipts.collect()
}
