use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    JobError, JobNumber, ListedJob, Manager, NewJob, Page, ParkReason, Priority, Queue, Receipt,
    StateKind,
};
use jobkeep_store::Key;
use jobkeep_store::conformance::{Fault, Operation};

use crate::damage::damage;
use crate::gate::GatedStore;
use crate::place::{
    Door, HOUR, Other, PATIENCE, Place, SECOND, Work, one_worker, succeeding, through, work,
};

fn numbers(page: &Page) -> Vec<u64> {
    page.jobs().iter().map(|job| job.number().0).collect()
}

/// The numbers on each page, with so many jobs a page.
fn pages(manager: &Manager, state: StateKind, limit: usize) -> Vec<Vec<u64>> {
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = manager.jobs(state, after, limit).unwrap();
        assert!(page.damaged().is_empty());
        pages.push(numbers(&page));
        after = page.cursor();
        if after.is_none() {
            return pages;
        }
        assert!(pages.len() < 100, "{pages:?}");
    }
}

/// All jobs of a state.
fn all(manager: &Manager, state: StateKind) -> Vec<ListedJob> {
    let page = manager.jobs(state, None, 1_000).unwrap();
    assert_eq!(page.cursor(), None);
    page.into_jobs()
}

pub(crate) fn finished_jobs_are_listed_page_by_page_in_the_order_of_numbers(place: &dyn Place) {
    let manager = one_worker(place)
        .handle::<Work>(|work, _| match work.label.as_str() {
            "bad" => Err(JobError::permanent("bad")),
            _ => Ok(String::new()),
        })
        .start()
        .unwrap();
    let labels = ["good", "bad", "good", "good", "bad", "good", "good"];
    // Urgent ones first, so that numbers and ends are of different orders.
    let jobs = labels.into_iter().enumerate().map(|(nth, label)| {
        let urgent = nth % 2 == 0;
        NewJob::new(work(label)).priority(if urgent {
            Priority::Urgent
        } else {
            Priority::Low
        })
    });
    for receipt in manager.enqueue_all(jobs).unwrap() {
        manager.wait(&receipt, PATIENCE).unwrap();
    }
    let cancelled = NewJob::new(work("good")).delay(HOUR);
    manager
        .cancel(&manager.enqueue(cancelled).unwrap())
        .unwrap();
    let list = |state, limit| pages(&manager, state, limit);
    assert_eq!(
        list(StateKind::Succeeded, 2),
        [vec![1, 3], vec![4, 6], vec![7]]
    );
    assert_eq!(list(StateKind::Succeeded, 1_000), [[1, 3, 4, 6, 7]]);
    assert_eq!(list(StateKind::Failed, 0), [vec![2], vec![5], vec![]]);
    assert_eq!(list(StateKind::Cancelled, 10), [[8]]);
    let behind = |after| numbers(&manager.jobs(StateKind::Failed, after, 10).unwrap());
    assert_eq!(behind(Some(JobNumber(2))), [5]);
    assert!(behind(Some(JobNumber(u64::MAX))).is_empty());
}

pub(crate) fn waiting_jobs_are_listed_page_by_page_in_the_order_of_numbers(place: &dyn Place) {
    let builder = Manager::builder(place.open()).queue(Queue::new("default").workers(0));
    let manager = succeeding(builder).start().unwrap();
    let jobs = (0..7).map(|nth| {
        let job = NewJob::new(work("a")).priority(Priority::High);
        if nth % 3 == 0 { job.delay(HOUR) } else { job }
    });
    manager.enqueue_all(jobs).unwrap();
    let list = |state, limit| pages(&manager, state, limit);
    assert_eq!(list(StateKind::Ready, 2), [vec![2, 3], vec![5, 6], vec![]]);
    assert_eq!(list(StateKind::Ready, 3), [vec![2, 3, 5], vec![6]]);
    assert_eq!(list(StateKind::Scheduled, 2), [vec![1, 4], vec![7]]);
    assert_eq!(list(StateKind::Parked, 2), [[0; 0]]);
    assert_eq!(list(StateKind::Succeeded, 2), [[0; 0]]);
}

pub(crate) fn running_jobs_are_listed_page_by_page_in_the_order_of_numbers(place: &dyn Place) {
    let door = Door::new();
    let builder = Manager::builder(place.open()).queue(Queue::new("default").workers(3));
    let manager = through(builder, &door).start().unwrap();
    manager.enqueue_all((0..5).map(|_| work("a"))).unwrap();
    for _ in 0..3 {
        door.arrived();
    }
    let list = |state, limit| pages(&manager, state, limit);
    assert_eq!(list(StateKind::Running, 2), [vec![1, 2], vec![3]]);
    assert_eq!(list(StateKind::Ready, 10), [[4, 5]]);
    door.open(5);
}

pub(crate) fn a_listed_job_tells_what_its_status_tells(place: &dyn Place) {
    let clock = ManualClock::new();
    let manager = succeeding(one_worker(place))
        .clock(clock.clone())
        .start()
        .unwrap();
    let job = NewJob::new(work("a")).delay(HOUR).priority(Priority::High);
    let receipt = manager.enqueue(job).unwrap();
    let compare = |state| {
        let listed = all(&manager, state);
        let [job] = listed.as_slice() else {
            panic!("{listed:?}");
        };
        assert_eq!(*job.receipt(), receipt.untyped());
        let status = manager.status(&receipt).unwrap();
        assert_eq!(
            (job.state(), job.name(), job.queue(), job.priority()),
            (
                status.state(),
                status.name(),
                status.queue(),
                status.priority()
            )
        );
        assert_eq!(
            (job.attempts(), job.created(), job.due(), job.finished()),
            (
                status.attempts(),
                status.created(),
                status.due(),
                status.finished()
            )
        );
        job.clone()
    };
    let due = clock.wall().after(HOUR);
    assert_eq!(compare(StateKind::Scheduled).due(), Some(due));
    clock.advance(HOUR);
    manager.wait(&receipt, PATIENCE).unwrap();
    let job = compare(StateKind::Succeeded);
    assert_eq!(
        (job.attempts(), job.due(), job.finished()),
        (1, None, Some(due))
    );
}

pub(crate) fn a_job_is_listed_where_it_stands_and_not_where_its_row_says(place: &dyn Place) {
    let clock = ManualClock::new();
    let door = Door::new();
    let manager = through(one_worker(place), &door)
        .clock(clock.clone())
        .start()
        .unwrap();
    let later = |delay| NewJob::new(work("a")).delay(delay);
    manager
        .enqueue_all([later(SECOND), later(2 * SECOND), later(HOUR)])
        .unwrap();
    clock.advance(2 * SECOND);
    door.arrived();
    let list = |state| pages(&manager, state, 10).concat();
    assert_eq!(list(StateKind::Running), [1]);
    assert_eq!(list(StateKind::Ready), [2]);
    assert_eq!(list(StateKind::Scheduled), [3]);
    let ready = all(&manager, StateKind::Ready);
    assert_eq!(ready[0].due(), None);
    door.open(2);
}

pub(crate) fn a_job_that_cannot_run_here_is_listed_with_the_reason(place: &dyn Place) {
    let builder = Manager::builder(place.open())
        .queue(Queue::new("default").workers(0))
        .queue(Queue::new("images").workers(0));
    let manager = succeeding(builder).start().unwrap();
    let images = NewJob::new(work("a")).queue("images");
    let undeclared = manager.enqueue(images).unwrap();
    let unreadable = manager.enqueue(work("x".repeat(2_000))).unwrap();
    let unknown = manager.enqueue(Other { amount: 7 }).unwrap();
    manager.enqueue(work("b")).unwrap();
    drop(manager);
    damage(place, Key::body(unreadable.number()));
    let manager = succeeding(one_worker(place)).start().unwrap();
    manager
        .wait(&manager.enqueue(work("c")).unwrap(), PATIENCE)
        .unwrap();
    let parked = all(&manager, StateKind::Parked);
    let reasons: Vec<_> = parked
        .iter()
        .map(|job| (job.number(), job.parked().unwrap()))
        .collect();
    let damaged = ParkReason::Unreadable(
        "the bytes do not decode: InvalidIntegerType { expected: U64, found: Reserved }".into(),
    );
    assert_eq!(
        reasons,
        [
            (undeclared.number(), &ParkReason::UnknownQueue),
            (unreadable.number(), &damaged),
            (unknown.number(), &ParkReason::UnknownName),
        ]
    );
    assert_eq!(parked[2].name(), "other");
    assert!(all(&manager, StateKind::Ready).is_empty());
}

pub(crate) fn a_listed_receipt_of_an_older_opening_holds(place: &dyn Place) {
    let manager = one_worker(place).start().unwrap();
    let first = manager.enqueue(work("a")).unwrap();
    drop(manager);
    let manager = succeeding(one_worker(place)).start().unwrap();
    let second = manager.enqueue(work("b")).unwrap();
    manager.wait(&first, PATIENCE).unwrap();
    manager.wait(&second, PATIENCE).unwrap();
    let listed = all(&manager, StateKind::Succeeded);
    let receipts: Vec<Receipt> = listed.iter().map(|job| job.receipt().clone()).collect();
    assert_eq!(receipts, [first.untyped(), second.untyped()]);
    let typed = receipts[0].clone().typed::<Work>();
    assert!(manager.completed(&typed).unwrap().is_some());
}

pub(crate) fn one_page_looks_at_ten_thousand_rows(place: &dyn Place) {
    let builder = Manager::builder(place.open()).queue(Queue::new("default").workers(0));
    let manager = succeeding(builder).start().unwrap();
    manager.enqueue_all((0..10_000).map(|_| work("a"))).unwrap();
    let last = NewJob::new(work("b")).delay(HOUR);
    let last = manager.enqueue(last).unwrap();
    let page = manager.jobs(StateKind::Scheduled, None, 10).unwrap();
    assert_eq!(
        (page.jobs().len(), page.cursor()),
        (0, Some(JobNumber(10_000)))
    );
    let page = manager
        .jobs(StateKind::Scheduled, page.cursor(), 10)
        .unwrap();
    assert_eq!(
        (numbers(&page), page.cursor()),
        (vec![last.number().0], None)
    );
    let page = manager.jobs(StateKind::Ready, None, usize::MAX).unwrap();
    assert_eq!(
        (page.jobs().len(), page.cursor()),
        (10_000, Some(JobNumber(10_000)))
    );
}

pub(crate) fn a_listing_reads_no_payloads(place: &dyn Place) {
    let store = place.open();
    let faults = store.faults();
    let builder = Manager::builder(store)
        .queue(Queue::new("default").workers(1))
        .queue(Queue::new("idle").workers(0));
    let manager = succeeding(builder).start().unwrap();
    let large = || work("x".repeat(2_000));
    let done = manager.enqueue(large()).unwrap();
    manager
        .enqueue_all((0..3).map(|_| NewJob::new(large()).queue("idle")))
        .unwrap();
    manager.wait(&done, PATIENCE).unwrap();
    let before = faults.count(Operation::Get);
    assert_eq!(all(&manager, StateKind::Succeeded).len(), 1);
    assert_eq!(faults.count(Operation::Get), before);
    // The row of each job that it returns, and no other.
    assert_eq!(
        manager
            .jobs(StateKind::Ready, None, 2)
            .unwrap()
            .jobs()
            .len(),
        2
    );
    assert_eq!(faults.count(Operation::Get), before + 2);
}

pub(crate) fn a_listing_of_finished_jobs_does_not_wait_for_the_committer(place: &dyn Place) {
    let store = GatedStore::new(place.open());
    let gate = store.gate();
    let manager = succeeding(Manager::builder(store)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    gate.shut();
    std::thread::scope(|scope| {
        let enqueued = scope.spawn(|| manager.enqueue(work("b")));
        gate.reached();
        assert_eq!(all(&manager, StateKind::Succeeded).len(), 1);
        gate.open();
        enqueued.join().unwrap().unwrap();
    });
}

pub(crate) fn a_damaged_row_is_named_and_stops_no_listing(place: &dyn Place) {
    let start = || succeeding(one_worker(place)).start().unwrap();
    let manager = start();
    let receipts = manager.enqueue_all(["a", "b", "c"].map(work)).unwrap();
    for receipt in &receipts {
        manager.wait(receipt, PATIENCE).unwrap();
    }
    drop(manager);
    damage(place, Key::done(receipts[1].number()));
    let manager = start();
    let page = manager.jobs(StateKind::Succeeded, None, 10).unwrap();
    assert_eq!(
        (numbers(&page), page.damaged()),
        (vec![1, 3], &[JobNumber(2)][..])
    );
}

pub(crate) fn a_listing_that_fails_says_why(place: &dyn Place) {
    let store = place.open();
    let (faults, location) = (
        store.faults(),
        jobkeep::QueueStore::identity(&store).unwrap().location,
    );
    let manager = succeeding(Manager::builder(store)).start().unwrap();
    let list = |state| manager.jobs(state, None, 10);
    faults.arm(Fault::next(Operation::Scan));
    let error = list(StateKind::Succeeded).unwrap_err();
    assert!(error.as_store().is_some());
    assert_eq!(
        error.to_string(),
        format!(
            "list succeeded jobs: scan the rows from done 0 to done {} of {location}: a fault was \
             armed",
            u64::MAX
        )
    );
    faults.arm(Fault::next(Operation::Scan));
    assert!(list(StateKind::Ready).unwrap_err().as_store().is_some());
    assert!(list(StateKind::Ready).unwrap().jobs().is_empty());
    manager.shutdown(Duration::ZERO).unwrap();
    for state in [StateKind::Succeeded, StateKind::Ready, StateKind::Running] {
        let error = list(state).unwrap_err();
        assert!(error.is_shut_down());
        assert_eq!(
            error.to_string(),
            format!(
                "list {state} jobs: the manager has been shut down: start another one on the store"
            )
        );
    }
}
