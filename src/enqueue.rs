use std::time::Duration;

use crate::batch::unfold;
use crate::finished::{Completed, Finished};
use crate::{Batch, Draft, Error, IntoNewJob, Job, Receipt};

/// Anything that accepts jobs: the [`Manager`](crate::Manager) of this process, the `http::Client` of others, or
/// what you put in their place. Code that queues through `&dyn Enqueue` works with all of them.
///
/// Implementors give [`accept`](Enqueue::accept) and [`look_up`](Self::look_up); the typed calls on
/// `dyn Enqueue` are made of these.
///
/// ```
/// use jobkeep::{Enqueue, Error, Job, Receipt};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Mail { to: String }
/// # impl Job for Mail { const NAME: &'static str = "mail"; type Output = (); }
///
/// fn sign_up(queue: &dyn Enqueue, to: String) -> Result<Receipt<Mail>, Error> {
///     Mail { to }.execute(queue)
/// }
/// ```
pub trait Enqueue: Send + Sync {
    /// Accepts all of the drafts or none, in their order.
    ///
    /// # Durability
    /// As each receipt says, when this returns.
    ///
    /// # Errors
    /// Where one of the drafts cannot be accepted, or the acceptance cannot be made durable.
    fn accept(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, Error>;

    /// The finished job, waiting for it up to `patience`; `None` where it has not finished by then.
    ///
    /// Without patience a job that is parked is one that has not finished.
    ///
    /// # Errors
    /// Where the receipt is not of this place, or the job is not kept; where it is waited for and parked:
    /// [`Error::is_parked`].
    fn look_up(&self, receipt: &Receipt, patience: Duration) -> Result<Option<Finished>, Error>;
}

impl dyn Enqueue + '_ {
    /// Queues one job. See [`Manager::enqueue`](crate::Manager::enqueue).
    ///
    /// # Durability
    /// As its receipt says, when this returns.
    ///
    /// # Errors
    /// As [`accept`](Enqueue::accept), or where the job does not come back from its encoding:
    /// [`Error::is_codec`].
    pub fn enqueue<N: IntoNewJob>(&self, job: N) -> Result<Receipt<N::Job>, Error> {
        let receipts = self.accept(vec![job.into_new_job().draft()?])?;
        first(receipts).map(Receipt::typed)
    }

    /// Queues several jobs, all or none. See [`Manager::enqueue_all`](crate::Manager::enqueue_all).
    ///
    /// # Durability
    /// As each receipt says, when this returns.
    ///
    /// # Errors
    /// As [`accept`](Enqueue::accept), or where a job does not come back from its encoding.
    pub fn enqueue_all<N: IntoNewJob>(
        &self,
        jobs: impl IntoIterator<Item = N>,
    ) -> Result<Vec<Receipt<N::Job>>, Error> {
        let drafts = drafts(jobs)?;
        Ok(self
            .accept(drafts)?
            .into_iter()
            .map(Receipt::typed)
            .collect())
    }

    /// Queues jobs of several types, all or none. See [`Manager::enqueue_batch`](crate::Manager::enqueue_batch).
    ///
    /// # Durability
    /// As each receipt says, when this returns.
    ///
    /// # Errors
    /// As [`accept`](Enqueue::accept), or where a job does not come back from its encoding.
    pub fn enqueue_batch<B: Batch>(&self, batch: B) -> Result<B::Receipts, Error> {
        let (drafts, take) = unfold(batch)?;
        take(&mut self.accept(drafts)?.into_iter())
    }

    /// The job, if it has finished. See [`Manager::completed`](crate::Manager::completed).
    ///
    /// # Errors
    /// As [`look_up`](Enqueue::look_up), or where it is no `J`.
    pub fn completed<J: Job>(&self, receipt: &Receipt<J>) -> Result<Option<Completed<J>>, Error> {
        self.look_up(&receipt.untyped(), Duration::ZERO)?
            .map(Completed::new)
            .transpose()
    }

    /// The job, as soon as it has finished. See [`Manager::wait`](crate::Manager::wait).
    ///
    /// # Errors
    /// As [`completed`](#method.completed), and where it has not finished within `patience`:
    /// [`Error::is_timed_out`].
    pub fn wait<J: Job>(
        &self,
        receipt: &Receipt<J>,
        patience: Duration,
    ) -> Result<Completed<J>, Error> {
        match self.look_up(&receipt.untyped(), patience)? {
            Some(finished) => Completed::new(finished),
            None => Err(Error::impatient(receipt.number(), patience.as_millis())),
        }
    }
}

/// The drafts of a batch.
pub(crate) fn drafts<N: IntoNewJob>(
    jobs: impl IntoIterator<Item = N>,
) -> Result<Vec<Draft>, Error> {
    let draft = |(index, job): (usize, N)| {
        let draft = job.into_new_job().draft();
        draft.map_err(|error| error.of_batch(index))
    };
    jobs.into_iter().enumerate().map(draft).collect()
}

/// The one receipt of a batch of one.
pub(crate) fn first(receipts: Vec<Receipt>) -> Result<Receipt, Error> {
    let given = receipts.len();
    receipts.into_iter().next().ok_or_else(|| {
        Error::host(
            "enqueue one job",
            format_args!("{given} receipts came back"),
        )
    })
}
