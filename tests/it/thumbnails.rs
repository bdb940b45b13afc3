//! The thumbnails example as its user meets it: its words, its exit codes, and what becomes of its
//! pictures when it is killed, stopped or given nonsense.
//!
//! `cargo test` builds the example beside these tests, with the same features.
#![cfg(feature = "redb")]

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use jobkeep::{AttemptEnd, Job, Manager, NewJob, Queue, RedbStore};
use serde::{Deserialize, Serialize};

const WIDTHS: [u32; 4] = [64, 160, 320, 640];

/// The job as the example stores it: whoever changes it there breaks the stores of its users.
#[derive(Serialize, Deserialize)]
struct Thumbnail {
    photo: PathBuf,
    width: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Size {
    width: u32,
    height: u32,
}

impl Job for Thumbnail {
    const NAME: &'static str = "thumbnail";
    type Output = Size;
}

/// A folder with photos, and one for what is made of them.
struct Place(tempfile::TempDir);

impl Place {
    fn with(photos: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.photos()).unwrap();
        for photo in photos {
            place.add(photo, photo);
        }
        place
    }

    fn add(&self, bundled: &str, name: &str) {
        let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
        fs::copy(photos.join(bundled), self.photos().join(name)).unwrap();
    }

    fn photos(&self) -> PathBuf {
        self.0.path().join("photos")
    }

    fn out(&self) -> PathBuf {
        self.0.path().join("out")
    }

    fn picture(&self, width: u32, photo: &str) -> PathBuf {
        self.out().join(width.to_string()).join(photo)
    }

    fn command(&self) -> Command {
        let mut command = example();
        command.arg(self.photos()).arg("--out").arg(self.out());
        command.args(["--workers", "2"]);
        command.env("JOBKEEP_THUMBNAILS_TRACE", "1");
        command
    }

    fn start(&self) -> Started {
        Started::from(self.command().output().unwrap())
    }
}

fn example() -> Command {
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().unwrap().parent().unwrap();
    let name = format!("thumbnails{}", std::env::consts::EXE_SUFFIX);
    let path = built.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo test` without `--test`, or `cargo build --examples` first",
        path.display()
    );
    Command::new(path)
}

/// How a start went.
struct Started {
    code: Option<i32>,
    said: String,
    complained: String,
}

impl From<Output> for Started {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            said: text(output.stdout),
            complained: text(output.stderr),
        }
    }
}

impl Started {
    fn summary(&self) -> &str {
        self.said.lines().last().unwrap_or_default()
    }

    /// The rows of the table from the one of that photo on, each with single spaces.
    fn rows(&self, photo: &str, count: usize) -> Vec<String> {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut lines = self.said.lines().map(words);
        let first = lines.find(|line| line.starts_with(photo));
        first
            .map(|line| line[photo.len()..].trim().to_owned())
            .into_iter()
            .chain(lines)
            .take(count)
            .collect()
    }
}

/// The lines of a trace: one for each run that began.
fn runs(complained: &str) -> Vec<String> {
    let lines = complained.lines().filter(|line| line.starts_with("run "));
    lines.map(String::from).collect()
}

/// Prints the seed of a failed test.
struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    fn new() -> Self {
        let seed = match std::env::var("JOBKEEP_SEED") {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => RandomState::new().hash_one(0),
        };
        Self { seed, state: seed }
    }

    /// Below `bound`, by SplitMix64.
    fn roll(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

impl Drop for Dice {
    #[expect(
        clippy::print_stderr,
        reason = "the seed of a failed test must be seen"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to roll the same dice again: JOBKEEP_SEED={}", self.seed);
        }
    }
}

/// Starts the example and kills it at a random moment, counted by the runs that began and then by
/// rolls of the dice, some milliseconds of them at most: moments of a start, of a run and between
/// two. Whether it was still there to be killed, and the runs that began. A thread that yielded
/// instead would wait on a busy machine for a whole time slice at each turn, and so for a minute.
fn start_and_kill(place: &Place, dice: &mut Dice) -> (bool, Vec<String>) {
    let mut child = place
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut trace = BufReader::new(child.stderr.take().unwrap());
    let mut complained = String::new();
    for _ in 0..dice.roll(5) {
        trace.read_line(&mut complained).unwrap();
    }
    for _ in 0..dice.roll(500_000) {
        std::hint::black_box(dice.roll(2));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    for line in trace.lines() {
        complained.push_str(&line.unwrap());
        complained.push('\n');
    }
    (!status.success(), runs(&complained))
}

#[test]
fn killed_at_ten_random_moments_it_makes_every_picture_and_no_job_runs_twice_unrecorded() {
    let photos = ["chelsea.png", "rocket.jpg"];
    let mut dice = Dice::new();
    let mut kills = 0;
    while kills < 10 {
        let place = Place::with(&photos);
        let mut began = Vec::new();
        while kills < 10 {
            let (killed, runs) = start_and_kill(&place, &mut dice);
            began.extend(runs);
            if !killed {
                break;
            }
            kills += 1;
        }
        let last = place.start();
        assert_eq!(last.code, Some(0), "{}{}", last.said, last.complained);
        began.extend(runs(&last.complained));
        every_picture_is_there(&place, &photos);
        every_run_is_on_record(&place, &photos, &began);
    }
}

fn every_picture_is_there(place: &Place, photos: &[&str]) {
    for width in WIDTHS {
        for photo in photos {
            let picture = image::open(place.picture(width, photo)).unwrap();
            assert_eq!(picture.width(), width, "{photo}");
        }
        let folder = place.out().join(width.to_string());
        let files = fs::read_dir(folder).unwrap().count();
        assert_eq!(files, photos.len(), "a part is left of some picture");
    }
}

/// Asks the store itself, and compares what it says with the runs that told of their beginning.
fn every_run_is_on_record(place: &Place, photos: &[&str], began: &[String]) {
    let mut times = HashMap::new();
    for run in began {
        *times.entry(run.as_str()).or_insert(0_u32) += 1;
    }
    let store = RedbStore::open(place.out().join("jobs.redb")).unwrap();
    let manager = Manager::builder(store)
        .queue(Queue::new("images").workers(0))
        .start()
        .unwrap();
    assert_eq!(manager.recovery().waiting, 0);
    let folder = fs::canonicalize(place.photos()).unwrap();
    let mut all = 0;
    for photo in photos {
        for width in WIDTHS {
            let key = format!("{photo}@{width}");
            let photo = folder.join(photo);
            let same = NewJob::new(Thumbnail { photo, width })
                .queue("images")
                .key(&*key);
            let receipt = manager.enqueue(same).unwrap();
            let job = manager.completed(&receipt).unwrap().unwrap();
            assert_eq!(job.output().unwrap().width, width);
            assert_eq!(job.attempts(), 1, "{key}");
            let (interrupted, ended): (Vec<_>, Vec<_>) = job
                .history()
                .iter()
                .partition(|attempt| matches!(attempt.end, AttemptEnd::Interrupted { .. }));
            assert_eq!(interrupted.len(), job.interruptions() as usize, "{key}");
            assert_eq!(ended.len(), 1, "{key}: {ended:?}");
            // Fewer runs than the record has are no fault: a job handed over may not have begun.
            let began = times
                .remove(&*format!("run {} 1 {key}", receipt.number()))
                .unwrap_or_default();
            assert!(
                (1..=1 + job.interruptions()).contains(&began),
                "{key} began {began} times: {:?}",
                job.history()
            );
            all += 1;
        }
    }
    assert!(times.is_empty(), "runs of no picture: {times:?}");
    assert_eq!(manager.counts().unwrap().succeeded, all);
}

#[test]
fn a_second_start_says_what_it_found_and_a_third_finds_all_done() {
    let place = Place::with(&["chelsea.png", "coffee.png"]);
    let mut first = place
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut trace = BufReader::new(first.stderr.take().unwrap());
    trace.read_line(&mut line).unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let second = place.start();
    let found = second.said.lines().next().unwrap();
    let numbers: Vec<u32> = found
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [waiting, interrupted] = *numbers else {
        panic!("{found}");
    };
    assert_eq!(
        found,
        format!(
            "Found {waiting} jobs waiting from an earlier start, {interrupted} of them interrupted \
             in their work."
        )
    );
    assert!(
        waiting <= 8 && (1..=waiting).contains(&interrupted),
        "{found}"
    );
    assert!(
        second.summary().starts_with("8 pictures: "),
        "{}",
        second.said
    );
    assert_eq!(second.code, Some(0));

    let third = place.start();
    assert_eq!(third.code, Some(0));
    assert_eq!(third.complained, "", "nothing ran");
    assert_eq!(
        third.summary(),
        "All 8 pictures were done before: nothing was left to do."
    );
    for (width, row) in WIDTHS.into_iter().zip(third.rows("coffee.png", 4)) {
        let picture = place.picture(width, "coffee.png");
        assert!(row.starts_with(&format!("{width} x ")), "{row}");
        let end = format!("done before {}", picture.display());
        assert!(row.ends_with(&end), "{row}");
    }
}

#[test]
fn what_is_no_picture_is_in_the_table_with_its_reason_and_the_rest_is_done() {
    let place = Place::with(&["chelsea.png"]);
    fs::write(place.photos().join("broken.png"), "no picture").unwrap();
    let first = place.start();
    assert_eq!(first.code, Some(1));
    assert_eq!(first.summary(), "8 pictures: 4 made, 4 failed.");
    for (width, row) in WIDTHS.into_iter().zip(first.rows("broken.png", 4)) {
        let words: Vec<_> = row.splitn(4, ' ').collect();
        let [shown, _ms, attempts, end] = *words else {
            panic!("{row}");
        };
        assert_eq!((shown, attempts), (&*width.to_string(), "1"));
        assert_eq!(end, "failed The image format could not be determined");
    }
    every_picture_is_there(&place, &["chelsea.png"]);

    // Tried again at each start, so that a repaired photo needs no more than that.
    let second = place.start();
    assert_eq!(second.code, Some(1));
    assert_eq!(second.summary(), "8 pictures: 4 done before, 4 failed.");
    place.add("coffee.png", "broken.png");
    let third = place.start();
    assert_eq!(third.code, Some(0));
    assert_eq!(third.summary(), "8 pictures: 4 made, 4 done before.");
}

#[test]
fn a_picture_that_is_missing_is_made_again() {
    let place = Place::with(&["chelsea.png"]);
    assert_eq!(place.start().code, Some(0));
    fs::remove_file(place.picture(160, "chelsea.png")).unwrap();
    let again = place.start();
    assert_eq!(again.summary(), "4 pictures: 1 made, 3 done before.");
    assert_eq!(runs(&again.complained), ["run 2 1 chelsea.png@160"]);
    every_picture_is_there(&place, &["chelsea.png"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_in_order_and_it_says_what_is_left() {
    let place = Place::with(&[]);
    for copy in 0..10 {
        place.add("coffee.png", &format!("{copy}.png"));
    }
    let mut child = place
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut trace = BufReader::new(child.stderr.take().unwrap());
    trace.read_line(&mut line).unwrap();
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    // Read to the end, so that the child does not wait for room in the pipe.
    std::io::copy(&mut trace, &mut std::io::sink()).unwrap();
    let stopped = Started::from(child.wait_with_output().unwrap());
    assert_eq!(stopped.code, Some(130));
    let made = WIDTHS
        .iter()
        .filter_map(|width| fs::read_dir(place.out().join(width.to_string())).ok())
        .map(Iterator::count)
        .sum::<usize>();
    let left = 40 - made;
    assert_eq!(
        stopped.said,
        format!(
            "Stopped: {made} of 40 pictures are there, {left} are left.\n\
             Start again in the same way to go on.\n"
        )
    );
    let next = place.start();
    assert_eq!(
        next.said.lines().next().unwrap(),
        format!(
            "Found {left} jobs waiting from an earlier start, 0 of them interrupted in their work."
        )
    );
    assert_eq!(
        next.summary(),
        format!("40 pictures: {left} made, {made} done before.")
    );
}

#[test]
fn help_names_every_option_and_exit_code() {
    let help = Started::from(example().arg("--help").output().unwrap());
    assert_eq!((help.code, &*help.complained), (Some(0), ""));
    for word in ["FOLDER", "--out", "--store", "--workers", "--help"] {
        assert!(help.said.contains(word), "{word}");
    }
    assert!(
        help.said
            .contains("Exit code: 0 all pictures are there, 1 some failed")
    );
}

#[test]
fn wrong_usage_says_what_is_right() {
    const USAGE: &str =
        "Usage: thumbnails [FOLDER] [--out DIR] [--store redb|sled|memory] [--workers N] [--help]";
    for (arguments, complaint) in [
        (&["--fast"][..], "invalid option '--fast'"),
        (
            &["--store", "disk"],
            "--store is redb, sled or memory, not 'disk'",
        ),
        (&["--workers", "0"], "--workers is a number from 1, not '0'"),
        (&["--out"], "missing argument for option '--out'"),
        (&["a", "b"], "unexpected argument \"b\""),
    ] {
        let started = Started::from(example().args(arguments).output().unwrap());
        assert_eq!(started.code, Some(2), "{arguments:?}");
        assert_eq!(started.said, "");
        assert_eq!(
            started.complained,
            format!("thumbnails: {complaint}\n{USAGE}\n")
        );
    }
}

#[test]
fn a_folder_without_photos_is_named() {
    let place = Place::with(&[]);
    let started = place.start();
    assert_eq!(started.code, Some(2));
    let folder = fs::canonicalize(place.photos()).unwrap();
    assert_eq!(
        started.complained,
        format!(
            "thumbnails: {} has no .jpg, .jpeg or .png: name a folder that has\n",
            folder.display()
        )
    );
}

#[test]
fn another_photo_of_the_same_name_does_not_replace_a_picture() {
    let place = Place::with(&["chelsea.png"]);
    assert_eq!(place.start().code, Some(0));
    let other = Place::with(&[]);
    other.add("coffee.png", "chelsea.png");
    let mut command = example();
    command.arg(other.photos()).arg("--out").arg(place.out());
    let started = Started::from(command.output().unwrap());
    assert_eq!(started.code, Some(2));
    let out = place.out().display().to_string();
    assert_eq!(
        started.complained,
        format!(
            "thumbnails: job 1 of the batch: enqueue job `thumbnail` with key `chelsea.png@64`: job 1 \
             holds this key with another payload: use another key, or the same payload\n{out} holds pictures of \
             another photo of this name: give another folder with --out, or delete {out}\n"
        )
    );
}

#[test]
fn a_store_in_use_is_left_alone() {
    let place = Place::with(&["chelsea.png"]);
    fs::create_dir(place.out()).unwrap();
    let _held = RedbStore::open(place.out().join("jobs.redb")).unwrap();
    let started = place.start();
    assert_eq!(started.code, Some(2));
    assert!(
        started.complained.ends_with(
            "\nanother start is at work there: wait for its end, or give another folder with --out\n"
        ),
        "{}",
        started.complained
    );
}

#[cfg(not(feature = "sled"))]
#[test]
fn without_sled_it_says_how_to_get_it() {
    let place = Place::with(&["chelsea.png"]);
    let output = place.command().args(["--store", "sled"]).output();
    let started = Started::from(output.unwrap());
    assert_eq!(started.code, Some(2));
    assert_eq!(
        started.complained,
        "thumbnails: this build has no sled store. Build it with\n    cargo run --release \
         --features sled --example thumbnails -- --store sled\n"
    );
}
