//! Rows that do not check out: each harms its own job, and no other.

use std::ops::ControlFlow;
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{NewJob, ParkReason, QueueStore, StateKind};
use jobkeep_store::{Batch, Damaged, Encoded, Fence, Key, OpeningTag, Space, get_typed};

use crate::place::{Door, HOUR, PATIENCE, Place, one_worker, succeeding, through, work};
use crate::retention::settled;
use crate::retrying::until;

/// Writes rows behind the manager's back, as an opening of its own.
pub(crate) fn change(store: &dyn QueueStore, fill: impl FnOnce(&mut Batch)) {
    let fence = store.identity().unwrap().fence.unwrap();
    let opening = Fence {
        opening: OpeningTag(1),
        commit: fence.commit + 1,
        ..fence
    };
    let mut batch = Batch::opening(opening, Some(fence.opening));
    fill(&mut batch);
    store.commit(&batch).unwrap();
    store.close().unwrap();
}

/// Writes a row that is sound as a row and says nothing that its reader understands: every store
/// takes it.
pub(crate) fn damage(place: &dyn Place, key: Key) -> Vec<u8> {
    change(&place.open(), |batch| batch.put(key, garbage()));
    garbage().seal(key)
}

fn garbage() -> Encoded {
    Encoded::new(&[0xff_u8; 3]).unwrap()
}

pub(crate) fn a_damaged_row_is_set_aside_and_the_rest_runs(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let receipts = manager.enqueue_all([work("a"), work("b")]).unwrap();
    drop(manager);
    let row = damage(place, Key::live(receipts[0].number()));
    let manager = succeeding(one_worker(place)).start().unwrap();
    let recovery = manager.recovery();
    assert_eq!((recovery.waiting, recovery.damaged), (1, 1));
    let done = manager.wait(&receipts[1], PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), "b done");
    let error = manager.status(&receipts[0]).unwrap_err();
    assert!(error.is_damaged());
    assert_eq!(
        error.to_string(),
        "look up job 1: its row is damaged and was set aside with its bytes: the bytes \
         do not decode: InvalidIntegerType { expected: U32, found: Reserved }"
    );
    let counts = manager.counts().unwrap();
    assert_eq!((counts.damaged, counts.parked, counts.succeeded), (1, 0, 1));
    drop(manager);

    let key = Key::new(Space::Damaged, receipts[0].number().0);
    let kept: Damaged = get_typed(&place.open(), key).unwrap().unwrap();
    assert_eq!(kept.bytes, row);
    // It stays where it is, and is not found again.
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().damaged, 0);
    assert_eq!(manager.counts().unwrap().damaged, 1);
    assert!(manager.status(&receipts[0]).unwrap_err().is_damaged());
}

pub(crate) fn a_job_whose_payload_is_damaged_is_parked_with_the_reason(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let large = manager.enqueue(work("x".repeat(2_000))).unwrap();
    let small = manager.enqueue(work("b")).unwrap();
    drop(manager);
    damage(place, Key::body(large.number()));
    let manager = succeeding(one_worker(place)).start().unwrap();
    manager.wait(&small, PATIENCE).unwrap();
    let status = until(&manager, &large, StateKind::Parked);
    assert_eq!(
        status.parked(),
        Some(&ParkReason::Unreadable(
            "the bytes do not decode: InvalidIntegerType { expected: U64, found: Reserved }".into()
        ))
    );
    let counts = manager.counts().unwrap();
    assert_eq!((counts.parked, counts.damaged), (1, 0));
    manager.remove(&large).unwrap();
    assert_eq!(manager.counts().unwrap().parked, 0);
}

pub(crate) fn a_finished_job_that_is_damaged_says_so_and_is_pruned_in_its_time(place: &dyn Place) {
    let clock = ManualClock::new();
    let start = || succeeding(one_worker(place)).clock(clock.clone()).start();
    let manager = start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    drop(manager);
    damage(place, Key::done(receipt.number()));
    let manager = start().unwrap();
    let error = manager.completed(&receipt).unwrap_err();
    assert!(error.is_damaged());
    assert_eq!(
        error.to_string(),
        "look up job 1: its row is damaged: the bytes do not decode: InvalidIntegerType { \
         expected: U32, found: Reserved }: restore the store from a copy, or enqueue the job anew"
    );
    clock.advance(7 * 24 * HOUR);
    assert_eq!(settled(&manager).succeeded, 0);
    assert!(manager.completed(&receipt).unwrap_err().is_pruned());
}

pub(crate) fn a_damaged_key_is_refused_and_stops_nothing(place: &dyn Place) {
    let clock = ManualClock::new();
    let start = || succeeding(one_worker(place)).clock(clock.clone()).start();
    let keyed = || NewJob::new(work("a")).key("k");
    let manager = one_worker(place).clock(clock.clone()).start().unwrap();
    let receipt = manager.enqueue(keyed()).unwrap();
    drop(manager);
    let key = first_key(place, Space::Unique);
    damage(place, key);
    let manager = start().unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    let error = manager.enqueue(keyed()).unwrap_err();
    assert!(error.as_store().unwrap().is_damaged());
    assert_eq!(
        error.to_string(),
        format!(
            "enqueue job `work` with key `k`: read row {key}: the bytes do not decode: \
         InvalidIntegerType {{ expected: Usize, found: Reserved }}: use another key, or none"
        )
    );
    manager.retry(&receipt).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    clock.advance(24 * HOUR);
    assert_eq!(settled(&manager).succeeded, 1);
    manager.remove(&receipt).unwrap();
    assert_eq!(settled(&manager).succeeded, 0);
}

pub(crate) fn a_job_in_flight_whose_key_is_damaged_is_interrupted_like_others(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).key("k")).unwrap();
    door.arrived();
    // Cancelled at the opening, so that its key would have to be told of the end.
    manager.cancel(&receipt).unwrap();
    manager.shutdown(Duration::ZERO).unwrap();
    door.open(1);
    damage(place, first_key(place, Space::Unique));
    let manager = one_worker(place).start().unwrap();
    assert_eq!(manager.recovery().interrupted, 1);
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Cancelled
    );
}

pub(crate) fn a_damaged_row_of_retention_keeps_its_jobs_and_stops_nothing(place: &dyn Place) {
    let clock = ManualClock::new();
    let start = || succeeding(one_worker(place)).clock(clock.clone()).start();
    let manager = start().unwrap();
    let kept = manager.enqueue(work("a")).unwrap();
    manager.wait(&kept, PATIENCE).unwrap();
    let pruned = manager.enqueue(work("b")).unwrap();
    manager.wait(&pruned, PATIENCE).unwrap();
    drop(manager);
    damage(place, first_key(place, Space::ExpiringSuccesses));
    clock.advance(30 * 24 * HOUR);
    let manager = start().unwrap();
    assert_eq!(settled(&manager).succeeded, 1);
    assert!(manager.completed(&pruned).unwrap_err().is_pruned());
    assert!(manager.completed(&kept).unwrap().is_some());
}

pub(crate) fn first_key(place: &dyn Place, space: Space) -> Key {
    let mut first = None;
    let (from, to) = (Key::new(space, 0), Key::new(space, u64::MAX));
    let found = &mut |key, _: &[u8]| {
        first = Some(key);
        ControlFlow::Break(())
    };
    place.open().scan(&from, &to, found).unwrap();
    first.unwrap()
}
