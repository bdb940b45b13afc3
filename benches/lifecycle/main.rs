//! Jobs through the whole manager, from `enqueue` to their durable end, beside the least that the
//! same disk could do with them. `benches/README.md` says how to read it.

mod baseline;
mod channel;
mod histogram;
mod ledger;
mod machine;
mod options;
mod order;
mod report;
mod run;
mod timed;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use options::Options;
use report::Report;

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
    let place = machine::Place::make(&options)?;
    let mut baseline = baseline::Baseline::new(&options, place.path());
    baseline.measure()?;
    let figures = run::run(&options, place.path())?;
    baseline.measure()?;
    let report = Report::new(&options, &place, &figures, &baseline);
    let text = if options.json {
        report.to_json()?
    } else {
        report.to_table()?
    };
    io::stdout().write_all(text.as_bytes())?;
    if let Some(doubt) = baseline.doubt() {
        writeln!(io::stderr(), "{doubt}")?;
    }
    Ok(())
}
