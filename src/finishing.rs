use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::runtime::Attending;
use crate::{Completed, Error, Job, Manager, Receipt};

/// A job whose end is awaited: see [`Manager::finished`].
///
/// It keeps neither the manager nor a thread. Left alone, polled or not, it holds up no shutdown;
/// dropping it ends the wait and changes nothing about the job. Awaited again after it resolved, it
/// looks for the job again.
///
/// The future needs no particular executor. Its first poll, and the one after the job's end, read
/// the job from the store on the thread that polls; no other poll does.
#[must_use = "whether and how the job ended shows when this is awaited"]
pub struct Finishing<J> {
    /// Or why nobody can wait for the job.
    attending: Result<Attending, Error>,
    job: PhantomData<fn() -> J>,
}

impl Manager {
    /// The job, as soon as it has finished: [`wait`](Self::wait) for an async program, without
    /// patience, because whoever loses it drops the future. Each costs memory and no thread.
    ///
    /// # Errors
    /// All of them come with the future: as [`completed`](Self::completed); where the job is parked, or
    /// becomes so, [`Error::is_parked`]; where the manager ended before the job did.
    pub fn finished<J: Job>(&self, receipt: &Receipt<J>) -> Finishing<J> {
        let number = self.shared().check(receipt);
        Finishing {
            attending: number.and_then(|number| Attending::new(self.shared(), number)),
            job: PhantomData,
        }
    }
}

impl<J: Job> Future for Finishing<J> {
    type Output = Result<Completed<J>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.attending {
            Ok(attending) => attending
                .poll(context.waker())
                .map(|finished| Completed::new(finished?)),
            Err(refused) => Poll::Ready(Err(refused.clone())),
        }
    }
}

impl<J> fmt::Debug for Finishing<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.attending {
            Ok(attending) => write!(f, "Finishing(job {})", attending.job()),
            Err(refused) => f.debug_tuple("Finishing").field(refused).finish(),
        }
    }
}
