//! Where the kills fell, and what came of it.

use std::fmt::Write;

use crate::account::Account;
use crate::killer::{Aim, Fell};
use crate::life::Home;

/// Where the kills of one store fell. One may fall into several.
#[derive(Debug, Default)]
pub(crate) struct Falls {
    pub(crate) kills: usize,
    in_flight: usize,
    in_commit: usize,
    unanswered: usize,
    in_open: usize,
    in_shutdown: usize,
    pruning: usize,
    paused: usize,
    late: usize,
    /// Jobs beside which processes had died.
    parked: usize,
}

impl Falls {
    pub(crate) fn add(&mut self, fell: &Fell) {
        self.kills += 1;
        self.in_flight += usize::from(fell.in_flight);
        self.in_commit += usize::from(fell.in_commit);
        self.unanswered += usize::from(fell.unanswered);
        self.in_open += usize::from(fell.in_open);
        self.in_shutdown += usize::from(fell.in_shutdown);
        self.pruning += usize::from(fell.pruning);
        self.paused += usize::from(fell.paused);
        self.late += usize::from(fell.late);
        self.parked += fell.parked;
    }

    /// Where more kills have to fall, so that those of all stores fall as often as they must: half with
    /// jobs in flight, a tenth inside a commit, five inside an opening, some during a shutdown, while
    /// pruning, while a queue was paused, and while a job stayed beyond its time-out.
    pub(crate) fn missing(&self, prunes: bool) -> Option<Aim> {
        [
            (self.in_open < 2, Aim::OpenStanding),
            (self.in_shutdown == 0, Aim::Shutdown),
            (self.pruning == 0 && prunes, Aim::Prune),
            (self.paused == 0, Aim::Pause),
            (self.late == 0, Aim::Late),
            (10 * self.in_commit < self.kills, Aim::Commit),
            (2 * self.in_flight < self.kills, Aim::Run),
        ]
        .into_iter()
        .find_map(|(missing, aim)| missing.then_some(aim))
    }
}

/// One store.
pub(crate) struct Share {
    pub(crate) home: Home,
    pub(crate) falls: Falls,
    pub(crate) account: Account,
}

/// A table with a column a store, and their sums.
pub(crate) fn of(shares: &[Share]) -> String {
    type Row = (&'static str, fn(&Share) -> usize);
    let rows: [Row; 22] = [
        ("kills", |share| share.falls.kills),
        ("  with jobs in flight", |share| share.falls.in_flight),
        ("  inside a commit", |share| share.falls.in_commit),
        ("    that prunes", |share| share.falls.pruning),
        ("  between commit and answer", |share| {
            share.falls.unanswered
        }),
        ("  inside an opening", |share| share.falls.in_open),
        ("  during a shutdown", |share| share.falls.in_shutdown),
        ("  while a queue was paused", |share| share.falls.paused),
        ("  with a job beyond its time-out", |share| share.falls.late),
        ("jobs acknowledged", |share| share.account.acknowledged),
        ("jobs acknowledged and lost", |share| {
            share.account.lost.len()
        }),
        ("jobs that ran", |share| share.account.ran),
        ("jobs cancelled", |share| share.account.cancelled),
        ("runs twice at once", |share| share.account.at_once.len()),
        ("runs beyond their time-outs", |share| share.account.late),
        ("pauses acknowledged", |share| share.account.pauses),
        ("runs again, interrupted", |share| share.account.interrupted),
        ("runs again, after an error", |share| {
            share.account.after_an_error
        }),
        ("runs again, retried", |share| share.account.retried),
        ("jobs buffered and gone", |share| {
            share.account.buffered_gone
        }),
        ("jobs finished and kept", |share| share.account.kept),
        ("jobs parked as crashing", |share| share.falls.parked),
    ];
    let mut text = format!("\n{:34}", "");
    for share in shares {
        let prunes = if share.home.prunes { ", prunes" } else { "" };
        let name = format!("{:?}{prunes}", share.home.engine).to_lowercase();
        write!(text, "{name:>14}").unwrap();
    }
    writeln!(text, "{:>14}", "all").unwrap();
    for (name, of) in rows {
        write!(text, "{name:34}").unwrap();
        for share in shares {
            write!(text, "{:>14}", of(share)).unwrap();
        }
        writeln!(text, "{:>14}", shares.iter().map(of).sum::<usize>()).unwrap();
    }
    text
}
