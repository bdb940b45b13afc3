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
use std::future::IntoFuture;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::options::{Command, Options};
use crate::thumbnails::Thumbnails;

/// How long visitors have to send and get what is on its way when the page is told to stop.
const GRACE: Duration = Duration::from_secs(3);

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
    let (stop, stopped) = channel();
    // Ctrl-C, or a polite kill.
    ctrlc::set_handler(move || {
        // Where it is stopping already, nobody listens.
        let _ = stop.send(());
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let within = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (tell, told) = oneshot::channel();
    let serving = axum::serve(listener, site).with_graceful_shutdown(async {
        let _ = told.await;
    });
    let serving = runtime.spawn(serving.into_future());
    drop(within);
    println!("The page is at http://{address}");
    io::stdout().flush()?;
    stopped.recv()?;
    // Whoever is still at it when the grace is over has the connection closed.
    let _ = tell.send(());
    let _ = runtime.block_on(async { timeout(GRACE, serving).await });
    runtime.shutdown_background();
    Ok(())
}
