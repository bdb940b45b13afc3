//! The remote protocol, spoken to a server on loopback.

mod asking;
mod client;
mod client_answers;
mod client_config;
mod client_repeating;
mod client_script;
mod client_tls;
mod creating;
mod executing;
mod executing_limits;
mod executing_lost;
mod guarding;
mod hostile;
mod large;
mod mending;
mod unread;
pub(crate) mod wire;
mod zoo;
