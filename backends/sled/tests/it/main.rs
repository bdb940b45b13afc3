//! The suite on the sled store, and trouble with its directory.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod damage;
mod displaced;
mod opening;
mod owner;
mod processes;

use jobkeep_sled::SledStore;

jobkeep_store::conformance_suite!({
    let folder = tempfile::tempdir().unwrap();
    move || SledStore::open(folder.path().join("jobs.sled")).unwrap()
});
