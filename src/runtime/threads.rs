//! The threads of a manager, from their start to their end.

use std::thread::{Builder, JoinHandle};
#[cfg(all(unix, feature = "signals"))]
use std::time::Duration;

use jobkeep_store::JobNumber;

use super::command::Command;
use super::committer::Committer;
use super::pool::{Done, Pool};
use super::shared::Shared;
#[cfg(all(unix, feature = "signals"))]
use super::signals;
use super::start::ACT;
use super::{execute, foreign, panics};
use crate::core::Engine;
use crate::sync::Arc;
use crate::{Error, Observer};

/// Starts the threads of a manager. What was started is stopped again where a later one cannot be.
pub(super) fn start(
    shared: &Arc<Shared>,
    engine: Engine,
    observers: Vec<Box<dyn Observer>>,
) -> Result<(), Error> {
    let guard = HalfStarted(Some(shared));
    let started = shared.observers.start(observers);
    started.map_err(|cause| not_started("an observer's thread", &cause))?;
    let mut workers = Vec::new();
    for pool in &shared.pools {
        for place in 1..=pool.workers {
            let worker = start_worker(shared, pool, place, work);
            workers.push(worker.map_err(|cause| {
                let thread = format!("thread `{}`", worker_name(pool, place));
                not_started(&thread, &cause)
            })?);
        }
    }
    let executors = foreign::start(shared);
    executors.map_err(|cause| not_started("the threads of `Builder::executors`", &cause))?;
    let committer = Committer::new(engine, Arc::clone(shared));
    let manager = shared.origin.opening;
    let committer = Builder::new()
        .name("jobkeep-committer".into())
        .spawn(move || {
            panics::own_this_thread(manager);
            committer.run();
        })
        .map_err(|cause| not_started("thread `jobkeep-committer`", &cause))?;
    shared.ending.keep_threads(committer, workers);
    guard.disarm();
    #[cfg(all(unix, feature = "signals"))]
    if let Some(grace) = shared.config.signal_grace
        && let Err(cause) = signals::end_on_signals(shared, grace)
    {
        shared.shut_down(Duration::ZERO);
        return Err(not_started("thread `jobkeep-signals`", &cause));
    }
    Ok(())
}

fn not_started(thread: &str, cause: &std::io::Error) -> Error {
    Error::host(
        ACT,
        format_args!(
            "the system does not start {thread}: {cause}: allow the process more threads or memory, or \
             have queues with fewer workers"
        ),
    )
}

fn worker_name(pool: &Pool, place: usize) -> String {
    format!("{}-worker-{place}", pool.queue)
}

/// Starts a thread that stands in for a stuck one of the pool.
pub(super) fn start_substitute(
    shared: &Arc<Shared>,
    pool: &Arc<Pool>,
    place: usize,
) -> std::io::Result<JoinHandle<()>> {
    start_worker(shared, pool, place, |shared, pool| {
        if pool.stand_in() {
            // There is room that no turn has seen.
            shared.inbox.nudge();
            work(shared, pool);
        } else {
            end(shared, pool);
        }
    })
}

fn start_worker(
    shared: &Arc<Shared>,
    pool: &Arc<Pool>,
    place: usize,
    act: impl FnOnce(&Arc<Shared>, &Pool) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let (shared, pool) = (Arc::clone(shared), Arc::clone(pool));
    let name = worker_name(&pool, place);
    pool.thread_started();
    let ended = Arc::clone(&pool);
    let spawned = Builder::new().name(name).spawn(move || {
        panics::own_this_thread(shared.origin.opening);
        act(&shared, &pool);
    });
    if spawned.is_err() {
        ended.thread_ended();
    }
    spawned
}

/// A worker's thread: job after job, until the pool stops.
pub(super) fn work(shared: &Arc<Shared>, pool: &Pool) {
    let thread: Arc<str> = std::thread::current().name().unwrap_or_default().into();
    while let Some((handed, running)) = pool.next(&thread, &shared.clock) {
        let number = handed.order.number;
        let command = execute::execute(shared, handed, &running);
        if report(shared, pool, command, number).retires {
            break;
        }
    }
    end(shared, pool);
}

fn end(shared: &Shared, pool: &Pool) {
    pool.thread_ended();
    // The committer may be waiting for the last of us.
    shared.inbox.nudge();
}

/// A worker is done with its job, which ended like this.
pub(super) fn report(shared: &Shared, pool: &Pool, command: Command, number: JobNumber) -> Done {
    let done = pool.done(number);
    // Where nobody reads it any more, the committer's last word names the job.
    drop(shared.inbox.report(command, done.haste));
    if done.was_stuck {
        shared.has_returned(number);
    }
    done
}

/// Stops what was started, unless everything was.
struct HalfStarted<'a>(Option<&'a Shared>);

impl HalfStarted<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for HalfStarted<'_> {
    fn drop(&mut self) {
        let Some(shared) = self.0 else { return };
        shared.inbox.close();
        for pool in &shared.pools {
            drop(pool.stop());
        }
        shared.executors.halt();
        shared.observers.end();
        drop(shared.store.close_for(shared.origin.opening));
    }
}
