//! One attempt, from the claim to its settlement: load, decode and run, classify, settle.

use std::time::Duration;

use jobkeep_store::{JobNumber, Kept, Key, Token};

use super::command::Command;
use super::panics;
use super::pool::Pool;
use super::push;
use super::read::may_pass;
use super::shared::{FindError, Shared};
use crate::carry::{self, Push};
use crate::clock::{Now, Steady};
use crate::context::{Context, Drafts, Hand, Limit, Running};
use crate::core::{self, Handed, Origins, Outcome, Run};
use crate::event::Event;
use crate::job::{JobError, Verdict};
use crate::registry::{Handler, Ran};
use crate::sync::Arc;

/// Runs a claimed job and says what is to be recorded.
pub(super) fn execute(shared: &Arc<Shared>, handed: Handed, running: &Arc<Running>) -> Command {
    let (number, token) = (handed.order.number, handed.token);
    let begun = begin(shared, handed, running);
    let ended = begun.and_then(|begun| end(shared, begun, running));
    ended.unwrap_or_else(|why| why.command(number, token))
}

/// Why a job did not begin, or cannot be settled.
pub(super) enum NotBegun {
    /// The store could not be opened anew yet.
    StoreClosed,
    Unreadable(String),
}

impl NotBegun {
    pub(super) fn command(self, number: JobNumber, token: Token) -> Command {
        match self {
            Self::StoreClosed => Command::NotBegun { number, token },
            Self::Unreadable(reason) => Command::Unreadable {
                number,
                token,
                reason,
            },
        }
    }
}

impl From<String> for NotBegun {
    fn from(reason: String) -> Self {
        Self::Unreadable(reason)
    }
}

/// Loads the job and starts its time.
pub(super) fn begin(
    shared: &Arc<Shared>,
    handed: Handed,
    running: &Arc<Running>,
) -> Result<Begun, NotBegun> {
    let loaded = load(shared, handed)?;
    let begun = shared.clock.now();
    let deadline = limit(shared, &loaded.hand, loaded.origins, running, begun);
    let thread: String = std::thread::current().name().unwrap_or_default().into();
    let record = &loaded.hand.record;
    shared.observe(false, || {
        Event::started(running.number, record, thread.clone(), begun)
    });
    Ok(Begun {
        loaded,
        began: begun,
        deadline,
        thread,
    })
}

/// Runs the job and settles it.
pub(super) fn end(
    shared: &Arc<Shared>,
    begun: Begun,
    running: &Arc<Running>,
) -> Result<Command, NotBegun> {
    let Begun {
        loaded,
        began,
        deadline,
        thread,
    } = begun;
    let Loaded {
        hand,
        payload,
        origins,
        by,
    } = loaded;
    let (number, token) = (running.number, hand.token);
    let (outcome, hand) = match by {
        By::Handler(handler) => run(shared, hand, &payload, &*handler, running),
        By::Carrier { pool, push } => {
            let deadline = deadline.unwrap_or_default();
            let outcome = push::carry(shared, (&pool, &push), &hand, &payload, running, deadline);
            (outcome, hand)
        }
    };
    let Hand {
        record,
        checkpoint,
        follow_ups,
        ..
    } = hand;
    let payload = checkpoint.unwrap_or(payload);
    let now = shared.clock.now();
    let store = shared.origin.store;
    let key = record
        .key
        .as_ref()
        .map(|key| core::key_hash(store, &record.name, key));
    let seed = jitter_seed(shared, number);
    let log = std::mem::take(&mut *running.log.lock());
    let run = Run {
        number,
        token,
        origins,
        record,
        payload,
        began,
        thread,
        log,
        observed: shared.observers.interest(),
    };
    let (outcome, follow_ups) = shared.follow_ups(outcome, follow_ups.drafts, &run, now, seed);
    let mut settlement = core::settle(run, outcome, now, seed, key)?;
    settlement.follow_ups = follow_ups;
    Ok(Command::Settle(Box::new(settlement)))
}

/// Sets the attempt's time-out, where it has one, and says when that is over. A carrier is given up a
/// little later.
fn limit(
    shared: &Shared,
    hand: &Hand,
    origins: Origins,
    running: &Arc<Running>,
    begun: Now,
) -> Option<Steady> {
    let pool = shared.pools.get(usize::from(origins.queue))?;
    let asked = hand.record.timeout_ms.or(pool.timeout_ms);
    let (timeout_ms, grace) = match &pool.push {
        Some(_) => (carry::timeout_ms(asked), carry::RETURN_GRACE),
        None => (asked.filter(|ms| *ms > 0)?, Duration::ZERO),
    };
    let end = begun.steady.after(Duration::from_millis(timeout_ms));
    let deadline = end.after(grace);
    let limit = Limit {
        began: begun,
        deadline,
        timeout_ms,
    };
    pool.limit(running, limit);
    shared.inbox.wake_by(deadline);
    Some(end)
}

/// An attempt between its beginning and its end.
pub(super) struct Begun {
    pub(super) loaded: Loaded,
    began: Now,
    /// When it is to end, where it has a time-out.
    deadline: Option<Steady>,
    thread: String,
}

/// A job in hand.
pub(super) struct Loaded {
    pub(super) hand: Hand,
    payload: Vec<u8>,
    origins: Origins,
    by: By,
}

/// What runs it.
enum By {
    Handler(Arc<dyn Handler>),
    /// Another host.
    Carrier {
        pool: Arc<Pool>,
        push: Push,
    },
}

fn load(shared: &Shared, handed: Handed) -> Result<Loaded, NotBegun> {
    let (number, token) = (handed.order.number, handed.token);
    let record = match handed.record {
        Some(record) => record,
        None => persist(shared, || shared.record(Key::live(number)))?
            .ok_or_else(|| format!("row {} is missing", Key::live(number)))?,
    };
    let mut record = record;
    let stored = record.state.clone();
    core::begin_attempt(&mut record).map_err(|illegal| illegal.to_string())?;
    let payload = match &mut record.payload {
        // Put back when the attempt is settled.
        Kept::Inline(bytes) => std::mem::take(bytes),
        apart @ Kept::Apart(_) => {
            let apart = &*apart;
            persist(shared, || shared.kept(apart, Key::body(number)))?
        }
    };
    let origins = shared
        .origins(record.queue.as_str(), &record.name)
        .ok_or_else(|| format!("queue `{}` is not declared", record.queue))?;
    let by = by(shared, origins, &record.name)?;
    let hand = Hand {
        token,
        record,
        stored,
        checkpoint: None,
        follow_ups: Drafts::default(),
    };
    Ok(Loaded {
        hand,
        payload,
        origins,
        by,
    })
}

fn by(shared: &Shared, origins: Origins, name: &str) -> Result<By, String> {
    let pool = shared.pools.get(usize::from(origins.queue));
    if let Some(pool) = pool
        && let Some(push) = pool.push.clone()
    {
        let pool = Arc::clone(pool);
        return Ok(By::Carrier { pool, push });
    }
    let handler = shared.registry.handler(name);
    let handler = handler.ok_or_else(|| format!("no handler is registered for `{name}`"))?;
    Ok(By::Handler(Arc::clone(handler)))
}

/// Reads what the attempt needs. A failure that passes must not park the job.
fn persist<T>(shared: &Shared, read: impl Fn() -> Result<T, FindError>) -> Result<T, NotBegun> {
    let passes = |cause: &FindError| matches!(cause, FindError::Store(cause) if may_pass(cause));
    let read = shared.persist(read, passes);
    read.map_err(|cause| match cause {
        FindError::Store(cause) if cause.is_closed() => NotBegun::StoreClosed,
        cause => NotBegun::Unreadable(cause.to_string()),
    })
}

fn run(
    shared: &Arc<Shared>,
    hand: Hand,
    payload: &[u8],
    handler: &dyn Handler,
    running: &Arc<Running>,
) -> (Outcome, Hand) {
    let codec = hand.record.codec;
    let context = Context::new(Arc::clone(running), Arc::clone(shared) as _, hand);
    // What an encoder, a decoder or an error of the job's throws is the job's panic too.
    let ran = panics::run_job(running.number, || {
        classify(shared, handler.run(codec, payload, &context))
    });
    let outcome = ran.unwrap_or_else(|panics::Caught { message, location }| Outcome::Panicked {
        message,
        location,
    });
    (outcome, context.into_hand())
}

/// Turns what the handler returned into an outcome that fits the store's limits.
pub(super) fn classify(shared: &Shared, ran: Ran) -> Outcome {
    let config = &shared.config;
    let (left, result) = match ran {
        Ran::Undecodable(message) => return Outcome::Undecodable(message),
        Ran::Ended { left, result } => (left, result),
    };
    let left = left.and_then(|bytes| fits("job", bytes, "payload", config.payload_limit));
    let output = match result {
        Ok(output) => output.and_then(|bytes| fits("output", bytes, "output", config.output_limit)),
        Err(error) => return failed(left, &error),
    };
    match (left, output) {
        (Ok(left), Ok(output)) => Outcome::Succeeded { left, output },
        // It would come out the same at every attempt.
        (left, Err(text)) => Outcome::Failed {
            left: left.ok(),
            verdict: Verdict::Permanent,
            chain: vec![text],
        },
        (Err(text), Ok(_)) => Outcome::Failed {
            left: None,
            verdict: Verdict::Permanent,
            chain: vec![text],
        },
    }
}

fn failed(left: Result<Vec<u8>, String>, error: &JobError) -> Outcome {
    match left {
        Ok(left) => Outcome::failed(left, error),
        // The next attempt would begin from a value that this one has left behind.
        Err(text) => {
            let chain = error.chain().into_iter().chain([text]).collect();
            let verdict = match error.verdict {
                Verdict::Cancel => Verdict::Cancel,
                _ => Verdict::Permanent,
            };
            Outcome::Failed {
                left: None,
                verdict,
                chain,
            }
        }
    }
}

pub(super) fn fits(
    what: &str,
    bytes: Vec<u8>,
    option: &str,
    limit: usize,
) -> Result<Vec<u8>, String> {
    let length = bytes.len();
    if length <= limit {
        return Ok(bytes);
    }
    Err(format!(
        "the {what} as the run left it has {length} bytes and the limit is {limit}: keep a \
         reference to the data instead, or raise `Builder::{option}_limit`"
    ))
}

/// Different for every job of every store, so that waits spread.
pub(super) fn jitter_seed(shared: &Shared, number: JobNumber) -> u64 {
    let store = shared.origin.store.0;
    #[expect(clippy::cast_possible_truncation, reason = "both halves are folded in")]
    let folded = (store >> 64) as u64 ^ store as u64;
    folded ^ number.0.rotate_left(17)
}
