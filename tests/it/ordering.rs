use jobkeep::{Manager, NewJob, Priority, Queue, StateKind};

use crate::place::{Door, HOUR, PATIENCE, Place, one_worker, through, work};

/// Lets the jobs through one by one, and tells in which order they came.
fn order_of(door: &Door, jobs: usize) -> Vec<String> {
    door.open(jobs);
    (0..jobs).map(|_| door.arrived()).collect()
}

pub(crate) fn urgent_runs_before_high_before_normal_before_low(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    manager.enqueue(work("first")).unwrap();
    door.arrived();
    for (label, priority) in [
        ("low", Priority::Low),
        ("normal", Priority::Normal),
        ("high", Priority::High),
        ("urgent", Priority::Urgent),
    ] {
        manager
            .enqueue(NewJob::new(work(label)).priority(priority))
            .unwrap();
    }
    door.open(1);
    assert_eq!(order_of(&door, 4), ["urgent", "high", "normal", "low"]);
}

pub(crate) fn jobs_of_one_priority_run_in_the_order_of_acceptance(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let labels: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    let (batch, single) = labels.split_at(100);
    manager.enqueue_all(batch.iter().map(work)).unwrap();
    for label in single {
        manager.enqueue(work(label)).unwrap();
    }
    assert_eq!(order_of(&door, 200), labels);
}

pub(crate) fn an_urgent_job_overtakes_those_handed_over(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    // A pool that has finished many jobs is handed many ahead.
    let warm = manager.enqueue_all((0..50).map(|_| work("warm"))).unwrap();
    assert_eq!(order_of(&door, 49).len(), 49);
    door.arrived();
    manager
        .enqueue_all((0..50).map(|n| work(n.to_string())))
        .unwrap();
    manager
        .enqueue(NewJob::new(work("urgent")).priority(Priority::Urgent))
        .unwrap();
    door.open(1);
    manager.wait(&warm[49], PATIENCE).unwrap();
    assert_eq!(door.arrived(), "urgent");
    door.open(51);
}

pub(crate) fn a_future_job_of_high_priority_does_not_stand_before_a_ready_one(place: &dyn Place) {
    let door = Door::new();
    let manager = through(one_worker(place), &door).start().unwrap();
    let future = NewJob::new(work("future"))
        .priority(Priority::Urgent)
        .delay(HOUR);
    let future = manager.enqueue(future).unwrap();
    let ready = manager
        .enqueue(NewJob::new(work("ready")).priority(Priority::Low))
        .unwrap();
    door.open(1);
    manager.wait(&ready, PATIENCE).unwrap();
    assert_eq!(
        manager.status(&future).unwrap().state(),
        StateKind::Scheduled
    );
}

pub(crate) fn each_queue_has_its_own_workers(place: &dyn Place) {
    let door = Door::new();
    let builder = Manager::builder(place.open())
        .queue(Queue::new("default").workers(1))
        .queue(Queue::new("other").workers(2));
    let manager = through(builder, &door).start().unwrap();
    manager.enqueue(work("default")).unwrap();
    let receipts = manager
        .enqueue_all((0..2).map(|_| NewJob::new(work("other")).queue("other")))
        .unwrap();
    let mut present = vec![door.arrived(), door.arrived(), door.arrived()];
    present.sort();
    assert_eq!(present, ["default", "other", "other"]);
    door.open(3);
    let done = manager.wait(&receipts[0], PATIENCE).unwrap();
    assert!(done.history()[0].thread.starts_with("other-worker-"));
}
