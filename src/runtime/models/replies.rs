use std::sync::atomic::{AtomicBool, Ordering};

use jobkeep_store::{JobNumber, StoreError};
use shuttle::thread;

use super::{SECOND, clock, flip, in_a_second};
use crate::runtime::bell::Bell;
use crate::runtime::command::{Command, Reply};
use crate::runtime::inbox::Inbox;
use crate::sync::Arc;

pub(super) fn callers_of_a_group_find_their_answers_at_the_ring() {
    let (_, clock) = clock();
    let bell = Bell::new(&clock);
    let replies = [Reply::new(), Reply::new()];
    thread::scope(|scope| {
        for (reply, answer) in replies.iter().zip([1, 2]) {
            let (bell, clock) = (&bell, &clock);
            scope.spawn(move || {
                assert!(bell.wait(clock, None));
                assert_eq!(reply.take(&"ask").unwrap().unwrap(), answer);
            });
        }
        scope.spawn(|| {
            for (reply, answer) in replies.iter().zip([1, 2]) {
                reply.give(Ok(answer));
            }
            bell.ring();
        });
    });
}

/// The committer's order after a failed commit: the inbox learns why, the answers are taken back, the
/// bell rings.
pub(super) fn an_answer_is_shown_only_if_its_commit_succeeded() {
    let (_, clock) = clock();
    let inbox = Inbox::new(16, JobNumber(1), &clock);
    let durable = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in [1, 2] {
            let (inbox, durable) = (&inbox, &durable);
            scope.spawn(move || match super::inbox::ask(inbox, number) {
                Ok(()) => assert!(durable.load(Ordering::Relaxed)),
                Err(error) => assert_eq!(
                    error.to_string(),
                    "ask: commit of disk: the store is closed"
                ),
            });
        }
        scope.spawn(|| {
            let mut promised = Vec::new();
            let mut taken = inbox.take(None, None);
            for command in taken.commands.drain(..) {
                if let Command::Cancel { reply, .. } = command {
                    reply.give(Ok(()));
                    promised.push(reply.promise());
                }
            }
            // The second caller may be of this group, or may come when it has failed.
            if flip() {
                durable.store(true, Ordering::Relaxed);
                drop(taken);
            }
            inbox.poison(Arc::new(StoreError::closed("commit", "disk")));
            if !durable.load(Ordering::Relaxed) {
                for promise in promised {
                    promise.take_back();
                }
            }
            drop(inbox.take(None, Some(clock.now().steady)));
        });
    });
}

pub(super) fn a_wait_ends_with_its_moment() {
    let (manual, clock) = clock();
    let bell = Bell::new(&clock);
    let until = in_a_second(&clock);
    let rings = flip();
    thread::scope(|scope| {
        scope.spawn(|| manual.advance(SECOND));
        if rings {
            scope.spawn(|| bell.ring());
        }
        scope.spawn(|| {
            let rung = bell.wait(&clock, Some(until));
            assert!(rings || !rung);
        });
    });
}
