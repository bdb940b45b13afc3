//! A process is killed again and again while it queues jobs, runs them, opens its store, prunes it and
//! shuts down. In the end every acknowledged job has run, and every run beyond the first of a job is
//! explained.
//!
//! `scripts/crash --kills N` kills as often as one likes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking, and explains itself by its name"
)]

mod account;
mod dice;
mod killer;
mod life;
mod trace;
mod work;

use std::fmt::Write as _;
use std::io::Write as _;
use std::thread::scope;

use account::Account;
use dice::Dice;
use killer::{AIMS, Aim, Fell};
use life::{Engine, Home, LIFE};

/// The child: nothing where it is not asked to live.
#[test]
fn a_life() {
    if let Ok(life) = std::env::var(LIFE) {
        life::live(&life);
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    if std::env::var_os(LIFE).is_some() {
        return;
    }
    let kills = match std::env::var("JOBKEEP_KILLS") {
        Ok(kills) => kills.parse().unwrap(),
        Err(_) => 64_usize,
    };
    let seed = Dice::seed();
    println!("JOBKEEP_SEED={seed}");
    let homes = [
        (Engine::Redb, false),
        (Engine::Sled, false),
        (Engine::Redb, true),
        (Engine::Sled, true),
    ];
    // Two at a time.
    let halves: Vec<_> = scope(|scope| {
        let halves = homes.chunks(2).zip(0..).map(|(homes, half)| {
            scope.spawn(move || {
                let shares = homes.iter().zip(0..).map(|(&(engine, prunes), place)| {
                    let seed = seed.wrapping_add(2 * half + place);
                    at_home(engine, prunes, kills.div_ceil(4), seed)
                });
                shares.collect::<Vec<_>>()
            })
        });
        let halves: Vec<_> = halves.collect();
        halves.into_iter().map(|half| half.join().unwrap()).collect()
    });
    let shares: Vec<_> = halves.into_iter().flatten().collect();
    let report = Report::of(&shares);
    // Not captured, unlike what `println` writes.
    std::io::stdout().write_all(report.text.as_bytes()).unwrap();
    report.falls_everywhere();
}

type Share = (Engine, Vec<Fell>, Account);

/// All the lives of one store.
fn at_home(engine: Engine, prunes: bool, kills: usize, seed: u64) -> Share {
    let folder = tempfile::tempdir().unwrap();
    let home = Home {
        folder: folder.path().into(),
        engine,
        prunes,
    };
    let mut dice = Dice::from(seed);
    let mut aims = AIMS.iter().cycle();
    let mut fell = Vec::new();
    while fell.len() < kills {
        let &aim = aims.next().unwrap();
        let number = fell.len() as u32;
        fell.push(killer::kill(&home, number, aim, &mut dice));
    }
    let account = account::settle(&home, fell.len() as u32);
    (engine, fell, account)
}

struct Report {
    text: String,
}

impl Report {
    fn of(shares: &[Share]) -> Self {
        Self { text: format!("{shares:?}\n") }
    }
    fn falls_everywhere(&self) {}
}
