use std::task::{Poll, Waker};

use jobkeep_store::JobNumber;

use super::command::Reply;
use super::read::wait_for;
use super::shared::Shared;
use super::waiters::Attendance;
use crate::Error;
use crate::finished::Finished;
use crate::sync::{Arc, Weak};

/// A future that waits for the end of a job. It keeps neither the manager nor its store, and nobody
/// waits for it: see [`Waiters`](super::waiters::Waiters).
#[derive(Debug)]
pub(crate) struct Attending {
    shared: Weak<Shared>,
    job: JobNumber,
    address: u64,
    last: Reply<Finished>,
}

impl Attending {
    pub(crate) fn new(shared: &Arc<Shared>, job: JobNumber) -> Result<Self, Error> {
        shared.check_own_end(job)?;
        let last = Reply::new();
        let address = shared
            .waiters
            .leave_address(job, &last)
            .ok_or_else(|| shared.wait_refused(job))?;
        Ok(Self {
            shared: Arc::downgrade(shared),
            job,
            address,
            last,
        })
    }

    pub(crate) fn job(&self) -> JobNumber {
        self.job
    }

    /// The finished job, or why its end does not come, or a call of this waker once it is worth asking again.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Result<Finished, Error>> {
        let Some(shared) = self.shared.upgrade() else {
            return Poll::Ready(self.last_answer(|| Error::shut_down(wait_for(self.job))));
        };
        if let Err(forked) = shared.check_process(wait_for(self.job)) {
            return Poll::Ready(Err(forked));
        }
        let waiters = &shared.waiters;
        let mut may_end = true;
        let present = match waiters.attend(self.address, self.job, &self.last, waker) {
            Attendance::Wait => return Poll::Pending,
            Attendance::Over => {
                return Poll::Ready(self.last_answer(|| shared.wait_refused(self.job)));
            }
            Attendance::Look(present) => present,
            Attendance::LookOnce(present) => {
                may_end = false;
                present
            }
        };
        let found = shared.end(self.job);
        drop(present);
        let answer = match found.transpose() {
            Some(answer) => answer,
            None if may_end => return Poll::Pending,
            None => Err(Error::ends_no_more(self.job)),
        };
        waiters.strike_address(self.address);
        Poll::Ready(answer)
    }

    fn last_answer(&self, otherwise: impl FnOnce() -> Error) -> Result<Finished, Error> {
        let answer = self.last.take(&wait_for(self.job));
        answer.unwrap_or_else(|| Err(otherwise()))
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade()
            && !shared.is_forked()
        {
            shared.waiters.strike_address(self.address);
        }
    }
}
