//! The only file that reads time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jobkeep_store::Timestamp;

use crate::retry::millis;
use crate::sync::Arc;

/// No span is longer where one is added to an instant of the operating system, which would overflow on some of
/// them: a user's `Duration::MAX` is *no limit*.
#[cfg(any(
    feature = "http-server",
    feature = "http-client",
    feature = "http-call"
))]
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// A moment by the steady clock: the wall clock's reading when the clock was made, plus the
/// monotonic time since. It never steps and never goes back.
///
/// Delays are counted by it and [`Timestamp`]s asked for by the wall clock; the two types do not
/// convert into each other. Where no step was made both show the same number, so that a delay
/// recorded by one process is understood by the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Steady(pub(crate) u64);

impl Steady {
    /// So much later, to the next millisecond: what is to come after a span does not come before it.
    pub(crate) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// How long it is after `earlier`; zero where it is not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// One moment by both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    pub(crate) wall: Timestamp,
    pub(crate) steady: Steady,
}

/// Something that waits by a clock, to be woken when a manual one moves.
pub(crate) trait Wake: Send + Sync {
    #[cfg_attr(
        not(feature = "testing"),
        allow(dead_code, reason = "only a manual clock wakes")
    )]
    fn wake(&self);
}

/// Where the time comes from.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    System {
        start: Instant,
        start_wall: Timestamp,
    },
    #[cfg(feature = "testing")]
    Manual(crate::testing::ManualClock),
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the file that reads time"
    )]
    pub(crate) fn system() -> Self {
        Self::System {
            start: Instant::now(),
            start_wall: wall(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        match self {
            Self::System { start, start_wall } => Now {
                wall: wall(),
                steady: Steady(start_wall.after(start.elapsed()).0),
            },
            #[cfg(feature = "testing")]
            Self::Manual(clock) => clock.now(),
        }
    }

    /// The end of a sleep of a millisecond at most; `None` by a manual clock, whose sleep would not
    /// end.
    pub(crate) fn nap(&self) -> Option<Steady> {
        let end = self.now().steady.after(Duration::from_millis(1));
        self.instant(end).map(|_| end)
    }

    /// A sleep that began at `slept` and was to end at `asked`, at the latest, has ended so much too late that
    /// the process itself was not there: for so long at most.
    pub(crate) fn absence(&self, slept: Steady, asked: Steady) -> Option<Duration> {
        /// A busy machine lets a thread wait too.
        const TOO_LATE: Duration = Duration::from_secs(1);
        match self {
            Self::System { .. } => {
                let now = self.now().steady;
                let is_too_late = slept <= asked && now.since(asked) > TOO_LATE;
                is_too_late.then(|| now.since(slept))
            }
            #[cfg(feature = "testing")]
            Self::Manual(clock) => clock.take_stopped(),
        }
    }

    /// Names somebody who waits by this clock. The system's needs not know.
    pub(crate) fn tell<W: Wake + 'static>(&self, waiter: &Arc<W>) {
        let _ = waiter;
        match self {
            Self::System { .. } => {}
            #[cfg(feature = "testing")]
            Self::Manual(clock) => clock.tell(waiter),
        }
    }

    /// Until when the operating system should let a thread sleep that waits for `moment`; `None`
    /// where somebody wakes it instead.
    pub(crate) fn instant(&self, moment: Steady) -> Option<Instant> {
        match self {
            Self::System { start, start_wall } => {
                start.checked_add(Duration::from_millis(moment.0.saturating_sub(start_wall.0)))
            }
            #[cfg(feature = "testing")]
            Self::Manual(_) => None,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the file that reads time"
)]
fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::default().after(since)
}
