//! Makes thumbnails of photographs: one durable job for each photo and width.
//!
//! Run it, kill it in the middle, run it again: it goes on with what was left.
//!
//! ```text
//! cargo run --release --example thumbnails
//! cargo run --release --example thumbnails -- ~/Pictures --out /tmp/small
//! ```
//!
//! What is worth copying: the job type is in `thumbnail.rs`, opening a store in `store.rs`, and here
//! is the way of a program with jobkeep: start, queue, wait, shut down.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal talks to its user"
)]

mod options;
mod photos;
mod store;
mod table;
mod thumbnail;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};
use jobkeep::{Completed, Manager, NewJob, Queue, Receipt, Retention, Timestamp};

use crate::options::{Command, Options};
use crate::table::{End, Row};
use crate::thumbnail::{OutFolder, Thumbnail};

const WIDTHS: [u32; 4] = [64, 160, 320, 640];

/// How long pictures in work have to end when the program is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// A job done stays known for as long as its store is there: that is how a later start finds it done.
const FOR_EVER: Duration = Duration::MAX;

fn main() -> ExitCode {
    let ended = match options::parse() {
        Ok(Command::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Make(options)) => make_thumbnails(&options),
        Err(wrong) => Err(format!("{wrong}\nUsage: {}", options::USAGE).into()),
    };
    match ended {
        Ok(Ended::AllDone) => ExitCode::SUCCESS,
        Ok(Ended::SomeFailed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("thumbnails: {error}");
            ExitCode::from(2)
        }
        Ok(Ended::Interrupted) => ExitCode::from(130),
    }
}

enum Ended {
    AllDone,
    SomeFailed,
    Interrupted,
}

fn make_thumbnails(options: &Options) -> Result<Ended, Box<dyn Error>> {
    let photos = photos::in_folder(&options.folder)?;
    let begun = now();
    let manager = start(options)?;
    // Ctrl-C, or a polite kill: shut down in order. Whoever waits for a job below is told so.
    let stopping = manager.clone();
    ctrlc::set_handler(move || {
        eprintln!("Stopping: the pictures in work are finished, no other is begun.");
        drop(stopping.shutdown(GRACE));
    })?;

    let pictures = queue(&manager, &photos).and_then(|pictures| {
        remake_lost(&manager, &pictures, &options.out, begun)?;
        Ok(pictures)
    });
    let rows = pictures.and_then(|pictures| wait_for_all(&manager, pictures, begun));
    let ended = match rows {
        Ok(rows) => {
            print!("{}", table::table(&rows, &options.out));
            println!("{}", table::summary(&rows));
            let failed = rows.iter().any(|row| matches!(row.end, End::Failed(_)));
            Ok(if failed {
                Ended::SomeFailed
            } else {
                Ended::AllDone
            })
        }
        Err(error) if error.is_shut_down() => Ok(Ended::Interrupted),
        Err(error) => Err(explained(error, &options.out)),
    };
    let shutdown = manager.shutdown(GRACE)?;
    if let Ok(Ended::Interrupted) = ended {
        say_what_is_left(&photos, &options.out, shutdown.still_running.len());
    }
    ended
}

fn start(options: &Options) -> Result<Manager, Box<dyn Error>> {
    let mut images = Queue::new("images");
    if let Some(workers) = options.workers {
        images = images.workers(workers.get());
    }
    let manager = store::builder(options.store, &options.out)?
        .register::<Thumbnail>()
        .resource(OutFolder(options.out.clone()))
        .queue(images)
        .retention(Retention::keep_all())
        .key_retention(FOR_EVER)
        .start()?;

    let found = manager.recovery();
    if found.waiting > 0 {
        println!(
            "Found {} jobs waiting from an earlier start, {} of them interrupted in their work.",
            found.waiting, found.interrupted
        );
    }
    if found.damaged > 0 {
        println!(
            "Found {} damaged rows in the store, and set them aside.",
            found.damaged
        );
    }
    Ok(manager)
}

/// A picture that is wanted, and the job that makes it.
struct Picture {
    photo: PathBuf,
    width: u32,
    receipt: Receipt<Thumbnail>,
}

/// Queues a job for each photo and width. Where an earlier start did so already, the key finds that
/// job again, in whatever state it is.
fn queue(manager: &Manager, photos: &[PathBuf]) -> Result<Vec<Picture>, jobkeep::Error> {
    const PHOTOS_A_COMMIT: usize = 1_000;
    let mut pictures = Vec::with_capacity(photos.len() * WIDTHS.len());
    for photos in photos.chunks(PHOTOS_A_COMMIT) {
        let wanted: Vec<_> = photos
            .iter()
            .flat_map(|photo| {
                WIDTHS.map(|width| Thumbnail {
                    photo: photo.clone(),
                    width,
                })
            })
            .collect();
        let jobs: Vec<_> = wanted
            .iter()
            .map(|thumbnail| NewJob::new(thumbnail.clone()).key(thumbnail.key()))
            .collect();
        let receipts = manager.enqueue_all(jobs)?;
        pictures.extend(wanted.into_iter().zip(receipts).map(
            |(Thumbnail { photo, width }, receipt)| Picture {
                photo,
                width,
                receipt,
            },
        ));
    }
    Ok(pictures)
}

/// The rule of `make`: a picture that is missing, or older than its photo, is made again, even though
/// its job has ended. This is also the way to try again what failed.
fn remake_lost(
    manager: &Manager,
    pictures: &[Picture],
    out: &Path,
    begun: Timestamp,
) -> Result<(), jobkeep::Error> {
    for Picture {
        photo,
        width,
        receipt,
    } in pictures
    {
        let ended = manager.status(receipt)?.finished();
        if ended.is_some_and(|ended| ended < begun)
            && !photos::is_newer(&thumbnail::place(out, *width, photo), photo)
        {
            manager.retry(receipt)?;
        }
    }
    Ok(())
}

fn wait_for_all(
    manager: &Manager,
    pictures: Vec<Picture>,
    begun: Timestamp,
) -> Result<Vec<Row>, jobkeep::Error> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} pictures, {elapsed}");
    let bar = ProgressBar::new(pictures.len() as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut rows = Vec::with_capacity(pictures.len());
    for Picture {
        photo,
        width,
        receipt,
    } in pictures
    {
        rows.push(wait_for(manager, photo, width, &receipt, begun)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(rows)
}

fn wait_for(
    manager: &Manager,
    photo: PathBuf,
    width: u32,
    receipt: &Receipt<Thumbnail>,
    begun: Timestamp,
) -> Result<Row, jobkeep::Error> {
    match manager.wait(receipt, Duration::MAX) {
        Ok(completed) => Ok(row(photo, width, &completed, begun)),
        // A job that cannot run here has not ended, and will not end.
        Err(error) => match error.park_reason() {
            Some(reason) => Ok(Row::failed(photo, width, format!("set aside: {reason:?}"))),
            None => Err(error),
        },
    }
}

fn row(photo: PathBuf, width: u32, completed: &Completed<Thumbnail>, begun: Timestamp) -> Row {
    let last = completed.history().first();
    Row {
        photo,
        width,
        took: last.map(|attempt| attempt.ended.since(attempt.started)),
        attempts: completed.attempts(),
        interruptions: completed.interruptions(),
        end: match completed.output() {
            Ok(size) if last.is_some_and(|attempt| attempt.ended < begun) => End::DoneBefore(*size),
            Ok(size) => End::Made(*size),
            Err(failure) => End::Failed(failure.message().into()),
        },
    }
}

fn say_what_is_left(photos: &[PathBuf], out: &Path, still_running: usize) {
    let all = photos.len() * WIDTHS.len();
    let made = photos
        .iter()
        .flat_map(|photo| WIDTHS.map(|width| thumbnail::place(out, width, photo)))
        .filter(|picture| picture.exists())
        .count();
    println!(
        "Stopped: {made} of {all} pictures are there, {} are left.",
        all - made
    );
    if still_running > 0 {
        let seconds = GRACE.as_secs();
        println!("{still_running} pictures were not finished within {seconds} seconds.");
    }
    println!("Start again in the same way to go on.");
}

/// Adds what the library cannot know: how this program gets out of it.
fn explained(error: jobkeep::Error, out: &Path) -> Box<dyn Error> {
    if error.key_conflict_with().is_none() {
        return error.into();
    }
    let out = out.display();
    format!(
        "{error}\n{out} holds pictures of another photo of this name: give another folder with \
         --out, or delete {out}"
    )
    .into()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program has no injected clock: it tells apart what ended before it began"
)]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default().after(since.unwrap_or_default())
}
