//! A history, and the cuts of its lives.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{QueueStore, RedbStore};

use crate::dice::Dice;
use crate::disk::{Disk, Event};
use crate::facts::{Facts, acknowledged, carry, complaints, paused_wrongly};
use crate::found::{Found, is_paused, jobs};
use crate::life::{Lived, Manner, builder, live};
use crate::work::Work;

const LIVES: usize = 3;
const STEPS: usize = 24;
/// One image in so many is checked by redb too, and one in so many goes on as a manager.
const VERIFIED: u64 = 5;
const STARTED: u64 = 20;

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) histories: u64,
    pub(crate) lives: u64,
    pub(crate) cuts: u64,
    pub(crate) syncs: u64,
    /// Cuts while a manager opened the store, repairs and the end of an older one included.
    pub(crate) opening: u64,
    /// Cuts while a manager ended in order.
    pub(crate) ending: u64,
    /// Cuts with a change of length on its way.
    pub(crate) resizing: u64,
    /// Images that ask redb for a repair.
    pub(crate) repaired: u64,
    pub(crate) verified: u64,
    pub(crate) started: u64,
    pub(crate) acknowledged: u64,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.lives += other.lives;
        self.cuts += other.cuts;
        self.syncs += other.syncs;
        self.opening += other.opening;
        self.ending += other.ending;
        self.resizing += other.resizing;
        self.repaired += other.repaired;
        self.verified += other.verified;
        self.started += other.started;
        self.acknowledged += other.acknowledged;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            histories,
            lives,
            cuts,
            syncs,
            opening,
            ending,
            resizing,
            repaired,
            verified,
            started,
            acknowledged,
        } = self;
        write!(
            f,
            "{cuts} cuts of {lives} lives in {histories} histories, at each of {syncs} syncs and \
             between: {opening} while the store opened, {ending} while it ended, {resizing} while the \
             file changed its length; {repaired} opens repaired, {verified} verified by redb, {started} \
             run to their end; {acknowledged} acknowledged jobs looked for, 0 lost"
        )
    }
}

/// In memory where the system has such a folder: thousands of images are written.
fn folder() -> tempfile::TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).unwrap()
}

/// The mark of a store that was not closed in order, in the tenth byte of every redb file.
fn asks_for_repair(image: &[u8]) -> bool {
    image[9] & 2 != 0
}

struct History {
    seed: u64,
    /// Of the cuts. Lives have their own, so that a life is the same whatever was cut before.
    dice: Dice,
    manner: Manner,
    /// Where images are opened.
    path: PathBuf,
    report: Report,
}

/// Runs the history of a seed, until something is wrong.
pub(crate) fn history(seed: u64) -> Result<Report, String> {
    let folder = folder();
    let store = folder.path().join("jobs.redb");
    let mut dice = Dice::new(seed);
    let manner = Manner {
        threads: seed % 3 == 2,
        pruning: dice.one_in(2),
        quick_repair: dice.one_in(4),
    };
    let mut history = History {
        seed,
        dice: Dice::new(dice.next()),
        manner,
        path: folder.path().join("image.redb"),
        report: Report {
            histories: 1,
            ..Report::default()
        },
    };
    let (mut known, mut next) = ((Facts::new(), false), 0);
    for life in 0..LIVES {
        let mut dice = Dice::new(dice.next());
        let lived = live(&store, manner, STEPS, known, &mut dice, &mut next);
        let image = history
            .cut_all(&lived)
            .map_err(|failure| format!("life {life}, {failure}"))?;
        fs::write(&store, image.bytes).unwrap();
        known = (carry(lived.facts, &image.found, image.cut), image.paused);
        history.report.lives += 1;
    }
    Ok(history.report)
}

/// What was left by one cut.
struct Image {
    bytes: Vec<u8>,
    found: BTreeMap<String, Found>,
    paused: bool,
    cut: usize,
}

impl History {
    /// Cuts at each sync and between, and returns one of the images.
    fn cut_all(&mut self, lived: &Lived) -> Result<Image, String> {
        let events = &lived.record.events;
        let mut disk = Disk::new(lived.record.base.clone().unwrap());
        let (mut chosen, mut cuts) = (None, 0);
        for (cut, event) in events.iter().enumerate() {
            let times = match event {
                Event::Sync => 3,
                _ => usize::from(self.dice.one_in(8)),
            };
            for _ in 0..times {
                let image = self.cut(&disk, lived, cut)?;
                cuts += 1;
                self.report.opening += u64::from(cut < lived.opened);
                self.report.ending += u64::from(cut > lived.ending);
                // Each is chosen with the same chance.
                if self.dice.one_in(cuts) {
                    chosen = Some(image);
                }
            }
            self.report.syncs += u64::from(matches!(event, Event::Sync));
            disk.apply(event);
        }
        let last = self.cut(&disk, lived, events.len())?;
        Ok(chosen.filter(|_| !self.dice.one_in(4)).unwrap_or(last))
    }

    fn cut(&mut self, disk: &Disk, lived: &Lived, cut: usize) -> Result<Image, String> {
        let bytes = disk.cut(&mut self.dice);
        self.report.resizing += u64::from(disk.is_resizing());
        self.report.repaired += u64::from(asks_for_repair(&bytes));
        self.report.cuts += 1;
        self.report.acknowledged += acknowledged(&lived.facts, cut) as u64;
        fs::write(&self.path, &bytes).unwrap();
        match self.check(lived, cut) {
            Ok((found, paused)) => Ok(Image {
                bytes,
                found,
                paused,
                cut,
            }),
            Err(complaint) => {
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR"))
                    .join(format!("powercut-{}.redb", self.seed));
                fs::write(&kept, &bytes).unwrap();
                Err(format!(
                    "cut {} after {cut} changes: {complaint}; the image is kept as {}",
                    self.report.cuts,
                    kept.display()
                ))
            }
        }
    }

    fn check(
        &mut self,
        lived: &Lived,
        cut: usize,
    ) -> Result<(BTreeMap<String, Found>, bool), String> {
        let said = |cause: jobkeep::StoreError| cause.to_string();
        let store = RedbStore::open(&self.path).map_err(said)?;
        let found = jobs(&store)?;
        let facts = &lived.facts;
        let mut complaints = complaints(facts, &found, cut, self.manner.pruning);
        let paused = is_paused(&store)?;
        complaints.extend(paused_wrongly(&lived.turned, paused, cut));
        if !complaints.is_empty() {
            return Err(complaints.join("; "));
        }
        if self.report.cuts.is_multiple_of(VERIFIED) {
            self.report.verified += 1;
            let mut findings = Vec::new();
            let verified = store.verify(&mut |finding| findings.push(format!("{finding:?}")));
            verified.map_err(said)?;
            if !findings.is_empty() {
                return Err(findings.join("; "));
            }
        }
        store.close().map_err(said)?;
        if self.report.cuts.is_multiple_of(STARTED) {
            self.report.started += 1;
            self.go_on(facts, &found)
                .map_err(|error| error.to_string())?;
        }
        Ok((found, paused))
    }

    /// A manager on what is left runs all of it to its end.
    fn go_on(
        &self,
        facts: &Facts,
        found: &BTreeMap<String, Found>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let clock = ManualClock::new();
        let store = RedbStore::open(&self.path)?;
        let builder =
            builder(store, &clock, false).handle::<Work>(|work, ctx| work.run(ctx, |_| {}));
        let kit = builder.start_for_tests()?;
        kit.resume("default")?;
        for _ in 0..6 {
            kit.drain("default")?;
            // More than any life before this one has seen, whose clock began as this one does.
            clock.advance(Duration::from_secs(1_000 * 3_600));
        }
        for (label, fact) in facts {
            let (Some(before), Some(receipt)) = (found.get(label), &fact.receipt) else {
                continue;
            };
            let done = kit.completed(receipt)?;
            let done = done.ok_or_else(|| format!("job {label:?} does not end"))?;
            if !done.job().unwrap().is_whole() || done.number() != before.number {
                return Err(format!("job {label:?} has changed").into());
            }
            if before.is_done() && done.output().ok() != before.output.as_ref() {
                return Err(format!("job {label:?} has ended once more").into());
            }
        }
        kit.shutdown(Duration::from_secs(60))?;
        Ok(())
    }
}
