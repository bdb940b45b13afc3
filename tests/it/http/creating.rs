use jobkeep::{Manager, Receipt};
use serde_json::{Value, json};

use super::wire::{Echo, get, host, post};

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
