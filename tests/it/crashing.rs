//! A process that dies between two commits, as a store shows it whose commits fail from then on.

use std::time::Duration;

use jobkeep::{AttemptEnd, Builder, Manager, Queue, StateKind};
use jobkeep_store::conformance::{Fault, Faults, Lasting, Operation};

use crate::place::{Door, PATIENCE, Place, one_worker, succeeding, through, work};
use crate::retrying::until;

fn mortal(place: &dyn Place) -> (Builder, Faults) {
    let store = place.open();
    let faults = store.faults();
    let queue = Queue::new("default").workers(1);
    (Manager::builder(store).queue(queue), faults)
}

/// Nothing is written any more.
fn die(faults: &Faults) {
    let fault = Fault::next(Operation::Commit).unknown();
    faults.arm(fault.lasting(Lasting::UntilDisarmed));
}

pub(crate) fn jobs_handed_over_and_not_begun_are_interrupted_too(place: &dyn Place) {
    let (builder, faults) = mortal(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let receipts = manager
        .enqueue_all((0..10).map(|n| work(n.to_string())))
        .unwrap();
    // With the end of a job more is handed over than there are workers.
    assert_eq!(door.arrived(), "0");
    door.open(1);
    assert_eq!(door.arrived(), "1");
    until(&manager, &receipts[1], StateKind::Running);
    die(&faults);
    manager.enqueue(work("x")).unwrap_err();
    manager.shutdown(Duration::ZERO).unwrap();
    door.open(1);

    let after = Door::new();
    let manager = through(one_worker(place), &after).start().unwrap();
    let recovery = manager.recovery();
    assert_eq!(recovery.waiting, 9);
    after.open(9);
    let mut interrupted = 0;
    for (n, receipt) in receipts.iter().enumerate().skip(1) {
        // In the same order as ever.
        assert_eq!(after.arrived(), n.to_string());
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!(done.attempts(), 1);
        if done.interruptions() > 0 {
            interrupted += 1;
            let end = AttemptEnd::Interrupted { begun: n == 1 };
            assert_eq!(done.history()[1].end, end);
        }
    }
    assert!(interrupted > 1, "{interrupted}");
    assert_eq!(recovery.interrupted, interrupted);
    assert!(after.is_quiet());
}

pub(crate) fn an_end_that_was_not_written_is_an_interruption(place: &dyn Place) {
    let (builder, faults) = mortal(place);
    let door = Door::new();
    let manager = through(builder, &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    until(&manager, &receipt, StateKind::Running);
    die(&faults);
    door.open(1);
    manager.wait(&receipt, PATIENCE).unwrap_err();
    manager.shutdown(PATIENCE).unwrap();

    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().interrupted, 1);
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    // It begins from the value before: what the lost run left was never written.
    let found = (
        done.job().unwrap().runs,
        done.attempts(),
        done.interruptions(),
    );
    assert_eq!(found, (1, 1, 1));
}

pub(crate) fn what_was_refused_is_not_there_afterwards(place: &dyn Place) {
    let (builder, faults) = mortal(place);
    let manager = builder.start().unwrap();
    let kept = manager.enqueue(work("kept")).unwrap();
    die(&faults);
    manager.enqueue(work("refused")).unwrap_err();
    manager.shutdown(PATIENCE).unwrap();
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().waiting, 1);
    manager.wait(&kept, PATIENCE).unwrap();
    assert_eq!(manager.enqueue(work("next")).unwrap().number().0, 2);
}
