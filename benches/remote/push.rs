//! A queue that another host runs, beside the same requests without a queue.

use std::path::Path;
use std::time::Duration;

use jobkeep::http::Push;
use jobkeep::{Manager, Queue, RedbStore};

use crate::Fault;
use crate::ahead::Ahead;
use crate::host::Host;
use crate::job;
use crate::traffic::{self, Requests, Tally};

const QUEUE: &str = "push";

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Jobs that finished.
    pub(crate) pushed: Tally,
    /// The requests alone, to the host.
    pub(crate) bare: Tally,
    /// The same, to the plain handler.
    pub(crate) plain: Tally,
}

/// Pushes jobs to the host, so many at once. What is beside it is measured half before and half after.
pub(crate) fn run(
    host: &Host,
    folder: &Path,
    in_flight: usize,
    span: Duration,
) -> Result<Figures, Fault> {
    // A host runs no job twice at once, so each connection has one of its own.
    let executes = (0..in_flight).map(|place| {
        let body = job::execute(100_000 + place as u64)?;
        Ok(Requests::post(&host.jobs, "/v1/execute", &body))
    });
    let executes: Vec<_> = executes.collect::<Result<_, Fault>>()?;
    host.have_plain_answer(executes.first().ok_or("there is no request")?)?;
    let plain = Requests::post(&host.plain, "/execute", &job::execute(100_000)?);

    let plain_before = plain.run(in_flight, span / 2)?;
    let bare_before = traffic::apart(&executes, span / 2)?;
    let pushed = pushed(host, folder, in_flight, span)?;
    let bare_after = traffic::apart(&executes, span / 2)?;
    let plain_after = plain.run(in_flight, span / 2)?;
    Ok(Figures {
        pushed,
        bare: bare_before.and(bare_after),
        plain: plain_before.and(plain_after),
    })
}

fn pushed(host: &Host, folder: &Path, in_flight: usize, span: Duration) -> Result<Tally, Fault> {
    let push = Push::new(format!("http://{}", host.jobs));
    let manager = Manager::builder(RedbStore::open(folder.join("push.redb"))?)
        .queue(Queue::new(QUEUE).push_to(push).workers(in_flight))
        .start()?;
    let mut ahead = Ahead::new(&manager, QUEUE);
    ahead.feed(span / 3)?;
    let tally = ahead.feed(span)?;
    let counts = manager.counts()?;
    if counts.failed + counts.scheduled + counts.parked > 0 {
        return Err(format!("not every job has succeeded at once: {counts:?}").into());
    }
    manager.shutdown(Duration::from_secs(60))?;
    Ok(tally)
}
