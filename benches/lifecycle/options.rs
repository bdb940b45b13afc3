//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::Fault;

pub(crate) const USAGE: &str = "\
usage: cargo bench --bench lifecycle -- --store redb|sled|memory MODE [OPTIONS]

MODE is a load, one of
  --producers N  N threads that each enqueue one job at a time
  --batch N      one thread that enqueues N jobs at a time with `enqueue_all`
  --lone         one thread that waits for the end of its job before it enqueues the next
or one of
  --idle S       what a manager does in S seconds whose 100 jobs are all due tomorrow
  --reopen N     how long a start takes after a kill that left N jobs waiting

OPTIONS
  --submit M     with --producers: each has M jobs outstanding with `submit`, beside the same that block
  --backlog N    with a load: N more jobs wait in the queue all the time (0)
  --seconds S    with a load: how long to measure, after a warm-up of a third of it (3, and no less)
  --finished M   with --reopen: M more jobs had finished before (0)
  --dir D        where the store and the baseline's file are made, and removed again (target/tmp)
  --json         print one JSON object on one line
  --help         print this

sled needs `--features sled` before the `--`.
";

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) store: StoreKind,
    pub(crate) mode: Mode,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) json: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// Jobs go through the manager all the time.
    Run(Effort),
    /// Nothing happens for so long.
    Idle(Duration),
    /// A store is opened whose owner was killed.
    Reopen(Stock),
    /// The owner that is to be killed: `--reopen` starts itself with it. It has the store at this
    /// path.
    Owner(Stock, PathBuf),
}

/// How a manager is kept busy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) load: Load,
    /// So many jobs wait all the time.
    pub(crate) backlog: u64,
    pub(crate) measure: Duration,
}

/// What is in a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stock {
    pub(crate) waiting: u64,
    pub(crate) finished: u64,
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
    /// So many threads, each with so many jobs submitted whose acceptance it has not waited for.
    Submit {
        producers: usize,
        outstanding: usize,
    },
    /// One thread, so many jobs a call.
    Batch(usize),
    /// One thread, one job in the whole manager.
    Lone,
}

const MOST_PRODUCERS: usize = 1_024;
/// What one `enqueue_all` takes.
const MOST_BATCH: usize = 10_000;
/// Four times as many are under way, and that is what the inbox takes: `submit` is never refused.
const MOST_OUTSTANDING: usize = 4_096;
const MOST_BACKLOG: u64 = 10_000_000;
const LEAST_SECONDS: u64 = 3;
const MOST_SECONDS: u64 = 3_600;

impl Load {
    pub(crate) fn producers(self) -> usize {
        match self {
            Self::Producers(threads) => threads,
            Self::Submit { producers, .. } => producers,
            Self::Batch(_) | Self::Lone => 1,
        }
    }

    pub(crate) fn batch(self) -> usize {
        match self {
            Self::Batch(jobs) => jobs,
            Self::Producers(_) | Self::Submit { .. } | Self::Lone => 1,
        }
    }

    /// How many jobs of one producer may not be accepted yet.
    pub(crate) fn outstanding(self) -> usize {
        match self {
            Self::Submit { outstanding, .. } => outstanding,
            Self::Producers(_) | Self::Batch(_) | Self::Lone => self.batch(),
        }
    }

    /// The jobs that one commit would take if everybody who could ask did so at once.
    pub(crate) fn group(self) -> usize {
        self.producers() * self.outstanding()
    }
}

impl Options {
    /// Reads the arguments; `None` where help was asked for.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, Fault> {
        let mut given = Given::default();
        while let Some(name) = args.next() {
            let mut value = || {
                let value = args.next();
                value.ok_or_else(|| format!("option `{name}`: its value is missing"))
            };
            match name.as_str() {
                // `cargo bench` adds it for every bench.
                "--bench" => {}
                "--help" | "-h" => return Ok(None),
                "--store" => given.store = Some(value()?.parse()?),
                "--producers" => {
                    let threads = number(&name, &value()?, 1, MOST_PRODUCERS)?;
                    given.choose(Choice::Load(Load::Producers(threads)))?;
                }
                "--batch" => {
                    let jobs = number(&name, &value()?, 1, MOST_BATCH)?;
                    given.choose(Choice::Load(Load::Batch(jobs)))?;
                }
                "--lone" => given.choose(Choice::Load(Load::Lone))?,
                "--idle" => {
                    let seconds = number(&name, &value()?, 1, MOST_SECONDS)?;
                    given.choose(Choice::Idle(Duration::from_secs(seconds)))?;
                }
                "--reopen" => {
                    let jobs = number(&name, &value()?, 1, MOST_BACKLOG)?;
                    given.choose(Choice::Reopen(jobs))?;
                }
                "--submit" => given.submit = Some(number(&name, &value()?, 1, MOST_OUTSTANDING)?),
                "--backlog" => given.backlog = Some(number(&name, &value()?, 0, MOST_BACKLOG)?),
                "--finished" => given.finished = Some(number(&name, &value()?, 0, MOST_BACKLOG)?),
                "--seconds" => {
                    given.seconds = Some(number(&name, &value()?, LEAST_SECONDS, MOST_SECONDS)?);
                }
                "--owner" => given.owner = Some(PathBuf::from(value()?)),
                "--dir" => given.dir = Some(PathBuf::from(value()?)),
                "--json" => given.json = true,
                unknown => {
                    return Err(format!("option `{unknown}`: there is none; see `--help`").into());
                }
            }
        }
        given.options().map(Some)
    }
}

/// The arguments as they were given.
#[derive(Debug, Default)]
struct Given {
    store: Option<StoreKind>,
    choice: Option<Choice>,
    submit: Option<usize>,
    backlog: Option<u64>,
    finished: Option<u64>,
    seconds: Option<u64>,
    owner: Option<PathBuf>,
    dir: Option<PathBuf>,
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Load(Load),
    Idle(Duration),
    Reopen(u64),
}

const MODES: &str = "`--producers N`, `--batch N`, `--lone`, `--idle S` and `--reopen N`";

impl Given {
    fn choose(&mut self, choice: Choice) -> Result<(), Fault> {
        match self.choice.replace(choice) {
            None => Ok(()),
            Some(_) => Err(format!("only one of {MODES}, and only once").into()),
        }
    }

    /// The same producers, not waiting for each job.
    fn submitting(&self, choice: Choice, outstanding: usize) -> Result<Choice, Fault> {
        let Choice::Load(Load::Producers(producers)) = choice else {
            return Err("option `--submit`: it belongs to `--producers`".into());
        };
        if self.backlog.is_some() {
            return Err("options `--submit` and `--backlog`: only one of them".into());
        }
        if producers * outstanding > MOST_OUTSTANDING {
            return Err(format!(
                "options `--producers` and `--submit`: {producers} by {outstanding} jobs \
                 outstanding are more than {MOST_OUTSTANDING}"
            )
            .into());
        }
        Ok(Choice::Load(Load::Submit {
            producers,
            outstanding,
        }))
    }

    fn options(self) -> Result<Options, Fault> {
        let store = self.store;
        let store = store.ok_or("option `--store` is missing: redb, sled or memory")?;
        let choice = self.choice;
        let choice = choice.ok_or_else(|| format!("one of {MODES} is missing"))?;
        let choice = match self.submit {
            Some(outstanding) => self.submitting(choice, outstanding)?,
            None => choice,
        };
        let is_load = matches!(choice, Choice::Load(_));
        if !is_load && (self.backlog.is_some() || self.seconds.is_some()) {
            return Err("options `--backlog` and `--seconds`: they belong to a load".into());
        }
        let is_reopen = matches!(choice, Choice::Reopen(_));
        if !is_reopen && (self.finished.is_some() || self.owner.is_some()) {
            return Err("option `--finished`: it belongs to `--reopen`".into());
        }
        if is_reopen && store == StoreKind::Memory {
            return Err("option `--reopen`: nothing of the memory store survives a kill".into());
        }
        let backlog = self.backlog.unwrap_or(0);
        if choice == Choice::Load(Load::Lone) && backlog > 0 {
            return Err("options `--lone` and `--backlog`: a lone job has nobody beside it".into());
        }
        let mode = match choice {
            Choice::Load(load) => Mode::Run(Effort {
                load,
                backlog,
                measure: Duration::from_secs(self.seconds.unwrap_or(LEAST_SECONDS)),
            }),
            Choice::Idle(span) => Mode::Idle(span),
            Choice::Reopen(waiting) => {
                let finished = self.finished.unwrap_or(0);
                let stock = Stock { waiting, finished };
                match self.owner {
                    Some(path) => Mode::Owner(stock, path),
                    None => Mode::Reopen(stock),
                }
            }
        };
        Ok(Options {
            store,
            mode,
            dir: self.dir,
            json: self.json,
        })
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
