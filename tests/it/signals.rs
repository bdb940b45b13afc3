//! A process that is told to end, as a whole: this binary starts itself, with the name of one test.

use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use fork::{Fork, fork, waitpid};
use jobkeep::{Builder, Manager, RedbStore};
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::place::{HOUR, PATIENCE, Work, succeeding, work};

/// The folder of the store, for the process that is told to end, and the seconds of its grace.
const FOLDER: &str = "JOBKEEP_TEST_SIGNALS";
const GRACE: &str = "JOBKEEP_TEST_SIGNALS_GRACE";

fn builder(folder: &Path) -> Builder {
    Manager::builder(RedbStore::open(folder.join("jobs.redb")).unwrap())
}

/// One job runs, until a line comes in. Then the process lives on.
fn live(folder: PathBuf) -> ! {
    let grace = std::env::var(GRACE).unwrap().parse().unwrap();
    let manager = builder(&folder)
        .handle::<Work>(|_, _| {
            let mut out = stdout();
            out.write_all(b"\nbegun\n").unwrap();
            out.flush().unwrap();
            stdin().lock().read_line(&mut String::new()).unwrap();
            Ok(String::new())
        })
        .end_on_signals(Duration::from_secs(grace))
        .start()
        .unwrap();
    if manager.recovery().waiting == 0 {
        manager.enqueue(work("a")).unwrap();
    }
    loop {
        std::thread::park();
    }
}

/// A process in which a job has begun.
struct Living(Child);

impl Living {
    fn start(test: &str, folder: &Path, grace: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads", "1"])
            .env(FOLDER, folder)
            .env(GRACE, grace.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.as_mut().unwrap());
        assert!(said.lines().any(|line| line.unwrap() == "begun"));
        Self(child)
    }

    fn tell(&self, signal: Signal) {
        let id = Pid::from_raw(self.0.id().try_into().unwrap());
        kill_process(id.unwrap(), signal).unwrap();
    }

    fn end_the_job(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    fn ended(mut self) -> ExitStatus {
        let mut rest = Vec::new();
        let said = self.0.stdout.as_mut().unwrap();
        said.read_to_end(&mut rest).unwrap();
        self.0.wait().unwrap()
    }
}

#[test]
fn a_process_that_is_told_to_end_lets_its_jobs_end_first() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        live(folder.into());
    }
    let name = "signals::a_process_that_is_told_to_end_lets_its_jobs_end_first";
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let mut living = Living::start(name, folder.path(), 3_600);
        living.tell(signal);
        living.end_the_job();
        assert_eq!(living.ended().signal(), Some(signal.as_raw()));
        let manager = builder(folder.path()).start().unwrap();
        assert_eq!(manager.recovery().interrupted, 0);
        assert_eq!(manager.counts().unwrap().succeeded, 1);
    }
}

#[test]
fn a_process_that_is_told_to_end_again_and_again_has_no_suspects() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        live(folder.into());
    }
    let name = "signals::a_process_that_is_told_to_end_again_and_again_has_no_suspects";
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let living = Living::start(name, folder.path(), 0);
        living.tell(Signal::TERM);
        assert_eq!(living.ended().signal(), Some(Signal::TERM.as_raw()));
    }
    let manager = succeeding(builder(folder.path())).start().unwrap();
    let recovery = manager.recovery();
    assert_eq!((recovery.interrupted, recovery.suspects), (1, 0));
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        live(folder.into());
    }
    let name = "signals::a_second_signal_ends_the_process_at_once";
    let folder = tempfile::tempdir().unwrap();
    let living = Living::start(name, folder.path(), HOUR.as_secs());
    living.tell(Signal::TERM);
    living.tell(Signal::INT);
    let ended = living.ended().signal().unwrap();
    assert!(
        [Signal::TERM, Signal::INT]
            .map(Signal::as_raw)
            .contains(&ended)
    );
    assert_eq!(
        builder(folder.path())
            .start()
            .unwrap()
            .recovery()
            .interrupted,
        1
    );
}

#[test]
fn a_forked_process_with_a_manager_of_its_own_ends_in_order_too() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return fork_and_tell(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "signals::a_forked_process_with_a_manager_of_its_own_ends_in_order_too";
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--test-threads", "1"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{ran:?}");
}

fn fork_and_tell(folder: &Path) {
    let start = |name| {
        let store = RedbStore::open(folder.join(name)).unwrap();
        let builder = Manager::builder(store).end_on_signals(PATIENCE);
        succeeding(builder).start().unwrap()
    };
    // Ended before the fork: what threads wait for in a parent, a child cannot make sense of.
    drop(start("parent.redb").shutdown(PATIENCE).unwrap());
    match fork().unwrap() {
        Fork::Child => {
            let own = start("child.redb");
            kill_process(getpid(), Signal::TERM).unwrap();
            std::thread::park_timeout(PATIENCE);
            drop(own);
            std::process::exit(1);
        }
        Fork::Parent(child) => {
            let status = ExitStatus::from_raw(waitpid(child).unwrap());
            assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
        }
    }
    let parents = start("parent.redb");
    let receipt = parents.enqueue(work("a")).unwrap();
    parents.wait(&receipt, PATIENCE).unwrap();
}
