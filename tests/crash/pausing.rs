//! A queue that is paused and resumed all the time, and what the ledger says of it.

use std::sync::mpsc::channel;
use std::time::Duration;

use jobkeep::{Error, Manager};

use crate::life::{Home, lines};
use crate::trace::Trace;
use crate::work::{Lines, PAUSED};

/// The pause was acknowledged, and nobody has begun to end it.
const PAUSE: &str = "paused ";
const RESUME: &str = "resuming ";

/// A job that is held until the kill would be waited for in vain.
const PATIENCE: Duration = Duration::from_millis(200);

/// Time that passes in a process that will be killed.
pub(crate) fn rest(time: Duration) {
    let (_nobody, speaks) = channel::<()>();
    let _ = speaks.recv_timeout(time);
}

/// What the ledger says of the queue, line by line.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    pub(crate) acknowledged: usize,
    pub(crate) holds: bool,
}

impl Pauses {
    /// Says whether the line is about the queue.
    pub(crate) fn take(&mut self, line: &str) -> bool {
        if line.starts_with(PAUSE) {
            (self.acknowledged, self.holds) = (self.acknowledged + 1, true);
        } else if line.starts_with(RESUME) {
            self.holds = false;
        } else {
            return false;
        }
        true
    }
}

/// What was acknowledged before this opening is there: called before anything else may pause.
pub(crate) fn pause_holds(home: &Home, manager: &Manager) {
    let mut pauses = Pauses::default();
    for line in lines(&home.ledger()) {
        pauses.take(&line);
    }
    let found = manager.paused().unwrap();
    assert!(
        !pauses.holds || found == [PAUSED],
        "the pause of an earlier life is gone: {found:?}"
    );
}

pub(crate) fn resume(manager: &Manager, ledger: &Lines, life: u32) -> Result<(), Error> {
    ledger.add(&format!("{RESUME}{life}\n"));
    manager.resume(PAUSED)
}

/// Pauses and resumes until the manager ends.
pub(crate) fn pause_and_resume(
    manager: &Manager,
    ledger: &Lines,
    life: u32,
    trace: &Trace,
) -> Result<(), Error> {
    // As an earlier life has left it.
    rest(Duration::from_millis(5));
    loop {
        trace.say("resume begin");
        resume(manager, ledger, life)?;
        rest(Duration::from_millis(5));
        match manager.pause_and_wait(PAUSED, PATIENCE) {
            Ok(()) => ledger.add(&format!("{PAUSE}{life}\n")),
            Err(error) if error.is_timed_out() => continue,
            Err(error) => return Err(error),
        }
        trace.say("pause end");
        rest(Duration::from_millis(5));
    }
}
