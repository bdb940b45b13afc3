use crate::event::{
    Accepted, Degraded, Event, Finished, Lost, Parked, Paused, Recovered, Resumed, Retried,
    Snoozed, Started, Stuck, Suspected,
};

/// Hears what happens to jobs, for metrics and logs: see [`Builder::observer`](crate::Builder::observer).
/// Every method defaults to doing nothing.
///
/// It is told after the commit that made something true, on a thread of its own, one event at a time:
/// those of one job in their order. Nobody waits for it, but a shutdown within its grace. It may call
/// the manager; one that keeps a handle of it keeps it from ending by itself. Its panics are caught.
///
/// It never holds anybody up, so it may be too slow. While 4,096 events or more wait for it, those of the
/// next commits are [lost](Self::lost), each commit's as a whole, and it is told how many of each kind:
/// what it has heard and what was lost always add up. Before that the events of any one commit find room,
/// a batch of 10,000 jobs included. What a start found is told by
/// [`Manager::recovery`](crate::Manager::recovery), and by no event but [`parked`](Self::parked).
///
/// A closure that takes an [`Event`] is an observer too:
///
/// ```
/// use jobkeep::event::Event;
/// use jobkeep::{Manager, MemoryStore};
///
/// let manager = Manager::builder(MemoryStore::new())
///     .observer(|event: &Event| println!("{event:?}"))
///     .start()?;
/// # Ok::<(), jobkeep::Error>(())
/// ```
///
/// and one that counts:
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
///
///     fn lost(&self, event: &event::Lost) {
///         self.0.fetch_add(event.finished(StateKind::Failed), Ordering::Relaxed);
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
    /// Any event: hands it to the method of its kind, below.
    fn event(&self, event: &Event) {
        match event {
            Event::Accepted(event) => self.accepted(event),
            Event::Started(event) => self.started(event),
            Event::Finished(event) => self.finished(event),
            Event::Retried(event) => self.retried(event),
            Event::Snoozed(event) => self.snoozed(event),
            Event::Parked(event) => self.parked(event),
            Event::Suspected(event) => self.suspected(event),
            Event::Stuck(event) => self.stuck(event),
            Event::Paused(event) => self.paused(event),
            Event::Resumed(event) => self.resumed(event),
            Event::Degraded(event) => self.degraded(event),
            Event::Recovered(event) => self.recovered(event),
            Event::Lost(event) => self.lost(event),
        }
    }

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

    /// A job is to run again: its attempt failed, or somebody retried it.
    fn retried(&self, event: &Retried) {
        let _ = event;
    }

    /// A job put itself off.
    fn snoozed(&self, event: &Snoozed) {
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

    /// The store takes again what is written to it.
    fn recovered(&self, event: &Recovered) {
        let _ = event;
    }

    /// So many events of each kind were not told, after those that were: the observer was too slow.
    fn lost(&self, event: &Lost) {
        let _ = event;
    }
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// Which events are made at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Nobody hears of any.
    #[default]
    Nothing,
    /// Only of what [somebody should look at](Event::is_trouble): the log.
    Trouble,
    /// Of all.
    All,
}

impl Interest {
    pub(crate) fn hears(self, is_trouble: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Trouble => is_trouble,
            Self::All => true,
        }
    }
}
