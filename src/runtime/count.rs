//! Counters that do not wrap.

/// One less is counted. That there was one is an invariant of whoever counts, and tests fail if it does not
/// hold; elsewhere the count stays at zero, since a wrapped one would look like room without end.
#[track_caller]
pub(super) fn one_less(count: &mut usize) {
    debug_assert!(*count > 0, "a count falls below zero");
    *count = count.saturating_sub(1);
}
