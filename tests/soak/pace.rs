//! Time that passes: the load of a machine is made of it.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Rests that end early when a phase is over.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    over: Mutex<bool>,
    ended: Condvar,
}

impl Pace {
    /// For so long, or until the end: says whether it goes on.
    pub(crate) fn rest(&self, time: Duration) -> bool {
        let over = self.over.lock().unwrap();
        let (over, _) = self
            .ended
            .wait_timeout_while(over, time, |over| !*over)
            .unwrap();
        !*over
    }

    pub(crate) fn goes_on(&self) -> bool {
        !*self.over.lock().unwrap()
    }

    pub(crate) fn end(&self) {
        *self.over.lock().unwrap() = true;
        self.ended.notify_all();
    }
}
