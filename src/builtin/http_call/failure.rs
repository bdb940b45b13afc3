//! Why a call failed, in words without secrets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::Error;
use ureq::http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use crate::clock::Now;

/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How a call failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another attempt may do.
    Passing(String),
    /// It would fail again.
    Lasting(String),
    /// Another attempt may do, after so long.
    Later(Duration, String),
}

impl Failure {
    /// A status that is no success.
    pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, now: Now) -> Self {
        let text = match status.canonical_reason() {
            Some(reason) => format!("it answered {} {reason}", status.as_u16()),
            None => format!("it answered {}", status.as_u16()),
        };
        if !status.is_server_error() && !matches!(status.as_u16(), 408 | 425 | 429) {
            return Self::Lasting(text);
        }
        match retry_after(headers, now) {
            Some(wait) => Self::Later(wait, text),
            None => Self::Passing(text),
        }
    }

    /// What ureq says. Its own texts may hold URLs and headers, so that only those without are taken over.
    pub(super) fn of_call(cause: Error, timeout_ms: u64) -> Self {
        let text = match cause {
            // The guard's.
            Error::Other(cause) => return Self::Lasting(cause.to_string()),
            Error::Timeout(_) => format!("no answer within its time-out of {timeout_ms} ms"),
            Error::Io(cause) => cause.to_string(),
            Error::Rustls(cause) => cause.to_string(),
            Error::Tls(cause) => cause.into(),
            Error::HostNotFound => "its host was not found".into(),
            Error::LargeResponseHeader(..) => "the headers of its answer are too large".into(),
            Error::Protocol(_) => "its answer cannot be read as HTTP/1.1".into(),
            _ => "it could not be sent".into(),
        };
        Self::Passing(text)
    }
}

/// How long the answer asks to wait: in seconds, or until a date.
fn retry_after(headers: &HeaderMap, now: Now) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date: SystemTime = httpdate::parse_http_date(value).ok()?;
        let now = UNIX_EPOCH + Duration::from_millis(now.wall.0);
        date.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use jobkeep_store::Timestamp;

    use super::*;
    use crate::clock::Steady;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW_MS: u64 = 784_111_777_000;

    fn wait(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        let now = Now::new(Timestamp(NOW_MS), Steady::default());
        retry_after(&headers, now)
    }

    #[test]
    fn a_server_may_ask_for_seconds_or_a_date_and_for_a_day_at_most() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(wait("120"), seconds(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), seconds(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), seconds(0));
        assert_eq!(wait("99999999999"), seconds(86_400));
        assert_eq!(wait("Sat, 06 Nov 2094 08:49:37 GMT"), seconds(86_400));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }

    #[test]
    fn what_may_pass_is_tried_again_and_the_rest_is_not() {
        let of = |status| {
            Failure::of_status(
                StatusCode::from_u16(status).unwrap(),
                &HeaderMap::new(),
                Now::default(),
            )
        };
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(of(status), Failure::Passing(_)), "{status}");
        }
        for status in [300, 304, 305, 400, 401, 403, 404, 409, 410, 422, 451] {
            assert!(matches!(of(status), Failure::Lasting(_)), "{status}");
        }
    }
}
