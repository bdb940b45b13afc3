//! The suite on the redb store, and trouble with its file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use jobkeep_redb::RedbStore;

jobkeep_store::conformance_suite!({
    let folder = tempfile::tempdir().unwrap();
    move || RedbStore::open(folder.path().join("jobs.redb")).unwrap()
});
