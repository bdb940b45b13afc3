//! Tasks of async programs beside the committer.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use jobkeep_store::JobNumber;
use shuttle::future::block_on;
use shuttle::thread;

use super::whole::{EVER, Errand, Whole, enqueue};
use super::{clock, flip, linger};
use crate::runtime::asked::Asked;
use crate::runtime::attending::Attending;
use crate::runtime::command::{Command, Reply};
use crate::runtime::inbox::{Inbox, Intake, WhenFull};
use crate::runtime::shared::Shared;
use crate::runtime::waiters::Attendance;
use crate::runtime::waiters::Waiters;
use crate::sync::{Arc, Mutex};
use crate::{Error, MemoryStore};

fn leave(inbox: &Inbox) -> Asked<()> {
    let number = JobNumber(1);
    let cancel = |reply| Command::Cancel { number, reply };
    inbox.leave(&"ask", WhenFull::Wait, cancel).unwrap()
}

/// The committer, until the inbox is closed. It may drop what it took without an answer.
fn serve(inbox: &Inbox) {
    loop {
        let mut taken = inbox.take(None, None);
        for command in taken.commands.drain(..) {
            if let Command::Cancel { reply, .. } = command {
                reply.give(Ok(()));
            }
        }
        if matches!(taken.intake, Intake::Closed) {
            return;
        }
    }
}

/// Once by a waker that wakes nobody.
fn poll_in_vain<T>(poll: impl FnOnce(&Waker) -> Poll<T>) -> Option<T> {
    match poll(Waker::noop()) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

pub(super) fn a_task_finds_its_answers_beside_a_thread() {
    let (_, clock) = clock();
    let inbox = Inbox::new(16, JobNumber(1), &clock);
    thread::scope(|scope| {
        scope.spawn(|| serve(&inbox));
        scope.spawn(|| {
            thread::scope(|scope| {
                scope.spawn(|| leave(&inbox).wait(&"ask", &inbox).unwrap());
                scope.spawn(|| {
                    let mut waiting = vec![leave(&inbox), leave(&inbox)];
                    block_on(poll_fn(|context: &mut Context<'_>| {
                        waiting.retain_mut(|asked| {
                            match asked.poll(&"ask", &inbox, context.waker()) {
                                Poll::Ready(answer) => answer.is_err(),
                                Poll::Pending => true,
                            }
                        });
                        if waiting.is_empty() {
                            Poll::Ready(())
                        } else {
                            Poll::Pending
                        }
                    }));
                });
            });
            inbox.close();
        });
    });
}

pub(super) fn the_last_waker_of_a_future_is_called() {
    let (_, clock) = clock();
    let inbox = Inbox::new(16, JobNumber(1), &clock);
    thread::scope(|scope| {
        scope.spawn(|| serve(&inbox));
        scope.spawn(|| {
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mut asked = leave(&inbox);
                    let answer = poll_in_vain(|waker| asked.poll(&"ask", &inbox, waker));
                    let mut poll =
                        |context: &mut Context<'_>| asked.poll(&"ask", &inbox, context.waker());
                    answer
                        .unwrap_or_else(|| block_on(poll_fn(&mut poll)))
                        .unwrap();
                });
                scope.spawn(|| {
                    let mut asked = leave(&inbox);
                    poll_in_vain(|waker| asked.poll(&"ask", &inbox, waker));
                    // The bell may be ringing.
                    drop(asked);
                });
            });
            inbox.close();
        });
    });
}

pub(super) fn a_task_is_called_though_nobody_answers() {
    let (_, clock) = clock();
    let inbox = Inbox::new(16, JobNumber(1), &clock);
    thread::scope(|scope| {
        let mut asked = leave(&inbox);
        let inbox = &inbox;
        scope.spawn(move || {
            let poll = |context: &mut Context<'_>| asked.poll(&"ask", inbox, context.waker());
            assert!(block_on(poll_fn(poll)).unwrap_err().is_shut_down());
        });
        scope.spawn(|| {
            inbox.close();
            drop(inbox.take(None, None));
        });
    });
}

/// What a future that waits for the end of a job looks at.
#[derive(Debug, Default)]
struct Store {
    finished: bool,
    closed: bool,
}

/// As [`Attending`] is polled: `true` where the job has finished, or the last answer was left.
fn attend(waiters: &Waiters, store: &Mutex<Store>) -> bool {
    const JOB: JobNumber = JobNumber(1);
    let last = Reply::new();
    let Some(address) = waiters.leave_address(JOB, &last) else {
        return false;
    };
    let poll = |waker: &Waker| match waiters.attend(address, JOB, &last, waker) {
        Attendance::Wait => Poll::Pending,
        Attendance::Look(present) => {
            let store = store.lock();
            assert!(!store.closed, "the store is kept open for whoever looks");
            let finished = store.finished;
            drop(store);
            drop(present);
            if finished {
                waiters.strike_address(address);
                Poll::Ready(true)
            } else {
                Poll::Pending
            }
        }
        Attendance::LookOnce(present) => {
            let finished = store.lock().finished;
            drop(present);
            waiters.strike_address(address);
            Poll::Ready(finished)
        }
        Attendance::Over => Poll::Ready(last.take(&"wait").is_some()),
    };
    poll_in_vain(poll).unwrap_or_else(|| block_on(poll_fn(|context| poll(context.waker()))))
}

pub(super) fn a_task_sees_the_end_at_the_ring() {
    let (waiters, store) = (Waiters::default(), Mutex::<Store>::default());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert!(attend(&waiters, &store)));
        }
        scope.spawn(|| {
            store.lock().finished = true;
            waiters.ring(&[JobNumber(1)]);
        });
    });
}

pub(super) fn a_task_is_sent_away_whose_job_does_not_run() {
    let (waiters, store) = (Waiters::default(), Mutex::<Store>::default());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| attend(&waiters, &store));
        }
        scope.spawn(|| waiters.close_to([].into()));
    });
}

pub(super) fn a_task_finds_the_last_answer() {
    let (_, clock) = clock();
    let (waiters, store) = (Waiters::default(), Mutex::<Store>::default());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| attend(&waiters, &store));
        }
        scope.spawn(|| {
            if flip() {
                store.lock().finished = true;
                waiters.ring(&[JobNumber(1)]);
            }
            linger();
            waiters.dismiss(&clock, |_| Err(Error::shut_down("wait")));
            store.lock().closed = true;
        });
    });
}

/// In a task, after one poll in vain.
fn finish(shared: &Arc<Shared>, number: JobNumber) -> Result<(), Error> {
    let mut attending = Attending::new(shared, number)?;
    let answer = poll_in_vain(|waker| attending.poll(waker));
    let poll = |context: &mut Context<'_>| attending.poll(context.waker());
    let answer = answer.unwrap_or_else(|| block_on(poll_fn(poll)));
    answer.map(drop)
}

pub(super) fn each_task_is_told_of_its_job() {
    let run = |_: &mut Errand, _: &crate::Context| Ok(());
    Whole::new(1, MemoryStore::new()).beside(run, |shared, _| {
        let number = enqueue(shared).unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| finish(shared, number).unwrap());
            }
            scope.spawn(|| {
                // Nobody polls it again.
                let mut forgotten = Attending::new(shared, number).unwrap();
                poll_in_vain(|waker| forgotten.poll(waker));
            });
        });
        shared.shut_down(EVER);
    });
}

pub(super) fn a_task_is_told_at_the_end_of_all() {
    let run = |_: &mut Errand, _: &crate::Context| Ok(());
    Whole::new(1, MemoryStore::new()).beside(run, |shared, _| {
        let number = enqueue(shared).unwrap();
        let mut forgotten = Attending::new(shared, number).unwrap();
        poll_in_vain(|waker| forgotten.poll(waker));
        thread::scope(|scope| {
            scope.spawn(|| {
                if let Err(error) = finish(shared, number) {
                    assert!(error.is_shut_down());
                }
            });
            scope.spawn(|| shared.shut_down(EVER));
        });
    });
}
