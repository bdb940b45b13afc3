//! Requests that are answered before they were read: their senders have the answer all the same, and the
//! connection goes on or says that it does not.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use jobkeep::http::{Role, Server};

use super::wire::{Told, manager, started};

const LONG: Duration = Duration::from_secs(60);
const JSON: &str = "content-type: application/json\r\n";
const MAKES: &str = "content-type: application/json\r\nauthorization: Bearer makes\r\n";
const WORKS: &str = "authorization: Bearer works\r\n";

fn host(limits: impl FnOnce(Server) -> Server) -> Told {
    started(&manager(), |server| {
        limits(
            server
                .token("makes", [Role::Create])
                .token("works", [Role::Operate]),
        )
    })
}

fn connected(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Writes all of it, as many clients do, before it reads anything; then reads until the host closes.
fn told(to: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = connected(to);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    until_closed(stream)
}

fn until_closed(mut stream: TcpStream) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

/// Reads one answer, and leaves the connection open.
fn answer(stream: &mut TcpStream) -> String {
    let (mut said, mut byte) = (Vec::new(), [0]);
    let end = loop {
        stream.read_exact(&mut byte).unwrap();
        said.extend(byte);
        if said.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&said).to_lowercase();
            let (_, length) = head.split_once("content-length: ").unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            break said.len() + length;
        }
    };
    while said.len() < end {
        stream.read_exact(&mut byte).unwrap();
        said.extend(byte);
    }
    String::from_utf8(said).unwrap()
}

#[track_caller]
fn is_refused(said: &str, status: u16, code: &str) {
    assert!(
        said.starts_with(&format!("HTTP/1.1 {status} ")),
        "{status} {code}: {said}"
    );
    assert!(said.contains(&format!("\"code\":\"{code}\"")), "{said}");
    assert!(
        said.to_lowercase().contains("\r\nconnection: close\r\n"),
        "{said}"
    );
}

/// A body of 3 MB in one chunk.
fn chunked(body: &[u8]) -> Vec<u8> {
    let size = format!("{:x}\r\n", body.len());
    [size.as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

#[test]
fn whoever_sends_everything_before_reading_has_the_refusal() {
    let host = host(|server| server.unwanted_limit(16 << 20));
    let to = host.serving.address();
    let body = vec![b' '; 3_000_000];
    let in_one_chunk = chunked(&body);
    for (request, headers, status, code) in [
        ("POST /v1/jobs", JSON, 401, "unauthorized"),
        (
            "POST /v1/jobs",
            "authorization: Bearer other\r\n",
            401,
            "unauthorized",
        ),
        ("POST /v1/batches", WORKS, 403, "forbidden"),
        ("POST /v1/execute", MAKES, 403, "forbidden"),
        ("POST /v1/elsewhere", MAKES, 404, "no_such_path"),
        ("PUT /v1/jobs", MAKES, 405, "method_not_allowed"),
        ("POST /v1/jobs", MAKES, 413, "too_large"),
        (
            "POST /v1/jobs",
            "authorization: Bearer makes\r\n",
            415,
            "not_json",
        ),
        ("POST /v1/jobs/x/cancel", WORKS, 400, "bad_receipt"),
        ("POST /v1/jobs/x/retry", JSON, 401, "unauthorized"),
        ("DELETE /v1/jobs/x", WORKS, 400, "bad_receipt"),
    ] {
        let head = format!("{request} HTTP/1.1\r\nhost: jobs\r\n{headers}");
        let sized = format!("{head}content-length: {}\r\n\r\n", body.len());
        is_refused(&told(to, &sized, &body), status, code);
        let unsized_ = format!("{head}transfer-encoding: chunked\r\n\r\n");
        is_refused(&told(to, &unsized_, &in_one_chunk), status, code);
    }
    // What hyper refuses by itself.
    let no_request = told(to, "POST\r\n\r\n", &body);
    is_refused(&no_request, 400, "malformed");
    let head = format!("POST /v1/jobs HTTP/1.1\r\nx: {}\r\n", "x".repeat(17 << 10));
    is_refused(&told(to, &head, &body), 431, "header_too_large");
}

#[test]
fn a_connection_too_many_is_told_so_whatever_it_sends() {
    let host = host(|server| server.connections(1).header_timeout(LONG));
    let to = host.serving.address();
    let _first = connected(to);
    while host.serving.connections() == 0 {
        std::thread::yield_now();
    }
    let body = vec![b' '; 3_000_000];
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: jobs\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    is_refused(&told(to, &head, &body), 503, "full");
    assert_eq!(host.serving.connections(), 1);
}

#[test]
fn a_small_body_that_nobody_wants_leaves_the_connection_as_it_was() {
    let host = host(|server| server);
    let mut stream = connected(host.serving.address());
    let small = "x".repeat(60_000);
    for (request, status) in [
        ("POST /v1/jobs", 401),
        ("POST /elsewhere", 404),
        ("PUT /v1/jobs", 405),
        ("POST /v1/jobs/x/cancel", 401),
        ("GET /v1/health", 200),
    ] {
        let length = small.len();
        let head = format!("{request} HTTP/1.1\r\nhost: jobs\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(small.as_bytes()).unwrap();
        let said = answer(&mut stream);
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
        assert!(!said.to_lowercase().contains("connection: close"), "{said}");
    }
}

#[test]
fn who_asks_before_it_sends_is_answered_and_sends_nothing() {
    let host = host(|server| server);
    let mut stream = connected(host.serving.address());
    stream
        .write_all(
            b"POST /v1/jobs HTTP/1.1\r\nhost: jobs\r\nexpect: 100-continue\r\n\
              content-type: application/json\r\ncontent-length: 100\r\n\r\n",
        )
        .unwrap();
    let said = answer(&mut stream);
    is_refused(&said, 401, "unauthorized");
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(until_closed(stream), "");
}

#[test]
fn what_is_sent_on_and_on_is_not_read_for_ever() {
    let host = host(|server| server.unwanted_limit(100_000));
    let mut stream = connected(host.serving.address());
    stream
        .write_all(b"POST /v1/jobs HTTP/1.1\r\nhost: jobs\r\ncontent-length: 18000000000\r\n\r\n")
        .unwrap();
    let chunk = vec![b' '; 1 << 20];
    while stream.write_all(&chunk).is_ok() {}
    while host.serving.connections() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_host_that_ends_waits_for_nobody_who_sends_what_is_not_wanted() {
    let host = host(|server| server.body_timeout(Duration::MAX));
    let mut stream = connected(host.serving.address());
    stream
        .write_all(b"POST /v1/jobs HTTP/1.1\r\nhost: jobs\r\ncontent-length: 18000000000\r\n\r\n")
        .unwrap();
    is_refused(&answer(&mut stream), 401, "unauthorized");
    let report = host.serving.shutdown(Duration::MAX).unwrap();
    assert_eq!(report.finished, 0);
}

#[test]
fn a_client_that_has_no_more_to_say_is_answered() {
    let told = started(&manager(), |server| server);
    let to = told.serving.address();
    let job = r#"{"name":"echo","payload":{"text":"a"}}"#;
    let create = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: jobs\r\n{JSON}content-length: {}\r\n\r\n{job}",
        job.len()
    );
    let ask = |request: &str| {
        let mut stream = connected(to);
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        until_closed(stream)
    };
    for _ in 0..20 {
        let said = ask(&create);
        assert!(said.starts_with("HTTP/1.1 201 "), "{said}");
    }
    let said = ask("GET /v1/health HTTP/1.1\r\nhost: jobs\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    assert_eq!(ask(""), "");
    while told.serving.connections() > 0 {
        std::thread::yield_now();
    }
}
