//! What is printed.

use std::fmt::Write;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::Fault;
use crate::options::Case;
use crate::traffic::Tally;
use crate::{dead, idle, push};

/// The figures of one case under their names, in their order.
#[derive(Debug)]
pub(crate) struct Report(Vec<(&'static str, Value)>);

impl Report {
    pub(crate) fn requests(case: Case, connections: usize, here: Tally, plain: Tally) -> Self {
        Self(vec![
            ("case", json!(case.name())),
            ("connections", json!(connections)),
            ("requests", json!(here.count)),
            ("requests_per_s", json!(rounded(here.per_s(), 10.0))),
            ("plain_per_s", json!(rounded(plain.per_s(), 10.0))),
            (
                "ratio",
                json!(rounded(here.per_s() / plain.per_s(), 10_000.0)),
            ),
        ])
    }

    pub(crate) fn batches(connections: usize, batch: usize, here: Tally, local: Tally) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a figure of a bench")]
        let jobs = |tally: Tally| rounded(tally.per_s() * batch as f64, 10.0);
        Self(vec![
            ("case", json!(Case::Batch.name())),
            ("connections", json!(connections)),
            ("batch", json!(batch)),
            ("requests", json!(here.count)),
            ("jobs_per_s", json!(jobs(here))),
            ("local_jobs_per_s", json!(jobs(local))),
            (
                "ratio",
                json!(rounded(here.per_s() / local.per_s(), 10_000.0)),
            ),
        ])
    }

    pub(crate) fn idle(figures: &idle::Figures) -> Self {
        Self(vec![
            ("case", json!(Case::Idle.name())),
            ("connections", json!(figures.connections)),
            ("rss_before_bytes", json!(figures.rss_before)),
            ("rss_after_bytes", json!(figures.rss_after)),
            ("bytes_each", json!(rounded(figures.bytes_each(), 10.0))),
        ])
    }

    pub(crate) fn push(connections: usize, figures: &push::Figures) -> Self {
        let (jobs, bare) = (figures.pushed.per_s(), figures.bare.per_s());
        let plain = figures.plain.per_s();
        Self(vec![
            ("case", json!(Case::Push.name())),
            ("connections", json!(connections)),
            ("jobs", json!(figures.pushed.count)),
            ("jobs_per_s", json!(rounded(jobs, 10.0))),
            ("execute_per_s", json!(rounded(bare, 10.0))),
            ("plain_per_s", json!(rounded(plain, 10.0))),
            ("ratio", json!(rounded(jobs / plain, 10_000.0))),
        ])
    }

    pub(crate) fn dead(figures: &dead::Figures) -> Self {
        let (jobs, alone) = (figures.beside_dead.per_s(), figures.alone.per_s());
        Self(vec![
            ("case", json!(Case::Dead.name())),
            ("waiting", json!(figures.waiting)),
            ("jobs", json!(figures.beside_dead.count)),
            ("jobs_per_s", json!(rounded(jobs, 10.0))),
            ("alone_jobs_per_s", json!(rounded(alone, 10.0))),
            ("ratio", json!(rounded(jobs / alone, 10_000.0))),
        ])
    }

    /// One object on one line.
    pub(crate) fn to_json(&self) -> Result<String, Fault> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// One figure a line, and an empty one.
    pub(crate) fn to_table(&self) -> Result<String, Fault> {
        let mut table = String::new();
        for (name, value) in &self.0 {
            match value {
                Value::String(text) => writeln!(table, "{name:<18} {text}")?,
                value => writeln!(table, "{name:<18} {value}")?,
            }
        }
        writeln!(table)?;
        Ok(table)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn rounded(figure: f64, parts: f64) -> f64 {
    (figure * parts).round() / parts
}
