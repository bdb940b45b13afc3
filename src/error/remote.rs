//! What only a client meets: hosts that are far away.

#[cfg(feature = "http-client")]
use jobkeep_store::ParkReason;

use super::{Error, Kind};

/// What is said of a host that is far away, and of nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "http-client"),
    allow(dead_code, reason = "only a client says so")
)]
pub(crate) enum Remote {
    Unreachable,
    /// What was asked may have taken effect.
    Unanswered,
    UnknownServer,
    Denied,
    TooMany,
}

impl Error {
    /// What a host said: also why the job is parked that it speaks of, and which of a batch that is.
    #[cfg(feature = "http-client")]
    pub(crate) fn from_host(
        kind: Kind,
        message: String,
        parked: Option<ParkReason>,
        index: Option<usize>,
    ) -> Self {
        let mut error = Self::new(kind, message);
        error.0.parked = parked;
        error.0.index = index;
        error
    }

    /// A host could not be reached, or its balancer or its store takes nothing at the moment. Nothing
    /// took effect: it is worth trying again later.
    pub fn is_unreachable(&self) -> bool {
        self.0.kind == Kind::Remote(Remote::Unreachable)
    }

    /// A receipt, or a call, names a server of which the client's configuration knows nothing.
    pub fn is_unknown_server(&self) -> bool {
        self.0.kind == Kind::Remote(Remote::UnknownServer)
    }

    /// The host does not let the client do this: its token is unknown there, or has not the role.
    pub fn is_denied(&self) -> bool {
        self.0.kind == Kind::Remote(Remote::Denied)
    }

    /// The client asks more often than the host lets it.
    pub fn is_too_many(&self) -> bool {
        self.0.kind == Kind::Remote(Remote::TooMany)
    }
}
