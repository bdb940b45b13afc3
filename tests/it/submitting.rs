use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::scope;
use std::time::Duration;

use jobkeep::{
    Builder, Enqueue, JobNumber, Manager, NewJob, Queue, Receipt, StateKind, Submission,
};
use jobkeep_store::conformance::{Fault, Faults, Operation};

use crate::executor::{Task, block_on};
use crate::gate::{Gate, GatedStore};
use crate::place::{Other, PATIENCE, Place, Work, one_worker, succeeding, work};

/// A manager whose commits wait at the gate, on a store that fails when told.
pub(crate) fn gated(place: &dyn Place) -> (Builder, Gate, Faults) {
    let store = place.open();
    let faults = store.faults();
    let store = GatedStore::new(store);
    let gate = store.gate();
    let queue = Queue::new("default").workers(1);
    (Manager::builder(store).queue(queue), gate, faults)
}

/// Submits a job and returns when its commit stands at the gate: what is submitted then is of the
/// next group.
pub(crate) fn at_the_gate(manager: &Manager, gate: &Gate) -> Submission<Work> {
    gate.shut();
    let first = manager.submit(work("first"));
    gate.reached();
    first
}

pub(crate) fn a_submission_is_awaited_until_its_job_is_durable(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = succeeding(builder).start().unwrap();
    let mut submission = at_the_gate(&manager, &gate);
    let task = Task::new();
    assert!(task.poll(&mut submission).is_pending());
    assert_eq!(task.wakes(), 0);
    assert_eq!(format!("{submission:?}"), "Submission(outstanding)");
    gate.open();
    task.until_woken(1);
    let receipt = block_on(&mut submission).unwrap();
    assert_eq!(receipt.number().0, 1);
    // Awaited again, it says so again.
    assert_eq!(block_on(&mut submission).unwrap(), receipt);
    assert_eq!(submission.wait().unwrap(), receipt);
    manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(task.wakes(), 1);
}

pub(crate) fn a_submission_is_waited_for_until_its_job_is_durable(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    let submissions: Vec<_> = (0..10)
        .map(|n| manager.submit(work(n.to_string())))
        .collect();
    for (n, submission) in submissions.into_iter().enumerate() {
        let receipt = submission.wait().unwrap();
        assert_eq!(receipt.number().0, n as u64 + 1);
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(done.into_output().unwrap(), format!("{n} done"));
    }
}

pub(crate) fn a_dropped_submission_does_not_take_its_job_back(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = builder.start().unwrap();
    let polled = &mut at_the_gate(&manager, &gate);
    let task = Task::new();
    let mut dropped = manager.submit(work("polled"));
    assert!(task.poll(&mut dropped).is_pending());
    drop(dropped);
    drop(manager.submit(work("never polled")));
    gate.open();
    block_on(polled).unwrap();
    assert_eq!(manager.counts().unwrap().parked, 3);
    assert_eq!(task.wakes(), 0);
}

pub(crate) fn a_full_inbox_refuses_a_submission_and_blocks_nobody(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = builder.inbox(2).start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let fitting = [manager.submit(work("a")), manager.submit(work("b"))];
    let mut refused = manager.submit(work("c"));
    let error = block_on(&mut refused).unwrap_err();
    assert_eq!(
        error.to_string(),
        "enqueue without waiting: 2 jobs are already waiting to be written: try again later, or \
         let `enqueue` wait for room"
    );
    assert!(error.is_full());
    assert!(refused.wait().unwrap_err().is_full());
    gate.open();
    first.wait().unwrap();
    for submission in fitting {
        submission.wait().unwrap();
    }
    assert_eq!(manager.counts().unwrap().parked, 3);
}

pub(crate) fn what_cannot_be_encoded_or_queued_is_refused_at_once(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = builder.payload_limit(100).start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let error = manager.submit(work("x".repeat(200))).wait().unwrap_err();
    assert!(error.is_too_large());
    let mut undeclared = manager.submit(NewJob::new(work("a")).queue("images"));
    let Poll::Ready(answer) = Task::new().poll(&mut undeclared) else {
        panic!("it waits for a commit");
    };
    assert_eq!(
        answer.unwrap_err().to_string(),
        "enqueue job `work` in queue `images`: no such queue is declared, only `default`: name one \
         of these, or declare it with `Builder::queue`"
    );
    gate.open();
    first.wait().unwrap();
}

pub(crate) fn submissions_of_one_thread_share_commits(place: &dyn Place) {
    let (builder, gate, faults) = gated(place);
    let manager = builder.start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let more: Vec<_> = (0..99)
        .map(|n| manager.submit(work(n.to_string())))
        .collect();
    gate.open();
    first.wait().unwrap();
    // Executors move futures between threads.
    scope(|scope| {
        scope.spawn(move || {
            for submission in more {
                submission.wait().unwrap();
            }
        });
    });
    // That of the opening is the first.
    assert_eq!(faults.count(Operation::Commit), 3);
}

pub(crate) fn a_task_is_woken_once_for_all_its_submissions(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = builder.start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let tasks = [Task::new(), Task::new()];
    let mut submissions: Vec<_> = (0..100)
        .map(|n| manager.submit(work(n.to_string())))
        .collect();
    for (n, submission) in submissions.iter_mut().enumerate() {
        // The waker of the last poll is the one that counts.
        assert!(Task::new().poll(submission).is_pending());
        assert!(tasks[n % 2].poll(submission).is_pending());
    }
    gate.open();
    first.wait().unwrap();
    for task in &tasks {
        task.until_woken(1);
    }
    for submission in &mut submissions {
        let Poll::Ready(answer) = tasks[0].poll(submission) else {
            panic!("woken, and there is no answer");
        };
        answer.unwrap();
    }
    manager.counts().unwrap();
    assert_eq!(tasks.map(|task| task.wakes()), [1, 1]);
}

pub(crate) fn a_failed_commit_reaches_its_submissions(place: &dyn Place) {
    let (builder, gate, faults) = gated(place);
    let manager = builder.start().unwrap();
    faults.arm(Fault::next(Operation::Commit).unknown());
    let mut awaited = at_the_gate(&manager, &gate);
    let task = Task::new();
    assert!(task.poll(&mut awaited).is_pending());
    let behind = manager.submit(work("behind"));
    gate.open();
    let error = block_on(&mut awaited).unwrap_err();
    assert!(error.is_unknown(), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("enqueue job `work`: write commit 2 of "),
        "{text}"
    );
    assert!(behind.wait().unwrap_err().as_store().is_some());
    let later = manager.submit(work("later")).wait().unwrap_err();
    assert!(later.as_store().is_some());
}

pub(crate) fn a_shutdown_resolves_what_is_outstanding(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = builder.start().unwrap();
    let mut first = at_the_gate(&manager, &gate);
    let mut second = manager.submit(work("second"));
    let receipts: Vec<Receipt<Work>> = scope(|scope| {
        let ending = scope.spawn(|| manager.shutdown(Duration::ZERO).unwrap());
        // Accepted before the shutdown began, so accepted.
        while !matches!(
            Task::new().poll(&mut manager.submit(work("late"))),
            Poll::Ready(Err(error)) if error.is_shut_down()
        ) {
            std::thread::yield_now();
        }
        gate.open();
        ending.join().unwrap();
        vec![
            block_on(&mut first).unwrap(),
            block_on(&mut second).unwrap(),
        ]
    });
    let error = manager.submit(work("after")).wait().unwrap_err();
    assert_eq!(
        error.to_string(),
        "enqueue job `work`: the manager has been shut down: start another one on the store"
    );
    drop(manager);
    let manager = one_worker(place).start().unwrap();
    for receipt in receipts {
        manager.status(&receipt).unwrap();
    }
}

struct Throwing;

impl Wake for Throwing {
    fn wake(self: Arc<Self>) {
        panic!("an executor's own affair");
    }
}

pub(crate) fn an_executor_that_panics_stops_nobody_else(place: &dyn Place) {
    let (builder, gate, _) = gated(place);
    let manager = succeeding(builder).start().unwrap();
    let first = at_the_gate(&manager, &gate);
    let (mut theirs, mut ours) = (manager.submit(work("a")), manager.submit(work("b")));
    let waker = Waker::from(Arc::new(Throwing));
    let polled = std::pin::Pin::new(&mut theirs).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    let task = Task::new();
    assert!(task.poll(&mut ours).is_pending());
    gate.open();
    task.until_woken(1);
    first.wait().unwrap();
    let receipt = theirs.wait().unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
}

pub(crate) fn a_batch_of_several_types_is_accepted_whole_or_not_at_all(place: &dyn Place) {
    let manager = succeeding(one_worker(place))
        .handle::<Other>(|other, _| Ok(other.amount))
        .start()
        .unwrap();
    let others = || vec![Other { amount: 1 }, Other { amount: 2 }];
    let named = || NewJob::new(work("named")).key("k");
    let (one, many, named_one) = manager
        .enqueue_batch((work("a"), others(), named()))
        .unwrap();
    let numbers = many.iter().map(Receipt::number);
    let numbers: Vec<_> = [one.number()].into_iter().chain(numbers).collect();
    assert_eq!(numbers, [1, 2, 3].map(JobNumber));
    let two: u64 = *manager.wait(&many[1], PATIENCE).unwrap().output().unwrap();
    assert_eq!(two, 2);
    assert_eq!(
        manager.wait(&one, PATIENCE).unwrap().output().unwrap(),
        "a done"
    );

    // The same as a future, through the trait, and nested.
    let ((again, rest), _) =
        block_on(manager.submit_batch(((named(), others()), work("b")))).unwrap();
    assert_eq!((again.number(), rest.len()), (named_one.number(), 2));
    let queue: &dyn Enqueue = &manager;
    let drafts = vec![
        named().draft().unwrap(),
        NewJob::new(work("c")).draft().unwrap(),
    ];
    let receipts: Vec<Receipt> = queue.enqueue_batch(drafts).unwrap();
    assert_eq!(receipts[0].number(), named_one.number());
    let counts = manager.counts().unwrap();
    let all = counts.ready + counts.running + counts.succeeded;

    let conflict = NewJob::new(work("another")).key("k");
    let error = manager.enqueue_batch((work("d"), conflict)).unwrap_err();
    assert_eq!(error.key_conflict_with(), Some(named_one.number()));
    let too_large =
        block_on(manager.submit_batch((Other { amount: 3 }, work("x".repeat(2 << 20)))));
    assert!(too_large.unwrap_err().is_too_large());
    let counts = manager.counts().unwrap();
    assert_eq!(counts.ready + counts.running + counts.succeeded, all);
}

pub(crate) fn what_blocks_has_a_future_beside_it(place: &dyn Place) {
    let manager = succeeding(one_worker(place)).start().unwrap();
    block_on(async {
        manager.pause_async("default").await.unwrap();
        assert_eq!(manager.paused_async().await.unwrap(), ["default"]);
        let receipt = manager.submit(work("a")).await.unwrap();
        let status = manager.status_async(&receipt).await.unwrap();
        assert_eq!(status.state(), StateKind::Ready);
        manager
            .amend_async(&receipt, &work("amended"))
            .await
            .unwrap();
        manager.cancel_async(&receipt).await.unwrap();
        assert_eq!(manager.counts_async().await.unwrap().cancelled, 1);
        manager.retry_async(&receipt).await.unwrap();
        manager.resume_async("default").await.unwrap();
        manager.finished(&receipt).await.unwrap();
        let refused = manager.cancel_async(&receipt).await.unwrap_err();
        assert_eq!(refused.illegal_state(), Some(StateKind::Succeeded));
        manager.remove_async(&receipt).await.unwrap();
        assert!(
            manager
                .status_async(&receipt)
                .await
                .unwrap_err()
                .is_pruned()
        );
        let refused = manager.pause_async("nowhere").await.unwrap_err();
        assert!(refused.is_undeclared_queue());
    });
}
