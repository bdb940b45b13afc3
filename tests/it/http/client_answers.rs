//! Answers that are not what the protocol says, and refusals.

use std::time::Duration;

use jobkeep::http::{Client, Pool};
use jobkeep::{AttemptEnd, Error, ParkReason, Reason, StateKind, Timestamp};
use serde_json::{Value, json};

use super::client_script::{
    Scripted, Step, accepted, answer, job, json_answer, problem, receipt, succeeded,
};
use super::wire::Echo;

const PATIENCE: Duration = Duration::from_secs(60);

fn echo() -> Echo {
    Echo {
        text: "payload".into(),
    }
}

/// What a client makes of this answer to a create.
fn create(text: String) -> (String, Error) {
    let host = Scripted::new([Step::Say(text)]);
    let client = Client::builder(Pool::host(host.url())).token("s3cret");
    let client = client.patience(Duration::ZERO).build().unwrap();
    let error = client.enqueue(echo()).unwrap_err();
    let url = host.url();
    assert_eq!(host.asked().len(), 1);
    let text = format!("{error} {error:?} {client:?}");
    assert!(
        !text.contains("s3cret") && !text.contains("payload"),
        "{text}"
    );
    (error.to_string().replace(&url, "URL"), error)
}

/// What it makes of this answer to a question.
fn ask(text: String) -> Error {
    let host = Scripted::new([Step::Say(text)]);
    let client = Client::builder(host.url()).build().unwrap();
    let error = client.completed(&receipt()).err().unwrap();
    assert_eq!(host.asked().len(), 1);
    error
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Scripted::new([]);
    let location = format!("location: {}/v1/jobs\r\n", elsewhere.url());
    for status in [301, 302, 303, 307, 308] {
        let (text, error) = create(answer(status, &location, ""));
        assert!(!error.is_unknown());
        assert_eq!(
            text,
            format!(
                "enqueue job `echo` at URL: the answer was {status}: a redirect, which is not followed: \
                 give the URL that it leads to"
            )
        );
    }
    assert_eq!(elsewhere.asked(), []);
}

#[test]
fn an_acceptance_that_cannot_be_read_may_be_one_all_the_same() {
    let good = receipt();
    let with = |field: &str, value: Value| {
        let mut body = accepted(&good);
        body[field] = value;
        json_answer(201, &body)
    };
    let html = "content-type: text/html\r\n";
    let enormous = "HTTP/1.1 201 Created\r\ncontent-length: 1000000000000\r\n\r\n{";
    let broken = "HTTP/1.1 201 Created\r\ncontent-length: 10\r\nconnection: close\r\n\r\n{";
    let cases = [
        (
            answer(201, html, "<html>"),
            "its answer 201 is not of this protocol",
        ),
        (
            answer(200, html, "<html>"),
            "its answer 200 is not of this protocol",
        ),
        (
            answer(204, "", ""),
            "the answer was 204: not a host's answer",
        ),
        (
            json_answer(201, &json!([])),
            "its answer 201 is not of this protocol",
        ),
        (
            with("receipt", json!("nonsense")),
            "its answer holds something that is no receipt",
        ),
        (
            with("server", json!("web-2")),
            "its answer holds a receipt of another server or job",
        ),
        (
            with("number", json!(77)),
            "its answer holds a receipt of another server or job",
        ),
        (
            enormous.into(),
            "its answer 201 is larger than 134217728 bytes",
        ),
        ("nonsense\r\n\r\n".into(), "its answer is no HTTP"),
        (
            answer(500, html, "<html>"),
            "the answer was 500: not a host's answer",
        ),
        (
            problem(500, "outcome_unknown", &json!({})),
            "the host answered 500 (outcome_unknown): the host says why",
        ),
    ];
    for (text, told) in cases {
        let (text, error) = create(text);
        assert!(error.is_unknown(), "{error}");
        assert_eq!(
            text,
            format!(
                "enqueue job `echo` at URL: {told}: it may have been accepted all the same: enqueue it \
                 again only where a second one does no harm"
            )
        );
    }
    let host = Scripted::new([Step::SayAndClose(broken.into())]);
    let client = Client::builder(host.url()).build().unwrap();
    assert!(client.enqueue(echo()).unwrap_err().is_unknown());
}

#[test]
fn fewer_receipts_than_jobs_are_no_acceptance_that_can_be_read() {
    let body = json!({"jobs": [accepted(&receipt())]});
    let host = Scripted::new([Step::Say(json_answer(201, &body))]);
    let client = Client::builder(host.url()).build().unwrap();
    let error = client.enqueue_all([echo(), echo()]).unwrap_err();
    assert!(error.is_unknown());
    assert_eq!(
        error.to_string(),
        format!(
            "enqueue 2 jobs at {}: its answer holds 1 receipts for 2 jobs: it may have been accepted all \
             the same: enqueue it again only where a second one does no harm",
            host.url()
        )
    );
    assert_eq!(host.asked()[0].line, "POST /v1/batches");
}

#[test]
fn a_refusal_tells_the_program_what_to_act_upon() {
    type Predicate = fn(&Error) -> bool;
    let state = json!({"state": "running"});
    let held = json!({"job": 7});
    let none = json!({});
    let cases: [(u16, &str, &Value, Predicate); 17] = [
        (400, "bad_receipt", &none, Error::is_bad_receipt),
        (401, "unauthorized", &none, Error::is_denied),
        (403, "forbidden", &none, Error::is_denied),
        (404, "never_existed", &none, Error::is_never_existed),
        (409, "illegal_state", &state, |error| {
            error.illegal_state() == Some(StateKind::Running)
        }),
        (409, "key_conflict", &held, |error| {
            error.key_conflict_with().map(|job| job.0) == Some(7)
        }),
        (410, "pruned", &none, Error::is_pruned),
        (410, "store_replaced", &none, Error::is_replaced),
        (410, "lost", &none, Error::is_lost),
        (413, "too_large", &none, Error::is_too_large),
        (421, "other_server", &none, Error::is_other_server),
        (422, "unknown_queue", &none, Error::is_undeclared_queue),
        (422, "undecodable", &none, Error::is_codec),
        (429, "too_many", &none, Error::is_too_many),
        (500, "damaged", &none, Error::is_damaged),
        (503, "full", &none, Error::is_full),
        (503, "shutting_down", &none, Error::is_shut_down),
    ];
    for (status, code, more, is_it) in cases {
        let text = problem(status, code, more);
        let (told, error) = create(text.clone());
        assert!(is_it(&error) && !error.is_unknown(), "{error}");
        let begin = format!("enqueue job `echo` at URL: the host answered {status} ({code}): ");
        assert!(told.starts_with(&begin), "{told}");
        assert!(is_it(&ask(text)), "{code}");
    }
}

#[test]
fn a_host_is_asked_whether_it_wants_a_large_body() {
    let host = Scripted::new([Step::Interrupt(problem(413, "too_large", &json!({})))]);
    let client = Client::builder(host.url()).build().unwrap();
    let text = "x".repeat(32 << 20);
    let error = client.enqueue(Echo { text }).unwrap_err();
    assert!(error.is_too_large() && !error.is_unknown(), "{error}");
    assert!(host.asked()[0].head.contains("expect: 100-continue"));
}

#[test]
fn a_refusal_by_what_stands_before_the_hosts_is_told_as_such() {
    type Predicate = fn(&Error) -> bool;
    let cases: [(u16, Predicate); 5] = [
        (401, Error::is_denied),
        (403, Error::is_denied),
        (413, Error::is_too_large),
        (429, Error::is_too_many),
        (404, |error| !error.is_never_existed()),
    ];
    for (status, is_it) in cases {
        let (_, error) = create(answer(status, "content-type: text/html\r\n", "<html>"));
        assert!(is_it(&error) && !error.is_unknown(), "{error}");
    }
    // A code that is not of this status is not a host's.
    let (_, error) = create(problem(404, "full", &json!({})));
    assert!(!error.is_full());
}

#[test]
fn what_a_host_says_is_not_told_at_any_length() {
    let more = json!({"detail": format!("{}\n{}", "a".repeat(400), "b".repeat(4_000))});
    let (text, _) = create(problem(422, "unknown_name", &more));
    assert!(!text.contains('\n') && text.len() < 600, "{text}");
    let (_, error) = create(problem(
        422,
        "unknown_name",
        &json!({"detail": "c".repeat(100_000)}),
    ));
    assert!(error.is_unknown());
}

#[test]
fn an_answer_about_another_job_is_an_error() {
    let (good, other) = (receipt(), receipt());
    let host = Scripted::new([Step::Say(succeeded(&other))]);
    let client = Client::builder(host.url()).build().unwrap();
    let error = client.completed(&good).err().unwrap();
    let url = host.url();
    assert_eq!(
        error.to_string(),
        format!("look up job 1 at {url}: its answer is about another job")
    );
}

#[test]
fn a_host_that_cannot_be_reached_is_asked_again_as_long_as_patience_lasts() {
    let receipt = receipt();
    let host = Scripted::new([
        Step::HangUp,
        Step::Say(problem(503, "full", &json!({}))),
        Step::Say(answer(502, "content-type: text/html\r\n", "<html>")),
        Step::Say(json_answer(200, &job(&receipt, "running", &json!({})))),
        Step::Say(succeeded(&receipt)),
    ]);
    let client = Client::builder(host.url()).build().unwrap();
    let done = client.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap(), "out");
    assert_eq!(done.job().unwrap().text, "left");
    let asked = host.asked();
    assert_eq!(asked.len(), 5);
    // No longer at a time than balancers let a connection rest.
    let path = format!("GET /v1/jobs/{receipt}?wait_ms=25000");
    assert!(
        asked.iter().all(|request| request.line == path),
        "{asked:?}"
    );
}

/// A create that is refused so is over: this one only asks.
#[test]
fn who_waits_for_a_job_outlasts_what_a_balancer_says_meanwhile() {
    let receipt = receipt();
    let html = "content-type: text/html\r\n";
    let later = format!("{html}retry-after: 0\r\n");
    let host = Scripted::new([
        Step::Say(answer(429, &later, "<html>")),
        Step::SayAndClose(answer(
            404,
            "content-type: text/plain\r\n",
            "404 page not found",
        )),
        Step::Say(answer(404, html, "<html>")),
        Step::Say(problem(429, "too_many", &json!({"retry_after": 0}))),
        Step::Say(answer(504, html, "<html>")),
        Step::Say(succeeded(&receipt)),
    ]);
    let client = Client::builder(host.url()).build().unwrap();
    client.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(host.asked().len(), 6);
}

#[test]
fn who_waits_for_a_job_gives_up_where_a_host_says_that_it_is_not_there() {
    let receipt = receipt();
    let cases = [
        problem(404, "never_existed", &json!({})),
        problem(404, "no_such_path", &json!({})),
        problem(410, "pruned", &json!({})),
        answer(403, "content-type: text/html\r\n", "<html>"),
        // It wants to be asked again when nobody waits any more.
        answer(
            429,
            "content-type: text/html\r\nretry-after: 86400\r\n",
            "<html>",
        ),
    ];
    for told in cases {
        let host = Scripted::new([Step::Say(told)]);
        let client = Client::builder(host.url()).build().unwrap();
        let error = client.wait(&receipt, PATIENCE).err().unwrap();
        assert!(!error.is_unreachable(), "{error}");
        assert_eq!(host.asked().len(), 1);
    }
}

#[test]
fn a_pattern_puts_the_servers_name_where_it_says() {
    let receipt = receipt();
    let host = Scripted::new([Step::Say(succeeded(&receipt))]);
    let pattern = format!("{}/hosts/{{server}}/", host.url());
    let client = Client::builder("http://127.0.0.1:1").servers(pattern);
    let client = client.token("s3cret").build().unwrap();
    assert!(client.completed(&receipt).unwrap().is_some());
    let asked = host.asked();
    assert_eq!(asked[0].line, format!("GET /hosts/web-1/v1/jobs/{receipt}"));
    assert!(asked[0].head.contains("authorization: bearer s3cret"));
}

#[test]
fn without_patience_a_host_is_asked_once() {
    let receipt = receipt();
    let host = Scripted::new([Step::HangUp]);
    let client = Client::builder(host.url()).build().unwrap();
    let error = client.wait(&receipt, Duration::ZERO).err().unwrap();
    assert!(error.is_unreachable() && !error.is_unknown() && !error.is_timed_out());
    let asked = host.asked();
    assert_eq!(asked[0].line, format!("GET /v1/jobs/{receipt}"));
}

#[test]
fn an_order_whose_answer_was_lost_may_have_been_obeyed() {
    let receipt = receipt();
    let host = Scripted::new([Step::HangUp, Step::HangUp, Step::HangUp]);
    let client = Client::builder(Pool::host(host.url())).build().unwrap();
    assert!(client.cancel(&receipt).unwrap_err().is_unknown());
    assert!(client.retry(&receipt).unwrap_err().is_unknown());
    assert!(client.remove(&receipt).unwrap_err().is_unknown());
    let lines = host.asked().into_iter().map(|request| request.line);
    let paths = [
        format!("POST /v1/jobs/{receipt}/cancel"),
        format!("POST /v1/jobs/{receipt}/retry"),
        format!("DELETE /v1/jobs/{receipt}"),
    ];
    assert_eq!(lines.collect::<Vec<_>>(), paths);
    let nobody = Client::builder("http://127.0.0.1:1").build().unwrap();
    let error = nobody.cancel(&receipt).unwrap_err();
    assert!(error.is_unreachable() && !error.is_unknown());
}

#[test]
fn every_end_of_an_attempt_is_read() {
    let receipt = receipt();
    let attempt = |end: Value| json!({"number": 1, "started_ms": 10, "ended_ms": 20, "end": end, "log": ["line"]});
    let history = [
        json!({"kind": "timed_out", "after_ms": 5}),
        json!({"kind": "succeeded"}),
        json!({"kind": "error", "messages": ["a", "b"]}),
        json!({"kind": "permanent", "messages": ["a"]}),
        json!({"kind": "panicked", "message": "oh", "location": "src/a.rs:1:2"}),
        json!({"kind": "snoozed", "until_ms": 30}),
        json!({"kind": "cancelled", "messages": ["a"]}),
        json!({"kind": "interrupted", "begun": true}),
        json!({"kind": "undecodable", "message": "what"}),
        json!({"kind": "something_newer", "field": 1}),
    ];
    let more = json!({
        "finished_ms": 2000, "attempts": 10, "interruptions": 1, "payload": {"text": "left"},
        "failure": {"reason": "timed_out", "message": "so it was"},
        "history": history.map(attempt),
    });
    let host = Scripted::new([Step::Say(json_answer(200, &job(&receipt, "failed", &more)))]);
    let client = Client::builder(host.url()).build().unwrap();
    let done = client.completed(&receipt).unwrap().unwrap();
    let messages = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect::<Vec<_>>();
    let ends = [
        AttemptEnd::TimedOut(5),
        AttemptEnd::Succeeded,
        AttemptEnd::Error(messages(&["a", "b"])),
        AttemptEnd::Permanent(messages(&["a"])),
        AttemptEnd::Panicked {
            message: "oh".into(),
            location: "src/a.rs:1:2".into(),
        },
        AttemptEnd::Snoozed(Timestamp(30)),
        AttemptEnd::Cancelled(messages(&["a"])),
        AttemptEnd::Interrupted { begun: true },
        AttemptEnd::Undecodable("what".into()),
        AttemptEnd::Error(messages(&["so it was"])),
    ];
    let read = done.history().iter().map(|attempt| attempt.end.clone());
    assert_eq!(read.collect::<Vec<_>>(), ends);
    assert_eq!(done.history()[0].log, ["line"]);
    assert_eq!(done.interruptions(), 1);
    let failure = done.output().unwrap_err();
    assert_eq!(failure.reason(), Reason::TimedOut);
    assert_eq!(failure.message(), "ran longer than its time-out of 5 ms");
}

#[test]
fn every_reason_of_parking_is_read() {
    let receipt = receipt();
    let reasons = [
        (json!({"reason": "unknown_name"}), ParkReason::UnknownName),
        (json!({"reason": "unknown_queue"}), ParkReason::UnknownQueue),
        (
            json!({"reason": "undecodable", "message": "a"}),
            ParkReason::Undecodable("a".into()),
        ),
        (
            json!({"reason": "unreadable", "message": "a"}),
            ParkReason::Unreadable("a".into()),
        ),
        (
            json!({"reason": "crashing", "message": "a", "times": 3}),
            ParkReason::Crashing(3),
        ),
        (
            json!({"reason": "something_newer", "message": "a"}),
            ParkReason::Unreadable("something_newer: a".into()),
        ),
    ];
    for (told, reason) in reasons {
        let parked = job(&receipt, "parked", &json!({"parked": told}));
        let host = Scripted::new([Step::Say(json_answer(200, &parked))]);
        let client = Client::builder(host.url()).build().unwrap();
        let status = client.status(&receipt).unwrap();
        assert_eq!(status.state(), StateKind::Parked);
        assert_eq!(status.parked(), Some(&reason));
    }
}

#[test]
fn a_job_that_does_not_hold_together_is_an_error() {
    let receipt = receipt();
    let cases = [
        (
            job(&receipt, "dreaming", &json!({})),
            "its answer tells a state that this version does not know",
        ),
        (
            job(&receipt, "scheduled", &json!({})),
            "its answer does not tell when the job is due",
        ),
        (
            job(&receipt, "parked", &json!({})),
            "its answer does not tell why the job is parked",
        ),
        (
            job(&receipt, "failed", &json!({})),
            "its answer holds no payload",
        ),
        (
            job(&receipt, "succeeded", &json!({"payload": {"text": ""}})),
            "its answer is of a job that is succeeded, and its output does not fit",
        ),
        (
            job(&receipt, "failed", &json!({"bincode": {"payload": "???"}})),
            "its answer holds bytes that are no base64",
        ),
    ];
    for (body, told) in cases {
        let error = ask_of(&receipt, &body);
        assert!(error.ends_with(told), "{error}");
    }
}

fn ask_of(receipt: &jobkeep::Receipt<Echo>, body: &Value) -> String {
    let host = Scripted::new([Step::Say(json_answer(200, body))]);
    let client = Client::builder(host.url()).build().unwrap();
    client.completed(receipt).err().unwrap().to_string()
}
