//! One request and its answer.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::config::Config;
use ureq::http::{Method, Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, AsSendBody, Body, SendBody, Timeout};

use super::super::problem::{Code, Problem};
use super::lookup::Lookup;
use crate::clock::FOREVER;

/// Sends requests, over connections that are kept.
pub(super) struct Exchange {
    agent: Agent,
    /// The value of the header.
    authorization: Option<String>,
    timeout: Duration,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    /// A body of JSON.
    pub(super) body: Option<&'a [u8]>,
    /// How long the host may think about it, beyond the usual time.
    pub(super) wait: Duration,
}

impl Request<'_> {
    pub(super) fn new(method: Method, url: String) -> Self {
        Self {
            method,
            url,
            body: None,
            wait: Duration::ZERO,
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The host cannot have got all of the request.
    NotSent(String),
    /// The host may have got it.
    Unanswered(String),
    /// The host answered more than a client takes.
    Endless(String),
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// A refusal by a host, and not by what stands before it.
    pub(super) problem: Option<(Code, Problem)>,
    pub(super) retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// An answer is not larger: a finished job has a payload and an output, each at most half of it.
const ANSWER_BYTES: u64 = 128 << 20;

/// What is told of a failure is not larger.
const PROBLEM_BYTES: u64 = 64 << 10;

/// A connection that nobody used for so long is not used again. Servers close idle ones sooner or
/// later, most of them after 5 s or more, and a request that crosses the close has no answer.
const IDLE: Duration = Duration::from_secs(4);

/// So many connections are kept to one host, and four times as many in all.
const KEPT: usize = 64;

const CONNECT: Duration = Duration::from_secs(5);

/// Before a larger body is sent, the host is asked whether it wants it.
const LARGE_BYTES: usize = 256 << 10;

impl Exchange {
    pub(super) fn new(token: Option<&str>, timeout: Duration, roots: Option<RootCerts>) -> Self {
        let tls = TlsConfig::builder().root_certs(roots.unwrap_or(RootCerts::WebPki));
        let config = Config::builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("jobkeep/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .timeout_connect(Some(CONNECT.min(timeout)))
            .timeout_resolve(Some(CONNECT.min(timeout)))
            .max_idle_age(IDLE)
            .max_idle_connections(4 * KEPT)
            .max_idle_connections_per_host(KEPT)
            .input_buffer_size(16 << 10)
            .output_buffer_size(16 << 10)
            .max_response_header_size(32 << 10)
            .build();
        Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), Lookup::default()),
            authorization: token.map(|token| format!("Bearer {token}")),
            timeout,
        }
    }

    /// Sends it once, and reads the whole answer.
    pub(super) fn send(&self, request: &Request<'_>) -> Result<Answer, Failed> {
        let body = request.body.unwrap_or_default();
        let mut left = Left(body);
        let answer = self.run(request, &mut left).map_err(|cause| {
            let told = self.told(&cause, request.wait);
            let sent = body.len() - left.0.len();
            // A host does nothing before it has all of the body.
            if sent < body.len() && sent > 0 {
                Failed::NotSent(format!(
                    "{told}, after {sent} of {} bytes: perhaps it takes none that large",
                    body.len()
                ))
            } else if sent < body.len()
                || is_before_sending(&cause)
                || is_cut_off(&cause, &request.url)
            {
                Failed::NotSent(told)
            } else {
                Failed::Unanswered(told)
            }
        })?;
        self.read(answer, request.wait)
    }

    fn run(
        &self,
        request: &Request<'_>,
        left: &mut Left<'_>,
    ) -> Result<Response<Body>, ureq::Error> {
        let mut head = ureq::http::Request::builder()
            .method(&request.method)
            .uri(&request.url);
        if let Some(authorization) = &self.authorization {
            head = head.header(header::AUTHORIZATION, authorization);
        }
        if let Some(body) = request.body {
            head = head
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONTENT_LENGTH, body.len());
            if body.len() > LARGE_BYTES {
                head = head.header(header::EXPECT, "100-continue");
            }
        }
        let all = self.timeout.saturating_add(request.wait);
        match request.body {
            Some(_) => self.go(head.body(SendBody::from_reader(left))?, all),
            None => self.go(head.body(())?, all),
        }
    }

    fn go(
        &self,
        request: ureq::http::Request<impl AsSendBody>,
        within: Duration,
    ) -> Result<Response<Body>, ureq::Error> {
        let request = self.agent.configure_request(request);
        let within = within.min(FOREVER);
        self.agent.run(request.timeout_global(Some(within)).build())
    }

    fn read(&self, answer: Response<Body>, wait: Duration) -> Result<Answer, Failed> {
        let (head, body) = answer.into_parts();
        let status = head.status.as_u16();
        let most = if head.status.is_success() {
            ANSWER_BYTES
        } else {
            PROBLEM_BYTES
        };
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let is_problem =
            header(header::CONTENT_TYPE).is_some_and(|kind| is(kind, "application/problem+json"));
        let retry_after = header(header::RETRY_AFTER)
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(Duration::from_secs);
        let mut answer = Answer {
            status,
            problem: None,
            retry_after,
            body: Vec::new(),
        };
        // What stands before hosts may send a page of any size; its status says enough.
        if !head.status.is_success() && !is_problem {
            return Ok(answer);
        }
        let endless =
            || Failed::Endless(format!("its answer {status} is larger than {most} bytes"));
        if body.content_length().is_some_and(|length| length > most) {
            return Err(endless());
        }
        let read = body.into_with_config().limit(most).reader();
        answer.body = all_of(read).map_err(|cause| match cause {
            ureq::Error::BodyExceedsLimit(most) => {
                Failed::Endless(format!("its answer {status} is larger than {most} bytes"))
            }
            cause => {
                let told = self.told(&cause, wait);
                Failed::Unanswered(format!("its answer {status} broke off: {told}"))
            }
        })?;
        if is_problem {
            answer.problem = problem(head.status, &answer.body);
        }
        Ok(answer)
    }

    /// The failure in our words.
    fn told(&self, cause: &ureq::Error, wait: Duration) -> String {
        match cause {
            ureq::Error::HostNotFound => "no host has this name".into(),
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                "no connection came about in time".into()
            }
            ureq::Error::Timeout(_) => format!(
                "no answer came within {} ms",
                self.timeout.saturating_add(wait).as_millis()
            ),
            ureq::Error::Protocol(_) => "its answer is no HTTP".into(),
            ureq::Error::LargeResponseHeader(..) => "the header of its answer is too large".into(),
            ureq::Error::Io(cause) => cause.to_string(),
            cause => cause.to_string(),
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What of a body is still to be sent.
struct Left<'a>(&'a [u8]);

impl Read for Left<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Failures that come before the first byte of a request, as far as they tell.
fn is_before_sending(cause: &ureq::Error) -> bool {
    match cause {
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_)
        | ureq::Error::TlsRequired
        | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        ureq::Error::Io(cause) => cause.kind() == io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

/// The host had closed the connection before the last write, as one does that has too many open: what is
/// only read then ends, or is reset. TLS writes also while it reads, so there it tells nothing.
fn is_cut_off(cause: &ureq::Error, url: &str) -> bool {
    let is_broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    url.starts_with("http:") && matches!(cause, ureq::Error::Io(cause) if is_broken(cause))
}

fn all_of(mut body: impl Read) -> Result<Vec<u8>, ureq::Error> {
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The refusal, if a host of this protocol wrote it.
fn problem(status: StatusCode, body: &[u8]) -> Option<(Code, Problem)> {
    let problem = serde_json::from_slice::<Problem>(body).ok()?;
    let code = Code::read(&problem.code)?;
    (code.status() == status.as_u16()).then_some((code, problem))
}

fn is(kind: &str, wanted: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case(wanted)
}

impl Answer {
    /// The body as what the protocol says it is.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        // The parser's own words may quote what it read.
        serde_json::from_slice(&self.body)
            .map_err(|_| format!("its answer {} is not of this protocol", self.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_that_could_not_be_written_to_its_end_is_cut_off() {
        let cut_off = |kind: io::ErrorKind, url| is_cut_off(&ureq::Error::Io(kind.into()), url);
        let (plain, tls) = (
            "http://127.0.0.1/v1/execute",
            "https://127.0.0.1/v1/execute",
        );
        assert!(cut_off(io::ErrorKind::BrokenPipe, plain));
        assert!(!cut_off(io::ErrorKind::BrokenPipe, tls));
        for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof] {
            assert!(!cut_off(kind, plain));
        }
    }
}
