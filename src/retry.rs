use std::time::Duration;

use jobkeep_store::{Backoff, Priority};

/// What a job type says once for all its jobs: how often and how far apart they are tried, and where
/// they wait. Every method is `const`, so that it stands in [`Job::POLICY`](crate::Job::POLICY).
///
/// ```
/// use std::time::Duration;
/// use jobkeep::{Policy, Priority};
///
/// const POLICY: Policy = Policy::new()
///     .attempts(5)
///     .backoff(Duration::from_secs(10), Duration::from_secs(3600))
///     .queue("mail")
///     .priority(Priority::High);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
    pub(crate) queue: &'static str,
    pub(crate) priority: Priority,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) key_retention_ms: Option<u64>,
}

impl Policy {
    /// The defaults: 25 attempts, backoff from 1 second up to 24 hours, queue `default`, normal
    /// priority. An error at every attempt is then final after about four days on average, and
    /// after eight and a half at most.
    pub const fn new() -> Self {
        Self {
            attempts: 25,
            backoff: Backoff {
                base_ms: 1_000,
                cap_ms: 24 * 60 * 60 * 1_000,
            },
            queue: "default",
            priority: Priority::Normal,
            timeout_ms: None,
            key_retention_ms: None,
        }
    }

    /// How many attempts a job may have, the first included. The error of the last one is final.
    /// Zero counts as one.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The longest wait after the first attempt and after any attempt. Before the attempt after the
    /// n-th a job waits a random part of `min(base * 2^(n-1), cap)`, which is the *full jitter* of
    /// Marc Brooker's "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). Rounded up
    /// to milliseconds; a `base` of zero retries at once.
    pub const fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.backoff = backoff(base, cap);
        self
    }

    /// How long an attempt may take. By default [`Queue::timeout`](crate::Queue::timeout) applies, and
    /// without that there is no limit. Rounded up to milliseconds; zero disables the timeout, even if the
    /// queue sets one.
    ///
    /// When the time is over, [`Context::is_cancelled`](crate::Context::is_cancelled) says so to the
    /// job, and its attempt is settled as timed out: a failure that is tried again like others. What
    /// the job returns later counts for nothing. A thread cannot be stopped from outside: the next
    /// attempt does not start before the old thread has returned, and
    /// [`Manager::stuck`](crate::Manager::stuck) names it meanwhile. While the whole process is stopped or
    /// frozen, no attempt's time runs out.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(millis(timeout));
        self
    }

    /// How long a job holds its [idempotency key](crate::NewJob::key) after its end, where that is less
    /// than [`Builder::key_retention`](crate::Builder::key_retention) says for all. With zero it is
    /// released as soon as the job ends: one job of a key at a time, and again afterwards. Rounded up to milliseconds.
    pub const fn key_retention(mut self, age: Duration) -> Self {
        self.key_retention_ms = Some(millis(age));
        self
    }

    /// The queue of jobs that name none.
    pub const fn queue(mut self, queue: &'static str) -> Self {
        self.queue = queue;
        self
    }

    /// The priority of jobs that name none.
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

pub(crate) const fn backoff(base: Duration, cap: Duration) -> Backoff {
    Backoff {
        base_ms: millis(base),
        cap_ms: millis(cap),
    }
}

/// Rounded up, because zero means something of its own in most places, and at most as much as fits, which is
/// half a billion years.
#[expect(
    clippy::cast_possible_truncation,
    reason = "it is compared before; `try_from` is not const"
)]
pub(crate) const fn millis(span: Duration) -> u64 {
    let millis = span.as_nanos().div_ceil(1_000_000);
    if millis > u64::MAX as u128 {
        u64::MAX
    } else {
        millis as u64
    }
}

/// The wait after the `attempt`-th attempt: full jitter drawn from `seed`, so that the same seed
/// gives the same wait and the core needs no randomness.
pub(crate) fn delay(backoff: Backoff, attempt: u32, seed: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(63);
    let longest = backoff
        .base_ms
        .saturating_mul(1 << doublings)
        .min(backoff.cap_ms);
    let drawn = mix(seed ^ u64::from(attempt).rotate_left(32));
    // The high half of the product is `drawn / 2^64` of the range, without a modulo's bias.
    let wait = (u128::from(drawn) * (u128::from(longest) + 1)) >> 64;
    Duration::from_millis(u64::try_from(wait).unwrap_or(longest))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
/// Generators", 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base_ms: 1_000,
        cap_ms: 60_000,
    };

    #[test]
    fn a_wait_lies_between_zero_and_the_doubled_base_and_never_above_the_cap() {
        for seed in 0..2_000 {
            for attempt in 1..=80 {
                let longest = (1_000_u128 << (attempt - 1).min(63)).min(60_000);
                assert!(delay(BACKOFF, attempt, seed).as_millis() <= longest);
            }
        }
    }

    #[test]
    fn waits_of_different_jobs_fill_the_range_evenly() {
        let mut buckets = [0_u32; 8];
        for seed in 0..8_000 {
            let wait = delay(BACKOFF, 4, seed).as_millis();
            buckets[usize::try_from(wait / 1_001).unwrap()] += 1;
        }
        for count in buckets {
            assert!((850..1_150).contains(&count), "uneven: {buckets:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_wait() {
        assert_eq!(delay(BACKOFF, 3, 42), delay(BACKOFF, 3, 42));
        assert_ne!(delay(BACKOFF, 3, 42), delay(BACKOFF, 3, 43));
    }

    #[test]
    fn a_span_is_rounded_up_to_milliseconds_and_never_wraps() {
        for (span, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_micros(900), 1),
            (Duration::from_millis(1), 1),
            (Duration::from_nanos(1_000_001), 2),
            (Duration::from_secs(1 << 61), u64::MAX),
            (Duration::MAX, u64::MAX),
        ] {
            assert_eq!(millis(span), expected, "{span:?}");
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        let endless = Backoff {
            base_ms: u64::MAX,
            cap_ms: u64::MAX,
        };
        let _ = delay(endless, u32::MAX, u64::MAX);
        assert_eq!(
            delay(
                Backoff {
                    base_ms: 0,
                    cap_ms: 0
                },
                1,
                7
            ),
            Duration::ZERO
        );
    }
}
