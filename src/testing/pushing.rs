//! For this project's own tests: jobs that other hosts run, without a network. It promises nothing to
//! anybody else.

use std::sync::Arc;

pub use crate::carry::{
    Answer, Call, Carried, Carry, End, Foreign, OnUnknown, RETURN_GRACE, Refusal, Refused,
};
use crate::{Builder, Manager, Queue};

/// The queue in push mode.
pub fn through(queue: Queue, carrier: Arc<dyn Carry>) -> Queue {
    queue.push_through(carrier)
}

/// What becomes of the queue's jobs whose calls are lost.
pub fn on_unknown(queue: Queue, policy: OnUnknown) -> Queue {
    queue.on_unknown(policy)
}

/// So many jobs of other hosts run at once.
pub fn executors(builder: Builder, threads: usize) -> Builder {
    builder.executors(threads)
}

/// Runs a job of another host.
///
/// # Errors
/// Why it is not begun.
pub fn execute(
    manager: &Manager,
    foreign: Foreign,
    done: impl FnOnce(Answer) + Send + 'static,
) -> Result<(), Refused> {
    manager.shared().execute_now(foreign, done)
}
