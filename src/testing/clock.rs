use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use jobkeep_store::Timestamp;

use crate::clock::{Now, Steady, Wake};
use crate::sync::{Arc, Mutex};

/// A clock that only moves when told, and then wakes everybody who waits by it.
///
/// ```
/// # use jobkeep::{Job, Manager, MemoryStore, NewJob, StateKind};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Mail { to: String }
/// # impl Job for Mail { const NAME: &'static str = "mail"; type Output = (); }
/// use std::time::Duration;
/// use jobkeep::testing::ManualClock;
///
/// let clock = ManualClock::new();
/// let manager = Manager::builder(MemoryStore::new())
///     .handle::<Mail>(|_, _| Ok(()))
///     .clock(clock.clone())
///     .start()?;
/// let mail = Mail { to: "ada@example.org".into() };
/// let receipt = manager.enqueue(NewJob::new(mail).delay(Duration::from_secs(3600)))?;
/// assert_eq!(manager.status(&receipt)?.state(), StateKind::Scheduled);
/// clock.advance(Duration::from_secs(3600));
/// manager.wait(&receipt, Duration::from_secs(1))?.output().unwrap();
/// # Ok::<(), jobkeep::Error>(())
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Inner>);

struct Inner {
    now: Mutex<Now>,
    /// For how long the process was stopped, as far as it has not noticed.
    stopped: Mutex<Option<Duration>>,
    waiters: Mutex<Vec<Weak<dyn Wake>>>,
}

impl ManualClock {
    /// A clock that stands at some fixed moment.
    pub fn new() -> Self {
        const START: u64 = 1_700_000_000_000;
        let now = Now::new(Timestamp(START), Steady(START));
        Self(Arc::new(Inner {
            now: Mutex::new(now),
            stopped: Mutex::default(),
            waiters: Mutex::default(),
        }))
    }

    /// Lets time pass.
    pub fn advance(&self, span: Duration) {
        self.change(|now| {
            *now = Now::new(now.wall.after(span), now.steady.after(span));
        });
    }

    /// Lets time pass while the process is not there: stopped by a signal, or frozen with its container.
    pub fn advance_stopped(&self, span: Duration) {
        *self.0.stopped.lock() = Some(span);
        self.advance(span);
    }

    /// Sets the wall clock, as an administrator or a time server does. No time passes, so that a
    /// manager that sleeps towards a moment of the wall clock notices as it does by the system's clock:
    /// when somebody next asks it for something, or when 30 seconds have passed.
    pub fn set_wall(&self, wall: Timestamp) {
        self.change(|now| now.wall = wall);
    }

    /// The wall clock's reading.
    pub fn wall(&self) -> Timestamp {
        self.now().wall
    }

    pub(crate) fn take_stopped(&self) -> Option<Duration> {
        self.0.stopped.lock().take()
    }

    pub(crate) fn now(&self) -> Now {
        *self.0.now.lock()
    }

    pub(crate) fn tell<W: Wake + 'static>(&self, waiter: &Arc<W>) {
        let waiter: Weak<W> = Arc::downgrade(waiter);
        let mut waiters = self.0.waiters.lock();
        waiters.retain(|waiter| waiter.strong_count() > 0);
        waiters.push(waiter);
    }

    fn change(&self, act: impl FnOnce(&mut Now)) {
        act(&mut self.0.now.lock());
        let waiters: Vec<_> = self
            .0
            .waiters
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for waiter in waiters {
            waiter.wake();
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}
