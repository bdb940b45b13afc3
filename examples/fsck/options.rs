//! What the command line says.

use std::path::PathBuf;

use lexopt::prelude::*;

pub(crate) const USAGE: &str = "fsck PATH [--repair] [--store redb|sled] [--help]";

pub(crate) const HELP: &str = "\
Checks a store of jobkeep that no program has open: every row, and whether the rows agree.

Usage: fsck PATH [--repair] [--store redb|sled] [--help]

  PATH          the store: a file of redb, or a folder of sled
  --repair      do what is safe: set damaged rows aside with their bytes, delete what belongs to no
                job, correct counts; no job that can be read is deleted. Make a copy first
  --store KIND  redb or sled; sled where PATH is a folder, unless given
  --help        this text

Exit code: 0 nothing is wrong, or nothing any more; 1 something is wrong, or left; 2 wrong usage, or
the store could not be read.
";

pub(crate) enum Command {
    Help,
    Check(Options),
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) path: PathBuf,
    pub(crate) repair: bool,
    pub(crate) store: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Redb,
    Sled,
}

#[cfg(not(all(feature = "redb", feature = "sled")))]
impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Sled => "sled",
        }
    }
}

pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    let mut path = None;
    let mut repair = false;
    let mut store = None;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("repair") => repair = true,
            Long("store") => {
                let kind = arguments.value()?;
                store = match kind.to_str() {
                    Some("redb") => Some(Kind::Redb),
                    Some("sled") => Some(Kind::Sled),
                    _ => {
                        let kind = kind.display();
                        return Err(format!("--store is redb or sled, not '{kind}'").into());
                    }
                };
            }
            Value(value) if path.is_none() => path = Some(PathBuf::from(value)),
            other => return Err(other.unexpected()),
        }
    }
    let Some(path) = path else {
        return Err("give the path of a store".into());
    };
    let of_path = if path.is_dir() {
        Kind::Sled
    } else {
        Kind::Redb
    };
    Ok(Command::Check(Options {
        store: store.unwrap_or(of_path),
        path,
        repair,
    }))
}
