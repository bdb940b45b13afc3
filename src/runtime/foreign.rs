//! The threads of the executors, and one job of another host's store, run there.

use std::pin::Pin;
use std::thread::{Builder, JoinHandle};

use jobkeep_store::{
    Backoff, JobNumber, JobRecord, Kept, OpeningTag, Priority, State, Timestamp, Token,
};

use super::drive::drive;
use super::execute::classify;
use super::executors::Work;
use super::panics;
use super::shared::Shared;
use crate::cancellation::Cancellation;
use crate::carry::{Answer, End, Foreign};
use crate::clock::Clock;
use crate::context::{Context, Drafts, Hand, Resources, Runtime};
use crate::core::Outcome;
use crate::job::Verdict;
use crate::sync::Arc;
use crate::{Draft, Error, Receipt};

/// Starts the executors and their watch, where there are any.
pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<()> {
    let executors = &shared.executors;
    if executors.threads == 0 {
        return Ok(());
    }
    for place in 1..=executors.threads {
        start_executor(shared, place)?;
        executors.join_in(place);
    }
    let watch = Arc::clone(shared);
    let watch = spawn(shared, "executors-watch".into(), move || {
        while let Some(mut overdue) = watch.executors.watch(&watch.clock) {
            overdue.answer();
            for place in overdue.substitutes {
                if start_substitute(&watch, place).is_err() {
                    watch.executors.no_substitute();
                }
            }
        }
    })?;
    executors.keep(watch);
    Ok(())
}

fn start_executor(shared: &Arc<Shared>, place: usize) -> std::io::Result<()> {
    let executor = Arc::clone(shared);
    let thread = spawn(shared, name(place), move || work(&executor))?;
    shared.executors.keep(thread);
    Ok(())
}

fn start_substitute(shared: &Arc<Shared>, place: usize) -> std::io::Result<()> {
    let executor = Arc::clone(shared);
    let thread = spawn(shared, name(place), move || {
        if executor.executors.stand_in() {
            work(&executor);
        }
    })?;
    shared.executors.keep(thread);
    Ok(())
}

fn name(place: usize) -> String {
    format!("executor-{place}")
}

fn spawn(
    shared: &Shared,
    name: String,
    act: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let manager = shared.origin.opening;
    Builder::new().name(name).spawn(move || {
        panics::own_this_thread(manager);
        act();
    })
}

/// An executor's thread: job after job.
fn work(shared: &Arc<Shared>) {
    let thread: Arc<str> = std::thread::current().name().unwrap_or_default().into();
    while let Some(work) = shared.executors.next(&thread, &shared.clock) {
        let id = work.id();
        let answer = run(shared, work);
        if !shared.executors.end(id, answer) {
            break;
        }
    }
}

/// Runs the job and says how it was left.
fn run(shared: &Arc<Shared>, work: Work) -> Answer {
    let Work { foreign, running } = work;
    let name = &foreign.name;
    let (left, end) = if let Some(handler) = shared.registry.handler(name) {
        let runtime = Arc::new(Abroad(Arc::clone(shared)));
        let context = Context::new(Arc::clone(&running), runtime, hand(&foreign));
        let ran = panics::catch(|| {
            let ran = handler.run(foreign.codec, &foreign.payload, &context);
            classify(shared, ran)
        });
        answer(ran)
    } else {
        let text = format!("no handler is registered for `{name}`");
        (None, failed(vec![text]))
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
        lost_until: None,
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

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn has_the_job(&self) -> bool {
        false
    }

    fn receipt(&self, number: JobNumber) -> Result<Receipt, Error> {
        Err(Error::pushed(format_args!(
            "give the receipt of job {number}"
        )))
    }

    fn drive(&self, cancelled: &Cancellation, future: Pin<&mut dyn Future<Output = ()>>) {
        drive(cancelled, future, &self.0.clock);
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
