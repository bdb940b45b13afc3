//! Checks a store that no program has open, and puts it in order as far as that is safe.
//!
//! ```text
//! cargo run --example fsck -- jobs.redb
//! cargo run --example fsck -- jobs.redb --repair
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal talks to its user"
)]

mod options;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jobkeep::{Finding, QueueStore, repair, verify};

use crate::options::{Command, Kind, Options};

fn main() -> ExitCode {
    let ended = match options::parse() {
        Ok(Command::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Check(options)) => check(&options),
        Err(wrong) => Err(format!("{wrong}\nUsage: {}", options::USAGE).into()),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("fsck: {error}");
            ExitCode::from(2)
        }
    }
}

/// Says what there is; `true` where nothing is wrong, or nothing any more.
fn check(options: &Options) -> Result<bool, Box<dyn Error>> {
    let path = options.path.display();
    // A store would be made where there is none.
    if !options.path.try_exists()? {
        return Err(format!("there is no store at {path}: give the path of one").into());
    }
    let store = open(options.store, &options.path)?;
    let bar = spinner(format!("Checking {path}"));
    let verification = verify(&*store);
    bar.finish_and_clear();
    let verification = verification?;
    println!(
        "{path}: {} jobs not finished, {} finished, {} rows set aside.",
        verification.unfinished, verification.finished, verification.set_aside
    );
    let findings = verification.findings;
    if findings.is_empty() {
        println!("Nothing is wrong.");
        store.close()?;
        return Ok(true);
    }
    say("Found", &findings);
    if !options.repair {
        println!(
            "Nothing was changed. Make a copy of the store, then give --repair to do what is safe."
        );
        store.close()?;
        return Ok(false);
    }
    let bar = spinner(format!("Repairing {path}"));
    let repaired = repair(&*store);
    bar.finish_and_clear();
    let repaired = repaired?;
    say("Repaired", &repaired.repaired);
    say("Left", &repaired.left);
    if repaired.left.is_empty() {
        println!("Nothing is wrong any more.");
    }
    store.close()?;
    Ok(repaired.left.is_empty())
}

fn say(what: &str, findings: &[Finding]) {
    if !findings.is_empty() {
        println!("{what} {}:", findings.len());
    }
    for finding in findings {
        println!("- {finding}");
    }
}

/// Shown on a terminal only, for as long as it takes.
fn spinner(what: String) -> ProgressBar {
    const TICK: Duration = Duration::from_millis(100);
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
    let bar = ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(what);
    bar.enable_steady_tick(TICK);
    bar
}

fn open(kind: Kind, path: &Path) -> Result<Box<dyn QueueStore>, Box<dyn Error>> {
    match kind {
        #[cfg(feature = "redb")]
        Kind::Redb => Ok(Box::new(jobkeep::RedbStore::open(path)?)),
        #[cfg(feature = "sled")]
        Kind::Sled => Ok(Box::new(jobkeep::SledStore::open(path)?)),
        #[cfg(not(all(feature = "redb", feature = "sled")))]
        kind => {
            let kind = kind.name();
            let path = path.display();
            Err(format!(
                "this build has no {kind} store. Build it with\n    cargo run --features {kind} \
                 --example fsck -- {path} --store {kind}"
            )
            .into())
        }
    }
}
