use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::scope;
use std::time::Duration;

use jobkeep::{Manager, MemoryStore, NewJob, Reason};
use jobkeep_store::conformance::{Fault, Operation};

use crate::executor::{Task, block_on};
use crate::handles::counted;
use crate::place::{Door, HOUR, Other, PATIENCE, Place, one_worker, succeeding, through, work};
use crate::shutdown::until_shut_down;
use crate::submitting::gated;

pub(crate) fn a_future_resolves_at_the_end_of_its_job(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let (task, mut finishing) = (Task::new(), manager.finished(&receipt));
    assert_eq!(format!("{finishing:?}"), "Finishing(job 1)");
    // The waker of the last poll is the one that counts.
    assert!(Task::new().poll(&mut finishing).is_pending());
    assert!(task.poll(&mut finishing).is_pending());
    assert!(task.poll(&mut finishing).is_pending());
    assert_eq!(task.wakes(), 0);
    door.open(1);
    task.until_woken(1);
    let Poll::Ready(done) = task.poll(&mut finishing) else {
        panic!("woken, and the job has not finished");
    };
    assert_eq!(done.unwrap().into_output().unwrap(), "a done");
    // Awaited again, it looks again.
    let again = block_on(&mut finishing).unwrap();
    assert_eq!(again.into_output().unwrap(), "a done");
    assert_eq!(task.wakes(), 1);
}

pub(crate) fn a_future_of_a_finished_job_resolves_at_once(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    let (task, mut finishing) = (Task::new(), manager.finished(&receipt));
    assert!(task.poll(&mut finishing).is_ready());
    assert_eq!(task.wakes(), 0);
}

pub(crate) fn everybody_who_awaits_a_job_gets_its_end_and_each_task_one_call(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let tasks = [Task::new(), Task::new()];
    let mut all: Vec<_> = (0..10).map(|_| manager.finished(&receipt)).collect();
    for (n, finishing) in all.iter_mut().enumerate() {
        assert!(tasks[n % 2].poll(finishing).is_pending());
    }
    door.open(1);
    for task in &tasks {
        task.until_woken(1);
    }
    for finishing in &mut all {
        assert!(tasks[0].poll(finishing).is_ready());
    }
    manager.counts().unwrap();
    assert_eq!(tasks.map(|task| task.wakes()), [1, 1]);
}

pub(crate) fn a_dropped_future_is_not_called(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let (dropped, kept) = (Task::new(), Task::new());
    let mut futures = [manager.finished(&receipt), manager.finished(&receipt)];
    assert!(dropped.poll(&mut futures[0]).is_pending());
    assert!(kept.poll(&mut futures[1]).is_pending());
    let [gone, mut stays] = futures;
    drop(gone);
    // Nothing is left of it.
    assert_eq!(Arc::strong_count(&dropped), 1);
    door.open(1);
    kept.until_woken(1);
    block_on(&mut stays).unwrap();
    assert_eq!(dropped.wakes(), 0);
}

pub(crate) fn ten_thousand_futures_of_one_thread_resolve(place: &dyn Place) {
    let (door, first) = (Door::new(), AtomicBool::new(true));
    let inside = door.clone();
    let manager = one_worker(place)
        .handle::<Other>(move |other, _| {
            if first.swap(false, Ordering::Relaxed) {
                inside.enter("first");
            }
            Ok(other.amount)
        })
        .start()
        .unwrap();
    let jobs = (0..10_000).map(|amount| Other { amount });
    let receipts = manager.enqueue_all(jobs).unwrap();
    let mut all: Vec<_> = receipts.iter().map(|job| manager.finished(job)).collect();
    let mut sum = 0;
    block_on(std::future::poll_fn(|context| {
        all.retain_mut(|finishing| match Pin::new(finishing).poll(context) {
            Poll::Ready(done) => {
                sum += done.unwrap().into_output().unwrap();
                false
            }
            Poll::Pending => true,
        });
        // By now all of them wait.
        door.open(1);
        if all.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    assert_eq!(sum, (0..10_000_u64).sum::<u64>());
    assert_eq!(manager.counts().unwrap().succeeded, 10_000);
}

pub(crate) fn a_future_learns_of_a_removal_and_of_a_cancellation(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipts = ["a", "b"].map(|label| {
        manager
            .enqueue(NewJob::new(work(label)).delay(HOUR))
            .unwrap()
    });
    let [mut removed, mut cancelled] = [0, 1].map(|n| manager.finished(&receipts[n]));
    let tasks = [Task::new(), Task::new()];
    assert!(tasks[0].poll(&mut removed).is_pending());
    assert!(tasks[1].poll(&mut cancelled).is_pending());
    manager.remove(&receipts[0]).unwrap();
    manager.cancel(&receipts[1]).unwrap();
    assert!(block_on(removed).unwrap_err().is_pruned());
    let failure = block_on(cancelled).unwrap().into_output().unwrap_err();
    assert_eq!(failure.reason(), Reason::Cancelled);
    assert_eq!(tasks.map(|task| task.wakes()), [1, 1]);
}

pub(crate) fn a_future_of_a_job_run_again_waits_for_its_next_end(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let (task, mut finishing) = (Task::new(), manager.finished(&receipt));
    assert!(task.poll(&mut finishing).is_pending());
    door.open(1);
    task.until_woken(1);
    manager.retry(&receipt).unwrap();
    assert!(task.poll(&mut finishing).is_pending());
    door.open(1);
    task.until_woken(2);
    assert_eq!(block_on(finishing).unwrap().job().unwrap().runs, 2);
}

pub(crate) fn a_future_that_cannot_come_true_says_why(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let claimed = receipt.clone().typed::<Other>();
    let error = block_on(manager.finished(&claimed)).unwrap_err();
    assert!(error.is_other_type(), "{error}");
    let other = Manager::builder(MemoryStore::new()).server("other");
    let other = other.start().unwrap();
    let mut finishing = other.finished(&receipt);
    for _ in 0..2 {
        let error = block_on(&mut finishing).unwrap_err();
        assert!(error.is_other_server(), "{error}");
    }
}

pub(crate) fn a_future_learns_of_the_shutdown(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    let (task, mut finishing) = (Task::new(), manager.finished(&receipt));
    assert!(task.poll(&mut finishing).is_pending());
    manager.shutdown(PATIENCE).unwrap();
    task.until_woken(1);
    let text = "wait for job 1: the manager has been shut down: start another one on the store";
    let mut after = manager.finished(&receipt);
    for future in [&mut finishing, &mut after] {
        for _ in 0..2 {
            let error = block_on(&mut *future).unwrap_err();
            assert_eq!(error.to_string(), text);
            assert!(error.is_shut_down());
        }
    }
}

pub(crate) fn a_future_learns_what_stopped_the_store(place: &dyn Place) {
    let (builder, _, faults) = gated(place);
    let manager = succeeding(builder).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    let mut finishing = manager.finished(&receipt);
    assert!(Task::new().poll(&mut finishing).is_pending());
    faults.arm(Fault::next(Operation::Commit).unknown());
    manager.enqueue(work("b")).unwrap_err();
    let error = block_on(finishing).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("wait for job 1: write commit 3 of "),
        "{text}"
    );
    assert!(error.is_unknown());
}

/// Some were polled before and some never, and nobody polls them while the manager ends.
pub(crate) fn a_future_that_nobody_polls_holds_up_no_shutdown_and_keeps_no_store(
    place: &dyn Place,
) {
    let (builder, owners) = counted(place);
    let manager = succeeding(builder).start().unwrap();
    manager.pause("default").unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let task = Task::new();
    let mut futures: Vec<_> = (0..4).map(|_| manager.finished(&receipt)).collect();
    for finishing in futures.iter_mut().take(2) {
        assert!(task.poll(finishing).is_pending());
    }
    drop(manager);
    assert_eq!(owners.strong_count(), 0);
    assert_eq!(task.wakes(), 1);
    let manager = succeeding(one_worker(place)).start().unwrap();
    manager.resume("default").unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    for finishing in futures {
        assert!(block_on(finishing).unwrap_err().is_shut_down());
    }
}

pub(crate) fn a_future_gets_what_ended_before_the_manager_though_polled_after(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    let task = Task::new();
    let mut futures: Vec<_> = (0..3).map(|_| manager.finished(&receipt)).collect();
    assert!(task.poll(&mut futures[0]).is_pending());
    assert!(task.poll(&mut futures[1]).is_pending());
    scope(|scope| {
        let ending = scope.spawn(|| manager.shutdown(PATIENCE).unwrap());
        until_shut_down(&manager);
        door.open(1);
        ending.join().unwrap();
    });
    let last = futures.pop().unwrap();
    for finishing in futures {
        assert_eq!(block_on(finishing).unwrap().attempts(), 1);
    }
    drop(manager);
    assert_eq!(block_on(last).unwrap().into_output().unwrap(), "a done");
}

pub(crate) fn futures_polled_while_the_manager_ends_all_resolve(place: &dyn Place) {
    let manager = succeeding(one_worker(place).drop_grace(Duration::ZERO))
        .start()
        .unwrap();
    let receipts = manager.enqueue_all((0..50).map(|n| work(n.to_string())));
    let receipts = receipts.unwrap();
    scope(|scope| {
        let pollers: Vec<_> = (0..4)
            .map(|_| {
                let futures: Vec<_> = receipts.iter().map(|job| manager.finished(job)).collect();
                scope.spawn(move || {
                    for finishing in futures {
                        match block_on(finishing) {
                            Ok(done) => assert_eq!(done.attempts(), 1),
                            Err(error) => assert!(error.is_shut_down(), "{error}"),
                        }
                    }
                })
            })
            .collect();
        manager.shutdown(Duration::ZERO).unwrap();
        for poller in pollers {
            poller.join().unwrap();
        }
    });
}
