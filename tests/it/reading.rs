//! A finished job is read in several steps, and commits come between them.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use jobkeep::{Manager, Queue, QueueStore, Receipt, StoreError};
use jobkeep_store::{Batch, Finding, Identity, Key, Space};

use crate::place::{PATIENCE, Place, Work, succeeding, work};

type Act = Box<dyn FnOnce() + Send>;

/// What is to happen before the next payload that stands apart is read.
#[derive(Clone, Default)]
struct Between(Arc<Mutex<Option<Act>>>);

impl Between {
    fn act(&self, act: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(act));
    }

    fn has_acted(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }
}

struct Interrupted<S> {
    inner: S,
    between: Between,
}

impl<S> fmt::Debug for Interrupted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupted")
    }
}

impl<S: QueueStore> QueueStore for Interrupted<S> {
    fn identity(&self) -> Result<Identity, StoreError> {
        self.inner.identity()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.inner.commit(batch)
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        if key.space == Space::Bodies {
            let act = self.between.0.lock().unwrap().take();
            if let Some(act) = act {
                act();
            }
        }
        self.inner.get(key)
    }

    fn scan(
        &self,
        from: &Key,
        to: &Key,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.inner.scan(from, to, each)
    }

    fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        self.inner.verify(found)
    }

    fn reopen(&self) -> Result<(), StoreError> {
        self.inner.reopen()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

/// A manager, and a job that has finished there, whose payload stands apart.
fn finished(place: &dyn Place) -> (Manager, Between, Receipt<Work>) {
    let between = Between::default();
    let store = Interrupted {
        inner: place.open(),
        between: between.clone(),
    };
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    let manager = succeeding(builder).start().unwrap();
    let receipt = manager.enqueue(work("x".repeat(2_000))).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    (manager, between, receipt)
}

/// A process that was killed now and then had pruned a job between the reads of its record and its
/// payload, and whoever asked for the job heard that its row was damaged.
pub(crate) fn a_job_that_goes_while_it_is_read_is_gone_and_not_damaged(place: &dyn Place) {
    let (manager, between, receipt) = finished(place);
    between.act({
        let (manager, receipt) = (manager.clone(), receipt.clone());
        move || manager.remove(&receipt).unwrap()
    });
    let error = manager.completed(&receipt).unwrap_err();
    assert!(between.has_acted());
    assert!(error.is_pruned(), "{error}");
    manager.shutdown(PATIENCE).unwrap();
}

pub(crate) fn a_job_that_runs_again_while_it_is_read_is_of_one_moment(place: &dyn Place) {
    let (manager, between, receipt) = finished(place);
    between.act({
        let (manager, receipt) = (manager.clone(), receipt.clone());
        move || {
            manager.retry(&receipt).unwrap();
            manager.wait(&receipt, PATIENCE).unwrap();
        }
    });
    let job = manager.completed(&receipt).unwrap().unwrap();
    assert!(between.has_acted());
    assert_eq!((job.job().unwrap().runs, job.history().len()), (2, 2));
    manager.shutdown(PATIENCE).unwrap();
}
