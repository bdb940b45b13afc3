//! One attempt of a call.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use ureq::http::header::{CONTENT_LENGTH, LOCATION, TRANSFER_ENCODING};
use ureq::http::{HeaderMap, Request, Response, StatusCode};
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Agent, Body, Error};

use super::failure::Failure;
use super::guard::Guard;
use super::hop::Hop;
use super::{HttpAnswer, HttpCall, HttpCalls, REDIRECTS};
use crate::builtin::Content;
use crate::clock::{Clock, FOREVER, Steady, Wake};
use crate::sync::Arc;
use crate::{Context, JobError};

const USER_AGENT: &str = concat!("jobkeep/", env!("CARGO_PKG_VERSION"));
const STOPPED: &str = "its job was told to stop";

impl HttpCall {
    pub(super) fn run(&self, calls: &HttpCalls, ctx: &Context) -> Result<HttpAnswer, JobError> {
        self.run_through(DefaultConnector::default(), calls, ctx)
    }

    /// By that way to the servers.
    pub(super) fn run_through(
        &self,
        connector: impl Connector,
        calls: &HttpCalls,
        ctx: &Context,
    ) -> Result<HttpAnswer, JobError> {
        let mut hop =
            Hop::of(self).map_err(|cause| JobError::permanent(format!("call: {cause}")))?;
        let agent = self.agent(connector, calls);
        let _watch = ctx.watch(Arc::new(Interrupt(agent.clone())));
        let time = Time::new(self.timeout_ms, ctx);
        for _ in 0..=REDIRECTS {
            let name = hop.name();
            let step = step(&agent, hop, calls, &time, ctx);
            hop = match step.map_err(|failure| tell(&name, failure, ctx))? {
                Step::Answer(answer) => return Ok(answer),
                Step::Redirect(next) => next,
            };
        }
        let text = format!(
            "call {}: more than {REDIRECTS} redirects led there",
            hop.name()
        );
        Err(JobError::permanent(text))
    }

    /// For this attempt alone, so that no connection is shared with another job and each is one whose
    /// address was checked.
    fn agent(&self, connector: impl Connector, calls: &HttpCalls) -> Agent {
        let tls = TlsConfig::builder().disable_verification(!self.verify_tls);
        let config = Agent::config_builder()
            .allow_non_standard_methods(true)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Else that of the environment.
            .proxy(None)
            .tls_config(tls.build())
            .user_agent(USER_AGENT)
            .build();
        let guard = Guard {
            inner: Arc::clone(&calls.resolver),
            private: calls.private,
        };
        Agent::with_parts(config, connector, guard)
    }
}

/// Ends the connections of an attempt that is to stop.
struct Interrupt(Agent);

impl Wake for Interrupt {
    fn wake(&self) {
        self.0.clone().shutdown();
    }
}

/// How long an attempt may take. Servers answer by the system's clock, whatever clock the manager has.
struct Time {
    clock: Clock,
    limit: Option<(Steady, u64)>,
}

impl Time {
    fn new(timeout_ms: u64, ctx: &Context) -> Self {
        let clock = Clock::system();
        let own = Some(timeout_ms)
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis);
        let limit = own.into_iter().chain(ctx.time_left()).min();
        let now = clock.now().steady;
        let limit = limit.map(|span| (now.after(span), crate::retry::millis(span)));
        Self { clock, limit }
    }

    fn left(&self) -> Option<Duration> {
        let (deadline, _) = self.limit?;
        Some(deadline.since(self.clock.now().steady).min(FOREVER))
    }

    fn limit_ms(&self) -> u64 {
        self.limit.map_or(0, |(_, ms)| ms)
    }
}

enum Step {
    Answer(HttpAnswer),
    Redirect(Hop),
}

/// Sends one request and takes its answer.
fn step(
    agent: &Agent,
    hop: Hop,
    calls: &HttpCalls,
    time: &Time,
    ctx: &Context,
) -> Result<Step, Failure> {
    hop.check(calls).map_err(Failure::Lasting)?;
    // Whoever asked before the watch began did not reach the agent.
    if ctx.is_cancelled() {
        return Err(Failure::Passing(STOPPED.into()));
    }
    let failed = |cause| Failure::of_call(cause, time.limit_ms());
    let response = send(agent, &hop, time.left()).map_err(failed)?;
    let status = response.status();
    if status.is_success() {
        let framed = is_framed(response.headers());
        let answer = read(response, calls.keep_bytes).map_err(failed)?;
        // Else the body ends where the connection does, and whoever stops the job ends that.
        if !framed && !answer.body_cut && ctx.is_cancelled() {
            return Err(Failure::Passing(STOPPED.into()));
        }
        return Ok(Step::Answer(answer));
    }
    let redirects = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    match response.headers().get(LOCATION).filter(|_| redirects) {
        Some(location) => {
            let next = hop.follow(status, location).map_err(Failure::Lasting)?;
            Ok(Step::Redirect(next))
        }
        None => Err(failed_status(status, response.headers(), ctx)),
    }
}

/// The answer itself says where its body ends.
fn is_framed(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

fn failed_status(status: StatusCode, headers: &HeaderMap, ctx: &Context) -> Failure {
    Failure::of_status(status, headers, ctx.clock().now())
}

fn send(agent: &Agent, hop: &Hop, left: Option<Duration>) -> Result<Response<Body>, Error> {
    let mut request = Request::new(());
    *request.method_mut() = hop.method.clone();
    *request.uri_mut() = hop.uri.clone();
    *request.headers_mut() = hop.headers.clone();
    let request = agent
        .configure_request(request)
        .timeout_global(left)
        .build();
    match hop.content() {
        Some(body) => agent.run(request.map(|()| body)),
        None => agent.run(request),
    }
}

fn read(mut response: Response<Body>, bound: usize) -> Result<HttpAnswer, Error> {
    let mut body = Vec::new();
    // One more, to know whether there are more.
    let most = u64::try_from(bound).unwrap_or(u64::MAX).saturating_add(1);
    response
        .body_mut()
        .as_reader()
        .take(most)
        .read_to_end(&mut body)?;
    let (body, body_cut) = Content::beginning(body, bound);
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in response.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str().into()).or_default().push(value);
    }
    Ok(HttpAnswer {
        status: response.status().as_u16(),
        headers,
        body,
        body_cut,
    })
}

fn tell(name: &str, failure: Failure, ctx: &Context) -> JobError {
    let text = |why: String| format!("call {name}: {why}");
    match failure {
        // Its connection was ended for that.
        Failure::Passing(_) if ctx.is_cancelled() => JobError::new(text(STOPPED.into())),
        Failure::Passing(why) => JobError::new(text(why)),
        Failure::Lasting(why) => JobError::permanent(text(why)),
        Failure::Later(wait, why) => JobError::retry_after(wait, text(why)),
    }
}
