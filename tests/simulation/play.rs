//! Histories from seeds, and the shortest one that still fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::model::Verdict;
use crate::number;
use crate::steps::{Step, history};
use crate::world::{Tally, World};

const SEEDS: u64 = 220;
const STEPS: u64 = 1_000;

/// So long a failing history is made shorter at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// Plays one history to its end; an error says after how many steps it failed.
fn play(seed: u64, steps: &[Step], lies: bool) -> (Tally, Result<(), (usize, String)>) {
    let mut world = World::new(seed, lies);
    let mut at = 0;
    let played = catch_unwind(AssertUnwindSafe(|| -> Verdict {
        for step in steps {
            at += 1;
            world.step(*step)?;
        }
        world.drain()
    }));
    let verdict = played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!("panicked: {}", text.unwrap_or_default()))
    });
    (world.tally, verdict.map_err(|why| (at, why)))
}

/// Leaves out whatever can be left out.
fn shorten(seed: u64, mut steps: Vec<Step>, lies: bool, why: &str) -> Vec<Step> {
    // Of the same kind: what it says before it comes to details, but for the numbers.
    let kind = |why: &str| -> String {
        let letters = why.chars().filter(|letter| !letter.is_ascii_digit());
        letters.take(30).collect()
    };
    let wanted = kind(why);
    let begun = Instant::now();
    let mut chunk = steps.len().div_ceil(2);
    while chunk > 0 {
        let (mut from, mut shorter) = (0, false);
        while from < steps.len() && begun.elapsed() < PATIENCE {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + chunk).min(steps.len()));
            match play(seed, &fewer, lies).1 {
                Err((at, why)) if kind(&why) == wanted => {
                    fewer.truncate(at);
                    steps = fewer;
                    shorter = true;
                }
                _ => from += chunk,
            }
        }
        if chunk > 1 || !shorter {
            chunk /= 2;
        }
    }
    steps
}

fn one(seed: u64, steps: usize, lies: bool) -> Tally {
    let mut steps = history(seed, steps);
    let (tally, played) = play(seed, &steps, lies);
    let Err((at, why)) = played else {
        return tally;
    };
    steps.truncate(at);
    let steps = shorten(seed, steps, lies, &why);
    let short = play(seed, &steps, lies).1.err().map(|(_, why)| why);
    let listed: Vec<_> = steps.iter().map(|step| format!("  {step:?}")).collect();
    panic!(
        "seed {seed}, step {at}: {why}\n{} steps are enough for: {}\n{}\n\
         SEED={seed} cargo test --all-features --test simulation",
        steps.len(),
        short.unwrap_or_default(),
        listed.join("\n")
    );
}

/// Plays a history that must not fail again, on a store of its own.
pub(crate) fn kept(nth: u64, steps: &[Step]) {
    if let Err((at, why)) = play(nth | 1 << 61, steps, false).1 {
        panic!("step {at}: {why}");
    }
}

pub(crate) fn all(lies: bool) {
    let steps = usize::try_from(number("STEPS").unwrap_or(STEPS)).unwrap();
    if let Some(seed) = number("SEED") {
        one(seed, steps, lies);
        return;
    }
    let begun = Instant::now();
    let minutes = number("MINUTES").map(|minutes| Duration::from_secs(60 * minutes));
    let seeds = number("SEEDS").unwrap_or(if lies { SEEDS / 4 } else { SEEDS });
    let first = number("FIRST").unwrap_or(1);
    let mut tally = Tally::default();
    let mut played = 0;
    while minutes.map_or(played < seeds, |minutes| begun.elapsed() < minutes) {
        tally.add(one(first + played, steps, lies));
        played += 1;
    }
    let Tally {
        steps,
        commits,
        accepted,
        attempts,
        crashes,
        torn,
        ends,
        faults,
        lies: taken_back,
    } = tally;
    println!(
        "{played} seeds from {first}: {steps} steps, {commits} commits, {accepted} jobs acknowledged, \
         {attempts} attempts; {crashes} crashes, {torn} of them inside a commit; {ends} managers ended \
         in a process that went on; {faults} faults struck; {taken_back} times a sync had lied"
    );
}
