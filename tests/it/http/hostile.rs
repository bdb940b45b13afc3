//! Requests of those who mean no good, or cannot do better. After each the host answers others as before.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use jobkeep::http::Server;
use jobkeep::{Counts, Manager};

use super::wire::{Answer, Told, exchange, get, manager, post, send, started};

const TINY: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(60);

/// A host of tiny limits, and what happens to it.
fn host(limits: impl FnOnce(Server) -> Server) -> (Manager, Told) {
    let manager = manager();
    let told = started(&manager, limits);
    (manager, told)
}

#[track_caller]
fn nothing_happened(manager: &Manager, told: &Told) {
    assert_eq!(get(told.serving.address(), "/v1/health").status, 200);
    assert_eq!(manager.counts().unwrap(), Counts::default());
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (status, Some(code)),
        "{answer:?}"
    );
    assert_eq!(answer.body["status"], status);
    assert!(
        answer.head.contains("application/problem+json"),
        "{answer:?}"
    );
    assert!(
        answer.head.contains("cache-control: no-store"),
        "{answer:?}"
    );
}

#[test]
fn what_is_no_request_to_create_a_job_is_refused_with_its_code() {
    let (manager, told) = host(|server| server.body_limit(4_000));
    let to = told.serving.address();
    let deep = format!(
        r#"{{"name":"echo","payload":{}1{}}}"#,
        "[".repeat(64),
        "]".repeat(64)
    );
    let large = format!(
        r#"{{"name":"echo","payload":{{"text":"{}"}}}}"#,
        "x".repeat(4_000)
    );
    let cases: [(&str, u16, &str); 16] = [
        ("", 400, "malformed"),
        ("{", 400, "malformed"),
        ("[]", 400, "malformed"),
        ("\u{0}", 400, "malformed"),
        (r#"{"payload":{}}"#, 400, "malformed"),
        (
            r#"{"name":"echo","payload":{"text":"a"},"prioritty":"high"}"#,
            400,
            "malformed",
        ),
        (
            r#"{"name":"echo","name":"echo","payload":{"text":"a"}}"#,
            400,
            "malformed",
        ),
        (
            r#"{"name":"echo","payload":{"text":"a"},"delay_ms":-1}"#,
            400,
            "malformed",
        ),
        (
            r#"{"name":"echo","payload":{"text":"a"},"delay_ms":1,"run_at_ms":1}"#,
            400,
            "malformed",
        ),
        (
            r#"{"name":"echo","payload":{"text":"a"},"priority":"highest"}"#,
            400,
            "malformed",
        ),
        (&deep, 400, "malformed"),
        (&large, 413, "too_large"),
        (r#"{"name":"echo"}"#, 422, "undecodable"),
        (
            r#"{"name":"echo","payload":{"text":1}}"#,
            422,
            "undecodable",
        ),
        (r#"{"name":"echo","bincode":"AA=="}"#, 422, "undecodable"),
        (
            r#"{"name":"echo","payload":{"text":"a"},"queue":"no"}"#,
            422,
            "unknown_queue",
        ),
    ];
    for (body, status, code) in cases {
        let answer = post(to, "/v1/jobs", body);
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (status, Some(code)),
            "{body}: {answer:?}"
        );
        refused(&answer, status, code);
        nothing_happened(&manager, &told);
    }
    let key = format!(
        r#"{{"name":"echo","payload":{{"text":"a"}},"key":"{}"}}"#,
        "k".repeat(257)
    );
    refused(&post(to, "/v1/jobs", &key), 413, "too_large");
    let batch =
        r#"{"jobs":[{"name":"echo","payload":{"text":"a"}},{"name":"nobody","payload":{}}]}"#;
    let answer = post(to, "/v1/batches", batch);
    refused(&answer, 422, "unknown_name");
    assert_eq!(
        answer.body["detail"],
        "job 2 of the batch: no job type is registered under the name \"nobody\""
    );
    nothing_happened(&manager, &told);
}

#[test]
fn what_is_to_be_an_object_is_no_list() {
    let (manager, told) = host(Server::open);
    let to = told.serving.address();
    let job = r#"["echo",{"text":"a"},null,null,null,null,null,null,null,null,null,null]"#;
    let call = r#"["00000000000000000000000000000001",1,"0000000000000001-1","echo",{"text":"a"},null,1,1]"#;
    for (path, body) in [
        ("/v1/jobs", job.into()),
        ("/v1/jobs", "[]".into()),
        ("/v1/batches", "[[]]".into()),
        ("/v1/batches", format!(r#"{{"jobs":[{job}]}}"#)),
        (
            "/v1/jobs",
            r#"{"name":"echo","payload":{"text":"a"},"backoff":[1,2]}"#.into(),
        ),
        ("/v1/execute", call.into()),
    ] {
        let answer = post(to, path, &body);
        refused(&answer, 400, "malformed");
        let detail = answer.body["detail"].as_str().unwrap();
        let expected = "invalid type: sequence, expected a JSON object at line 1";
        assert!(detail.starts_with(expected), "{body}: {detail}");
    }
    nothing_happened(&manager, &told);
    let with = r#"{"name":"echo","payload":{"text":"a"},"backoff":{"base_ms":1,"cap_ms":2}}"#;
    assert_eq!(post(to, "/v1/jobs", with).status, 201);
}

#[test]
fn a_body_that_comes_compressed_is_refused_as_such() {
    let (manager, told) = host(|server| server);
    let send = |coding: &str| {
        let headers = format!("content-type: application/json\r\ncontent-encoding: {coding}\r\n");
        let body = r#"{"name":"echo","payload":{"text":"a"}}"#;
        send(told.serving.address(), "POST", "/v1/jobs", &headers, body)
    };
    for coding in ["gzip", "br", "identity, gzip"] {
        let answer = send(coding);
        refused(&answer, 415, "not_json");
        assert_eq!(
            answer.body["detail"],
            "the body must come without a `content-encoding`"
        );
    }
    nothing_happened(&manager, &told);
    assert_eq!(send("identity").status, 201);
}

#[test]
fn a_request_names_one_host() {
    let (manager, told) = host(|server| server);
    for hosts in ["", "host: jobs\r\nhost: jobs\r\n", "host: a\r\nhost: b\r\n"] {
        let request = format!("GET /v1/health HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let answer = exchange(told.serving.address(), request.as_bytes());
        refused(&answer, 400, "malformed");
    }
    let old = exchange(told.serving.address(), b"GET /v1/health HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200);
    nothing_happened(&manager, &told);
}

#[test]
fn a_balancer_may_ask_for_the_health_by_options() {
    let (manager, told) = host(|server| server);
    let to = told.serving.address();
    // As HAProxy asks where it is told nothing.
    let bare = |status| assert_eq!(exchange(to, b"OPTIONS / HTTP/1.0\r\n\r\n").status, status);
    bare(200);
    for target in ["/", "*", "/v1/health"] {
        assert_eq!(send(to, "OPTIONS", target, "", "").status, 200, "{target}");
    }
    refused(&send(to, "OPTIONS", "/v1", "", ""), 404, "no_such_path");
    nothing_happened(&manager, &told);
    manager.shutdown(LONG).unwrap();
    bare(503);
}

#[test]
fn a_body_that_is_not_declared_as_json_is_not_read() {
    let (manager, told) = host(|server| server);
    let body = r#"{"name":"echo","payload":{"text":"a"}}"#;
    for headers in [
        "",
        "content-type: text/plain\r\n",
        "content-type: application/jsonx\r\n",
    ] {
        let answer = send(told.serving.address(), "POST", "/v1/jobs", headers, body);
        refused(&answer, 415, "not_json");
    }
    nothing_happened(&manager, &told);
}

#[test]
fn paths_methods_and_parameters_that_are_not_there_are_problems_too() {
    let (manager, told) = host(|server| server);
    let to = told.serving.address();
    refused(&get(to, "/"), 404, "no_such_path");
    refused(&get(to, "/v1/jobs/a/b/c"), 404, "no_such_path");
    let answer = send(to, "DELETE", "/v1/jobs", "", "");
    refused(&answer, 405, "method_not_allowed");
    assert!(answer.head.contains("allow: "), "{answer:?}");
    for query in [
        "",
        "?state=gone",
        "?state=failed&limit=x",
        "?state=failed&limit=0",
        "?state=failed&limit=1001",
        "?state=failed&to=1",
        "?state=failed&after=-1",
    ] {
        refused(&get(to, &format!("/v1/jobs{query}")), 400, "malformed");
    }
    let answer = get(to, "/v1/jobs?state=failed&limit=0");
    assert_eq!(answer.body["detail"], "`limit` must be between 1 and 1000");
    for path in ["/v1/jobs/x", "/v1/jobs/%ff", "/v1/jobs/x/cancel"] {
        let method = if path.ends_with("cancel") {
            "POST"
        } else {
            "GET"
        };
        refused(&send(to, method, path, "", ""), 400, "bad_receipt");
    }
    nothing_happened(&manager, &told);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let (manager, told) = host(|server| server.body_limit(100));
    let answer = exchange(
        told.serving.address(),
        b"POST /v1/jobs HTTP/1.1\r\nhost: jobs\r\nconnection: close\r\nexpect: 100-continue\r\n\
          content-type: application/json\r\ncontent-length: 101\r\n\r\n",
    );
    refused(&answer, 413, "too_large");
    nothing_happened(&manager, &told);
}

/// What the host says until it closes the connection.
fn until_closed(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut said = Vec::new();
    // A reset is a close as well.
    let closed = stream.read_to_end(&mut said);
    if let Err(cause) = closed {
        assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn connected(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

#[test]
fn a_head_that_does_not_come_in_time_is_not_waited_for() {
    let (manager, told) = host(|server| server.header_timeout(TINY).idle_timeout(LONG));
    let to = told.serving.address();
    for begun in ["", "G", "GET /v1/health HTTP/1.1\r\nhost: jobs\r\n"] {
        assert_eq!(until_closed(connected(to, begun.as_bytes())), "");
    }
    // The same on a connection that was used before.
    let mut used = connected(to, b"GET /v1/health HTTP/1.1\r\nhost: jobs\r\n\r\n");
    answered(&mut used);
    used.write_all(b"GET").unwrap();
    assert_eq!(until_closed(used), "");
    nothing_happened(&manager, &told);
}

#[test]
fn a_connection_at_rest_is_closed_when_its_time_is_over() {
    let (manager, told) = host(|server| server.header_timeout(LONG).idle_timeout(TINY));
    let to = told.serving.address();
    let said = until_closed(connected(
        to,
        b"GET /v1/health HTTP/1.1\r\nhost: jobs\r\n\r\n",
    ));
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    nothing_happened(&manager, &told);
}

#[test]
fn a_body_that_does_not_come_in_time_is_refused() {
    let (manager, told) = host(|server| server.body_timeout(TINY));
    let said = until_closed(connected(
        told.serving.address(),
        b"POST /v1/jobs HTTP/1.1\r\nhost: jobs\r\nconnection: close\r\n\
          content-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    ));
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(said.contains("\"too_slow\""), "{said}");
    nothing_happened(&manager, &told);
}

#[test]
fn a_request_that_breaks_off_changes_nothing() {
    let (manager, told) = host(|server| server);
    let whole = "POST /v1/jobs HTTP/1.1\r\nhost: jobs\r\ncontent-type: application/json\r\n\
                 content-length: 38\r\n\r\n{\"name\":\"echo\",\"payload\":{\"text\":\"a\"}}";
    assert!(whole.ends_with("}}"));
    for length in (0..whole.len()).step_by(7) {
        let stream = connected(told.serving.address(), &whole.as_bytes()[..length]);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let said = until_closed(stream);
        assert!(!said.contains("201"), "{said}");
    }
    nothing_happened(&manager, &told);
}

fn is_problem(said: &str, status: u16, code: &str) -> bool {
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(
        head.contains("content-type: application/problem+json"),
        "{said}"
    );
    assert!(head.contains("cache-control: no-store"), "{said}");
    head.starts_with(&format!("HTTP/1.1 {status} ")) && problem["code"] == code
}

#[test]
fn what_is_no_request_is_told_so_behind_a_good_one_too() {
    let (manager, told) = host(|server| server);
    let to = told.serving.address();
    for bad in [
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "G\u{0}T / HTTP/1.1\r\n\r\n",
    ] {
        let said = until_closed(connected(to, bad.as_bytes()));
        assert!(is_problem(&said, 400, "malformed"), "{said}");
        let mut used = connected(to, b"GET /v1/health HTTP/1.1\r\nhost: jobs\r\n\r\n");
        answered(&mut used);
        used.write_all(bad.as_bytes()).unwrap();
        let said = until_closed(used);
        assert!(is_problem(&said, 400, "malformed"), "{said}");
        // And in one piece with it.
        let both = format!("GET /v1/health HTTP/1.1\r\nhost: jobs\r\n\r\n{bad}");
        let said = until_closed(connected(to, both.as_bytes()));
        let (good, said) = said.split_at(said.rfind("HTTP/1.1 ").unwrap());
        assert!(good.starts_with("HTTP/1.1 200"), "{good}");
        assert!(is_problem(said, 400, "malformed"), "{said}");
    }
    nothing_happened(&manager, &told);
}

#[test]
fn bytes_that_are_no_request_harm_nothing() {
    let (manager, told) = host(|server| server.header_timeout(TINY));
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..200)
            .map(|_| {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                dice.to_be_bytes()[0]
            })
            .collect();
        let stream = connected(told.serving.address(), &bytes);
        // Where the host has closed already, there is no more to end.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let said = until_closed(stream);
        assert!(
            said.is_empty() || is_problem(&said, 400, "malformed"),
            "{said}"
        );
    }
    nothing_happened(&manager, &told);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let (manager, told) = host(|server| server);
    let head = format!(
        "GET /v1/health HTTP/1.1\r\nhost: jobs\r\nx: {}\r\n\r\n",
        "x".repeat(17 << 10)
    );
    let said = until_closed(connected(told.serving.address(), head.as_bytes()));
    assert!(is_problem(&said, 431, "header_too_large"), "{said}");
    nothing_happened(&manager, &told);
}

#[test]
fn of_two_lengths_the_request_is_refused() {
    let (manager, told) = host(|server| server);
    let said = until_closed(connected(
        told.serving.address(),
        b"POST /v1/jobs HTTP/1.1\r\nhost: jobs\r\ncontent-type: application/json\r\n\
          content-length: 38\r\ncontent-length: 2\r\n\r\n{\"name\":\"echo\",\"payload\":{\"text\":\"a\"}}",
    ));
    assert!(is_problem(&said, 400, "malformed"), "{said}");
    nothing_happened(&manager, &told);
}

#[test]
fn where_connections_are_short_nobody_keeps_one() {
    let (manager, told) = host(|server| server.connections(4).header_timeout(LONG));
    let to = told.serving.address();
    let held: Vec<_> = (0..3).map(|_| connected(to, b"")).collect();
    while told.serving.connections() < 3 {
        std::thread::yield_now();
    }
    let said = until_closed(connected(
        to,
        b"GET /v1/health HTTP/1.1\r\nhost: jobs\r\n\r\n",
    ));
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    drop(held);
    while told.serving.connections() > 0 {
        std::thread::yield_now();
    }
    nothing_happened(&manager, &told);
}

#[test]
fn a_name_that_nobody_can_have_is_not_told_back() {
    let (manager, told) = host(|server| server);
    let body = format!(r#"{{"name":"{}","payload":1}}"#, "n".repeat(1_000));
    let answer = post(told.serving.address(), "/v1/jobs", &body);
    refused(&answer, 422, "unknown_name");
    assert_eq!(
        answer.body["detail"],
        "no job type has a name of 1000 bytes"
    );
    nothing_happened(&manager, &told);
}

#[test]
fn a_host_whose_manager_was_shut_down_is_not_ready() {
    let (manager, told) = host(|server| server);
    manager.shutdown(LONG).unwrap();
    let health = get(told.serving.address(), "/v1/health");
    assert_eq!(
        (health.status, health.body["state"].as_str()),
        (503, Some("shutting_down"))
    );
}

#[test]
fn a_connection_too_many_is_turned_away_and_the_others_go_on() {
    let (manager, told) = host(|server| server.connections(4).header_timeout(LONG));
    let to = told.serving.address();
    let ask = b"GET /v1/health HTTP/1.1\r\nhost: jobs\r\n\r\n";
    let mut open: Vec<_> = (0..3).map(|_| connected(to, ask)).collect();
    for stream in &mut open {
        answered(stream);
    }
    let silent = connected(to, b"");
    while told.serving.connections() < 4 {
        std::thread::yield_now();
    }
    let said = until_closed(connected(to, b""));
    drop(silent);
    while told.serving.connections() > 3 {
        std::thread::yield_now();
    }
    assert!(said.starts_with("HTTP/1.1 503"), "{said}");
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{said}"
    );
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["code"], "full");
    for stream in &mut open {
        stream.write_all(ask).unwrap();
        answered(stream);
    }
    assert_eq!(told.serving.connections(), 3);
    drop(open);
    while told.serving.connections() > 0 {
        std::thread::yield_now();
    }
    nothing_happened(&manager, &told);
}

/// Reads one answer of the health.
fn answered(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(b"}") {
        stream.read_exact(&mut byte).unwrap();
        said.extend(byte);
    }
    assert!(said.starts_with(b"HTTP/1.1 200"));
}

/// Set in a process that may have few descriptors.
const FEW: &str = "JOBKEEP_FEW_DESCRIPTORS";

#[test]
fn as_many_idle_connections_as_there_are_descriptors_leave_the_host_at_work() {
    if std::env::var_os(FEW).is_some() {
        use_up_all_descriptors();
        return;
    }
    // What the limit does to it, no other test is to see.
    let name =
        "http::hostile::as_many_idle_connections_as_there_are_descriptors_leave_the_host_at_work";
    let status = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 300 && exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(FEW, "1")
        .status();
    assert!(status.unwrap().success());
}

/// Both ends of all connections are this process's, so the host runs out of descriptors as well.
fn use_up_all_descriptors() {
    let (_manager, told) = host(|server| server.connections(usize::MAX).header_timeout(LONG));
    let to = told.serving.address();
    let mut open = Vec::new();
    while let Ok(stream) = TcpStream::connect(to) {
        open.push(stream);
    }
    assert!(open.len() > 100, "{}", open.len());
    // Those that it could not accept wait in a line before whoever comes now, and need descriptors first.
    open.truncate(50);
    let body = r#"{"name":"echo","payload":{"text":"a"}}"#;
    assert_eq!(post(to, "/v1/jobs", body).status, 201);
    drop(open);
    while told.serving.connections() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(get(to, "/v1/health").status, 200);
}

#[test]
fn a_job_type_that_panics_over_its_payload_takes_nobody_with_it() {
    let (manager, told) = host(|server| server);
    let to = told.serving.address();
    let answer = post(to, "/v1/jobs", r#"{"name":"throws","payload":"on decode"}"#);
    refused(&answer, 422, "undecodable");
    nothing_happened(&manager, &told);
}
