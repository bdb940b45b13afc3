use std::fmt;
use std::task::{Poll, Waker};

use jobkeep_store::JobNumber;

use super::bell::Bell;
use super::command::Reply;
use super::inbox::Inbox;
use crate::Error;
use crate::sync::Arc;

/// A command that was left in the inbox, and whose answer is still to come. Dropping it takes
/// nothing back.
///
/// 1. The caller leaves its command, and gets the bell of the group that the command is in.
/// 2. It waits for the bell: as a thread in it, or as a future with its waker in it.
/// 3. The committer leaves the answer, and then rings.
/// 4. Whoever finds that the bell has rung takes the answer. Where there is none, the committer
///    ended before it came to the command or while it was at it, and the inbox says why.
#[derive(Debug)]
pub(crate) struct Asked<T> {
    reply: Reply<T>,
    bell: Arc<Bell>,
    /// The number of the first job that it brings, if it is new.
    first: JobNumber,
    /// Of the future's waker in the bell.
    seat: Option<u64>,
}

impl<T> Asked<T> {
    pub(super) fn new(reply: Reply<T>, bell: Arc<Bell>, first: JobNumber) -> Self {
        Self {
            reply,
            bell,
            first,
            seat: None,
        }
    }

    pub(crate) fn first(&self) -> JobNumber {
        self.first
    }

    /// Blocks until there is an answer. `act` names the call in errors.
    pub(crate) fn wait(self, act: &dyn fmt::Display, inbox: &Inbox) -> Result<T, Error> {
        inbox.check_process(act)?;
        self.bell.wait(inbox.clock(), None);
        self.answer(act, inbox)
    }

    /// The answer, or a call of this waker once there is one.
    pub(crate) fn poll(
        &mut self,
        act: &dyn fmt::Display,
        inbox: &Inbox,
        waker: &Waker,
    ) -> Poll<Result<T, Error>> {
        if let Err(forked) = inbox.check_process(act) {
            return Poll::Ready(Err(forked));
        }
        if self.bell.poll(&mut self.seat, waker) {
            Poll::Ready(self.answer(act, inbox))
        } else {
            Poll::Pending
        }
    }

    fn answer(&self, act: &dyn fmt::Display, inbox: &Inbox) -> Result<T, Error> {
        self.reply
            .take(act)
            .unwrap_or_else(|| Err(inbox.refusal(act)))
    }
}

impl<T> Drop for Asked<T> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            self.bell.leave(seat);
        }
    }
}
