use super::Harness;
use super::owner::{FIRST, Owner, SECOND, THIRD, fence, fence_of, live, location, put, text};
use crate::{Batch, Fence, QueueStore, StoreError, StoreId};

/// The error of a commit that the store must refuse, and that must not move the fence.
fn refusal(store: &dyn QueueStore, batch: &Batch) -> StoreError {
    let before = fence_of(store);
    let error = store.commit(batch).expect_err("the store must refuse this");
    assert_eq!(fence_of(store), before, "the refused batch moved the fence");
    error
}

fn assert_replaced(error: &StoreError, message: &str) {
    assert!(error.is_replaced(), "another kind of error: {error}");
    assert_eq!(error.to_string(), message);
}

fn assert_out_of_turn(error: &StoreError, message: &str) {
    assert!(error.is_out_of_turn(), "another kind of error: {error}");
    assert_eq!(error.to_string(), message);
}

pub(super) fn a_new_store_has_no_fence(place: &dyn Harness) {
    let store = place.open();
    assert_eq!(fence_of(&*store), None);
    store.reopen().unwrap();
    assert_eq!(fence_of(&*store), None, "reopening founds nothing");
}

pub(super) fn founding_sets_the_fence(place: &dyn Harness) {
    let store = place.open();
    let mut batch = Batch::opening(fence(FIRST, 1), None);
    put(&mut batch, live(1), "founder's");
    store.commit(&batch).unwrap();
    assert_eq!(fence_of(&*store), Some(fence(FIRST, 1)));
    assert_eq!(text(&*store, live(1)).as_deref(), Some("founder's"));
}

pub(super) fn a_founded_store_is_not_founded_again(place: &dyn Harness) {
    let store = place.open();
    Owner::found(&*store);
    let error = refusal(&*store, &Batch::opening(fence(SECOND, 1), None));
    assert_replaced(
        &error,
        &format!(
            "commit 1 of opening 000000000000005e of {}: opening 00000000000000f1 has taken the \
             store over: this owner must stop",
            location(&*store)
        ),
    );
}

pub(super) fn a_takeover_moves_the_fence(place: &dyn Harness) {
    let store = place.open();
    let first = Owner::found(&*store);
    let mut second = first.replaced_by(&*store, SECOND);
    assert_eq!(fence_of(&*store), Some(fence(SECOND, 2)));
    second.commit(&*store, |batch| put(batch, live(1), "second's"));
    assert_eq!(fence_of(&*store), Some(fence(SECOND, 3)));
}

pub(super) fn a_replaced_owner_is_refused(place: &dyn Harness) {
    let store = place.open();
    let first = Owner::found(&*store);
    let mut second = first.replaced_by(&*store, SECOND);
    second.commit(&*store, |batch| put(batch, live(1), "second's"));
    // In turn, as far as the replaced owner can know, and as a lucky guess.
    for commit in [2, 4] {
        let mut batch = Batch::new(fence(FIRST, commit));
        put(&mut batch, live(1), "first's");
        let error = refusal(&*store, &batch);
        assert_replaced(
            &error,
            &format!(
                "commit {commit} of opening 00000000000000f1 of {}: opening 000000000000005e has \
                 taken the store over: this owner must stop",
                location(&*store)
            ),
        );
    }
    assert_eq!(text(&*store, live(1)).as_deref(), Some("second's"));
}

pub(super) fn a_takeover_that_lost_the_race_is_refused(place: &dyn Harness) {
    let store = place.open();
    let first = Owner::found(&*store);
    let mut second = first.replaced_by(&*store, SECOND);
    let late = Batch::opening(fence(THIRD, 2), Some(FIRST));
    let error = refusal(&*store, &late);
    assert_replaced(
        &error,
        &format!(
            "commit 2 of opening 000000000000003d of {}: opening 000000000000005e has taken the \
             store over: this owner must stop",
            location(&*store)
        ),
    );
    second.commit(&*store, |batch| put(batch, live(1), "second's"));
}

pub(super) fn a_batch_of_another_store_is_refused(place: &dyn Harness) {
    let store = place.open();
    let owner = Owner::found(&*store);
    let elsewhere = Fence {
        store: StoreId(1),
        ..owner.next()
    };
    for batch in [
        Batch::new(elsewhere),
        Batch::opening(elsewhere, Some(FIRST)),
        Batch::opening(elsewhere, None),
    ] {
        let error = refusal(&*store, &batch);
        assert!(error.is_replaced(), "another kind of error: {error}");
    }
}

pub(super) fn a_store_without_opening_takes_no_commit(place: &dyn Harness) {
    let store = place.open();
    let error = refusal(&*store, &Batch::new(fence(FIRST, 1)));
    assert_replaced(
        &error,
        &format!(
            "commit 1 of opening 00000000000000f1 of {}: the store has no opening yet: it is not \
             the one that this owner opened",
            location(&*store)
        ),
    );
    let takeover = Batch::opening(fence(SECOND, 1), Some(FIRST));
    let error = refusal(&*store, &takeover);
    assert!(error.is_replaced(), "another kind of error: {error}");
    let ahead = Batch::opening(fence(FIRST, 2), None);
    let error = refusal(&*store, &ahead);
    assert!(error.is_out_of_turn(), "another kind of error: {error}");
}

pub(super) fn a_replayed_commit_is_out_of_turn(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    let mut batch = Batch::new(owner.next());
    put(&mut batch, live(1), "once");
    owner.try_commit(&*store, &batch).unwrap();
    owner.commit(&*store, |batch| batch.delete(live(1)));
    let error = refusal(&*store, &batch);
    assert_out_of_turn(
        &error,
        &format!(
            "commit 2 of opening 00000000000000f1 of {}: the store expects commit 4",
            location(&*store)
        ),
    );
    assert_eq!(text(&*store, live(1)), None, "the replay took effect");
}

pub(super) fn a_commit_ahead_of_its_turn_is_refused(place: &dyn Harness) {
    let store = place.open();
    let mut owner = Owner::found(&*store);
    for commit in [0, 3, u64::MAX] {
        let error = refusal(&*store, &Batch::new(fence(FIRST, commit)));
        assert_out_of_turn(
            &error,
            &format!(
                "commit {commit} of opening 00000000000000f1 of {}: the store expects commit 2",
                location(&*store)
            ),
        );
    }
    owner.commit(&*store, |batch| put(batch, live(1), "in turn"));
}

pub(super) fn commits_count_on_over_a_takeover(place: &dyn Harness) {
    let store = place.open();
    let mut first = Owner::found(&*store);
    for _ in 0..3 {
        first.commit(&*store, |_| ());
    }
    let error = refusal(&*store, &Batch::opening(fence(SECOND, 1), Some(FIRST)));
    assert_out_of_turn(
        &error,
        &format!(
            "commit 1 of opening 000000000000005e of {}: the store expects commit 5",
            location(&*store)
        ),
    );
    first.replaced_by(&*store, SECOND);
    assert_eq!(fence_of(&*store), Some(fence(SECOND, 5)));
}

pub(super) fn an_owner_closes_what_is_its_own_and_leaves_the_rest_to_its_successor(
    place: &dyn Harness,
) {
    let store = place.open();
    let first = Owner::found(&*store);
    let mut second = first.replaced_by(&*store, SECOND);
    store.close_for(FIRST).unwrap();
    second.commit(&*store, |batch| put(batch, live(1), "second's"));
    store.close_for(SECOND).unwrap();
    assert!(store.identity().unwrap_err().is_closed());
    store.close_for(FIRST).unwrap();
    store.reopen().unwrap();
    assert_eq!(fence_of(&*store), Some(second.fence()));
}

pub(super) fn a_store_without_opening_is_closed_by_any_owner(place: &dyn Harness) {
    let store = place.open();
    store.close_for(FIRST).unwrap();
    assert!(store.identity().unwrap_err().is_closed());
}
