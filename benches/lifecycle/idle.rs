//! A manager that has nothing to do: every job of it is due tomorrow.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jobkeep::{Manager, NewJob, Queue, QueueStore};

use crate::Fault;
use crate::ledger::Ledger;
use crate::machine;
use crate::options::StoreKind;
use crate::order::Order;
use crate::run::WORKERS;
use crate::store;
use crate::tasks::{Tasks, Used};
use crate::timed::Timed;

pub(crate) const JOBS: u64 = 100;

/// Until the threads have come to rest after the start.
const REST: Duration = Duration::from_secs(1);

/// What the idle manager used; `None` where the system does not tell.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) durability: String,
    pub(crate) used: Option<Used>,
    pub(crate) peak_rss_bytes: Option<u64>,
}

pub(crate) fn run(kind: StoreKind, span: Duration, place: &Path) -> Result<Figures, Fault> {
    let store = store::open(kind, &place.join("jobs"))?;
    let store = Timed::new(store, Arc::new(Ledger::new()));
    let durability = store.identity()?.durability.to_string();
    let manager = Manager::builder(store)
        .handle::<Order>(|_, _| Ok(()))
        .queue(Queue::new("default").workers(WORKERS))
        .start()?;
    let tomorrow = tomorrow();
    let orders = (0..JOBS).map(|number| NewJob::new(Order::new(number, 0)).run_at(tomorrow));
    manager.enqueue_all(orders)?;
    rest(REST);
    let before = Tasks::look();
    rest(span);
    let after = Tasks::look();
    let counts = manager.counts()?;
    if counts.scheduled != JOBS {
        return Err(format!("the jobs are not where they should be: {counts:?}").into());
    }
    manager.shutdown(Duration::ZERO)?;
    Ok(Figures {
        durability,
        used: after
            .zip(before)
            .map(|(after, before)| after.since(&before)),
        peak_rss_bytes: machine::peak_rss_bytes(),
    })
}

/// By the wall clock, which the manager has to look at now and then; a delay would be less to do.
#[expect(clippy::disallowed_methods, reason = "the bench asks for a moment")]
fn tomorrow() -> SystemTime {
    SystemTime::now() + Duration::from_secs(24 * 60 * 60)
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing is to happen meanwhile, so nobody would wake a waiter"
)]
fn rest(span: Duration) {
    std::thread::sleep(span);
}
