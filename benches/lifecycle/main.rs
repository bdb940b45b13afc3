//! Jobs through the whole manager, from `enqueue` to their durable end, beside the least that the
//! same disk could do with them; and what a manager costs that is idle, or has just been started.
//! `benches/README.md` says how to read it.

mod backlog;
mod baseline;
mod channel;
mod histogram;
mod idle;
mod ledger;
mod machine;
mod options;
mod order;
mod reopen;
mod report;
mod run;
mod store;
mod submit;
mod tasks;
mod timed;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use options::{Effort, Load, Mode, Options};
use report::{Beside, Report};

/// Whatever stops the bench. It says so and ends.
type Fault = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Where even this cannot be written, the exit code has to do.
            let _ = writeln!(io::stderr(), "lifecycle: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<(), Fault> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        io::stdout().write_all(options::USAGE.as_bytes())?;
        return Ok(());
    };
    let kind = options.store;
    if let Mode::Owner(stock, path) = &options.mode {
        return reopen::own(kind, *stock, path);
    }
    let place = machine::Place::make(&options)?;
    let mut report = Report::new(kind, &place);
    match options.mode {
        Mode::Run(effort) => load(&options, effort, &place, &mut report)?,
        Mode::Idle(span) => report.idle(span, &idle::run(kind, span, place.path())?),
        Mode::Reopen(stock) => report.reopen(stock, &reopen::run(kind, stock, place.path())?),
        Mode::Owner(..) => {}
    }
    let text = if options.json {
        report.to_json()?
    } else {
        report.to_table()?
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn load(
    options: &Options,
    effort: Effort,
    place: &machine::Place,
    report: &mut Report,
) -> Result<(), Fault> {
    let kind = options.store;
    let mut baseline = baseline::Baseline::new(kind, effort, place.path());
    baseline.measure()?;
    let place = place.path();
    let (figures, beside) = if effort.backlog > 0 {
        let (figures, cost) = backlog::run(kind, effort, place)?;
        (figures, Some(Beside::Few(cost)))
    } else if let Load::Submit { .. } = effort.load {
        let (figures, ratio) = submit::run(kind, effort.load, effort.measure, place)?;
        (figures, Some(Beside::Blocking(ratio)))
    } else {
        let figures = run::run(kind, effort.load, effort.measure, place)?;
        (figures, None)
    };
    baseline.measure()?;
    report.load(effort, &figures, beside, &baseline);
    if let Some(doubt) = baseline.doubt() {
        writeln!(io::stderr(), "{doubt}")?;
    }
    Ok(())
}
