//! What is sent again, and what is not, because it may have arrived.

use std::time::Duration;

use jobkeep::http::{Client, ClientBuilder, Pool};
use jobkeep::{Durability, NewJob};
use serde_json::json;

use super::client_script::{Scripted, Step, answer, created, problem, receipt};
use super::wire::Echo;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

fn echo() -> Echo {
    Echo {
        text: "hello".into(),
    }
}

fn once(pool: impl Into<Pool>) -> Client {
    let builder: ClientBuilder = Client::builder(pool);
    builder.patience(Duration::ZERO).build().unwrap()
}

fn long(pool: impl Into<Pool>) -> Client {
    let patience = Duration::from_secs(60);
    Client::builder(pool).patience(patience).build().unwrap()
}

fn bad_gateway() -> String {
    let headers = "content-type: text/html\r\nserver: nginx\r\n";
    answer(502, headers, "<html>502 Bad Gateway</html>")
}

#[test]
fn a_host_that_is_not_there_has_accepted_nothing() {
    let error = once(NOBODY).enqueue(echo()).unwrap_err();
    assert!(error.is_unreachable() && !error.is_unknown());
    assert_eq!(
        error.to_string(),
        "enqueue job `echo` at http://127.0.0.1:1: Connection refused (os error 111): nothing was \
         accepted: try again later"
    );
}

#[test]
fn what_is_no_tls_has_accepted_nothing() {
    let host = Scripted::new([Step::Greet("220 mail.example.org ready\r\n")]);
    let url = host.url().replace("http:", "https:");
    let error = once(url).enqueue(echo()).unwrap_err();
    assert!(error.is_unreachable() && !error.is_unknown(), "{error}");
    assert_eq!(host.asked(), []);
}

#[test]
fn what_was_refused_for_the_moment_is_sent_again_with_its_key() {
    let receipt = receipt();
    for code in ["full", "shutting_down", "store_refuses"] {
        let host = Scripted::new([
            Step::Say(problem(503, code, &json!({}))),
            Step::Say(created(&receipt)),
        ]);
        assert_eq!(long(host.url()).enqueue(echo()).unwrap(), receipt);
        let asked = host.asked();
        assert_eq!(asked[0], asked[1]);
        let key = asked[0].body["key"].as_str().unwrap();
        assert!(
            key.starts_with("jobkeep.client/") && key.len() < 64,
            "{key}"
        );
    }
}

#[test]
fn without_patience_it_is_sent_once() {
    let host = Scripted::new([Step::Say(problem(503, "full", &json!({})))]);
    let client = once(host.url());
    let error = client.enqueue(echo()).unwrap_err();
    assert!(error.is_full() && !error.is_unknown());
    let url = host.url();
    assert_eq!(
        error.to_string(),
        format!(
            "enqueue job `echo` at {url}: the host answered 503 (full): the host says why: nothing was \
             accepted: try again later"
        )
    );
    assert_eq!(host.asked().len(), 1);
}

#[test]
fn a_host_that_wants_more_time_than_patience_has_is_not_waited_for() {
    let full = problem(503, "shutting_down", &json!({}));
    let full = full.replace("\r\n\r\n", "\r\nretry-after: 3600\r\n\r\n");
    let host = Scripted::new([Step::Say(full)]);
    let error = long(host.url()).enqueue(echo()).unwrap_err();
    assert!(error.is_shut_down());
    assert_eq!(host.asked().len(), 1);
}

#[test]
fn hosts_are_gone_to_in_turn() {
    let receipt = receipt();
    let host = Scripted::new([Step::Say(created(&receipt)), Step::Say(created(&receipt))]);
    let client = once(Pool::hosts([NOBODY.to_owned(), host.url()]));
    assert_eq!(client.enqueue(echo()).unwrap(), receipt);
    assert_eq!(client.enqueue(echo()).unwrap(), receipt);
    assert_eq!(host.asked().len(), 2);
}

#[test]
fn a_lost_answer_of_a_balancer_is_not_asked_for_again() {
    for step in [Step::HangUp, Step::Say(bad_gateway())] {
        let balancer = Scripted::new([step]);
        let error = long(balancer.url()).enqueue(echo()).unwrap_err();
        assert!(error.is_unknown() && !error.is_unreachable(), "{error}");
        assert!(
            error.to_string().ends_with(
                ": it may have been accepted all the same: enqueue it again only where a second one \
                 does no harm"
            ),
            "{error}"
        );
        assert_eq!(balancer.asked().len(), 1);
    }
}

#[test]
fn a_503_that_no_host_wrote_may_come_after_the_acceptance() {
    let page = answer(503, "content-type: text/html\r\nretry-after: 0\r\n", "busy");
    let balancer = Scripted::new([Step::Say(page)]);
    assert!(
        long(balancer.url())
            .enqueue(echo())
            .unwrap_err()
            .is_unknown()
    );
    assert_eq!(balancer.asked().len(), 1);
}

#[test]
fn a_lost_answer_of_a_balancer_is_asked_for_again_where_the_client_is_told_to() {
    let receipt = receipt();
    let balancer = Scripted::new([
        Step::HangUp,
        Step::Say(bad_gateway()),
        Step::Say(created(&receipt)),
    ]);
    let client = Client::builder(balancer.url()).repeat_unanswered(true);
    let client = client.patience(Duration::from_secs(60)).build().unwrap();
    assert_eq!(client.enqueue(echo()).unwrap(), receipt);
    assert_eq!(balancer.asked().len(), 3);
}

#[test]
fn a_lost_answer_of_a_host_is_asked_for_again_with_the_same_key() {
    let receipt = receipt();
    let host = Scripted::new([
        Step::HangUp,
        Step::Say(bad_gateway()),
        Step::Say(created(&receipt)),
    ]);
    let other = Scripted::new([]);
    // The host that may have the job is asked again, and no other.
    let client = long(Pool::hosts([host.url(), other.url()]));
    assert_eq!(client.enqueue(echo()).unwrap(), receipt);
    let asked = host.asked();
    assert!(asked.iter().all(|request| *request == asked[0]));
    assert_eq!(other.asked(), []);
}

#[test]
fn each_call_has_a_key_of_its_own_and_a_given_one_is_kept() {
    let receipt = receipt();
    let host = Scripted::new((0..3).map(|_| Step::Say(created(&receipt))));
    let client = once(host.url());
    client.enqueue(echo()).unwrap();
    client.enqueue(echo()).unwrap();
    client.enqueue(NewJob::new(echo()).key("mine")).unwrap();
    let asked = host.asked();
    assert_ne!(asked[0].body["key"], asked[1].body["key"]);
    assert_eq!(asked[2].body["key"], "mine");
}

#[test]
fn a_refusal_after_a_lost_answer_leaves_it_unknown() {
    let host = Scripted::new([
        Step::HangUp,
        Step::Say(problem(401, "unauthorized", &json!({}))),
    ]);
    let url = host.url();
    let error = long(Pool::host(host.url())).enqueue(echo()).unwrap_err();
    assert!(error.is_unknown() && !error.is_denied());
    assert_eq!(
        error.to_string(),
        format!(
            "enqueue job `echo` at {url}: the host answered 401 (unauthorized): the host says why: the \
             answer to an earlier try was lost, which may have been accepted"
        )
    );
    assert_eq!(host.asked().len(), 2);
}

#[test]
fn a_buffered_job_has_no_key_and_is_not_sent_twice() {
    let host = Scripted::new([Step::HangUp]);
    let job = NewJob::new(echo()).durability(Durability::Buffered);
    let error = long(Pool::host(host.url())).enqueue(job).unwrap_err();
    assert!(error.is_unknown());
    let asked = host.asked();
    assert_eq!(asked[0].body["key"], json!(null));
    assert_eq!(asked[0].body["durability"], "buffered");
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_not_used_again() {
    let receipt = receipt();
    let balancer = Scripted::new([
        Step::SayAndClose(created(&receipt)),
        Step::SayAndClose(created(&receipt)),
    ]);
    let client = once(balancer.url());
    client.enqueue(echo()).unwrap();
    balancer.closed.recv().unwrap();
    client.enqueue(echo()).unwrap();
    assert_eq!(balancer.asked().len(), 2);
}

#[test]
fn an_answer_that_does_not_come_in_time_may_have_been_an_acceptance() {
    let balancer = Scripted::new([Step::Silence]);
    let url = balancer.url();
    let client = Client::builder(balancer.url()).timeout(Duration::from_millis(100));
    let error = client.build().unwrap().enqueue(echo()).unwrap_err();
    assert!(error.is_unknown());
    assert_eq!(
        error.to_string(),
        format!(
            "enqueue job `echo` at {url}: no answer came within 100 ms: it may have been accepted all \
             the same: enqueue it again only where a second one does no harm"
        )
    );
    assert_eq!(balancer.asked().len(), 1);
}
