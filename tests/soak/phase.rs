//! One opening of the store under load, from its start to a shutdown that does not wait for everybody.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::scope;
use std::time::Duration;

use jobkeep::{
    Durability, Error, Manager, NewJob, Queue, Receipt, Recovery, RedbStore, Retention, Shutdown,
    StateKind,
};

use crate::bounds::{HUGE_ONE_IN, HUGE_WAITING, KEPT, LIMIT, ON_THE_WAY, WAITING};
use crate::dice::Dice;
use crate::pace::Pace;
use crate::tally::{ACCEPTED, BUFFERED, CANCELLED, ENDED, HUGE, REMOVED};
use crate::work::{Site, Work, register};

/// Each has its own workers.
const QUEUES: [&str; 3] = ["small", "slow", "huge"];

/// So many of the jobs accepted last are at hand for the operator.
const AT_HAND: usize = 512;

/// How the load is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) producers: u64,
    pub(crate) workers: usize,
    /// So many microseconds a plain job takes.
    pub(crate) takes_us: u64,
    /// One call in eight queues so many jobs.
    pub(crate) batch: usize,
    /// Each producer waits so long between two calls.
    pub(crate) between: Duration,
    /// Cancels, removes, retries, pauses, resumes.
    pub(crate) operator: bool,
    pub(crate) grace: Duration,
}

/// What all phases have in common.
pub(crate) struct Load {
    pub(crate) path: PathBuf,
    pub(crate) site: Arc<Site>,
}

/// What an operator has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acts {
    pub(crate) cancelled: usize,
    pub(crate) removed: usize,
    pub(crate) retried: usize,
    pub(crate) paused: usize,
}

/// What a phase leaves behind.
pub(crate) struct Left {
    /// So many waited before, by the tally, and by what the opening found.
    pub(crate) waited: usize,
    pub(crate) found: Recovery,
    pub(crate) shutdown: Shutdown,
    pub(crate) most_waiting: usize,
    pub(crate) acts: Acts,
}

type AtHand = Mutex<VecDeque<Receipt<Work>>>;

impl Left {
    /// Of so many jobs the tally and the store may differ: their ends came too late to be recorded, were
    /// recorded before they said so, or were cancelled in the midst of a run.
    pub(crate) fn late(&self) -> usize {
        let Shutdown {
            still_running,
            unrecorded,
            ..
        } = &self.shutdown;
        still_running.len() + unrecorded.len() + self.acts.cancelled
    }
}

impl Load {
    fn start(&self, workers: usize) -> Manager {
        let store = RedbStore::open(&self.path).unwrap();
        let builder = Manager::builder(store)
            .payload_limit(LIMIT)
            .retention(Retention::keep_all().at_most(KEPT as u64));
        let builder = QUEUES.into_iter().fold(builder, |builder, queue| {
            builder.queue(Queue::new(queue).workers(workers))
        });
        register(builder, &self.site).start().unwrap()
    }

    /// Goes on for so long, and tells how it goes.
    pub(crate) fn run(
        &self,
        phase: Phase,
        time: Duration,
        dice: &mut Dice,
        tell: impl Fn(),
    ) -> Left {
        self.site.takes_us.store(phase.takes_us, Ordering::Relaxed);
        let waited = self.site.tally.waiting().0;
        let manager = self.start(phase.workers);
        let found = manager.recovery();
        let over = Pace::default();
        let at_hand = AtHand::default();
        let mut most_waiting = 0;
        scope(|scope| {
            for _ in 0..phase.producers {
                let dice = Dice::new(dice.next());
                let (manager, at_hand, over) = (&manager, &at_hand, &over);
                scope.spawn(move || self.produce(phase, manager, at_hand, over, dice));
            }
            let operator = phase.operator.then(|| {
                let dice = Dice::new(dice.next());
                let (manager, at_hand, over) = (&manager, &at_hand, &over);
                scope.spawn(move || self.operate(manager, at_hand, over, dice))
            });
            let beats = 20;
            for _ in 0..beats {
                over.rest(time / beats);
                most_waiting = most_waiting.max(self.site.tally.waiting().0);
                tell();
            }
            // Amid everything: who still calls is told so.
            let shutdown = manager.shutdown(phase.grace).unwrap();
            over.end();
            let acts = operator.map_or_else(Acts::default, |acts| acts.join().unwrap());
            Left {
                waited,
                found,
                shutdown,
                most_waiting,
                acts,
            }
        })
    }

    fn produce(
        &self,
        phase: Phase,
        manager: &Manager,
        at_hand: &AtHand,
        over: &Pace,
        mut dice: Dice,
    ) {
        while over.goes_on() {
            let (waiting, huge) = self.site.tally.waiting();
            if waiting + ON_THE_WAY >= WAITING {
                over.rest(Duration::from_millis(5));
                continue;
            }
            let may_be_huge = huge < HUGE_WAITING;
            match self.enqueue(manager, phase.batch, may_be_huge, &mut dice) {
                Ok(receipts) => {
                    let mut at_hand = at_hand.lock().unwrap();
                    at_hand.extend(receipts);
                    let beyond = at_hand.len().saturating_sub(AT_HAND);
                    at_hand.drain(..beyond);
                }
                Err(error) if error.is_shut_down() => return,
                Err(error) => panic!("{error}"),
            }
            if !phase.between.is_zero() {
                over.rest(phase.between);
            }
        }
    }

    fn enqueue(
        &self,
        manager: &Manager,
        batch: usize,
        may_be_huge: bool,
        dice: &mut Dice,
    ) -> Result<Vec<Receipt<Work>>, Error> {
        let (receipts, flags) = match dice.below(HUGE_ONE_IN) {
            0 if may_be_huge => (vec![manager.enqueue(Work::huge())?], HUGE),
            1..9 => {
                let jobs: Vec<NewJob<Work>> = (0..batch).map(|_| Work::any(dice)).collect();
                (manager.enqueue_all(jobs)?, 0)
            }
            9..16 => {
                let job = Work::any(dice).durability(Durability::Buffered);
                (vec![manager.enqueue(job)?], BUFFERED)
            }
            16..20 => {
                let job = Work::any(dice);
                (vec![manager.submit(job).wait()?], 0)
            }
            _ => (vec![manager.enqueue(Work::any(dice))?], 0),
        };
        for receipt in &receipts {
            self.site.tally.note(receipt.number(), ACCEPTED | flags);
        }
        Ok(receipts)
    }

    fn operate(&self, manager: &Manager, at_hand: &AtHand, over: &Pace, mut dice: Dice) -> Acts {
        let mut acts = Acts::default();
        while over.rest(Duration::from_millis(2)) {
            let done = self.act(manager, at_hand, &mut dice, &mut acts);
            match done {
                Ok(()) => {}
                Err(error) if error.is_shut_down() => break,
                // It has ended, or not yet, or is not kept any more.
                Err(error) if error.illegal_state().is_some() || error.is_pruned() => {}
                Err(error) => panic!("{error}"),
            }
        }
        acts
    }

    fn act(
        &self,
        manager: &Manager,
        at_hand: &AtHand,
        dice: &mut Dice,
        acts: &mut Acts,
    ) -> Result<(), Error> {
        let queue = QUEUES[dice.below(QUEUES.len())];
        match dice.below(64) {
            0 => {
                manager.pause(queue)?;
                acts.paused += 1;
                return Ok(());
            }
            1..8 => return manager.resume(queue),
            _ => {}
        }
        let receipt = {
            let at_hand = at_hand.lock().unwrap();
            match at_hand.len() {
                0 => return Ok(()),
                jobs => at_hand[dice.below(jobs)].clone(),
            }
        };
        let number = receipt.number();
        match dice.below(3) {
            0 => {
                manager.cancel(&receipt)?;
                self.site.tally.note(number, CANCELLED);
                acts.cancelled += 1;
            }
            1 => {
                manager.remove(&receipt)?;
                self.site.tally.note(number, REMOVED);
                acts.removed += 1;
            }
            _ => {
                // Before it may run again: what it then says holds.
                let before = self.site.tally.take(number, ENDED | CANCELLED);
                let retried = manager.retry(&receipt);
                if retried.is_err() {
                    self.site.tally.note(number, before);
                }
                retried?;
                acts.retried += 1;
            }
        }
        Ok(())
    }

    /// Everything runs to its end, or what does not is said.
    pub(crate) fn drain(&self, patience: u32, tell: impl Fn()) -> Result<Manager, String> {
        self.site.takes_us.store(0, Ordering::Relaxed);
        let manager = self.start(8);
        let said = |error: Error| error.to_string();
        for queue in manager.paused().map_err(said)? {
            manager.resume(&queue).map_err(said)?;
        }
        for beat in 0..patience {
            let counts = manager.counts().map_err(said)?;
            if counts.parked + counts.damaged > 0 {
                return Err(format!("what nobody planned: {counts:?}"));
            }
            if counts.scheduled + counts.ready + counts.running == 0 {
                return Ok(manager);
            }
            if beat % 10 == 0 {
                tell();
            }
            self.site.time.rest(Duration::from_millis(50));
        }
        Err(format!("does not end: {:?}", manager.counts()))
    }

    /// The store and the tally agree about all that is still kept: says how many jobs that are.
    pub(crate) fn kept(&self, manager: &Manager) -> Result<usize, String> {
        let mut kept = 0;
        for state in [
            StateKind::Succeeded,
            StateKind::Failed,
            StateKind::Cancelled,
        ] {
            let mut after = None;
            loop {
                let page = manager
                    .jobs(state, after, 1_000)
                    .map_err(|e| e.to_string())?;
                after = page.cursor();
                for job in page.jobs() {
                    let number = job.number();
                    let is_known = self.site.tally.has(number, ACCEPTED);
                    let has_ended = self.site.tally.has(number, ENDED | CANCELLED);
                    if !is_known || !has_ended || self.site.tally.has(number, REMOVED) {
                        return Err(format!("job {number} is {state}, and nobody did that"));
                    }
                    kept += 1;
                }
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(kept)
    }
}
