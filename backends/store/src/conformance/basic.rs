use super::Harness;
use super::owner::{Owner, encoded, fence_of, live, put, rows, text};
use crate::{Fence, Key, QueueStore, Space, get_typed};

pub(super) fn a_key_never_written_has_no_row(place: &dyn Harness) {
    let store = place.open();
    assert_eq!(store.get(&live(1)).unwrap(), None, "in a new store");
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| put(batch, live(2), "beside"));
    assert_eq!(store.get(&live(1)).unwrap(), None);
    assert_eq!(store.get(&live(3)).unwrap(), None);
    let same_number = Key::new(Space::Done, 2);
    assert_eq!(store.get(&same_number).unwrap(), None);
}

pub(super) fn a_row_is_read_as_it_was_put(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| put(batch, live(1), "one"));
    let sealed = encoded("one").seal(live(1));
    assert_eq!(store.get(&live(1)).unwrap(), Some(sealed.clone()), "get");
    assert_eq!(rows(&*store).get(&live(1)), Some(&sealed), "scan");
}

pub(super) fn a_later_put_replaces_the_row(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    for value in ["short", "a longer value than before", ""] {
        owner.commit(&*store, |batch| put(batch, live(1), value));
        assert_eq!(text(&*store, live(1)).as_deref(), Some(value));
    }
    assert_eq!(rows(&*store).len(), 1);
}

pub(super) fn a_deleted_row_is_gone(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| {
        put(batch, live(1), "deleted");
        put(batch, live(2), "kept");
    });
    owner.commit(&*store, |batch| batch.delete(live(1)));
    assert_eq!(store.get(&live(1)).unwrap(), None);
    assert_eq!(rows(&*store).into_keys().collect::<Vec<_>>(), [live(2)]);
}

pub(super) fn deleting_a_missing_row_is_fine(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| {
        batch.delete(live(1));
        put(batch, live(2), "put");
        batch.delete(live(3));
        batch.delete(live(3));
    });
    assert_eq!(rows(&*store).into_keys().collect::<Vec<_>>(), [live(2)]);
}

/// A store may sort the writes of a batch or join neighbouring deletes: what it may not do is change
/// which write of a key is the last.
pub(super) fn the_last_write_of_a_key_wins(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| {
        for number in 0..12 {
            put(batch, live(number), "before");
        }
    });
    owner.commit(&*store, |batch| {
        put(batch, live(1), "first");
        put(batch, live(1), "second");

        put(batch, live(2), "put, then deleted");
        batch.delete(live(2));

        batch.delete(live(3));
        put(batch, live(3), "deleted, then put");

        for number in 5..9 {
            batch.delete(live(number));
        }
        put(batch, live(6), "put within a run of deletes");
        for number in (8..11).rev() {
            batch.delete(live(number));
        }
        put(batch, live(10), "put at the end of a run");
        batch.delete(live(10));
        put(batch, live(8), "put where two runs meet");
    });
    let expected = [
        (0, Some("before")),
        (1, Some("second")),
        (2, None),
        (3, Some("deleted, then put")),
        (4, Some("before")),
        (5, None),
        (6, Some("put within a run of deletes")),
        (7, None),
        (8, Some("put where two runs meet")),
        (9, None),
        (10, None),
        (11, Some("before")),
    ];
    for (number, value) in expected {
        assert_eq!(
            text(&*store, live(number)).as_deref(),
            value,
            "row {number}"
        );
    }
}

pub(super) fn deletes_reach_no_other_space(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    let spaces = [Space::Openings, Space::Live, Space::Bodies, Space::Done];
    owner.commit(&*store, |batch| {
        for space in spaces {
            for number in 0..6 {
                put(batch, Key::new(space, number), "before");
            }
        }
    });
    owner.commit(&*store, |batch| {
        for number in 1..5 {
            batch.delete(live(number));
            put(batch, Key::new(Space::Done, number), "moved");
            batch.delete(Key::new(Space::Bodies, number));
        }
    });
    for number in 0..6 {
        let within = (1..5).contains(&number);
        let (gone, moved) = if within {
            (None, Some("moved"))
        } else {
            (Some("before"), Some("before"))
        };
        let expected = [Some("before"), gone, gone, moved];
        for (space, value) in spaces.into_iter().zip(expected) {
            let key = Key::new(space, number);
            assert_eq!(text(&*store, key).as_deref(), value, "row {key}");
        }
    }
}

pub(super) fn a_batch_of_nothing_is_a_commit(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |_| ());
    assert_eq!(fence_of(&*store), Some(owner.fence()));
    assert!(rows(&*store).is_empty());
}

pub(super) fn the_fence_is_a_row(place: &dyn Harness) {
    let store = place.open();
    assert_eq!(fence_row(&*store), None);
    let mut owner = Owner::found(&*store);
    assert_eq!(fence_row(&*store), Some(owner.fence()));
    owner.commit(&*store, |batch| put(batch, live(1), "any"));
    assert_eq!(fence_row(&*store), Some(owner.fence()));
}

fn fence_row(store: &dyn QueueStore) -> Option<Fence> {
    get_typed(store, Key::FENCE).unwrap()
}
