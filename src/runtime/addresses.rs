use std::collections::{BTreeSet, HashMap};
use std::task::Waker;

use jobkeep_store::JobNumber;

use super::command::Reply;
use crate::finished::Finished;

/// Where the futures can be reached that wait for the ends of jobs.
///
/// What [`Wakers`](super::wakers::Wakers) says holds here too: wakers are cloned before they come in,
/// and dropped or woken after they have gone out.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    given: u64,
    all: HashMap<u64, Address>,
    /// Those to be called at the end of the job.
    listening: HashMap<JobNumber, Vec<u64>>,
}

#[derive(Debug)]
pub(super) struct Address {
    pub(super) job: JobNumber,
    /// Where the committer leaves its last answer.
    pub(super) last: Reply<Finished>,
    pub(super) waker: Option<Waker>,
    listens: bool,
}

impl Address {
    fn new(job: JobNumber, last: &Reply<Finished>) -> Self {
        Self {
            job,
            last: last.clone(),
            waker: None,
            listens: false,
        }
    }
}

/// What came of a future's waker.
#[derive(Debug)]
pub(super) struct Left {
    /// The future listened already: there is nothing to look for.
    pub(super) listened: bool,
    pub(super) replaced: Option<Waker>,
}

impl Addresses {
    /// Adds the address of a future that has not been polled, and names it.
    pub(super) fn add(&mut self, job: JobNumber, last: &Reply<Finished>) -> u64 {
        self.given += 1;
        self.all.insert(self.given, Address::new(job, last));
        self.given
    }

    /// Leaves a waker, to be called at the job's end. A future that took its address back leaves it
    /// again.
    pub(super) fn listen(
        &mut self,
        id: u64,
        job: JobNumber,
        last: &Reply<Finished>,
        waker: Waker,
    ) -> Left {
        let address = self
            .all
            .entry(id)
            .or_insert_with(|| Address::new(job, last));
        let listened = std::mem::replace(&mut address.listens, true);
        if !listened {
            self.listening.entry(job).or_default().push(id);
        }
        Left {
            listened,
            replaced: address.waker.replace(waker),
        }
    }

    /// Takes the wakers out of those who listen for the end of this job. Their addresses stay.
    pub(super) fn call(&mut self, job: JobNumber, wakers: &mut Vec<Waker>) {
        for id in self.listening.remove(&job).into_iter().flatten() {
            if let Some(address) = self.all.get_mut(&id) {
                address.listens = false;
                wakers.extend(address.waker.take());
            }
        }
    }

    /// The same for those who listen for the ends of all jobs but these.
    pub(super) fn call_others(&mut self, jobs: &BTreeSet<JobNumber>, wakers: &mut Vec<Waker>) {
        let others = self.listening.keys().filter(|job| !jobs.contains(job));
        let others: Vec<_> = others.copied().collect();
        for job in others {
            self.call(job, wakers);
        }
    }

    /// Takes an address out.
    pub(super) fn remove(&mut self, id: u64) -> Option<Address> {
        let address = self.all.remove(&id)?;
        if address.listens
            && let Some(listening) = self.listening.get_mut(&address.job)
        {
            listening.retain(|&other| other != id);
            if listening.is_empty() {
                self.listening.remove(&address.job);
            }
        }
        Some(address)
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Address> + use<> {
        self.listening.clear();
        std::mem::take(&mut self.all).into_values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
