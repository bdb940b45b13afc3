//! The jobs: most end well, and some do whatever else a job may do.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use jobkeep::{Builder, Context, Job, JobError, NewJob, Policy, Priority};
use serde::{Deserialize, Serialize};

use crate::bounds::LIMIT;
use crate::dice::Dice;
use crate::pace::Pace;
use crate::tally::{ENDED, Tally};

pub(crate) const TIMEOUT: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Plain,
    /// Its first attempt ends with an error.
    Fails,
    /// Fails for ever.
    Never,
    Snoozes,
    /// Its first attempt panics.
    Panics,
    /// Stays beyond its time-out, and then returns.
    Overruns,
    /// As large as it may be.
    Huge,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) kind: Kind,
    runs: u32,
    filler: String,
}

impl Job for Work {
    const NAME: &'static str = "work";
    const POLICY: Policy = Policy::new()
        .queue("small")
        .attempts(3)
        .backoff(Duration::from_millis(5), Duration::from_millis(50));
    type Output = usize;
}

/// Runs by their kinds.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) plain: AtomicUsize,
    pub(crate) with_error: AtomicUsize,
    pub(crate) snoozed: AtomicUsize,
    pub(crate) panicked: AtomicUsize,
    pub(crate) overran: AtomicUsize,
    pub(crate) huge: AtomicUsize,
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = |runs: &AtomicUsize| runs.load(Ordering::Relaxed);
        write!(
            f,
            "runs: {} plain, {} huge, {} with an error, {} snoozed, {} panicked, {} beyond their time-outs",
            runs(&self.plain),
            runs(&self.huge),
            runs(&self.with_error),
            runs(&self.snoozed),
            runs(&self.panicked),
            runs(&self.overran),
        )
    }
}

/// What the jobs of all openings have in common.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) tally: Tally,
    pub(crate) runs: Runs,
    /// So many microseconds a plain job takes at least.
    pub(crate) takes_us: AtomicU64,
    /// Of the jobs: it never ends.
    pub(crate) time: Pace,
}

/// What a planned panic carries, so that nobody need read of it.
struct Planned;

/// Says nothing of the panics that are part of the load.
pub(crate) fn hush() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.payload().is::<Planned>() {
            before(panic);
        }
    }));
}

impl Work {
    pub(crate) fn new(kind: Kind, filler: usize) -> Self {
        Self {
            kind,
            runs: 0,
            filler: "x".repeat(filler),
        }
    }

    /// A job of any kind but a huge one, with its queue.
    pub(crate) fn any(dice: &mut Dice) -> NewJob<Self> {
        let kind = match dice.below(32) {
            0 | 1 => Kind::Fails,
            2 => Kind::Never,
            3 | 4 => Kind::Snoozes,
            5 => Kind::Panics,
            6 if dice.one_in(4) => Kind::Overruns,
            _ => Kind::Plain,
        };
        let filler = [0, 40, 600, 3_000][dice.below(4)];
        let priority = [Priority::Low, Priority::Normal, Priority::Urgent][dice.below(3)];
        let job = NewJob::new(Self::new(kind, filler)).priority(priority);
        match kind {
            // Whichever end is recorded of it is its last one.
            Kind::Overruns => job.queue("slow").timeout(TIMEOUT).attempts(1),
            _ if dice.one_in(8) => job.delay(Duration::from_millis(dice.below(200) as u64)),
            _ => job,
        }
    }

    pub(crate) fn huge() -> NewJob<Self> {
        // Room for its other fields.
        NewJob::new(Self::new(Kind::Huge, LIMIT - 100)).queue("huge")
    }
}

pub(crate) fn register(builder: Builder, site: &Arc<Site>) -> Builder {
    let site = Arc::clone(site);
    builder.handle::<Work>(move |work, ctx| {
        let end = work.run(ctx, &site);
        if end.is_ok() || work.kind == Kind::Never {
            site.tally.note(ctx.id(), ENDED);
        }
        end
    })
}

impl Work {
    fn run(&mut self, ctx: &Context, site: &Site) -> Result<usize, JobError> {
        self.runs += 1;
        let count = |runs: &AtomicUsize| runs.fetch_add(1, Ordering::Relaxed);
        let runs = &site.runs;
        match self.kind {
            Kind::Never => {
                count(&runs.with_error);
                return Err(JobError::permanent("never"));
            }
            Kind::Fails if ctx.attempt() == 1 => {
                count(&runs.with_error);
                return Err(JobError::new("the first one fails"));
            }
            Kind::Snoozes if self.runs == 1 => {
                count(&runs.snoozed);
                return Err(JobError::snooze(Duration::from_millis(20)));
            }
            Kind::Panics if ctx.attempt() == 1 => {
                count(&runs.panicked);
                std::panic::panic_any(Planned);
            }
            Kind::Overruns => {
                while !ctx.is_cancelled() {
                    site.time.rest(Duration::from_millis(5));
                }
                // Nobody waits for it any more.
                site.time.rest(TIMEOUT);
                count(&runs.overran);
            }
            Kind::Huge => {
                count(&runs.huge);
            }
            _ => {
                count(&runs.plain);
                let takes = site.takes_us.load(Ordering::Relaxed);
                if takes > 0 {
                    site.time.rest(Duration::from_micros(takes));
                }
            }
        }
        Ok(self.filler.len())
    }
}
