//! One attempt of a job that another host runs: the call, and what its end makes of the attempt.

use std::time::Duration;

use jobkeep_store::{Attempt, AttemptEnd, Timestamp};

use super::execute::{fits, jitter_seed};
use super::outage::wait_alone;
use super::panics;
use super::pool::Pool;
use super::shared::Shared;
use crate::carry::{Call, Carried, End, LONGEST, Push, Refusal};
use crate::clock::Steady;
use crate::context::{Hand, LOG_LINE_BYTES, LOG_LINES, Running, cut};
use crate::core::Outcome;
use crate::job::Verdict;
use crate::retry;

/// Carries the job to an executor and waits for what becomes of it. The attempt is to end at the
/// deadline.
pub(super) fn carry(
    shared: &Shared,
    (pool, push): (&Pool, &Push),
    hand: &Hand,
    payload: &[u8],
    running: &Running,
    deadline: Steady,
) -> Outcome {
    let record = &hand.record;
    let began = shared.clock.now().steady;
    let call = Call {
        store: shared.origin.store,
        job: running.number,
        token: hand.token,
        name: &record.name,
        codec: record.codec,
        payload,
        attempt: record.attempts.saturating_add(1),
        deadline_ms: retry::millis(deadline.since(began)),
    };
    let carried = panics::catch(|| push.carrier.carry(&call));
    let carried = carried.unwrap_or_else(|panics::Caught { message, location }| Carried::Unknown {
        why: format!("its carrier panicked at {location}: {message}"),
    });
    let (now, seed) = (shared.clock.now(), jitter_seed(shared, call.job));
    match carried {
        Carried::NotStarted {
            refusal,
            retry_after,
            why,
        } => {
            let retry_after = retry_after.map(|wait| wait.min(LONGEST));
            let wait = match refusal {
                Refusal::OfAll => pool.refused(began, now.steady, retry_after, seed),
                Refusal::OfThisJob => wait_alone(refused_for(&record.history, now.wall), seed)
                    .max(retry_after.unwrap_or_default()),
            };
            Outcome::NotStarted { wait, why }
        }
        Carried::Answered(answer) => {
            pool.answered();
            *running.log.lock() = bounded(answer.log);
            // The next host, or the one that takes its place, may know the type as it is today.
            if let End::Undecodable(message) = answer.end {
                let wait = wait_alone(refused_for(&record.history, now.wall), seed);
                let why = format!("its payload does not decode there: {message}");
                return Outcome::NotStarted { wait, why };
            }
            outcome(shared, answer.left, answer.end, payload)
        }
        Carried::Unknown { why } => {
            // Executors that are all gone behind a balancer look like this, and take no call either.
            pool.refused(began, now.steady, None, seed);
            unknown(pool, why, deadline)
        }
    }
}

/// Since when a job of this history has been refused again and again.
fn refused_for(history: &[Attempt], now: Timestamp) -> Duration {
    let refused = history.first();
    let refused = refused.filter(|last| matches!(last.end, AttemptEnd::NotStarted(_)));
    refused.map_or(Duration::ZERO, |first| now.since(first.started))
}

/// Nobody knows what became of a call, which ends at the deadline if it still runs.
pub(super) fn unknown(pool: &Pool, why: String, deadline: Steady) -> Outcome {
    Outcome::Unknown {
        why,
        deadline,
        policy: pool.on_unknown,
    }
}

/// What an executor says, within the limits of this store.
fn outcome(shared: &Shared, left: Option<Vec<u8>>, end: End, payload: &[u8]) -> Outcome {
    let config = &shared.config;
    let left = left.map(|bytes| fits("job", bytes, "payload", config.payload_limit));
    let (left, too_large) = match left.transpose() {
        Ok(left) => (left, None),
        Err(text) => (None, Some(text)),
    };
    let failed = |verdict, chain| Outcome::Failed {
        left: left.clone(),
        verdict,
        chain,
    };
    if let Some(text) = too_large {
        // The next attempt would begin from a value that this one has left behind.
        return failed(Verdict::Permanent, vec![text]);
    }
    match end {
        End::Succeeded(output) => match fits("output", output, "output", config.output_limit) {
            Ok(output) => Outcome::Succeeded {
                left: left.unwrap_or_else(|| payload.to_vec()),
                output,
            },
            Err(text) => failed(Verdict::Permanent, vec![text]),
        },
        End::Failed { chain, retry_after } => {
            let verdict = retry_after.map_or(Verdict::Retry, Verdict::RetryAfter);
            failed(verdict, chain)
        }
        End::Permanent(chain) => failed(Verdict::Permanent, chain),
        End::Cancelled(chain) => failed(Verdict::Cancel, chain),
        End::Snoozed(delay) => failed(Verdict::Snooze(delay), Vec::new()),
        End::Panicked { message, location } => Outcome::Panicked {
            message,
            location: cut(location, LOG_LINE_BYTES),
        },
        End::TimedOut(ms) => Outcome::TimedOut(ms),
        End::Undecodable(message) => Outcome::Undecodable(message),
    }
}

fn bounded(log: Vec<String>) -> Vec<String> {
    let lines = log.into_iter().take(LOG_LINES);
    lines.map(|line| cut(line, LOG_LINE_BYTES)).collect()
}
