//! Starts lives and ends them.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::dice::Dice;
use crate::life::{Home, LIFE, Life};
use crate::trace::{MARK, Stand};

/// Where a kill is to fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// When the n-th commit has begun.
    Commit,
    /// When a commit that prunes has begun.
    Prune,
    /// When the n-th run has begun.
    Run,
    /// When the n-th acknowledgement has been written down.
    Acknowledgement,
    /// When a job runs that does not end. Three of them in a row find suspects.
    Hold,
    /// When the store is about to be opened.
    Open,
    /// At a point within the opening where the life stands still.
    OpenStanding,
    /// When a shutdown has begun that waits for a job.
    Shutdown,
    /// At a commit where the life stands still, before the engine has it or after it was written.
    CommitStanding,
    /// When the n-th pause was acknowledged.
    Pause,
    /// When a job has stayed beyond its time-out.
    Late,
}

/// The aims of one kill after the other, again and again.
pub(crate) const AIMS: [Aim; 21] = [
    Aim::Commit,
    Aim::Run,
    Aim::OpenStanding,
    Aim::Prune,
    Aim::Acknowledgement,
    Aim::Shutdown,
    Aim::Commit,
    Aim::CommitStanding,
    Aim::Hold,
    Aim::Hold,
    Aim::Hold,
    Aim::Open,
    Aim::Run,
    Aim::Prune,
    Aim::Shutdown,
    Aim::OpenStanding,
    Aim::Acknowledgement,
    Aim::CommitStanding,
    Aim::Run,
    Aim::Pause,
    Aim::Late,
];

/// Where a kill fell.
#[derive(Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "a kill may fall into several"
)]
pub(crate) struct Fell {
    /// Jobs were, by the last commit.
    pub(crate) in_flight: bool,
    pub(crate) in_commit: bool,
    pub(crate) pruning: bool,
    /// A commit was written and nobody told of it.
    pub(crate) unanswered: bool,
    pub(crate) in_open: bool,
    pub(crate) in_shutdown: bool,
    /// A queue was paused.
    pub(crate) paused: bool,
    /// A job ran on after its time-out.
    pub(crate) late: bool,
    /// So many jobs had been parked because of earlier kills.
    pub(crate) parked: usize,
}

/// A child that dies with its handle.
struct Living(Child);

impl Drop for Living {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// So many rolls of the dice are a millisecond, more or less.
const LATER: usize = 20_000;

/// Lives once at this home, and is killed.
pub(crate) fn kill(home: &Home, number: u32, aim: Aim, dice: &mut Dice) -> Fell {
    let (mark, times) = mark(home, aim, dice);
    let life = Life {
        home: home.clone(),
        number,
        seed: dice.next(),
        stand: stand(aim, dice),
        // Otherwise only where nobody is suspected.
        holds: aim == Aim::Hold || home.prunes && (aim == Aim::Shutdown || dice.below(4) == 0),
        stops_after: (aim == Aim::Shutdown).then(|| 1 + dice.below(30)),
        grace_s: [0, 60][dice.below(2)],
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "nothing_acknowledged_is_lost_by_a_kill",
            "--nocapture",
        ])
        .env(LIFE, serde_json::to_string(&life).unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut trace = BufReader::new(child.stderr.take().unwrap());
    let mut living = Living(child);
    let mut said = Said::default();
    let mut seen = 0;
    while seen < times {
        let Some(heard) = next_line(&mut trace) else {
            panic!("{life:?} ended before mark `{mark}` {times}: {said:#?}");
        };
        let said_mark = heard.strip_prefix(MARK);
        seen += usize::from(said_mark.is_some_and(|said| said.starts_with(mark)));
        said.take(&heard);
    }
    // Somewhat later by the dice, so that kills fall early and late in what the mark begins.
    for _ in 0..dice.below(LATER) {
        dice.next();
    }
    living.0.kill().unwrap();
    let status = living.0.wait().unwrap();
    while let Some(heard) = next_line(&mut trace) {
        said.take(&heard);
    }
    assert!(
        said.rest.is_empty(),
        "{life:?} complained: {:#?}",
        said.rest
    );
    assert!(!status.success(), "{life:?} ended by itself");
    said.fell()
}

/// The line, where it was written whole.
fn next_line(trace: &mut BufReader<ChildStderr>) -> Option<String> {
    let mut line = String::new();
    trace.read_line(&mut line).unwrap();
    line.strip_suffix('\n').map(String::from)
}

/// Which mark is waited for, and how often.
fn mark(home: &Home, aim: Aim, dice: &mut Dice) -> (&'static str, usize) {
    match aim {
        Aim::Prune if home.prunes => ("commit begin prune", 1 + dice.below(20)),
        Aim::Commit | Aim::Prune => ("commit begin", 2 + dice.below(60)),
        Aim::Run => ("run begin", 1 + dice.below(60)),
        Aim::Acknowledgement => ("ack", 1 + dice.below(60)),
        Aim::Hold => ("hold", 1),
        Aim::Open => ("open begin", 1),
        Aim::OpenStanding | Aim::CommitStanding => ("stand", 1),
        Aim::Shutdown => ("shutdown begin", 1),
        Aim::Pause => ("pause end", 1 + dice.below(4)),
        Aim::Late => ("late begin", 1 + dice.below(4)),
    }
}

fn stand(aim: Aim, dice: &mut Dice) -> Option<Stand> {
    match aim {
        Aim::OpenStanding => Some(match dice.below(5) {
            scan @ 0..3 => Stand::Scan(scan),
            3 => Stand::Before(0),
            _ => Stand::After(0),
        }),
        Aim::CommitStanding => {
            let commit = 1 + dice.below(40);
            let is_before = dice.below(3) == 0;
            Some(if is_before {
                Stand::Before(commit)
            } else {
                Stand::After(commit)
            })
        }
        _ => None,
    }
}

/// What a life said.
#[derive(Debug, Default)]
struct Said {
    commits: [usize; 2],
    pruning: bool,
    in_flight: usize,
    opens: [usize; 2],
    shutdowns: [usize; 2],
    stands: bool,
    paused: bool,
    late: [usize; 2],
    parked: usize,
    /// What is no mark.
    rest: Vec<String>,
}

impl Said {
    fn take(&mut self, line: &str) {
        let Some(mark) = line.strip_prefix(MARK) else {
            self.rest.push(line.into());
            return;
        };
        match *mark.split(' ').collect::<Vec<_>>() {
            ["commit", "begin", kind] => {
                self.commits[0] += 1;
                self.pruning = kind == "prune";
            }
            ["commit", "end", flight] => {
                self.commits[1] += 1;
                self.in_flight = flight.parse().unwrap_or(self.in_flight);
            }
            ["open", "begin"] => self.opens[0] += 1,
            ["open", "end"] => self.opens[1] += 1,
            ["shutdown", "begin"] => self.shutdowns[0] += 1,
            ["shutdown", "end"] => self.shutdowns[1] += 1,
            ["pause", "end"] => self.paused = true,
            ["resume", "begin"] => self.paused = false,
            ["late", "begin"] => self.late[0] += 1,
            ["late", "end"] => self.late[1] += 1,
            ["stand"] => self.stands = true,
            ["parked"] => self.parked += 1,
            _ => {}
        }
    }

    fn fell(&self) -> Fell {
        let open = |[begun, ended]: [usize; 2]| begun > ended;
        let in_commit = open(self.commits);
        Fell {
            in_flight: self.in_flight > 0,
            in_commit: in_commit && !self.stands,
            pruning: in_commit && !self.stands && self.pruning,
            unanswered: in_commit && self.stands,
            in_open: open(self.opens),
            in_shutdown: open(self.shutdowns),
            paused: self.paused,
            late: open(self.late),
            parked: self.parked,
        }
    }
}
