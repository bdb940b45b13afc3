use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{Manager, NewJob, QueueStore};
use jobkeep_store::{Key, Space};

use crate::place::{HOUR, Other, PATIENCE, Place, SECOND, Work, one_worker, succeeding, work};

fn keyed(label: &str, key: &str) -> NewJob<Work> {
    NewJob::new(work(label)).key(key)
}

/// A manager that runs nothing, so that every job stays where it is.
fn idle(place: &dyn Place) -> Manager {
    one_worker(place).start().unwrap()
}

pub(crate) fn the_same_key_gives_the_same_receipt_and_writes_nothing(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    manager.wait(&first, PATIENCE).unwrap();
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    assert_eq!(manager.counts().unwrap().succeeded, 1);
    assert_eq!(manager.enqueue(work("next")).unwrap().number().0, 2);
}

pub(crate) fn a_key_with_another_payload_is_refused_and_names_the_job(place: &dyn Place) {
    let manager = idle(place);
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    let error = manager.enqueue(keyed("b", "k")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "enqueue job `work` with key `k`: job 1 holds this key with another payload: use another \
         key, or the same payload"
    );
    assert_eq!(error.key_conflict_with(), Some(first.number()));
}

pub(crate) fn keys_are_exact_within_one_batch(place: &dyn Place) {
    let manager = idle(place);
    let batch = [
        keyed("a", "k"),
        NewJob::new(work("b")),
        keyed("a", "k"),
        keyed("c", "l"),
    ];
    let receipts = manager.enqueue_all(batch).unwrap();
    let numbers: Vec<_> = receipts.iter().map(|receipt| receipt.number().0).collect();
    assert_eq!(numbers, [1, 2, 1, 3]);
    assert_eq!(manager.counts().unwrap().parked, 3);
}

pub(crate) fn a_conflict_within_a_batch_refuses_all_of_it(place: &dyn Place) {
    let manager = idle(place);
    let batch = [NewJob::new(work("x")), keyed("a", "k"), keyed("b", "k")];
    let error = manager.enqueue_all(batch).unwrap_err();
    assert_eq!(error.key_conflict_with().map(|job| job.0), Some(2));
    assert_eq!(manager.counts().unwrap().parked, 0);
    assert_eq!(manager.enqueue(keyed("b", "k")).unwrap().number().0, 1);
}

pub(crate) fn a_key_belongs_to_its_job_type(place: &dyn Place) {
    let manager = idle(place);
    let work = manager.enqueue(keyed("a", "k")).unwrap();
    let other = manager
        .enqueue(NewJob::new(Other { amount: 1 }).key("k"))
        .unwrap();
    assert_ne!(work.number(), other.number());
}

pub(crate) fn a_key_is_held_after_the_end_and_then_let_go(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = succeeding(one_worker(place))
        .clock(clock.clone())
        .start()
        .unwrap();
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    manager.wait(&first, PATIENCE).unwrap();
    clock.advance(24 * HOUR - SECOND);
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    clock.advance(SECOND);
    let second = manager.enqueue(keyed("b", "k")).unwrap();
    assert_ne!(second, first);
    // The first one's end no longer speaks of the key.
    clock.advance(SECOND);
    assert_eq!(manager.enqueue(keyed("b", "k")).unwrap(), second);
}

pub(crate) fn a_key_survives_a_restart(place: &dyn Place) {
    let manager = idle(place);
    let first = manager.enqueue(keyed("a", "k")).unwrap();
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    manager.wait(&first, PATIENCE).unwrap();
    drop(manager);
    let manager = idle(place);
    assert_eq!(manager.enqueue(keyed("a", "k")).unwrap(), first);
    assert!(manager.enqueue(keyed("b", "k")).is_err());
}

pub(crate) fn an_expired_key_is_deleted(place: &dyn Place) {
    let clock = ManualClock::new();
    let builder = succeeding(one_worker(place))
        .clock(clock.clone())
        .key_retention(HOUR);
    let manager = builder.start().unwrap();
    let receipts = manager
        .enqueue_all((0..300).map(|n| keyed("a", &n.to_string())))
        .unwrap();
    for receipt in &receipts {
        manager.wait(receipt, PATIENCE).unwrap();
    }
    clock.advance(HOUR);
    for _ in 0..50 {
        manager.counts().unwrap();
    }
    manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(rows(place, Space::Unique), 0);
    assert_eq!(rows(place, Space::ExpiringKeys), 0);
}

/// How many rows a space of the closed store has.
pub(crate) fn rows(place: &dyn Place, space: Space) -> usize {
    let mut rows = 0;
    let (from, to) = (Key::new(space, 0), Key::new(space, u64::MAX));
    let count = &mut |_, _: &[u8]| {
        rows += 1;
        std::ops::ControlFlow::Continue(())
    };
    place.open().scan(&from, &to, count).unwrap();
    rows
}
