use std::ops::ControlFlow;

use jobkeep_memory::MemoryStore;
use jobkeep_store::conformance::{Fault, Faults, FaultyStore, Lasting, Operation};
use jobkeep_store::{Batch, Fence, Key, OpeningTag, QueueStore, StoreError, StoreId};

/// A wrapped store, its faults, and a handle of the rows behind them.
fn faulty() -> (FaultyStore, Faults, MemoryStore) {
    let behind = MemoryStore::new();
    let store = FaultyStore::new(behind.clone());
    let faults = store.faults();
    (store, faults, behind)
}

fn commit(store: &FaultyStore, commit: u64) -> Result<(), StoreError> {
    let opening = OpeningTag(7);
    let fence = Fence {
        store: StoreId(1),
        opening,
        commit,
    };
    store.commit(&Batch::opening(fence, (commit > 1).then_some(opening)))
}

fn commits(behind: &MemoryStore) -> u64 {
    let fence = behind.identity().unwrap().fence;
    fence.map_or(0, |fence| fence.commit)
}

#[test]
fn the_nth_operation_of_a_kind_fails_once() {
    let (store, faults, behind) = faulty();
    commit(&store, 1).unwrap();
    faults.arm(Fault::nth(Operation::Commit, 2));
    store.get(&Key::TOTALS).unwrap();
    commit(&store, 2).unwrap();
    assert!(!faults.is_spent());
    let error = commit(&store, 3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "write commit 3 of memory: a fault was armed"
    );
    assert!(!error.is_full() && !error.is_unknown());
    assert_eq!(commits(&behind), 2);
    assert!(faults.is_spent());
    commit(&store, 3).unwrap();
}

#[test]
fn a_full_store_takes_nothing() {
    let (store, faults, behind) = faulty();
    faults.arm(Fault::next(Operation::Commit).full());
    assert!(commit(&store, 1).unwrap_err().is_full());
    assert_eq!(commits(&behind), 0);
}

#[test]
fn an_unknown_outcome_is_either_one() {
    let (store, faults, behind) = faulty();
    faults.arm(Fault::next(Operation::Commit).unknown());
    assert!(commit(&store, 1).unwrap_err().is_unknown());
    assert_eq!(commits(&behind), 0);
    faults.arm(Fault::next(Operation::Commit).unknown_but_done());
    assert!(commit(&store, 1).unwrap_err().is_unknown());
    assert_eq!(commits(&behind), 1);
}

#[test]
fn every_kind_of_operation_can_fail() {
    let (store, faults, _) = faulty();
    let message = |kind, outcome: Result<(), StoreError>| {
        assert!(faults.is_spent(), "{kind:?} did not meet its fault");
        outcome.unwrap_err().to_string()
    };
    let arm = |kind| faults.arm(Fault::next(kind));
    arm(Operation::Identity);
    let identity = store.identity().map(|_| ());
    assert_eq!(
        message(Operation::Identity, identity),
        "read the identity of memory: a fault was armed"
    );
    arm(Operation::Get);
    let get = store.get(&Key::TOTALS).map(|_| ());
    assert_eq!(
        message(Operation::Get, get),
        "read row manager 1 of memory: a fault was armed"
    );
    arm(Operation::Scan);
    let scan = store.scan(&Key::IN_FLIGHT, &Key::TOTALS, &mut |_, _| {
        ControlFlow::Continue(())
    });
    assert_eq!(
        message(Operation::Scan, scan),
        "scan the rows from manager 0 to manager 1 of memory: a fault was armed"
    );
    arm(Operation::Verify);
    let verify = store.verify(&mut |_| ());
    assert_eq!(
        message(Operation::Verify, verify),
        "verify the store of memory: a fault was armed"
    );
    arm(Operation::Any);
    assert_eq!(
        message(Operation::Any, commit(&store, 1)),
        "write commit 1 of memory: a fault was armed"
    );
}

#[test]
fn a_failed_reopen_or_close_leaves_the_store_closed() {
    let (store, faults, _) = faulty();
    faults.arm(Fault::next(Operation::Reopen));
    assert!(!store.reopen().unwrap_err().is_closed());
    assert!(store.identity().unwrap_err().is_closed());
    store.reopen().unwrap();
    faults.arm(Fault::next(Operation::Close));
    assert!(!store.close().unwrap_err().is_closed());
    assert!(store.identity().unwrap_err().is_closed());
}

#[test]
fn a_broken_handle_fails_everything_until_it_is_reopened() {
    let (store, faults, behind) = faulty();
    let fault = Fault::next(Operation::Commit).full();
    faults.arm(fault.lasting(Lasting::UntilReopened));
    store.identity().unwrap();
    for _ in 0..2 {
        assert!(commit(&store, 1).unwrap_err().is_full());
        assert!(store.identity().unwrap_err().is_full());
        assert!(store.get(&Key::TOTALS).unwrap_err().is_full());
    }
    store.reopen().unwrap();
    commit(&store, 1).unwrap();
    assert_eq!(commits(&behind), 1);
}

#[test]
fn a_full_disk_refuses_writes_until_it_is_disarmed() {
    let (store, faults, _) = faulty();
    let fault = Fault::next(Operation::Commit).full();
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
    for _ in 0..3 {
        assert!(commit(&store, 1).unwrap_err().is_full());
        store.identity().expect("reading needs no space");
        store.reopen().unwrap();
    }
    faults.disarm();
    commit(&store, 1).unwrap();
}

#[test]
fn operations_are_counted_by_kind() {
    let (store, faults, _) = faulty();
    commit(&store, 1).unwrap();
    commit(&store, 1).unwrap_err();
    store.get(&Key::TOTALS).unwrap();
    store.close().unwrap();
    let counts = [Operation::Commit, Operation::Get, Operation::Scan].map(|on| faults.count(on));
    assert_eq!(counts, [2, 1, 0]);
    assert_eq!(faults.count(Operation::Any), 4);
}

#[test]
fn a_fault_reaches_the_store_from_another_thread() {
    let (store, faults, _) = faulty();
    std::thread::scope(|scope| {
        scope.spawn(|| faults.arm(Fault::next(Operation::Any)));
    });
    assert!(store.identity().is_err());
}
