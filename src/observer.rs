use crate::event::{
    Accepted, Degraded, Finished, Parked, Paused, Resumed, Retried, Started, Stuck, Suspected,
};

/// Hears what happens to jobs, for metrics and logs: see [`Builder::observer`](crate::Builder::observer).
/// What it does not implement it does not hear.
///
/// It is told after the commit that made something true, on a thread of its own, one event at a time:
/// those of one job in their order. Nobody waits for it, but a shutdown within its grace. It may call
/// the manager; one that keeps a handle of it keeps it from ending by itself. Its panics are caught.
///
/// Up to 4,096 events wait for it; what comes while so many do is [lost](Self::lost). So counts
/// kept here are for watching; [`Manager::counts`](crate::Manager::counts) and
/// [`Manager::jobs`](crate::Manager::jobs) tell the truth. What a start found is told by
/// [`Manager::recovery`](crate::Manager::recovery), and by no event but [`parked`](Self::parked).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use jobkeep::{Manager, MemoryStore, Observer, StateKind, event};
///
/// struct Failures(Arc<AtomicU64>);
///
/// impl Observer for Failures {
///     fn finished(&self, event: &event::Finished) {
///         if event.state() == StateKind::Failed {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let failures = Arc::new(AtomicU64::new(0));
/// let manager = Manager::builder(MemoryStore::new())
///     .observer(Failures(failures.clone()))
///     .start()?;
/// # Ok::<(), jobkeep::Error>(())
/// ```
pub trait Observer: Send + Sync {
    /// A job was accepted. Not told again where an idempotency key gave an existing job's receipt.
    fn accepted(&self, event: &Accepted) {
        let _ = event;
    }

    /// A worker begins an attempt, whose claim is durable; it may have begun before this is told. No
    /// event says that the process died meanwhile.
    fn started(&self, event: &Started) {
        let _ = event;
    }

    /// A job has reached its final state.
    fn finished(&self, event: &Finished) {
        let _ = event;
    }

    /// A job is to run again.
    fn retried(&self, event: &Retried) {
        let _ = event;
    }

    /// A job was set aside because it cannot run here: at its attempt, or by a start. A start that finds
    /// more than 1,000 such jobs tells the first 1,000, and counts all of them in
    /// [`Recovery::parked`](crate::Recovery::parked). Those whose payloads did not decode before are tried
    /// once more, and told then. A job that is *accepted* under a name without a handler is told by the
    /// next start only: a process that does nothing but queue has no others.
    fn parked(&self, event: &Parked) {
        let _ = event;
    }

    /// A start holds a job back, because processes died shortly after it had begun: see
    /// [`Builder::probation`](crate::Builder::probation). Where they go on to do so, it is
    /// [parked](Self::parked) in the end.
    fn suspected(&self, event: &Suspected) {
        let _ = event;
    }

    /// A job runs on after its attempt has been settled as timed out.
    fn stuck(&self, event: &Stuck) {
        let _ = event;
    }

    /// A queue was paused.
    fn paused(&self, event: &Paused) {
        let _ = event;
    }

    /// A queue was resumed.
    fn resumed(&self, event: &Resumed) {
        let _ = event;
    }

    /// The manager cannot write to its store. Not told again while it tries in vain, but where it has to
    /// stop in the end.
    fn degraded(&self, event: &Degraded) {
        let _ = event;
    }

    /// So many events were not told, after those that were: the observer was too slow.
    fn lost(&self, count: u64) {
        let _ = count;
    }
}
