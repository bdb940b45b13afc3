//! Counts and retention after any history of ends, retries, removals, restarts and hours, against a
//! model that remembers what should be there.

use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{Counts, JobError, Manager, NewJob, Queue, Receipt, Retention, StateKind};
use jobkeep_store::Space;
use jobkeep_store::conformance::{Fault, Faults, Lasting, Operation};

use crate::place::{HOUR, PATIENCE, Place, Work, work};
use crate::retention::settled;
use crate::uniqueness::rows;

const SUCCESSES: Duration = Duration::from_secs(5 * 3_600);
const FAILURES: Duration = Duration::from_secs(12 * 3_600);
const AT_MOST: usize = 6;

/// A job that has finished and is kept.
#[derive(Clone)]
struct Kept {
    receipt: Receipt<Work>,
    end: StateKind,
    age: Duration,
}

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

struct History<'a> {
    place: &'a dyn Place,
    clock: ManualClock,
    manager: Manager,
    faults: Faults,
    /// Writes are refused now and then.
    refusing: bool,
    /// In the order of their ends.
    kept: Vec<Kept>,
    gone: Vec<Receipt<Work>>,
}

fn start(place: &dyn Place, clock: &ManualClock) -> (Manager, Faults) {
    let store = place.open();
    let faults = store.faults();
    let retention = Retention::new()
        .successes(SUCCESSES)
        .failures(FAILURES)
        .at_most(AT_MOST as u64);
    let manager = Manager::builder(store)
        .queue(Queue::new("default").workers(1))
        .handle::<Work>(|work, _| {
            // The next run ends the other way round.
            work.runs += 1;
            match (work.label.as_str(), work.runs % 2) {
                ("fail", 1) | ("turn", 0) => Err(JobError::permanent("failed")),
                _ => Ok("x".repeat(600)),
            }
        })
        .clock(clock.clone())
        .retention(retention)
        .start()
        .unwrap();
    (manager, faults)
}

impl History<'_> {
    fn step(&mut self, dice: &mut Dice) {
        self.faults.disarm();
        if self.refusing {
            let fault = Fault::nth(Operation::Commit, 1 + dice.below(4) as u64);
            match dice.below(5) {
                0 => self.faults.arm(fault.full()),
                1 => self.faults.arm(fault.lasting(Lasting::UntilReopened)),
                2 => self.faults.arm(fault.but_done()),
                _ => {}
            }
        }
        match dice.below(10) {
            0..4 => {
                let label = ["fail", "turn", "well"][dice.below(3)];
                let large = "x".repeat(dice.below(2) * 1_000);
                let job = if label == "well" {
                    work(large)
                } else {
                    work(label)
                };
                if let Some(receipt) = self.enqueue(job) {
                    self.wait(receipt);
                }
            }
            4 => {
                let later = NewJob::new(work("later")).delay(1_000 * HOUR);
                if let Some(receipt) = self.enqueue(later) {
                    self.manager.cancel(&receipt).unwrap();
                    self.wait(receipt);
                }
            }
            5 => {
                if let Some(kept) = self.take(dice) {
                    self.manager.retry(&kept.receipt).unwrap();
                    self.wait(kept.receipt);
                }
            }
            6 => {
                if let Some(kept) = self.take(dice) {
                    self.manager.remove(&kept.receipt).unwrap();
                    self.gone.push(kept.receipt);
                }
            }
            7 => {
                self.faults.disarm();
                self.manager.shutdown(PATIENCE).unwrap();
                crate::verifying::is_sound(self.place);
                (self.manager, self.faults) = start(self.place, &self.clock);
            }
            _ => self.pass(HOUR * u32::try_from(1 + dice.below(4)).unwrap()),
        }
        self.prune();
    }

    /// Enqueues a job, unless its write is refused.
    fn enqueue(&self, job: impl Into<NewJob<Work>>) -> Option<Receipt<Work>> {
        let job: NewJob<Work> = job.into();
        match self.manager.enqueue(job) {
            Ok(receipt) => Some(receipt),
            Err(error) => {
                assert!(self.refusing && !error.is_unknown(), "{error}");
                None
            }
        }
    }

    fn take(&mut self, dice: &mut Dice) -> Option<Kept> {
        let place = dice.below(self.kept.len().max(1));
        (place < self.kept.len()).then(|| self.kept.remove(place))
    }

    fn wait(&mut self, receipt: Receipt<Work>) {
        self.manager.wait(&receipt, PATIENCE).unwrap();
        let end = self.manager.status(&receipt).unwrap().state();
        self.kept.push(Kept {
            receipt,
            end,
            age: Duration::ZERO,
        });
    }

    fn pass(&mut self, span: Duration) {
        self.clock.advance(span);
        for kept in &mut self.kept {
            kept.age += span;
        }
    }

    /// What retention should do, on the model.
    fn prune(&mut self) {
        let mut keep: Vec<_> = self.kept.drain(..).map(|kept| (true, kept)).collect();
        for (keep, kept) in &mut keep {
            let most = match kept.end {
                StateKind::Succeeded => SUCCESSES,
                _ => FAILURES,
            };
            *keep = kept.age < most;
        }
        let excess = keep.iter().filter(|(keep, _)| *keep).count();
        let excess = excess.saturating_sub(AT_MOST);
        let fresh = keep.iter_mut().filter(|(keep, _)| *keep);
        fresh.take(excess).for_each(|(keep, _)| *keep = false);
        for (keep, kept) in keep {
            if keep {
                self.kept.push(kept);
            } else {
                self.gone.push(kept.receipt);
            }
        }
    }

    fn check(&self, when: &str) {
        let count = |end| self.kept.iter().filter(|kept| kept.end == end).count() as u64;
        let expected = [
            count(StateKind::Succeeded),
            count(StateKind::Failed),
            count(StateKind::Cancelled),
        ];
        let counts = settled(&self.manager);
        let found = [counts.succeeded, counts.failed, counts.cancelled];
        assert_eq!(found, expected, "{when}");
        for kept in &self.kept {
            let status = self.manager.status(&kept.receipt).unwrap();
            assert_eq!(status.state(), kept.end, "{when}");
        }
        for receipt in &self.gone {
            let error = self.manager.completed(receipt).unwrap_err();
            assert!(error.is_pruned(), "{when}: {error}");
        }
    }
}

pub(crate) fn counts_and_retention_are_right_after_any_history(place: &dyn Place) {
    any_history(place, false);
}

pub(crate) fn counts_and_retention_are_right_though_writes_are_refused(place: &dyn Place) {
    any_history(place, true);
}

fn any_history(place: &dyn Place, refusing: bool) {
    let clock = ManualClock::new();
    let (manager, faults) = start(place, &clock);
    let mut history = History {
        place,
        clock,
        manager,
        faults,
        refusing,
        kept: Vec::new(),
        gone: Vec::new(),
    };
    let seed = 0x9e37_79b9_7f4a_7c15;
    let mut dice = Dice(seed);
    for step in 0..200 {
        history.step(&mut dice);
        history.check(&format!("seed {seed:#x}, step {step}"));
    }
    history.faults.disarm();
    history.pass(FAILURES);
    assert_eq!(settled(&history.manager), Counts::default());
    history.manager.shutdown(PATIENCE).unwrap();
    for space in [
        Space::Live,
        Space::Bodies,
        Space::Outputs,
        Space::Done,
        Space::ExpiringSuccesses,
        Space::ExpiringFailures,
        Space::Withdrawn,
    ] {
        assert_eq!(rows(place, space), 0, "{}", space.name());
    }
}
