use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use super::Harness;
use super::owner::{
    FIRST, FROM, Owner, Rows, SECOND, SetOnDrop, TO, fence_of, live, put, rows, text,
};
use crate::{Batch, Key, QueueStore, Space, StoreError};

/// Closes the store and opens its place again.
fn opened_again(place: &dyn Harness, store: Arc<dyn QueueStore>) -> Arc<dyn QueueStore> {
    store.close().expect("a sound store is closed");
    drop(store);
    place.open()
}

/// A few rows in several spaces, one of them replaced, one deleted.
fn some_rows(owner: &mut Owner, store: &dyn QueueStore) -> Rows {
    owner.commit(store, |batch| {
        for number in 0..20 {
            put(batch, live(number), "first");
            put(batch, Key::new(Space::Bodies, number), "body");
        }
    });
    owner.commit(store, |batch| {
        put(batch, live(3), "second");
        batch.delete(live(4));
    });
    rows(store)
}

pub(super) fn rows_survive_close_and_open(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    let mut before = some_rows(&mut owner, &*store);
    let mut store = store;
    for round in 0..3 {
        store = opened_again(place, store);
        assert_eq!(rows(&*store), before, "after {round} other openings");
        owner.commit(&*store, |batch| put(batch, live(100 + round), "later"));
        before = rows(&*store);
    }
}

pub(super) fn rows_survive_a_drop_without_close(place: &dyn Harness) {
    let store = place.open();
    let before = some_rows(&mut Owner::found(&*store), &*store);
    drop(store);
    assert_eq!(rows(&*place.open()), before);
}

pub(super) fn the_identity_survives_close_and_open(place: &dyn Harness) {
    let store = place.open();
    let new = store.identity().unwrap();
    assert_eq!(new.fence, None);
    assert!(!new.location.is_empty(), "messages name the store's place");
    let owner = Owner::found(&*store);
    let founded = store.identity().unwrap();
    assert_eq!(founded.fence, Some(owner.fence()));
    assert_eq!(founded.location, new.location);
    assert_eq!(founded.durability, new.durability);
    let store = opened_again(place, store);
    assert_eq!(store.identity().unwrap(), founded);
    store.reopen().unwrap();
    assert_eq!(store.identity().unwrap(), founded);
}

pub(super) fn the_fence_holds_after_an_open(place: &dyn Harness) {
    let store = place.open();
    let mut first = Owner::found(&*store);
    let store = opened_again(place, store);
    first.commit(&*store, |batch| put(batch, live(1), "first's"));
    let mut second = first.replaced_by(&*store, SECOND);
    let store = opened_again(place, store);
    let error = store.commit(&Batch::new(first.next())).unwrap_err();
    assert!(error.is_replaced(), "another kind of error: {error}");
    let error = store.commit(&Batch::new(second.fence())).unwrap_err();
    assert!(error.is_out_of_turn(), "another kind of error: {error}");
    store.reopen().unwrap();
    second.commit(&*store, |batch| put(batch, live(1), "second's"));
    assert_eq!(fence_of(&*store), Some(second.fence()));
}

pub(super) fn closing_twice_is_fine(place: &dyn Harness) {
    let store = place.open();
    let before = some_rows(&mut Owner::found(&*store), &*store);
    store.close().unwrap();
    store.close().expect("closing twice is fine");
    drop(store);
    assert_eq!(rows(&*place.open()), before);
}

pub(super) fn a_closed_store_refuses_every_call(place: &dyn Harness) {
    let store = place.open();
    let owner = Owner::found(&*store);
    store.close().unwrap();

    assert_closed("identity", store.identity());
    assert_closed("get", store.get(&live(1)));
    assert_closed("get of the fence", store.get(&Key::FENCE));
    assert_closed("commit", store.commit(&Batch::new(owner.next())));
    let takeover = Batch::opening(owner.next(), Some(FIRST));
    assert_closed("commit of an opening", store.commit(&takeover));
    let mut each = |_, _: &[u8]| ControlFlow::Continue(());
    assert_closed("scan", store.scan(&FROM, &TO, &mut each));
    assert_closed("scan of no range", store.scan(&TO, &FROM, &mut each));
    assert_closed("verify", store.verify(&mut |_| ()));

    store.reopen().unwrap();
    assert_eq!(fence_of(&*store), Some(owner.fence()), "a call took effect");
}

fn assert_closed<T: Debug>(call: &str, outcome: Result<T, StoreError>) {
    match outcome {
        Err(error) if error.is_closed() => {
            let text = error.to_string();
            assert!(text.ends_with(": the store is closed"), "{call}: {text}");
        }
        other => panic!("{call} of a closed store: {other:?}"),
    }
}

/// The closed value still lives when the next owner opens the place.
pub(super) fn a_closed_store_lets_go_of_its_place(place: &dyn Harness) {
    let closed = place.open();
    let mut owner = Owner::found(&*closed);
    let before = some_rows(&mut owner, &*closed);
    closed.close().unwrap();
    let store = place.open();
    assert_eq!(rows(&*store), before);
    owner.commit(&*store, |batch| put(batch, live(50), "next owner's"));
    assert_closed("get", closed.get(&live(50)));
    drop(closed);
    assert_eq!(text(&*store, live(50)).as_deref(), Some("next owner's"));
}

pub(super) fn reopen_brings_a_closed_store_back(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    let before = some_rows(&mut owner, &*store);
    for _ in 0..3 {
        store.close().unwrap();
        store.reopen().unwrap();
        assert_eq!(rows(&*store), before);
    }
    owner.commit(&*store, |batch| put(batch, live(1), "after reopen"));
    assert_eq!(text(&*store, live(1)).as_deref(), Some("after reopen"));
    let store = opened_again(place, store);
    assert_eq!(text(&*store, live(1)).as_deref(), Some("after reopen"));
}

pub(super) fn reopen_of_an_open_store_keeps_the_rows(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    let mut before = some_rows(&mut owner, &*store);
    for round in 0..3 {
        store.reopen().unwrap();
        assert_eq!(rows(&*store), before);
        owner.commit(&*store, |batch| put(batch, live(50 + round), "between"));
        before = rows(&*store);
    }
}

/// Whoever reads beside a close gets a sound answer or is told that the store is closed, and never
/// keeps its place from the next owner.
pub(super) fn close_beside_readers_ends_them_in_order(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    let before = some_rows(&mut owner, &*store);
    let begun = Barrier::new(4);
    let closed = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                begun.wait();
                let error = read_until_error(&*store, before.len(), &closed);
                assert!(error.is_closed(), "another kind of error: {error}");
            });
        }
        let _closed = SetOnDrop(&closed);
        begun.wait();
        owner.commit(&*store, |_| ());
        store.close().unwrap();
        assert_eq!(rows(&*place.open()), before, "to the next owner");
    });
}

fn read_until_error(store: &dyn QueueStore, rows: usize, closed: &AtomicBool) -> StoreError {
    loop {
        let must_fail = closed.load(Ordering::SeqCst);
        let mut seen = 0;
        let scanned = store.scan(&FROM, &TO, &mut |_, _| {
            seen += 1;
            ControlFlow::Continue(())
        });
        match scanned.and_then(|()| store.get(&live(3))) {
            Ok(row) => {
                assert!(row.is_some(), "a row went missing");
                assert_eq!(seen, rows, "a scan that succeeds is complete");
                assert!(!must_fail, "the store was closed");
            }
            Err(error) => return error,
        }
    }
}
