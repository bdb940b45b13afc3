//! How long a start takes on a store whose owner was killed.
#![expect(clippy::disallowed_methods, reason = "a stopwatch reads time")]

use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobkeep::{Manager, Queue, QueueStore, Retention};
use jobkeep_store::{Key, Space};

use crate::Fault;
use crate::ledger::{Gate, Ledger};
use crate::machine;
use crate::options::{Load, Stock, StoreKind};
use crate::order::Order;
use crate::run::Bench;
use crate::store;
use crate::timed::Timed;

/// Each time is the middle one of so many.
const ROUNDS: usize = 5;

/// What the owner says when the store has its stock.
const READY: &str = "ready";

#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) durability: String,
    pub(crate) interrupted: u64,
    /// The store opened and the manager started.
    pub(crate) open: Duration,
    /// The store opened.
    pub(crate) engine_open: Duration,
    /// Every live row read once, and nothing done with it.
    pub(crate) scan: Duration,
    pub(crate) bytes_on_disk: u64,
    pub(crate) peak_rss_bytes: Option<u64>,
}

/// Has an owner killed, and opens copies of what it left: in turns as a store alone and as a
/// manager.
pub(crate) fn run(kind: StoreKind, stock: Stock, place: &Path) -> Result<Figures, Fault> {
    let left = place.join("jobs");
    kill_an_owner(kind, stock, &left)?;
    let bytes_on_disk = machine::bytes_under(place)?;
    let copy = place.join("copy");
    let (mut opens, mut engine_opens, mut scans) = (Vec::new(), Vec::new(), Vec::new());
    let (mut durability, mut interrupted) = (String::new(), 0);
    for _ in 0..ROUNDS {
        machine::copy(&left, &copy)?;
        let begun = Instant::now();
        let store = store::open(kind, &copy)?;
        engine_opens.push(begun.elapsed());
        scans.push(scan(&*store, stock)?);
        durability = store.identity()?.durability.to_string();
        store.close()?;
        machine::remove(&copy)?;

        machine::copy(&left, &copy)?;
        let begun = Instant::now();
        let manager = manager(kind, &copy)?;
        opens.push(begun.elapsed());
        let recovery = manager.recovery();
        if recovery.waiting != stock.waiting || recovery.damaged > 0 {
            return Err(format!("the start found other jobs: {recovery:?}").into());
        }
        interrupted = recovery.interrupted;
        manager.shutdown(Duration::ZERO)?;
        machine::remove(&copy)?;
    }
    Ok(Figures {
        durability,
        interrupted,
        open: middle(opens),
        engine_open: middle(engine_opens),
        scan: middle(scans),
        bytes_on_disk,
        peak_rss_bytes: machine::peak_rss_bytes(),
    })
}

/// Without workers: none of the jobs runs.
fn manager(kind: StoreKind, path: &Path) -> Result<Manager, Fault> {
    let store = Timed::new(store::open(kind, path)?, Arc::new(Ledger::new()));
    Ok(Manager::builder(store)
        .handle::<Order>(|_, _| Ok(()))
        .queue(Queue::new("default").workers(0))
        .retention(Retention::keep_all())
        .start()?)
}

fn scan(store: &dyn QueueStore, stock: Stock) -> Result<Duration, Fault> {
    let (first, last) = (Key::new(Space::Live, 0), Key::new(Space::Live, u64::MAX));
    let mut rows = 0;
    let begun = Instant::now();
    store.scan(&first, &last, &mut |key, row| {
        black_box((key, row));
        rows += 1;
        ControlFlow::Continue(())
    })?;
    let taken = begun.elapsed();
    if rows != stock.waiting {
        return Err(format!("{rows} rows are live, and {} jobs wait", stock.waiting).into());
    }
    Ok(taken)
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Runs this program as the owner of a store, and kills it when the store has its stock.
fn kill_an_owner(kind: StoreKind, stock: Stock, path: &Path) -> Result<(), Fault> {
    let mut owner = Command::new(std::env::current_exe()?)
        .args(["--store", &kind.to_string()])
        .args(["--reopen", &stock.waiting.to_string()])
        .args(["--finished", &stock.finished.to_string()])
        .arg("--owner")
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    if let Some(output) = owner.stdout.take() {
        BufReader::new(output).read_line(&mut said)?;
    }
    owner.kill()?;
    owner.wait()?;
    if said.trim() == READY {
        Ok(())
    } else {
        Err("the process that was to be killed has failed".into())
    }
}

/// The owner: fills the store, says so, and waits to be killed.
pub(crate) fn own(kind: StoreKind, stock: Stock, path: &Path) -> Result<(), Fault> {
    const AT_ONCE: u64 = 10_000;
    let gate = Some(Arc::new(Gate::default()));
    let bench = Bench::start(kind, path, Load::Lone, gate, Retention::keep_all())?;
    let mut missing = stock.finished;
    while missing > 0 {
        let jobs = missing.min(AT_ONCE);
        bench.ledger.issue(jobs, 4 * AT_ONCE)?;
        bench.let_through(jobs);
        bench.fill(jobs)?;
        missing -= jobs;
    }
    if stock.finished > 0 {
        bench.ledger.wait_for_all()?;
    }
    bench.fill(stock.waiting)?;
    let mut output = io::stdout();
    writeln!(output, "{READY}")?;
    output.flush()?;
    // Whoever is to kill this holds the other end, and if it dies itself this ends as well.
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}
