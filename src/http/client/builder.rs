//! A client in the making.

use std::fmt;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

use super::address::{Address, Pattern, Servers};
use super::exchange::Exchange;
use super::pool::{Pool, Pools};
use super::waiting::Waiting;
use super::{Client, Inner};
use crate::Error;

/// A client to be configured: see [`Client::builder`].
///
/// | setting | default |
/// |---|---|
/// | [`token`](Self::token) | none |
/// | [`patience`](Self::patience) | 10 s |
/// | [`timeout`](Self::timeout) | 30 s, of which at most 5 s for the connection |
/// | [`repeat_unanswered`](Self::repeat_unanswered) | no |
/// | [`plain_http`](Self::plain_http) | no |
/// | [`root_certificate`](Self::root_certificate) | those that Mozilla trusts |
/// | proxies | none, whatever the environment says |
/// | redirects | not followed |
/// | an answer | at most 128 MiB |
#[must_use = "a builder does nothing until `build`"]
pub struct ClientBuilder {
    pool: Pool,
    pools: Vec<Pool>,
    table: Vec<(String, String)>,
    pattern: Option<String>,
    token: Option<String>,
    patience: Duration,
    timeout: Duration,
    repeat_unanswered: bool,
    plain_http: bool,
    roots: Vec<Vec<u8>>,
    faults: Vec<String>,
}

impl ClientBuilder {
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            pools: Vec::new(),
            table: Vec::new(),
            pattern: None,
            token: None,
            patience: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            repeat_unanswered: false,
            plain_http: false,
            roots: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Another pool, for some jobs or queues.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pools.push(pool);
        self
    }

    /// Where the server of that name is, to which its receipts lead. Counts before
    /// [`servers`](Self::servers).
    pub fn server(mut self, name: impl Into<String>, url: impl Into<String>) -> Self {
        self.table.push((name.into(), url.into()));
        self
    }

    /// Where servers are: a URL with `{server}` in its host or its path, such as
    /// `http://{server}.internal:8081`. The name comes from a receipt, and a receipt may come from
    /// anybody: so only what a server can be named is put there, and a host goes on with a domain behind
    /// it.
    pub fn servers(mut self, pattern: impl Into<String>) -> Self {
        if self.pattern.replace(pattern.into()).is_some() {
            self.faults
                .push("servers: the pattern is given twice".into());
        }
        self
    }

    /// The token that all requests show, to every pool and server. None by default, which hosts let in
    /// on loopback only.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Lets the token travel over plain HTTP to other machines. Without it, that is a fault: whoever can
    /// read the network could then do what the token lets do. Say yes for a network of your own, such as
    /// the one behind a balancer.
    pub fn plain_http(mut self, yes: bool) -> Self {
        self.plain_http = yes;
        self
    }

    /// How long creating tries again what certainly was not accepted: where no host was reached, or one
    /// said that it takes nothing at the moment. 10 s by default; zero tries once. A try that is under way
    /// when patience ends may take its [`timeout`](Self::timeout) longer.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long one request may take, from the look-up of its host's name to the last byte of its answer;
    /// 30 s by default. What a host is asked to wait comes on top.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Repeats a create through a balancer also where its answer was lost, and so may make the job twice,
    /// on two hosts. No by default: see [`Client`].
    pub fn repeat_unanswered(mut self, yes: bool) -> Self {
        self.repeat_unanswered = yes;
        self
    }

    /// Trusts the certificates of this authority, in PEM, and no longer those that Mozilla trusts.
    /// Several may be given.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// The client. No host is asked for anything yet.
    ///
    /// # Errors
    /// Where the configuration does not hold together, [`Error::is_config`]: the message names every
    /// fault.
    pub fn build(self) -> Result<Client, Error> {
        let mut faults = self.faults;
        let pools = Pools::read(self.pool, self.pools, &mut faults);
        let servers = servers(self.table, self.pattern, &mut faults);
        let roots = roots(&self.roots, &mut faults);
        if self.timeout.is_zero() {
            faults.push("timeout: it must be longer than zero".into());
        }
        if let Some(token) = &self.token {
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                faults.push("token: it must be non-empty printable ASCII without spaces".into());
            }
            let mut open = open(&pools, &servers);
            if let (false, Some(open)) = (self.plain_http, open.next()) {
                faults.push(format!(
                    "token: it would travel to {open} readable for everybody on the way: use `https`, \
                     or allow it with `plain_http`"
                ));
            }
        }
        if !faults.is_empty() {
            return Err(Error::config("build the client", &faults));
        }
        Ok(Client::new(Inner {
            exchange: Exchange::new(self.token.as_deref(), self.timeout, roots),
            pools,
            servers,
            waiting: Waiting::new(),
            patience: self.patience,
            repeat_unanswered: self.repeat_unanswered,
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").finish_non_exhaustive()
    }
}

fn servers(
    table: Vec<(String, String)>,
    pattern: Option<String>,
    faults: &mut Vec<String>,
) -> Servers {
    let mut servers = Servers::default();
    for (name, url) in table {
        match Address::read(&url) {
            Ok(address) => {
                if servers.table.insert(name.clone(), address).is_some() {
                    faults.push(format!("server `{name}`: it is given twice"));
                }
            }
            Err(fault) => faults.push(format!("server `{name}`: {fault}")),
        }
    }
    if let Some(pattern) = pattern {
        match Pattern::read(&pattern) {
            Ok(pattern) => servers.pattern = Some(pattern),
            Err(fault) => faults.push(format!("servers: {fault}")),
        }
    }
    servers
}

fn roots(given: &[Vec<u8>], faults: &mut Vec<String>) -> Option<RootCerts> {
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for pem in given {
        let items = parse_pem(pem).filter_map(Result::ok);
        let before = certificates.len();
        certificates.extend(items.filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        }));
        if certificates.len() == before {
            faults.push("root_certificate: it must hold a certificate in PEM".into());
        }
    }
    (!given.is_empty()).then(|| RootCerts::new_with_certs(&certificates))
}

/// Where what is sent can be read on the way.
fn open<'a>(pools: &'a Pools, servers: &'a Servers) -> impl Iterator<Item = String> + 'a {
    let known = pools.all().chain(servers.table.values());
    let known = known.filter(|address| address.is_open());
    let pattern = servers.pattern.iter().filter(|pattern| pattern.is_open());
    known
        .map(Address::to_string)
        .chain(pattern.map(Pattern::to_string))
}
