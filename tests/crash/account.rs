//! The account of all that was acknowledged, when every life is over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jobkeep::{AttemptEnd, Completed, HISTORY, ListedJob, Manager, Reason, Receipt, StateKind};

use crate::life::{CANCELLED, Home, lines, parked};
use crate::pausing::{Pauses, pause_holds, resume};
use crate::trace::Trace;
use crate::work::{Kind, Lines, STEPS, Work, followers, output_of};

const PATIENCE: Duration = Duration::from_secs(60);

/// What came of one store.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) acknowledged: usize,
    pub(crate) ran: usize,
    /// Runs beyond the first of a job, by their reason.
    pub(crate) interrupted: usize,
    pub(crate) after_an_error: usize,
    pub(crate) retried: usize,
    /// Accepted as buffered, and gone with the process.
    pub(crate) buffered_gone: usize,
    /// Finished jobs that the store still has.
    pub(crate) kept: usize,
    pub(crate) cancelled: usize,
    /// Runs that stayed beyond their time-outs.
    pub(crate) late: usize,
    /// Pauses that were acknowledged.
    pub(crate) pauses: usize,
    /// What was acknowledged and is not there.
    pub(crate) lost: Vec<String>,
    /// Runs that began before the one before them had ended.
    pub(crate) at_once: Vec<String>,
    /// Runs that began while their queue was paused.
    pub(crate) though_paused: Vec<String>,
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
    leads: bool,
    /// Somebody asked for one more run of it after its end, and was told so.
    retrying: bool,
    retried: bool,
    all: Vec<RunLine>,
    kept: u32,
}

impl Runs {
    fn is_done(&self) -> bool {
        let done = |run: &&RunLine| run.end.as_deref() == Some("done");
        self.all.iter().filter(done).count() > usize::from(self.retried)
    }
}

type Ledger = BTreeMap<u64, Runs>;

/// Lets everything end that has not, and asks for everything that was said.
pub(crate) fn settle(home: &Home, life: u32) -> Account {
    let manager = home.builder(life, &Trace::silent()).start().unwrap();
    pause_holds(home, &manager);
    resume(&manager, &Lines::at(&home.ledger()), life).unwrap();
    for receipt in parked(&manager) {
        manager.retry(&receipt).unwrap();
    }
    drain(&manager);
    let mut account = Account::default();
    let ledger = read_ledger(home, &mut account);
    account.ran = ledger.len();
    let numbers = one_number_a_label(&ledger);
    every_acknowledgement_holds(home, &manager, &ledger, &mut account);
    batches_and_followers_are_whole(&ledger, &numbers);
    every_run_is_explained(&manager, &ledger, &mut account);
    let counts = manager.counts().unwrap();
    let listed = |state| all(&manager, state).len() as u64;
    for (count, state) in [
        (counts.succeeded, StateKind::Succeeded),
        (counts.cancelled, StateKind::Cancelled),
    ] {
        assert_eq!(count, listed(state), "{state}: {counts:?}");
        account.kept += usize::try_from(count).unwrap();
    }
    for (count, state) in [
        (counts.scheduled, StateKind::Scheduled),
        (counts.ready, StateKind::Ready),
        (counts.running, StateKind::Running),
        (counts.parked, StateKind::Parked),
        (counts.failed, StateKind::Failed),
    ] {
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

/// Fails where a job began from less than it had kept, or after it had been cancelled.
fn read_ledger(home: &Home, account: &mut Account) -> Ledger {
    let mut ledger = Ledger::new();
    let mut cancelled = HashMap::new();
    let mut pauses = Pauses::default();
    for line in lines(&home.ledger()) {
        if pauses.take(&line) {
            continue;
        }
        let words: Vec<_> = line.split(' ').collect();
        let number = words[1].parse().unwrap();
        if let ["cancelled", _, life] = *words {
            cancelled.insert(number, life.parse().unwrap());
            continue;
        }
        let job = ledger.entry(number).or_default();
        match *words {
            ["begin", _, attempt, life, label, step, kind] => {
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
                if pauses.holds && kind == "Rests" {
                    account.though_paused.push(line.clone());
                }
                job.label = label.into();
                job.leads = kind == "Leads";
                let last = job.all.last();
                if last.is_some_and(|last| last.end.is_none() && last.life == run.life) {
                    account.at_once.push(format!("{line}: {job:?}"));
                }
                let by = cancelled.get(&number);
                assert!(by.is_none_or(|&life| run.life <= life), "{line}: {by:?}");
                assert!(run.step >= job.kept, "{line}: {job:?}");
                job.all.push(run);
            }
            ["retrying", _] => job.retrying = true,
            ["retried", _] => job.retried = true,
            ["kept", _, step] => job.kept = step.parse().unwrap(),
            [end, _, attempt, life, ..] => {
                let run = job.all.last_mut().unwrap();
                account.late += usize::from(end == "late");
                let now = (run.attempt.to_string(), run.life.to_string());
                assert_eq!(now, (attempt.into(), life.into()), "{line}");
                assert_eq!(run.end.replace(end.into()), None, "{line}");
            }
            _ => panic!("{line}"),
        }
    }
    account.cancelled = cancelled.len();
    account.pauses = pauses.acknowledged;
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
    // By life: the first buffered job that is lost.
    let mut first_lost = HashMap::new();
    let life_of = |label: &str| label.split('.').next().unwrap().to_owned();
    let mut acknowledged = HashSet::new();
    let lines = lines(&home.acknowledged());
    let removed = |how: &str| -> HashSet<&str> {
        let removed = lines.iter().filter_map(|line| line.strip_prefix(how));
        removed.collect()
    };
    let (removing, removed) = (removed("removing "), removed("removed "));
    for line in &lines {
        let (how, what) = line.split_once(' ').unwrap();
        let (receipt, label) = what.split_once(' ').unwrap();
        let receipt: Receipt<Work> = receipt.parse().unwrap();
        let number = receipt.number().0;
        let job = ledger.get(&number);
        let ran = job.is_some_and(|job| job.label == label && job.is_done());
        let may_be_gone = home.prunes || removing.contains(what);
        let is_right = match manager.completed(&receipt) {
            Err(error) if error.is_lost() && how == "buffered" => {
                account.buffered_gone += 1;
                let first = first_lost.entry(life_of(label)).or_insert(number);
                *first = number.min(*first);
                continue;
            }
            Err(error) => error.is_pruned() && may_be_gone && (ran || label.ends_with(CANCELLED)),
            Ok(None) => false,
            Ok(Some(job)) => {
                !removed.contains(what) && job.job().unwrap().label == label && is_right(&job, ran)
            }
        };
        if !is_right {
            account.lost.push(format!("{line}: {job:?}"));
        }
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

/// It is as its run must have left it, or was cancelled.
fn is_right(job: &Completed<Work>, ran: bool) -> bool {
    let Work { label, step, .. } = job.job().unwrap();
    let steps = if job.job().unwrap().kind == Kind::Steps {
        STEPS
    } else {
        0
    };
    match job.output() {
        Ok(output) => ran && *output == output_of(label) && *step == steps,
        Err(failure) => failure.reason() == Reason::Cancelled && label.ends_with(CANCELLED),
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
            let leads = numbers
                .get(leader)
                .is_some_and(|number| ledger[number].leads);
            assert!(leads, "{label} follows nobody");
        }
    }
    for (batch, members) in batches {
        assert_eq!(members, 6, "batch {batch} is not whole");
    }
    for job in ledger.values() {
        if job.leads {
            for follower in followers(&job.label) {
                assert!(numbers.contains_key(&*follower), "{follower} is missing");
            }
        }
        assert!(job.is_done() || job.label.ends_with(CANCELLED), "{job:?}");
    }
}

fn every_run_is_explained(manager: &Manager, ledger: &Ledger, account: &mut Account) {
    let mut kept = HashMap::new();
    for listed in all(manager, StateKind::Succeeded) {
        let receipt = listed.receipt().clone().typed();
        let job: Completed<Work> = manager.completed(&receipt).unwrap().unwrap();
        kept.insert(job.number().0, job);
    }
    for number in kept.keys() {
        assert!(ledger.contains_key(number), "job {number} never ran");
    }
    for (number, runs) in ledger {
        let mut lives = HashSet::new();
        for run in &runs.all {
            // One life may try again after an error, and not otherwise.
            let is_new = lives.insert((run.attempt, run.life));
            assert!(is_new || runs.retrying, "{number}: {runs:?}");
        }
        if let Some(job) = kept.get(number) {
            is_explained(job, runs);
        }
        let attempts = runs.all.last().unwrap().attempt as usize;
        let retried = usize::from(runs.retried);
        let interrupted = runs.all.len().checked_sub(attempts + retried);
        assert!(interrupted.is_some(), "attempts that never ran: {runs:?}");
        account.after_an_error += attempts - 1;
        account.retried += retried;
        account.interrupted += interrupted.unwrap();
    }
}

/// By the record of the job: one run for each attempt, and one more at most for each interruption. One
/// that was run again after its end has more attempts on record than it counts.
fn is_explained(job: &Completed<Work>, runs: &Runs) {
    let said = || format!("{:?}: {runs:?}", job.history());
    let kind = job.job().unwrap().kind;
    let is_expected = match kind {
        // On a busy machine a second attempt may be late as well.
        Kind::Overruns => job.attempts() >= 2,
        Kind::Fails => job.attempts() == 2,
        _ => job.attempts() == 1,
    };
    assert!(is_expected, "{}", said());
    let most = job.attempts() + job.interruptions() + u32::from(runs.retrying);
    assert!(runs.all.len() <= most as usize, "{}", said());
    for attempt in 1..=job.attempts() {
        let began = runs.all.iter().filter(|run| run.attempt == attempt);
        let on_record = || job.history().iter().filter(|ended| ended.number == attempt);
        let interruptions = on_record()
            .filter(|ended| matches!(ended.end, AttemptEnd::Interrupted { .. }))
            .count();
        let is_whole = job.history().len() < HISTORY;
        let began = began.count();
        assert!(began >= 1, "{}", said());
        let most = 1 + usize::from(runs.retrying) + interruptions;
        assert!(!is_whole || began <= most, "{}", said());
        for ended in on_record() {
            let is_right = match &ended.end {
                AttemptEnd::Interrupted { .. } => true,
                AttemptEnd::Succeeded => attempt == job.attempts(),
                AttemptEnd::TimedOut(_) => attempt < job.attempts() && kind == Kind::Overruns,
                AttemptEnd::Error(chain) if kind == Kind::Overruns => *chain == ["too late"],
                AttemptEnd::Error(chain) => attempt == 1 && *chain == ["the first one fails"],
                _ => false,
            };
            assert!(is_right, "{}", said());
        }
    }
}
