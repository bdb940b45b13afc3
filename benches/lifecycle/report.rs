//! What is printed.

use std::fmt::Write;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::Fault;
use crate::baseline::Baseline;
use crate::machine::Place;
use crate::options::{Load, Options};
use crate::run::Figures;

/// The figures of one run under their names, in their order.
#[derive(Debug)]
pub(crate) struct Report(Vec<(&'static str, Value)>);

impl Report {
    pub(crate) fn new(
        options: &Options,
        place: &Place,
        figures: &Figures,
        baseline: &Baseline,
    ) -> Self {
        let raw = baseline.jobs_per_s();
        let [ack_p50, ack_p99] = figures.ack_us.map(tenths);
        let [start_p50, start_p99] = figures.start_us.map(tenths);
        let mut fields = vec![
            ("store", json!(options.store.to_string())),
            ("durability", json!(figures.durability)),
            ("file_system", json!(place.file_system())),
            ("producers", json!(options.load.producers())),
            ("batch", json!(options.load.batch())),
            ("backlog", json!(options.backlog)),
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
        ];
        if options.load == Load::Lone {
            fields.push(("lone", json!(true)));
        }
        Self(fields)
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
            writeln!(table, "{name:<14}{value:>16}")?;
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
