//! Pushed jobs whose calls are lost: nobody knows whether they ran.

use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    AttemptEnd, Codec, Completed, Job, Manager, MemoryStore, NewJob, OnUnknown, Queue, Reason,
    StateKind,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client_script::{Asked, Scripted, Step, answer, json_answer, problem};
use super::executing::{default, pusher, serving, to};
use crate::place::{Door, PATIENCE, SECOND, Work, through, work};
use crate::pushing::{LIMIT, due_in, ends, limited, waits};
use crate::restarting::until_nothing_is_stuck;

/// A job in an encoding of its own.
#[derive(Debug, Serialize, Deserialize)]
struct Compact(u64);

impl Job for Compact {
    const NAME: &'static str = "compact";
    const CODEC: Codec = Codec::Bincode;
    type Output = u64;
}

fn page(status: u16, headers: &str) -> Step {
    let headers = format!("content-type: text/html\r\n{headers}");
    Step::Say(answer(status, &headers, "<html>Bad Gateway</html>"))
}

fn executed(body: &Value) -> Step {
    Step::Say(json_answer(200, body))
}

fn succeeded() -> Step {
    executed(&json!({"end": {"kind": "succeeded"}, "output": "done there"}))
}

/// What loses a call of a job in JSON, and what is known then.
fn losses() -> Vec<(Step, &'static str)> {
    let broken = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    let none = json!({});
    vec![
        (Step::HangUp, "Peer disconnected"),
        (
            Step::SayAndClose("nonsense\r\n\r\n".into()),
            "its answer is no HTTP",
        ),
        (
            Step::SayAndClose(broken.into()),
            "its answer 200 broke off: Peer disconnected",
        ),
        // What stands before hosts, which may have sent the call on.
        (page(502, ""), "502 came, and not from a host"),
        (
            page(503, "retry-after: 1\r\n"),
            "503 came, and not from a host",
        ),
        (page(504, ""), "504 came, and not from a host"),
        (page(200, ""), "its answer 200 is not of this protocol"),
        (page(404, ""), "404 came, and not from a host"),
        (
            Step::Say(problem(502, "full", &none)),
            "502 came, and not from a host",
        ),
        (
            Step::Say(problem(503, "unheard_of", &none)),
            "503 came, and not from a host",
        ),
        (
            Step::Say(problem(500, "outcome_unknown", &none)),
            "500 (outcome_unknown) came: the host says why",
        ),
        (
            executed(&json!({"output": "done"})),
            "its answer 200 is not of this protocol",
        ),
        (
            executed(&json!({"end": {"kind": "unheard_of"}})),
            "its answer 200 is not of this protocol",
        ),
        (
            executed(&json!({"end": {"kind": "succeeded"}})),
            "it succeeded, by its answer, and the output is missing",
        ),
        (
            executed(&json!({"end": {"kind": "succeeded"}, "bincode": {"output": "AA=="}})),
            "it succeeded, by its answer, and the output is missing",
        ),
    ]
}

/// The same of a job in Bincode.
fn losses_of_bytes() -> Vec<(Step, &'static str)> {
    let end = json!({"kind": "succeeded"});
    vec![
        (
            executed(&json!({"end": end, "bincode": {"output": "AA"}})),
            "its answer holds invalid base64",
        ),
        (
            executed(&json!({"end": end, "bincode": {"payload": "?", "output": "AA=="}})),
            "its answer holds invalid base64",
        ),
        (
            executed(&json!({"end": end, "output": 1})),
            "it succeeded, by its answer, and the output is missing",
        ),
        (
            executed(&json!({"end": end, "bincode": {"payload": "AA=="}})),
            "it succeeded, by its answer, and the output is missing",
        ),
    ]
}

/// Runs a job in a queue that has lost calls fail, and asks the host what came.
fn failed<J: Job>(job: J, step: Step) -> (Completed<J>, Vec<Asked>) {
    let host = Scripted::new([step]);
    let queue = default().push_to(host.url()).on_unknown(OnUnknown::Fail);
    let manager = pusher(queue).start().unwrap();
    let receipt = manager.enqueue(NewJob::new(job)).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    (done, host.asked())
}

fn is_unknown<J: Job>((done, asked): &(Completed<J>, Vec<Asked>), why: &str) {
    assert_eq!(asked.len(), 1, "it was sent once");
    assert_eq!(done.attempts(), 1);
    let unknown = AttemptEnd::Unknown(why.into());
    assert_eq!(done.history()[0].end, unknown);
    let failure = done.output().err().unwrap();
    let message = format!("nobody knows how it ended: {why}");
    assert_eq!(
        (failure.reason(), failure.message()),
        (Reason::Unknown, message.as_str())
    );
}

#[test]
fn a_queue_may_have_jobs_fail_whose_calls_are_lost() {
    for (step, why) in losses() {
        is_unknown(&failed(work("a"), step), why);
    }
    for (step, why) in losses_of_bytes() {
        is_unknown(&failed(Compact(7), step), why);
    }
}

#[test]
fn a_job_whose_call_is_lost_is_tried_again_at_the_lost_calls_deadline() {
    for (step, why) in losses() {
        let (host, clock) = (Scripted::new([step, succeeded()]), ManualClock::new());
        let queue = default().push_to(host.url()).on_unknown(OnUnknown::Retry);
        let manager = pusher(queue).clock(clock.clone()).start().unwrap();
        let receipt = manager.enqueue(limited("a").attempts(2)).unwrap();
        let status = waits(&manager, &receipt);
        assert_eq!(ends(&status), [AttemptEnd::Unknown(why.into())]);
        assert_eq!((status.attempts(), due_in(&status, &clock)), (1, LIMIT));
        clock.advance(LIMIT - SECOND);
        manager.counts().unwrap();
        let state = manager.status(&receipt).unwrap().state();
        assert_eq!(state, StateKind::Scheduled);
        clock.advance(SECOND);
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(done.attempts(), 2);
        assert_eq!(done.into_output().unwrap(), "done there");
        let [first, second] = <[Asked; 2]>::try_from(host.asked()).unwrap();
        assert_eq!(
            (&first.body["attempt"], &second.body["attempt"]),
            (&json!(1), &json!(2))
        );
        for same in ["store", "job", "payload", "deadline_ms"] {
            assert_eq!(first.body[same], second.body[same]);
        }
        assert_ne!(first.body["token"], second.body["token"]);
    }
}

#[test]
fn a_job_that_outlasts_the_grace_of_its_host_has_an_unknown_end() {
    let door = Door::new();
    let (host, told) = serving(through(Manager::builder(MemoryStore::new()), &door).executors(1));
    let queue = default().push_to(to(&told)).on_unknown(OnUnknown::Fail);
    let manager = pusher(queue).start().unwrap();
    let receipt = manager.enqueue(work("a")).unwrap();
    door.arrived();
    host.shutdown(Duration::ZERO).unwrap();
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(
        ends_of(&done),
        [AttemptEnd::Unknown(
            "500 (outcome_unknown) came: the host ended meanwhile".into()
        )]
    );
    door.open(1);
    until_nothing_is_stuck(&manager);
}

fn ends_of(done: &Completed<Work>) -> Vec<AttemptEnd> {
    let history = done.history().iter();
    history.map(|attempt| attempt.end.clone()).collect()
}

#[test]
fn a_call_never_asks_for_more_than_a_day() {
    let host = Scripted::new([succeeded()]);
    let manager = pusher(Queue::new("default").push_to(host.url()));
    let manager = manager.start().unwrap();
    let long = NewJob::new(work("a")).timeout(Duration::MAX);
    let receipt = manager.enqueue(long).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    let deadline = host.asked()[0].body["deadline_ms"].as_u64().unwrap();
    assert!(deadline <= 86_400_000, "{deadline}");
}
