//! The addresses of hosts.

use std::net::{IpAddr, SocketAddr};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Looks names up as ureq does: before each request, kept connection or not, and on a thread of its own
/// because it may take long. An address needs neither.
#[derive(Debug, Default)]
pub(super) struct Lookup(DefaultResolver);

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let Some(address) = address(uri) else {
            return self.0.resolve(uri, config, timeout);
        };
        let mut found = self.empty();
        found.push(address);
        Ok(found)
    }
}

/// The address, where the host is none that has a name.
fn address(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let ip: IpAddr = match bare {
        Some(bare) => bare.parse().ok().filter(IpAddr::is_ipv6)?,
        None => host.parse().ok()?,
    };
    let port = match uri.scheme_str()? {
        "http" => uri.port_u16().unwrap_or(80),
        "https" => uri.port_u16().unwrap_or(443),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_it_is_and_a_name_is_not() {
        let read = |uri: &str| address(&uri.parse().unwrap()).map(|address| address.to_string());
        let is = |address: &str| Some(address.to_owned());
        assert_eq!(read("http://127.0.0.1:8081/v1"), is("127.0.0.1:8081"));
        assert_eq!(read("http://10.0.0.1/v1"), is("10.0.0.1:80"));
        assert_eq!(read("https://10.0.0.1/v1"), is("10.0.0.1:443"));
        assert_eq!(
            read("https://[2001:db8::1]:8443/"),
            is("[2001:db8::1]:8443")
        );
        assert_eq!(read("http://localhost:8081/v1"), None);
        assert_eq!(read("https://jobs.example.org/"), None);
        // What the system reads as an address, it may go on reading so.
        assert_eq!(read("http://127.1/"), None);
    }
}
