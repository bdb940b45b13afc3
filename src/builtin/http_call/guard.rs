//! The check of the addresses that a name stands for.

use std::error;
use std::fmt;
use std::sync::Arc;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::address::is_public;

/// Looks names up, and lets through what may be connected to. ureq connects to what it gives and looks up
/// nothing itself, so that a name which stands for something else a moment later changes nothing.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) inner: Arc<dyn Resolver>,
    pub(super) private: bool,
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in &found {
            if self.private || is_public(address.ip()) {
                allowed.push(*address);
            }
        }
        if allowed.is_empty() {
            return Err(Error::Other(Box::new(NotPublic)));
        }
        Ok(allowed)
    }
}

/// None of the addresses may be connected to.
#[derive(Debug)]
struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the host's address is not public: allow it with `HttpCalls::allow_private_addresses`",
        )
    }
}

impl error::Error for NotPublic {}
