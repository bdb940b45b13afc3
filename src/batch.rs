use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::manager::awaited::Accepting;
use crate::{Draft, Error, Job, Manager, NewJob, Receipt};

/// Jobs that are accepted in one commit, all or none, whatever their types: a tuple of up to eight of
/// them, each a job, a [`NewJob`], a `Vec` of either, or a tuple again. Their receipts come back in the
/// same shape.
///
/// ```
/// use std::time::Duration;
/// use jobkeep::{Error, Job, Manager, MemoryStore, NewJob};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Invoice { order: u64 }
/// # #[derive(Serialize, Deserialize)] struct Pick { item: String }
/// # #[derive(Serialize, Deserialize)] struct Mail { order: u64 }
/// # impl Job for Invoice { const NAME: &'static str = "invoice"; type Output = String; }
/// # impl Job for Pick { const NAME: &'static str = "pick"; type Output = (); }
/// # impl Job for Mail { const NAME: &'static str = "mail"; type Output = (); }
/// fn check_out(manager: &Manager, order: u64, items: Vec<String>) -> Result<String, Error> {
///     let picks: Vec<_> = items.into_iter().map(|item| Pick { item }).collect();
///     let mail = NewJob::new(Mail { order }).delay(Duration::from_secs(60));
///     let (invoice, _picks, _mail) = manager.enqueue_batch((Invoice { order }, picks, mail))?;
///     Ok(invoice.to_string())                      // a `Receipt<Invoice>`
/// }
/// # let manager = Manager::builder(MemoryStore::new()).start()?;
/// # check_out(&manager, 7, vec!["book".into(), "pen".into()])?;
/// # Ok::<(), Error>(())
/// ```
///
/// A batch whose types are known only at run time is a `Vec` of [`Draft`]s, whose receipts make no claim
/// about types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no batch of jobs",
    note = "a batch is a job, a `NewJob`, a `Vec` of them, or a tuple of up to eight of these"
)]
pub trait Batch {
    /// Their receipts.
    type Receipts: Send + 'static;

    /// Adds its jobs, and says how their receipts are taken.
    #[doc(hidden)]
    fn unfold(self, drafts: &mut Vec<Draft>) -> Result<Take<Self::Receipts>, Error>;
}

/// Takes as many receipts as there were jobs.
#[doc(hidden)]
pub type Take<R> =
    Box<dyn FnOnce(&mut dyn Iterator<Item = Receipt>) -> Result<R, Error> + Send + 'static>;

impl<J: Job> Batch for J {
    type Receipts = Receipt<J>;

    fn unfold(self, drafts: &mut Vec<Draft>) -> Result<Take<Receipt<J>>, Error> {
        NewJob::new(self).unfold(drafts)
    }
}

impl<J: Job> Batch for NewJob<J> {
    type Receipts = Receipt<J>;

    fn unfold(self, drafts: &mut Vec<Draft>) -> Result<Take<Receipt<J>>, Error> {
        let index = drafts.len();
        drafts.push(self.draft().map_err(|error| error.of_batch(index))?);
        Ok(Box::new(|receipts| next(receipts).map(Receipt::typed)))
    }
}

impl Batch for Draft {
    type Receipts = Receipt;

    fn unfold(self, drafts: &mut Vec<Draft>) -> Result<Take<Receipt>, Error> {
        drafts.push(self);
        Ok(Box::new(next))
    }
}

impl<B: Batch> Batch for Vec<B> {
    type Receipts = Vec<B::Receipts>;

    fn unfold(self, drafts: &mut Vec<Draft>) -> Result<Take<Self::Receipts>, Error> {
        let parts = self.into_iter().map(|part| part.unfold(drafts));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        Ok(Box::new(|receipts| {
            parts.into_iter().map(|part| part(receipts)).collect()
        }))
    }
}

macro_rules! tuples {
    ($($part:ident)+) => {
        impl<$($part: Batch),+> Batch for ($($part,)+) {
            type Receipts = ($($part::Receipts,)+);

            fn unfold(self, drafts: &mut Vec<Draft>) -> Result<Take<Self::Receipts>, Error> {
                #[expect(non_snake_case, reason = "named as its type")]
                let ($($part,)+) = self;
                let parts = ($($part.unfold(drafts)?,)+);
                Ok(Box::new(|receipts| {
                    #[expect(non_snake_case, reason = "named as its type")]
                    let ($($part,)+) = parts;
                    Ok(($($part(receipts)?,)+))
                }))
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);

fn next(receipts: &mut dyn Iterator<Item = Receipt>) -> Result<Receipt, Error> {
    let missing = || Error::host("enqueue a batch", "a job of it has no receipt");
    receipts.next().ok_or_else(missing)
}

/// The batch as drafts, and how its receipts are taken.
pub(crate) fn unfold<B: Batch>(batch: B) -> Result<(Vec<Draft>, Take<B::Receipts>), Error> {
    let mut drafts = Vec::new();
    let take = batch.unfold(&mut drafts)?;
    Ok((drafts, take))
}

/// A batch on its way into the store: await it for its receipts. See
/// [`Manager::submit_batch`].
///
/// Dropping it does not take the batch back: it is accepted all the same, and nobody learns whether it was.
#[must_use = "whether the batch was accepted shows when this is awaited"]
pub struct BatchSubmission<R> {
    accepting: Accepting,
    take: Result<Option<Take<R>>, Error>,
}

impl Manager {
    /// Queues jobs of several types in one commit, all or none, and returns at once with a future of their
    /// receipts: [`enqueue_batch`](Self::enqueue_batch) for an async program. Never blocks: where the inbox
    /// is full, the future resolves to an error of which [`Error::is_full`] is true.
    ///
    /// # Durability
    /// None when this returns. As [`enqueue`](Self::enqueue) when the future resolves.
    ///
    /// # Errors
    /// All of them come with the future: as [`enqueue_batch`](Self::enqueue_batch), and where the inbox is
    /// full.
    pub fn submit_batch<B: Batch>(&self, batch: B) -> BatchSubmission<B::Receipts> {
        match unfold(batch) {
            Ok((drafts, take)) => BatchSubmission {
                accepting: self.accepting(drafts),
                take: Ok(Some(take)),
            },
            Err(refused) => BatchSubmission {
                accepting: Accepting::Answered(Ok(Vec::new())),
                take: Err(refused),
            },
        }
    }
}

impl<R> Future for BatchSubmission<R> {
    type Output = Result<R, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let receipts = ready!(Pin::new(&mut self.accepting).poll(context));
        let taken = match &mut self.take {
            Ok(take) => take.take(),
            Err(refused) => return Poll::Ready(Err(refused.clone())),
        };
        let again = || Error::host("enqueue a batch", "its receipts were given before");
        Poll::Ready(receipts.and_then(|receipts| {
            let take = taken.ok_or_else(again)?;
            take(&mut receipts.into_iter())
        }))
    }
}

// Nothing of it is pinned.
impl<R> Unpin for BatchSubmission<R> {}

impl<R> fmt::Debug for BatchSubmission<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchSubmission").finish_non_exhaustive()
    }
}
