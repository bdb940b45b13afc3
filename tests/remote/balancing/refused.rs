//! Requests that hosts refuse before they have read them. To a balancer that is still sending, a connection
//! closed early would be a host that died: a dozen such requests of a stranger took every host out of service.

use std::fs;
use std::process::Command;

use crate::fleet::{Fleet, Kind, READER, TOKEN};

/// Sends a request that has this file as its body, without asking first, and says how it was answered.
fn send(fleet: &Fleet, method: &str, path: &str, headers: &[String], body: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "60", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}", "--request", method])
        .args(["--header", "Expect:", "--data-binary"])
        .arg(format!("@{}", fleet.folder().join(body).display()))
        .arg(format!("{}{path}", fleet.url()));
    for header in headers {
        curl.args(["--header", header]);
    }
    String::from_utf8(curl.output().unwrap().stdout).unwrap()
}

const JSON: &str = "Content-Type: application/json";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn refusals_reach_their_clients_and_cost_no_host_its_place(kind: Kind) {
    let fleet = Fleet::of(3);
    let _hosts: Vec<_> = (1..=3).map(|number| fleet.start(number)).collect();
    let _balancer = fleet.balance_by(kind, &fleet.addresses());
    let job = r#"{"name":"echo","payload":1}"#;
    fs::write(fleet.folder().join("job"), job).unwrap();
    // The first below and the second above what a host takes, and both below what nginx does.
    for (name, bytes) in [("large", 3 << 20), ("too-large", 14 << 20), ("none", 0)] {
        fs::write(fleet.folder().join(name), vec![b' '; bytes]).unwrap();
    }
    let json = || JSON.to_owned();
    // HAProxy takes no head of such a size itself.
    let head = if kind == Kind::Haproxy { "400" } else { "431" };
    let long = (0..3).map(|n| format!("X-Long-{n}: {}", "x".repeat(7_000)));
    let cases = [
        ("401", "POST", "/v1/jobs", vec![json()], "large"),
        (
            "403",
            "POST",
            "/v1/jobs",
            vec![json(), bearer(READER)],
            "large",
        ),
        (
            "404",
            "POST",
            "/v1/nothing",
            vec![json(), bearer(TOKEN)],
            "large",
        ),
        (
            "405",
            "PUT",
            "/v1/jobs",
            vec![json(), bearer(TOKEN)],
            "large",
        ),
        (
            "413",
            "POST",
            "/v1/jobs",
            vec![json(), bearer(TOKEN)],
            "too-large",
        ),
        (
            "415",
            "POST",
            "/v1/jobs",
            vec!["Content-Type: text/plain".into(), bearer(TOKEN)],
            "large",
        ),
        (
            "400",
            "POST",
            "/v1/jobs/nothing/cancel",
            vec![bearer(TOKEN)],
            "large",
        ),
        (head, "POST", "/v1/jobs", long.collect(), "none"),
    ];
    for (status, method, path, headers, body) in cases {
        for _ in 0..6 {
            let answered = send(&fleet, method, path, &headers, body);
            assert_eq!(answered, status, "{kind:?}: {method} {path} {body}");
        }
        for _ in 0..6 {
            let accepted = send(&fleet, "POST", "/v1/jobs", &[json(), bearer(TOKEN)], "job");
            assert_eq!(accepted, "201", "{kind:?}: after {status}");
        }
    }
}

#[test]
fn refusals_of_large_bodies_come_through_nginx_and_cost_no_host_its_place() {
    refusals_reach_their_clients_and_cost_no_host_its_place(Kind::Nginx);
}

#[test]
fn refusals_of_large_bodies_come_through_haproxy_and_cost_no_host_its_place() {
    refusals_reach_their_clients_and_cost_no_host_its_place(Kind::Haproxy);
}

#[test]
fn refusals_of_large_bodies_come_through_apache_and_cost_no_host_its_place() {
    refusals_reach_their_clients_and_cost_no_host_its_place(Kind::Apache);
}
