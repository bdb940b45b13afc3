//! A queue whose jobs run here, beside one that pushes to where nobody listens.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use jobkeep::http::Push;
use jobkeep::{Manager, Queue, RedbStore};

use crate::ahead::Ahead;
use crate::job::{self, Nothing};
use crate::traffic::Tally;
use crate::{BATCH, Fault};

const DEAD: &str = "dead";

/// As many batches wait for the host that is not there.
const WAITING: usize = 5;

/// What was found, of the jobs that run here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Jobs of the other queue.
    pub(crate) waiting: usize,
    pub(crate) beside_dead: Tally,
    pub(crate) alone: Tally,
}

/// Both managers are kept busy in turn: the one with a local queue only, half before and half after.
pub(crate) fn run(folder: &Path, span: Duration) -> Result<Figures, Fault> {
    let manager = Manager::builder(RedbStore::open(folder.join("alone.redb"))?)
        .register::<Nothing>()
        .queue(job::queue())
        .start()?;
    let mut ahead = Ahead::new(&manager, job::LOCAL);
    ahead.feed(span / 6)?;
    let before = ahead.feed(span / 2)?;
    let beside_dead = beside_dead(folder, span)?;
    ahead.feed(span / 6)?;
    let after = ahead.feed(span / 2)?;
    manager.shutdown(Duration::from_secs(60))?;
    Ok(Figures {
        waiting: WAITING * BATCH,
        beside_dead,
        alone: before.and(after),
    })
}

fn beside_dead(folder: &Path, span: Duration) -> Result<Tally, Fault> {
    let push = Push::new(format!("http://{}", nobody()?));
    let manager = Manager::builder(RedbStore::open(folder.join("dead.redb"))?)
        .register::<Nothing>()
        .queue(job::queue())
        .queue(Queue::new(DEAD).push_to(push))
        .start()?;
    let mut ahead = Ahead::new(&manager, job::LOCAL);
    ahead.feed(span / 3)?;
    // Only now, so that the first calls, which are the most, are measured.
    for _ in 0..WAITING {
        ahead.create(DEAD)?;
    }
    let tally = ahead.feed(span)?;
    let counts = manager.counts()?;
    if counts.failed > 0 {
        return Err(format!("somebody was there: {counts:?}").into());
    }
    manager.shutdown(Duration::from_secs(60))?;
    Ok(tally)
}

/// An address where nobody listens any more.
fn nobody() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
