//! One life of a process: a manager on a recorded store, and what it acknowledges.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobkeep::testing::{Kit, ManualClock};
use jobkeep::{
    Builder, Durability, Error, Manager, NewJob, Priority, Queue, QueueStore, Receipt, Retention,
};

use crate::dice::Dice;
use crate::disk::{Journal, Record};
use crate::facts::{AT_MOST, Fact, Facts, Shown, Turned};
use crate::work::Work;

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Jobs run one by one when told, the same at each run; or on threads of their own.
enum Running {
    Told(Kit),
    Free(Manager),
}

pub(crate) fn builder(store: impl QueueStore, clock: &ManualClock, pruning: bool) -> Builder {
    let retention = if pruning {
        Retention::new().at_most(AT_MOST)
    } else {
        Retention::keep_all()
    };
    Manager::builder(store)
        .queue(Queue::new("default").workers(2))
        .clock(clock.clone())
        .retention(retention)
        // A suspect would hold the others up, and no process dies of these jobs.
        .probation(Duration::ZERO)
}

/// How a history goes, for all of its lives.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) threads: bool,
    pub(crate) pruning: bool,
    pub(crate) quick_repair: bool,
}

pub(crate) struct Life<'a> {
    dice: &'a mut Dice,
    journal: Journal,
    clock: ManualClock,
    running: Running,
    pub(crate) facts: Facts,
    turned: Vec<Turned>,
    begun: Arc<Mutex<HashMap<String, usize>>>,
    /// Makes labels that no life before has given.
    next: &'a mut usize,
    pruning: bool,
}

/// Jobs by their labels, with the moments at which so many runs of them were kept.
type Keepings = Vec<(String, (usize, u32))>;

/// What a life leaves behind.
pub(crate) struct Lived {
    pub(crate) record: Record,
    pub(crate) facts: Facts,
    pub(crate) turned: Vec<Turned>,
    /// The moment at which the manager had started, and the one at which it began to end.
    pub(crate) opened: usize,
    pub(crate) ending: usize,
}

/// Lives from the opening of a store, of which this much is known, to its orderly end, and returns what happened to the file.
pub(crate) fn live(
    path: &Path,
    manner: Manner,
    steps: usize,
    (facts, paused): (Facts, bool),
    dice: &mut Dice,
    next: &mut usize,
) -> Lived {
    let journal = Journal::default();
    let store = journal.options().quick_repair(manner.quick_repair);
    let store = store.open(path).unwrap();
    let clock = ManualClock::new();
    let begun: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let kept: Arc<Mutex<Keepings>> = Arc::default();
    let (noted, keeping, moments) = (Arc::clone(&begun), Arc::clone(&kept), journal.clone());
    let builder = builder(store, &clock, manner.pruning).handle::<Work>(move |work, ctx| {
        let now = moments.now();
        let mut noted = noted.lock().unwrap();
        noted.entry(work.label.clone()).or_insert(now);
        drop(noted);
        work.run(ctx, |work| {
            let kept = (moments.now(), work.runs);
            let mut keeping = keeping.lock().unwrap();
            keeping.push((work.label.clone(), kept));
        })
    });
    let running = if manner.threads {
        Running::Free(builder.start().unwrap())
    } else {
        Running::Told(builder.start_for_tests().unwrap())
    };
    let opened = journal.now();
    let mut life = Life {
        dice,
        journal,
        clock,
        running,
        facts,
        turned: vec![Turned {
            asked: 0,
            done: 0,
            paused,
        }],
        begun,
        next,
        pruning: manner.pruning,
    };
    for _ in 0..steps {
        life.step();
    }
    let ending = life.journal.now();
    life.manager().shutdown(PATIENCE).unwrap();
    for (label, &moment) in &*life.begun.lock().unwrap() {
        if let Some(fact) = life.facts.get_mut(label) {
            fact.begun.get_or_insert(moment);
        }
    }
    for (label, kept) in std::mem::take(&mut *kept.lock().unwrap()) {
        life.fact(&label).kept.push(kept);
    }
    let ended = life.journal.now();
    // An end in order writes whatever was buffered.
    for fact in life
        .facts
        .values_mut()
        .filter(|fact| fact.buffered.is_some())
    {
        fact.accepted.get_or_insert(ended);
    }
    Lived {
        record: life.journal.take(),
        facts: life.facts,
        turned: life.turned,
        opened,
        ending,
    }
}

impl Life<'_> {
    fn manager(&self) -> &Manager {
        match &self.running {
            Running::Told(kit) => kit,
            Running::Free(manager) => manager,
        }
    }

    fn step(&mut self) {
        match self.dice.below(20) {
            0..3 => self.enqueue(1),
            3 => {
                let jobs = 2 + self.dice.below(20);
                self.enqueue(jobs);
            }
            4 => self.submit(),
            5 => self.enqueue_key(),
            6..10 => self.run(),
            10 | 11 => self.look(),
            12 => self.cancel(),
            13 => self.remove(),
            14 => self.retry(),
            15 => self.turn(true),
            16 | 17 => self.turn(false),
            18 => self.buffer(),
            _ => self.clock.advance(HOUR),
        }
    }

    /// A new job, with its label.
    fn ask(&mut self) -> (String, NewJob<Work>) {
        *self.next += 1;
        let work = Work::any(*self.next, self.dice);
        let label = work.label.clone();
        let asked = self.journal.now();
        let fact = Fact {
            asked,
            ..Fact::default()
        };
        if let Some(follower) = work.follower() {
            self.facts.insert(follower.label, fact.clone());
        }
        self.facts.insert(label.clone(), fact);
        let priority = [Priority::Low, Priority::Normal, Priority::Urgent][self.dice.below(3)];
        let job = NewJob::new(work).priority(priority);
        let job = if self.dice.one_in(8) {
            job.delay(HOUR)
        } else {
            job
        };
        (label, job)
    }

    fn accepted(&mut self, label: &str, receipt: Receipt<Work>) {
        let now = self.journal.now();
        let fact = self.facts.get_mut(label).unwrap();
        fact.accepted.get_or_insert(now);
        fact.number = Some(receipt.number());
        fact.receipt = Some(receipt);
    }

    fn enqueue(&mut self, jobs: usize) {
        let (labels, jobs): (Vec<_>, Vec<_>) = (0..jobs).map(|_| self.ask()).unzip();
        let receipts = self.manager().enqueue_all(jobs).unwrap();
        for (label, receipt) in labels.iter().zip(receipts) {
            self.accepted(label, receipt);
        }
    }

    /// Jobs that are accepted before they are written, perhaps behind one that is.
    fn buffer(&mut self) {
        for _ in 0..=self.dice.below(4) {
            let (label, job) = self.ask();
            let job = job.durability(Durability::Buffered);
            let receipt = self.manager().enqueue(job).unwrap();
            let now = self.journal.now();
            let fact = self.fact(&label);
            fact.buffered = Some(now);
            fact.number = Some(receipt.number());
            fact.receipt = Some(receipt);
        }
    }

    fn turn(&mut self, paused: bool) {
        let asked = self.journal.now();
        let turned = if paused {
            self.manager().pause("default")
        } else {
            self.manager().resume("default")
        };
        turned.unwrap();
        let done = self.journal.now();
        self.turned.push(Turned {
            asked,
            done,
            paused,
        });
    }

    /// Several calls, which may share a commit.
    fn submit(&mut self) {
        let mut asked = Vec::new();
        for _ in 0..4 {
            let (label, job) = self.ask();
            asked.push((label, self.manager().submit(job)));
        }
        for (label, submission) in asked {
            let receipt = submission.wait().unwrap();
            self.accepted(&label, receipt);
        }
    }

    /// A job with a key, twice: there is one of it.
    fn enqueue_key(&mut self) {
        let (label, job) = self.ask();
        let again = NewJob::new(Work::new(label.clone())).key(label.clone());
        let receipt = self.manager().enqueue(job.key(label.clone())).unwrap();
        self.accepted(&label, receipt.clone());
        let twin = self.manager().enqueue(again).unwrap();
        assert_eq!(twin.number(), receipt.number(), "job {label:?}");
    }

    fn run(&mut self) {
        let times = 1 + self.dice.below(6);
        if let Running::Told(kit) = &self.running {
            for _ in 0..times {
                kit.run_one("default").unwrap();
            }
        }
    }

    /// A job of which there is a receipt of this life.
    fn any(&mut self) -> Option<(String, Receipt<Work>)> {
        let there = |(label, fact): (&String, &Fact)| {
            let receipt = fact.receipt.clone().filter(|_| fact.removing.is_none());
            receipt.map(|receipt| (label.clone(), receipt))
        };
        let mut there: Vec<_> = self.facts.iter().filter_map(there).collect();
        // The same at each run, in the order of their numbers.
        there.sort_by_key(|(_, receipt)| receipt.number().0);
        let place = self.dice.below(there.len().max(1));
        (place < there.len()).then(|| there.swap_remove(place))
    }

    /// Looks whether a job has finished, and remembers what it was shown.
    fn look(&mut self) {
        for _ in 0..4 {
            let Some((label, receipt)) = self.any() else {
                return;
            };
            let done = match self.manager().completed(&receipt) {
                Ok(Some(done)) => done,
                Ok(None) => continue,
                Err(error) => {
                    assert!(error.is_pruned() && self.pruning, "{label:?}: {error}");
                    continue;
                }
            };
            assert!(done.job().unwrap().is_whole(), "{label:?}");
            let shown = Shown {
                from: self.journal.now(),
                until: usize::MAX,
                output: done.output().ok().cloned(),
            };
            let fact = self.fact(&label);
            fact.accepted.get_or_insert(shown.from);
            fact.shown.push(shown);
        }
    }

    fn fact(&mut self, label: &str) -> &mut Fact {
        self.facts.get_mut(label).unwrap()
    }

    fn cancel(&mut self) {
        let Some((label, receipt)) = self.any() else {
            return;
        };
        let now = self.journal.now();
        self.fact(&label).cancelling.get_or_insert(now);
        if self.went(self.manager().cancel(&receipt)) {
            let now = self.journal.now();
            self.fact(&label).cancelled.get_or_insert(now);
        }
    }

    fn remove(&mut self) {
        let Some((label, receipt)) = self.any() else {
            return;
        };
        self.fact(&label).removing = Some(self.journal.now());
        if self.went(self.manager().remove(&receipt)) {
            self.fact(&label).removed = Some(self.journal.now());
        } else {
            self.fact(&label).removing = None;
        }
    }

    /// Once a life at most, so that what a cut may show stays simple.
    fn retry(&mut self) {
        let Some((label, receipt)) = self.any() else {
            return;
        };
        let now = self.journal.now();
        // A leader that ran again would have a second follower of the same label.
        if self.fact(&label).retrying.is_some() || Work::new(label.clone()).follower().is_some() {
            return;
        }
        self.fact(&label).retrying = Some(now);
        for shown in &mut self.fact(&label).shown {
            shown.until = now;
        }
        let _ = self.went(self.manager().retry(&receipt));
    }

    /// Refused only because of the state that the job is in.
    fn went(&self, answer: Result<(), Error>) -> bool {
        let Err(error) = answer else {
            return true;
        };
        let refused = error.illegal_state().is_some() || (error.is_pruned() && self.pruning);
        assert!(refused, "{error}");
        false
    }
}
