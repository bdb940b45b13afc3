//! The remote protocol, spoken to a server on loopback.

mod creating;
mod wire;
