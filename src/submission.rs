use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use jobkeep_store::{Durability, JobNumber};

use crate::enqueue::first;
use crate::manager::awaited::Accepting;
use crate::runtime::{Asked, Command, Shared, WhenFull};
use crate::sync::Arc;
use crate::{Draft, Error, IntoNewJob, Job, Manager, Receipt};

/// A job on its way into the store: [wait](Self::wait) for its receipt, or await it.
///
/// It resolves when the job is accepted, to the degree that [`Receipt::durability`] names, or with
/// the reason why it is not. Awaited again, it gives the same answer again. Dropping it does not
/// take the job back: the job is accepted all the same, and nobody learns whether it was.
///
/// The future needs no particular executor: it only calls its waker, on the manager's thread.
#[must_use = "whether the job was accepted shows when this is waited for or awaited"]
pub struct Submission<J> {
    stage: Stage,
    job: PhantomData<fn() -> J>,
}

enum Stage {
    Asked(Arc<Shared>, Asked<Vec<JobNumber>>),
    Answered(Result<Receipt, Error>),
}

/// Jobs that the inbox has.
enum Left {
    /// Whether they are accepted, the committer will say.
    Asked(Asked<Vec<JobNumber>>),
    Accepted(Vec<Receipt>),
}

impl Manager {
    /// Queues a job, or a [`NewJob`](crate::NewJob) with its options, and returns at once with a handle that
    /// resolves when the job is accepted. Never blocks: where the inbox is full, the handle resolves
    /// to an error of which [`Error::is_full`] is true. One thread may have many submissions
    /// outstanding; they share commits.
    ///
    /// ```
    /// # use jobkeep::{Error, Job, Manager, MemoryStore};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Mail { to: String }
    /// # impl Job for Mail { const NAME: &'static str = "mail"; type Output = (); }
    /// # let manager = Manager::builder(MemoryStore::new()).start()?;
    /// let mails = ["ada", "grace"].map(|name| manager.submit(Mail { to: name.into() }));
    /// for mail in mails {
    ///     let receipt = mail.wait()?;                         // or `mail.await?`
    ///     println!("{receipt}");
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Durability
    /// None when this returns. As [`enqueue`](Self::enqueue) when the submission resolves, which a
    /// buffered job's does at once.
    ///
    /// # Errors
    /// All of them come with the submission: as [`enqueue`](Self::enqueue), and where the inbox is
    /// full.
    #[doc(alias("enqueue_async"))]
    pub fn submit<N: IntoNewJob>(&self, job: N) -> Submission<N::Job> {
        let draft = job.into_new_job().draft();
        let stage = draft.and_then(|draft| {
            let shared = self.shared();
            let left = shared.leave(vec![draft], &Act::one::<N::Job>(), WhenFull::Refuse)?;
            Ok(match left {
                Left::Asked(asked) => Stage::Asked(Arc::clone(shared), asked),
                Left::Accepted(receipts) => Stage::Answered(first(receipts)),
            })
        });
        Submission {
            stage: stage.unwrap_or_else(|refused| Stage::Answered(Err(refused))),
            job: PhantomData,
        }
    }
}

impl<J: Job> Submission<J> {
    /// Blocks until the job is accepted.
    ///
    /// # Durability
    /// As [`Manager::enqueue`].
    ///
    /// # Errors
    /// As [`Manager::submit`].
    pub fn wait(self) -> Result<Receipt<J>, Error> {
        let answer = match self.stage {
            Stage::Asked(shared, asked) => {
                let first = asked.first();
                receipt(&shared, first, asked.wait(&Act::one::<J>(), &shared.inbox))
            }
            Stage::Answered(answer) => answer,
        };
        answer.map(Receipt::typed)
    }
}

impl<J: Job> Future for Submission<J> {
    type Output = Result<Receipt<J>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.stage {
            Stage::Asked(shared, asked) => {
                let numbers = ready!(asked.poll(&Act::one::<J>(), &shared.inbox, context.waker()));
                receipt(shared, asked.first(), numbers)
            }
            Stage::Answered(answer) => answer.clone(),
        };
        self.stage = Stage::Answered(answer.clone());
        Poll::Ready(answer.map(Receipt::typed))
    }
}

impl<J> fmt::Debug for Submission<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stage {
            Stage::Asked(..) => f.write_str("Submission(outstanding)"),
            Stage::Answered(answer) => f.debug_tuple("Submission").field(answer).finish(),
        }
    }
}

fn receipt(
    shared: &Shared,
    own: JobNumber,
    numbers: Result<Vec<JobNumber>, Error>,
) -> Result<Receipt, Error> {
    first(shared.receipts(own, numbers?))
}

/// What is done, as errors name it: written out where one does.
enum Act {
    Job(Cow<'static, str>),
    Jobs(usize),
}

impl Act {
    fn one<J: Job>() -> Self {
        Self::Job(J::NAME.into())
    }

    fn of(drafts: &[Draft]) -> Self {
        match drafts {
            [only] => Self::Job(only.name.clone()),
            many => Self::Jobs(many.len()),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(name) => write!(f, "enqueue job `{name}`"),
            Self::Jobs(count) => write!(f, "enqueue {count} jobs"),
        }
    }
}

impl Shared {
    /// Has the drafts accepted.
    pub(crate) fn accept(
        &self,
        drafts: Vec<Draft>,
        when_full: WhenFull,
    ) -> Result<Vec<Receipt>, Error> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let act = Act::of(&drafts);
        match self.leave(drafts, &act, when_full)? {
            Left::Asked(asked) => {
                let own = asked.first();
                Ok(self.receipts(own, asked.wait(&act, &self.inbox)?))
            }
            Left::Accepted(receipts) => Ok(receipts),
        }
    }

    /// Has the drafts accepted, for who does not block. Never waits for room.
    pub(crate) fn accepting(self: &Arc<Self>, drafts: Vec<Draft>) -> Accepting {
        let act = Act::of(&drafts);
        match self.leave(drafts, &act, WhenFull::Refuse) {
            Ok(Left::Asked(asked)) => self.awaiting(act.to_string(), asked),
            Ok(Left::Accepted(receipts)) => Accepting::Answered(Ok(receipts)),
            Err(refused) => Accepting::Answered(Err(refused)),
        }
    }

    /// Encodes the drafts on this thread and leaves them for the committer.
    fn leave(&self, drafts: Vec<Draft>, act: &Act, when_full: WhenFull) -> Result<Left, Error> {
        let is_buffered = drafts.iter().all(|draft| self.is_buffered(draft));
        let count = drafts.len() as u64;
        let jobs = self.encode(drafts)?;
        if !is_buffered {
            let accept = |reply| Command::accept(jobs, reply);
            return Ok(Left::Asked(self.inbox.leave(act, when_full, accept)?));
        }
        let first = self.inbox.leave_jobs(act, when_full, jobs)?;
        let numbers = (first.0..first.0.saturating_add(count)).map(JobNumber);
        let receipts = numbers.map(|number| Receipt::new(Arc::clone(&self.buffered), number));
        Ok(Left::Accepted(receipts.collect()))
    }

    /// The job is accepted without its commit. Only a commit tells who holds a key.
    fn is_buffered(&self, draft: &Draft) -> bool {
        let durability = draft.durability.unwrap_or(self.config.durability);
        draft.key.is_none() && durability == Durability::Buffered
    }

    /// `own` is the number that the first of them has if it is new, and so on.
    pub(crate) fn receipts(&self, own: JobNumber, numbers: Vec<JobNumber>) -> Vec<Receipt> {
        let receipts = numbers.into_iter().zip(own.0..).map(|(number, own)| {
            let receipt = self.receipt_of(number);
            receipt.of_existing(number.0 != own)
        });
        receipts.collect()
    }
}
