//! A store under load, for as long as one likes: producers faster than the workers and slower, jobs that
//! fail, snooze, panic, overrun and are huge, delays, cancels, removals, retries, pauses, and an opening after
//! the other. In the end every accepted job has ended, and memory and file are within bounds that were said
//! before.
//!
//! `MINUTES=10` goes on for so long, and `SEED=7` asks for the same jobs again: `scripts/soak`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails by panicking, explains itself by its name, and ends after so many minutes"
)]

mod bounds;
#[path = "../powercut/dice.rs"]
mod dice;
mod pace;
mod phase;
mod tally;
mod work;

use std::env;
use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use bounds::{Bounds, KEPT};
use dice::Dice;
use jobkeep::{RedbStore, verify};
use pace::Pace;
use phase::{Acts, Left, Load, Phase};
use tally::{Account, Tally};
use work::{Runs, Site};

/// One after the other, again and again.
const PHASES: [Phase; 4] = [
    Phase {
        name: "more than the workers can do",
        producers: 4,
        workers: 1,
        takes_us: 1_000,
        batch: 200,
        between: Duration::ZERO,
        operator: false,
        grace: Duration::ZERO,
    },
    Phase {
        name: "less than the workers can do",
        producers: 1,
        workers: 8,
        takes_us: 0,
        batch: 5,
        between: Duration::from_millis(5),
        operator: false,
        grace: Duration::from_millis(5),
    },
    Phase {
        name: "an operator amid it all",
        producers: 4,
        workers: 4,
        takes_us: 100,
        batch: 20,
        between: Duration::from_millis(1),
        operator: true,
        grace: Duration::from_millis(5),
    },
    Phase {
        name: "an operator, and more than the workers can do",
        producers: 4,
        workers: 1,
        takes_us: 1_000,
        batch: 200,
        between: Duration::ZERO,
        operator: true,
        grace: Duration::from_secs(60),
    },
];

/// By itself a phase takes so long, and one of a soak of minutes so long.
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(10);

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let parsed = text.parse();
    Some(parsed.unwrap_or_else(|_| panic!("{name} is `{text}`, and should be a number")))
}

#[derive(Debug, Default)]
struct Report {
    openings: usize,
    interrupted: u64,
    handed_back: u64,
    most_waiting: usize,
    acts: Acts,
}

impl Report {
    fn add(&mut self, left: &Left) {
        self.openings += 1;
        self.interrupted += left.found.interrupted;
        self.handed_back += left.shutdown.handed_back;
        self.most_waiting = self.most_waiting.max(left.most_waiting);
        self.acts.cancelled += left.acts.cancelled;
        self.acts.removed += left.acts.removed;
        self.acts.retried += left.acts.retried;
        self.acts.paused += left.acts.paused;
    }
}

struct Soak {
    load: Load,
    begun: Instant,
    dice: Dice,
    report: Report,
    /// Of so many jobs at most the tally and the store may differ until all is over.
    late: usize,
}

impl Soak {
    /// One line that is written over on a terminal, and nothing elsewhere.
    fn tell(&self, what: &str) {
        if stderr().is_terminal() {
            let (seconds, accepted) = (
                self.begun.elapsed().as_secs(),
                self.load.site.tally.accepted(),
            );
            let (waiting, _) = self.load.site.tally.waiting();
            let shown = Bounds::shown(&self.load.path);
            let line = format!("{seconds} s: {accepted} accepted, {waiting} wait, {shown}: {what}");
            let _ = write!(stderr(), "\r{line:110}");
        }
    }

    /// All phases, and then everything to its end.
    fn round(&mut self, time: Duration) -> Result<(), String> {
        for phase in PHASES {
            let dice = &mut Dice::new(self.dice.next());
            let left = self.load.run(phase, time, dice, || self.tell(phase.name));
            self.report.add(&left);
            let found = usize::try_from(left.found.waiting).unwrap();
            let (waited, late) = (left.waited, self.late);
            if waited.abs_diff(found) > late {
                return Err(format!(
                    "{waited} wait, give or take {late}: an opening found {found}"
                ));
            }
            self.late = left.late();
        }
        self.late = 0;
        let manager = self.load.drain(1_200, || self.tell("to the end"))?;
        // What was accepted and has not ended was in the store, or is lost.
        let account = self.load.site.tally.account();
        if account.waiting + account.unasked > 0 {
            let first = self.load.site.tally.first_waiting();
            return Err(format!(
                "lost, or run unasked: {account:?}, as jobs {first:?}"
            ));
        }
        let kept = self.load.kept(&manager)?;
        if kept > KEPT {
            return Err(format!("{kept} finished jobs are kept, more than {KEPT}"));
        }
        manager.shutdown(Duration::from_secs(60)).unwrap();
        self.report.openings += 1;
        let store = RedbStore::open(&self.load.path).map_err(|error| error.to_string())?;
        let verified = verify(&store).map_err(|error| error.to_string())?;
        if !verified.findings.is_empty() || verified.unfinished > 0 {
            return Err(format!("the store does not verify: {verified:?}"));
        }
        Ok(())
    }

    fn figures(&self) -> String {
        let Account {
            accepted,
            buffered,
            huge,
            finished,
            cancelled,
            removed,
            waiting,
            unasked: _,
        } = self.load.site.tally.account();
        let Report {
            openings,
            interrupted,
            handed_back,
            most_waiting,
            acts,
        } = &self.report;
        format!(
            "{accepted} jobs accepted ({huge} huge, {buffered} buffered) = {finished} finished + \
             {cancelled} cancelled + {removed} removed + {waiting} waiting; 0 lost\n\
             {openings} openings, {most_waiting} jobs waiting at most, {interrupted} interrupted, \
             {handed_back} handed back; {} retried, {} pauses\n{}",
            acts.retried, acts.paused, self.load.site.runs,
        )
    }
}

#[test]
fn nothing_is_lost_or_grows_under_load() {
    let minutes = number("MINUTES").map(|minutes| Duration::from_secs(60 * minutes));
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let folder = tempfile::tempdir().unwrap();
    work::hush();
    let mut soak = Soak {
        load: Load {
            path: folder.path().join("jobs.redb"),
            site: Arc::new(Site {
                tally: Tally::new(),
                runs: Runs::default(),
                takes_us: AtomicU64::new(0),
                time: Pace::default(),
            }),
        },
        begun: Instant::now(),
        dice: Dice::new(seed),
        report: Report::default(),
        late: 0,
    };
    // Not captured: these are the figures.
    let say = |line: String| writeln!(stderr(), "\r{line:110}").unwrap();
    say(format!("SEED={seed}"));
    let time = if minutes.is_some() { LONG } else { SHORT };
    let warmed = soak.round(time);
    assert_eq!(warmed, Ok(()));
    let bounds = Bounds::after_warming_up();
    say(format!("warm after {:.0?}\n{bounds}", soak.begun.elapsed()));
    loop {
        let round = soak.round(time);
        assert_eq!(round, Ok(()));
        let broken = bounds.broken(&soak.load.path, soak.load.site.tally.accepted());
        assert_eq!(broken, None);
        let elapsed = soak.begun.elapsed();
        let accepted = soak.load.site.tally.accepted();
        let shown = Bounds::shown(&soak.load.path);
        say(format!(
            "{elapsed:.0?}: {accepted} jobs accepted, all have ended: {shown}"
        ));
        if minutes.is_none_or(|minutes| elapsed >= minutes) {
            break;
        }
    }
    say(soak.figures());
    // Otherwise this would have been no load.
    assert!(soak.report.most_waiting > 500);
}
