//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::Fault;

pub(crate) const USAGE: &str = "\
usage: cargo bench --bench lifecycle -- --store redb|sled|memory LOAD [OPTIONS]

LOAD is one of
  --producers N  N threads that each enqueue one job at a time
  --batch N      one thread that enqueues N jobs at a time with `enqueue_all`
  --lone         one thread that waits for the end of its job before it enqueues the next

OPTIONS
  --backlog N    N more jobs wait in the queue all the time (0)
  --seconds S    how long to measure, after a warm-up of a third of it (3, and no less)
  --dir D        where the store and the baseline's file are made, and removed again (target/tmp)
  --json         print one JSON object on one line
  --help         print this

sled needs `--features sled` before the `--`.
";

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) store: StoreKind,
    pub(crate) load: Load,
    pub(crate) backlog: u64,
    pub(crate) measure: Duration,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Redb,
    Sled,
    Memory,
}

/// How jobs are enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// So many threads, one job a call.
    Producers(usize),
    /// One thread, so many jobs a call.
    Batch(usize),
    /// One thread, one job in the whole manager.
    Lone,
}

const MOST_PRODUCERS: usize = 1_024;
/// What one `enqueue_all` takes.
const MOST_BATCH: usize = 10_000;
const MOST_BACKLOG: u64 = 10_000_000;
const LEAST_SECONDS: u64 = 3;
const MOST_SECONDS: u64 = 3_600;

impl Load {
    pub(crate) fn producers(self) -> usize {
        match self {
            Self::Producers(threads) => threads,
            Self::Batch(_) | Self::Lone => 1,
        }
    }

    pub(crate) fn batch(self) -> usize {
        match self {
            Self::Batch(jobs) => jobs,
            Self::Producers(_) | Self::Lone => 1,
        }
    }

    /// The jobs that one commit would take if everybody who could ask did so at once.
    pub(crate) fn group(self) -> usize {
        self.producers() * self.batch()
    }
}

impl Options {
    /// Reads the arguments; `None` where help was asked for.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, Fault> {
        let mut store = None;
        let mut load = None;
        let mut backlog = 0;
        let mut seconds = LEAST_SECONDS;
        let mut dir = None;
        let mut json = false;
        while let Some(name) = args.next() {
            let mut value = || {
                let value = args.next();
                value.ok_or_else(|| format!("option `{name}`: its value is missing"))
            };
            match name.as_str() {
                // `cargo bench` adds it for every bench.
                "--bench" => {}
                "--help" | "-h" => return Ok(None),
                "--store" => store = Some(value()?.parse()?),
                "--producers" => {
                    let threads = number(&name, &value()?, 1, MOST_PRODUCERS)?;
                    set_load(&mut load, Load::Producers(threads))?;
                }
                "--batch" => {
                    let jobs = number(&name, &value()?, 1, MOST_BATCH)?;
                    set_load(&mut load, Load::Batch(jobs))?;
                }
                "--lone" => set_load(&mut load, Load::Lone)?,
                "--backlog" => backlog = number(&name, &value()?, 0, MOST_BACKLOG)?,
                "--seconds" => seconds = number(&name, &value()?, LEAST_SECONDS, MOST_SECONDS)?,
                "--dir" => dir = Some(PathBuf::from(value()?)),
                "--json" => json = true,
                unknown => {
                    return Err(format!("option `{unknown}`: there is none; see `--help`").into());
                }
            }
        }
        let store = store.ok_or("option `--store` is missing: redb, sled or memory")?;
        let load = load.ok_or("one of `--producers N`, `--batch N` and `--lone` is missing")?;
        if load == Load::Lone && backlog > 0 {
            return Err("options `--lone` and `--backlog`: a lone job has nobody beside it".into());
        }
        Ok(Some(Self {
            store,
            load,
            backlog,
            measure: Duration::from_secs(seconds),
            dir,
            json,
        }))
    }
}

fn set_load(load: &mut Option<Load>, to: Load) -> Result<(), Fault> {
    match load.replace(to) {
        None => Ok(()),
        Some(_) => Err("only one of `--producers`, `--batch` and `--lone`, and only once".into()),
    }
}

fn number<N>(name: &str, text: &str, least: N, most: N) -> Result<N, Fault>
where
    N: Copy + FromStr + PartialOrd + fmt::Display,
{
    match text.parse::<N>() {
        Ok(number) if least <= number && number <= most => Ok(number),
        _ => Err(
            format!("option `{name}`: `{text}` is not a whole number from {least} to {most}")
                .into(),
        ),
    }
}

impl FromStr for StoreKind {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "redb" => Ok(Self::Redb),
            "sled" => Ok(Self::Sled),
            "memory" => Ok(Self::Memory),
            other => {
                Err(format!("option `--store`: `{other}` is none of redb, sled and memory").into())
            }
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redb => "redb",
            Self::Sled => "sled",
            Self::Memory => "memory",
        })
    }
}
