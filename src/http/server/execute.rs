//! Jobs of other hosts, run here and now.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use data_encoding::BASE64;
use jobkeep_store::StoreId;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::super::problem::Code;
use super::super::wire;
use super::Host;
use super::answer::{Refusal, json};
use super::body::{Held, read};
use super::guard::Role;
use crate::carry::{Answer, End, Foreign, LONGEST, Refused};
use crate::retry::millis;
use crate::{Codec, JobNumber};

/// As deep as a payload is decoded, and the brackets around it: a job that another host has accepted would
/// come again for ever.
const DEEPEST: usize = 128;

/// `POST /v1/execute`: a job that fails is an answer. What is refused has not begun, and will not.
pub(super) async fn execute(
    State(host): State<Arc<Host>>,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    host.tokens.check(request.headers(), &[Role::Execute])?;
    let Held { bytes, room } = host.body(request).await?;
    let call = |host: &Host, body: &[u8]| {
        let wire::Object(call) = read(body, host.limits.depth.max(DEEPEST))?;
        foreign(call)
    };
    let foreign = host.decoded(bytes, call).await?;
    // A name that nobody runs here is refused by the executors.
    if host.manager.shared().registry.knows(&foreign.name) {
        host.may_come(&foreign.name)?;
    }
    let codec = foreign.codec;
    let (done, answered) = oneshot::channel();
    let begun = host.manager.shared().execute_now(foreign, move |answer| {
        // Where the caller has gone, nobody is told.
        let _ = done.send(answer);
    });
    begun.map_err(|refused| refusal(&refused))?;
    // From here on it counts as a job that runs.
    drop(room);
    // The executors answer by the deadline, whatever the job does.
    let answer = answered.await;
    let answer =
        answer.map_err(|_| Refusal::new(Code::OutcomeUnknown, "the host ended meanwhile"))?;
    let told = move || json(StatusCode::OK, &executed(codec, answer));
    Ok(host.told(told).await)
}

fn refusal(refused: &Refused) -> Refusal {
    let code = match refused {
        Refused::NoExecutors => Code::NoExecutors,
        Refused::Full { .. } => Code::Full,
        Refused::Busy => Code::Busy,
        Refused::UnknownName => Code::UnknownName,
        Refused::ShutDown => Code::ShuttingDown,
    };
    let refusal = Refusal::new(code, refused);
    match refused {
        Refused::Full { retry_after } => refusal.retry_after(retry_after.as_secs().max(1)),
        // Another host behind the same address may take it, and who pushes waits longer each time.
        Refused::NoExecutors | Refused::ShutDown => refusal.retry_after(1),
        Refused::Busy | Refused::UnknownName => refusal,
    }
}

fn foreign(call: wire::Execute) -> Result<Foreign, Refusal> {
    let malformed = |why: &str| Refusal::new(Code::Malformed, why);
    let (codec, payload) = match (call.payload, call.bincode) {
        (Some(payload), None) => (
            Codec::Json,
            String::from(Box::<str>::from(payload)).into_bytes(),
        ),
        (None, Some(text)) => {
            let bytes = BASE64.decode(text.as_bytes());
            let bytes = bytes.map_err(|_| malformed("`bincode` is not valid base64"))?;
            (Codec::Bincode, bytes)
        }
        _ => return Err(malformed("give exactly one of `payload` and `bincode`")),
    };
    let store =
        hexadecimal(&call.store, 32).and_then(|digits| u128::from_str_radix(digits, 16).ok());
    let store = store.ok_or_else(|| malformed("`store` must be 32 hexadecimal digits"))?;
    if !is_token(&call.token) {
        return Err(malformed(
            "`token` must be 16 hexadecimal digits, `-` and a number",
        ));
    }
    if call.deadline_ms > millis(LONGEST) {
        let why = format!(
            "`deadline_ms` must be at most {}: 24 hours",
            millis(LONGEST)
        );
        return Err(malformed(&why));
    }
    Ok(Foreign {
        store: StoreId(store),
        job: JobNumber(call.job),
        name: call.name,
        codec,
        payload,
        attempt: call.attempt.max(1),
        deadline_ms: call.deadline_ms,
    })
}

/// The text, where it is so many digits.
fn hexadecimal(text: &str, length: usize) -> Option<&str> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    Some(text).filter(|text| text.len() == length && text.bytes().all(is_digit))
}

/// Whether it has the form of a claim: the tag of an opening and a number counted since then.
fn is_token(text: &str) -> bool {
    text.split_once('-').is_some_and(|(opening, sequence)| {
        let is_number = sequence.bytes().all(|byte| byte.is_ascii_digit());
        hexadecimal(opening, 16).is_some() && is_number && sequence.parse::<u64>().is_ok()
    })
}

fn executed(codec: Codec, answer: Answer) -> wire::Executed {
    let Answer { left, end, log } = answer;
    let (end, output) = ran(end);
    let mut executed = wire::Executed {
        payload: None,
        output: None,
        bincode: None,
        end,
        log,
    };
    if codec == Codec::Json {
        executed.payload = left.and_then(raw);
        executed.output = output.and_then(raw);
    } else {
        let text = |bytes: Vec<u8>| BASE64.encode(&bytes);
        executed.bincode = Some(wire::Left {
            payload: left.map(text),
            output: output.map(text),
        });
    }
    executed
}

fn raw(bytes: Vec<u8>) -> Option<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(bytes).ok()?).ok()
}

fn ran(end: End) -> (wire::Ran, Option<Vec<u8>>) {
    let ran = match end {
        End::Succeeded(output) => return (wire::Ran::Succeeded, Some(output)),
        End::Failed { chain, retry_after } => wire::Ran::Error {
            messages: chain,
            retry_after_ms: retry_after.map(millis),
        },
        End::Permanent(messages) => wire::Ran::Permanent { messages },
        End::Panicked { message, location } => wire::Ran::Panicked { message, location },
        End::TimedOut(after_ms) => wire::Ran::TimedOut { after_ms },
        End::Cancelled(messages) => wire::Ran::Cancelled { messages },
        End::Snoozed(time) => wire::Ran::Snoozed {
            for_ms: millis(time),
        },
        End::Undecodable(message) => wire::Ran::Undecodable { message },
    };
    (ran, None)
}
