//! The least that could be done with the same jobs on the same machine.
#![expect(clippy::disallowed_methods, reason = "a stopwatch reads time")]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Fault;
use crate::channel;
use crate::histogram::Histogram;
use crate::options::{Effort, Load, StoreKind};
use crate::run::rate;

/// What a job's rows come to, about.
const BYTES_PER_JOB: usize = 300;

/// A sync that is faster reaches no disk.
const LEAST_SYNC_US: f64 = 20.0;

/// For a disk, one file, one write and one fdatasync a nominal group. For memory, a channel to as
/// many workers.
#[derive(Debug)]
pub(crate) struct Baseline {
    in_memory: bool,
    load: Load,
    /// Of one of the two parts.
    span: Duration,
    path: PathBuf,
    jobs: u64,
    taken: Duration,
    syncs: Histogram,
}

impl Baseline {
    pub(crate) fn new(store: StoreKind, effort: Effort, place: &Path) -> Self {
        Self {
            in_memory: store == StoreKind::Memory,
            load: effort.load,
            span: effort.measure / 2,
            path: place.join("baseline"),
            jobs: 0,
            taken: Duration::ZERO,
            syncs: Histogram::new(),
        }
    }

    /// Measures one half of it: to be called before and after.
    pub(crate) fn measure(&mut self) -> Result<(), Fault> {
        let (jobs, taken) = if self.in_memory {
            channel::pass(self.load, self.span)?
        } else {
            self.append()?
        };
        self.jobs += jobs;
        self.taken += taken;
        Ok(())
    }

    pub(crate) fn jobs_per_s(&self) -> f64 {
        rate(self.jobs, self.taken)
    }

    /// What speaks against the figures.
    pub(crate) fn doubt(&self) -> Option<String> {
        let sync_us = self.syncs.percentile_us(50)?;
        (sync_us < LEAST_SYNC_US).then(|| {
            format!(
                "this disk cannot be judged: a sync takes {sync_us:.1} us, and no disk takes less \
                 than {LEAST_SYNC_US:.0}; see `--dir`"
            )
        })
    }

    fn append(&self) -> Result<(u64, Duration), Fault> {
        let group = vec![b'j'; BYTES_PER_JOB * self.load.group()];
        let mut file = File::create(&self.path)?;
        let mut jobs = 0;
        let begun = Instant::now();
        while begun.elapsed() < self.span {
            file.write_all(&group)?;
            let written = Instant::now();
            file.sync_data()?;
            self.syncs.add(written.elapsed());
            jobs += self.load.group() as u64;
        }
        let taken = begun.elapsed();
        drop(file);
        std::fs::remove_file(&self.path)?;
        Ok((jobs, taken))
    }
}
