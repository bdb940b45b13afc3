//! Calls of a server of the test's own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread::Builder;
use std::time::Duration;

use jobkeep::builtin::{HttpCall, HttpCalls};
use jobkeep::{Manager, MemoryStore, Reason, StateKind};

use crate::http_server::{
    Server, accept, answer, assert_failed, get, local, output, request, run_by,
};

#[test]
fn status_headers_and_body_are_the_output() {
    let server = Server::saying([answer("201 Created", "x-more: a\r\nx-more: b\r\n", "done")]);
    let call = HttpCall::new("POST", server.url("/orders?x=1"))
        .header("x-id", "7")
        .body("data");
    let output = output(call);
    assert_eq!(
        (output.status(), output.body().text().as_ref()),
        (201, "done")
    );
    assert_eq!(output.headers()["x-more"], ["a", "b"]);
    assert!(!output.is_body_cut());
    let asked = server.asked().remove(0);
    assert!(
        asked.starts_with("POST /orders?x=1 HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(
        asked.contains("x-id: 7\r\n") && asked.ends_with("\r\n\r\ndata"),
        "{asked}"
    );
}

/// The lines of a request that say how long its body is.
fn lengths(asked: &str) -> Vec<&str> {
    let said = |line: &&str| {
        let line = line.to_lowercase();
        line.starts_with("content-length:") || line.starts_with("transfer-encoding:")
    };
    asked.lines().filter(said).collect()
}

#[test]
fn a_request_whose_method_means_a_body_says_that_it_has_none() {
    for (method, said) in [
        ("POST", &["content-length: 0"] as &[_]),
        ("PUT", &["content-length: 0"]),
        ("PATCH", &["content-length: 0"]),
        ("GET", &[]),
        ("HEAD", &[]),
        ("DELETE", &[]),
        ("OPTIONS", &[]),
        ("PURGE", &[]),
    ] {
        let server = Server::saying([answer("200 OK", "", "")]);
        output(HttpCall::new(method, server.url("/")));
        let asked = server.asked().remove(0);
        assert!(asked.starts_with(&format!("{method} / ")), "{asked}");
        assert_eq!(lengths(&asked), said, "{asked}");
    }
}

#[test]
fn what_a_redirect_makes_of_a_request_decides_whether_it_says_so() {
    let zero = &["content-length: 0"] as &[_];
    let four = &["content-length: 4"] as &[_];
    for (status, body, first, method, said) in [
        ("301 Moved", None, zero, "GET", &[] as &[_]),
        ("302 Found", None, zero, "GET", &[]),
        ("303 See Other", None, zero, "GET", &[]),
        ("307 Moved", None, zero, "POST", zero),
        ("308 Moved", None, zero, "POST", zero),
        ("302 Found", Some("data"), four, "GET", &[]),
        ("307 Moved", Some("data"), four, "POST", four),
    ] {
        let moved = answer(status, "location: /there\r\n", "");
        let server = Server::saying([moved, answer("200 OK", "", "")]);
        let mut call = HttpCall::new("POST", server.url("/"));
        if let Some(body) = body {
            call = call.body(body);
        }
        output(call);
        let asked = server.asked();
        assert_eq!(lengths(&asked[0]), first, "{status}");
        assert!(
            asked[1].starts_with(&format!("{method} /there ")),
            "{asked:?}"
        );
        assert_eq!(lengths(&asked[1]), said, "{status}");
    }
}

#[test]
fn variables_of_a_form_are_sent_as_browsers_do() {
    let server = Server::saying([answer("200 OK", "", "")]);
    output(
        HttpCall::new("POST", server.url("/"))
            .form("id", "4 2")
            .form("a", "&"),
    );
    let asked = server.asked().remove(0);
    assert!(
        asked.contains("content-type: application/x-www-form-urlencoded"),
        "{asked}"
    );
    assert!(asked.ends_with("a=%26&id=4+2"), "{asked}");
}

#[test]
fn a_huge_body_is_cut_and_says_so() {
    let server = Server::saying([answer("200 OK", "", &"x".repeat(1 << 20))]);
    let done = run_by(local().keep_bytes(1_000), get(server.url("/")));
    let output = done.into_output().unwrap();
    assert_eq!(output.body().bytes().len(), 1_000);
    assert!(output.is_body_cut());
}

#[test]
fn a_body_that_does_not_come_in_time_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let slow = Builder::new().spawn(move || {
        let mut stream = accept(&listener);
        request(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nslow")
            .unwrap();
        // Until the client gives up.
        let _ = stream.read(&mut [0]);
    });
    let done = run_by(local(), get(url).timeout(Duration::from_millis(50)));
    assert_failed(done, Reason::Error, "50 ms");
    slow.unwrap().join().unwrap();
}

#[test]
fn what_may_pass_is_tried_again_when_the_server_says_and_the_rest_fails_for_good() {
    for status in ["404 Not Found", "304 Not Modified"] {
        let server = Server::saying([answer(status, "", "")]);
        assert_failed(
            run_by(local(), get(server.url("/"))),
            Reason::Permanent,
            &status[..3],
        );
    }
    let server = Server::saying([answer("503 Busy", "retry-after: 3600\r\n", "")]);
    let manager = Manager::builder(MemoryStore::new())
        .http_calls(local())
        .start()
        .unwrap();
    let receipt = manager.enqueue(get(server.url("/"))).unwrap();
    server.asked();
    let status = loop {
        let status = manager.status(&receipt).unwrap();
        if status.attempts() == 1 {
            break status;
        }
        std::thread::yield_now();
    };
    assert_eq!(status.state(), StateKind::Scheduled);
    let wait_ms = status.due().unwrap().0 - status.history()[0].ended.0;
    assert!((3_599_000..=3_601_000).contains(&wait_ms), "{wait_ms}");
}

#[test]
fn redirects_are_followed_to_where_the_host_allows_and_no_further() {
    let there = Server::saying([answer("200 OK", "", "there")]);
    let location = format!("location: {}\r\n", there.url("/there"));
    let here = Server::saying([answer("307 Moved", &location, "")]);
    let call = HttpCall::new("PUT", here.url("/"))
        .header("authorization", "s3cret")
        .body("data");
    assert_eq!(output(call).body().text(), "there");
    let asked = there.asked().remove(0);
    assert!(
        asked.starts_with("PUT /there ") && asked.ends_with("data"),
        "{asked}"
    );
    assert!(!asked.contains("s3cret"), "{asked}");

    for (location, told) in [
        ("http://localhost/", "this host does not allow calls to it"),
        ("ftp://127.0.0.1/", "neither http nor https"),
        ("http://user@127.0.0.1/", "names a user"),
    ] {
        let here = Server::saying([answer(
            "302 Found",
            &format!("location: {location}\r\n"),
            "",
        )]);
        assert_failed(run_by(local(), get(here.url("/"))), Reason::Permanent, told);
    }
    let ring = answer("302 Found", "location: /\r\n", "");
    let here = Server::saying(vec![ring; 6]);
    let done = run_by(local(), get(here.url("/")));
    assert_failed(done, Reason::Permanent, "more than 5 redirects");
    assert_eq!(here.asked().len(), 6);
}

#[test]
fn an_address_that_is_not_public_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "169.254.169.254",
    ] {
        let done = run_by(HttpCalls::to([host]), get(format!("http://{host}:{port}/")));
        assert_failed(done, Reason::Permanent, "the host's address is not public");
    }
    assert!(listener.accept().is_err());
}

#[test]
fn a_host_that_is_not_named_is_not_called() {
    for calls in [HttpCalls::to([""; 0]), HttpCalls::to(["example.org"])] {
        let call = get("http://127.0.0.1:1/".into());
        let done = run_by(calls.allow_private_addresses(), call);
        assert_failed(
            done,
            Reason::Permanent,
            "this host does not allow calls to it",
        );
    }
}

#[test]
fn secrets_of_a_call_are_in_no_error() {
    let call =
        HttpCall::new("GET", "http://user:s3cret@127.0.0.1/s3cret?s3cret").header("x", "s3cret");
    assert!(!format!("{call:?}").contains("s3cret"));
    let failure = run_by(local(), call).into_output().unwrap_err();
    assert!(!failure.message().contains("s3cret"), "{failure}");
}

/// Set in a process whose environment names a proxy.
const PROXIED: &str = "JOBKEEP_TEST_PROXIED";

#[test]
fn proxies_of_the_environment_are_not_used() {
    if std::env::var_os(PROXIED).is_some() {
        let server = Server::saying([answer("200 OK", "", "itself")]);
        assert_eq!(output(get(server.url("/"))).body().text(), "itself");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        let run = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "http_calls::proxies_of_the_environment_are_not_used",
            ])
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .env(PROXIED, "1")
            .env(name, &proxy)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
        assert!(listener.accept().is_err(), "{name}");
    }
}
