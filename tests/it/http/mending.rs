//! Parked jobs: asked for, run again and amended over HTTP.

use std::time::Duration;

use jobkeep::http::{Client, Pool, Serving};
use jobkeep::{
    Builder, Codec, Enqueue, Job, Manager, NewJob, ParkReason, Queue, Receipt, StateKind,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wire::{Answer, Echo, Told, builder, get, post, send, started};
use crate::place::PATIENCE;

/// What [`Echo`] was before.
#[derive(Debug, Serialize, Deserialize)]
struct Older {
    words: u32,
}

impl Job for Older {
    const NAME: &'static str = "echo";
    type Output = String;
}

/// A type that this host does not know.
#[derive(Debug, Serialize, Deserialize)]
struct Unknown;

impl Job for Unknown {
    const NAME: &'static str = "unknown";
    type Output = ();
}

/// One that is not created over HTTP, and is not encoded as JSON.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    amount: u8,
}

impl Job for Inner {
    const NAME: &'static str = "inner";
    const REMOTE: bool = false;
    const CODEC: Codec = Codec::Bincode;
    type Output = u8;
}

fn serve(builder: Builder) -> (Manager, Told) {
    let manager = builder.start().unwrap();
    let told = started(&manager, |server| server);
    (manager, told)
}

fn client(serving: &Serving) -> Client {
    let url = format!("http://{}", serving.address());
    Client::builder(Pool::host(url)).build().unwrap()
}

/// A job that this host cannot decode.
fn undecodable(manager: &Manager) -> Receipt<Echo> {
    let receipt = manager.enqueue(Older { words: 7 }).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).unwrap_err().is_parked());
    receipt.untyped().typed()
}

fn amend<J>(told: &Told, receipt: &Receipt<J>, body: &Value) -> Answer {
    let path = format!("/v1/jobs/{receipt}/payload");
    let headers = "content-type: application/json\r\n";
    send(
        told.serving.address(),
        "PUT",
        &path,
        headers,
        &body.to_string(),
    )
}

fn retry<J>(told: &Told, receipt: &Receipt<J>) -> Answer {
    let path = format!("/v1/jobs/{receipt}/retry");
    send(told.serving.address(), "POST", &path, "", "")
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (status, &json!(code)),
        "{answer:?}"
    );
}

#[test]
fn who_waits_for_a_parked_job_is_answered_at_once() {
    let (manager, told) = serve(builder());
    let receipt = undecodable(&manager);
    let unknown = manager.enqueue(Unknown).unwrap();
    let answer = get(
        told.serving.address(),
        &format!("/v1/jobs/{receipt}?wait_ms=25000"),
    );
    assert_eq!(
        (answer.status, &answer.body["state"]),
        (200, &json!("parked"))
    );
    let why = "missing field `text` at line 1 column 11";
    let parked = json!({"reason": "undecodable", "message": why});
    assert_eq!(answer.body["parked"], parked);

    let client = client(&told.serving);
    let error = client.wait(&receipt, PATIENCE).unwrap_err();
    assert!(error.is_parked(), "{error}");
    assert_eq!(
        error.park_reason(),
        Some(&ParkReason::Undecodable(why.into()))
    );
    assert_eq!(
        error.to_string(),
        format!(
            "wait for job 1: it is parked: its payload does not decode: {why}: start with a type that it \
             decodes to, or give it another payload with `amend`"
        )
    );
    let queue: &dyn Enqueue = &client;
    let error = queue.wait(&unknown, PATIENCE).unwrap_err();
    assert_eq!(error.park_reason(), Some(&ParkReason::UnknownName));
    assert!(queue.completed(&unknown).unwrap().is_none());
    assert!(client.completed(&receipt).unwrap().is_none());
}

#[test]
fn who_waits_for_a_job_that_becomes_parked_is_answered_then() {
    let (manager, told) = serve(builder());
    manager.pause("default").unwrap();
    let receipt = manager.enqueue(Older { words: 7 }).unwrap();
    let client = client(&told.serving);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| client.wait(&receipt, PATIENCE).unwrap_err());
        manager.resume("default").unwrap();
        assert!(waiter.join().unwrap().is_parked());
    });
}

#[test]
fn a_parked_job_is_run_again_where_the_host_lacks_nothing() {
    let (manager, told) = serve(builder());
    let (parked, unknown) = (undecodable(&manager), manager.enqueue(Unknown).unwrap());
    assert_eq!(retry(&told, &parked).status, 204);
    assert!(manager.wait(&parked, PATIENCE).unwrap_err().is_parked());
    let answer = retry(&told, &unknown);
    refused(&answer, 409, "parked");
    assert_eq!(answer.body["parked"], json!({"reason": "unknown_name"}));
    let client = client(&told.serving);
    client.retry(&parked).unwrap();
    let error = client.retry(&unknown).unwrap_err();
    assert!(error.is_parked(), "{error}");
    assert_eq!(error.park_reason(), Some(&ParkReason::UnknownName));
}

#[test]
fn a_job_is_amended_by_what_its_registered_type_takes() {
    let (manager, told) = serve(builder().handle::<Inner>(|inner, _| Ok(inner.amount)));
    let receipt = undecodable(&manager);
    refused(
        &amend(&told, &receipt, &json!({"payload": {"words": 8}})),
        422,
        "undecodable",
    );
    refused(&amend(&told, &receipt, &json!({})), 422, "undecodable");
    refused(
        &amend(&told, &receipt, &json!({"value": 1})),
        400,
        "malformed",
    );
    let path = format!("/v1/jobs/{receipt}/payload");
    let answer = send(told.serving.address(), "PUT", &path, "", "{}");
    refused(&answer, 415, "not_json");
    let answer = amend(&told, &receipt, &json!({"payload": {"text": "mended"}}));
    assert_eq!(answer.status, 204, "{answer:?}");
    let done = manager.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), "mended");
    refused(
        &amend(&told, &receipt, &json!({"payload": {"text": "x"}})),
        409,
        "illegal_state",
    );
    let unknown = manager.enqueue(Unknown).unwrap();
    refused(
        &amend(&told, &unknown, &json!({"payload": null})),
        422,
        "unknown_name",
    );
    // What may not be created here may not come in by this door.
    let later = NewJob::new(Inner { amount: 1 }).delay(Duration::from_secs(3_600));
    let inner = manager.enqueue(later).unwrap();
    refused(
        &amend(&told, &inner, &json!({"payload": {"amount": 2}})),
        422,
        "not_remote",
    );
    manager.remove(&inner).unwrap();
    refused(
        &amend(&told, &inner, &json!({"payload": {"amount": 2}})),
        410,
        "pruned",
    );
}

#[test]
fn a_client_amends_jobs_of_either_codec() {
    let builder = builder().handle::<Inner>(|inner, _| Ok(inner.amount));
    let manager = builder
        .queue(Queue::new("default").workers(1))
        .start()
        .unwrap();
    let told = started(&manager, |server| server.allow("inner"));
    let client = client(&told.serving);
    let receipt = undecodable(&manager);
    client
        .amend(
            &receipt,
            &Echo {
                text: "mended".into(),
            },
        )
        .unwrap();
    let done = client.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.into_output().unwrap(), "mended");
    manager.pause("default").unwrap();
    let inner = client.enqueue(Inner { amount: 1 }).unwrap();
    client.amend(&inner, &Inner { amount: 2 }).unwrap();
    manager.resume("default").unwrap();
    let done = client.wait(&inner, PATIENCE).unwrap();
    assert_eq!(done.job().unwrap(), &Inner { amount: 2 });
    assert_eq!(done.into_output().unwrap(), 2);
    let error = client.amend(&inner, &Inner { amount: 3 }).unwrap_err();
    assert_eq!(error.illegal_state(), Some(StateKind::Succeeded), "{error}");
    let again = undecodable(&manager).untyped().typed::<Older>();
    let error = client.amend(&again, &Older { words: 8 }).unwrap_err();
    assert!(error.is_codec(), "{error}");
}

#[test]
fn a_conflict_says_that_the_holder_is_parked() {
    let (manager, told) = serve(builder());
    let job = NewJob::new(Older { words: 7 }).key("k");
    let receipt = manager.enqueue(job).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).unwrap_err().is_parked());
    let body = r#"{"name":"echo","payload":{"text":"a"},"key":"k"}"#;
    let answer = post(told.serving.address(), "/v1/jobs", body);
    refused(&answer, 409, "key_conflict");
    assert_eq!(answer.body["job"], json!(1));
    let detail =
        "another job holds this idempotency key, and is parked: amend that job, or remove it";
    assert_eq!(answer.body["detail"], detail);
}

#[test]
fn a_batch_that_is_refused_says_for_which_of_its_jobs() {
    let (manager, told) = serve(builder());
    let echo = |text: &str| Echo { text: text.into() };
    manager.enqueue(NewJob::new(echo("a")).key("k")).unwrap();
    let jobs = |last: Value| json!({"jobs": [{"name": "echo", "payload": {"text": "x"}}, last]});
    for (last, status, code) in [
        (
            json!({"name": "echo", "payload": {"text": "b"}, "key": "k"}),
            409,
            "key_conflict",
        ),
        (
            json!({"name": "echo", "payload": {"text": "b"}, "queue": "none"}),
            422,
            "unknown_queue",
        ),
        (
            json!({"name": "nothing", "payload": 1}),
            422,
            "unknown_name",
        ),
    ] {
        let answer = post(
            told.serving.address(),
            "/v1/batches",
            &jobs(last).to_string(),
        );
        refused(&answer, status, code);
        assert_eq!(answer.body["index"], json!(1));
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.starts_with("job 2 of the batch: "), "{detail}");
    }
    let client = client(&told.serving);
    let batch = [NewJob::new(echo("x")), NewJob::new(echo("b")).key("k")];
    let error = client.enqueue_all(batch).unwrap_err();
    assert_eq!(error.key_conflict_with().map(|job| job.0), Some(1));
    assert_eq!(error.batch_index(), Some(1));
    // Of a single one there is nothing to say.
    let error = client.enqueue(NewJob::new(echo("b")).key("k")).unwrap_err();
    assert_eq!(
        (error.key_conflict_with().is_some(), error.batch_index()),
        (true, None)
    );
}
