//! What is printed.

use std::fmt::Write;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::Fault;
use crate::backlog::Cost;
use crate::baseline::Baseline;
use crate::machine::Place;
use crate::options::{Effort, Load, Stock, StoreKind};
use crate::run::Figures;
use crate::{idle, reopen};

/// The figures of one run under their names, in their order.
#[derive(Debug)]
pub(crate) struct Report(Vec<(&'static str, Value)>);

/// What a second manager was there for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside {
    /// In it few jobs waited.
    Few(Cost),
    /// On it the same producers blocked: the rate of the first by its own.
    Blocking(f64),
}

impl Report {
    pub(crate) fn new(store: StoreKind, place: &Place) -> Self {
        Self(vec![
            ("store", json!(store.to_string())),
            ("file_system", json!(place.file_system())),
        ])
    }

    pub(crate) fn load(
        &mut self,
        effort: Effort,
        figures: &Figures,
        beside: Option<Beside>,
        baseline: &Baseline,
    ) {
        let raw = baseline.jobs_per_s();
        let [ack_p50, ack_p99] = figures.ack_us.map(tenths);
        let [start_p50, start_p99] = figures.start_us.map(tenths);
        self.0.extend([
            ("durability", json!(figures.durability)),
            ("producers", json!(effort.load.producers())),
            ("batch", json!(effort.load.batch())),
            ("backlog", json!(effort.backlog)),
            ("jobs", json!(figures.jobs)),
            ("jobs_per_s", json!(rounded(figures.jobs_per_s, 10.0))),
            ("ack_p50_us", json!(ack_p50)),
            ("ack_p99_us", json!(ack_p99)),
            ("start_p50_us", json!(start_p50)),
            ("start_p99_us", json!(start_p99)),
            ("commit_p50_us", json!(tenths(figures.commit_p50_us))),
            ("mean_group", json!(rounded(figures.mean_group(), 100.0))),
            ("commits", json!(figures.commits)),
            ("bytes_on_disk", json!(figures.bytes_on_disk)),
            ("peak_rss_bytes", json!(figures.peak_rss_bytes)),
            ("raw_jobs_per_s", json!(rounded(raw, 10.0))),
            ("ratio", json!(rounded(figures.jobs_per_s / raw, 10_000.0))),
        ]);
        if effort.load == Load::Lone {
            self.0.push(("lone", json!(true)));
        }
        match beside {
            Some(Beside::Few(cost)) => {
                let ram = tenths(cost.ram_per_waiting_bytes);
                self.0.extend([
                    ("backlog_ratio", json!(rounded(cost.ratio, 10_000.0))),
                    ("ram_per_waiting_bytes", json!(ram)),
                ]);
            }
            Some(Beside::Blocking(ratio)) => self.0.extend([
                ("outstanding", json!(effort.load.outstanding())),
                ("submit_ratio", json!(rounded(ratio, 10_000.0))),
            ]),
            None => {}
        }
    }

    pub(crate) fn idle(&mut self, span: Duration, figures: &idle::Figures) {
        let wakeups = figures.used.map(|used| used.switches);
        let cpu_ms = figures.used.map(|used| used.cpu_ms);
        self.0.extend([
            ("durability", json!(figures.durability)),
            ("idle_s", json!(span.as_secs())),
            ("scheduled", json!(idle::JOBS)),
            ("idle_wakeups", json!(wakeups)),
            ("idle_cpu_ms", json!(cpu_ms)),
            ("peak_rss_bytes", json!(figures.peak_rss_bytes)),
        ]);
    }

    pub(crate) fn reopen(&mut self, stock: Stock, figures: &reopen::Figures) {
        let micros = |span: Duration| rounded(span.as_secs_f64(), 1_000_000.0);
        self.0.extend([
            ("durability", json!(figures.durability)),
            ("waiting", json!(stock.waiting)),
            ("finished", json!(stock.finished)),
            ("interrupted", json!(figures.interrupted)),
            ("open_s", json!(micros(figures.open))),
            ("engine_open_s", json!(micros(figures.engine_open))),
            ("scan_s", json!(micros(figures.scan))),
            ("bytes_on_disk", json!(figures.bytes_on_disk)),
            ("peak_rss_bytes", json!(figures.peak_rss_bytes)),
        ]);
    }

    /// One object on one line.
    pub(crate) fn to_json(&self) -> Result<String, Fault> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// One figure a line.
    pub(crate) fn to_table(&self) -> Result<String, Fault> {
        let mut table = String::new();
        for (name, value) in &self.0 {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Null => "-".into(),
                other => other.to_string(),
            };
            writeln!(table, "{name:<22}{value:>16}")?;
        }
        Ok(table)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn tenths(figure: Option<f64>) -> Option<f64> {
    figure.map(|figure| rounded(figure, 10.0))
}

fn rounded(figure: f64, parts: f64) -> f64 {
    (figure * parts).round() / parts
}
