//! Hosts behind a real balancer. Needs nginx, and the example `host` built: `scripts/test-remote` sees to
//! both.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking, and explains itself by its name"
)]

mod balancing;
mod browser;
mod cloud;
mod executor;
mod fleet;
mod load;
mod pushing;
