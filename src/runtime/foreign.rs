//! One job of another host's store, run here.

use jobkeep_store::{
    Backoff, JobNumber, JobRecord, Kept, OpeningTag, Priority, State, Timestamp, Token,
};

use super::execute::classify;
use super::executors::Work;
use super::panics;
use super::shared::Shared;
use crate::carry::{Answer, End, Foreign};
use crate::clock::Steady;
use crate::context::{Context, Drafts, Hand, Resources, Runtime};
use crate::core::Outcome;
use crate::job::Verdict;
use crate::sync::Arc;
use crate::{Draft, Error};

/// Runs the job and says how it was left.
pub(super) fn run(shared: &Arc<Shared>, work: Work) -> Answer {
    let Work { foreign, running } = work;
    let (left, end) = match shared.registry.handler(&foreign.name) {
        Some(handler) => {
            let runtime = Arc::new(Abroad(Arc::clone(shared)));
            let context = Context::new(Arc::clone(&running), runtime, hand(&foreign));
            let ran = panics::catch(|| {
                let ran = handler.run(foreign.codec, &foreign.payload, &context);
                classify(shared, ran)
            });
            answer(ran)
        }
        None => {
            let text = format!("no handler is registered for `{}`", foreign.name);
            (None, failed(vec![text]))
        }
    };
    let log = std::mem::take(&mut *running.log.lock());
    Answer { left, end, log }
}

fn answer(ran: Result<Outcome, panics::Caught>) -> (Option<Vec<u8>>, End) {
    match ran {
        Err(panics::Caught { message, location }) | Ok(Outcome::Panicked { message, location }) => {
            (None, End::Panicked { message, location })
        }
        Ok(Outcome::Succeeded { left, output }) => (Some(left), End::Succeeded(output)),
        Ok(Outcome::Failed {
            left,
            verdict,
            chain,
        }) => {
            let end = match verdict {
                Verdict::Retry => failed(chain),
                Verdict::RetryAfter(delay) => End::Failed {
                    chain,
                    retry_after: Some(delay),
                },
                Verdict::Permanent => End::Permanent(chain),
                Verdict::Snooze(delay) => End::Snoozed(delay),
                Verdict::Cancel => End::Cancelled(chain),
            };
            (left, end)
        }
        Ok(Outcome::Undecodable(message)) => (None, End::Undecodable(message)),
        // What a run itself never is.
        Ok(Outcome::TimedOut(ms)) => (None, End::TimedOut(ms)),
        Ok(Outcome::NotStarted { why, .. } | Outcome::Unknown { why, .. }) => {
            (None, failed(vec![why]))
        }
    }
}

fn failed(chain: Vec<String>) -> End {
    End::Failed {
        chain,
        retry_after: None,
    }
}

/// What a context asks of the job: the record that its own store has is not here.
fn hand(foreign: &Foreign) -> Hand {
    let nowhere = Token {
        opening: OpeningTag(0),
        sequence: 0,
    };
    let record = JobRecord {
        state: State::Running,
        queue: "executors".into(),
        priority: Priority::Normal,
        order: Timestamp::default(),
        name: foreign.name.clone(),
        codec: foreign.codec,
        payload: Kept::Inline(Vec::new()),
        output: None,
        created: Timestamp::default(),
        finished: None,
        max_attempts: foreign.attempt,
        backoff: Backoff {
            base_ms: 0,
            cap_ms: 0,
        },
        timeout_ms: Some(foreign.deadline_ms),
        attempts: foreign.attempt.saturating_sub(1),
        interruptions: 0,
        unclean_ends: 0,
        snoozes: 0,
        cancel_requested: false,
        key: None,
        history: Vec::new(),
    };
    Hand {
        token: nowhere,
        record: Box::new(record),
        stored: State::Running,
        checkpoint: None,
        follow_ups: Drafts::default(),
    }
}

/// This host, as a job of another one asks it.
struct Abroad(Arc<Shared>);

impl Runtime for Abroad {
    fn resources(&self) -> &Resources {
        &self.0.resources
    }

    fn now(&self) -> Steady {
        self.0.clock.now().steady
    }

    fn checkpoint(
        &self,
        number: JobNumber,
        _hand: &mut Hand,
        _payload: Vec<u8>,
    ) -> Result<(), Error> {
        Err(Error::pushed(format_args!("checkpoint job {number}")))
    }

    fn check(&self, draft: &Draft) -> Result<(), Error> {
        let name = draft.name();
        Err(Error::pushed(format_args!(
            "enqueue job `{name}` after this one"
        )))
    }
}
