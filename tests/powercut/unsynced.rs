//! What a store acknowledges and has not synced, for `scripts/powercut --unsynced` to count from outside:
//! sled lets nobody stand between it and its files. redb is the control.

use std::io::{self, Write};
use std::time::Duration;

use jobkeep::{Manager, QueueStore, RedbStore, SledStore};

use crate::work::Work;

#[test]
fn sled_acknowledges_a_thousand_jobs() {
    let folder = tempfile::tempdir().unwrap();
    acknowledge(SledStore::open(folder.path().join("jobs.sled")).unwrap());
}

#[test]
fn redb_acknowledges_a_thousand_jobs() {
    let folder = tempfile::tempdir().unwrap();
    acknowledge(RedbStore::open(folder.path().join("jobs.redb")).unwrap());
}

fn acknowledge(store: impl QueueStore) {
    let manager = Manager::builder(store).start().unwrap();
    let traced = std::env::var_os("UNSYNCED").is_some();
    for number in 0..1_000 {
        let work = Work::new(format!("well {number} 100 0"));
        manager.enqueue(work).unwrap();
        // One call of the system each, which the trace shows among the syncs.
        if traced {
            io::stderr().write_all(b"acknowledged\n").unwrap();
        }
    }
    assert_eq!(manager.counts().unwrap().parked, 1_000);
    manager.shutdown(Duration::from_secs(60)).unwrap();
}
