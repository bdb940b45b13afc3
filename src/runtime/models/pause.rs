use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use jobkeep_store::conformance::{Fault, FaultyStore, Operation};

use super::whole::{EVER, Errand, Whole, enqueue, manager};
use super::{SECOND, clock, in_a_second};
use crate::runtime::bell::Bell;
use crate::runtime::command::Command;
use crate::runtime::inbox::WhenFull;
use crate::runtime::pause::{Rest, Rested};
use crate::runtime::shared::Shared;
use crate::sync::Arc;
use crate::{Context, MemoryStore};

fn nothing_runs(shared: &Shared) -> bool {
    shared
        .pools
        .iter()
        .all(|pool| pool.all_running().is_empty())
}

pub(super) fn who_waits_for_rest_is_told_and_all_goes_on() {
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(2, MemoryStore::new()).beside(run, |shared, _| {
        let manager = manager(shared);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let number = enqueue(shared).unwrap();
                    assert!(shared.wait(number, EVER).unwrap().is_some());
                });
            }
            scope.spawn(|| {
                manager.pause_and_wait("default", EVER).unwrap();
                assert!(nothing_runs(shared));
                manager.resume("default").unwrap();
            });
        });
    });
}

pub(super) fn who_waits_for_rest_is_sent_away_at_the_end() {
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(1, MemoryStore::new()).beside(run, |shared, _| {
        let manager = manager(shared);
        thread::scope(|scope| {
            scope.spawn(|| drop(enqueue(shared)));
            for _ in 0..2 {
                scope.spawn(|| match manager.pause_and_wait("default", EVER) {
                    Ok(()) => assert!(nothing_runs(shared)),
                    Err(error) => assert!(error.is_shut_down()),
                });
            }
            scope.spawn(|| shared.shut_down(EVER));
        });
    });
}

pub(super) fn who_waits_for_rest_loses_patience() {
    let (_, still) = clock();
    let gate = Arc::<Bell>::default();
    let opened = Arc::clone(&gate);
    let run = move |_: &mut Errand, _: &Context| {
        gate.wait(&still, None);
        Ok(())
    };
    Whole::new(1, MemoryStore::new()).beside(run, |shared, manual| {
        enqueue(shared).unwrap();
        let rest = Rest::new(&shared.clock);
        let until = in_a_second(&shared.clock);
        thread::scope(|scope| {
            scope.spawn(|| manual.advance(SECOND));
            scope.spawn(|| {
                let pause = |reply| Command::Pause {
                    queue: "default".into(),
                    rest: Some(rest.clone()),
                    reply,
                };
                shared.inbox.ask("pause", WhenFull::Wait, pause).unwrap();
                // Where no worker has taken the job, the queue rests at once.
                assert_ne!(rest.wait(&shared.clock, until), Rested::Over);
                opened.ring();
            });
        });
        shared.shut_down(EVER);
    });
}

/// Once, so that what operators ask is written at the second attempt.
pub(super) fn a_commit_that_fails_keeps_nobody_waiting_for_rest() {
    let store = FaultyStore::new(MemoryStore::new());
    let nth = thread_rng().gen_range(2..=6);
    store
        .faults()
        .arm(Fault::nth(Operation::Commit, nth).full());
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(1, store).beside(run, |shared, _| {
        let manager = manager(shared);
        thread::scope(|scope| {
            scope.spawn(|| {
                if let Ok(number) = enqueue(shared) {
                    assert!(shared.wait(number, EVER).unwrap().is_some());
                }
            });
            scope.spawn(|| {
                manager.pause_and_wait("default", EVER).unwrap();
                assert!(nothing_runs(shared));
                manager.resume("default").unwrap();
            });
        });
    });
}
