//! Where a store is kept for one test, and what jobs the tests queue.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobkeep::{Builder, Job, Manager, MemoryStore, Queue};
use jobkeep_store::conformance::FaultyStore;
use serde::{Deserialize, Serialize};

/// A place that a store can be opened at, again and again.
pub(crate) trait Place {
    fn open(&self) -> FaultyStore;
}

pub(crate) struct Memory(MemoryStore);

impl Memory {
    pub(crate) fn new() -> Self {
        Self(MemoryStore::new())
    }
}

impl Place for Memory {
    fn open(&self) -> FaultyStore {
        FaultyStore::new(self.0.clone())
    }
}

#[cfg(feature = "redb")]
pub(crate) struct Redb(tempfile::TempDir);

#[cfg(feature = "redb")]
impl Redb {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[cfg(feature = "redb")]
impl Place for Redb {
    fn open(&self) -> FaultyStore {
        FaultyStore::new(jobkeep::RedbStore::open(self.0.path().join("jobs.redb")).unwrap())
    }
}

#[cfg(feature = "sled")]
pub(crate) struct Sled(tempfile::TempDir);

#[cfg(feature = "sled")]
impl Sled {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[cfg(feature = "sled")]
impl Place for Sled {
    fn open(&self) -> FaultyStore {
        FaultyStore::new(jobkeep::SledStore::open(self.0.path().join("jobs.sled")).unwrap())
    }
}

/// How long a test waits for what must come. None is expected to.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// The job of most tests: what it does is the handler's affair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) label: String,
    pub(crate) runs: u32,
}

impl Job for Work {
    const NAME: &'static str = "work";
    type Output = String;
}

pub(crate) fn work(label: impl Into<String>) -> Work {
    Work {
        label: label.into(),
        runs: 0,
    }
}

/// A manager at the place, with one worker on queue `default`.
pub(crate) fn one_worker(place: &dyn Place) -> Builder {
    Manager::builder(place.open()).queue(Queue::new("default").workers(1))
}

/// Runs every job at once, successfully.
pub(crate) fn succeeding(builder: Builder) -> Builder {
    builder.handle::<Work>(|work, _| {
        work.runs += 1;
        Ok(format!("{} done", work.label))
    })
}

/// A door in a handler: the test sees who stands before it, and lets one in at a time.
#[derive(Clone)]
pub(crate) struct Door {
    arrivals: Arc<Mutex<Sender<String>>>,
    seen: Arc<Mutex<Receiver<String>>>,
    permits: Arc<Mutex<Sender<()>>>,
    opens: Arc<Mutex<Receiver<()>>>,
}

impl Door {
    pub(crate) fn new() -> Self {
        let (arrivals, seen) = channel();
        let (permits, opens) = channel();
        Self {
            arrivals: Arc::new(Mutex::new(arrivals)),
            seen: Arc::new(Mutex::new(seen)),
            permits: Arc::new(Mutex::new(permits)),
            opens: Arc::new(Mutex::new(opens)),
        }
    }

    /// In the handler: says who is there, and waits to be let in.
    pub(crate) fn enter(&self, who: &str) {
        self.arrivals.lock().unwrap().send(who.into()).unwrap();
        self.opens.lock().unwrap().recv_timeout(PATIENCE).unwrap();
    }

    /// In the test: the next one to arrive.
    pub(crate) fn arrived(&self) -> String {
        self.seen.lock().unwrap().recv_timeout(PATIENCE).unwrap()
    }

    /// In the test: nobody has arrived that was not seen.
    pub(crate) fn is_quiet(&self) -> bool {
        self.seen.lock().unwrap().try_recv().is_err()
    }

    /// In the test: lets so many in, now or when they come.
    pub(crate) fn open(&self, times: usize) {
        for _ in 0..times {
            self.permits.lock().unwrap().send(()).unwrap();
        }
    }
}

/// Every job goes through the door, then succeeds.
pub(crate) fn through(builder: Builder, door: &Door) -> Builder {
    let door = door.clone();
    builder.handle::<Work>(move |work, _| {
        door.enter(&work.label);
        work.runs += 1;
        Ok(format!("{} done", work.label))
    })
}

/// What a job that is not registered elsewhere carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Other {
    pub(crate) amount: u64,
}

impl Job for Other {
    const NAME: &'static str = "other";
    type Output = u64;
}
