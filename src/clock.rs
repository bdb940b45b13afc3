//! The only file that reads time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jobkeep_store::{Clocks, Due, State, Timestamp};

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

/// A moment by the steady clock, which never steps and never goes back. A manager's
/// [goes on](Clock::going_on) where that of its store stood, so that what one process has recorded means the
/// same to the next.
///
/// Delays and ages are counted by it, and moments that somebody asked for by the wall clock:
/// [`Timestamp`]s. The two show different numbers; [`Now::shown`] says what the wall clock is to show at a
/// steady moment. Records keep either as a [`Timestamp`], and say which.
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

    /// As records keep it.
    pub(crate) fn kept(self) -> Timestamp {
        Timestamp(self.0)
    }

    /// As a record has kept it.
    pub(crate) fn of(kept: Timestamp) -> Self {
        Self(kept.0)
    }
}

/// One moment by both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    pub(crate) wall: Timestamp,
    pub(crate) steady: Steady,
    /// How many milliseconds the wall clock shows more, but for what the two differ by from one look to the
    /// next.
    shift: i64,
}

impl Now {
    pub(crate) fn new(wall: Timestamp, steady: Steady) -> Self {
        Self {
            wall,
            steady,
            shift: shift(wall, steady),
        }
    }

    /// What the wall clock shows at this steady moment, if nobody sets it meanwhile.
    pub(crate) fn shown(self, moment: Steady) -> Timestamp {
        Timestamp(moment.0.saturating_add_signed(self.shift))
    }

    /// When a job becomes due that was accepted then, as the wall clock is to show it.
    pub(crate) fn shown_due(self, state: &State, created: Timestamp) -> Option<Timestamp> {
        match *state {
            State::Scheduled { due, by: Due::Wall } => Some(due),
            State::Scheduled {
                due,
                by: Due::Delay,
            } => Some(self.shown(Steady::of(due)).max(created)),
            _ => None,
        }
    }
}

fn shift(wall: Timestamp, steady: Steady) -> i64 {
    let shift = i128::from(wall.0) - i128::from(steady.0);
    i64::try_from(shift).unwrap_or_default()
}

/// The clocks have moved apart, or towards each other, by more than they do while nobody sets them.
const STEP_MS: u64 = 100;

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
        /// Any moment,
        start: Instant,
        /// and what the steady clock showed then.
        base: Steady,
        /// The last [`Now::shift`].
        shift: Arc<AtomicI64>,
    },
    #[cfg(feature = "testing")]
    Manual {
        clock: crate::testing::ManualClock,
        /// How far its steady clock shows more than the manual one, wrapping around.
        ahead: u64,
    },
}

impl Clock {
    pub(crate) fn system() -> Self {
        Self::started(Steady::of(wall()))
    }

    /// The system's, whose steady moments begin with this one.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the file that reads time"
    )]
    fn started(base: Steady) -> Self {
        Self::System {
            start: Instant::now(),
            base,
            shift: Arc::new(AtomicI64::new(shift(wall(), base))),
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn manual(clock: crate::testing::ManualClock) -> Self {
        Self::Manual { clock, ahead: 0 }
    }

    /// The clock of a new opening of a store whose clocks were last known to show `last`.
    pub(crate) fn going_on(&self, last: Option<Clocks>) -> Self {
        let steady = steady_after(last, self.now().wall);
        match self {
            Self::System { .. } => Self::started(steady),
            #[cfg(feature = "testing")]
            Self::Manual { clock, .. } => Self::Manual {
                clock: clock.clone(),
                ahead: steady.0.wrapping_sub(clock.now().steady.0),
            },
        }
    }

    pub(crate) fn now(&self) -> Now {
        match self {
            Self::System { start, base, shift } => {
                let mut now = Now::new(wall(), base.after(start.elapsed()));
                let last = shift.load(Ordering::Relaxed);
                if now.shift.abs_diff(last) < STEP_MS {
                    now.shift = last;
                } else {
                    shift.store(now.shift, Ordering::Relaxed);
                }
                now
            }
            #[cfg(feature = "testing")]
            Self::Manual { clock, ahead } => {
                let now = clock.now();
                Now::new(now.wall, Steady(now.steady.0.wrapping_add(*ahead)))
            }
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
            Self::Manual { clock, .. } => clock.take_stopped(),
        }
    }

    /// Names somebody who waits by this clock. The system's needs not know.
    pub(crate) fn tell<W: Wake + 'static>(&self, waiter: &Arc<W>) {
        let _ = waiter;
        match self {
            Self::System { .. } => {}
            #[cfg(feature = "testing")]
            Self::Manual { clock, .. } => clock.tell(waiter),
        }
    }

    /// Until when the operating system should let a thread sleep that waits for `moment`; `None`
    /// where somebody wakes it instead.
    pub(crate) fn instant(&self, moment: Steady) -> Option<Instant> {
        match self {
            Self::System { start, base, .. } => start.checked_add(moment.since(*base)),
            #[cfg(feature = "testing")]
            Self::Manual { .. } => None,
        }
    }
}

/// What the steady clock of a store shows when somebody opens it: since its clocks were last known, as much
/// time has passed as the wall clock says. That one may have been set, but no time has gone backwards.
pub(crate) fn steady_after(last: Option<Clocks>, wall: Timestamp) -> Steady {
    match last {
        Some(last) => Steady::of(last.steady).after(wall.since(last.wall)),
        None => Steady::of(wall),
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
