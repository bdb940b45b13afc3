//! Durations from several threads, without a lock and without keeping each of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Steps to each doubling: percentiles are exact to within 0.8 %.
const STEPS: u64 = 128;
const STEP_BITS: u32 = STEPS.ilog2();

#[derive(Debug)]
pub(crate) struct Histogram(Vec<AtomicU64>);

impl Histogram {
    pub(crate) fn new() -> Self {
        let doublings = u64::from(u64::BITS - STEP_BITS) + 1;
        Self(
            std::iter::repeat_with(AtomicU64::default)
                .take(usize::try_from(doublings * STEPS).unwrap_or_default())
                .collect(),
        )
    }

    pub(crate) fn add(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.0.get(slot(nanos)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets everything. Nobody may be adding meanwhile.
    pub(crate) fn clear(&self) {
        for count in &self.0 {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// The duration, in microseconds, that `percent` of all did not exceed; `None` where there are
    /// none.
    pub(crate) fn percentile_us(&self, percent: u64) -> Option<f64> {
        let counts: Vec<u64> = self.0.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let wanted = (all * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(middle(found) / 1_000.0)
    }
}

/// Up to `STEPS` each number has its own slot; beyond, each doubling is cut into `STEPS` of them.
fn slot(nanos: u64) -> usize {
    let doubling = nanos.checked_ilog2().unwrap_or(0).saturating_sub(STEP_BITS);
    let shifted = nanos >> doubling;
    usize::try_from(u64::from(doubling) * STEPS + shifted).unwrap_or(usize::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact to within the width of a slot is all there is"
)]
fn middle(slot: usize) -> f64 {
    let slot = slot as u64;
    if slot < 2 * STEPS {
        return slot as f64;
    }
    let doubling = u32::try_from(slot / STEPS - 1).unwrap_or(0);
    let shifted = slot - u64::from(doubling) * STEPS;
    (shifted as f64 + 0.5) * 2_f64.powf(f64::from(doubling))
}
