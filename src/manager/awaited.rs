//! The calls of a manager as futures: each costs memory and no thread.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use jobkeep_store::JobNumber;

#[cfg(feature = "http-server")]
use crate::Codec;
use crate::core::{Amendment, Counts};
#[cfg(feature = "http-server")]
use crate::finished::Finished;
use crate::finished::Status;
#[cfg(feature = "http-server")]
use crate::runtime::Attending;
use crate::runtime::{Asked, Command, Reply, Shared, WhenFull};
use crate::sync::Arc;
use crate::{Draft, Error, Job, Manager, Receipt};

/// The answer to a call of a [`Manager`], awaited: [`status_async`](Manager::status_async) and the like.
///
/// The call is made when it returns this, polled or not; dropping this takes nothing back. Awaited again, an
/// answer that was given is an error. The future needs no particular executor: it only calls its waker, on
/// the manager's thread.
#[must_use = "what became of the call shows when this is awaited"]
pub struct Pending<T>(Result<Awaited<T>, Error>);

/// What was asked of the committer, and is still to be answered.
pub(crate) struct Awaited<T> {
    shared: Arc<Shared>,
    act: String,
    asked: Asked<T>,
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(Awaited { shared, act, asked }) => asked.poll(act, &shared.inbox, context.waker()),
            Err(refused) => Poll::Ready(Err(refused.clone())),
        }
    }
}

// Nothing of it is pinned.
impl<T> Unpin for Pending<T> {}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(awaited) => write!(f, "Pending({})", awaited.act),
            Err(refused) => f.debug_tuple("Pending").field(refused).finish(),
        }
    }
}

/// Jobs on their way into the store.
pub(crate) enum Accepting {
    /// With the number that the first of them has if it is new.
    Asked(Arc<Shared>, JobNumber, Pending<Vec<JobNumber>>),
    Answered(Result<Vec<Receipt>, Error>),
}

impl Future for Accepting {
    type Output = Result<Vec<Receipt>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Asked(shared, own, asked) => {
                let numbers = ready!(Pin::new(asked).poll(context));
                Poll::Ready(numbers.map(|numbers| shared.receipts(*own, numbers)))
            }
            Self::Answered(answer) => Poll::Ready(answer.clone()),
        }
    }
}

/// The end of a job of whatever type.
#[cfg(feature = "http-server")]
pub(crate) struct Ended(Attending);

#[cfg(feature = "http-server")]
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
    #[cfg(feature = "http-server")]
    pub(crate) fn look<J>(&self, receipt: &Receipt<J>) -> Result<Option<Finished>, Error> {
        self.shared().finished(self.shared().check(receipt)?)
    }

    /// The job, as soon as it has finished.
    #[cfg(feature = "http-server")]
    pub(crate) fn ended(&self, receipt: &Receipt) -> Result<Ended, Error> {
        let number = self.shared().check(receipt)?;
        Attending::new(self.shared(), number).map(Ended)
    }

    /// [`status`](Self::status) for an async program: nobody waits for its answer but the future, which
    /// resolves at the committer's next turn.
    ///
    /// # Errors
    /// All of them come with the future: as [`status`](Self::status), and where the inbox is full,
    /// [`Error::is_full`].
    pub fn status_async<J>(&self, receipt: &Receipt<J>) -> Pending<Status> {
        self.ask_async(receipt, "look up", |number, reply| Command::Look {
            number,
            reply,
        })
    }

    /// [`cancel`](Self::cancel) for an async program.
    ///
    /// # Durability
    /// None when this returns. As [`cancel`](Self::cancel) when the future resolves.
    ///
    /// # Errors
    /// All of them come with the future: as [`cancel`](Self::cancel), and where the inbox is full.
    pub fn cancel_async<J>(&self, receipt: &Receipt<J>) -> Pending<()> {
        self.ask_async(receipt, "cancel", |number, reply| Command::Cancel {
            number,
            reply,
        })
    }

    /// [`retry`](Self::retry) for an async program.
    ///
    /// # Durability
    /// None when this returns. As [`retry`](Self::retry) when the future resolves.
    ///
    /// # Errors
    /// All of them come with the future: as [`retry`](Self::retry), and where the inbox is full.
    pub fn retry_async<J>(&self, receipt: &Receipt<J>) -> Pending<()> {
        self.ask_async(receipt, "retry", |number, reply| Command::Retry {
            number,
            reply,
        })
    }

    /// [`amend`](Self::amend) for an async program.
    ///
    /// # Durability
    /// None when this returns. As [`amend`](Self::amend) when the future resolves.
    ///
    /// # Errors
    /// All of them come with the future: as [`amend`](Self::amend), and where the inbox is full.
    pub fn amend_async<J: Job>(&self, receipt: &Receipt<J>, job: &J) -> Pending<()> {
        let number = self.shared().check(receipt);
        let amendment = number.and_then(|number| self.shared().encode_amendment(number, job));
        self.amend_with(receipt, amendment)
    }

    /// The same, with a payload that the host has encoded and checked.
    #[cfg(feature = "http-server")]
    pub(crate) fn amend_encoded(
        &self,
        receipt: &Receipt,
        name: String,
        codec: Codec,
        payload: Vec<u8>,
    ) -> Pending<()> {
        let amendment = self
            .shared()
            .check(receipt)
            .and_then(|number| self.shared().amendment(number, vec![name], codec, payload));
        self.amend_with(receipt, amendment)
    }

    fn amend_with<J>(
        &self,
        receipt: &Receipt<J>,
        amendment: Result<Box<Amendment>, Error>,
    ) -> Pending<()> {
        match amendment {
            Ok(amendment) => self.ask_async(receipt, "amend", |number, reply| Command::Amend {
                number,
                amendment,
                reply,
            }),
            Err(refused) => Pending(Err(refused)),
        }
    }

    /// [`remove`](Self::remove) for an async program.
    ///
    /// # Durability
    /// None when this returns. As [`remove`](Self::remove) when the future resolves.
    ///
    /// # Errors
    /// All of them come with the future: as [`remove`](Self::remove), and where the inbox is full.
    pub fn remove_async<J>(&self, receipt: &Receipt<J>) -> Pending<()> {
        self.ask_async(receipt, "remove", |number, reply| Command::Remove {
            number,
            reply,
        })
    }

    /// [`counts`](Self::counts) for an async program.
    ///
    /// # Errors
    /// All of them come with the future: as [`counts`](Self::counts), and where the inbox is full.
    pub fn counts_async(&self) -> Pending<Counts> {
        let count = |reply| Command::Count { reply };
        self.shared().pending("count the jobs".into(), count)
    }

    /// [`paused`](Self::paused) for an async program.
    ///
    /// # Errors
    /// All of them come with the future: as [`paused`](Self::paused), and where the inbox is full.
    pub fn paused_async(&self) -> Pending<Vec<String>> {
        let paused = |reply| Command::Paused { reply };
        self.shared()
            .pending("list the paused queues".into(), paused)
    }

    /// [`pause`](Self::pause) for an async program.
    ///
    /// # Durability
    /// None when this returns. As [`pause`](Self::pause) when the future resolves.
    ///
    /// # Errors
    /// All of them come with the future: as [`pause`](Self::pause), and where the inbox is full.
    pub fn pause_async(&self, queue: &str) -> Pending<()> {
        let act = format!("pause queue `{queue}`");
        self.shared().pending(act, |reply| Command::Pause {
            queue: queue.into(),
            rest: None,
            reply,
        })
    }

    /// [`resume`](Self::resume) for an async program.
    ///
    /// # Durability
    /// None when this returns. As [`resume`](Self::resume) when the future resolves.
    ///
    /// # Errors
    /// All of them come with the future: as [`resume`](Self::resume), and where the inbox is full.
    pub fn resume_async(&self, queue: &str) -> Pending<()> {
        let act = format!("resume queue `{queue}`");
        self.shared().pending(act, |reply| Command::Resume {
            queue: queue.into(),
            reply,
        })
    }

    fn ask_async<J, T>(
        &self,
        receipt: &Receipt<J>,
        act: &str,
        command: impl FnOnce(JobNumber, Reply<T>) -> Command,
    ) -> Pending<T> {
        match self.shared().check(receipt) {
            Ok(number) => {
                let act = format!("{act} job {number}");
                self.shared().pending(act, |reply| command(number, reply))
            }
            Err(refused) => Pending(Err(refused)),
        }
    }
}

impl Shared {
    fn pending<T>(
        self: &Arc<Self>,
        act: String,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Pending<T> {
        let asked = self.inbox.leave(&act, WhenFull::Refuse, command);
        Pending(asked.map(|asked| Awaited {
            shared: Arc::clone(self),
            act,
            asked,
        }))
    }

    pub(crate) fn awaiting(
        self: &Arc<Self>,
        act: String,
        asked: Asked<Vec<JobNumber>>,
    ) -> Accepting {
        let (shared, own) = (Arc::clone(self), asked.first());
        let pending = Pending(Ok(Awaited {
            shared: Arc::clone(self),
            act,
            asked,
        }));
        Accepting::Asked(shared, own, pending)
    }
}
