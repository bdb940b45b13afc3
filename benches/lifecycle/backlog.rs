//! The same load on two managers: one in which many jobs wait, one in which few do.

use std::path::Path;
use std::sync::Arc;

use jobkeep::Retention;

use crate::Fault;
use crate::ledger::Gate;
use crate::machine;
use crate::options::{Effort, StoreKind};
use crate::run::{Bench, Figures, rate};
use crate::store::CACHE_BYTES;

/// So many wait in the manager that the other one is compared with.
const FEW: u64 = 1_000;

/// What the jobs that wait cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// The rate with all of them waiting, by the rate with few.
    pub(crate) ratio: f64,
    /// Memory for each of them.
    pub(crate) ram_per_waiting_bytes: Option<f64>,
}

/// Puts the load on both managers. The one with few is measured half before the other one and half
/// after, as the baseline is.
pub(crate) fn run(kind: StoreKind, effort: Effort, place: &Path) -> Result<(Figures, Cost), Fault> {
    let Effort {
        load,
        backlog,
        measure,
    } = effort;
    let start = |path: &Path, waiting| {
        let gate = Some(Arc::new(Gate::default()));
        let bench = Bench::start(kind, path, load, gate, Retention::new())?;
        bench.fill(waiting)?;
        Ok::<_, Fault>(bench)
    };
    let (path, few_path) = (place.join("jobs"), place.join("few"));
    let few = start(&few_path, FEW)?;
    few.phase(measure / 3)?;
    let before = machine::rss_bytes();
    let many = start(&path, backlog)?;
    let after = machine::rss_bytes();
    let cached = match kind {
        // It has no cache beside its rows.
        StoreKind::Memory => 0,
        StoreKind::Redb | StoreKind::Sled => {
            machine::bytes_under(&path)?.min(u64::from(CACHE_BYTES))
        }
    };
    many.phase(measure / 3)?;
    let early = few.phase(measure / 2)?;
    let measured = many.phase(measure)?;
    let late = few.phase(measure / 2)?;
    let peak_rss_bytes = machine::peak_rss_bytes();
    few.end(FEW)?;
    many.end(backlog)?;
    drop(few);
    if few_path.exists() {
        machine::remove(&few_path)?;
    }
    let figures = many.figures(measured, peak_rss_bytes, place)?;
    let few_per_s = rate(early.jobs + late.jobs, early.span + late.span);
    let grown = before
        .zip(after)
        .map(|(before, after)| after.saturating_sub(before).saturating_sub(cached));
    let cost = Cost {
        ratio: figures.jobs_per_s / few_per_s,
        ram_per_waiting_bytes: grown.map(|grown| by(grown, backlog)),
    };
    Ok((figures, cost))
}

#[expect(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
fn by(bytes: u64, jobs: u64) -> f64 {
    bytes as f64 / jobs.max(1) as f64
}
