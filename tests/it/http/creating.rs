use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use jobkeep::{Job, Manager, Receipt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wire::{Echo, builder, get, host, post, started};
use crate::place::PATIENCE;

fn receipt(body: &Value) -> Receipt<Echo> {
    body["receipt"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_job_created_over_http_is_queued_on_its_host_and_runs() {
    let (manager, serving) = host();
    let created = post(
        serving.address(),
        "/v1/jobs",
        r#"{"name":"echo","payload":{"text":"hello"}}"#,
    );
    assert_eq!(created.status, 201, "{created:?}");
    assert!(created.head.contains("cache-control: no-store"));
    let receipt = receipt(&created.body);
    assert_eq!(
        created.body,
        json!({"receipt": receipt.to_string(), "server": "web-1", "number": 1, "durability": "memory"})
    );
    let path = format!("/v1/jobs/{receipt}?wait_ms=20000");
    let asked = get(serving.address(), &path);
    assert_eq!(asked.status, 200, "{asked:?}");
    assert_eq!(asked.body["state"], "succeeded");
    assert_eq!(asked.body["output"], "hello");
    assert_eq!(asked.body["payload"], json!({"text": "hello"}));
    let _: Manager = manager;
}

#[test]
fn a_job_of_an_unknown_name_is_refused_and_nothing_is_queued() {
    let (manager, serving) = host();
    let refused = post(
        serving.address(),
        "/v1/jobs",
        r#"{"name":"nobody","payload":{}}"#,
    );
    assert_eq!(refused.status, 422);
    assert!(refused.head.contains("application/problem+json"));
    assert_eq!(
        refused.body,
        json!({
            "type": "about:blank", "title": "unknown name", "status": 422, "code": "unknown_name",
            "detail": "no job type is registered under the name \"nobody\""
        })
    );
    assert_eq!(manager.counts().unwrap(), jobkeep::Counts::default());
}

#[derive(Serialize, Deserialize)]
struct Local;

impl Job for Local {
    const NAME: &'static str = "local";
    const REMOTE: bool = false;
    type Output = ();
}

#[test]
fn what_is_not_to_be_created_over_http_is_created_where_the_host_says_so_in_so_many_words() {
    let manager = builder().handle::<Local>(|_, _| Ok(())).start().unwrap();
    let body = r#"{"name":"local","payload":null}"#;
    let host = started(&manager, |server| server.allow("locals"));
    let refused = post(host.serving.address(), "/v1/jobs", body);
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (422, &json!("not_remote"))
    );
    assert_eq!(manager.counts().unwrap(), jobkeep::Counts::default());
    let host = started(&manager, |server| server.allow("local"));
    assert_eq!(post(host.serving.address(), "/v1/jobs", body).status, 201);
}

#[test]
fn a_repeated_key_makes_one_job_and_another_payload_is_told_of_the_first() {
    let (manager, serving) = host();
    let create = |text: &str| {
        let body = json!({"name": "echo", "payload": {"text": text}, "key": "k"});
        post(serving.address(), "/v1/jobs", &body.to_string())
    };
    let first = create("a");
    assert_eq!((first.status, &first.body["existing"]), (201, &json!(null)));
    manager.wait(&receipt(&first.body), PATIENCE).unwrap();
    let again = create("a");
    assert_eq!(again.body["receipt"], first.body["receipt"]);
    assert_eq!(
        (again.status, &again.body["existing"]),
        (200, &json!("succeeded"))
    );
    let batch = |jobs: &[&str]| {
        let jobs = jobs
            .iter()
            .map(|key| json!({"name": "echo", "payload": {"text": "a"}, "key": key}));
        let body = json!({"jobs": jobs.collect::<Vec<_>>()});
        post(serving.address(), "/v1/batches", &body.to_string())
    };
    let all_there = batch(&["k", "k"]);
    assert_eq!(all_there.status, 200, "{all_there:?}");
    let one_new = batch(&["k", "l", "l"]);
    assert_eq!(one_new.status, 201, "{one_new:?}");
    let jobs = one_new.body["jobs"].as_array().unwrap();
    assert_eq!(jobs[0]["existing"], "succeeded");
    assert_eq!(jobs[1]["existing"], json!(null));
    assert_eq!(jobs[2]["receipt"], jobs[1]["receipt"]);
    assert!(jobs[2]["existing"].is_string());
    let conflict = create("b");
    assert_eq!(
        (conflict.status, &conflict.body["code"]),
        (409, &json!("key_conflict"))
    );
    assert_eq!(conflict.body["job"], 1);
    let _: Manager = manager;
}

#[derive(Serialize, Deserialize)]
struct Letter {
    vars: HashMap<String, u32>,
    /// Another one each time that it is decoded.
    #[serde(default = "another")]
    stamp: u64,
}

fn another() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

impl Job for Letter {
    const NAME: &'static str = "letter";
    const ALIASES: &'static [&'static str] = &["mail"];
    const REMOTE: bool = false;
    type Output = ();
}

#[test]
fn the_same_request_makes_one_job_under_whichever_name_of_its_type() {
    let manager = builder().handle::<Letter>(|_, _| Ok(())).start().unwrap();
    // An old name of the type allows it as well.
    let host = started(&manager, |server| server.allow("mail"));
    let create = |name: &str, vars: &str| {
        let body = format!(r#"{{"name":"{name}","payload":{{"vars":{vars}}},"key":"k"}}"#);
        post(host.serving.address(), "/v1/jobs", &body)
    };
    let vars = r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}"#;
    let first = create("letter", vars);
    assert_eq!(first.status, 201, "{first:?}");
    for name in ["letter", "mail", "letter"] {
        let again = create(name, vars);
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(again.body["receipt"], first.body["receipt"]);
    }
    assert_eq!(create("mail", "{}").status, 409);
}

#[test]
fn a_key_may_be_let_go_with_the_end_over_http_too() {
    let (manager, serving) = host();
    let body = r#"{"name":"echo","payload":{"text":"a"},"key":"k","key_retention_ms":0}"#;
    for number in 1..3 {
        let created = post(serving.address(), "/v1/jobs", body);
        assert_eq!(
            (created.status, &created.body["number"]),
            (201, &json!(number))
        );
        manager.wait(&receipt(&created.body), PATIENCE).unwrap();
    }
}

#[test]
fn a_buffered_job_is_accepted_and_not_yet_created() {
    let (manager, serving) = host();
    let body = r#"{"name":"echo","payload":{"text":"a"},"durability":"buffered"}"#;
    let answer = post(serving.address(), "/v1/jobs", body);
    assert_eq!(
        (answer.status, &answer.body["durability"]),
        (202, &json!("buffered"))
    );
    let _: Manager = manager;
}

#[test]
fn a_batch_is_accepted_whole_and_in_its_order() {
    let (manager, serving) = host();
    let jobs: Vec<_> = (0..1_000)
        .map(|n| json!({"name": "echo", "payload": {"text": n.to_string()}}))
        .collect();
    let body = json!({ "jobs": jobs }).to_string();
    let answer = post(serving.address(), "/v1/batches", &body);
    assert_eq!(answer.status, 201);
    let jobs = answer.body["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 1_000);
    for (n, job) in jobs.iter().enumerate() {
        let done = manager.wait(&receipt(job), PATIENCE).unwrap();
        assert_eq!(done.output().unwrap(), &n.to_string());
    }
    let none = post(serving.address(), "/v1/batches", r#"{"jobs":[]}"#);
    assert_eq!((none.status, &none.body["jobs"]), (201, &json!([])));
}

#[derive(Serialize, Deserialize)]
#[expect(dead_code, reason = "a password is read, and not written")]
struct Login {
    user: String,
    #[serde(skip_serializing)]
    password: String,
}

impl Job for Login {
    const NAME: &'static str = "login";
    type Output = ();
}

/// A host decodes what comes, and queues what it encodes of that.
#[test]
fn a_job_that_could_never_run_is_not_created() {
    let manager = builder().handle::<Login>(|_, _| Ok(())).start().unwrap();
    let host = started(&manager, |server| server);
    let login = r#"{"name":"login","payload":{"user":"u","password":"p"}}"#;
    for (path, body) in [
        ("/v1/jobs", login.to_owned()),
        ("/v1/batches", format!(r#"{{"jobs":[{login}]}}"#)),
    ] {
        let refused = post(host.serving.address(), path, &body);
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (422, &json!("undecodable"))
        );
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(
            detail.ends_with(
                "the payload of job \"login\": the value cannot be read back from its JSON: missing field \
                 `password` at line 1 column 12"
            ),
            "{detail}"
        );
    }
    assert_eq!(manager.counts().unwrap(), jobkeep::Counts::default());
}
