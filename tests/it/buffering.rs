use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread::scope;

use jobkeep::{Durability, Error, JobNumber, Manager, NewJob, QueueStore, Receipt, StateKind};
use jobkeep_store::conformance::{Fault, Lasting, Operation};

use crate::executor::{Task, block_on};
use crate::place::{PATIENCE, Place, Work, one_worker, succeeding, work};
use crate::submitting::{at_the_gate, gated};

fn buffered(label: impl Into<String>) -> NewJob<Work> {
    NewJob::new(work(label)).durability(Durability::Buffered)
}

fn assert_lost(error: &Error, job: JobNumber) {
    assert_eq!(
        error.to_string(),
        format!(
            "look up job {job}: it was accepted as buffered and did not survive: the store refused \
             its commit, its process ended before that, or the store was replaced by an older copy: \
             enqueue it anew"
        )
    );
    assert!(error.is_lost() && !error.is_replaced());
}

pub(crate) fn a_buffered_job_is_accepted_before_its_commit(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = succeeding(builder).start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let receipt = manager.enqueue(buffered("a")).unwrap();
    assert_eq!(receipt.number().0, 2);
    assert_eq!(receipt.durability(), Durability::Buffered);
    let mut submitted = manager.submit(buffered("b"));
    let Poll::Ready(answer) = Task::new().poll(&mut submitted) else {
        panic!("it waits for a commit");
    };
    assert_eq!(answer.unwrap().number().0, 3);
    // Not there yet, and no stranger either.
    assert!(manager.completed(&receipt).unwrap().is_none());
    let mut finishing = manager.finished(&receipt);
    assert!(Task::new().poll(&mut finishing).is_pending());
    gate.open();
    first.wait().unwrap();
    assert_eq!(
        block_on(finishing).unwrap().into_output().unwrap(),
        "a done"
    );
    manager.status(&receipt).unwrap();
}

pub(crate) fn a_buffered_batch_is_accepted_before_its_commit(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = builder.payload_limit(100).start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let too_large = [buffered("a"), buffered("x".repeat(200))];
    assert!(manager.enqueue_all(too_large).unwrap_err().is_too_large());
    let receipts = manager.enqueue_all((0..3).map(|n| buffered(n.to_string())));
    let receipts = receipts.unwrap();
    let numbers: Vec<_> = receipts.iter().map(|receipt| receipt.number().0).collect();
    assert_eq!(numbers, [2, 3, 4]);
    gate.open();
    first.wait().unwrap();
    for receipt in &receipts {
        assert_eq!(receipt.durability(), Durability::Buffered);
        manager.status(receipt).unwrap();
    }
    assert_eq!(manager.counts().unwrap().parked, 4);
}

pub(crate) fn a_manager_may_buffer_and_a_job_not(place: &dyn Place) {
    let store = place.open();
    let of_the_store = store.identity().unwrap().durability;
    let manager = Manager::builder(store)
        .durability(Durability::Buffered)
        .start()
        .unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    assert_eq!(receipt.durability(), Durability::Buffered);
    let synced = NewJob::new(work("b")).durability(Durability::Synced);
    let receipt = manager.enqueue(synced).unwrap();
    assert_eq!(receipt.durability(), of_the_store);
    let all = [
        work("c").into(),
        NewJob::new(work("d")).durability(Durability::Synced),
    ];
    for receipt in manager.enqueue_all(all).unwrap() {
        assert_eq!(receipt.durability(), of_the_store);
    }
}

pub(crate) fn a_buffered_receipt_survives_its_text(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(buffered("a")).unwrap();
    let again: Receipt<Work> = receipt.to_string().parse().unwrap();
    assert_eq!(again, receipt);
    assert_eq!(again.durability(), Durability::Buffered);
    manager.wait(&again, PATIENCE).unwrap();
    // Its own opening knows what it gave, and so do the later ones.
    drop(manager);
    let manager = one_worker(place).start().unwrap();
    assert!(manager.completed(&again).unwrap().is_some());
}

pub(crate) fn a_buffered_job_is_waited_for_cancelled_and_removed_at_once(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    for n in 0..50 {
        let receipt = manager.enqueue(buffered(n.to_string())).unwrap();
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(done.into_output().unwrap(), format!("{n} done"));
    }
    drop(manager);
    let manager = one_worker(place).start().unwrap();
    for _ in 0..20 {
        let receipt = manager.enqueue(buffered("a")).unwrap();
        assert_eq!(manager.status(&receipt).unwrap().state(), StateKind::Parked);
        let receipt = manager.enqueue(buffered("b")).unwrap();
        manager.cancel(&receipt).unwrap();
        assert!(manager.completed(&receipt).unwrap().is_some());
        let receipt = manager.enqueue(buffered("c")).unwrap();
        manager.remove(&receipt).unwrap();
        assert!(manager.completed(&receipt).unwrap_err().is_pruned());
    }
}

pub(crate) fn a_full_inbox_holds_up_buffered_jobs_as_others(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = builder.inbox(1).start().unwrap();
    let first = at_the_gate(&manager, &gate);
    manager.enqueue(buffered("a")).unwrap();
    assert!(manager.try_enqueue(buffered("b")).unwrap_err().is_full());
    let refused = manager.submit(buffered("c"));
    assert!(refused.wait().unwrap_err().is_full());
    let receipt = scope(|scope| {
        let waits = scope.spawn(|| manager.enqueue(buffered("d")).unwrap());
        gate.open();
        waits.join().unwrap()
    });
    first.wait().unwrap();
    // What was refused has no number.
    assert_eq!(receipt.number().0, 3);
}

pub(crate) fn a_shutdown_writes_what_is_buffered(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let receipts: Vec<_> = (0..100)
        .map(|n| manager.enqueue(buffered(n.to_string())).unwrap())
        .collect();
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    assert_eq!(manager.recovery().waiting, 100);
    for receipt in &receipts {
        manager.wait(receipt, PATIENCE).unwrap();
    }
    manager.shutdown(PATIENCE).unwrap();
    let error = manager.enqueue(buffered("after")).unwrap_err();
    assert!(error.is_shut_down());
}

pub(crate) fn what_survives_of_buffered_jobs_is_a_prefix(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let manager = Manager::builder(store).start().unwrap();
    let dies = Fault::nth(Operation::Commit, 4).lasting(Lasting::UntilDisarmed);
    faults.arm(dies);
    let mut receipts = Vec::new();
    let error = loop {
        match manager.enqueue(buffered(receipts.len().to_string())) {
            Ok(receipt) => receipts.push(receipt),
            Err(error) => break error,
        }
    };
    assert!(error.as_store().is_some());
    manager.shutdown(PATIENCE).unwrap();
    let manager = one_worker(place).start().unwrap();
    let survivors = usize::try_from(manager.recovery().waiting).unwrap();
    let (kept, lost) = receipts.split_at(survivors);
    for receipt in kept {
        manager.status(receipt).unwrap();
    }
    assert!(kept.len() >= 3 && !lost.is_empty());
    for receipt in lost {
        let job = receipt.number();
        assert_lost(&manager.status(receipt).unwrap_err(), job);
        assert_lost(&manager.completed(receipt).unwrap_err(), job);
        assert_lost(&manager.wait(receipt, PATIENCE).unwrap_err(), job);
        assert_lost(&block_on(manager.finished(receipt)).unwrap_err(), job);
        assert_lost(&manager.cancel(receipt).unwrap_err(), job);
        assert_lost(&manager.retry(receipt).unwrap_err(), job);
        assert_lost(&manager.remove(receipt).unwrap_err(), job);
    }
    // The next opening gives the number anew, and the two are told apart.
    let anew = manager.enqueue(work("anew")).unwrap();
    assert_eq!(anew.number(), lost[0].number());
    assert_lost(&manager.status(&lost[0]).unwrap_err(), anew.number());
    manager.status(&anew).unwrap();
}

/// Nothing tells of the opening but the receipt.
pub(crate) fn a_job_lost_with_all_of_its_opening_says_so(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let manager = Manager::builder(store).start().unwrap();
    faults.arm(Fault::next(Operation::Commit).unknown());
    let receipt = manager.enqueue(buffered("a")).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).is_err());
    drop(manager);
    let manager = one_worker(place).start().unwrap();
    assert_lost(&manager.status(&receipt).unwrap_err(), receipt.number());
}

pub(crate) fn a_buffered_job_whose_commit_is_refused_is_lost_and_says_so(place: &dyn Place) {
    let (builder, gate, faults) = gated(place);
    let manager = builder.start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let receipt = manager.enqueue(buffered("a")).unwrap();
    let mut finishing = manager.finished(&receipt);
    assert!(Task::new().poll(&mut finishing).is_pending());
    let full = Fault::nth(Operation::Commit, 2).full();
    faults.arm(full.lasting(Lasting::UntilDisarmed));
    gate.open();
    first.wait().unwrap();
    let job = receipt.number();
    assert_lost(&block_on(finishing).unwrap_err(), job);
    assert_lost(&manager.status(&receipt).unwrap_err(), job);
    assert_lost(&manager.wait(&receipt, PATIENCE).unwrap_err(), job);
}

pub(crate) fn a_buffered_job_whose_commit_is_refused_once_is_written_all_the_same(
    place: &dyn Place,
) {
    let (builder, gate, faults) = gated(place);
    let manager = succeeding(builder).start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let small = manager.enqueue(buffered("a")).unwrap();
    let large = manager.enqueue(buffered("x".repeat(2_000))).unwrap();
    faults.arm(Fault::nth(Operation::Commit, 2).full());
    gate.open();
    first.wait().unwrap();
    for receipt in [&small, &large] {
        assert_eq!(
            manager.wait(receipt, PATIENCE).unwrap().job().unwrap().runs,
            1
        );
    }
    assert_eq!(
        manager
            .wait(&large, PATIENCE)
            .unwrap()
            .job()
            .unwrap()
            .label
            .len(),
        2_000
    );
}

/// The number was good when it was asked for, and the question comes behind the refused job.
pub(crate) fn who_asks_for_a_buffered_job_while_its_commit_is_refused_learns_that_it_is_lost(
    place: &dyn Place,
) {
    let (builder, gate, faults) = gated(place);
    let manager = builder.start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let receipt = manager.enqueue(buffered("a")).unwrap();
    let job = receipt.number();
    let full = Fault::nth(Operation::Commit, 2).full();
    faults.arm(full.lasting(Lasting::UntilDisarmed));
    let (asking, asked) = (AtomicUsize::new(0), 4);
    let begin = || asking.fetch_add(1, Ordering::Relaxed);
    scope(|scope| {
        let questions = [
            scope.spawn(|| (begin(), manager.status(&receipt).map(drop)).1),
            scope.spawn(|| (begin(), manager.cancel(&receipt)).1),
            scope.spawn(|| (begin(), manager.retry(&receipt)).1),
            scope.spawn(|| (begin(), manager.remove(&receipt)).1),
        ];
        while asking.load(Ordering::Relaxed) < asked {
            std::thread::yield_now();
        }
        // They are on their way into the inbox; one that is late is told the same.
        for _ in 0..1_000 {
            std::thread::yield_now();
        }
        gate.open();
        let [status, changes @ ..] = questions;
        assert_lost(&status.join().unwrap().unwrap_err(), job);
        // What would have to be written is refused for that.
        for change in changes {
            let error = change.join().unwrap().unwrap_err();
            assert!(error.is_lost() || error.as_store().is_some(), "{error}");
        }
    });
    first.wait().unwrap();
}

pub(crate) fn a_buffered_job_with_a_key_waits_for_its_commit(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = builder.start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let mut keyed = manager.submit(buffered("a").key("k"));
    let mut again = manager.submit(buffered("a").key("k"));
    let task = Task::new();
    assert!(task.poll(&mut keyed).is_pending());
    assert!(task.poll(&mut again).is_pending());
    let beside = manager.enqueue(buffered("beside")).unwrap();
    gate.open();
    let first = first.wait().unwrap();
    let receipt = block_on(keyed).unwrap();
    assert_eq!(receipt.durability(), first.durability());
    assert_eq!(block_on(again).unwrap(), receipt);
    let numbers = [&receipt, &beside].map(|receipt| receipt.number().0);
    assert_eq!(numbers, [2, 4]);
    let batch = [buffered("b"), buffered("a").key("k")];
    for receipt in manager.enqueue_all(batch).unwrap() {
        assert_eq!(receipt.durability(), first.durability());
    }
}
