//! A request to an HTTP server as a job.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Content;
use crate::Job;
use crate::retry::millis;

mod address;
mod allowed;
mod failure;
mod guard;
mod hop;
mod location;
mod run;

pub use allowed::HttpCalls;

/// How many redirects a call follows: 5.
pub const REDIRECTS: usize = 5;

/// How long a call may take by default: 30 seconds.
const TIMEOUT_MS: u64 = 30_000;

/// Calls an HTTP server. A host does that where it registers such jobs with
/// [`Builder::http_calls`](crate::Builder::http_calls), which says what servers they may reach.
///
/// ```
/// use std::time::Duration;
/// use jobkeep::builtin::{HttpCall, HttpCalls};
/// use jobkeep::{Manager, MemoryStore, NewJob};
///
/// let manager = Manager::builder(MemoryStore::new())
///     .http_calls(HttpCalls::to(["api.example.org"]))
///     .start()?;
/// let call = HttpCall::new("POST", "https://api.example.org/orders")
///     .header("authorization", "Bearer 1234")
///     .form("id", "42")
///     .timeout(Duration::from_secs(10));
/// let receipt = manager.enqueue(NewJob::new(call).delay(Duration::from_secs(3600)))?;
/// # Ok::<(), jobkeep::Error>(())
/// ```
///
/// Its payload, of which only `method` and `url` must be there; `body` and `form` exclude each other:
///
/// ```json
/// {"method":"POST","url":"https://api.example.org/orders","headers":{"authorization":"Bearer 1234"},
///  "form":{"id":"42"},"body":"…","timeout_ms":10000,"verify_tls":true}
/// ```
///
/// Only `http` and `https`, and no proxy. The URL names no user, since it is not kept as a secret is. Headers
/// that say where or how the request is sent, such as `host`, are refused. A `POST`, `PUT` or `PATCH` without
/// a body says `content-length: 0`.
///
/// # Its end
///
/// | answer | the job |
/// |---|---|
/// | 2xx | succeeds; its output is the [`HttpAnswer`] |
/// | 408, 425, 429, 5xx | is tried again, after `Retry-After` where the answer has one (24 hours at most), else by the policy |
/// | everything else | fails for good |
/// | none: no connection, no trust in its TLS certificate, the time-out | is tried again by the policy |
/// | none was asked for: the call is faulty, or the host does not allow it | fails for good |
///
/// Redirects are followed up to [`REDIRECTS`] (5) times, and never from `https` to `http`; the host's rules
/// hold for each. To another origin (scheme, host, port) only the headers `accept` and `content-type` go
/// along. After 307 and 308 method and body stay, after 301, 302 and 303 the request becomes a `GET`.
///
/// The time-out is for all of that. An attempt with a [time-out](crate::Policy::timeout) of its own takes no
/// longer than that either. A job that is cancelled ends its connection; where it looks up a name or connects at
/// that moment, it does so until its time-out.
///
/// # Secrets
///
/// Errors and `Debug` show the scheme and host of a URL, and no values of headers; a log with lines of the
/// level `trace` from `ureq_proto` shows what is sent. The store keeps the whole call.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    method: String,
    url: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Content>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    form: BTreeMap<String, String>,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u64,
    #[serde(default = "default_verify_tls")]
    verify_tls: bool,
}

fn default_timeout_ms() -> u64 {
    TIMEOUT_MS
}

fn default_verify_tls() -> bool {
    true
}

impl HttpCall {
    /// A call of that method, such as `POST`, to that URL.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: BTreeMap::new(),
            body: None,
            form: BTreeMap::new(),
            timeout_ms: TIMEOUT_MS,
            verify_tls: true,
        }
    }

    /// Sets a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// What it sends; nothing by default. Its type is said with the header `content-type`.
    pub fn body(mut self, body: impl Into<Content>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a variable of the form that it sends, as a browser does, instead of a body.
    pub fn form(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.form.insert(name.into(), value.into());
        self
    }

    /// How long it may take with all its redirects: 30 seconds by default. Zero means as long as it likes.
    /// Rounded up to milliseconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = millis(timeout);
        self
    }

    /// Whether the server's TLS certificate must be trusted, by the roots that Mozilla trusts: `true` by
    /// default. Without, anybody on the way can read and change what is sent.
    pub fn verify_tls(mut self, verify: bool) -> Self {
        self.verify_tls = verify;
        self
    }
}

impl Job for HttpCall {
    const NAME: &'static str = "http-call";
    type Output = HttpAnswer;
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCall")
            .field("method", &self.method)
            .field("url", &hop::origin_of(&self.url))
            .field("headers", &self.headers.keys())
            .field("body", &self.body)
            .field("form", &self.form.keys())
            .field("timeout_ms", &self.timeout_ms)
            .field("verify_tls", &self.verify_tls)
            .finish()
    }
}

/// What a server answered to a call that succeeded. In JSON:
///
/// ```json
/// {"status":200,"headers":{"content-type":["text/plain"]},"body":"done","body_cut":false}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAnswer {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    body: Content,
    body_cut: bool,
}

impl HttpAnswer {
    /// The status, 200 to 299.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first value of the header, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.first().map(String::as_str)
    }

    /// All headers, their names in lower case.
    pub fn headers(&self) -> &BTreeMap<String, Vec<String>> {
        &self.headers
    }

    /// The first bytes of the body, up to [`HttpCalls::keep_bytes`].
    pub fn body(&self) -> &Content {
        &self.body
    }

    /// The body was longer than what is kept of it.
    pub fn is_body_cut(&self) -> bool {
        self.body_cut
    }
}
