//! A host that executes and may be killed, and the ledger of what it began and ended.

use std::fs::{File, OpenOptions, read_to_string};
use std::io::{Read, Write, stdin};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use jobkeep::http::{Role, Server};
use jobkeep::{Context, Job, JobError, Manager, MemoryStore, Run};
use serde::{Deserialize, Serialize};

use crate::fleet::{Running, TOKEN};

/// The variable that makes a process of this test such a host.
const EXECUTOR: &str = "JOBKEEP_TEST_EXECUTOR";

/// How a host treats its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Manner {
    /// Runs each at once, except that every fourth never comes to its end.
    HangsSometimes,
    /// No job comes to its end.
    Hangs,
    /// The first attempt of every fourth takes longer than its deadline.
    IsSlow,
}

/// A host to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Executor {
    pub(crate) server: String,
    pub(crate) listen: String,
    pub(crate) threads: usize,
    pub(crate) manner: Manner,
    pub(crate) ledger: PathBuf,
}

impl Executor {
    /// Starts it as a process that is the named test of this binary.
    pub(crate) fn start(&self, test: &str) -> Running {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process
            .args(["--exact", test, "--nocapture"])
            .env(EXECUTOR, serde_json::to_string(self).unwrap());
        Running::start(&mut process)
    }

    /// What this process is to be, where it is such a host.
    pub(crate) fn of_this_process() -> Option<Self> {
        let told = std::env::var(EXECUTOR).ok()?;
        Some(serde_json::from_str(&told).unwrap())
    }

    /// Is the host until its input ends, which it does when the test does.
    pub(crate) fn live(self) {
        let listen = self.listen.clone();
        let manager = Manager::builder(MemoryStore::new())
            .server(&self.server)
            .executors(self.threads)
            .resource(self)
            .register::<Traced>()
            .start()
            .unwrap();
        let server = Server::new(&manager).token(TOKEN, [Role::Execute]);
        let serving = server.serve(listen.as_str()).unwrap();
        println!("listens at {}", serving.address());
        stdin().read_to_end(&mut Vec::new()).unwrap();
        serving.shutdown(Duration::ZERO).unwrap();
    }
}

/// A job that leaves its traces in the ledger of the host that runs it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Traced {
    pub(crate) n: usize,
}

impl Job for Traced {
    const NAME: &'static str = "traced";
    type Output = usize;
}

impl Run for Traced {
    fn run(&mut self, ctx: &Context) -> Result<usize, JobError> {
        let host: &Executor = ctx.resource()?;
        let mut ledger = open(&host.ledger)?;
        let mut note = |event: Event| {
            let line = format!("{} {} {event:?}\n", host.server, self.n);
            // One write: what was said before a kill is in the file.
            ledger.write_all(line.as_bytes())
        };
        note(Event::Begun)?;
        let hangs = match host.manner {
            Manner::HangsSometimes => self.n.is_multiple_of(4),
            Manner::Hangs => true,
            Manner::IsSlow => self.n % 4 == 1 && ctx.attempt() == 1,
        };
        // Nobody ever says anything in it: it only waits.
        let (_silent, silence) = channel::<()>();
        while hangs && !ctx.is_cancelled() {
            let _ = silence.recv_timeout(Duration::from_millis(10));
        }
        note(Event::Ended)?;
        Ok(self.n)
    }
}

fn open(ledger: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(ledger)
}

/// What a ledger has of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Begun,
    Ended,
}

/// A line of a ledger: which host, which job, and what.
pub(crate) type Line = (String, usize, Event);

pub(crate) fn read(ledger: &Path) -> Vec<Line> {
    let text = read_to_string(ledger).unwrap_or_default();
    let line = |line: &str| {
        let parts: Vec<_> = line.split(' ').collect();
        let event = match parts[2] {
            "Begun" => Event::Begun,
            "Ended" => Event::Ended,
            other => panic!("{other}"),
        };
        (parts[0].into(), parts[1].parse().unwrap(), event)
    };
    text.lines().map(line).collect()
}
