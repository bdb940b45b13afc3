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

/// Each manager is measured so often, as a tenth of its rate is to be seen and machines are not that even.
const ROUNDS: u32 = 8;

/// What was found, of the jobs that run here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Jobs of the other queue.
    pub(crate) waiting: usize,
    pub(crate) beside_dead: Tally,
    pub(crate) alone: Tally,
}

/// Both managers are kept busy in turn, while the workers of the other one sleep.
pub(crate) fn run(folder: &Path, span: Duration) -> Result<Figures, Fault> {
    let builder = |file| {
        let store = RedbStore::open(folder.join(file))?;
        let builder = Manager::builder(store).register::<Nothing>();
        Ok::<_, Fault>(builder.queue(job::queue()))
    };
    let push = Push::new(format!("http://{}", nobody()?));
    let dead = Queue::new(DEAD).push_to(push);
    let one = builder("alone.redb")?.start()?;
    let other = builder("dead.redb")?.queue(dead).start()?;
    let mut alone = Ahead::new(&one, job::LOCAL);
    let mut beside_dead = Ahead::new(&other, job::LOCAL);
    turn(&one, &mut alone, span / 3)?;
    turn(&other, &mut beside_dead, span / 3)?;
    // Only now, so that the first calls, which are the most, are measured.
    for _ in 0..WAITING {
        beside_dead.create(DEAD)?;
    }
    let mut tallies = (Tally::default(), Tally::default());
    for _ in 0..ROUNDS {
        let before = turn(&one, &mut alone, span / (2 * ROUNDS))?;
        let here = turn(&other, &mut beside_dead, span / ROUNDS)?;
        let after = turn(&one, &mut alone, span / (2 * ROUNDS))?;
        tallies = (tallies.0.and(here), tallies.1.and(before).and(after));
    }
    let counts = other.counts()?;
    if counts.failed > 0 {
        return Err(format!("somebody was there: {counts:?}").into());
    }
    one.shutdown(Duration::from_secs(60))?;
    other.shutdown(Duration::from_secs(60))?;
    Ok(Figures {
        waiting: WAITING * BATCH,
        beside_dead: tallies.0,
        alone: tallies.1,
    })
}

/// One of the managers is busy for so long, and at rest before and after.
fn turn(manager: &Manager, ahead: &mut Ahead<'_>, span: Duration) -> Result<Tally, Fault> {
    manager.resume(job::LOCAL)?;
    let tally = ahead.feed(span)?;
    manager.pause_and_wait(job::LOCAL, Duration::from_secs(60))?;
    Ok(tally)
}

/// An address where nobody listens any more.
fn nobody() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
