//! Jobs sent to other hosts.

/// A client.
#[derive(Debug)]
pub struct Client {}
