//! Histories that once failed, made as short as they tell the story.

use crate::play;
use crate::steps::{Bad, End, New, Step, When};

const JOB: New = New {
    queue: 0,
    priority: 0,
    when: When::Now,
    key: None,
    large: false,
    attempts: 3,
    timeout: None,
    buffered: false,
};

/// The end of an attempt moves the job's rows into the group. Where the group failed at a read before
/// it was complete, they were not given back, and the store got an empty row for the job.
#[test]
fn an_end_whose_group_fails_at_a_read_is_written_whole() {
    let keyed = New {
        key: Some(1),
        ..JOB
    };
    play::kept(
        1,
        &[
            Step::Enqueue(JOB),
            Step::Turn,
            Step::Take(0),
            Step::End(0, End::Succeed),
            Step::Enqueue(keyed),
            Step::BadTurn(Bad::Get(1)),
        ],
    );
}

/// An opening that found a job interrupted, and cancelled it because somebody had asked for that, kept
/// it back for its old thread all the same: at the return of that, the job was ready again.
#[test]
fn a_job_cancelled_at_an_opening_does_not_run_when_its_old_thread_returns() {
    play::kept(
        2,
        &[
            Step::Enqueue(JOB),
            Step::Turn,
            Step::Take(0),
            Step::Cancel(0),
            Step::Turn,
            Step::Enqueue(JOB),
            Step::BadTurn(Bad::Unknown(false)),
            Step::Turn,
            Step::End(0, End::Succeed),
            Step::Turn,
            Step::Take(0),
        ],
    );
}

/// Likewise one that the opening had parked, because processes had died beside it.
#[test]
fn a_job_parked_as_crashing_does_not_run_when_its_old_thread_returns() {
    play::kept(
        3,
        &[
            Step::Enqueue(JOB),
            Step::Turn,
            Step::Crash,
            Step::Turn,
            Step::Crash,
            Step::Advance(30_000),
            Step::Turn,
            Step::Crash,
            Step::Advance(60_000),
            Step::Turn,
            Step::Take(0),
            Step::Enqueue(JOB),
            Step::BadTurn(Bad::Unknown(true)),
            Step::Turn,
            Step::End(0, End::Succeed),
            Step::Turn,
            Step::Take(0),
        ],
    );
}

/// A read that failed once, while a job beyond its time-out was settled, parked the job as unreadable
/// until the next start.
#[test]
fn a_job_beyond_its_time_out_outlives_a_read_that_fails_once() {
    let hurried = New {
        timeout: Some(6_000),
        ..JOB
    };
    play::kept(
        4,
        &[
            Step::Enqueue(hurried),
            Step::Turn,
            Step::Take(0),
            Step::Advance(60_000),
            Step::BadTurn(Bad::Get(2)),
        ],
    );
}

/// A group that had parked a job as unreadable was not written, and the mark stayed: the job went on,
/// and counted as parked all the same.
#[test]
fn a_job_parked_by_a_group_that_is_not_written_is_not_parked() {
    let hurried = New {
        timeout: Some(6_000),
        ..JOB
    };
    for read in 1..6 {
        play::kept(
            4 + read,
            &[
                Step::Enqueue(hurried),
                Step::Turn,
                Step::Take(0),
                Step::Enqueue(JOB),
                Step::BadTurn(Bad::Full),
                Step::Advance(60_000),
                Step::BadTurn(Bad::Get(read)),
            ],
        );
    }
}

/// The old thread of an urgent job returned in the turn that wrote an earlier snooze: that one was made
/// ready in its place, and a job of less priority started first.
#[test]
fn a_job_whose_old_thread_returns_stands_in_line_at_once() {
    let hurried = New {
        priority: 1,
        timeout: Some(6_000),
        ..JOB
    };
    play::kept(
        10,
        &[
            Step::Enqueue(hurried),
            Step::Enqueue(JOB),
            Step::Enqueue(JOB),
            Step::Turn,
            Step::Take(0),
            Step::Take(0),
            Step::Advance(60_000),
            Step::Turn,
            Step::End(1, End::Snooze(0)),
            Step::End(0, End::Succeed),
            Step::Advance(30_000),
            Step::Turn,
        ],
    );
}

/// While the store could not be opened anew, its worker could not read the job: it has to be there for the
/// next one.
#[test]
fn a_job_that_cannot_be_read_while_the_store_is_closed_begins_later() {
    play::kept(
        5,
        &[
            Step::Enqueue(JOB),
            Step::Turn,
            Step::Enqueue(JOB),
            Step::BadTurn(Bad::Reopen(1)),
            Step::Take(0),
            Step::Turn,
            Step::Take(0),
        ],
    );
}
