//! What a host allows.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

use ureq::unversioned::resolver::{DefaultResolver, Resolver};

use super::HttpCall;
use crate::Builder;

/// How many bytes of a body are kept by default. They fit an output of the default limit however JSON has to
/// escape them.
const KEEP_BYTES: usize = 64 * 1024;

/// The servers that a host calls for [`HttpCall`] jobs.
#[derive(Clone)]
pub struct HttpCalls {
    hosts: Vec<String>,
    pub(super) private: bool,
    pub(super) keep_bytes: usize,
    pub(super) resolver: Arc<dyn Resolver>,
}

impl HttpCalls {
    /// Allows these hosts, on all ports: names and addresses exactly as URLs have them, or
    /// `*.example.org` for all names below `example.org`. No others, also not by a redirect.
    pub fn to<H: Into<String>>(hosts: impl IntoIterator<Item = H>) -> Self {
        let bare = |host: H| bare(&host.into()).to_ascii_lowercase();
        Self {
            hosts: hosts.into_iter().map(bare).collect(),
            private: false,
            keep_bytes: KEEP_BYTES,
            resolver: Arc::new(DefaultResolver::default()),
        }
    }

    /// Also allows those hosts where their addresses are not public. By default a call connects to none that
    /// is private, shared, loopback, link-local, multicast, unspecified or for documentation, nor to an IPv6
    /// address that stands for such an IPv4 one. What is checked is the address that is connected to, not
    /// its name.
    pub fn allow_private_addresses(mut self) -> Self {
        self.private = true;
        self
    }

    /// How many bytes of a body are kept: 64 KiB by default, the first ones. More are not read.
    /// [`Builder::output_limit`] counts for the whole answer, as JSON.
    pub fn keep_bytes(mut self, bytes: usize) -> Self {
        self.keep_bytes = bytes;
        self
    }

    pub(super) fn allow(&self, host: &str) -> bool {
        let host = bare(host).to_ascii_lowercase();
        self.hosts
            .iter()
            .any(|allowed| match allowed.strip_prefix('*') {
                Some(domain) => host.len() > domain.len() && host.ends_with(domain),
                None => host == *allowed,
            })
    }

    fn faults(&self) -> impl Iterator<Item = String> {
        let wrong = |host: &&String| !is_host(host);
        self.hosts.iter().filter(wrong).map(|host| {
            format!(
                "http calls: `{host}` is no host: give a name or an address without scheme, port and \
                 path, or `*.` and a name"
            )
        })
    }
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[');
    inner
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn is_host(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !name.is_empty() && name.bytes().all(part) || host.parse::<Ipv6Addr>().is_ok()
}

impl fmt::Debug for HttpCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCalls")
            .field("hosts", &self.hosts)
            .field("private", &self.private)
            .field("keep_bytes", &self.keep_bytes)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Runs [`HttpCall`] jobs: those to the servers that `calls` allows.
    pub fn http_calls(mut self, calls: HttpCalls) -> Self {
        self.faults.extend(calls.faults());
        self.handle::<HttpCall>(move |call, ctx| call.run(&calls, ctx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_allowed() {
        let calls = HttpCalls::to(["api.Example.org", "*.example.net", "[::1]"]);
        for host in [
            "api.example.org",
            "API.EXAMPLE.ORG",
            "a.example.net",
            "a.b.example.net",
            "[::1]",
        ] {
            assert!(calls.allow(host), "{host}");
        }
        for host in [
            "example.org",
            "api.example.org.",
            "x.api.example.org",
            "example.net",
            ".example.net",
            "badexample.net",
            "127.0.0.1",
            "",
        ] {
            assert!(!calls.allow(host), "{host}");
        }
        assert!(!HttpCalls::to([""; 0]).allow("example.org"));
    }

    #[test]
    fn what_is_no_host_is_a_fault() {
        for host in ["", "*", "*.", "*.*.org", "a:80", "http://a", "a/b", "u@a"] {
            assert_eq!(HttpCalls::to([host]).faults().count(), 1, "{host}");
        }
        let good = ["a", "*.example.org", "10.0.0.1", "[::1]", "::1"];
        assert_eq!(HttpCalls::to(good).faults().count(), 0);
    }
}
