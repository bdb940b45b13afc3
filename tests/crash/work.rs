//! The jobs, and the files that outlive the process that runs them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jobkeep::{Builder, Context, Job, JobError, NewJob, Policy};
use serde::{Deserialize, Serialize};

use crate::pausing::rest;
use crate::trace::Trace;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// One of a kind, in all the lives of a store.
    pub(crate) label: String,
    pub(crate) kind: Kind,
    /// How far a job with checkpoints is.
    pub(crate) step: u32,
    pub(crate) filler: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Plain,
    /// Its first attempt ends with an error.
    Fails,
    /// Keeps its value at each of its steps.
    Steps,
    /// Two jobs follow it.
    Leads,
    /// Its first attempt stays beyond its time-out.
    Overruns,
    /// Of the queue that is paused now and then.
    Rests,
}

/// The queue that is paused now and then.
pub(crate) const PAUSED: &str = "paused";
const TIMEOUT: Duration = Duration::from_millis(8);

pub(crate) const STEPS: u32 = 3;

impl Job for Work {
    const NAME: &'static str = "work";
    const POLICY: Policy =
        Policy::new().backoff(Duration::from_millis(1), Duration::from_millis(2));
    type Output = String;
}

impl Work {
    pub(crate) fn new(label: String, kind: Kind, filler: usize) -> Self {
        let filler = filler_of(&label, filler);
        Self {
            label,
            kind,
            step: 0,
            filler,
        }
    }
}

/// A job with the options of its kind.
pub(crate) fn new_job(label: &str, kind: Kind, filler: usize) -> NewJob<Work> {
    let job = NewJob::new(Work::new(label.into(), kind, filler));
    match kind {
        Kind::Overruns => job.timeout(TIMEOUT),
        Kind::Rests => job.queue(PAUSED),
        _ => job,
    }
}

/// Text that belongs to this label only.
fn filler_of(label: &str, length: usize) -> String {
    label.chars().chain(['/']).cycle().take(length).collect()
}

pub(crate) fn output_of(label: &str) -> String {
    format!("{label} done")
}

/// The jobs that follow one.
pub(crate) fn followers(label: &str) -> [String; 2] {
    [format!("{label}+1"), format!("{label}+2")]
}

/// A file of lines that survives the process: each line, or lines that belong together, is one write
/// at the end.
#[derive(Debug)]
pub(crate) struct Lines(File);

impl Lines {
    pub(crate) fn at(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Self(file.unwrap())
    }

    pub(crate) fn add(&self, lines: &str) {
        (&self.0).write_all(lines.as_bytes()).unwrap();
    }
}

/// Where the runs of jobs are written down.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) lines: Arc<Lines>,
    pub(crate) life: u32,
    pub(crate) trace: Arc<Trace>,
}

impl Ledger {
    pub(crate) fn register(self, builder: Builder) -> Builder {
        builder.handle::<Work>(move |work, ctx| self.run(work, ctx))
    }

    fn run(&self, work: &mut Work, ctx: &Context) -> Result<String, JobError> {
        let (number, attempt, life) = (ctx.id(), ctx.attempt(), self.life);
        let Work {
            label, step, kind, ..
        } = work;
        let about = format!("{number} {attempt} {life} {label} {step} {kind:?}");
        self.lines.add(&format!("begin {about}\n"));
        self.trace.say("run begin");
        // Nobody would see a queue at rest in which a job stays.
        if work.kind != Kind::Rests {
            self.trace.hold_once();
        }
        let end = self.act(work, ctx);
        let ended = match &end {
            Ok(_) => "done",
            Err(_) if work.kind == Kind::Overruns => "late",
            Err(_) => "error",
        };
        self.lines.add(&format!("{ended} {about}\n"));
        self.trace.say("run end");
        end
    }

    fn act(&self, work: &mut Work, ctx: &Context) -> Result<String, JobError> {
        let whole = filler_of(&work.label, work.filler.len());
        if work.filler != whole {
            return Err(JobError::permanent("another job's payload"));
        }
        match work.kind {
            Kind::Fails if ctx.attempt() == 1 => return Err(JobError::new("the first one fails")),
            Kind::Overruns if ctx.attempt() == 1 => {
                while !ctx.is_cancelled() {
                    rest(Duration::from_millis(1));
                }
                self.trace.say("late begin");
                rest(Duration::from_millis(2));
                self.trace.say("late end");
                return Err(JobError::new("too late"));
            }
            Kind::Plain | Kind::Fails | Kind::Overruns | Kind::Rests => {}
            Kind::Steps => {
                while work.step < STEPS {
                    work.step += 1;
                    ctx.checkpoint(work)?;
                    let (number, step) = (ctx.id(), work.step);
                    self.lines.add(&format!("kept {number} {step}\n"));
                }
            }
            Kind::Leads => {
                let jobs = followers(&work.label);
                ctx.enqueue_all(jobs.map(|label| NewJob::new(Work::new(label, Kind::Plain, 10))))?;
            }
        }
        Ok(output_of(&work.label))
    }
}
