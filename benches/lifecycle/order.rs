//! The job of the bench: some 150 bytes of JSON that nothing is done with.

use jobkeep::Job;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) number: u64,
    /// When its `enqueue` was called, in nanoseconds since the bench began.
    pub(crate) called_ns: u64,
    customer: String,
    note: String,
}

impl Job for Order {
    const NAME: &'static str = "order";
    type Output = ();
}

impl Order {
    pub(crate) fn new(number: u64, called_ns: u64) -> Self {
        Self {
            number,
            called_ns,
            customer: "ada.lovelace@example.org".into(),
            note: "deliver to the back door, ring twice, mind the dog".into(),
        }
    }
}
