use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jobkeep::{Builder, Manager, Queue, QueueStore, WeakManager};
use jobkeep_store::conformance::FaultyStore;

use crate::place::{Door, HOUR, PATIENCE, Place, Work, one_worker, succeeding, work};
use crate::shutdown::through_and_leaving;

/// A manager on a store that the second value counts the owners of.
pub(crate) fn counted(place: &dyn Place) -> (Builder, std::sync::Weak<dyn QueueStore>) {
    let store: Arc<dyn QueueStore> = Arc::new(place.open());
    let owners = Arc::downgrade(&store);
    let builder =
        Manager::builder(FaultyStore::over(store)).queue(Queue::new("default").workers(1));
    (builder, owners)
}

pub(crate) fn a_job_may_hold_the_last_handle(place: &dyn Place) {
    let own: Arc<Mutex<Option<Manager>>> = Arc::default();
    let (inside, door) = (Arc::clone(&own), Door::new());
    let before = door.clone();
    let (builder, owners) = counted(place);
    let manager = builder
        .handle::<Work>(move |work, _| {
            before.enter(&work.label);
            drop(inside.lock().unwrap().take());
            Ok(String::new())
        })
        .start()
        .unwrap();
    *own.lock().unwrap() = Some(manager.clone());
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    drop(manager);
    door.open(1);
    while owners.strong_count() > 0 {
        std::thread::yield_now();
    }
    let manager = one_worker(place).start().unwrap();
    assert!(manager.completed(&receipt).unwrap().is_some());
}

pub(crate) fn dropping_the_last_handle_ends_the_manager(place: &dyn Place) {
    let (builder, owners) = counted(place);
    let manager = succeeding(builder).start().unwrap();
    let other = manager.clone();
    drop(manager);
    let receipt = other.enqueue(work("a")).unwrap();
    other.wait(&receipt, PATIENCE).unwrap();
    drop(other);
    assert_eq!(owners.strong_count(), 0);
    let manager = one_worker(place).start().unwrap();
    assert_eq!(manager.counts().unwrap().succeeded, 1);
}

pub(crate) fn dropping_the_last_handle_waits_its_grace(place: &dyn Place) {
    let door = Door::new();
    let (builder, leaving) = through_and_leaving(one_worker(place).drop_grace(HOUR), &door);
    let manager = builder.start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    door.open(1);
    drop(manager);
    leaving.try_recv().unwrap();
    let manager = one_worker(place)
        .drop_grace(Duration::ZERO)
        .handle::<Work>({
            let door = door.clone();
            move |work, _| {
                door.enter(&work.label);
                Ok(String::new())
            }
        })
        .start()
        .unwrap();
    assert!(manager.completed(&receipt).unwrap().is_some());
    manager.enqueue(work("b")).unwrap();
    door.arrived();
    drop(manager);
    assert_eq!(one_worker(place).start().unwrap().recovery().interrupted, 1);
    door.open(1);
}

pub(crate) fn a_weak_handle_does_not_keep_the_manager(place: &dyn Place) {
    let own = Arc::new(OnceLock::<WeakManager>::new());
    let (builder, owners) = counted(place);
    let inside = Arc::clone(&own);
    let manager = builder
        .handle::<Work>(move |work, _| {
            let manager = inside.wait().upgrade().unwrap();
            Ok(format!("{} of {}", work.label, manager.counts()?.running))
        })
        .start()
        .unwrap();
    own.set(manager.downgrade()).unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), "a of 1");
    drop(manager);
    while owners.strong_count() > 0 {
        std::thread::yield_now();
    }
    assert!(own.get().unwrap().upgrade().is_none());
}
