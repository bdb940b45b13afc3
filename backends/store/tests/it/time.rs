use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
fn a_moment_reads_as_a_date_and_a_time_of_day() {
    let reads = |ms, text: &str| assert_eq!(Timestamp(ms).to_string(), text);
    reads(0, "1970-01-01T00:00:00.000Z");
    reads(1_000, "1970-01-01T00:00:01.000Z");
    reads(951_782_399_999, "2000-02-28T23:59:59.999Z");
    reads(951_782_400_000, "2000-02-29T00:00:00.000Z");
    reads(951_868_800_000, "2000-03-01T00:00:00.000Z");
    reads(978_307_199_999, "2000-12-31T23:59:59.999Z");
    reads(1_709_164_800_000, "2024-02-29T00:00:00.000Z");
    reads(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    reads(253_402_300_799_999, "9999-12-31T23:59:59.999Z");
    reads(253_402_300_800_000, "10000-01-01T00:00:00.000Z");
    assert_eq!(END.to_string(), "584556019-04-03T14:25:51.615Z");
}

/// A year of days is counted up, the calendar's own way, beside what a moment reads.
#[test]
fn every_day_of_four_centuries_reads_as_the_next_one() {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut month, mut day) = (1970, 1, 1);
    for days in 0..146_097 {
        let moment = Timestamp(days * 86_400_000).to_string();
        assert_eq!(moment, format!("{year}-{month:02}-{day:02}T00:00:00.000Z"));
        day += 1;
        let length = match month {
            2 if is_leap(year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if day > length {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
}

#[test]
fn a_moment_is_a_system_time_too() {
    let moment = UNIX_EPOCH + Duration::from_micros(1_000_999);
    assert_eq!(Timestamp::from(moment), MOMENT);
    assert_eq!(
        SystemTime::from(MOMENT),
        UNIX_EPOCH + Duration::from_secs(1)
    );
    assert_eq!(
        Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)),
        Timestamp(0)
    );
    assert!(SystemTime::from(END) > SystemTime::from(MOMENT));
}
