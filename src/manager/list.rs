//! Listing jobs: rows are read on the caller's thread, and the committer is asked what only RAM knows.

use std::ops::ControlFlow;

use jobkeep_store::{
    JobNumber, JobRecord, Key, ParkReason, Place, Space, StateKind, StoreError, open_row,
};

use crate::core::Seen;
use crate::page::{ListedJob, Page};
use crate::runtime::{Command, FindError, Reply, Shared, WhenFull};
use crate::{Error, Manager};

impl Manager {
    /// Jobs of one state, in the order of their numbers, from the one behind `after`: at most `limit`,
    /// zero counting as one. [`Page::cursor`] goes on from there.
    ///
    /// One call looks at no more than 10,000 rows, so a page may end before it is full; it loads no
    /// payload or output that stands in a row of its own. A listing is no snapshot: a job that changes
    /// its state meanwhile may be in none of the pages.
    ///
    /// ```
    /// # use jobkeep::{Manager, MemoryStore, StateKind};
    /// # let manager = Manager::builder(MemoryStore::new()).start()?;
    /// let mut after = None;
    /// loop {
    ///     let page = manager.jobs(StateKind::Failed, after, 100)?;
    ///     for job in page.jobs() {
    ///         manager.retry(job.receipt())?;
    ///     }
    ///     after = page.cursor();
    ///     if after.is_none() {
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), jobkeep::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where the manager is shut down, or the store cannot be read.
    #[doc(alias("find", "list", "query"))]
    pub fn jobs(
        &self,
        state: StateKind,
        after: Option<JobNumber>,
        limit: usize,
    ) -> Result<Page, Error> {
        self.shared().check_process("list the jobs")?;
        let mut listing = Listing {
            shared: self.shared(),
            state,
            limit: limit.clamp(1, LOOKS),
            page: Page::default(),
        };
        if let Some(from) = after.map_or(Some(0), |after| after.0.checked_add(1)) {
            match state {
                StateKind::Running => listing.running(from)?,
                state if state.is_final() => listing.finished(from)?,
                _ => listing.waiting(from)?,
            }
        }
        Ok(listing.page)
    }
}

/// So many rows does one call look at.
const LOOKS: usize = 10_000;

/// Of so many jobs at a time is the committer asked where they stand, because it has others to serve.
const ASKED: usize = 512;

/// A page in the making.
struct Listing<'a> {
    shared: &'a Shared,
    state: StateKind,
    limit: usize,
    page: Page,
}

impl Listing<'_> {
    /// What runs is known to the committer, and few.
    fn running(&mut self, from: u64) -> Result<(), Error> {
        let (from, limit) = (JobNumber(from), self.limit);
        let running = self.ask(|reply| Command::Running { from, limit, reply })?;
        if running.len() == limit {
            self.page.cursor = running.last().copied();
        }
        for number in running {
            if let Some(record) = self.record(number)? {
                self.push(number, None, record);
            }
        }
        Ok(())
    }

    /// What has finished stands in its rows.
    fn finished(&mut self, from: u64) -> Result<(), Error> {
        let mut looks = 0;
        let store = &*self.shared.store;
        let scanned = Shared::each_row(store, Space::Done, from, &mut |key, row| {
            let number = JobNumber(key.number);
            looks += 1;
            match open_row::<Place<'_>>(key, row).map(|place| place.state.kind()) {
                Ok(state) if state == self.state => match open_row(key, row) {
                    Ok(record) => self.push(number, None, record),
                    Err(_) => self.page.damaged.push(number),
                },
                Ok(_) => {}
                Err(_) => self.page.damaged.push(number),
            }
            if looks < LOOKS && self.page.jobs.len() < self.limit {
                return ControlFlow::Continue(());
            }
            self.page.cursor = Some(number);
            ControlFlow::Break(())
        });
        scanned.map_err(|cause| self.failed(cause))
    }

    /// Where a job that has not finished stands, its row alone does not say.
    fn waiting(&mut self, mut from: u64) -> Result<(), Error> {
        let mut looks = 0;
        loop {
            let most = ASKED.min(LOOKS - looks);
            let (seen, last) = self.look(from, most)?;
            let stands = if seen.is_empty() {
                Vec::new()
            } else {
                let seen = seen.clone();
                self.ask(|reply| Command::Stand { seen, reply })?
            };
            for (seen, (state, parked)) in seen.into_iter().zip(stands) {
                if state != self.state {
                    continue;
                }
                let Some(record) = self.record(seen.number)? else {
                    continue;
                };
                // Written since, it stands elsewhere by now.
                if (&record.state, record.order) != (&seen.state, seen.order) {
                    continue;
                }
                self.push(seen.number, parked, record);
                if self.page.jobs.len() == self.limit {
                    self.page.cursor = Some(seen.number);
                    return Ok(());
                }
            }
            looks += most;
            let Some(last) = last else { return Ok(()) };
            if looks == LOOKS {
                self.page.cursor = Some(last);
                return Ok(());
            }
            from = last.0.saturating_add(1);
        }
    }

    /// Those of the next rows that may be of the state, and the last number looked at where there may be
    /// more.
    fn look(&mut self, from: u64, most: usize) -> Result<(Vec<Seen>, Option<JobNumber>), Error> {
        let (mut seen, mut last, mut looks) = (Vec::new(), None, 0);
        let store = &*self.shared.store;
        let scanned = Shared::each_row(store, Space::Live, from, &mut |key, row| {
            let number = JobNumber(key.number);
            looks += 1;
            match open_row::<Place<'_>>(key, row) {
                // None becomes scheduled without a write.
                Ok(place)
                    if self.state == StateKind::Scheduled && place.state.kind() != self.state => {}
                Ok(place) => seen.push(Seen {
                    number,
                    origins: self.shared.origins(place.queue, place.name),
                    state: place.state,
                    priority: place.priority,
                    order: place.order,
                }),
                Err(_) => self.page.damaged.push(number),
            }
            if looks < most {
                return ControlFlow::Continue(());
            }
            last = Some(number);
            ControlFlow::Break(())
        });
        scanned.map_err(|cause| self.failed(cause))?;
        Ok((seen, last))
    }

    /// The job's record, if it has not finished; where that is damaged, it is said so.
    fn record(&mut self, number: JobNumber) -> Result<Option<JobRecord>, Error> {
        match self.shared.record(Key::live(number)) {
            Ok(record) => Ok(record.map(|record| *record)),
            Err(FindError::Store(cause)) => Err(self.failed(cause)),
            Err(_) => {
                self.page.damaged.push(number);
                Ok(None)
            }
        }
    }

    fn push(&mut self, number: JobNumber, parked: Option<ParkReason>, record: JobRecord) {
        let receipt = self.shared.receipt_of(number);
        let now = self.shared.clock.now();
        let due = now.shown_due(&record.state, record.created);
        let listed = ListedJob::new(receipt, self.state, parked, due, record);
        self.page.jobs.push(listed);
    }

    fn act(&self) -> String {
        format!("list {} jobs", self.state)
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        self.shared.inbox.ask(&self.act(), WhenFull::Wait, command)
    }

    fn failed(&self, cause: StoreError) -> Error {
        if cause.is_closed() {
            self.shared.inbox.refusal(&self.act())
        } else {
            Error::store(self.act(), cause)
        }
    }
}
