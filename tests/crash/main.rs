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
mod pausing;
mod report;
mod trace;
mod work;

use std::io::{Write, stdout};
use std::thread::scope;

use dice::Dice;
use killer::{AIMS, Aim};
use life::{Engine, Home, LIFE};
use report::{Falls, Share};

/// What is killed is this test itself, with a life to live.
#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    if let Ok(life) = std::env::var(LIFE) {
        return life::live(&life);
    }
    let kills: usize = match std::env::var("JOBKEEP_KILLS") {
        Ok(kills) => kills.parse().unwrap(),
        Err(_) => 96,
    };
    let seed = Dice::seed();
    // Shown whether or not the output of tests is, and so is the report.
    writeln!(stdout(), "JOBKEEP_SEED={seed}").unwrap();
    let homes = [
        (Engine::Redb, false),
        (Engine::Sled, false),
        (Engine::Redb, true),
        (Engine::Sled, true),
    ];
    // Two at a time, for two cores.
    let shares: Vec<Share> = scope(|scope| {
        let halves = homes.chunks(2).zip([0, 2]).map(|(homes, from)| {
            scope.spawn(move || {
                let seeds = (from..).map(|place| seed.wrapping_add(place));
                let shares = homes.iter().zip(seeds).map(|(&(engine, prunes), seed)| {
                    at_home(engine, prunes, kills.div_ceil(4), Dice::from(seed))
                });
                shares.collect::<Vec<_>>()
            })
        });
        let halves: Vec<_> = halves.collect();
        let ended = halves.into_iter().map(|half| half.join().unwrap());
        ended.flatten().collect()
    });
    let report = report::of(&shares);
    stdout().write_all(report.as_bytes()).unwrap();
    for share in shares {
        let missing = share.falls.missing(share.home.prunes);
        assert_eq!(missing, None, "{:?}", share.home);
        let none: &[String] = &[];
        assert_eq!(share.account.lost, none, "{:?}", share.home);
        assert_eq!(share.account.at_once, none, "{:?}", share.home);
        assert_eq!(share.account.though_paused, none, "{:?}", share.home);
    }
}

/// All the lives of one store: so many kills, and then more until they fell everywhere.
fn at_home(engine: Engine, prunes: bool, kills: usize, mut dice: Dice) -> Share {
    let folder = tempfile::tempdir().unwrap();
    let home = Home {
        folder: folder.path().into(),
        engine,
        prunes,
    };
    let mut falls = Falls::default();
    let mut next = |falls: &mut Falls, aim: Aim| {
        let number = u32::try_from(falls.kills).unwrap();
        falls.add(&killer::kill(&home, number, aim, &mut dice));
    };
    for &aim in AIMS.iter().cycle().take(kills) {
        next(&mut falls, aim);
    }
    while let Some(aim) = falls.missing(prunes)
        && falls.kills < 2 * kills + 100
    {
        next(&mut falls, aim);
    }
    let account = account::settle(&home, u32::try_from(falls.kills).unwrap());
    Share {
        home,
        falls,
        account,
    }
}
