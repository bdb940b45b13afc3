//! Jobs created by many threads, and what became of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use jobkeep::http::Client;
use jobkeep::{Job, Receipt, StateKind};
use serde::{Deserialize, Serialize};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The `echo` of the example, with a number in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Numbered {
    pub(crate) n: usize,
}

impl Job for Numbered {
    const NAME: &'static str = "echo";
    type Output = Self;
}

/// What is known of all jobs.
#[derive(Default)]
pub(crate) struct Load {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Jobs in requests that are not answered.
    outstanding: usize,
    /// The receipt that came back for each number.
    receipts: BTreeMap<usize, Receipt<Numbered>>,
    /// How many answers were lost for each number that was therefore sent again.
    lost: BTreeMap<usize, usize>,
    /// Requests whose answers were lost.
    unanswered: usize,
}

impl Load {
    /// Creates a batch until an answer says that it is accepted.
    pub(crate) fn create(&self, client: &Client, numbers: std::ops::Range<usize>) {
        loop {
            self.note(|state| state.outstanding += numbers.len());
            let created = client.enqueue_all(numbers.clone().map(|n| Numbered { n }));
            self.note(|state| state.outstanding -= numbers.len());
            match created {
                Ok(receipts) => {
                    self.note(|state| state.receipts.extend(numbers.clone().zip(receipts)));
                    return;
                }
                Err(error) if error.is_unknown() => self.note(|state| {
                    state.unanswered += 1;
                    for n in numbers.clone() {
                        *state.lost.entry(n).or_default() += 1;
                    }
                }),
                // Certainly not accepted.
                Err(error) => assert!(error.is_unreachable() || error.is_full(), "{error}"),
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// Does it when so many are accepted and so many outstanding, and says how many were outstanding both
    /// before and after.
    pub(crate) fn strike(&self, accepted: usize, outstanding: usize, act: impl FnOnce()) -> usize {
        let is_early =
            |state: &mut State| state.receipts.len() < accepted || state.outstanding < outstanding;
        let state = self.state.lock().unwrap();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, PATIENCE, is_early)
            .unwrap();
        // Nobody learns of an answer meanwhile.
        let outstanding = state.outstanding;
        act();
        drop(state);
        outstanding
    }

    /// Every number that was accepted has run, where its receipt says and as it was sent.
    pub(crate) fn all_ran(&self, client: &Client, numbers: std::ops::Range<usize>) {
        let state = self.state.lock().unwrap();
        let expected: Vec<_> = numbers.collect();
        let accepted: Vec<_> = state.receipts.keys().copied().collect();
        assert_eq!(accepted, expected);
        let receipts: Vec<_> = state.receipts.iter().collect();
        std::thread::scope(|scope| {
            for part in receipts.chunks(receipts.len().div_ceil(16)) {
                scope.spawn(move || {
                    for (n, receipt) in part {
                        let done = client.wait(receipt, PATIENCE).unwrap();
                        assert_eq!(done.into_output().unwrap().n, **n);
                    }
                });
            }
        });
    }

    /// What the hosts have beyond what was answered: each a job whose answer was lost.
    pub(crate) fn explain(&self, client: &Client, servers: &[&str]) -> Account {
        let state = self.state.lock().unwrap();
        let mut lost = state.lost.clone();
        let known: BTreeSet<_> = state.receipts.values().map(ToString::to_string).collect();
        let mut account = Account {
            unanswered: state.unanswered,
            ..Account::default()
        };
        for server in servers {
            let (mut after, mut jobs) = (None, 0);
            loop {
                let page = client.jobs(server, StateKind::Succeeded, after, 1_000);
                let page = page.unwrap();
                jobs += page.jobs().len();
                for job in page.jobs() {
                    if known.contains(&job.receipt().to_string()) {
                        continue;
                    }
                    let receipt: Receipt<Numbered> = job.receipt().clone().typed();
                    let done = client.wait(&receipt, PATIENCE).unwrap();
                    let n = done.into_output().unwrap().n;
                    // One answer that was lost explains one job.
                    let left = lost.get_mut(&n).filter(|left| **left > 0);
                    *left.unwrap_or_else(|| panic!("job {n} on {server} is not explained")) -= 1;
                    account.twice += 1;
                }
                after = page.cursor();
                if after.is_none() {
                    break;
                }
            }
            account.hosts.push(((*server).into(), jobs));
        }
        account
    }
}

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) unanswered: usize,
    /// Jobs of a number that another job has too, because the answer for one was lost.
    pub(crate) twice: usize,
    pub(crate) hosts: Vec<(String, usize)>,
}
