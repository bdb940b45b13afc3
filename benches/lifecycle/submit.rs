//! The same producers on two managers: they submit to one, and block on the other.

use std::path::Path;
use std::time::Duration;

use jobkeep::Retention;

use crate::Fault;
use crate::machine;
use crate::options::{Load, StoreKind};
use crate::run::{Bench, Figures, rate};

/// Puts the load on both managers: the figures of the one that is submitted to, and its rate by that
/// of the other one. The other one is measured half before and half after, as the baseline is.
pub(crate) fn run(
    kind: StoreKind,
    load: Load,
    measure: Duration,
    place: &Path,
) -> Result<(Figures, f64), Fault> {
    let (path, other_path) = (place.join("jobs"), place.join("blocking"));
    let start = |path: &Path, load| {
        let bench = Bench::start(kind, path, load, None, Retention::new())?;
        bench.phase(measure / 3)?;
        Ok::<_, Fault>(bench)
    };
    let blocking = start(&other_path, Load::Producers(load.producers()))?;
    let submitting = start(&path, load)?;
    let early = blocking.phase(measure / 2)?;
    let measured = submitting.phase(measure)?;
    let late = blocking.phase(measure / 2)?;
    let peak_rss_bytes = machine::peak_rss_bytes();
    blocking.end(0)?;
    submitting.end(0)?;
    drop(blocking);
    if other_path.exists() {
        machine::remove(&other_path)?;
    }
    let figures = submitting.figures(measured, peak_rss_bytes, place)?;
    let blocking_per_s = rate(early.jobs + late.jobs, early.span + late.span);
    let ratio = figures.jobs_per_s / blocking_per_s;
    Ok((figures, ratio))
}
