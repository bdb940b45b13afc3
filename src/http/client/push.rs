//! Jobs carried to the hosts that execute them.

use std::fmt;
use std::str::from_utf8;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::value::RawValue;
use ureq::http::Method;

use super::super::problem::{Code, Problem};
use super::super::wire;
use super::address::Address;
use super::exchange::{Answer, Exchange, Failed, Request};
use crate::carry::{self, Call, Carried, Carry, End, Refusal};
use crate::{Codec, Queue};

/// Beyond its deadline a call is waited for so much longer.
const GRACE: Duration = Duration::from_secs(2);

/// Where a queue sends its jobs: see [`Queue::push_to`].
#[derive(Clone)]
pub struct Push {
    url: String,
    token: Option<String>,
    plain_http: bool,
}

impl Push {
    /// To whatever stands behind this URL, which is without the `/v1` of the protocol.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            plain_http: false,
        }
    }

    /// The token that it shows, which needs the role execute there.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Shows the token also where everybody on the way can read it; otherwise that is a fault of the
    /// configuration, unless the host is this machine.
    pub fn plain_http(mut self, yes: bool) -> Self {
        self.plain_http = yes;
        self
    }

    fn line(&self) -> Result<Line, String> {
        let address = Address::read(&self.url)?;
        if let Some(token) = &self.token {
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("its token must be non-empty printable ASCII without spaces".into());
            }
            if address.is_open() && !self.plain_http {
                return Err(
                    "its token would travel readable: use https, or `plain_http(true)`".into(),
                );
            }
        }
        Ok(Line {
            url: address.join("execute"),
            exchange: Exchange::new(self.token.as_deref(), GRACE, None),
        })
    }
}

impl From<&str> for Push {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for Push {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").finish_non_exhaustive()
    }
}

impl Queue {
    /// Has other hosts run the queue's jobs: each is sent to `POST /v1/execute` behind that URL, and ends as
    /// it ended there. The types of the jobs need not be registered here; they are there, on hosts with
    /// [`executors`](crate::Builder::executors).
    ///
    /// ```
    /// use jobkeep::{Queue, http::Push};
    ///
    /// let images = Queue::new("images").push_to("https://executors.example.org");
    /// let films = Queue::new("films").push_to(Push::new("https://films.example.org").token("s3cret")).workers(8);
    /// ```
    ///
    /// Calls wait on threads of this queue alone: 64 by default, and [`workers`](Self::workers) sets how many
    /// are in flight at once. An attempt's [time-out](crate::Policy::timeout), the queue's, or else a minute,
    /// is the call's deadline: at most 24 hours, whatever these say. A job that takes longer is run where it
    /// is kept.
    ///
    /// - *Refused or not reached*, or the payload does not decode to the type as it is known there: nothing has
    ///   begun there, and no attempt is spent. The job comes again
    ///   after 1 second, then 2, 4 and so on up to 60, half of each drawn, or later where the host says so,
    ///   by a day at most. Where it was no fault of this job, the queue rests as long, unless its calls are
    ///   answered: each answer makes up for four refusals, so that one full host of several slows nobody
    ///   down.
    /// - *Answered*: the attempt ended as it did there; a failure is an answer like a success.
    /// - *Lost*: the connection broke after the request was sent, or a balancer answered in the host's stead.
    ///   Nobody knows whether the job ran: see [`on_unknown`](Self::on_unknown). The queue rests as after a
    ///   refusal.
    ///
    /// The attempt has no checkpoints there, queues no jobs that follow, and shows no progress here; a request
    /// to cancel it is kept and does not reach it.
    pub fn push_to(self, to: impl Into<Push>) -> Self {
        match to.into().line() {
            Ok(line) => self.push_through(Arc::new(line)),
            Err(why) => self.faulty(format!("push to another host: {why}")),
        }
    }
}

/// The way to the executors.
#[derive(Debug)]
struct Line {
    url: String,
    exchange: Exchange,
}

impl Carry for Line {
    fn carry(&self, call: &Call<'_>) -> Carried {
        let body = match request(call) {
            Ok(body) => body,
            Err(why) => return not_started(Refusal::OfThisJob, None, why),
        };
        let answer = self.exchange.send(&Request {
            body: Some(&body),
            wait: Duration::from_millis(call.deadline_ms),
            ..Request::new(Method::POST, self.url.clone())
        });
        match answer {
            Ok(answer) if answer.status == 200 => read(call.codec, &answer),
            Ok(answer) => refused(&answer),
            Err(Failed::NotSent(why)) => not_started(Refusal::OfAll, None, why),
            Err(Failed::Unanswered(why) | Failed::Endless(why)) => Carried::Unknown { why },
        }
    }
}

fn request(call: &Call<'_>) -> Result<Vec<u8>, String> {
    let mut execute = wire::Execute {
        store: format!("{:032x}", call.store.0),
        job: call.job.0,
        token: format!("{:016x}-{}", call.token.opening.0, call.token.sequence),
        name: call.name.into(),
        payload: None,
        bincode: None,
        attempt: call.attempt,
        deadline_ms: call.deadline_ms,
    };
    if call.codec == Codec::Json {
        let text = from_utf8(call.payload).map_err(|cause| cause.to_string())?;
        let raw = RawValue::from_string(text.into()).map_err(|cause| cause.to_string())?;
        execute.payload = Some(raw);
    } else {
        execute.bincode = Some(BASE64.encode(call.payload));
    }
    serde_json::to_vec(&execute).map_err(|cause| cause.to_string())
}

fn not_started(refusal: Refusal, retry_after: Option<Duration>, why: String) -> Carried {
    Carried::NotStarted {
        refusal,
        retry_after,
        why,
    }
}

/// Only a host itself says that nothing has begun. What stands before it may have sent the request on.
fn refused(answer: &Answer) -> Carried {
    let Some((code, Problem { detail, .. })) = &answer.problem else {
        let why = format!("{} came, and not from a host", answer.status);
        return Carried::Unknown { why };
    };
    let told = format!("{} ({})", answer.status, code.as_str());
    let refusal = match code {
        Code::OutcomeUnknown | Code::Internal => {
            let why = format!("{told} came: {detail}");
            return Carried::Unknown { why };
        }
        Code::Busy
        | Code::UnknownName
        | Code::NotRemote
        | Code::Undecodable
        | Code::Malformed
        | Code::TooLarge => Refusal::OfThisJob,
        _ => Refusal::OfAll,
    };
    let why = format!("refused with {told}: {detail}");
    not_started(refusal, answer.retry_after, why)
}

fn read(codec: Codec, answer: &Answer) -> Carried {
    let executed: wire::Executed = match answer.json() {
        Ok(executed) => executed,
        Err(why) => return Carried::Unknown { why },
    };
    let (left, output) = if codec == Codec::Json {
        let bytes = |raw: Box<RawValue>| String::from(Box::<str>::from(raw)).into_bytes();
        (executed.payload.map(bytes), executed.output.map(bytes))
    } else {
        let (left, output) = executed
            .bincode
            .map_or((None, None), |left| (left.payload, left.output));
        let bytes = |text: String| BASE64.decode(text.as_bytes());
        let (Ok(left), Ok(output)) = (left.map(bytes).transpose(), output.map(bytes).transpose())
        else {
            let why = "its answer holds invalid base64".into();
            return Carried::Unknown { why };
        };
        (left, output)
    };
    match end(executed.end, output) {
        Some(end) => Carried::Answered(carry::Answer {
            left,
            end,
            log: executed.log,
        }),
        None => Carried::Unknown {
            why: "it succeeded, by its answer, and the output is missing".into(),
        },
    }
}

fn end(ran: wire::Ran, output: Option<Vec<u8>>) -> Option<End> {
    Some(match ran {
        wire::Ran::Succeeded => End::Succeeded(output?),
        wire::Ran::Error {
            messages,
            retry_after_ms,
        } => End::Failed {
            chain: messages,
            retry_after: retry_after_ms.map(Duration::from_millis),
        },
        wire::Ran::Permanent { messages } => End::Permanent(messages),
        wire::Ran::Panicked { message, location } => End::Panicked { message, location },
        wire::Ran::TimedOut { after_ms } => End::TimedOut(after_ms),
        wire::Ran::Cancelled { messages } => End::Cancelled(messages),
        wire::Ran::Snoozed { for_ms } => End::Snoozed(Duration::from_millis(for_ms)),
        wire::Ran::Undecodable { message } => End::Undecodable(message),
    })
}
