//! What was acknowledged, and when: what a store must show after a cut.

use std::collections::BTreeMap;

use jobkeep::{JobNumber, Receipt};
use jobkeep_store::State;

use crate::found::Found;
use crate::work::Work;

/// So many finished jobs are kept, where it is limited.
pub(crate) const AT_MOST: u64 = 12;

/// A job, with the moments of the journal at which something about it began or was acknowledged.
#[derive(Clone, Default)]
pub(crate) struct Fact {
    /// Nobody had asked for it before this.
    pub(crate) asked: usize,
    /// It is there whatever comes; of a buffered job only known later, if at all.
    pub(crate) accepted: Option<usize>,
    pub(crate) buffered: Option<usize>,
    pub(crate) receipt: Option<Receipt<Work>>,
    pub(crate) number: Option<JobNumber>,
    /// The first time that its handler began.
    pub(crate) begun: Option<usize>,
    pub(crate) shown: Vec<Shown>,
    /// What its checkpoints have kept, and when that was acknowledged.
    pub(crate) kept: Vec<(usize, u32)>,
    pub(crate) cancelling: Option<usize>,
    pub(crate) cancelled: Option<usize>,
    pub(crate) retrying: Option<usize>,
    pub(crate) removing: Option<usize>,
    pub(crate) removed: Option<usize>,
}

/// An end that was shown, until somebody had the job retried.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) from: usize,
    pub(crate) until: usize,
    pub(crate) output: Option<String>,
}

/// By the jobs' labels, of which there is one each.
pub(crate) type Facts = BTreeMap<String, Fact>;

fn by(moment: Option<usize>, cut: usize) -> bool {
    moment.is_some_and(|moment| moment <= cut)
}

impl Fact {
    fn may_have_ended(&self, cut: usize) -> bool {
        by(self.begun, cut) || by(self.cancelling, cut)
    }

    /// What is wrong with the job in a store whose power went after so many events.
    fn complaint(&self, found: Option<&Found>, cut: usize, may_be_pruned: bool) -> Option<String> {
        let Some(found) = found else {
            let lost = by(self.accepted, cut)
                && !by(self.removing, cut)
                && !(may_be_pruned && self.may_have_ended(cut));
            return lost.then(|| "is lost".into());
        };
        if by(self.removed, cut) {
            return Some("was removed and is back".into());
        }
        if cut > 0 && self.asked >= cut {
            return Some("is there before anybody asked for it".into());
        }
        if self.number.is_some_and(|number| number != found.number) {
            return Some(format!("has number {}", found.number));
        }
        if by(self.begun, cut) && !found.has_run && !found.is_listed {
            return Some("has begun, and its claim is not there".into());
        }
        let kept = self.kept.iter().filter(|(moment, _)| *moment <= cut);
        if let Some(runs) = kept.map(|(_, runs)| *runs).max()
            && found.runs < runs
        {
            return Some(format!("had {runs} runs kept, and knows of {}", found.runs));
        }
        let retried = by(self.retrying, cut);
        if by(self.cancelled, cut) && !retried && !found.is_done() && !found.cancel_requested {
            return Some("was cancelled and goes on".into());
        }
        let shown = self.shown.iter();
        for shown in shown.filter(|shown| (shown.from..=shown.until).contains(&cut)) {
            if !found.is_done() || found.output != shown.output {
                return Some(format!(
                    "was shown with output {:?}, and is {:?} with {:?}",
                    shown.output, found.state, found.output
                ));
            }
        }
        None
    }

    /// The fact as the next life finds it.
    fn carried(mut self, found: &Found, cut: usize) -> Self {
        self.accepted.get_or_insert(0);
        self.number = Some(found.number);
        self.kept = self
            .kept
            .into_iter()
            .filter(|(moment, _)| *moment <= cut)
            .map(|(_, runs)| (0, runs))
            .collect();
        let early = |moment: Option<usize>| moment.filter(|moment| *moment <= cut).map(|_| 0);
        self.begun = early(self.begun);
        self.cancelling = early(self.cancelling);
        self.cancelled = early(self.cancelled).filter(|_| !by(self.retrying, cut));
        let holds = |shown: &Shown| (shown.from..=shown.until).contains(&cut);
        self.shown.retain(holds);
        for shown in &mut self.shown {
            (shown.from, shown.until) = (0, usize::MAX);
        }
        Self {
            asked: 0,
            accepted: Some(0),
            buffered: None,
            retrying: None,
            removing: None,
            removed: None,
            ..self
        }
    }
}

/// What is wrong with what was found after a cut.
pub(crate) fn complaints(
    facts: &Facts,
    found: &BTreeMap<String, Found>,
    cut: usize,
    pruning: bool,
) -> Vec<String> {
    let ends = facts.values().filter(|fact| fact.may_have_ended(cut));
    let may_be_pruned = pruning && ends.count() as u64 > AT_MOST;
    let mut complaints: Vec<_> = facts
        .iter()
        .filter_map(|(label, fact)| {
            let complaint = fact.complaint(found.get(label), cut, may_be_pruned)?;
            Some(format!("job {label:?} {complaint}"))
        })
        .collect();
    complaints.extend(facts.keys().filter_map(|label| {
        let follower = Work::new(label.clone()).follower()?.label;
        let led = found.get(label)?.state == State::Succeeded;
        // The follower of a success may have been pruned; nobody removes one.
        let wrong = led && !pruning && !found.contains_key(&follower);
        let early = !led && found.contains_key(&follower);
        (wrong || early).then(|| format!("job {label:?} and its follower are not of one commit"))
    }));
    // What survives of the order of acceptance is a prefix.
    let newest = found.values().map(|found| found.number).max();
    complaints.extend(facts.iter().filter_map(|(label, fact)| {
        let number = fact.number.filter(|_| by(fact.buffered, cut))?;
        let may_be_gone = by(fact.removing, cut) || may_be_pruned && fact.may_have_ended(cut);
        let skipped = newest > Some(number) && !found.contains_key(label) && !may_be_gone;
        skipped.then(|| format!("job {label:?} was buffered, and a later one is there"))
    }));
    let foreign = found.keys().filter(|label| !facts.contains_key(*label));
    complaints.extend(foreign.map(|label| format!("job {label:?} is nobody's")));
    complaints
}

/// What the next life knows after a cut.
pub(crate) fn carry(facts: Facts, found: &BTreeMap<String, Found>, cut: usize) -> Facts {
    let carried = facts.into_iter().filter_map(|(label, fact)| {
        let fact = fact.carried(found.get(&label)?, cut);
        Some((label, fact))
    });
    let mut carried: Facts = carried.collect();
    // Not there yet, and wanted by its leader.
    for label in found.keys() {
        if let Some(follower) = Work::new(label.clone()).follower() {
            carried.entry(follower.label).or_default();
        }
    }
    carried
}

/// A pause or a resumption: when it was asked for, and when it was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turned {
    pub(crate) asked: usize,
    pub(crate) done: usize,
    pub(crate) paused: bool,
}

/// What is wrong with a queue that is found paused, or not.
pub(crate) fn paused_wrongly(turned: &[Turned], paused: bool, cut: usize) -> Option<String> {
    let under_way = |turned: &&Turned| turned.asked <= cut && cut < turned.done;
    let done = turned.iter().rfind(|turned| turned.done <= cut);
    let expected = done.is_some_and(|turned| turned.paused);
    let may_differ = turned.iter().any(|turned| under_way(&turned));
    (expected != paused && !may_differ)
        .then(|| format!("the queue is paused: {paused}, and should be: {expected}"))
}

/// How many jobs a cut must not lose.
pub(crate) fn acknowledged(facts: &Facts, cut: usize) -> usize {
    let acknowledged = |fact: &&Fact| by(fact.accepted, cut) && !by(fact.removing, cut);
    facts.values().filter(acknowledged).count()
}
