//! Jobs asked for at the server that has them.

use std::time::Duration;

use ureq::http::Method;

use super::super::wire;
use super::Inner;
use super::address::Address;
use super::exchange::{Answer, Request};
use super::read;
use super::refused::{Fate, Refused};
use crate::error::{Kind, Remote};
use crate::finished::{Finished, Status};
use crate::page::Page;
use crate::{Error, JobNumber, ParkReason, Receipt, StateKind};

/// So long does a host wait for the end of a job at a time: less than balancers let a connection rest.
const LONG_POLL: Duration = Duration::from_secs(25);

/// A host that refused, or did not answer.
struct Failure {
    address: Address,
    refused: Refused,
}

impl Failure {
    fn error(self, act: &str) -> Error {
        let message = format!("{act} at {}: {}", self.address, self.refused.told);
        self.refused.error(message)
    }
}

impl Inner {
    /// The job as it stands.
    pub(super) fn status<J>(&self, receipt: &Receipt<J>) -> Result<Status, Error> {
        let act = format!("look up job {}", receipt.number());
        let addresses = self.addresses_of(&act, receipt.server())?;
        let path = format!("jobs/{receipt}");
        let job = ask(&addresses, |address| {
            self.job(receipt, address, &path, Duration::ZERO)
        });
        let status = job.and_then(|(address, job)| {
            read::status(job).map_err(|told| Failure {
                address,
                refused: Refused::garbled(told),
            })
        });
        status.map_err(|failure| failure.error(&act))
    }

    /// The finished job, waiting for it up to `patience`. One that is parked is not waited for.
    pub(super) fn look_up<J>(
        &self,
        receipt: &Receipt<J>,
        patience: Duration,
    ) -> Result<Option<Finished>, Error> {
        let act = format!("look up job {}", receipt.number());
        let addresses = self.addresses_of(&act, receipt.server())?;
        let mut tries = self.waiting.tries(patience);
        loop {
            let wait = tries.left().min(LONG_POLL);
            let path = match wait.as_millis() {
                0 => format!("jobs/{receipt}"),
                wait_ms => format!("jobs/{receipt}?wait_ms={wait_ms}"),
            };
            let asked = self.waiting.now();
            match ask(&addresses, |address| {
                self.job(receipt, address, &path, wait)
            }) {
                Ok((_, job)) if job.parked.is_some() && !patience.is_zero() => {
                    let act = format!("wait for job {}", receipt.number());
                    let wire::Job {
                        parked,
                        name,
                        queue,
                        ..
                    } = job;
                    let reason = parked.map_or(ParkReason::UnknownName, read::parked);
                    return Err(Error::parked(act, reason, &name, &queue));
                }
                Ok((address, job)) => {
                    let finished = read::finished(receipt.number(), job);
                    let finished = finished.map_err(|told| {
                        let refused = Refused::garbled(told);
                        Failure { address, refused }.error(&act)
                    })?;
                    if finished.is_some() || tries.left().is_zero() {
                        return Ok(finished);
                    }
                    if self.waiting.now().since(asked) >= wait / 2 {
                        tries.succeeded();
                    } else if !tries.again(None) {
                        // It did not wait, and is not to be asked all the time.
                        return Ok(None);
                    }
                }
                Err(failure) => {
                    let refused = &failure.refused;
                    if !refused.may_pass() || !tries.again(refused.retry_after) {
                        return Err(failure.error(&act));
                    }
                }
            }
        }
    }

    fn job<J>(
        &self,
        receipt: &Receipt<J>,
        address: &Address,
        path: &str,
        wait: Duration,
    ) -> Result<wire::Job, Refused> {
        let answer = self.exchange.send(&Request {
            wait,
            ..Request::new(Method::GET, address.join(path))
        })?;
        let job = success::<wire::Job>(&answer)?;
        if job.receipt != receipt.to_string() {
            return Err(Refused::garbled("its answer is about another job"));
        }
        Ok(job)
    }

    /// Has the server do something with a job that it gave a receipt for.
    pub(super) fn tell<J>(
        &self,
        act: &str,
        method: &Method,
        receipt: &Receipt<J>,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<(), Error> {
        let act = format!("{act} job {}", receipt.number());
        let addresses = self.addresses_of(&act, receipt.server())?;
        let path = format!("jobs/{receipt}{path}");
        let told = ask(&addresses, |address| {
            let answer = self.exchange.send(&Request {
                body,
                ..Request::new(method.clone(), address.join(&path))
            })?;
            match answer.status {
                204 => Ok(()),
                _ => Err(Refused::from(&answer)),
            }
        });
        match told {
            Ok(_) => Ok(()),
            Err(mut failure) => {
                let refused = &mut failure.refused;
                if matches!(refused.fate, Fate::Unanswered | Fate::Garbled) {
                    refused.kind = Kind::Remote(Remote::Unanswered);
                    refused
                        .told
                        .push_str(": it may have taken effect all the same");
                }
                Err(failure.error(&act))
            }
        }
    }

    /// Jobs of one state of a server.
    pub(super) fn jobs(
        &self,
        server: &str,
        state: StateKind,
        after: Option<JobNumber>,
        limit: usize,
    ) -> Result<Page, Error> {
        let act = format!("list {state} jobs of server `{server}`");
        let addresses = self.addresses_of(&act, server)?;
        let after = after.map_or_else(String::new, |after| format!("&after={}", after.0));
        let path = format!("jobs?state={state}&limit={}{after}", limit.max(1));
        let page = ask(&addresses, |address| {
            let request = Request::new(Method::GET, address.join(&path));
            let answer = self.exchange.send(&request)?;
            let page = success::<wire::Page>(&answer)?;
            read::page(server, page).map_err(Refused::garbled)
        });
        page.map(|(_, page)| page)
            .map_err(|failure| failure.error(&act))
    }

    /// Where the server is, as the configuration knows it. Where that knows no server at all, it may be
    /// any of the hosts that take new jobs.
    fn addresses_of(&self, act: &str, server: &str) -> Result<Vec<Address>, Error> {
        if self.servers.is_empty() {
            return Ok(self.pools.first().to_vec());
        }
        match self.servers.find(server) {
            Some(address) => Ok(vec![address]),
            None => Err(Error::new(
                Kind::Remote(Remote::UnknownServer),
                format!(
                    "{act}: nothing is known of server `{}`: name it with `ClientBuilder::server`, or \
                     give a pattern with `servers`",
                    server.escape_default()
                ),
            )),
        }
    }
}

/// Asks one address after the other, until one is the server's.
fn ask<T>(
    addresses: &[Address],
    asked: impl Fn(&Address) -> Result<T, Refused>,
) -> Result<(Address, T), Failure> {
    let mut failure: Option<Failure> = None;
    for address in addresses {
        let refused = match asked(address) {
            Ok(answer) => return Ok((address.clone(), answer)),
            Err(refused) => refused,
        };
        let is_elsewhere = refused.kind == Kind::OtherServer;
        let is_final = refused.fate == Fate::Refused && !is_elsewhere;
        let is_first = |earlier: &Failure| earlier.refused.kind == Kind::OtherServer;
        if failure.as_ref().is_none_or(is_first) || refused.fate > Fate::NotNow {
            let address = address.clone();
            failure = Some(Failure { address, refused });
        }
        if is_final {
            break;
        }
    }
    Err(failure.unwrap_or_else(|| Failure {
        address: Address::default(),
        refused: Refused::garbled("there is no host to ask"),
    }))
}

fn success<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, Refused> {
    match answer.status {
        200 => answer.json().map_err(Refused::garbled),
        _ => Err(Refused::from(answer)),
    }
}
