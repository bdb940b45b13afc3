//! The clock of a manager goes on where that of its store stood.

use jobkeep_store::{Key, QueueStore, StoreError, get_typed};

use crate::clock::Clock;

/// The clock of a new opening. If what the store says of its clocks cannot be read, its steady one begins
/// anew with the wall clock: `verify` tells, and nothing is kept from starting.
pub(super) fn going_on(clock: &Clock, store: &dyn QueueStore) -> Result<Clock, StoreError> {
    let last = match get_typed(store, Key::CLOCKS) {
        Err(damage) if damage.is_damaged() => None,
        read => read?,
    };
    Ok(clock.going_on(last))
}
