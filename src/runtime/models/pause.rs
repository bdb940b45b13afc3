use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use jobkeep_store::conformance::{Fault, FaultyStore, Operation};

use super::whole::{EVER, Errand, Whole, enqueue};
use super::{SECOND, clock, in_a_second};
use crate::clock::Steady;
use crate::runtime::bell::Bell;
use crate::runtime::command::Command;
use crate::runtime::inbox::WhenFull;
use crate::runtime::pause::{Rest, Rested};
use crate::runtime::shared::Shared;
use crate::sync::Arc;
use crate::{Context, Error, MemoryStore};

fn nothing_runs(shared: &Shared) -> bool {
    shared
        .pools
        .iter()
        .all(|pool| pool.all_running().is_empty())
}

/// As a caller that pauses the queue and waits.
pub(super) fn pause_and_wait(shared: &Shared, until: Steady) -> Result<Rested, Error> {
    let rest = Rest::new(&shared.clock);
    let pause = |reply| Command::Pause {
        queue: "default".into(),
        rest: Some(rest.clone()),
        reply,
    };
    shared.inbox.ask("pause", WhenFull::Wait, pause)?;
    Ok(rest.wait(&shared.clock, until))
}

fn ever(shared: &Shared) -> Steady {
    shared.clock.now().steady.after(EVER)
}

fn rest_and_resume(shared: &Shared) {
    assert_eq!(pause_and_wait(shared, ever(shared)).unwrap(), Rested::Yes);
    assert!(nothing_runs(shared));
    let resume = |reply| Command::Resume {
        queue: "default".into(),
        reply,
    };
    shared.inbox.ask("resume", WhenFull::Wait, resume).unwrap();
}

pub(super) fn who_waits_for_rest_is_told_and_all_goes_on() {
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(2, MemoryStore::new()).beside(run, |shared, _| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let number = enqueue(shared).unwrap();
                    assert!(shared.wait(number, EVER).unwrap().is_some());
                });
            }
            scope.spawn(|| rest_and_resume(shared));
        });
        shared.shut_down(EVER);
    });
}

pub(super) fn who_waits_for_rest_is_sent_away_at_the_end() {
    let run = |_: &mut Errand, _: &Context| Ok(());
    Whole::new(1, MemoryStore::new()).beside(run, |shared, _| {
        thread::scope(|scope| {
            scope.spawn(|| drop(enqueue(shared)));
            for _ in 0..2 {
                scope.spawn(|| match pause_and_wait(shared, ever(shared)) {
                    Ok(Rested::Yes) => assert!(nothing_runs(shared)),
                    Ok(ended) => assert_eq!(ended, Rested::Over),
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
        let until = in_a_second(&shared.clock);
        thread::scope(|scope| {
            scope.spawn(|| manual.advance(SECOND));
            scope.spawn(|| {
                // Where no worker has taken the job, the queue rests at once.
                let ended = pause_and_wait(shared, until).unwrap();
                assert_ne!(ended, Rested::Over);
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
        thread::scope(|scope| {
            scope.spawn(|| {
                if let Ok(number) = enqueue(shared) {
                    assert!(shared.wait(number, EVER).unwrap().is_some());
                }
            });
            scope.spawn(|| rest_and_resume(shared));
        });
        shared.shut_down(EVER);
    });
}
