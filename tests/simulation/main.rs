//! The manager under a scheduler of our own, without threads: random histories of a machine whose
//! disk fails, whose clock jumps and whose processes die, judged at every commit.
//!
//! `SEED=n` replays one history, and `SEEDS`, `STEPS` and `MINUTES` say how many there are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, says what it has played, and ends after so many minutes"
)]
#![allow(
    clippy::unnecessary_wraps,
    reason = "one kind of step is called as any other"
)]

mod act;
mod check;
mod death;
mod disk;
mod drain;
mod kept;
mod model;
mod play;
mod steps;
mod world;

use std::env;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let parsed = text.parse();
    Some(parsed.unwrap_or_else(|_| panic!("{name} is `{text}`, and should be a number")))
}

#[test]
fn every_history_keeps_what_is_promised() {
    play::all(false);
}

#[test]
fn a_sync_that_lies_brings_back_an_older_prefix_and_nothing_else() {
    play::all(true);
}
