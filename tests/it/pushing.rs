//! Jobs that another host runs, carried there by a script.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::testing::pushing::{self, Answer, Call, Carried, Carry, End, Refusal};
use jobkeep::{
    AttemptEnd, Builder, Manager, NewJob, Observer, Queue, Reason, Receipt, StateKind, Status,
    event,
};

use crate::place::{HOUR, PATIENCE, Place, SECOND, Work, work};
use crate::restarting::until_nothing_is_stuck;
use crate::retrying::until;
use crate::suspecting::two_suspects;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What a carrier was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) job: u64,
    name: String,
    payload: String,
    pub(crate) attempt: u32,
    deadline_ms: u64,
    pub(crate) sequence: u64,
}

/// A line to nowhere: the test sees each call, and says what becomes of it.
#[derive(Debug)]
pub(crate) struct Line {
    calls: Mutex<Sender<Heard>>,
    seen: Mutex<Receiver<Heard>>,
    ends: Mutex<Sender<Carried>>,
    next: Mutex<Receiver<Carried>>,
}

impl Line {
    pub(crate) fn new() -> Arc<Self> {
        let (calls, seen) = channel();
        let (ends, next) = channel();
        Arc::new(Self {
            calls: Mutex::new(calls),
            seen: Mutex::new(seen),
            ends: Mutex::new(ends),
            next: Mutex::new(next),
        })
    }

    /// The next call.
    pub(crate) fn heard(&self) -> Heard {
        self.seen.lock().unwrap().recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.seen.lock().unwrap().try_recv().is_err()
    }

    /// What becomes of the call that waits, or of the next one.
    pub(crate) fn end(&self, carried: Carried) {
        self.ends.lock().unwrap().send(carried).unwrap();
    }

    pub(crate) fn answer(&self, end: End) {
        self.end(answered(end));
    }
}

impl Carry for Line {
    fn carry(&self, call: &Call<'_>) -> Carried {
        let heard = Heard {
            job: call.job.0,
            name: call.name.into(),
            payload: String::from_utf8_lossy(call.payload).into_owned(),
            attempt: call.attempt,
            deadline_ms: call.deadline_ms,
            sequence: call.token.sequence,
        };
        self.calls.lock().unwrap().send(heard).unwrap();
        self.next.lock().unwrap().recv_timeout(PATIENCE).unwrap()
    }
}

fn answered(end: End) -> Carried {
    Carried::Answered(Answer {
        left: None,
        end,
        log: Vec::new(),
    })
}

pub(crate) fn succeeded() -> End {
    End::Succeeded(br#""done there""#.to_vec())
}

pub(crate) fn refused(retry_after: Option<Duration>) -> Carried {
    Carried::NotStarted {
        refusal: Refusal::OfAll,
        retry_after,
        why: "connection refused".into(),
    }
}

pub(crate) fn refused_alone() -> Carried {
    Carried::NotStarted {
        refusal: Refusal::OfThisJob,
        retry_after: None,
        why: "it still runs there".into(),
    }
}

pub(crate) fn lost() -> Carried {
    Carried::Unknown {
        why: "connection reset by peer".into(),
    }
}

pub(crate) fn queue(line: &Arc<Line>) -> Queue {
    pushing::through(Queue::new("default").workers(1), Arc::clone(line) as _)
}

pub(crate) fn builder(place: &dyn Place, queue: Queue, clock: &ManualClock) -> Builder {
    let builder = Manager::builder(place.open()).clock(clock.clone());
    builder.queue(queue)
}

pub(crate) fn started(place: &dyn Place) -> (Manager, Arc<Line>, ManualClock) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let manager = builder(place, queue(&line), &clock).start().unwrap();
    (manager, line, clock)
}

pub(crate) fn limited(label: &str) -> NewJob<Work> {
    let job = NewJob::new(work(label)).timeout(LIMIT);
    job.backoff(Duration::ZERO, Duration::ZERO)
}

pub(crate) fn ends(status: &Status) -> Vec<AttemptEnd> {
    let history = status.history().iter();
    history.map(|attempt| attempt.end.clone()).collect()
}

pub(crate) fn due_in(status: &Status, clock: &ManualClock) -> Duration {
    Duration::from_millis(status.due().unwrap().0 - clock.wall().0)
}

pub(crate) fn waits(manager: &Manager, receipt: &Receipt<Work>) -> Status {
    until(manager, receipt, StateKind::Scheduled)
}

pub(crate) fn a_pushed_job_runs_elsewhere_and_comes_back_as_it_was_left(place: &dyn Place) {
    let (manager, line, _) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    let heard = line.heard();
    assert_eq!(
        (heard.job, heard.name.as_str()),
        (receipt.number().0, "work")
    );
    assert_eq!(heard.payload, r#"{"label":"a","runs":0}"#);
    assert_eq!((heard.attempt, heard.deadline_ms), (1, 30_000));
    line.end(Carried::Answered(Answer {
        left: Some(br#"{"label":"a","runs":1}"#.to_vec()),
        end: succeeded(),
        log: vec!["a line".into()],
    }));
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.job().unwrap().runs, done.attempts()), (1, 1));
    assert_eq!(done.history()[0].log, ["a line"]);
    assert_eq!(done.into_output().unwrap(), "done there");
}

pub(crate) fn an_answer_ends_the_attempt_as_it_ended_there(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let chain = || vec!["no such file".to_string(), "a.jpg".into()];
    let failed = |retry_after| End::Failed {
        chain: chain(),
        retry_after,
    };
    let panicked = End::Panicked {
        message: "boom".into(),
        location: "there.rs:1:2".into(),
    };
    let receipt = manager.enqueue(limited("a")).unwrap();
    let wait = |span| {
        assert_eq!(due_in(&waits(&manager, &receipt), &clock), span);
        clock.advance(span);
    };
    for (attempt, end) in (1..).zip([failed(None), panicked, End::TimedOut(7), failed(Some(HOUR))])
    {
        assert_eq!(line.heard().attempt, attempt);
        line.answer(end);
    }
    wait(HOUR);
    assert_eq!(line.heard().attempt, 5);
    line.answer(End::Snoozed(HOUR));
    wait(HOUR);
    assert_eq!(line.heard().attempt, 5);
    line.answer(End::Permanent(chain()));
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.attempts(), 5);
    let failure = done.output().unwrap_err();
    assert_eq!(
        (failure.reason(), failure.message()),
        (Reason::Permanent, "no such file: a.jpg")
    );
    let ends: Vec<_> = done.history().iter().map(|attempt| &attempt.end).collect();
    let [
        permanent,
        AttemptEnd::Snoozed(_),
        error,
        timed_out,
        panicked,
        first,
    ] = ends.as_slice()
    else {
        panic!("{ends:?}");
    };
    assert_eq!(**permanent, AttemptEnd::Permanent(chain()));
    assert_eq!((*error, *first), (&AttemptEnd::Error(chain()), *error));
    assert_eq!(**timed_out, AttemptEnd::TimedOut(7));
    let AttemptEnd::Panicked { message, location } = panicked else {
        panic!("{panicked:?}");
    };
    assert_eq!(
        (message.as_str(), location.as_str()),
        ("boom", "there.rs:1:2")
    );
}

pub(crate) fn an_answer_may_cancel_its_job(place: &dyn Place) {
    let (manager, line, _) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    line.answer(End::Cancelled(vec!["not needed".into()]));
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let failure = done.output().unwrap_err();
    assert_eq!(
        (failure.reason(), failure.message()),
        (Reason::Cancelled, "not needed")
    );
}

pub(crate) fn what_one_executor_cannot_decode_the_next_one_may(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    for _ in 0..3 {
        assert_eq!(line.heard().attempt, 1);
        line.answer(End::Undecodable("missing field `width`".into()));
        let status = waits(&manager, &receipt);
        assert_eq!((status.attempts(), status.parked()), (0, None));
        let why = "its payload does not decode there: missing field `width`";
        let [attempt] = status.history() else {
            panic!("{:?}", status.history());
        };
        assert_eq!(attempt.end, AttemptEnd::NotStarted(why.into()));
        clock.advance(due_in(&status, &clock));
    }
    // Another one takes its place, and others of the queue were not held up.
    assert_eq!(line.heard().attempt, 1);
    line.answer(succeeded());
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.attempts(), 1);
}

pub(crate) fn an_answer_beyond_the_limits_fails_its_job(place: &dyn Place) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let builder = builder(place, queue(&line), &clock);
    let manager = builder.payload_limit(100).output_limit(10).start().unwrap();
    let receipts = manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.answer(End::Succeeded(vec![b'1'; 11]));
    line.end(Carried::Answered(Answer {
        left: Some(vec![b'1'; 101]),
        end: succeeded(),
        log: Vec::new(),
    }));
    for (receipt, text) in receipts.iter().zip([
        "the output as the run left it has 11 bytes and the limit is 10: keep a reference to the \
         data instead, or raise `Builder::output_limit`",
        "the job as the run left it has 101 bytes and the limit is 100: keep a reference to the \
         data instead, or raise `Builder::payload_limit`",
    ]) {
        let done = manager.wait(receipt, PATIENCE).unwrap();
        let failure = done.output().unwrap_err();
        assert_eq!(
            (failure.reason(), failure.message()),
            (Reason::Permanent, text)
        );
    }
}

pub(crate) fn a_call_ends_by_the_time_out_of_its_job_or_queue_or_in_a_minute(place: &dyn Place) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let manager = builder(place, queue(&line), &clock)
        .queue(
            pushing::through(Queue::new("slow").workers(1), Arc::clone(&line) as _).timeout(HOUR),
        )
        .start()
        .unwrap();
    let no_limit = || NewJob::new(work("a")).timeout(Duration::ZERO);
    for (job, deadline_ms) in [
        (limited("a"), 30_000),
        (NewJob::new(work("a")), 60_000),
        (no_limit(), 60_000),
        (NewJob::new(work("a")).queue("slow"), 3_600_000),
        (no_limit().queue("slow"), 60_000),
        (limited("a").timeout(25 * HOUR), 86_400_000),
    ] {
        line.answer(succeeded());
        manager.enqueue(job).unwrap();
        assert_eq!(line.heard().deadline_ms, deadline_ms);
    }
}

pub(crate) fn a_pushing_host_need_not_know_the_name(place: &dyn Place) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let other = Queue::new("default").workers(0);
    let manager = builder(place, other, &clock).start().unwrap();
    let receipt = manager.enqueue(limited("a")).unwrap();
    assert_eq!(manager.counts().unwrap().parked, 1);
    manager.shutdown(Duration::ZERO).unwrap();
    let manager = builder(place, queue(&line), &clock).start().unwrap();
    line.answer(succeeded());
    assert_eq!(manager.wait(&receipt, PATIENCE).unwrap().attempts(), 1);
}

pub(crate) fn a_refused_call_spends_no_attempt_and_is_kept_once(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a").attempts(1)).unwrap();
    for _ in 0..30 {
        assert_eq!(line.heard().attempt, 1);
        line.end(refused(None));
        let status = waits(&manager, &receipt);
        assert_eq!((status.attempts(), status.interruptions()), (0, 0));
        let why = AttemptEnd::NotStarted("connection refused".into());
        assert_eq!(ends(&status), [why]);
        assert!(due_in(&status, &clock) <= MINUTE);
        clock.advance(MINUTE);
    }
    line.heard();
    line.answer(succeeded());
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.history().len()), (1, 2));
}

pub(crate) fn a_pushed_job_that_is_cancelled_meanwhile_is_not_sent_again(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    for end in [refused(None), lost()] {
        let receipt = manager.enqueue(limited("a")).unwrap();
        line.heard();
        manager.cancel(&receipt).unwrap();
        line.end(end);
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(done.output().unwrap_err().reason(), Reason::Cancelled);
        clock.advance(HOUR);
    }
    let receipt = manager.enqueue(limited("a")).unwrap();
    line.heard();
    manager.cancel(&receipt).unwrap();
    line.answer(succeeded());
    manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap();
}

pub(crate) fn a_call_in_flight_when_its_process_dies_is_sent_again_after_its_time_out(
    place: &dyn Place,
) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a").attempts(1)).unwrap();
    line.heard();
    until(&manager, &receipt, StateKind::Running);
    let report = manager.shutdown(Duration::ZERO).unwrap();
    assert_eq!(report.still_running.len(), 1);
    line.answer(succeeded());
    let manager = builder(place, queue(&line), &clock).start().unwrap();
    until_nothing_is_stuck(&manager);
    let status = manager.status(&receipt).unwrap();
    assert_eq!(
        (status.state(), due_in(&status, &clock)),
        (StateKind::Scheduled, LIMIT)
    );
    assert_eq!(ends(&status), [AttemptEnd::Interrupted { begun: true }]);
    clock.advance(LIMIT - SECOND);
    manager.counts().unwrap();
    assert!(line.is_quiet());
    clock.advance(SECOND);
    assert_eq!(line.heard().attempt, 1);
    line.answer(succeeded());
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!((done.attempts(), done.interruptions()), (1, 1));
}

pub(crate) fn a_pushed_attempt_takes_a_day_at_most_whatever_is_asked_for(place: &dyn Place) {
    const DAY: Duration = Duration::from_secs(86_400);
    let (line, clock) = (Line::new(), ManualClock::new());
    let endless = || queue(&line).timeout(1_000_000 * DAY);
    let manager = builder(place, endless(), &clock).start().unwrap();
    let long = NewJob::new(work("a")).backoff(Duration::ZERO, Duration::ZERO);
    let receipt = manager.enqueue(long).unwrap();
    assert_eq!(line.heard().deadline_ms, 86_400_000);
    line.end(lost());
    let status = waits(&manager, &receipt);
    assert_eq!((status.attempts(), due_in(&status, &clock)), (1, DAY));
    clock.advance(DAY);
    assert_eq!(line.heard().attempt, 2);
    // So long its next start waits too, where the process dies meanwhile.
    manager.shutdown(Duration::ZERO).unwrap();
    line.answer(succeeded());
    let manager = builder(place, endless(), &clock).start().unwrap();
    until_nothing_is_stuck(&manager);
    let status = manager.status(&receipt).unwrap();
    assert_eq!((status.attempts(), due_in(&status, &clock)), (1, DAY));
}

pub(crate) fn pushed_jobs_are_no_suspects(place: &dyn Place) {
    two_suspects(place);
    let (line, clock) = (Line::new(), ManualClock::new());
    let queue = queue(&line).workers(2);
    let manager = builder(place, queue, &clock).start().unwrap();
    assert_eq!(manager.recovery().interrupted, 2);
    clock.advance(MINUTE);
    // Side by side.
    line.heard();
    line.heard();
    line.answer(succeeded());
    line.answer(succeeded());
}

#[derive(Debug)]
struct Told(Mutex<Sender<Option<String>>>);

impl Observer for Told {
    fn retried(&self, event: &event::Retried) {
        let error = event.error().map(ToString::to_string);
        self.0.lock().unwrap().send(error).unwrap();
    }
}

pub(crate) fn an_observer_hears_why_a_call_comes_again(place: &dyn Place) {
    let (line, clock, (told, events)) = (Line::new(), ManualClock::new(), channel());
    let told = Told(Mutex::new(told));
    let builder = builder(place, queue(&line), &clock).observer(told);
    let manager = builder.start().unwrap();
    manager.enqueue(limited("a")).unwrap();
    line.heard();
    for (end, error) in [
        (refused(None), "not started: connection refused"),
        (
            lost(),
            "nobody knows how it ended: connection reset by peer",
        ),
    ] {
        line.end(end);
        let heard = events.recv_timeout(PATIENCE).unwrap();
        assert_eq!(heard.as_deref(), Some(error));
        clock.advance(MINUTE);
        line.heard();
    }
    line.answer(succeeded());
}

pub(crate) fn a_kit_carries_jobs_on_the_callers_thread(place: &dyn Place) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let kit = builder(place, queue(&line), &clock)
        .start_for_tests()
        .unwrap();
    let receipt = kit.enqueue(limited("a")).unwrap();
    line.end(refused(None));
    assert!(kit.run_one("default").unwrap().is_some());
    // The queue rests.
    let other = kit.enqueue(limited("b")).unwrap();
    assert_eq!(kit.drain("default").unwrap(), []);
    clock.advance(MINUTE);
    line.answer(succeeded());
    line.answer(succeeded());
    assert_eq!(kit.drain("default").unwrap().len(), 2);
    for receipt in [receipt, other] {
        assert!(kit.completed(&receipt).unwrap().is_some());
    }
}
