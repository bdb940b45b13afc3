//! The suite on the redb store, and trouble with its file.

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
mod options;
mod owner;
mod processes;
mod waiting;

use jobkeep_redb::RedbStore;

jobkeep_store::conformance_suite!({
    let folder = tempfile::tempdir().unwrap();
    move || RedbStore::open(folder.path().join("jobs.redb")).unwrap()
});
