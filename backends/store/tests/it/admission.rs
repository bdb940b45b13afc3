use jobkeep_store::{Batch, Fence, OpeningTag, StoreError, StoreId, admit};

const A: OpeningTag = OpeningTag(0xa);
const B: OpeningTag = OpeningTag(0xb);
const C: OpeningTag = OpeningTag(0xc);

#[derive(Debug, PartialEq)]
enum Verdict {
    Taken,
    Replaced(&'static str),
    OutOfTurn(&'static str),
}
use Verdict::{OutOfTurn, Replaced, Taken};

fn fence(opening: OpeningTag, commit: u64) -> Fence {
    Fence {
        store: StoreId(1),
        opening,
        commit,
    }
}

fn next(opening: OpeningTag, commit: u64) -> Batch {
    Batch::new(fence(opening, commit))
}

fn opening(tag: OpeningTag, commit: u64, replaced: Option<OpeningTag>) -> Batch {
    Batch::opening(fence(tag, commit), replaced)
}

fn of_store_two(batch: &Batch) -> Batch {
    let fence = Fence {
        store: StoreId(2),
        ..batch.fence()
    };
    Batch::opening(fence, batch.expects())
}

fn assert_verdict(current: Option<Fence>, batch: &Batch, expected: &Verdict) {
    let outcome = admit(current.as_ref(), batch, "jobs.redb");
    let case = format!("{:?} on {current:?}", batch.fence());
    match expected {
        Taken => assert_eq!(outcome.unwrap(), batch.fence(), "{case}"),
        Replaced(text) => assert_refused(outcome, StoreError::is_replaced, text, &case),
        OutOfTurn(text) => assert_refused(outcome, StoreError::is_out_of_turn, text, &case),
    }
}

fn assert_refused(
    outcome: Result<Fence, StoreError>,
    kind: fn(&StoreError) -> bool,
    text: &str,
    case: &str,
) {
    let error = outcome.unwrap_err();
    assert!(kind(&error), "{case}: {error}");
    assert_eq!(error.to_string(), text, "{case}");
}

#[test]
fn a_store_without_opening_takes_its_founder_only() {
    let cases = [
        (opening(A, 1, None), Taken),
        (
            opening(A, 0, None),
            OutOfTurn(
                "commit 0 of opening 000000000000000a of jobs.redb: the store expects commit 1",
            ),
        ),
        (
            opening(A, 2, None),
            OutOfTurn(
                "commit 2 of opening 000000000000000a of jobs.redb: the store expects commit 1",
            ),
        ),
        (
            next(A, 1),
            Replaced(
                "commit 1 of opening 000000000000000a of jobs.redb: the store has no opening yet: \
                 it is not the one that this owner opened",
            ),
        ),
        (
            opening(B, 1, Some(A)),
            Replaced(
                "commit 1 of opening 000000000000000b of jobs.redb: the store has no opening yet: \
                 it is not the one that this owner opened",
            ),
        ),
    ];
    for (batch, verdict) in cases {
        assert_verdict(None, &batch, &verdict);
    }
}

#[test]
fn a_held_store_takes_its_holder_in_turn_and_who_replaces_it() {
    const HELD: &str = "commit 6 of opening 000000000000000b of jobs.redb: opening \
                        000000000000000a has taken the store over: this owner must stop";
    let cases = [
        (next(A, 6), Taken),
        (opening(B, 6, Some(A)), Taken),
        (
            next(A, 5),
            OutOfTurn(
                "commit 5 of opening 000000000000000a of jobs.redb: the store expects commit 6",
            ),
        ),
        (
            next(A, 7),
            OutOfTurn(
                "commit 7 of opening 000000000000000a of jobs.redb: the store expects commit 6",
            ),
        ),
        (
            opening(B, 1, Some(A)),
            OutOfTurn(
                "commit 1 of opening 000000000000000b of jobs.redb: the store expects commit 6",
            ),
        ),
        (next(B, 6), Replaced(HELD)),
        (opening(B, 6, None), Replaced(HELD)),
        (opening(B, 6, Some(C)), Replaced(HELD)),
        (of_store_two(&opening(B, 6, Some(A))), Replaced(HELD)),
    ];
    for (batch, verdict) in cases {
        assert_verdict(Some(fence(A, 5)), &batch, &verdict);
    }
}

#[test]
fn the_holder_of_another_store_is_refused() {
    let batch = of_store_two(&next(A, 6));
    let verdict = Replaced(
        "commit 6 of opening 000000000000000a of jobs.redb: opening 000000000000000a has taken \
         the store over: this owner must stop",
    );
    assert_verdict(Some(fence(A, 5)), &batch, &verdict);
}

#[test]
fn commit_numbers_end_instead_of_starting_over() {
    let last = fence(A, u64::MAX);
    for commit in [0, 1] {
        let outcome = admit(Some(&last), &next(A, commit), "jobs.redb");
        assert!(outcome.unwrap_err().is_out_of_turn());
    }
}
