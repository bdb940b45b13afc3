use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

use super::Harness;
use super::owner::{FROM, Owner, TO, encoded, live, put, rows, text};
use crate::{Finding, Key, QueueStore, Space};

/// What `verify` found: the damaged rows, with what it says of them.
fn findings(store: &dyn QueueStore) -> BTreeMap<Key, String> {
    let mut rows = BTreeMap::new();
    store
        .verify(&mut |finding| match finding {
            Finding::Row { key, reason } => {
                let other = rows.insert(key, reason.to_string());
                assert_eq!(other, None, "row {key} is named twice");
            }
            Finding::Engine(complaint) => panic!("the engine is sound: {complaint}"),
        })
        .expect("damaged rows are findings, no failure");
    rows
}

pub(super) fn verify_finds_nothing_in_a_new_store(place: &dyn Harness) {
    let store = place.open();
    assert_eq!(findings(&*store), BTreeMap::new());
}

pub(super) fn verify_finds_nothing_in_a_sound_store(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| {
        for space in [Space::Live, Space::Done, Space::Damaged] {
            for number in [0, 1, 2, u64::MAX] {
                put(batch, Key::new(space, number), "sound");
            }
        }
    });
    owner.commit(&*store, |batch| batch.delete(live(1)));
    let before = rows(&*store);
    assert_eq!(findings(&*store), BTreeMap::new());
    store.reopen().unwrap();
    assert_eq!(findings(&*store), BTreeMap::new());
    assert_eq!(rows(&*store), before, "verify changes nothing");
    owner.commit(&*store, |batch| put(batch, live(1), "after verify"));
}

/// One row flipped, one cut, one sealed for another key, one of nothing, and sound ones among them.
fn with_damage(store: &dyn QueueStore) -> BTreeMap<Key, Vec<u8>> {
    let flipped = {
        let mut row = encoded("flipped").seal(live(1));
        *row.last_mut().expect("a header at least") ^= 1;
        row
    };
    let cut = encoded("cut").seal(live(3))[..4].to_vec();
    let far = Key::new(Space::Damaged, u64::MAX);
    let damaged = BTreeMap::from([
        (live(1), flipped),
        (live(3), cut),
        (far, encoded("moved").seal(live(4))),
        (live(6), Vec::new()),
    ]);
    Owner::found(store).commit(store, |batch| {
        for number in 0..8 {
            put(batch, live(number), "sound");
        }
        for (key, row) in &damaged {
            batch.put_raw(*key, row.clone());
        }
    });
    damaged
}

pub(super) fn verify_names_every_damaged_row(place: &dyn Harness) {
    let store = place.open();
    let damaged = with_damage(&*store);
    let found = findings(&*store);
    assert!(found.keys().eq(damaged.keys()), "{found:?}");
    assert_eq!(found[&live(1)], "the row does not match its checksum");
    assert_eq!(
        found[&live(3)],
        "the row has 4 bytes, fewer than the 5 of its header"
    );
}

/// The store hands bytes out; whoever knows what they mean decides what becomes of them.
pub(super) fn a_damaged_row_is_handed_out_as_it_is(place: &dyn Harness) {
    let store = place.open();
    let damaged = with_damage(&*store);
    store.reopen().unwrap();
    let scanned = rows(&*store);
    assert_eq!(scanned.len(), 9, "a scan goes on behind damage");
    for (key, row) in damaged {
        assert_eq!(store.get(&key).unwrap().as_ref(), Some(&row), "row {key}");
        assert_eq!(scanned.get(&key), Some(&row), "row {key}");
    }
    assert_eq!(text(&*store, live(2)).as_deref(), Some("sound"));
}

pub(super) fn a_panic_while_scanning_harms_nothing(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| put(batch, live(1), "row"));
    let scan = || {
        store.scan(&FROM, &TO, &mut |key, _| {
            panic_any(format!("on purpose, at row {key}"))
        })
    };
    let panic = catch_unwind(AssertUnwindSafe(scan)).expect_err("the panic passes through");
    let message = panic.downcast_ref::<String>().map(String::as_str);
    assert_eq!(message, Some("on purpose, at row live 1"));
    owner.commit(&*store, |batch| put(batch, live(1), "later"));
    assert_eq!(text(&*store, live(1)).as_deref(), Some("later"));
    store.reopen().unwrap();
    assert_eq!(text(&*store, live(1)).as_deref(), Some("later"));
    store.close().unwrap();
}
