use jobkeep_memory::MemoryStore;
use jobkeep_store::{Batch, Fence, OpeningTag, QueueStore, StoreId};

const FENCE: Fence = Fence {
    store: StoreId(1),
    opening: OpeningTag(1),
    commit: 1,
};

#[test]
fn handles_share_the_rows() {
    let one = MemoryStore::new();
    let other = one.clone();
    one.commit(&Batch::opening(FENCE, None)).unwrap();
    assert_eq!(other.identity().unwrap().fence, Some(FENCE));
}

#[test]
fn closing_a_handle_closes_no_other() {
    let one = MemoryStore::new();
    let other = one.clone();
    one.close().unwrap();
    assert!(one.identity().unwrap_err().is_closed());
    assert!(other.identity().is_ok());
}

#[test]
fn a_clone_of_a_closed_handle_is_open() {
    let one = MemoryStore::new();
    one.commit(&Batch::opening(FENCE, None)).unwrap();
    one.close().unwrap();
    assert_eq!(one.clone().identity().unwrap().fence, Some(FENCE));
}

#[test]
fn stores_share_nothing() {
    MemoryStore::new()
        .commit(&Batch::opening(FENCE, None))
        .unwrap();
    assert_eq!(MemoryStore::default().identity().unwrap().fence, None);
}

#[test]
fn the_debug_form_shows_no_rows() {
    let store = MemoryStore::new();
    store.commit(&Batch::opening(FENCE, None)).unwrap();
    assert_eq!(format!("{store:?}"), "MemoryStore { closed: false, .. }");
}
