//! For this project's own tests: jobs that other hosts run, without a network. It promises nothing to
//! anybody else.

use std::sync::Arc;

use crate::Queue;
pub use crate::carry::{Answer, Call, Carried, Carry, End, OnUnknown, RETURN_GRACE, Refusal};

/// The queue in push mode.
pub fn through(queue: Queue, carrier: Arc<dyn Carry>) -> Queue {
    queue.push_through(carrier)
}

/// What becomes of the queue's jobs whose calls are lost.
pub fn on_unknown(queue: Queue, policy: OnUnknown) -> Queue {
    queue.on_unknown(policy)
}
