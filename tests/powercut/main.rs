//! The power goes at any moment: of what was written and not synced, the disk has any part.
//!
//! A history is several lives of a manager on one store, whose file is recorded below redb. For each
//! sync, and for places between them, images are made of what a disk may then have; each is opened as
//! any store is, and must have all that was acknowledged by then. The next life begins from one of them.
//!
//! `SEED=7` does one history, and `MINUTES=10` goes on for so long. The same seed asks for the same jobs and
//! cuts by the same rules; what the file is written in between depends on the threads of the manager, most
//! of all in every third history, where jobs run on threads too. So the image of a failure is kept.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails by panicking, and explains itself by its name"
)]

mod dice;
mod disk;
mod facts;
mod found;
mod history;
mod life;
#[cfg(feature = "sled")]
mod unsynced;
mod work;

use std::io::Write;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use history::{Report, history};

/// How many histories a run does by itself.
const HISTORIES: u64 = 10;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap())
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes() {
    let seed = number("SEED");
    let minutes = number("MINUTES").map(|minutes| Duration::from_secs(60 * minutes));
    let begun = Instant::now();
    let first = seed.unwrap_or(if minutes.is_some() { HISTORIES } else { 0 });
    let next = AtomicU64::new(first);
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Report::default());
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let seed_now = next.fetch_add(1, Ordering::Relaxed);
            let over = match (seed, minutes) {
                (Some(seed), _) => seed_now > seed,
                (None, Some(minutes)) => begun.elapsed() > minutes,
                (None, None) => seed_now >= HISTORIES,
            };
            if over {
                break;
            }
            let caught = catch_unwind(|| history(seed_now));
            let failure = match caught {
                Ok(Ok(report)) => {
                    total.lock().unwrap().add(&report);
                    continue;
                }
                Ok(Err(failure)) => failure,
                Err(_) => "it panicked, as is said above".into(),
            };
            failed.store(true, Ordering::Relaxed);
            panic!("SEED={seed_now} scripts/powercut shows it again: {failure}");
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(2, Into::into);
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let total = total.into_inner().unwrap();
    // Not captured: these are the figures.
    writeln!(io::stderr(), "{total}, {:.1?}", begun.elapsed()).unwrap();
    let by_itself = seed.is_none() && minutes.is_none();
    assert!(!by_itself || total.cuts >= 5_000, "{total}");
}
