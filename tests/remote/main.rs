//! Hosts behind real balancers, and a page before them in a real browser. What this needs (nginx, HAProxy,
//! Apache, curl, chromium, Python, two examples built) `scripts/test-remote` sees to.

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
mod clients;
mod cloud;
mod curl;
mod executor;
mod fleet;
mod load;
mod pushing;
mod relay;
