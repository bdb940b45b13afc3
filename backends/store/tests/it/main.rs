//! The format on disk, and what the types around it promise.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod admission;
mod errors;
mod fixtures;
mod keys;
mod payloads;
mod place;
mod random;
mod records;
mod rows;
mod time;
mod values;
