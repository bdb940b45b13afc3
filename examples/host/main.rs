//! One host: a manager on a redb file, with four job types to play with, on the wire.
//!
//! ```text
//! cargo run --release --features http --example host -- \
//!     --listen 127.0.0.1:8081 --server web-1 --store jobs.redb --token T
//! curl -H "Authorization: Bearer T" -H "Content-Type: application/json" \
//!     -d '{"name":"echo","payload":{"hello":"world"}}' http://127.0.0.1:8081/v1/jobs
//! ```
//!
//! Several of them behind a balancer are what docs/remote.md is about; `nginx.conf`, `haproxy.cfg` and
//! `apache.conf` are such balancers.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal talks to its user"
)]

mod jobs;
mod options;
mod thumbnail;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;

use jobkeep::http::{Push, Server};
use jobkeep::{Manager, Queue, RedbStore};

use crate::options::{Command, Options};

/// How long requests and jobs have to end when the host is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// A photograph of 8 MiB, as base64 in JSON.
const PAYLOAD_BYTES: usize = 12 << 20;

fn main() -> ExitCode {
    let ended = match options::parse() {
        Ok(Command::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve(options)) => serve(options),
        Err(wrong) => Err(format!("{wrong}\nUsage: {}", options::USAGE).into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("host: {error}");
            ExitCode::from(2)
        }
    }
}

fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let Options {
        listen,
        server,
        store,
        tokens,
        notice,
        executors,
        push,
        verbose,
    } = options;
    let opened = RedbStore::open(&store).map_err(|cause| {
        format!("{cause}: give another --store, or look at this one with the example fsck")
    })?;
    let queue = Queue::new("default");
    let queue = match push {
        Some(url) => {
            let shown = tokens.first().map(|(secret, _)| secret);
            queue.push_to(shown.into_iter().fold(Push::new(url), Push::token))
        }
        None => queue.workers(4),
    };
    let builder = Manager::builder(opened)
        .server(&server)
        .queue(queue)
        .executors(executors)
        .payload_limit(PAYLOAD_BYTES)
        .output_limit(PAYLOAD_BYTES);
    let manager = jobs::register(builder).start()?;
    let mut host = Server::new(&manager)
        .body_limit(PAYLOAD_BYTES + (1 << 20))
        .notice(notice);
    for (token, roles) in tokens {
        host = host.token(token, roles);
    }
    if verbose {
        host = host.log(|answered| eprintln!("{answered}"));
    }
    let serving = host.serve(listen.as_str())?;
    let (stop, stopped) = channel();
    // Ctrl-C, or a polite kill.
    ctrlc::set_handler(move || {
        // Where it is stopping already, nobody listens.
        let _ = stop.send(());
    })?;
    let address = serving.address();
    println!(
        "{server} listens at http://{address}, its jobs are in {}",
        store.display()
    );
    io::stdout().flush()?;
    stopped.recv()?;
    eprintln!("Stopping: requests and jobs in work are finished, no other is begun.");
    let report = serving.shutdown(GRACE)?;
    eprintln!(
        "{} jobs ended meanwhile, {} were handed back",
        report.finished, report.handed_back
    );
    for left in &report.still_running {
        eprintln!(
            "job {} still runs on {}; the next start runs it again",
            left.job, left.thread
        );
    }
    Ok(())
}
