//! Files of a store that something cuts off, changes or takes away: the manager refuses, or says which
//! job is harmed, and never shows what is not the job's own.
#![cfg(feature = "redb")]

use std::fs;
use std::path::{Path, PathBuf};

use jobkeep::testing::Kit;
use jobkeep::{Error, Health, Manager, NewJob, Queue, QueueStore, Receipt, RedbStore, StoreError};

use crate::place::{PATIENCE, Work, succeeding, work};

const BLOCK: usize = 4096;

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.redb");
    (folder, path)
}

fn start(store: impl QueueStore) -> Result<Kit, Error> {
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    succeeding(builder).start_for_tests()
}

/// A closed store: its bytes, and its jobs with what each of them carries.
struct Image {
    bytes: Vec<u8>,
    jobs: Vec<(Receipt<Work>, String)>,
}

/// Half of its jobs have finished, and a third are too large for their records.
fn image() -> Image {
    let (_folder, path) = place();
    let jobs = jobs(RedbStore::open(&path).unwrap());
    let bytes = fs::read(path).unwrap();
    Image { bytes, jobs }
}

fn jobs(store: impl QueueStore) -> Vec<(Receipt<Work>, String)> {
    let kit = start(store).unwrap();
    let label = |n: usize| format!("{n}/").repeat(if n.is_multiple_of(3) { 1_000 } else { 10 });
    let queue = |n| {
        let label = label(n);
        let job = NewJob::new(work(&label)).key(format!("key {n}"));
        (kit.enqueue(job).unwrap(), label)
    };
    let mut jobs: Vec<_> = (0..12).map(queue).collect();
    kit.drain("default").unwrap();
    jobs.extend((12..24).map(queue));
    kit.shutdown(PATIENCE).unwrap();
    jobs
}

/// What became of a store whose file was changed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Met {
    refused: usize,
    whole: usize,
    harmed: usize,
}

impl Met {
    /// Opens the store, runs its jobs, and holds what they show against what they are.
    fn look<S: QueueStore>(
        &mut self,
        opened: Result<S, StoreError>,
        jobs: &[(Receipt<Work>, String)],
        what: &str,
    ) {
        let store = match opened {
            Ok(store) => store,
            Err(error) => {
                assert!(error.is_damaged() || error.is_foreign(), "{what}: {error}");
                self.refused += 1;
                return;
            }
        };
        let kit = match start(store) {
            Ok(kit) => kit,
            Err(error) => {
                let cause = error.as_store().unwrap();
                assert!(cause.is_damaged(), "{what}: {error}");
                self.refused += 1;
                return;
            }
        };
        let mut harmed = kit.drain("default").is_err();
        for (receipt, label) in jobs {
            match kit.completed(receipt) {
                Ok(Some(done)) => {
                    assert_eq!(done.job().unwrap().label, *label, "{what}");
                    assert_eq!(done.output().unwrap(), &format!("{label} done"), "{what}");
                }
                // Parked, with the reason.
                Ok(None) => harmed = true,
                Err(error) => {
                    assert!(
                        error.is_damaged() || error.as_store().is_some(),
                        "{what}: {error}"
                    );
                    harmed = true;
                }
            }
        }
        let _ = kit.shutdown(PATIENCE);
        if harmed {
            self.harmed += 1;
        } else {
            self.whole += 1;
        }
    }
}

/// For docs/reliability.md: `cargo test ... -- --nocapture`.
#[allow(clippy::print_stdout, reason = "the figures of the run")]
fn say(figures: std::fmt::Arguments<'_>) {
    println!("{figures}");
}

/// Four places of each block that holds anything.
fn bytes_to_change(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let blocks = bytes.chunks(BLOCK).enumerate();
    blocks.flat_map(|(number, block)| {
        let used: Vec<_> = (0..block.len()).filter(|&byte| block[byte] != 0).collect();
        let last = used.len().saturating_sub(1);
        let places = [0, last / 3, 2 * last / 3, last];
        let places = places
            .into_iter()
            .filter_map(move |place| used.get(place).copied());
        places.map(move |byte| number * BLOCK + byte)
    })
}

#[test]
fn of_a_file_with_any_block_changed_no_job_shows_what_is_not_its_own() {
    let Image { bytes, jobs } = image();
    let (_folder, path) = place();
    let mut met = Met::default();
    for byte in bytes_to_change(&bytes) {
        let mut changed = bytes.clone();
        changed[byte] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        met.look(RedbStore::open(&path), &jobs, &format!("byte {byte}"));
    }
    say(format_args!("redb, {} KiB: {met:?}", bytes.len() >> 10));
    assert!(
        met.refused > 0 && met.harmed > 0 && met.whole > 0,
        "{met:?}"
    );
}

#[cfg(feature = "sled")]
#[test]
fn of_a_sled_store_with_any_block_changed_no_job_shows_what_is_not_its_own() {
    use jobkeep::SledStore;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sled");
    let jobs = jobs(SledStore::open(&path).unwrap());
    let files = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().unwrap().is_file());
    let files: Vec<_> = files
        .map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap()))
        .collect();
    let restored = |but: &std::ffi::OsStr, instead: &[u8]| {
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir_all(path.join("blobs")).unwrap();
        for (name, bytes) in &files {
            let bytes = if name == but { instead } else { bytes };
            fs::write(path.join(name), bytes).unwrap();
        }
        SledStore::open(&path)
    };
    let mut met = Met::default();
    for (name, bytes) in &files {
        met.look(restored(name, bytes), &jobs, "nothing changed");
        for byte in bytes_to_change(bytes) {
            let mut changed = bytes.clone();
            changed[byte] ^= 0x10;
            let what = format!("{}, byte {byte}", name.display());
            met.look(restored(name, &changed), &jobs, &what);
        }
    }
    say(format_args!("sled, {} files: {met:?}", files.len()));
    assert!(met.refused > 0 && met.whole >= files.len(), "{met:?}");
}

#[test]
fn a_file_cut_off_at_any_block_is_refused_and_left_as_it_is() {
    let Image { bytes, .. } = image();
    let (folder, path) = place();
    for length in (BLOCK..bytes.len()).step_by(BLOCK) {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = RedbStore::open(&path).unwrap_err();
        assert!(error.is_damaged(), "{length} bytes: {error}");
        assert!(
            fs::read(&path).unwrap() == bytes[..length],
            "{length} bytes"
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// The file stayed open without a name: jobs were accepted into it, and gone with the process.
#[test]
fn nothing_is_accepted_into_a_file_that_was_deleted() {
    let (_folder, path) = place();
    let kit = start(RedbStore::open(&path).unwrap()).unwrap();
    kit.enqueue(work("a")).unwrap();
    fs::remove_file(&path).unwrap();
    let error = kit.enqueue(work("b")).unwrap_err();
    let said = error.to_string().replace(path.to_str().unwrap(), "PATH");
    assert_eq!(
        said,
        "enqueue job `work`: write commit 3 of PATH: the file is not at its path any more, deleted or \
         moved away: put it or a copy back, and start again"
    );
    assert!(matches!(kit.health(), Health::Poisoned { .. }));
    assert!(!path.exists(), "no empty store in its place");
}

#[cfg(feature = "sled")]
#[test]
fn nothing_is_accepted_into_a_folder_that_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sled");
    let store = jobkeep::SledStore::open(&path).unwrap();
    let manager = succeeding(Manager::builder(store)).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let error = manager.enqueue(work("b")).unwrap_err();
    assert!(error.as_store().is_some(), "{error}");
    assert!(!path.exists(), "no empty store in its place");
}

#[test]
fn a_read_only_place_is_refused_with_what_to_do() {
    const FOLDER: &str = "JOBKEEP_TEST_READ_ONLY";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let error = RedbStore::open(Path::new(&folder).join("jobs.redb")).unwrap_err();
        let said = error.at("PATH").to_string();
        assert_eq!(
            said,
            "open the store of PATH: Read-only file system (os error 30): the process must be allowed \
             to write the file and its directory"
        );
        return;
    }
    let (folder, path) = place();
    let kit = start(RedbStore::open(&path).unwrap()).unwrap();
    kit.shutdown(PATIENCE).unwrap();
    // A file system of its own, which only root may have: elsewhere this test says nothing.
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" || exit 77; \
                  exec \"$1\" --exact disk::a_read_only_place_is_refused_with_what_to_do";
    let run = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output();
    let Ok(run) = run else { return };
    let said = String::from_utf8_lossy(&run.stdout);
    if said.is_empty() {
        // Not allowed here.
        return;
    }
    assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
}
