//! One job on a thread that is none of the pool's: a test's.

use std::thread;

use jobkeep_store::{JobNumber, OpeningTag};

use super::command::Command;
use super::inbox::{Haste, WhenFull};
use super::pool::Pool;
use super::shared::Shared;
use super::{execute, panics};
use crate::Error;
use crate::sync::Arc;

/// Runs the next job of a pool on the present thread; `None` where none is ready.
///
/// 1. The thread counts as a free worker, so that the committer's turn claims a job for it.
/// 2. The claim is durable: the job is taken off the shelf and run as by any worker.
/// 3. Its end is reported while the thread still counts as busy: this turn claims nothing.
/// 4. The answer to a question behind the report says that the end is durable. The thread is given
///    back, and nothing is on the shelf. The committer looks once more, since the queue may rest now.
///
/// A store that refuses has such questions answered all the same: then nothing is claimed, or an end
/// is kept until it can be written.
pub(crate) fn run_next(shared: &Arc<Shared>, pool: &Pool) -> Result<Option<JobNumber>, Error> {
    let act = format!("run the next job of queue `{}`", pool.queue);
    let turn = || {
        let count = |reply| Command::Count { reply };
        shared.inbox.ask(&act, WhenFull::Wait, count)?;
        shared.inbox.check_takes_jobs(&act)
    };
    let mut lent = Lent::new(shared, pool);
    turn()?;
    let name: Arc<str> = thread::current().name().unwrap_or_default().into();
    let Some((handed, running)) = pool.try_next(&name, &shared.clock) else {
        return Ok(None);
    };
    let number = handed.order.number;
    lent.job = Some(number);
    let command = execute::execute(shared, handed, &running);
    // Where nobody reads it any more, the turn says why.
    drop(shared.inbox.report(command, Haste::Soon));
    let recorded = turn();
    drop(lent);
    match recorded {
        Err(error) if error.is_shut_down() => outlive(shared, number, &act)?,
        recorded => recorded?,
    }
    Ok(Some(number))
}

/// The manager was shut down during the job, by the job itself perhaps: its last word tells whether
/// the job's end is in the store.
fn outlive(shared: &Shared, job: JobNumber, act: &str) -> Result<(), Error> {
    let ended = shared.ending.wait(&shared.clock, None);
    let report = ended.unwrap_or_default();
    let runs = report
        .still_running
        .iter()
        .any(|running| running.job == job);
    if runs || report.unrecorded.contains(&job) {
        return Err(shared.inbox.refusal(&act));
    }
    Ok(())
}

/// The present thread as a worker, until this is dropped.
struct Lent<'a> {
    shared: &'a Shared,
    pool: &'a Pool,
    owner: Option<OpeningTag>,
    job: Option<JobNumber>,
}

impl<'a> Lent<'a> {
    fn new(shared: &'a Shared, pool: &'a Pool) -> Self {
        pool.lend();
        Self {
            shared,
            pool,
            owner: panics::lend_this_thread(Some(shared.origin.opening)),
            job: None,
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.job {
            let done = self.pool.done(job);
            if done.was_stuck {
                self.shared.has_returned(job);
            }
        }
        panics::lend_this_thread(self.owner);
        let stops = self.pool.give_back();
        // Who waits until the queue rests is told at the committer's next look.
        if stops || self.job.is_some() {
            self.shared.inbox.nudge();
        }
    }
}
