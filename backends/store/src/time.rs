use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment by the wall clock: milliseconds since the Unix epoch.
///
/// It converts from and into a [`SystemTime`], and reads as RFC 3339 has it:
///
/// ```
/// use std::time::SystemTime;
/// use jobkeep_store::Timestamp;
///
/// let moment = Timestamp(1_795_911_470_521);
/// assert_eq!(moment.to_string(), "2026-11-29T00:17:50.521Z");
/// assert_eq!(Timestamp::from(SystemTime::from(moment)), moment);
/// ```
///
/// There is no `now` here: stores and records receive their times.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment `span` later; the end of time instead of an overflow.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// The moment `span` earlier; the epoch instead of an underflow.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// The time from `earlier` to this moment; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The epoch, for a moment before it. Rounded down to milliseconds.
impl From<SystemTime> for Timestamp {
    fn from(moment: SystemTime) -> Self {
        Self::default().after(moment.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// The end of the year 9999, for a moment that the system's time does not reach.
impl From<Timestamp> for SystemTime {
    fn from(moment: Timestamp) -> Self {
        const LAST: Duration = Duration::from_millis(253_402_300_799_999);
        let reached = UNIX_EPOCH.checked_add(Duration::from_millis(moment.0));
        reached.unwrap_or(UNIX_EPOCH + LAST)
    }
}

/// In UTC, to the millisecond. A year beyond 9999 has the digits that it needs.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, of_day) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = date(days);
        let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

/// The date so many days after the epoch. Years are counted from the first of March, so that a leap
/// day is the last of its year, and in eras of 400 years, which all have the same days.
fn date(days: u64) -> (u64, u64, u64) {
    const TO_THE_EPOCH: u64 = 719_468;
    const ERA: u64 = 146_097;
    let days = days + TO_THE_EPOCH;
    let (era, of_era) = (days / ERA, days % ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let since_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * since_march + 2) / 5 + 1;
    let (month, next) = match since_march {
        0..10 => (since_march + 3, 0),
        _ => (since_march - 9, 1),
    };
    (era * 400 + year + next, month, day)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
