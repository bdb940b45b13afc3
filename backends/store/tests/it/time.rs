use std::time::Duration;

use jobkeep_store::Timestamp;

const MOMENT: Timestamp = Timestamp(1_000);
const END: Timestamp = Timestamp(u64::MAX);

#[test]
fn moments_move_by_spans() {
    let span = Duration::from_millis(300);
    assert_eq!(MOMENT.after(span), Timestamp(1_300));
    assert_eq!(MOMENT.before(span), Timestamp(700));
    assert_eq!(MOMENT.after(span).since(MOMENT), span);
    assert_eq!(MOMENT.after(Duration::from_micros(999)), MOMENT);
}

#[test]
fn the_end_of_time_stands_for_everything_later() {
    assert_eq!(MOMENT.after(Duration::MAX), END);
    assert_eq!(END.after(Duration::from_millis(1)), END);
    assert_eq!(MOMENT.after(Duration::from_millis(u64::MAX)), END);
}

#[test]
fn the_epoch_stands_for_everything_earlier() {
    assert_eq!(MOMENT.before(Duration::MAX), Timestamp(0));
    assert_eq!(MOMENT.before(Duration::from_millis(1_001)), Timestamp(0));
    assert_eq!(
        Timestamp::default().before(Duration::from_secs(1)),
        Timestamp(0)
    );
}

#[test]
fn no_time_passes_backwards() {
    assert_eq!(MOMENT.since(END), Duration::ZERO);
    assert_eq!(MOMENT.since(MOMENT), Duration::ZERO);
    assert_eq!(END.since(Timestamp(0)), Duration::from_millis(u64::MAX));
}

#[test]
fn a_moment_reads_in_milliseconds() {
    assert_eq!(MOMENT.to_string(), "1000 ms");
}
