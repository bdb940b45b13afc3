//! Jobs created and asked for over HTTP on loopback, beside an axum handler that answers the same bytes;
//! batches beside the same batches without a wire; what a connection costs that is idle; and jobs pushed
//! to a host that runs them, or to one that is not there.
//! `benches/README.md` says how to read it.

mod ahead;
mod dead;
mod host;
mod idle;
mod job;
mod options;
mod push;
mod report;
mod traffic;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jobkeep::{Manager, RedbStore};

use host::Host;
use options::{Case, Options};
use report::Report;
use traffic::{Requests, Tally};

/// Whatever stops the bench. It says so and ends.
type Fault = Box<dyn Error + Send + Sync>;

/// As many threads send batches, each with a connection of its own.
const BATCHERS: usize = 4;

/// Jobs of one batch.
const BATCH: usize = 1_000;

fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Where even this cannot be written, the exit code has to do.
            let _ = writeln!(io::stderr(), "remote: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<(), Fault> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        io::stdout().write_all(options::USAGE.as_bytes())?;
        return Ok(());
    };
    if let Some(folder) = &options.host {
        return host::run(folder, options.connections);
    }
    let within = match &options.dir {
        Some(dir) => dir.clone(),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    };
    std::fs::create_dir_all(&within)?;
    for case in &options.cases {
        let folder = tempfile::Builder::new()
            .prefix("remote-")
            .tempdir_in(&within)?;
        let report = run(*case, &options, folder.path())?;
        let text = if options.json {
            report.to_json()?
        } else {
            report.to_table()?
        };
        io::stdout().write_all(text.as_bytes())?;
    }
    Ok(())
}

fn run(case: Case, options: &Options, folder: &Path) -> Result<Report, Fault> {
    let (connections, span) = (options.connections, options.span);
    let host = Host::start(folder, connections)?;
    match case {
        Case::Create => {
            let body = job::create()?;
            let jobs = Requests::post(&host.jobs, "/v1/jobs", &body);
            let plain = Requests::post(&host.plain, "/create", &body);
            let (here, beside) = beside(&jobs, &plain, connections, span)?;
            Ok(Report::requests(case, connections, here, beside))
        }
        Case::Ask => {
            let path = host.finished_job()?;
            let jobs = Requests::get(&host.jobs, &path);
            let plain = Requests::get(&host.plain, "/ask");
            host.have_plain_answer(&jobs)?;
            let (here, beside) = beside(&jobs, &plain, connections, span)?;
            Ok(Report::requests(case, connections, here, beside))
        }
        Case::Batch => {
            let body = job::batch(BATCH)?;
            let batches = Requests::post(&host.jobs, "/v1/batches", &body);
            let manager = Manager::builder(RedbStore::open(folder.join("local.redb"))?)
                .register::<job::Nothing>()
                .queue(job::queue())
                .start()?;
            let local = || traffic::local(&manager, BATCHERS, BATCH, span / 2);
            let before = local()?;
            batches.run(BATCHERS, span / 3)?;
            let here = batches.run(BATCHERS, span)?;
            let beside = before.and(local()?);
            manager.shutdown(Duration::from_secs(60))?;
            Ok(Report::batches(BATCHERS, BATCH, here, beside))
        }
        Case::Idle => {
            let figures = idle::run(&host)?;
            Ok(Report::idle(&figures))
        }
        Case::Push => {
            let figures = push::run(&host, folder, connections, span)?;
            Ok(Report::push(connections, &figures))
        }
        Case::Dead => {
            // Nobody is to be reached.
            drop(host);
            let figures = dead::run(folder, span)?;
            Ok(Report::dead(&figures))
        }
    }
}

/// Both loads in turn, so that a machine that gets slower meanwhile slows both: half of the second, a
/// warm-up, the first, and the other half.
fn beside(
    jobs: &Requests,
    plain: &Requests,
    connections: usize,
    span: Duration,
) -> Result<(Tally, Tally), Fault> {
    let before = plain.run(connections, span / 2)?;
    jobs.run(connections, span / 3)?;
    let here = jobs.run(connections, span)?;
    let after = plain.run(connections, span / 2)?;
    Ok((here, before.and(after)))
}
