//! A process that is forked from the one that has the manager: none of the manager's threads are in it.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{Enqueue, Error, Health, NewJob, Receipt, StateKind};

use crate::place::{HOUR, PATIENCE, Place, Work, one_worker, succeeding, work};

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn refused<T>(answer: Poll<Result<T, Error>>) -> Option<Error> {
    match answer {
        Poll::Ready(answer) => answer.err(),
        Poll::Pending => None,
    }
}

/// Whatever one can ask a manager for, in a process without its threads.
fn ask(manager: &jobkeep::Manager, receipt: &Receipt<Work>) -> Vec<(&'static str, Option<Error>)> {
    let queue: &dyn Enqueue = manager;
    vec![
        ("enqueue", manager.enqueue(work("b")).err()),
        ("try_enqueue", manager.try_enqueue(work("b")).err()),
        (
            "enqueue_all",
            manager.enqueue_all([work("b"), work("c")]).err(),
        ),
        ("submit", manager.submit(work("b")).wait().err()),
        ("submitted", refused(poll(manager.submit(work("b"))))),
        ("through the trait", queue.enqueue(work("b")).err()),
        ("status", manager.status(receipt).err()),
        ("completed", manager.completed(receipt).err()),
        ("wait", manager.wait(receipt, HOUR).err()),
        ("finished", refused(poll(manager.finished(receipt)))),
        ("cancel", manager.cancel(receipt).err()),
        ("retry", manager.retry(receipt).err()),
        ("remove", manager.remove(receipt).err()),
        ("counts", manager.counts().err()),
        ("jobs", manager.jobs(StateKind::Succeeded, None, 1).err()),
        ("pause", manager.pause("default").err()),
        (
            "pause_and_wait",
            manager.pause_and_wait("default", HOUR).err(),
        ),
        ("paused", manager.paused().err()),
        ("shutdown", manager.shutdown(HOUR).err()),
    ]
}

pub(crate) fn a_forked_process_is_refused_everything(place: &dyn Place) {
    let manager = succeeding(one_worker(place))
        .clock(ManualClock::new())
        .start()
        .unwrap();
    let receipt = manager.enqueue(NewJob::new(work("a")).delay(HOUR)).unwrap();
    let submitted = manager.submit(work("before"));
    let mut finishing = pin!(manager.finished(&receipt));
    manager.pretend_fork(true);
    for (call, error) in ask(&manager, &receipt) {
        let error = error.unwrap_or_else(|| panic!("{call} is not refused"));
        assert!(error.is_forked(), "{call}: {error}");
        assert!(
            error.to_string().contains("this process was forked"),
            "{error}"
        );
    }
    assert!(submitted.wait().unwrap_err().is_forked());
    let polled = finishing
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(refused(polled).unwrap().is_forked());
    let Health::Poisoned { cause, .. } = manager.health() else {
        panic!("{:?}", manager.health());
    };
    assert!(cause.contains("this process was forked"), "{cause}");
    // The one that has the threads goes on.
    manager.pretend_fork(false);
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Scheduled
    );
    manager.shutdown(PATIENCE).unwrap();
}

#[cfg(all(unix, feature = "redb"))]
mod forked {
    use std::process::exit;

    use fork::{Fork, fork, waitpid};
    use jobkeep::{Manager, RedbStore};

    use super::*;

    const FOLDER: &str = "JOBKEEP_TEST_FORKING";

    #[test]
    fn a_child_hangs_in_no_call_and_its_parent_goes_on() {
        if let Some(folder) = std::env::var_os(FOLDER) {
            return parent(std::path::Path::new(&folder));
        }
        let folder = tempfile::tempdir().unwrap();
        let ran = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "forking::forked::a_child_hangs_in_no_call_and_its_parent_goes_on",
            ])
            .args(["--test-threads", "1"])
            .env(FOLDER, folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{ran:?}");
    }

    fn parent(folder: &std::path::Path) {
        let store = RedbStore::open(folder.join("jobs.redb")).unwrap();
        let manager = succeeding(Manager::builder(store)).start().unwrap();
        let receipt = manager.enqueue(work("a")).unwrap();
        manager.wait(&receipt, PATIENCE).unwrap();
        match fork().unwrap() {
            Fork::Child => {
                let asked = ask(&manager, &receipt);
                let forked = |error: &Option<Error>| error.as_ref().is_some_and(Error::is_forked);
                let all = asked.iter().all(|(_, error)| forked(error));
                drop(manager);
                exit(i32::from(!all));
            }
            Fork::Parent(child) => assert_eq!(waitpid(child).unwrap(), 0),
        }
        let receipt = manager.enqueue(work("b")).unwrap();
        manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(
            manager
                .shutdown(Duration::from_secs(60))
                .unwrap()
                .unrecorded,
            []
        );
    }
}
