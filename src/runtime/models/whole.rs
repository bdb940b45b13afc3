//! The whole runtime on a store in memory, from the first commit to the last thread.

use std::ops::ControlFlow;
use std::time::Duration;

use jobkeep_store::{
    Batch, Finding, Identity, JobNumber, Key, QueueName, QueueStore, StoreError, Timestamp,
};
use serde::{Deserialize, Serialize};
use shuttle::thread;

use super::{clock, linger};
use crate::config::Config;
use crate::context::Resources;
use crate::core;
use crate::registry::{Registration, Registry};
use crate::runtime::command::Command;
use crate::runtime::committer::Committer;
use crate::runtime::inbox::WhenFull;
use crate::runtime::panics;
use crate::runtime::shared::Shared;
use crate::runtime::start::{Parts, take_over};
use crate::runtime::threads::work;
use crate::sync::Arc;
use crate::testing::ManualClock;
use crate::{Context, Error, Job, JobError, MemoryStore, NewJob, Observer, Queue};

pub(super) const EVER: Duration = Duration::from_secs(1_000_000);

#[derive(Serialize, Deserialize)]
pub(super) struct Errand;

impl Job for Errand {
    const NAME: &'static str = "errand";
    type Output = ();
}

/// A store during whose calls others come first.
#[derive(Debug)]
struct Slow<S>(S);

impl<S: QueueStore> QueueStore for Slow<S> {
    fn identity(&self) -> Result<Identity, StoreError> {
        self.0.identity()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        thread::yield_now();
        let written = self.0.commit(batch);
        thread::yield_now();
        written
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        thread::yield_now();
        self.0.get(key)
    }

    fn scan(
        &self,
        from: &Key,
        to: &Key,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.0.scan(from, to, each)
    }

    fn verify(&self, found: &mut dyn FnMut(Finding)) -> Result<(), StoreError> {
        self.0.verify(found)
    }

    fn reopen(&self) -> Result<(), StoreError> {
        linger();
        self.0.reopen()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.0.close()
    }
}

/// A manager's threads, with one queue.
pub(super) struct Whole {
    workers: usize,
    store: Arc<dyn QueueStore>,
    observer: Option<Box<dyn Observer>>,
}

impl Whole {
    pub(super) fn new(workers: usize, store: impl QueueStore) -> Self {
        Self {
            workers,
            store: Arc::new(Slow(store)),
            observer: None,
        }
    }

    pub(super) fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Runs `act` beside the threads, all of which end.
    pub(super) fn beside(
        self,
        run: impl Fn(&mut Errand, &Context) -> Result<(), JobError> + Send + Sync + 'static,
        act: impl FnOnce(&Arc<Shared>, &ManualClock) + Send,
    ) {
        let (manual, clock) = clock();
        let config = Config {
            // Nothing is handed over to a worker that is not free.
            queues: vec![Queue::new("default").workers(self.workers).hand_over(0)],
            ..Config::default()
        };
        let parts = Parts {
            store: self.store,
            config,
            clock,
            registry: Registry::new(vec![Registration::new(run)], &mut Vec::new()),
            resources: Resources::default(),
            observers: Vec::new(),
        };
        let (shared, engine, _) = take_over(parts, usize::from(self.observer.is_some())).unwrap();
        let own = || panics::own_this_thread(shared.origin.opening);
        thread::scope(|scope| {
            if let (Some(observing), Some(observer)) = (shared.observers.first(), self.observer) {
                shared.clock.tell(observing);
                scope.spawn(|| {
                    own();
                    observing.serve(observer, &shared.clock);
                });
            }
            for pool in &shared.pools {
                for _ in 0..pool.workers {
                    pool.thread_started();
                    scope.spawn(|| {
                        own();
                        work(&shared, pool);
                    });
                }
            }
            let committer = Committer::new(engine, Arc::clone(&shared));
            scope.spawn(|| {
                own();
                committer.run();
            });
            scope.spawn(|| act(&shared, &manual));
        });
        assert!(shared.pools.iter().all(|pool| pool.is_over()));
    }
}

pub(super) fn enqueue(shared: &Shared) -> Result<JobNumber, Error> {
    let (queue, now) = (QueueName::from("default"), shared.clock.now());
    let origins = shared.origins("default", Errand::NAME).unwrap();
    let draft = NewJob::new(Errand).draft()?;
    let job = core::accept(draft, queue, origins, now, Timestamp(now.steady.0)).unwrap();
    let jobs = vec![(job, None)];
    let accept = |reply| Command::accept(jobs, reply);
    let numbers = shared.inbox.ask("enqueue", WhenFull::Wait, accept)?;
    Ok(numbers[0])
}

pub(super) fn is_kept(store: &MemoryStore, number: JobNumber) -> bool {
    [Key::live(number), Key::done(number)]
        .iter()
        .any(|key| store.get(key).unwrap().is_some())
}
