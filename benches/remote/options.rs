//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, ValueExt};

use crate::Fault;

pub(crate) const USAGE: &str = "\
usage: cargo bench --features http --bench remote -- [OPTIONS]

OPTIONS
  --case C         create, batch, ask, idle, push or dead; may be given again (all of them)
  --connections N  how many at once, of create, ask and push (64)
  --seconds S      how long to measure, after a warm-up of a third of it (3)
  --dir D          where the stores are made, and removed again (target/tmp)
  --json           print one JSON object a case, each on one line
  --help           print this
";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Create,
    Batch,
    Ask,
    Idle,
    Push,
    Dead,
}

impl Case {
    const ALL: [Self; 6] = [
        Self::Create,
        Self::Batch,
        Self::Ask,
        Self::Idle,
        Self::Push,
        Self::Dead,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Batch => "batch",
            Self::Ask => "ask",
            Self::Idle => "idle",
            Self::Push => "push",
            Self::Dead => "dead",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) cases: Vec<Case>,
    pub(crate) connections: usize,
    pub(crate) span: Duration,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) json: bool,
    /// This process is the host, in this folder: the bench starts itself with it.
    pub(crate) host: Option<PathBuf>,
}

impl Options {
    /// `None` where help is wanted.
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Option<Self>, Fault> {
        let mut options = Self {
            cases: Vec::new(),
            connections: 64,
            span: Duration::from_secs(3),
            dir: None,
            json: false,
            host: None,
        };
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Long("case") => {
                    let name = parser.value()?.string()?;
                    let case = Case::ALL.into_iter().find(|case| case.name() == name);
                    let case =
                        case.ok_or_else(|| format!("there is no case {name}; see --help"))?;
                    options.cases.push(case);
                }
                Long("connections") => options.connections = parser.value()?.parse()?,
                Long("seconds") => {
                    options.span = Duration::from_secs(parser.value()?.parse()?);
                }
                Long("dir") => options.dir = Some(parser.value()?.into()),
                Long("json") => options.json = true,
                Long("host") => options.host = Some(parser.value()?.into()),
                // Cargo gives it to every bench.
                Long("bench") => {}
                Long("help") => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        if options.cases.is_empty() {
            options.cases = Case::ALL.into();
        }
        if options.connections == 0 || options.span.is_zero() {
            return Err("nothing can be measured with zero connections or in no time".into());
        }
        Ok(Some(options))
    }
}
