use super::Harness;
use super::owner::{FROM, Owner, TO, fence_of, keys, live, put, rows, text};
use crate::{Encoded, HEADER_BYTES, Key, Space, get_typed};

pub(super) fn large_rows_are_kept(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    let unit = if cfg!(miri) { 1 << 10 } else { 1 << 20 };
    let large: Vec<String> = [1, 3, 8]
        .map(|units| "0123456789abcdef".repeat(units * unit / 16))
        .into();
    owner.commit(&*store, |batch| {
        put(batch, live(0), "small");
        for (value, number) in large.iter().zip(1..) {
            put(batch, live(number), value);
        }
        put(batch, live(9), "small");
    });
    store.reopen().unwrap();
    for (value, number) in large.iter().zip(1..) {
        assert_eq!(text(&*store, live(number)).as_ref(), Some(value));
    }
    owner.commit(&*store, |batch| {
        put(batch, live(2), "small now");
        batch.delete(live(3));
    });
    assert_eq!(text(&*store, live(2)).as_deref(), Some("small now"));
    assert_eq!(text(&*store, live(1)).as_ref(), Some(&large[0]));
    assert_eq!(keys(&*store, FROM, TO), [0, 1, 2, 9].map(live));
}

const MANY: u64 = if cfg!(miri) { 200 } else { 10_000 };

pub(super) fn many_rows_fit_in_a_batch(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| {
        for number in 0..MANY {
            put(batch, live(number), &number.to_string());
        }
    });
    store.reopen().unwrap();
    assert!(keys(&*store, FROM, TO).into_iter().eq((0..MANY).map(live)));
    for number in [0, 1, MANY / 2, MANY - 1] {
        assert_eq!(text(&*store, live(number)), Some(number.to_string()));
    }
}

/// Both runs and single rows, in one batch that also puts.
pub(super) fn many_deletes_fit_in_a_batch(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| {
        for number in 0..MANY {
            put(batch, live(number), "row");
        }
    });
    owner.commit(&*store, |batch| {
        for number in 0..MANY / 2 {
            batch.delete(live(number));
        }
        for number in (MANY / 2..MANY).step_by(2) {
            batch.delete(live(number));
            put(batch, Key::new(Space::Done, number), "moved");
        }
    });
    store.reopen().unwrap();
    let kept = (MANY / 2 + 1..MANY).step_by(2).map(live);
    assert!(keys(&*store, live(0), live(MANY)).into_iter().eq(kept));
    let moved = (MANY / 2..MANY).step_by(2);
    assert_eq!(
        keys(&*store, Key::new(Space::Done, 0), TO).len(),
        moved.count()
    );
}

pub(super) fn a_row_may_have_an_empty_body(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    let empty = Encoded::new(&()).unwrap();
    assert_eq!(empty.row_bytes(), HEADER_BYTES);
    owner.commit(&*store, |batch| batch.put(live(1), empty.clone()));
    assert_eq!(store.get(&live(1)).unwrap(), Some(empty.seal(live(1))));
    assert_eq!(get_typed::<()>(&*store, live(1)).unwrap(), Some(()));
    assert_eq!(keys(&*store, FROM, TO), [live(1)]);
}

pub(super) fn every_space_keeps_rows(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    let all = Space::ALL
        .into_iter()
        .filter(|space| *space != Space::Fence)
        .flat_map(|space| [0, 1, u64::MAX].map(|number| Key::new(space, number)));
    owner.commit(&*store, |batch| {
        for key in all.clone() {
            put(batch, key, &key.to_string());
        }
    });
    store.reopen().unwrap();
    assert!(keys(&*store, FROM, TO).into_iter().eq(all.clone()));
    for key in all.clone() {
        assert_eq!(text(&*store, key), Some(key.to_string()));
    }
    owner.commit(&*store, |batch| all.for_each(|key| batch.delete(key)));
    assert!(rows(&*store).is_empty());
    assert_eq!(fence_of(&*store), Some(owner.fence()));
}
