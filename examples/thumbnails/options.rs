//! What the command line says.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;

use crate::store::Kind;

pub(crate) const USAGE: &str =
    "thumbnails [FOLDER] [--out DIR] [--store redb|sled|memory] [--workers N] [--help]";

pub(crate) const HELP: &str = "\
Makes thumbnails of photographs, 64, 160, 320 and 640 pixels wide, and goes on where it was stopped.

Usage: thumbnails [FOLDER] [--out DIR] [--store redb|sled|memory] [--workers N] [--help]

  FOLDER        the photos: its .jpg, .jpeg and .png, without its folders and hidden files;
                those in examples/photos unless given
  --out DIR     where pictures go, as DIR/640/cat.png, and the jobs; target/thumbnails unless given
  --store KIND  where jobs are kept: redb, in DIR/jobs.redb, unless given; sled, in DIR/jobs.sled;
                memory, which forgets them when the program ends
  --workers N   how many pictures are made at once; the number of cores unless given
  --help        this text

Started again, it makes what is left, what failed, and what is missing from DIR or older than its
photo. To make everything again, delete DIR.

Exit code: 0 all pictures are there, 1 some failed (the table says why), 2 wrong usage or trouble,
130 stopped by Ctrl-C.
";

pub(crate) enum Command {
    Help,
    Make(Options),
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) folder: PathBuf,
    pub(crate) out: PathBuf,
    pub(crate) store: Kind,
    pub(crate) workers: Option<NonZeroUsize>,
}

pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    let mut folder = None;
    let mut out = PathBuf::from("target/thumbnails");
    let mut store = Kind::Redb;
    let mut workers = None;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("out") => out = arguments.value()?.into(),
            Long("store") => {
                let kind = arguments.value()?;
                store = match kind.to_str() {
                    Some("redb") => Kind::Redb,
                    Some("sled") => Kind::Sled,
                    Some("memory") => Kind::Memory,
                    _ => {
                        let kind = kind.display();
                        return Err(format!("--store is redb, sled or memory, not '{kind}'").into());
                    }
                };
            }
            Long("workers") => {
                let number = arguments.value()?;
                workers = Some(number.parse().map_err(|_| {
                    let number = number.display();
                    format!("--workers is a number from 1, not '{number}'")
                })?);
            }
            Value(path) if folder.is_none() => folder = Some(PathBuf::from(path)),
            other => return Err(other.unexpected()),
        }
    }
    let bundled = || Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
    Ok(Command::Make(Options {
        folder: folder.unwrap_or_else(bundled),
        out,
        store,
        workers,
    }))
}
