use std::ops::ControlFlow;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Harness;
use super::owner::{
    FIRST, Owner, Rows, SECOND, SetOnDrop, THIRD, encoded, fence, fence_of, live, put, rows, text,
};
use crate::{Batch, Fence, Key, OpeningTag, QueueStore, Space, StoreError, StoreId, open_row};

pub(super) fn a_refused_batch_changes_nothing(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| {
        put(batch, live(1), "kept");
        put(batch, live(2), "kept");
    });
    let rows_before = rows(&*store);
    let next = owner.next();
    let refused = [
        Batch::new(fence(SECOND, next.commit)),
        Batch::new(Fence {
            store: StoreId(0xbad),
            ..next
        }),
        Batch::new(owner.fence()),
        Batch::new(fence(FIRST, next.commit + 1)),
        Batch::opening(fence(SECOND, next.commit), None),
        Batch::opening(fence(SECOND, next.commit), Some(THIRD)),
        Batch::opening(fence(SECOND, next.commit + 1), Some(FIRST)),
    ];
    for mut batch in refused {
        put(&mut batch, live(1), "changed");
        batch.delete(live(2));
        put(&mut batch, live(3), "new");
        let outcome = store.commit(&batch);
        assert!(outcome.is_err(), "taken: {:?}", batch.fence());
        assert_eq!(rows(&*store), rows_before, "after {:?}", batch.fence());
        assert_eq!(fence_of(&*store), Some(owner.fence()));
    }
    owner.commit(&*store, |batch| put(batch, live(3), "taken"));
    assert_eq!(text(&*store, live(3)).as_deref(), Some("taken"));
}

/// Rows at both ends of a scan are committed anew while the scan stands between them.
pub(super) fn a_scan_sees_one_moment(place: &dyn Harness) {
    const ROWS: u64 = if cfg!(miri) { 50 } else { 2_000 };
    /// As long as a store that lets commits in beside a scan may need for one. One that makes
    /// them wait costs the test this much.
    const PATIENCE: Duration = Duration::from_millis(250);

    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| generation(batch, ROWS, "old"));
    thread::scope(|scope| {
        let (scanning, scan_begun) = mpsc::channel();
        let (committed, commit_done) = mpsc::channel();
        let store = &*store;
        scope.spawn(move || {
            scan_begun.recv().expect("the scan begins");
            owner.commit(store, |batch| {
                generation(batch, ROWS, "new");
                batch.delete(live(ROWS / 2));
                put(batch, live(ROWS), "new");
            });
            // Nobody waits any more where the store made this commit wait for the scan.
            let _ = committed.send(());
        });
        let mut seen = Vec::new();
        store
            .scan(&live(0), &live(u64::MAX), &mut |key, row| {
                if seen.is_empty() {
                    scanning.send(()).expect("the writer waits");
                    let _ = commit_done.recv_timeout(PATIENCE);
                }
                assert_eq!(
                    row,
                    encoded("old").seal(key),
                    "row {key} is of another moment"
                );
                seen.push(key.number);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(seen, (0..ROWS).collect::<Vec<_>>());
    });
    let after = rows(&*store);
    assert_eq!(after.len() as u64, ROWS, "one row deleted, one put");
    let new = |(key, row): (&Key, &Vec<u8>)| *row == encoded("new").seal(*key);
    assert!(after.iter().all(new), "the commit took effect after all");
}

fn generation(batch: &mut Batch, rows: u64, value: &str) {
    for number in 0..rows {
        put(batch, live(number), value);
    }
}

/// Every commit moves the one row to another number and writes its generation at both ends.
pub(super) fn readers_see_whole_commits(place: &dyn Harness) {
    const COMMITS: u64 = if cfg!(miri) { 6 } else { 60 };
    let store = place.open();
    let mut owner = Owner::found(&*store);
    owner.commit(&*store, |batch| moved(batch, 0));
    let ended = AtomicBool::new(false);
    let begun = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                begun.wait();
                let mut newest = 0;
                loop {
                    // Read before the scan: the last scan comes after the last commit.
                    let last = ended.load(Ordering::SeqCst);
                    let generation = whole_generation(&*store);
                    assert!(generation >= newest, "{generation} after {newest}");
                    newest = generation;
                    if last {
                        break;
                    }
                }
                assert_eq!(newest, COMMITS);
            });
        }
        let _ended = SetOnDrop(&ended);
        begun.wait();
        for generation in 1..=COMMITS {
            owner.commit(&*store, |batch| moved(batch, generation));
        }
    });
}

fn moved(batch: &mut Batch, generation: u64) {
    let value = generation.to_string();
    put(batch, Key::TOTALS, &value);
    batch.delete(live(generation.saturating_sub(1)));
    put(batch, live(generation), &value);
    put(batch, Key::new(Space::Damaged, 0), &value);
}

fn whole_generation(store: &dyn QueueStore) -> u64 {
    let rows = rows(store);
    let first = rows.get(&Key::TOTALS).expect("put by every commit");
    let generation: String = open_row(Key::TOTALS, first).unwrap();
    let number = generation.parse().unwrap();
    let of_one_commit: Rows = [Key::TOTALS, live(number), Key::new(Space::Damaged, 0)]
        .map(|key| (key, encoded(&generation).seal(key)))
        .into();
    assert_eq!(rows, of_one_commit);
    number
}

pub(super) fn a_commit_is_seen_by_other_threads(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    thread::scope(|scope| {
        let (committed, commits) = mpsc::channel();
        let (read, reads) = mpsc::channel();
        let store = &*store;
        scope.spawn(move || {
            for number in commits {
                read.send((store.get(&live(number)), fence_of(store)))
                    .expect("the committer waits");
            }
        });
        for number in 1..=20 {
            owner.commit(store, |batch| put(batch, live(number), "row"));
            committed.send(number).expect("the reader waits");
            let (row, fence) = reads.recv().expect("the reader answers");
            assert_eq!(row.unwrap(), Some(encoded("row").seal(live(number))));
            assert_eq!(fence, Some(owner.fence()));
        }
    });
}

pub(super) fn of_two_racing_commits_one_wins(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    for round in 0..40 {
        let batches = [1, 2].map(|side| {
            let mut batch = Batch::new(owner.next());
            put(&mut batch, live(2 * round + side), "won");
            batch
        });
        let winner = race(&*store, &batches, StoreError::is_out_of_turn);
        owner = Owner::of(batches[winner].fence());
        let rows = rows(&*store);
        let loser = live(2 * round + 2 - winner as u64);
        assert_eq!(rows.len() as u64, round + 1, "one row a round");
        assert!(!rows.contains_key(&loser), "the loser wrote row {loser}");
    }
}

pub(super) fn of_two_racing_takeovers_one_wins(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    for round in 0..40 {
        let held = owner.fence().opening;
        let commit = owner.next().commit;
        let batches = [1, 2].map(|side| {
            let tag = OpeningTag(1_000 + 2 * round + side);
            Batch::opening(fence(tag, commit), Some(held))
        });
        let winner = race(&*store, &batches, StoreError::is_replaced);
        owner = Owner::of(batches[winner].fence());
        owner.commit(&*store, |batch| put(batch, live(round), "held"));
    }
}

/// Commits both at once and returns which one was taken; the other was refused as `refused` says.
fn race(store: &dyn QueueStore, batches: &[Batch; 2], refused: fn(&StoreError) -> bool) -> usize {
    let start = Barrier::new(2);
    let outcomes = thread::scope(|scope| {
        batches
            .each_ref()
            .map(|batch| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    store.commit(batch)
                })
            })
            .map(|thread| thread.join().expect("no commit panics"))
    });
    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(taken, 1, "exactly one is taken: {outcomes:?}");
    let winner = usize::from(outcomes[0].is_err());
    let error = outcomes[1 - winner].as_ref().unwrap_err();
    assert!(refused(error), "refused for another reason: {error}");
    assert_eq!(fence_of(store), Some(batches[winner].fence()));
    winner
}
