//! Mounts through which no lock reaches: two owners of one store never both acknowledge.
#![cfg(all(target_os = "linux", feature = "redb"))]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use jobkeep::{Error, Health, Manager, Queue, QueueStore, Receipt, RedbStore, StoreError, verify};

use crate::mounts::mounted;
use crate::place::{Work, work};

/// How often two owners meet in full flight, each way.
const ROUNDS: usize = 5;

/// A view of the folder `base` at `mnt`.
const FUSE: &str = "bindfs base mnt";
const OVERLAY: &str = "mkdir lower work && mount -t overlay overlay -o \
                       lowerdir=lower,upperdir=base,workdir=work mnt";

fn start<S: QueueStore>(store: S) -> Manager {
    let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
    builder.start().unwrap()
}

fn displaced(manager: &Manager, error: &Error) {
    let cause = error.as_store().unwrap();
    assert!(cause.is_replaced() || cause.is_unknown(), "{error}");
    assert!(matches!(manager.health(), Health::Poisoned { .. }));
}

/// The second owner has the store, by whichever way it came, and the first finds out before it
/// acknowledges anything.
fn one_after_the_other<S: QueueStore>(
    (first, second): (PathBuf, PathBuf),
    open: impl Fn(&Path) -> Result<S, StoreError>,
) {
    let old = start(open(&first).unwrap());
    let mut kept = vec![old.enqueue(work("first")).unwrap()];
    let new = start(open(&second).unwrap());
    kept.push(new.enqueue(work("second")).unwrap());
    displaced(&old, &old.enqueue(work("of nobody")).unwrap_err());
    kept.push(new.enqueue(work("third")).unwrap());
    drop(old);
    kept.push(new.enqueue(work("fourth")).unwrap());
    new.shutdown(crate::place::PATIENCE).unwrap();
    all_are_there(&open(&second).unwrap(), &kept);
}

/// Both enqueue as fast as they can while the second opens.
fn at_once<S: QueueStore>(
    (first, second): (PathBuf, PathBuf),
    open: impl Fn(&Path) -> Result<S, StoreError>,
) {
    let old = start(open(&first).unwrap());
    let first_kept = old.enqueue(work("first")).unwrap();
    let opened = AtomicBool::new(false);
    let (mut kept, new) = thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let mut kept = vec![first_kept];
            // A second owner that was refused, because it saw the first one at work, is the other
            // good end.
            while !opened.load(Ordering::Relaxed) {
                match old.enqueue(work("old")) {
                    Ok(receipt) => kept.push(receipt),
                    Err(error) => {
                        displaced(&old, &error);
                        break;
                    }
                }
            }
            kept
        });
        let ending = Opened(&opened);
        let new = open(&second).map(|store| {
            let builder = Manager::builder(store).queue(Queue::new("default").workers(1));
            builder.start()
        });
        drop(ending);
        (busy.join().unwrap(), new)
    });
    match new {
        Ok(Err(late)) => {
            let cause = late.as_store().unwrap();
            assert!(cause.is_replaced() || cause.is_unknown(), "{late}");
            drop(old);
        }
        Ok(Ok(new)) => {
            let both: Vec<_> = (0..50)
                .map(|_| (old.enqueue(work("old")), new.enqueue(work("new"))))
                .collect();
            let (of_old, of_new): (Vec<_>, Vec<_>) = both.into_iter().unzip();
            let of_old: Vec<_> = of_old.into_iter().flatten().collect();
            let of_new: Vec<_> = of_new.into_iter().flatten().collect();
            assert!(of_old.is_empty() || of_new.is_empty());
            kept.extend(of_old.into_iter().chain(of_new));
            drop((old, new));
        }
        Err(refused) => {
            assert!(refused.is_in_use(), "{refused}");
            drop(old);
        }
    }
    all_are_there(&open(&first).unwrap(), &kept);
}

/// Whatever becomes of the second.
struct Opened<'a>(&'a AtomicBool);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn all_are_there(store: &impl QueueStore, kept: &[Receipt<Work>]) {
    let report = verify(store).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    for receipt in kept {
        let row = store
            .get(&jobkeep_store::Key::live(receipt.number()))
            .unwrap();
        assert!(row.is_some(), "{receipt:?}");
    }
}

fn redb(path: &Path) -> Result<RedbStore, StoreError> {
    RedbStore::open(path)
}

/// The store by way of the mount, and by the folder behind it.
fn ways(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (
        folder.join("mnt").join(name),
        folder.join("base").join(name),
    )
}

fn turned((one, other): (PathBuf, PathBuf)) -> (PathBuf, PathBuf) {
    (other, one)
}

/// All ways to meet, with redb; sled takes its mark when it is open, so that one owner in full flight may
/// get a commit in beside it, and only meets one that rests.
fn meet(folder: &Path) {
    one_after_the_other(ways(folder, "a.redb"), redb);
    one_after_the_other(turned(ways(folder, "b.redb")), redb);
    for n in 0..ROUNDS {
        at_once(ways(folder, &format!("c{n}.redb")), redb);
        at_once(turned(ways(folder, &format!("d{n}.redb"))), redb);
    }
    #[cfg(feature = "sled")]
    {
        let sled = |path: &Path| jobkeep::SledStore::open(path);
        one_after_the_other(ways(folder, "a.sled"), sled);
        one_after_the_other(turned(ways(folder, "b.sled")), sled);
    }
}

#[test]
fn an_owner_by_a_fuse_mount_and_one_behind_it_never_both_acknowledge() {
    let name = "grounds::an_owner_by_a_fuse_mount_and_one_behind_it_never_both_acknowledge";
    if let Some(folder) = mounted(name, FUSE) {
        meet(&folder);
    }
}

#[test]
fn an_owner_by_an_overlay_and_one_in_its_upper_folder_never_both_acknowledge() {
    let name = "grounds::an_owner_by_an_overlay_and_one_in_its_upper_folder_never_both_acknowledge";
    if let Some(folder) = mounted(name, OVERLAY) {
        meet(&folder);
    }
}
