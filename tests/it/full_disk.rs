//! Real file systems that have no room left: small ones of a test's own, where it may mount them, and a
//! limit on the size of files, which everybody may set. Room is made later, as somebody would who is
//! woken up.
#![cfg(all(target_os = "linux", feature = "redb"))]

use std::path::Path;
use std::process::Command;

use jobkeep::{
    Builder, Health, Manager, Queue, QueueStore, Receipt, RedbStore, StoreError, verify,
};

use crate::mounts::{mounted, mounted_by};
use crate::place::{Door, PATIENCE, Work, succeeding, through, work};

const EXT4: &str = "truncate -s 64M image && mkfs.ext4 -q -m 0 image && mount -o loop image mnt";
const XFS: &str = "truncate -s 320M image && mkfs.xfs -q image && mount -o loop image mnt";
const BTRFS: &str = "truncate -s 128M image && mkfs.btrfs -q image && mount -o loop image mnt";
const TMPFS: &str = "mount -t tmpfs -o size=32m none mnt";
const OVERLAY: &str = "mount -t tmpfs -o size=32m none base && mkdir base/lower base/upper base/work && \
                       mount -t overlay overlay -o \
                       lowerdir=base/lower,upperdir=base/upper,workdir=base/work mnt";

fn shell(folder: &Path, script: &str) {
    let mut shell = Command::new("sh");
    let done = shell.args(["-c", script]).current_dir(folder).status();
    assert!(done.unwrap().success(), "{script}");
}

/// Leaves 8 MiB of the file system: others fill it.
fn fill(folder: &Path) {
    let script =
        "dd if=/dev/zero of=mnt/balloon bs=1M 2>/dev/null; truncate -s -8M mnt/balloon && sync";
    shell(folder, script);
}

fn fill_the_rest(folder: &Path) {
    shell(
        folder,
        "dd if=/dev/zero of=mnt/rest bs=4k 2>/dev/null; sync",
    );
}

fn make_room(folder: &Path) {
    shell(folder, "rm -f mnt/balloon mnt/rest && sync");
}

/// A store, by its name in a folder.
trait Ground: QueueStore + Sized {
    const NAME: &'static str;
    fn at(path: &Path) -> Result<Self, StoreError>;

    fn within(folder: &Path) -> Result<Self, StoreError> {
        Self::at(&folder.join("mnt").join(Self::NAME))
    }
}

impl Ground for RedbStore {
    const NAME: &'static str = "jobs.redb";
    fn at(path: &Path) -> Result<Self, StoreError> {
        Self::open(path)
    }
}

#[cfg(feature = "sled")]
impl Ground for jobkeep::SledStore {
    const NAME: &'static str = "jobs.sled";
    fn at(path: &Path) -> Result<Self, StoreError> {
        Self::open(path)
    }
}

fn builder(store: impl QueueStore) -> Builder {
    Manager::builder(store).queue(Queue::new("default").workers(1))
}

/// Enqueues until there is no room.
fn enqueue_all(manager: &Manager, accepted: &mut Vec<Receipt<Work>>) {
    let refused = loop {
        match manager.enqueue(work("x".repeat(100_000))) {
            Ok(receipt) => accepted.push(receipt),
            Err(error) => break error,
        }
    };
    assert!(refused.as_store().unwrap().is_full(), "{refused}");
    assert!(!refused.is_unknown());
    assert!(accepted.len() > 5, "{}", accepted.len());
    // Small writes may still find room; large ones do not.
    manager.enqueue(work("x".repeat(100_000))).unwrap_err();
    let health = manager.health();
    assert!(!matches!(health, Health::Poisoned { .. }), "{health}");
}

fn all_end(manager: &Manager, accepted: &[Receipt<Work>]) {
    for receipt in accepted {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        assert_eq!((done.attempts(), done.interruptions()), (1, 0));
    }
}

/// Refuses on a full disk, and goes on by itself once there is room.
fn goes_on<S: Ground>(
    folder: &Path,
    open: impl Fn(&Path) -> Result<S, StoreError>,
    fill: impl Fn(&Path),
    make_room: impl Fn(&Path),
) {
    let door = Door::new();
    let store = open(folder).unwrap();
    fill(folder);
    let manager = through(builder(store), &door).start().unwrap();
    let mut accepted = vec![manager.enqueue(work("running")).unwrap()];
    door.arrived();
    enqueue_all(&manager, &mut accepted);
    door.open(1);
    make_room(folder);
    door.open(accepted.len() - 1);
    all_end(&manager, &accepted);
    accepted.push(manager.enqueue(work("x".repeat(100_000))).unwrap());
    door.open(1);
    manager.shutdown(PATIENCE).unwrap();
    let manager = succeeding(builder(open(folder).unwrap())).start().unwrap();
    all_end(&manager, &accepted);
}

/// Who starts again on a full disk, as a supervisor does, is refused or works, and has all jobs with room
/// again.
fn restarts<S: Ground>(folder: &Path) {
    let store = S::within(folder).unwrap();
    fill(folder);
    let manager = builder(store).start().unwrap();
    let mut accepted = vec![manager.enqueue(work("first")).unwrap()];
    enqueue_all(&manager, &mut accepted);
    // As a process leaves it that is killed.
    shell(folder, &format!("cp -r mnt/{} killed", S::NAME));
    manager.shutdown(PATIENCE).unwrap();
    drop(manager);
    shell(
        folder,
        &format!("rm -r mnt/{0} && cp -r killed mnt/{0}", S::NAME),
    );
    fill_the_rest(folder);
    for _ in 0..3 {
        match S::within(folder).map(|store| builder(store).start()) {
            Ok(Ok(manager)) => drop(manager.shutdown(PATIENCE)),
            Ok(Err(refused)) => assert!(refused.as_store().unwrap().is_full(), "{refused}"),
            Err(refused) => assert!(refused.is_full(), "{refused}"),
        }
    }
    make_room(folder);
    let store = S::within(folder).unwrap();
    let report = verify(&store).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    let manager = succeeding(builder(store)).start().unwrap();
    for receipt in &accepted {
        manager.wait(receipt, PATIENCE).unwrap();
    }
}

/// There the room that the system names is not there to be had, so that sled fails half-way: it must not
/// hold anybody up.
#[cfg(feature = "sled")]
#[test]
fn on_btrfs_sled_stops_the_manager_and_nobody_hangs() {
    let name = "full_disk::on_btrfs_sled_stops_the_manager_and_nobody_hangs";
    let Some(folder) = mounted(name, BTRFS) else {
        return;
    };
    let store = jobkeep::SledStore::within(&folder).unwrap();
    fill(&folder);
    let manager = builder(store).start().unwrap();
    let refused = loop {
        if let Err(error) = manager.enqueue(work("x".repeat(100_000))) {
            break error;
        }
    };
    let cause = refused.as_store().unwrap();
    assert!(cause.is_full() || cause.is_unknown(), "{refused}");
    assert_ne!(manager.health(), Health::Working);
    manager.shutdown(PATIENCE).unwrap();
}

macro_rules! sled_too {
    (sled) => {
        #[cfg(feature = "sled")]
        #[test]
        fn sled_refuses_and_goes_on() {
            if let Some(folder) = folder("sled_refuses_and_goes_on") {
                goes_on(&folder, jobkeep::SledStore::within, fill, make_room);
            }
        }

        #[cfg(feature = "sled")]
        #[test]
        fn sled_is_whole_after_restarts() {
            if let Some(folder) = folder("sled_is_whole_after_restarts") {
                restarts::<jobkeep::SledStore>(&folder);
            }
        }
    };
}

macro_rules! grounds {
    ($($name:ident: $set_up:ident $($sled:ident)?;)+) => {$(
        mod $name {
            use super::*;

            fn folder(test: &str) -> Option<std::path::PathBuf> {
                let module = concat!("full_disk::", stringify!($name), "::");
                mounted(&format!("{module}{test}"), $set_up)
            }

            #[test]
            fn redb_refuses_and_goes_on() {
                if let Some(folder) = folder("redb_refuses_and_goes_on") {
                    goes_on(&folder, RedbStore::within, fill, make_room);
                }
            }

            #[test]
            fn redb_is_whole_after_restarts() {
                if let Some(folder) = folder("redb_is_whole_after_restarts") {
                    restarts::<RedbStore>(&folder);
                }
            }

            $(sled_too! { $sled })?
        }
    )+};
}

grounds! {
    on_ext4: EXT4 sled;
    on_xfs: XFS sled;
    on_btrfs: BTRFS;
    on_tmpfs: TMPFS sled;
    on_an_overlay: OVERLAY sled;
}

const LIMIT_BYTES: u64 = 8 << 20;

/// Runs the test where files have a limit. The signal that comes with the error would end the process.
fn limited(name: &str) -> Option<std::path::PathBuf> {
    let mut prlimit = Command::new("prlimit");
    prlimit.arg(format!("--fsize={LIMIT_BYTES}:unlimited"));
    mounted_by(&mut prlimit, name, "trap '' XFSZ")
}

fn lift_the_limit(_: &Path) {
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--fsize=unlimited", "--pid"]);
    let pid = std::process::id().to_string();
    assert!(prlimit.arg(pid).status().unwrap().success());
}

#[test]
fn beyond_the_size_of_a_file_jobs_are_refused_and_with_room_again_all_accepted_are_done() {
    let name = "full_disk::beyond_the_size_of_a_file_jobs_are_refused_and_with_room_again_all_accepted_are_done";
    if let Some(folder) = limited(name) {
        goes_on(&folder, RedbStore::within, |_| (), lift_the_limit);
    }
}

#[cfg(feature = "sled")]
#[test]
fn beyond_the_size_of_a_file_sled_refuses_and_goes_on() {
    if let Some(folder) = limited("full_disk::beyond_the_size_of_a_file_sled_refuses_and_goes_on") {
        goes_on(&folder, jobkeep::SledStore::within, |_| (), lift_the_limit);
    }
}
