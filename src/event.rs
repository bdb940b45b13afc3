//! What an [`Observer`](crate::Observer) is told.

mod lost;

use std::time::Duration;

use jobkeep_store::{
    AttemptEnd, JobNumber, JobRecord, ParkReason, QueueName, State, StateKind, Timestamp,
};

use crate::Failure;
use crate::clock::{Now, Steady};

pub use lost::Lost;

/// Any of them, for an [`Observer`](crate::Observer) that is a closure or does the same with all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A job was accepted.
    Accepted(Accepted),
    /// A worker begins an attempt.
    Started(Started),
    /// A job has reached its final state.
    Finished(Finished),
    /// A job is to run again.
    Retried(Retried),
    /// A job put itself off.
    Snoozed(Snoozed),
    /// A job was set aside because it cannot run here.
    Parked(Parked),
    /// A job is held back because processes died beside it.
    Suspected(Suspected),
    /// A job runs on after its attempt has been settled as timed out.
    Stuck(Stuck),
    /// A queue was paused.
    Paused(Paused),
    /// A queue was resumed.
    Resumed(Resumed),
    /// The manager cannot write to its store.
    Degraded(Degraded),
    /// The manager writes to its store again.
    Recovered(Recovered),
    /// The observer was too slow for so many.
    Lost(Lost),
}

/// Which job an event speaks of, and when it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    job: JobNumber,
    name: String,
    queue: QueueName,
    at: Timestamp,
}

/// A job is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    about: About,
    due: Option<Timestamp>,
}

/// A worker begins an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    about: About,
    attempt: u32,
    thread: String,
    waited: Duration,
}

/// How long an attempt took that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    started: Timestamp,
    took: Duration,
    waited: Duration,
}

impl Times {
    /// Of an attempt of a job that was accepted or due at `order`. Counted by the steady clock.
    pub(crate) fn new(order: Timestamp, began: Now, ended: Steady) -> Self {
        Self {
            started: began.wall,
            took: ended.since(began.steady),
            waited: waited(order, began),
        }
    }
}

fn waited(order: Timestamp, began: Now) -> Duration {
    began.steady.since(Steady(order.0))
}

/// A job has reached its final state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    about: About,
    state: StateKind,
    attempts: u32,
    failure: Option<Failure>,
    times: Option<Times>,
}

/// A job is to run again: its attempt failed, or somebody retried it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retried {
    about: About,
    attempts: u32,
    error: Option<String>,
    due: Option<Timestamp>,
    times: Option<Times>,
}

/// A job put itself off, by [`JobError::snooze`](crate::JobError::snooze).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snoozed {
    about: About,
    due: Timestamp,
    times: Option<Times>,
}

/// A job was set aside because it cannot run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    about: About,
    reason: ParkReason,
}

/// A job is held back because a process died, time and again, shortly after it had begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspected {
    about: About,
    unclean_ends: u32,
    until: Timestamp,
}

/// A job runs on after its attempt has been settled as timed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    about: About,
    thread: String,
}

/// A queue was paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    queue: QueueName,
    at: Timestamp,
}

/// A queue was resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    queue: QueueName,
    at: Timestamp,
}

/// The manager cannot write to its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degraded {
    cause: String,
    poisoned: bool,
    at: Timestamp,
}

/// The manager writes to its store again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    at: Timestamp,
}

macro_rules! of_a_job {
    ($($event:ident),+) => { $(
        impl $event {
            /// The job's number.
            pub fn job(&self) -> JobNumber {
                self.about.job
            }

            /// The stable name of the job's type; empty where the job's record cannot be read.
            pub fn name(&self) -> &str {
                &self.about.name
            }

            /// The job's queue.
            pub fn queue(&self) -> &str {
                self.about.queue.as_str()
            }

            /// When it came about.
            pub fn at(&self) -> Timestamp {
                self.about.at
            }
        }
    )+ };
}

of_a_job!(
    Accepted, Started, Finished, Retried, Snoozed, Parked, Suspected, Stuck
);

macro_rules! of_an_attempt {
    ($($event:ident),+) => { $(
        impl $event {
            /// When the attempt began that ended so. `None` where no attempt did, but somebody's call: the
            /// same goes for the two below.
            pub fn started(&self) -> Option<Timestamp> {
                self.times.map(|times| times.started)
            }

            /// How long that attempt took, by the monotonic clock.
            pub fn duration(&self) -> Option<Duration> {
                self.times.map(|times| times.took)
            }

            /// How long the job had waited for it, since it was accepted or became due.
            pub fn waited(&self) -> Option<Duration> {
                self.times.map(|times| times.waited)
            }
        }
    )+ };
}

of_an_attempt!(Finished, Retried, Snoozed);

macro_rules! of_a_queue {
    ($($event:ident),+) => { $(
        impl $event {
            /// The queue.
            pub fn queue(&self) -> &str {
                self.queue.as_str()
            }

            /// When it came about.
            pub fn at(&self) -> Timestamp {
                self.at
            }
        }
    )+ };
}

of_a_queue!(Paused, Resumed);

impl Accepted {
    /// When the job becomes ready, where it is not ready at once.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }
}

impl Started {
    /// Which attempt it is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The name of the worker's thread.
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// How long the job has waited, since it was accepted or became due.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Finished {
    /// The final state.
    pub fn state(&self) -> StateKind {
        self.state
    }

    /// How many attempts the job had, interruptions and snoozes not counted.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Why the job did not succeed, where it did not.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

impl Retried {
    /// How many attempts ended so far: none where somebody retried the job after its end.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How the attempt failed: its error with its sources, its panic, or why no other host has begun
    /// it. `None` where somebody retried it.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// When the job becomes ready; `None` where it is ready at once, because somebody retried it.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }
}

impl Snoozed {
    /// When the job becomes ready.
    pub fn due(&self) -> Timestamp {
        self.due
    }
}

impl Parked {
    /// Why.
    pub fn reason(&self) -> &ParkReason {
        &self.reason
    }
}

impl Suspected {
    /// At how many unclean ends in a row it had begun shortly before.
    pub fn unclean_ends(&self) -> u32 {
        self.unclean_ends
    }

    /// Until when it is held back at least.
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

impl Stuck {
    /// The name of the thread that has not returned.
    pub fn thread(&self) -> &str {
        &self.thread
    }
}

impl Degraded {
    /// What failed.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// The manager writes nothing any more, and has to be started anew; else it tries again by itself:
    /// see [`Health`](crate::Health).
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// When it came about.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

impl Recovered {
    /// When it came about.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

impl About {
    fn of(job: JobNumber, record: &JobRecord, at: Timestamp) -> Self {
        Self {
            job,
            name: record.name.clone(),
            queue: record.queue.clone(),
            at,
        }
    }
}

impl Event {
    pub(crate) fn accepted(job: JobNumber, record: &JobRecord, now: Now) -> Self {
        Self::Accepted(Accepted {
            about: About::of(job, record, now.wall),
            due: now.shown_due(&record.state, record.created),
        })
    }

    pub(crate) fn started(job: JobNumber, record: &JobRecord, thread: String, began: Now) -> Self {
        Self::Started(Started {
            about: About::of(job, record, began.wall),
            attempt: record.attempts.saturating_add(1),
            thread,
            waited: waited(record.order, began),
        })
    }

    /// What became of a job, by its record after an operator's act.
    pub(crate) fn of(job: JobNumber, record: &JobRecord, now: Now) -> Self {
        Self::ended(job, record, now, None)
    }

    /// The same, after the end of an attempt that took so long.
    pub(crate) fn ended(
        job: JobNumber,
        record: &JobRecord,
        now: Now,
        times: Option<Times>,
    ) -> Self {
        let about = About::of(job, record, now.wall);
        let (state, attempts) = (record.state.kind(), record.attempts);
        if let State::Parked(reason) = &record.state {
            let reason = reason.clone();
            return Self::Parked(Parked { about, reason });
        }
        if state.is_final() {
            let failed = state != StateKind::Succeeded;
            return Self::Finished(Finished {
                about,
                state,
                attempts,
                failure: failed.then(|| Failure::of(record)),
                times,
            });
        }
        let due = now.shown_due(&record.state, record.created);
        let snoozed = has_snoozed(record);
        if snoozed
            && times.is_some()
            && let Some(due) = due
        {
            return Self::Snoozed(Snoozed { about, due, times });
        }
        let failed = due.is_some() && !snoozed;
        Self::Retried(Retried {
            about,
            attempts,
            error: failed.then(|| Failure::of(record).message().into()),
            due,
            times,
        })
    }

    /// Somebody should look at what the end of an attempt has made of this job.
    pub(crate) fn is_trouble_of(record: &JobRecord) -> bool {
        match record.state.kind() {
            StateKind::Failed | StateKind::Parked => true,
            StateKind::Scheduled => !has_snoozed(record),
            _ => false,
        }
    }

    /// Somebody should look at it.
    pub(crate) fn is_trouble(&self) -> bool {
        match self {
            Self::Finished(event) => event.state == StateKind::Failed,
            Self::Retried(event) => event.error.is_some(),
            Self::Parked(_)
            | Self::Suspected(_)
            | Self::Stuck(_)
            | Self::Degraded(_)
            | Self::Recovered(_) => true,
            _ => false,
        }
    }

    /// A job cannot run here; `name` is empty where its record cannot be read.
    pub(crate) fn parked(
        job: JobNumber,
        name: impl Into<String>,
        queue: QueueName,
        reason: ParkReason,
        at: Timestamp,
    ) -> Self {
        let about = About {
            job,
            name: name.into(),
            queue,
            at,
        };
        Self::Parked(Parked { about, reason })
    }

    pub(crate) fn suspected(
        job: JobNumber,
        record: &JobRecord,
        until: Timestamp,
        at: Timestamp,
    ) -> Self {
        Self::Suspected(Suspected {
            about: About::of(job, record, at),
            unclean_ends: record.unclean_ends,
            until,
        })
    }

    pub(crate) fn stuck(job: JobNumber, record: &JobRecord, thread: String, at: Timestamp) -> Self {
        Self::Stuck(Stuck {
            about: About::of(job, record, at),
            thread,
        })
    }

    pub(crate) fn paused(queue: QueueName, at: Timestamp) -> Self {
        Self::Paused(Paused { queue, at })
    }

    pub(crate) fn resumed(queue: QueueName, at: Timestamp) -> Self {
        Self::Resumed(Resumed { queue, at })
    }

    pub(crate) fn degraded(cause: String, poisoned: bool, at: Timestamp) -> Self {
        Self::Degraded(Degraded {
            cause,
            poisoned,
            at,
        })
    }

    pub(crate) fn recovered(at: Timestamp) -> Self {
        Self::Recovered(Recovered { at })
    }
}

fn has_snoozed(record: &JobRecord) -> bool {
    let last = record.history.first().map(|attempt| &attempt.end);
    matches!(last, Some(AttemptEnd::Snoozed(_)))
}

#[cfg(test)]
mod tests {
    use jobkeep_store::{Backoff, Kept, PayloadCodec, Priority};

    use super::*;
    use crate::Observer;
    use crate::sync::Mutex;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Observer for Heard {
        fn stuck(&self, event: &Stuck) {
            let (job, name, queue) = (event.job(), event.name(), event.queue());
            let line = format!("{job} {name} {queue} {} {}", event.thread(), event.at());
            self.0.lock().push(line);
        }

        fn degraded(&self, event: &Degraded) {
            let line = format!("{} {}", event.cause(), event.at());
            self.0.lock().push(line);
        }
    }

    #[test]
    fn a_stuck_job_and_a_degraded_store_reach_the_observer() {
        let record = JobRecord {
            state: State::Ready,
            queue: "images".into(),
            priority: Priority::Normal,
            order: Timestamp(1),
            name: "thumbnail".into(),
            codec: PayloadCodec::Json,
            payload: Kept::Inline(Vec::new()),
            output: None,
            created: Timestamp(1),
            finished: None,
            max_attempts: 1,
            backoff: Backoff {
                base_ms: 0,
                cap_ms: 0,
            },
            timeout_ms: None,
            attempts: 0,
            interruptions: 0,
            unclean_ends: 0,
            snoozes: 0,
            cancel_requested: false,
            key: None,
            history: Vec::new(),
            lost_until: None,
        };
        let heard = Heard::default();
        let thread = "images-worker-1".into();
        heard.event(&Event::stuck(JobNumber(7), &record, thread, Timestamp(2)));
        heard.event(&Event::degraded("disk full".into(), false, Timestamp(3)));
        let lines = heard.0.lock();
        assert_eq!(
            *lines,
            [
                "7 thumbnail images images-worker-1 1970-01-01T00:00:00.002Z",
                "disk full 1970-01-01T00:00:00.003Z"
            ]
        );
    }
}
