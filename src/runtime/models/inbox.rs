use shuttle::thread;

use jobkeep_store::{JobNumber, OpeningTag, StoreError, Token};

use super::{SECOND, clock, flip, in_a_second};
use crate::Error;
use crate::clock::Steady;
use crate::runtime::command::Command;
use crate::runtime::inbox::{Haste, Inbox, Intake, Taken, WhenFull};
use crate::sync::Arc;

/// A caller.
pub(super) fn ask(inbox: &Inbox, number: u64) -> Result<(), Error> {
    let number = JobNumber(number);
    inbox.ask("ask", WhenFull::Wait, |reply| Command::Cancel {
        number,
        reply,
    })
}

/// A caller with jobs.
fn bring(inbox: &Inbox) -> Result<(), Error> {
    let accept = |reply| Command::accept(Vec::new(), reply);
    inbox.ask("bring", WhenFull::Wait, accept).map(drop)
}

/// A worker.
fn report(inbox: &Inbox, number: u64, haste: Haste) -> Result<(), Error> {
    let command = Command::Unreadable {
        number: JobNumber(number),
        token: Token {
            opening: OpeningTag(1),
            sequence: number,
        },
        reason: String::new(),
    };
    inbox.report(command, haste)
}

/// The committer: answers all that was taken, and says which they were.
fn serve(mut taken: Taken) -> Vec<u64> {
    let serve = |command| match command {
        Command::Cancel { number, reply } => {
            reply.give(Ok(()));
            number.0
        }
        Command::Unreadable { number, .. } => number.0,
        Command::Accept { reply, .. } => {
            reply.give(Ok(Vec::new()));
            0
        }
        other => panic!("{other:?} was never asked"),
    };
    taken.commands.drain(..).map(serve).collect()
}

pub(super) fn each_command_is_taken_once_and_each_caller_answered() {
    let (_, clock) = clock();
    let inbox = Inbox::new(16, JobNumber(1), &clock);
    thread::scope(|scope| {
        for number in [1, 2] {
            let inbox = &inbox;
            scope.spawn(move || ask(inbox, number).unwrap());
        }
        scope.spawn(|| {
            report(&inbox, 3, Haste::Soon).unwrap();
            report(&inbox, 4, Haste::Soon).unwrap();
            report(&inbox, 5, Haste::Now).unwrap();
        });
        scope.spawn(|| {
            let mut taken = Vec::new();
            while taken.len() < 5 {
                // The moment never comes: what has haste ends the nap, or nothing does.
                let nap = flip().then(|| in_a_second(&clock));
                taken.extend(serve(inbox.take(nap, None)));
            }
            taken.sort_unstable();
            assert_eq!(taken, [1, 2, 3, 4, 5]);
        });
    });
    assert!(inbox.is_empty());
}

pub(super) fn who_waits_for_room_gets_in() {
    let (_, clock) = clock();
    let inbox = Inbox::new(1, JobNumber(1), &clock);
    thread::scope(|scope| {
        for number in [1, 2] {
            let inbox = &inbox;
            scope.spawn(move || ask(inbox, number).unwrap());
        }
        scope.spawn(|| report(&inbox, 3, Haste::Now).unwrap());
        scope.spawn(|| {
            let mut taken = Vec::new();
            while taken.len() < 3 {
                taken.extend(serve(inbox.take(None, None)));
            }
            taken.sort_unstable();
            assert_eq!(taken, [1, 2, 3]);
        });
    });
}

fn narrow(inbox: &Inbox) {
    match (flip(), flip()) {
        (true, true) => inbox.drain(),
        (true, false) => inbox.close(),
        _ => inbox.poison(Arc::new(StoreError::closed("commit", "here"))),
    }
}

/// Nobody takes anything: being sent away is all that can happen to them.
pub(super) fn who_waits_for_room_is_sent_away_when_the_inbox_narrows() {
    let (_, clock) = clock();
    let inbox = Inbox::new(1, JobNumber(1), &clock);
    report(&inbox, 1, Haste::Now).unwrap();
    thread::scope(|scope| {
        for number in [2, 3] {
            let inbox = &inbox;
            scope.spawn(move || ask(inbox, number).unwrap_err());
        }
        scope.spawn(|| narrow(&inbox));
    });
    assert_eq!(serve(inbox.take(None, None)), [1]);
}

/// The committer drops what it took, answered or not, and ends.
pub(super) fn a_closed_inbox_leaves_nobody_without_an_answer() {
    let (_, clock) = clock();
    let inbox = Inbox::new(1, JobNumber(1), &clock);
    thread::scope(|scope| {
        for number in [1, 2] {
            let inbox = &inbox;
            scope.spawn(move || ask(inbox, number));
        }
        scope.spawn(|| inbox.close());
        scope.spawn(|| {
            loop {
                let taken = inbox.take(None, None);
                if matches!(taken.intake, Intake::Closed) {
                    break;
                }
                if flip() {
                    drop(serve(taken));
                }
            }
            drop(inbox.take(None, Some(clock.now().steady)));
        });
    });
    assert!(ask(&inbox, 3).unwrap_err().is_shut_down());
}

pub(super) fn a_worker_gets_in_while_the_inbox_drains() {
    let (_, clock) = clock();
    let inbox = Inbox::new(1, JobNumber(1), &clock);
    report(&inbox, 1, Haste::Now).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| report(&inbox, 2, Haste::Now).unwrap());
        scope.spawn(|| inbox.drain());
        scope.spawn(|| {
            let mut taken = Vec::new();
            while taken.len() < 2 {
                taken.extend(serve(inbox.take(None, None)));
            }
            assert_eq!(taken, [1, 2]);
        });
    });
}

pub(super) fn a_nap_ends_with_its_moment() {
    let (manual, clock) = clock();
    let inbox = Inbox::new(16, JobNumber(1), &clock);
    let end = in_a_second(&clock);
    thread::scope(|scope| {
        scope.spawn(|| report(&inbox, 1, Haste::Soon).unwrap());
        scope.spawn(|| manual.advance(SECOND));
        scope.spawn(|| assert_eq!(serve(inbox.take(Some(end), None)), [1]));
    });
}

pub(super) fn a_moment_that_comes_is_looked_at() {
    let (manual, clock) = clock();
    let inbox = Inbox::new(16, JobNumber(1), &clock);
    let due = in_a_second(&clock);
    thread::scope(|scope| {
        scope.spawn(|| manual.advance(SECOND));
        scope.spawn(|| assert!(inbox.take(None, Some(due)).commands.is_empty()));
    });
}

pub(super) fn a_nudge_is_looked_at() {
    let (_, clock) = clock();
    let inbox = Inbox::new(16, JobNumber(1), &clock);
    thread::scope(|scope| {
        scope.spawn(|| inbox.nudge());
        scope.spawn(|| assert!(inbox.take(None, None).commands.is_empty()));
    });
}

pub(super) fn a_deadline_is_looked_at() {
    let (_, clock) = clock();
    let inbox = Inbox::new(16, JobNumber(1), &clock);
    thread::scope(|scope| {
        scope.spawn(|| inbox.wake_by(Steady::default()));
        scope.spawn(|| assert!(inbox.take(None, None).commands.is_empty()));
    });
}

fn full() -> Arc<StoreError> {
    Arc::new(StoreError::full("commit", "disk", "no space left"))
}

/// Nobody takes anything, as in the model above.
pub(super) fn who_waits_with_jobs_is_sent_away_when_the_store_refuses() {
    let (_, clock) = clock();
    let inbox = Inbox::new(1, JobNumber(1), &clock);
    report(&inbox, 1, Haste::Now).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert!(bring(&inbox).unwrap_err().as_store().unwrap().is_full()));
        }
        scope.spawn(|| inbox.refuse_jobs(Some(full())));
    });
    assert_eq!(serve(inbox.take(None, None)), [1]);
}

pub(super) fn a_store_that_refuses_at_times_leaves_nobody_without_an_answer() {
    let (_, clock) = clock();
    let inbox = Inbox::new(1, JobNumber(1), &clock);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| match bring(&inbox) {
                        Ok(()) => {}
                        Err(error) => assert!(error.as_store().unwrap().is_full()),
                    });
                }
                scope.spawn(|| ask(&inbox, 1).unwrap());
                scope.spawn(|| report(&inbox, 2, Haste::Now).unwrap());
            });
            inbox.close();
        });
        scope.spawn(|| {
            let mut taken = inbox.take(None, None);
            while !matches!(taken.intake, Intake::Closed) {
                inbox.refuse_jobs(flip().then(full));
                serve(taken);
                taken = inbox.take(None, None);
            }
        });
    });
}
