//! The account of all that was acknowledged, when every life is over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jobkeep::{AttemptEnd, Completed, HISTORY, ListedJob, Manager, Receipt, StateKind};

use crate::life::{Home, lines, parked};
use crate::trace::Trace;
use crate::work::{Kind, STEPS, Work, followers, output_of};

const PATIENCE: Duration = Duration::from_secs(60);

/// What came of one store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
    pub(crate) ran: usize,
    /// Runs beyond the first of a job, by their reason.
    pub(crate) interrupted: usize,
    pub(crate) after_an_error: usize,
    /// Accepted as buffered, and gone with the process.
    pub(crate) buffered_gone: usize,
    pub(crate) pruned: usize,
    pub(crate) at_once: usize,
}

/// One run of a job, by the ledger.
#[derive(Debug)]
struct RunLine {
    attempt: u32,
    life: u32,
    step: u32,
    end: Option<String>,
}

/// The runs of a job, in their order, and the last step that it kept before each.
#[derive(Debug, Default)]
struct Runs {
    label: String,
    runs: Vec<RunLine>,
    kept: u32,
}

impl Runs {
    fn is_done(&self) -> bool {
        self.runs
            .iter()
            .any(|run| run.end.as_deref() == Some("done"))
    }
}

type Ledger = BTreeMap<u64, Runs>;

/// Lets everything end that has not, and asks for everything that was said.
pub(crate) fn settle(home: &Home, life: u32) -> Account {
    let manager = home.builder(life, &Trace::silent()).start().unwrap();
    for receipt in parked(&manager) {
        manager.retry(&receipt).unwrap();
    }
    drain(&manager);
    let ledger = read_ledger(home);
    let mut account = Account {
        ran: ledger.len(),
        ..Account::default()
    };
    let numbers = one_number_a_label(&ledger);
    every_acknowledgement_holds(home, &manager, &ledger, &mut account);
    batches_and_followers_are_whole(&ledger, &numbers);
    every_run_is_explained(&manager, &ledger, &mut account);
    let counts = manager.counts().unwrap();
    let listed = |state| all(&manager, state).len() as u64;
    assert_eq!(counts.succeeded, listed(StateKind::Succeeded), "{counts:?}");
    let others = [
        (counts.scheduled, StateKind::Scheduled),
        (counts.ready, StateKind::Ready),
        (counts.running, StateKind::Running),
        (counts.parked, StateKind::Parked),
        (counts.failed, StateKind::Failed),
        (counts.cancelled, StateKind::Cancelled),
    ];
    for (count, state) in others {
        assert_eq!((count, listed(state)), (0, 0), "{state}: {counts:?}");
    }
    assert_eq!(counts.damaged, 0);
    manager.shutdown(PATIENCE).unwrap();
    account
}

fn all(manager: &Manager, state: StateKind) -> Vec<ListedJob> {
    let (mut jobs, mut after) = (Vec::new(), None);
    loop {
        let page = manager.jobs(state, after, 1_000).unwrap();
        assert!(page.damaged().is_empty(), "{page:?}");
        after = page.cursor();
        jobs.extend(page.into_jobs());
        if after.is_none() {
            return jobs;
        }
    }
}

/// Until nothing is left to run, what follows included.
fn drain(manager: &Manager) {
    loop {
        let left: Vec<_> = [StateKind::Running, StateKind::Ready, StateKind::Scheduled]
            .into_iter()
            .flat_map(|state| all(manager, state))
            .collect();
        let counts = manager.counts().unwrap();
        if left.is_empty() && counts.running + counts.ready + counts.scheduled == 0 {
            return;
        }
        for job in left {
            let receipt: Receipt<Work> = job.receipt().clone().typed();
            if let Err(error) = manager.wait(&receipt, PATIENCE) {
                assert!(error.is_pruned(), "{error}");
            }
        }
    }
}

/// Fails where a job ran twice at once, or began from less than it had kept.
fn read_ledger(home: &Home) -> Ledger {
    let mut ledger = Ledger::new();
    for line in lines(&home.ledger()) {
        let words: Vec<_> = line.split(' ').collect();
        let number = words[1].parse().unwrap();
        let job = ledger.entry(number).or_default();
        match *words {
            ["begin", _, attempt, life, label, step] => {
                let run = RunLine {
                    attempt: attempt.parse().unwrap(),
                    life: life.parse().unwrap(),
                    step: step.parse().unwrap(),
                    end: None,
                };
                assert!(
                    job.label.is_empty() || job.label == label,
                    "{line}: {job:?}"
                );
                job.label = label.into();
                if let Some(last) = job.runs.last() {
                    assert!(
                        last.end.is_some() || last.life < run.life,
                        "{line}: {job:?}"
                    );
                }
                assert!(run.step >= job.kept, "{line}: {job:?}");
                job.runs.push(run);
            }
            ["kept", _, step] => job.kept = step.parse().unwrap(),
            [end, _, attempt, life, ..] => {
                let run = job.runs.last_mut().unwrap();
                let now = (run.attempt.to_string(), run.life.to_string());
                assert_eq!(now, (attempt.into(), life.into()), "{line}");
                assert_eq!(run.end.replace(end.into()), None, "{line}");
            }
            _ => panic!("{line}"),
        }
    }
    ledger
}

/// A key, a batch's member or a follower that was accepted twice has two.
fn one_number_a_label(ledger: &Ledger) -> HashMap<&str, u64> {
    let mut numbers = HashMap::new();
    for (&number, job) in ledger {
        let other = numbers.insert(&*job.label, number);
        assert_eq!(other, None, "{} is job {number} too", job.label);
    }
    numbers
}

fn every_acknowledgement_holds(
    home: &Home,
    manager: &Manager,
    ledger: &Ledger,
    account: &mut Account,
) {
    // By life: the first buffered job that is lost, and the last job that is there.
    let mut first_lost = HashMap::new();
    let life_of = |label: &str| label.split('.').next().unwrap().to_owned();
    let mut acknowledged = HashSet::new();
    for line in lines(&home.acknowledged()) {
        let words: Vec<_> = line.split(' ').collect();
        let [how, receipt, label] = *words else {
            panic!("{line}");
        };
        let receipt: Receipt<Work> = receipt.parse().unwrap();
        let number = receipt.number().0;
        let found = manager.completed(&receipt);
        match found {
            Err(error) if how == "buffered" && error.is_lost() => {
                account.buffered_gone += 1;
                let first = first_lost.entry(life_of(label)).or_insert(number);
                *first = number.min(*first);
                continue;
            }
            Err(error) if home.prunes && error.is_pruned() => {}
            Ok(Some(job)) => {
                assert_eq!(job.job().label, label, "{line}");
                assert_eq!(job.output().unwrap(), &output_of(label), "{line}");
                let steps = if job.job().kind == Kind::Steps {
                    STEPS
                } else {
                    0
                };
                assert_eq!(job.job().step, steps, "{line}");
            }
            other => panic!("{line} is lost: {other:?}"),
        }
        let job = ledger.get(&number);
        let is_done = job.is_some_and(|job| job.label == label && job.is_done());
        assert!(is_done, "{line} did not run: {job:?}");
        acknowledged.insert(number);
    }
    account.acknowledged = acknowledged.len();
    // What survives of the buffered ones is a prefix.
    for (&number, job) in ledger {
        if let Some(&first) = first_lost.get(&life_of(&job.label)) {
            let is_before = number < first || job.label.contains('+');
            assert!(
                is_before,
                "{number} of {} is there, {first} is lost",
                job.label
            );
        }
    }
}

/// All or nothing.
fn batches_and_followers_are_whole(ledger: &Ledger, numbers: &HashMap<&str, u64>) {
    let mut batches = HashMap::new();
    for label in numbers.keys() {
        if let Some(batch) = label.strip_suffix("of6") {
            let batch = batch.rsplit_once('.').unwrap().0;
            *batches.entry(batch).or_insert(0) += 1;
        }
        if let Some((leader, _)) = label.split_once('+') {
            assert!(numbers.contains_key(leader), "{label} follows nobody");
            for follower in followers(leader) {
                assert!(numbers.contains_key(&*follower), "{follower} is missing");
            }
        }
    }
    for (batch, members) in batches {
        assert_eq!(members, 6, "batch {batch} is not whole");
    }
    assert!(ledger.values().all(Runs::is_done));
}

fn every_run_is_explained(manager: &Manager, ledger: &Ledger, account: &mut Account) {
    let mut kept = HashMap::new();
    for listed in all(manager, StateKind::Succeeded) {
        let receipt = listed.receipt().clone().typed();
        let job: Completed<Work> = manager.completed(&receipt).unwrap().unwrap();
        kept.insert(job.number().0, job);
    }
    account.pruned = ledger.len() - kept.len();
    for number in kept.keys() {
        assert!(ledger.contains_key(number), "job {number} never ran");
    }
    for (number, runs) in ledger {
        let mut lives = HashSet::new();
        for run in &runs.runs {
            // One life may try again after an error, and not otherwise.
            assert!(lives.insert((run.attempt, run.life)), "{number}: {runs:?}");
        }
        let attempts = runs.runs.last().unwrap().attempt as usize;
        account.after_an_error += attempts - 1;
        account.interrupted += runs.runs.len() - attempts;
        if let Some(job) = kept.get(number) {
            is_explained(job, runs);
        }
    }
}

/// By the record of the job: one run for each attempt, and one more at most for each interruption.
fn is_explained(job: &Completed<Work>, runs: &Runs) {
    let said = || format!("{:?}: {runs:?}", job.history());
    let expected = if job.job().kind == Kind::Fails { 2 } else { 1 };
    assert_eq!(job.attempts(), expected, "{}", said());
    if let Kind::Leads = job.job().kind {
        // Whether they are there is asked by their labels.
        assert!(runs.is_done(), "{}", said());
    }
    let most = job.attempts() + job.interruptions();
    assert!(runs.runs.len() <= most as usize, "{}", said());
    for attempt in 1..=job.attempts() {
        let began = runs.runs.iter().filter(|run| run.attempt == attempt);
        let on_record = || job.history().iter().filter(|ended| ended.number == attempt);
        let interruptions = on_record()
            .filter(|ended| matches!(ended.end, AttemptEnd::Interrupted { .. }))
            .count();
        let is_whole = job.history().len() < HISTORY;
        let began = began.count();
        assert!(began >= 1, "{}", said());
        assert!(!is_whole || began <= 1 + interruptions, "{}", said());
        for ended in on_record() {
            let is_right = match &ended.end {
                AttemptEnd::Interrupted { .. } => true,
                AttemptEnd::Succeeded => attempt == job.attempts(),
                AttemptEnd::Error(chain) => attempt == 1 && *chain == ["the first one fails"],
                _ => false,
            };
            assert!(is_right, "{}", said());
        }
    }
}
