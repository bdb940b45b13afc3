//! One life of a process that queues jobs and runs them until it is killed.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::scope;
use std::time::Duration;

use jobkeep::{
    Builder, Durability, Error, Manager, NewJob, Priority, Queue, QueueStore, Receipt, Retention,
    StateKind,
};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::pausing::{pause_and_resume, pause_holds};
use crate::trace::{Marked, Stand, Trace, wait_for_the_end};
use crate::work::{Kind, Ledger, Lines, PAUSED, Work, new_job, output_of};

/// Has the life of a child, as JSON.
pub(crate) const LIFE: &str = "JOBKEEP_CRASH_LIFE";

const PATIENCE: Duration = Duration::from_secs(60);
const PRODUCERS: u64 = 4;

/// The end of the label of a job that is cancelled soon after it was accepted.
pub(crate) const CANCELLED: &str = ".cancelled";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Engine {
    Redb,
    Sled,
}

/// Where a store and what is known of its jobs are kept, and how it is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Home {
    pub(crate) folder: PathBuf,
    pub(crate) engine: Engine,
    /// Keeps few finished jobs, and suspects nobody.
    pub(crate) prunes: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) home: Home,
    pub(crate) number: u32,
    pub(crate) seed: u64,
    pub(crate) stand: Option<Stand>,
    /// One job runs until the end.
    pub(crate) holds: bool,
    /// Shuts itself down after so many acknowledgements.
    pub(crate) stops_after: Option<usize>,
    pub(crate) grace_s: u64,
}

impl Home {
    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    pub(crate) fn acknowledged(&self) -> PathBuf {
        self.folder.join("acknowledged")
    }

    fn store(&self) -> Box<dyn QueueStore> {
        let path = |name: &str| self.folder.join(name);
        match self.engine {
            Engine::Redb => Box::new(jobkeep::RedbStore::open(path("jobs.redb")).unwrap()),
            Engine::Sled => Box::new(jobkeep::SledStore::open(path("jobs.sled")).unwrap()),
        }
    }

    /// A manager that is not started yet, which runs the jobs and writes the ledger.
    pub(crate) fn builder(&self, life: u32, trace: &Arc<Trace>) -> Builder {
        let store = Marked::new(self.store(), Arc::clone(trace));
        let builder = Manager::builder(store)
            .queue(Queue::new("default").workers(4))
            .queue(Queue::new(PAUSED).workers(2));
        let builder = if self.prunes {
            let retention = Retention::keep_all().at_most(30);
            builder.retention(retention).probation(Duration::ZERO)
        } else {
            // Short, because lives are.
            let probation = Duration::from_millis(100);
            builder
                .retention(Retention::keep_all())
                .probation(probation)
        };
        let ledger = Ledger {
            lines: Arc::new(Lines::at(&self.ledger())),
            life,
            trace: Arc::clone(trace),
        };
        ledger.register(builder)
    }
}

/// Lives until it is killed.
pub(crate) fn live(life: &str) {
    let life: Life = serde_json::from_str(life).unwrap();
    let trace = Trace::new(life.stand, life.holds);
    trace.say("open begin");
    let manager = life.home.builder(life.number, &trace).start().unwrap();
    trace.say("open end");
    pause_holds(&life.home, &manager);
    for receipt in parked(&manager) {
        trace.say("parked");
        manager.retry(&receipt).unwrap();
    }
    let living = Living {
        acknowledged: Lines::at(&life.home.acknowledged()),
        ledger: Lines::at(&life.home.ledger()),
        life: &life,
        trace: &trace,
        manager: &manager,
    };
    let (told, acknowledgements) = channel();
    scope(|scope| {
        for producer in 0..PRODUCERS {
            let (living, told) = (&living, told.clone());
            scope.spawn(move || living.produce(producer, &told));
        }
        drop(told);
        scope.spawn(|| {
            let ended = pause_and_resume(&manager, &living.ledger, life.number, &trace);
            let error = ended.unwrap_err();
            assert!(error.is_shut_down(), "{error}");
        });
        let most = life.stops_after.unwrap_or(usize::MAX);
        acknowledgements.iter().take(most).for_each(|()| {});
        trace.say("shutdown begin");
        let grace = Duration::from_secs(life.grace_s);
        manager.shutdown(grace).unwrap();
        trace.say("shutdown end");
        wait_for_the_end();
    });
}

/// Those beside which processes had died.
pub(crate) fn parked(manager: &Manager) -> Vec<Receipt> {
    let page = manager.jobs(StateKind::Parked, None, 10_000).unwrap();
    page.jobs()
        .iter()
        .map(|job| job.receipt().clone())
        .collect()
}

type Made = Vec<(Receipt<Work>, String)>;

struct Living<'a> {
    acknowledged: Lines,
    ledger: Lines,
    life: &'a Life,
    trace: &'a Trace,
    manager: &'a Manager,
}

impl Living<'_> {
    /// Queues jobs of every kind, and waits for some, so that the backlog stays small.
    fn produce(&self, producer: u64, told: &Sender<()>) {
        let seed = self.life.seed.wrapping_mul(PRODUCERS);
        let mut dice = Dice::from(seed.wrapping_add(producer));
        for turn in 0_u64.. {
            let label = format!("{}.{producer}.{turn}", self.life.number);
            let made = match self.queue(&mut dice, &label) {
                Ok(made) => made,
                Err(error) if error.is_shut_down() => return,
                Err(error) => panic!("{error}"),
            };
            // Nobody listens once it shuts down.
            let _ = told.send(());
            if turn % 2 == 0 {
                self.wait(&made, turn % 8 == 4);
            }
            if turn % 8 == 0 {
                self.remove(&made);
            }
        }
    }

    fn queue(&self, dice: &mut Dice, label: &str) -> Result<Made, Error> {
        let kinds = [Kind::Plain, Kind::Fails, Kind::Steps, Kind::Leads];
        let priorities = [
            Priority::Low,
            Priority::Normal,
            Priority::High,
            Priority::Urgent,
        ];
        let filler = [0, 40, 3_000][dice.below(3)];
        let kind = match dice.below(16) {
            0 => Kind::Overruns,
            1 | 2 => Kind::Rests,
            _ => kinds[dice.below(kinds.len())],
        };
        let new = |label: &str| new_job(label, kind, filler);
        let (label, manager) = (label.to_owned(), self.manager);
        let mut how = "synced";
        let made = match dice.below(9) {
            0 => {
                let labels: Vec<_> = (2..8).map(|of| format!("{label}.{of}of6")).collect();
                let jobs = labels.iter().map(|label| new(label));
                let receipts = manager.enqueue_all(jobs)?;
                receipts.into_iter().zip(labels).collect()
            }
            1 | 2 => {
                // Few, so that threads and lives meet at one key.
                let key = format!("key{}", dice.below(200));
                let job = NewJob::new(Work::new(key.clone(), Kind::Plain, 20)).key(&*key);
                vec![(manager.enqueue(job)?, key)]
            }
            3 => {
                let delay = Duration::from_millis(dice.below(20) as u64);
                vec![(manager.enqueue(new(&label).delay(delay))?, label)]
            }
            4 => {
                let priority = priorities[dice.below(priorities.len())];
                let job = new(&label).priority(priority);
                vec![(manager.submit(job).wait()?, label)]
            }
            5 => {
                how = "buffered";
                let job = new(&label).durability(Durability::Buffered);
                vec![(manager.enqueue(job)?, label)]
            }
            6 => {
                let label = format!("{label}{CANCELLED}");
                let delay = Duration::from_millis(dice.below(4) as u64);
                let job = NewJob::new(Work::new(label.clone(), Kind::Plain, 0)).delay(delay);
                vec![(manager.enqueue(job)?, label)]
            }
            _ => vec![(manager.enqueue(new(&label))?, label)],
        };
        self.acknowledge(how, &made);
        self.cancel(&made)?;
        Ok(made)
    }

    fn acknowledge(&self, how: &str, made: &[(Receipt<Work>, String)]) {
        let mut lines = String::new();
        for (receipt, label) in made {
            writeln!(lines, "{how} {receipt} {label}").unwrap();
        }
        self.acknowledged.add(&lines);
        self.trace.say("ack");
    }

    /// From the next life on it must not run.
    fn cancel(&self, made: &[(Receipt<Work>, String)]) -> Result<(), Error> {
        for (receipt, label) in made {
            if label.ends_with(CANCELLED) {
                match self.manager.cancel(receipt) {
                    Ok(()) => {
                        let (number, life) = (receipt.number(), self.life.number);
                        self.ledger.add(&format!("cancelled {number} {life}\n"));
                    }
                    // It has ended before.
                    Err(error) if error.illegal_state().is_some() || self.is_gone(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// What is removed must not come back.
    fn remove(&self, made: &[(Receipt<Work>, String)]) {
        for (receipt, label) in made {
            // A key would be free again, and two jobs be right.
            if label.starts_with("key") {
                continue;
            }
            self.acknowledged
                .add(&format!("removing {receipt} {label}\n"));
            match self.manager.remove(receipt) {
                Ok(()) => self
                    .acknowledged
                    .add(&format!("removed {receipt} {label}\n")),
                Err(error) => assert!(self.is_gone(&error), "{error}"),
            }
        }
    }

    /// What has been seen once must be there in the end.
    fn wait(&self, made: &[(Receipt<Work>, String)], retries: bool) {
        for (receipt, label) in made {
            match self.manager.wait(receipt, PATIENCE) {
                Ok(job) => {
                    match job.output() {
                        Ok(output) => assert_eq!(output, &output_of(label)),
                        Err(failure) => assert!(label.ends_with(CANCELLED), "{failure}"),
                    }
                    self.acknowledged.add(&format!("seen {receipt} {label}\n"));
                    if retries && job.job().unwrap().kind == Kind::Plain {
                        self.retry(receipt, label);
                    }
                }
                Err(error) => assert!(self.is_gone(&error), "{error}"),
            }
        }
    }

    /// It must run once more.
    fn retry(&self, receipt: &Receipt<Work>, label: &str) {
        // Only what this thread alone knows of is still as it was seen.
        if label.starts_with("key") || label.ends_with(CANCELLED) {
            return;
        }
        self.ledger.add(&format!("retrying {}\n", receipt.number()));
        match self.manager.retry(receipt) {
            Ok(()) => self.ledger.add(&format!("retried {}\n", receipt.number())),
            Err(error) => assert!(self.is_gone(&error), "{error}"),
        }
    }

    fn is_gone(&self, error: &Error) -> bool {
        error.is_shut_down() || self.life.home.prunes && error.is_pruned()
    }
}

pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(String::from).collect()
}
