//! Jobs that another host runs, carried there by a script.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::testing::pushing::{
    self, Answer, Call, Carried, Carry, End, OnUnknown, RETURN_GRACE, Refusal,
};
use jobkeep::{
    AttemptEnd, Builder, Manager, NewJob, Observer, Queue, Reason, Receipt, StateKind, Status,
    event,
};

use crate::place::{HOUR, PATIENCE, Place, SECOND, Work, work};
use crate::restarting::until_nothing_is_stuck;
use crate::retrying::until;
use crate::suspecting::two_suspects;

const MINUTE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(30);

/// What a carrier was given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    job: u64,
    name: String,
    payload: String,
    attempt: u32,
    deadline_ms: u64,
    sequence: u64,
}

/// A line to nowhere: the test sees each call, and says what becomes of it.
#[derive(Debug)]
struct Line {
    calls: Mutex<Sender<Heard>>,
    seen: Mutex<Receiver<Heard>>,
    ends: Mutex<Sender<Carried>>,
    next: Mutex<Receiver<Carried>>,
}

impl Line {
    fn new() -> Arc<Self> {
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
    fn heard(&self) -> Heard {
        self.seen.lock().unwrap().recv_timeout(PATIENCE).unwrap()
    }

    fn is_quiet(&self) -> bool {
        self.seen.lock().unwrap().try_recv().is_err()
    }

    /// What becomes of the call that waits, or of the next one.
    fn end(&self, carried: Carried) {
        self.ends.lock().unwrap().send(carried).unwrap();
    }

    fn answer(&self, end: End) {
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

fn succeeded() -> End {
    End::Succeeded(br#""done there""#.to_vec())
}

fn refused(retry_after: Option<Duration>) -> Carried {
    Carried::NotStarted {
        refusal: Refusal::OfAll,
        retry_after,
        why: "connection refused".into(),
    }
}

fn refused_alone() -> Carried {
    Carried::NotStarted {
        refusal: Refusal::OfThisJob,
        retry_after: None,
        why: "it still runs there".into(),
    }
}

fn lost() -> Carried {
    Carried::Unknown {
        why: "connection reset by peer".into(),
    }
}

fn queue(line: &Arc<Line>) -> Queue {
    pushing::through(Queue::new("default").workers(1), Arc::clone(line) as _)
}

fn builder(place: &dyn Place, queue: Queue, clock: &ManualClock) -> Builder {
    let builder = Manager::builder(place.open()).clock(clock.clone());
    builder.queue(queue)
}

fn started(place: &dyn Place) -> (Manager, Arc<Line>, ManualClock) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let manager = builder(place, queue(&line), &clock).start().unwrap();
    (manager, line, clock)
}

fn limited(label: &str) -> NewJob<Work> {
    let job = NewJob::new(work(label)).timeout(LIMIT);
    job.backoff(Duration::ZERO, Duration::ZERO)
}

fn ends(status: &Status) -> Vec<AttemptEnd> {
    let history = status.history().iter();
    history.map(|attempt| attempt.end.clone()).collect()
}

fn due_in(status: &Status, clock: &ManualClock) -> Duration {
    Duration::from_millis(status.due().unwrap().0 - clock.wall().0)
}

fn waits(manager: &Manager, receipt: &Receipt<Work>) -> Status {
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
    assert_eq!((done.job().runs, done.attempts()), (1, 1));
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

pub(crate) fn an_answer_may_cancel_its_job_or_park_it(place: &dyn Place) {
    let (manager, line, _) = started(place);
    let receipts = manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.answer(End::Cancelled(vec!["not needed".into()]));
    line.answer(End::Undecodable("missing field `width`".into()));
    let done = manager.wait(&receipts[0], PATIENCE).unwrap();
    let failure = done.output().unwrap_err();
    assert_eq!(
        (failure.reason(), failure.message()),
        (Reason::Cancelled, "not needed")
    );
    let status = until(&manager, &receipts[1], StateKind::Parked);
    assert_eq!(status.attempts(), 0);
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

pub(crate) fn the_rests_of_a_queue_double_up_to_a_minute(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    for longest in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        line.heard();
        line.end(refused(None));
        let wait = due_in(&waits(&manager, &receipt), &clock);
        let longest = Duration::from_secs(longest);
        assert!(
            longest / 2 <= wait && wait <= longest,
            "{wait:?} of {longest:?}"
        );
        clock.advance(wait - Duration::from_millis(1));
        manager.counts().unwrap();
        assert!(line.is_quiet());
        clock.advance(Duration::from_millis(1));
    }
    line.heard();
    line.answer(End::Failed {
        chain: vec!["failed there".into()],
        retry_after: None,
    });
    line.heard();
    line.end(refused(None));
    assert!(due_in(&waits(&manager, &receipt), &clock) <= SECOND);
}

pub(crate) fn a_refusal_that_says_when_is_heeded(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipts = manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.heard();
    line.end(refused(Some(HOUR)));
    assert_eq!(due_in(&waits(&manager, &receipts[0]), &clock), HOUR);
    // The queue itself tries others after its longest rest.
    clock.advance(MINUTE - SECOND);
    manager.counts().unwrap();
    assert!(line.is_quiet());
    clock.advance(SECOND);
    assert_eq!(line.heard().job, receipts[1].number().0);
    line.answer(succeeded());
    manager.wait(&receipts[1], PATIENCE).unwrap();
    assert!(line.is_quiet());
    clock.advance(HOUR - MINUTE);
    assert_eq!(line.heard().job, receipts[0].number().0);
    line.answer(succeeded());
}

pub(crate) fn a_refusal_of_one_job_holds_up_no_other(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipts = manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.end(refused_alone());
    line.answer(succeeded());
    manager.wait(&receipts[1], PATIENCE).unwrap();
    let wait = due_in(&waits(&manager, &receipts[0]), &clock);
    assert!(MINUTE / 2 <= wait && wait <= MINUTE, "{wait:?}");
}

pub(crate) fn an_answer_ends_the_rest_of_its_queue(place: &dyn Place) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let manager = builder(place, queue(&line).workers(2), &clock)
        .start()
        .unwrap();
    let receipts = manager.enqueue_all(["a", "b", "c"].map(limited)).unwrap();
    line.heard();
    line.heard();
    line.end(refused(None));
    let off =
        |receipt: &&Receipt<Work>| manager.status(receipt).unwrap().state() == StateKind::Scheduled;
    while receipts.iter().find(off).is_none() {
        std::thread::yield_now();
    }
    assert!(line.is_quiet());
    line.answer(succeeded());
    assert_eq!(line.heard().job, receipts[2].number().0);
    line.answer(succeeded());
    manager.wait(&receipts[2], PATIENCE).unwrap();
}

pub(crate) fn an_executor_that_is_dead_slows_no_other_queue(place: &dyn Place) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let local = builder(place, queue(&line), &clock).queue(Queue::new("local").workers(1));
    let manager = crate::place::succeeding(local).start().unwrap();
    let here = |n: u32| NewJob::new(work(n.to_string())).queue("local");
    // One call hangs.
    manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.heard();
    for receipt in manager.enqueue_all((0..20).map(here)).unwrap() {
        manager.wait(&receipt, PATIENCE).unwrap();
    }
    // The queue rests.
    line.end(refused(None));
    for receipt in manager.enqueue_all((0..20).map(here)).unwrap() {
        manager.wait(&receipt, PATIENCE).unwrap();
    }
    assert!(line.is_quiet());
}

pub(crate) fn a_queue_that_rests_shuts_down(place: &dyn Place) {
    let (manager, line, _) = started(place);
    let receipts = manager.enqueue_all(["a", "b"].map(limited)).unwrap();
    line.heard();
    line.end(refused(None));
    waits(&manager, &receipts[0]);
    let report = manager.shutdown(HOUR).unwrap();
    assert_eq!((report.still_running, report.unrecorded), (vec![], vec![]));
}

pub(crate) fn a_lost_call_is_an_attempt_and_comes_again_after_its_deadline(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a").attempts(2)).unwrap();
    let first = line.heard();
    clock.advance(10 * SECOND);
    line.end(lost());
    let status = waits(&manager, &receipt);
    assert_eq!(
        (status.attempts(), due_in(&status, &clock)),
        (1, LIMIT - 10 * SECOND)
    );
    let unknown = AttemptEnd::Unknown("connection reset by peer".into());
    assert_eq!(ends(&status), [unknown]);
    clock.advance(LIMIT - 11 * SECOND);
    manager.counts().unwrap();
    assert!(line.is_quiet());
    clock.advance(SECOND);
    let second = line.heard();
    assert_eq!(second.attempt, 2);
    assert!(second.sequence > first.sequence);
    line.end(lost());
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    let failure = done.output().unwrap_err();
    assert_eq!(
        (failure.reason(), failure.attempts(), failure.message()),
        (
            Reason::Unknown,
            2,
            "nobody knows how it ended: connection reset by peer"
        )
    );
}

pub(crate) fn a_lost_call_waits_for_the_longer_of_backoff_and_deadline(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let patient = limited("a").backoff(1_000_000_000 * HOUR, 1_000_000_000 * HOUR);
    let receipt = manager.enqueue(patient).unwrap();
    line.heard();
    line.end(lost());
    assert!(due_in(&waits(&manager, &receipt), &clock) > HOUR);
}

pub(crate) fn a_queue_may_have_lost_calls_fail(place: &dyn Place) {
    let (line, clock) = (Line::new(), ManualClock::new());
    let queue = pushing::on_unknown(queue(&line), OnUnknown::Fail);
    let manager = builder(place, queue, &clock).start().unwrap();
    let receipt = manager.enqueue(limited("a")).unwrap();
    line.end(lost());
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap_err().reason(), Reason::Unknown);
    assert_eq!(done.attempts(), 1);
}

/// Drops each call.
#[derive(Debug)]
struct Panicking;

impl Carry for Panicking {
    fn carry(&self, _call: &Call<'_>) -> Carried {
        panic!("dropped")
    }
}

pub(crate) fn a_carrier_that_panics_has_lost_its_call(place: &dyn Place) {
    let queue = pushing::through(Queue::new("default").workers(1), Arc::new(Panicking));
    let manager = builder(place, queue, &ManualClock::new()).start().unwrap();
    let receipt = manager.enqueue(limited("a").attempts(1)).unwrap();
    let failure = manager.wait(&receipt, PATIENCE).unwrap().into_output();
    let failure = failure.unwrap_err();
    assert_eq!(failure.reason(), Reason::Unknown);
    let message = failure.message();
    assert!(message.starts_with("nobody knows how it ended: its carrier panicked at "));
    assert!(message.ends_with(": dropped"), "{message}");
}

pub(crate) fn a_carrier_that_does_not_return_has_lost_its_call(place: &dyn Place) {
    let (manager, line, clock) = started(place);
    let receipt = manager.enqueue(limited("a")).unwrap();
    line.heard();
    clock.advance(LIMIT);
    manager.counts().unwrap();
    assert_eq!(
        manager.status(&receipt).unwrap().state(),
        StateKind::Running
    );
    clock.advance(RETURN_GRACE);
    let status = waits(&manager, &receipt);
    assert_eq!(
        ends(&status),
        [AttemptEnd::Unknown(
            "its carrier has not returned 5 s after the call's deadline".into()
        )]
    );
    assert_eq!(status.attempts(), 1);
    // It may still send the call: nobody sends another one before it has returned.
    clock.advance(HOUR);
    manager.counts().unwrap();
    assert!(line.is_quiet());
    assert_eq!(manager.stuck().len(), 1);
    // What it says late counts for nothing.
    line.answer(succeeded());
    assert_eq!(line.heard().attempt, 2);
    line.answer(succeeded());
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.attempts(), 2);
    until_nothing_is_stuck(&manager);
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
