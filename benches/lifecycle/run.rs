//! The measurement: a manager, its producers, and what came of it.
#![expect(clippy::disallowed_methods, reason = "a stopwatch reads time")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jobkeep::{Manager, Queue, QueueStore, Retention, Submission};

use crate::Fault;
use crate::ledger::{Gate, Ledger, Tally};
use crate::machine;
use crate::options::{Load, StoreKind};
use crate::order::Order;
use crate::store;
use crate::timed::Timed;

pub(crate) const WORKERS: usize = 2;

/// So many nominal groups may be under way: one in the making, one at its commit, one on the
/// workers, one whose settlements are at theirs.
const GROUPS_UNDER_WAY: usize = 4;

/// A bound for small groups, which need not be exact about it.
const LEAST_UNDER_WAY: usize = 64;

/// A lone job that takes longer does not come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a load did to a manager. Percentiles are `None` where nothing was measured.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) durability: String,
    pub(crate) jobs: u64,
    pub(crate) jobs_per_s: f64,
    pub(crate) ack_us: [Option<f64>; 2],
    pub(crate) start_us: [Option<f64>; 2],
    pub(crate) commit_p50_us: Option<f64>,
    pub(crate) commits: u64,
    pub(crate) bytes_on_disk: u64,
    pub(crate) peak_rss_bytes: Option<u64>,
}

impl Figures {
    /// Jobs by commit: a job is accepted in one, and settled in the same or a later one.
    #[expect(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
    pub(crate) fn mean_group(&self) -> f64 {
        self.jobs as f64 / self.commits.max(1) as f64
    }
}

/// A manager, and what its producers share.
#[derive(Debug)]
pub(crate) struct Bench {
    manager: Manager,
    pub(crate) ledger: Arc<Ledger>,
    gate: Option<Arc<Gate>>,
    load: Load,
    durability: String,
    epoch: Instant,
    numbers: AtomicU64,
}

/// What went through the manager in one phase, from the first `enqueue` to the last durable end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) jobs: u64,
    commits: u64,
    pub(crate) span: Duration,
}

/// Puts the load on a manager, first for a while that does not count, and measures.
pub(crate) fn run(
    kind: StoreKind,
    load: Load,
    measure: Duration,
    place: &Path,
) -> Result<Figures, Fault> {
    let bench = Bench::start(kind, &place.join("jobs"), load, None, Retention::new())?;
    bench.phase(measure / 3)?;
    let measured = bench.phase(measure)?;
    let peak_rss_bytes = machine::peak_rss_bytes();
    bench.end(0)?;
    bench.figures(measured, peak_rss_bytes, place)
}

impl Bench {
    /// Starts a manager on the store at `path`. Its handlers stop at the gate, where there is one.
    pub(crate) fn start(
        kind: StoreKind,
        path: &Path,
        load: Load,
        gate: Option<Arc<Gate>>,
        retention: Retention,
    ) -> Result<Self, Fault> {
        let ledger = Arc::new(Ledger::new());
        let epoch = Instant::now();
        let store = Timed::new(store::open(kind, path)?, Arc::clone(&ledger));
        let durability = store.identity()?.durability.to_string();
        let manager = {
            let (ledger, gate) = (Arc::clone(&ledger), gate.clone());
            Manager::builder(store)
                .handle::<Order>(move |order, _context| {
                    let called = Duration::from_nanos(order.called_ns);
                    ledger.starts.add(epoch.elapsed().saturating_sub(called));
                    if let Some(gate) = &gate {
                        gate.pass();
                    }
                    Ok(())
                })
                .queue(Queue::new("default").workers(WORKERS))
                .retention(retention)
                .start()?
        };
        Ok(Self {
            manager,
            ledger,
            gate,
            load,
            durability,
            epoch,
            numbers: AtomicU64::new(0),
        })
    }

    /// What the last phase came to.
    pub(crate) fn figures(
        &self,
        measured: Phase,
        peak_rss_bytes: Option<u64>,
        place: &Path,
    ) -> Result<Figures, Fault> {
        let Phase {
            jobs,
            commits,
            span,
        } = measured;
        let percentiles = |of: &crate::histogram::Histogram| [50, 99].map(|p| of.percentile_us(p));
        let ledger = &self.ledger;
        Ok(Figures {
            durability: self.durability.clone(),
            jobs,
            jobs_per_s: rate(jobs, span),
            ack_us: percentiles(&ledger.acks),
            start_us: percentiles(&ledger.starts),
            commit_p50_us: ledger.commits.percentile_us(50),
            commits,
            bytes_on_disk: machine::bytes_under(place)?,
            peak_rss_bytes,
        })
    }

    /// Has jobs wait. The gate lets none through: two of them sit on the workers.
    pub(crate) fn fill(&self, backlog: u64) -> Result<(), Fault> {
        const AT_ONCE: u64 = 5_000;
        let mut missing = backlog;
        while missing > 0 {
            let jobs = missing.min(AT_ONCE);
            self.manager
                .enqueue_all((0..jobs).map(|_| Order::new(self.number(), self.now_ns())))?;
            missing -= jobs;
        }
        Ok(())
    }

    /// Lets the handlers of so many jobs through the gate.
    pub(crate) fn let_through(&self, jobs: u64) {
        if let Some(gate) = &self.gate {
            gate.add(jobs);
        }
    }

    /// Enqueues for so long, and waits until as many jobs have ended.
    pub(crate) fn phase(&self, span: Duration) -> Result<Phase, Fault> {
        self.ledger.begin();
        let begun = Instant::now();
        let until = begun + span;
        thread::scope(|scope| {
            let mut producers = Vec::new();
            for number in 0..self.load.producers() {
                let producer = thread::Builder::new().name(format!("producer-{number}"));
                producers.push(producer.spawn_scoped(scope, || self.produce(until))?);
            }
            producers.into_iter().try_for_each(|producer| {
                let ended = producer.join();
                ended.map_err(|_| "a producer panicked")?
            })
        })?;
        let Tally { jobs, commits, end } = self.ledger.wait_for_all()?;
        Ok(Phase {
            jobs,
            commits,
            span: end.duration_since(begun),
        })
    }

    fn produce(&self, until: Instant) -> Result<(), Fault> {
        if let Load::Submit { outstanding, .. } = self.load {
            return self.submit(until, outstanding);
        }
        let bound = self.bound();
        let jobs = self.load.batch() as u64;
        while Instant::now() < until {
            self.ledger.issue(jobs, bound)?;
            let called = Instant::now();
            let called_ns = self.now_ns();
            match self.load {
                Load::Batch(_) => {
                    let batch = (0..jobs).map(|_| Order::new(self.number(), called_ns));
                    self.manager.enqueue_all(batch)?;
                    self.ledger.acks.add(called.elapsed());
                }
                Load::Producers(_) | Load::Submit { .. } => {
                    self.manager.enqueue(Order::new(self.number(), called_ns))?;
                    self.ledger.acks.add(called.elapsed());
                }
                Load::Lone => {
                    let order = Order::new(self.number(), called_ns);
                    let receipt = self.manager.enqueue(order)?;
                    self.ledger.acks.add(called.elapsed());
                    self.manager.wait(&receipt, PATIENCE)?;
                }
            }
            self.let_through(jobs);
        }
        Ok(())
    }

    /// Submits, and waits for the oldest where so many are outstanding.
    fn submit(&self, until: Instant, most: usize) -> Result<(), Fault> {
        let mut outstanding: VecDeque<(Instant, Submission<Order>)> = VecDeque::new();
        let accepted = |(called, submission): (Instant, Submission<Order>)| {
            submission.wait()?;
            self.ledger.acks.add(called.elapsed());
            Ok::<_, Fault>(())
        };
        while Instant::now() < until {
            if outstanding.len() == most
                && let Some(oldest) = outstanding.pop_front()
            {
                accepted(oldest)?;
            }
            self.ledger.issue(1, self.bound())?;
            let called = Instant::now();
            let order = Order::new(self.number(), self.now_ns());
            outstanding.push_back((called, self.manager.submit(order)));
        }
        outstanding.into_iter().try_for_each(accepted)
    }

    fn bound(&self) -> u64 {
        (GROUPS_UNDER_WAY * self.load.group()).max(LEAST_UNDER_WAY) as u64
    }

    /// Sees that nothing went wrong unnoticed, and ends the manager.
    pub(crate) fn end(&self, backlog: u64) -> Result<(), Fault> {
        let counts = self.manager.counts()?;
        let waiting = counts.ready + counts.running;
        let astray = counts.scheduled + counts.parked + counts.failed + counts.cancelled;
        if waiting != backlog || astray + counts.damaged > 0 {
            return Err(format!("the jobs are not where they should be: {counts:?}").into());
        }
        if let Some(gate) = &self.gate {
            gate.open();
        }
        self.manager.shutdown(PATIENCE)?;
        Ok(())
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Jobs by second.
#[expect(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
pub(crate) fn rate(jobs: u64, span: Duration) -> f64 {
    jobs as f64 / span.as_secs_f64().max(f64::MIN_POSITIVE)
}
