//! What a life says while it goes on, so that it can be killed at a chosen moment.

use std::io::{Read, Write, stderr, stdin};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jobkeep::{QueueStore, StoreError};
use jobkeep_store::{Batch, Finding, Identity, InFlight, Key, Space, Write as RowWrite, open_row};
use serde::{Deserialize, Serialize};

/// What every mark begins with: the harness writes to the same pipe.
pub(crate) const MARK: &str = "mark: ";

/// Where a life stands still until it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stand {
    /// In a scan, counted from 0: an opening has several.
    Scan(usize),
    /// At the n-th commit, before the engine has it. The first is the opening's.
    Before(usize),
    /// At the n-th commit, written and not answered.
    After(usize),
}

#[derive(Debug)]
pub(crate) struct Trace {
    is_heard: bool,
    stand: Option<Stand>,
    holds: AtomicBool,
}

impl Trace {
    pub(crate) fn new(stand: Option<Stand>, holds: bool) -> Arc<Self> {
        Arc::new(Self {
            is_heard: true,
            stand,
            holds: AtomicBool::new(holds),
        })
    }

    /// For a process that nobody kills.
    pub(crate) fn silent() -> Arc<Self> {
        Arc::new(Self {
            is_heard: false,
            stand: None,
            holds: AtomicBool::new(false),
        })
    }

    /// One write, unbuffered: what was said before a kill is in the pipe.
    pub(crate) fn say(&self, mark: &str) {
        let line = format!("{MARK}{mark}\n");
        if self.is_heard && stderr().write_all(line.as_bytes()).is_err() {
            // Whoever would kill this process is gone.
            std::process::exit(3);
        }
    }

    fn at(&self, point: Stand) {
        if self.stand == Some(point) {
            self.say("stand");
            wait_for_the_end();
        }
    }

    /// The first job that runs stays until the end, where the life is to have one.
    pub(crate) fn hold_once(&self) {
        if self.holds.swap(false, Ordering::Relaxed) {
            self.say("hold");
            wait_for_the_end();
        }
    }
}

/// Nobody writes to standard input, and it ends with the parent.
pub(crate) fn wait_for_the_end() -> ! {
    let end = stdin().lock().read(&mut [0]);
    std::process::exit(if end.is_ok() { 3 } else { 4 });
}

/// A store that says when it commits, and what.
#[derive(Debug)]
pub(crate) struct Marked {
    inner: Box<dyn QueueStore>,
    trace: Arc<Trace>,
    commits: AtomicUsize,
    scans: AtomicUsize,
}

impl Marked {
    pub(crate) fn new(inner: Box<dyn QueueStore>, trace: Arc<Trace>) -> Self {
        Self {
            inner,
            trace,
            commits: AtomicUsize::new(0),
            scans: AtomicUsize::new(0),
        }
    }
}

/// How many jobs are in flight from this commit on, where it says so.
fn in_flight(batch: &Batch) -> Option<usize> {
    let mut writes = batch.writes().iter().rev();
    match writes.find(|write| write.key() == Key::IN_FLIGHT)? {
        RowWrite::Put { key, row, .. } => {
            let row: InFlight = open_row(*key, row).unwrap();
            Some(row.jobs.len())
        }
        RowWrite::Delete { .. } => Some(0),
    }
}

/// Finished jobs are deleted, and not because somebody removed them or had them run again.
fn prunes(batch: &Batch) -> bool {
    batch.writes().iter().any(|write| match write {
        RowWrite::Delete { key } => {
            key.space == Space::Done && !batch.touches(Key::new(Space::Withdrawn, key.number))
        }
        RowWrite::Put { .. } => false,
    })
}

impl QueueStore for Marked {
    fn identity(&self) -> Result<Identity, StoreError> {
        self.inner.identity()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        self.trace.at(Stand::Before(number));
        let kind = if prunes(batch) { "prune" } else { "plain" };
        self.trace.say(&format!("commit begin {kind}"));
        let done = self.inner.commit(batch);
        self.trace.at(Stand::After(number));
        let flight = in_flight(batch).map_or("same".into(), |jobs| jobs.to_string());
        self.trace.say(&format!("commit end {flight}"));
        done
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn scan(
        &self,
        from: &Key,
        to: &Key,
        each: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let number = self.scans.fetch_add(1, Ordering::Relaxed);
        self.inner.scan(from, to, each)?;
        self.trace.at(Stand::Scan(number));
        Ok(())
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
