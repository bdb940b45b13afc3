use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::StoreError;

/// The pause after the first try that found another owner; each is twice as long as the one before it.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Opens a store that another owner may still have: tries again until that one has let go, for
/// `patience` at most. No lock of an operating system can be waited for with a limit, so this looks,
/// ten times a second at last. For implementations of stores.
///
/// # Errors
/// What the last try said: [`is_in_use`](StoreError::is_in_use) where the patience has run out.
pub fn open_patiently<T>(
    patience: Duration,
    mut open: impl FnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let (mut left, mut pause) = (patience, FIRST_PAUSE);
    loop {
        match open() {
            Err(cause) if cause.is_in_use() && !left.is_zero() => {}
            opened => return opened,
        }
        let now = pause.min(left);
        wait(now);
        left = left.saturating_sub(now);
        pause = LONGEST_PAUSE.min(2 * pause);
    }
}

fn wait(pause: Duration) {
    let nobody = Mutex::new(());
    let guard = nobody.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody wakes it.
    let _ = Condvar::new().wait_timeout_while(guard, pause, |()| true);
}
