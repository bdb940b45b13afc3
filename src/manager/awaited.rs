//! The calls of a manager as futures, for the HTTP server: each costs memory and no thread.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use jobkeep_store::JobNumber;

use crate::core::Counts;
use crate::finished::{Finished, Status};
use crate::runtime::{Asked, Attending, Command, Reply, Shared, WhenFull};
use crate::sync::Arc;
use crate::{Codec, Draft, Error, Manager, Receipt};

/// What was asked of the committer, and is still to be answered.
pub(crate) struct Awaited<T> {
    shared: Arc<Shared>,
    act: String,
    asked: Result<Asked<T>, Error>,
}

impl<T> Future for Awaited<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { shared, act, asked } = &mut *self;
        match asked {
            Ok(asked) => asked.poll(act, &shared.inbox, context.waker()),
            Err(refused) => Poll::Ready(Err(refused.clone())),
        }
    }
}

// Nothing of it is pinned.
impl<T> Unpin for Awaited<T> {}

/// Jobs on their way into the store.
pub(crate) enum Accepting {
    Asked(Awaited<Vec<JobNumber>>),
    Answered(Result<Vec<Receipt>, Error>),
}

impl Future for Accepting {
    type Output = Result<Vec<Receipt>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Asked(asked) => {
                let numbers = ready!(Pin::new(&mut *asked).poll(context));
                Poll::Ready(numbers.map(|numbers| asked.shared.receipts(numbers)))
            }
            Self::Answered(answer) => Poll::Ready(answer.clone()),
        }
    }
}

/// The end of a job of whatever type.
pub(crate) struct Ended(Attending);

impl Future for Ended {
    type Output = Result<Finished, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context.waker())
    }
}

impl Manager {
    /// Has the drafts accepted, all or none. Never waits for room.
    pub(crate) fn accepting(&self, drafts: Vec<Draft>) -> Accepting {
        self.shared().accepting(drafts)
    }

    /// The job, if it has finished. Reads the store on this thread.
    pub(crate) fn look<J>(&self, receipt: &Receipt<J>) -> Result<Option<Finished>, Error> {
        self.shared().finished(self.shared().check(receipt)?)
    }

    /// The job, as soon as it has finished.
    pub(crate) fn ended(&self, receipt: &Receipt) -> Result<Ended, Error> {
        let number = self.shared().check(receipt)?;
        Attending::new(self.shared(), number).map(Ended)
    }

    pub(crate) fn status_awaited(&self, receipt: &Receipt) -> Result<Awaited<Status>, Error> {
        self.ask_awaited(receipt, "look up", |number, reply| Command::Look {
            number,
            reply,
        })
    }

    pub(crate) fn cancel_awaited(&self, receipt: &Receipt) -> Result<Awaited<()>, Error> {
        self.ask_awaited(receipt, "cancel", |number, reply| Command::Cancel {
            number,
            reply,
        })
    }

    pub(crate) fn retry_awaited(&self, receipt: &Receipt) -> Result<Awaited<()>, Error> {
        self.ask_awaited(receipt, "retry", |number, reply| Command::Retry {
            number,
            reply,
        })
    }

    pub(crate) fn amend_awaited(
        &self,
        receipt: &Receipt,
        name: String,
        codec: Codec,
        payload: Vec<u8>,
    ) -> Result<Awaited<()>, Error> {
        let number = self.shared().check(receipt)?;
        let amendment = self
            .shared()
            .amendment(number, vec![name], codec, payload)?;
        self.ask_awaited(receipt, "amend", |number, reply| Command::Amend {
            number,
            amendment,
            reply,
        })
    }

    pub(crate) fn remove_awaited(&self, receipt: &Receipt) -> Result<Awaited<()>, Error> {
        self.ask_awaited(receipt, "remove", |number, reply| Command::Remove {
            number,
            reply,
        })
    }

    pub(crate) fn counts_awaited(&self) -> Awaited<Counts> {
        let count = |reply| Command::Count { reply };
        self.shared().awaited("count the jobs".into(), count)
    }

    pub(crate) fn paused_awaited(&self) -> Awaited<Vec<String>> {
        let paused = |reply| Command::Paused { reply };
        self.shared()
            .awaited("list the paused queues".into(), paused)
    }

    fn ask_awaited<T>(
        &self,
        receipt: &Receipt,
        act: &str,
        command: impl FnOnce(JobNumber, Reply<T>) -> Command,
    ) -> Result<Awaited<T>, Error> {
        let number = self.shared().check(receipt)?;
        let act = format!("{act} job {number}");
        Ok(self.shared().awaited(act, |reply| command(number, reply)))
    }
}

impl Shared {
    fn awaited<T>(
        self: &Arc<Self>,
        act: String,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Awaited<T> {
        let asked = self.inbox.leave(&act, WhenFull::Refuse, command);
        Awaited {
            shared: Arc::clone(self),
            act,
            asked,
        }
    }

    pub(crate) fn awaiting(
        self: &Arc<Self>,
        act: String,
        asked: Asked<Vec<JobNumber>>,
    ) -> Accepting {
        Accepting::Asked(Awaited {
            shared: Arc::clone(self),
            act,
            asked: Ok(asked),
        })
    }
}
