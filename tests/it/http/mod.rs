//! The remote protocol, spoken to a server on loopback.

mod client;
mod creating;
mod wire;
