//! Where hosts are: URLs, checked once.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ureq::http::Uri;

use crate::config::is_name;

/// A checked URL, without the `/v1` of the protocol.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Address(Arc<str>);

impl Address {
    /// The URL, or what is wrong with it.
    pub(super) fn read(url: &str) -> Result<Self, String> {
        if url.contains(['{', '}']) {
            return Err("a placeholder stands in the pattern of `servers` only".into());
        }
        Self::checked(url)
    }

    fn checked(url: &str) -> Result<Self, String> {
        // First, so that no password gets into a message.
        let uri = url
            .parse::<Uri>()
            .map_err(|_| "it is not a valid URL".to_owned())?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err("it holds a user name: give a token with `token`".into());
        }
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err("it does not begin with `http://` or `https://`".into());
        }
        if uri.host().unwrap_or_default().is_empty() {
            return Err("it names no host".into());
        }
        if uri.query().is_some() || url.contains('#') {
            return Err("it has a `?` or `#`: give it up to its path".into());
        }
        Ok(Self(url.trim_end_matches('/').into()))
    }

    /// The URL of a path of the protocol.
    pub(super) fn join(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.0)
    }

    /// Whoever is on the way can read what is sent there.
    pub(super) fn is_open(&self) -> bool {
        let Ok(uri) = self.0.parse::<Uri>() else {
            return true;
        };
        uri.scheme_str() != Some("https") && !is_loopback(uri.host().unwrap_or_default())
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where servers are, by the names that stand in receipts.
#[derive(Debug, Default)]
pub(super) struct Servers {
    pub(super) table: BTreeMap<String, Address>,
    pub(super) pattern: Option<Pattern>,
}

impl Servers {
    /// Nothing is known of any server.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.pattern.is_none()
    }

    pub(super) fn find(&self, server: &str) -> Option<Address> {
        if let Some(address) = self.table.get(server) {
            return Some(address.clone());
        }
        self.pattern.as_ref()?.of(server)
    }
}

/// A URL with `{server}` in it.
#[derive(Debug)]
pub(super) struct Pattern(String);

const PLACEHOLDER: &str = "{server}";

impl Pattern {
    /// The pattern, or what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let rest = text.replace(PLACEHOLDER, "");
        if rest.len() == text.len() {
            return Err("it has no `{server}`".into());
        }
        if rest.contains(['{', '}']) {
            return Err("the only placeholder is `{server}`".into());
        }
        Address::checked(&text.replace(PLACEHOLDER, "a"))?;
        let (_, behind) = text.split_once("://").unwrap_or_default();
        let authority = behind.split('/').next().unwrap_or_default();
        if let Some((_, after)) = authority.rsplit_once(PLACEHOLDER) {
            // What a receipt says must not decide whose host is asked.
            let domain = after.split(':').next().unwrap_or_default();
            if !domain.trim_end_matches('.').contains('.') {
                return Err(
                    "its host does not end with a domain behind `{server}`, so that a forged receipt \
                     could name any host: add one, or name each server with `server`"
                        .into(),
                );
            }
        }
        Ok(Self(text.into()))
    }

    /// As [`Address::is_open`].
    pub(super) fn is_open(&self) -> bool {
        let tried = Address(self.0.replace(PLACEHOLDER, "a").into());
        tried.is_open()
    }

    fn of(&self, server: &str) -> Option<Address> {
        let is_legal = is_name(server) && !matches!(server, "." | "..");
        let url = is_legal.then(|| self.0.replace(PLACEHOLDER, server))?;
        Address::checked(&url).ok()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
