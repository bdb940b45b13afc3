use std::ops::ControlFlow;
use std::sync::Arc;

use super::Harness;
use super::owner::{FROM, Owner, TO, keys, live, put};
use crate::{Key, QueueStore, Space};

/// A store with these rows in *live*, put in this order.
fn with_rows(place: &dyn Harness, numbers: &[u64]) -> Arc<dyn QueueStore> {
    let store = place.open();
    Owner::found(&*store).commit(&*store, |batch| {
        for number in numbers {
            put(batch, live(*number), "row");
        }
    });
    store
}

fn numbers(store: &dyn QueueStore, from: u64, to: u64) -> Vec<u64> {
    keys(store, live(from), live(to))
        .into_iter()
        .map(|key| key.number)
        .collect()
}

pub(super) fn a_scan_is_in_the_order_of_keys(place: &dyn Harness) {
    let store = with_rows(place, &[300, 2, 256, 1, 255, 65_536, 10]);
    assert_eq!(
        numbers(&*store, 0, u64::MAX),
        [1, 2, 10, 255, 256, 300, 65_536]
    );
}

pub(super) fn both_bounds_belong_to_the_range(place: &dyn Harness) {
    let store = with_rows(place, &[1, 2, 3, 4, 5]);
    assert_eq!(numbers(&*store, 2, 4), [2, 3, 4]);
    assert_eq!(numbers(&*store, 3, 3), [3]);
}

pub(super) fn bounds_need_no_row(place: &dyn Harness) {
    let store = with_rows(place, &[10, 20, 30]);
    assert_eq!(numbers(&*store, 11, 29), [20]);
    assert_eq!(numbers(&*store, 0, 10), [10]);
    assert_eq!(numbers(&*store, 30, 99), [30]);
}

pub(super) fn an_empty_range_has_no_rows(place: &dyn Harness) {
    let store = place.open();
    assert!(keys(&*store, FROM, TO).is_empty(), "in a new store");
    Owner::found(&*store).commit(&*store, |batch| {
        put(batch, live(10), "before");
        put(batch, live(20), "after");
    });
    assert!(numbers(&*store, 11, 19).is_empty(), "between two rows");
    assert!(numbers(&*store, 0, 9).is_empty(), "before all rows");
    assert!(numbers(&*store, 21, u64::MAX).is_empty(), "after all rows");
}

pub(super) fn a_range_that_ends_before_it_begins_is_empty(place: &dyn Harness) {
    let store = with_rows(place, &[1, 2, 3]);
    assert!(numbers(&*store, 3, 1).is_empty());
    assert!(numbers(&*store, u64::MAX, 0).is_empty());
    assert!(keys(&*store, TO, FROM).is_empty());
}

pub(super) fn a_scan_stops_at_a_break(place: &dyn Harness) {
    let store = with_rows(place, &[1, 2, 3, 4]);
    for most in 1..=4 {
        let mut seen = Vec::new();
        store
            .scan(&live(0), &live(9), &mut |key, _| {
                seen.push(key.number);
                if seen.len() == most {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .expect("a scan that was broken off is no failure");
        assert_eq!(seen, [1, 2, 3, 4][..most]);
    }
}

pub(super) fn a_scan_crosses_spaces(place: &dyn Harness) {
    let store = place.open();
    let expected = [
        Key::new(Space::Openings, 7),
        Key::new(Space::Live, 0),
        Key::new(Space::Live, u64::MAX),
        Key::new(Space::Bodies, 0),
        Key::new(Space::Damaged, 3),
    ];
    Owner::found(&*store).commit(&*store, |batch| {
        for key in expected.iter().rev() {
            put(batch, *key, "row");
        }
    });
    assert_eq!(keys(&*store, FROM, TO), expected);
    let (from, to) = (live(1), Key::new(Space::Bodies, 0));
    assert_eq!(keys(&*store, from, to), expected[2..4]);
    let whole = keys(&*store, Key::FENCE, TO);
    assert_eq!(whole.first(), Some(&Key::FENCE), "the fence comes first");
    assert_eq!(whole[1..], expected);
}

pub(super) fn extreme_numbers_keep_their_order(place: &dyn Harness) {
    let ordered = [
        0,
        1,
        u64::from(u32::MAX),
        1 << 32,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    let mut put_in = ordered;
    put_in.reverse();
    let store = with_rows(place, &put_in);
    assert_eq!(numbers(&*store, 0, u64::MAX), ordered);
    assert_eq!(numbers(&*store, 0, 0), [0]);
    assert_eq!(numbers(&*store, u64::MAX, u64::MAX), [u64::MAX]);
    assert_eq!(numbers(&*store, 1 << 63, u64::MAX), ordered[5..]);
}
