//! The page of a photo service, and none of its work: visitors upload a photo, and hosts behind a balancer
//! make thumbnails of it.
//!
//! `scripts/cloud` starts the whole of it: this program, a balancer, and three hosts (the example `host`). By
//! hand, with hosts as in docs/remote.md:
//!
//! ```text
//! JOBKEEP_TOKEN=T cargo run --release --features http --example cloud -- \
//!     --jobs http://127.0.0.1:8080 --host web-1=http://127.0.0.1:8081 --key cookie.key
//! ```
//!
//! It keeps nothing itself: which jobs are a visitor's stands in the visitor's cookie, and the rest with the
//! hosts. So it may be started again at any time, or several times side by side.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal talks to its user"
)]

mod options;
mod page;
mod photo;
mod session;
mod site;
mod thumbnails;

use std::error::Error;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::options::{Command, Options};
use crate::thumbnails::Thumbnails;

fn main() -> ExitCode {
    let ended = match options::parse() {
        Ok(Command::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve(options)) => serve(&options),
        Err(wrong) => Err(format!("{wrong}\nUsage: {}", options::USAGE).into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloud: {error}");
            ExitCode::from(2)
        }
    }
}

fn serve(options: &Options) -> Result<(), Box<dyn Error>> {
    let thumbnails = Thumbnails::through(options)?;
    let site = site::router(thumbnails, session::key(&options.key)?);
    let listener = TcpListener::bind(&options.listen)
        .map_err(|cause| format!("listen at {}: {cause}", options.listen))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    // Ctrl-C, or a polite kill.
    ctrlc::set_handler(move || stop.notify_one())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        println!("The page is at http://{address}");
        io::stdout().flush()?;
        axum::serve(listener, site)
            .with_graceful_shutdown(async move { stopped.notified().await })
            .await
    })?;
    Ok(())
}
