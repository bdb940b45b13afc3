//! Calls of a server of the test's own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use jobkeep::builtin::{HttpAnswer, HttpCall, HttpCalls};
use jobkeep::{Completed, Manager, MemoryStore, NewJob, Reason, StateKind};

use crate::place::PATIENCE;

/// Answers each connection with the next text, and gives back what was asked.
struct Server {
    address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    fn saying(answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Vec<_> = answers.into_iter().collect();
        let answer = move |text: String| {
            let (mut stream, _) = listener.accept().unwrap();
            let asked = request(&mut stream);
            // A client that has seen enough closes.
            let _ = stream.write_all(text.as_bytes());
            asked
        };
        let play = move || answers.into_iter().map(answer).collect();
        Self {
            address,
            thread: Builder::new().spawn(play).unwrap(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

/// A request with its body.
fn request(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut text, mut byte) = (Vec::new(), [0]);
    let length = loop {
        stream.read_exact(&mut byte).unwrap();
        text.extend(byte);
        if text.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&text).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            break length.map_or(0, |length| length.parse().unwrap());
        }
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    text.extend(body);
    String::from_utf8(text).unwrap()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

fn local() -> HttpCalls {
    HttpCalls::to(["127.0.0.1"]).allow_private_addresses()
}

fn run_by(calls: HttpCalls, call: HttpCall) -> Completed<HttpCall> {
    let manager = Manager::builder(MemoryStore::new())
        .http_calls(calls)
        .start()
        .unwrap();
    let receipt = manager.enqueue(NewJob::new(call).attempts(1)).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap()
}

fn output(call: HttpCall) -> HttpAnswer {
    run_by(local(), call).into_output().unwrap()
}

#[track_caller]
fn assert_failed(done: Completed<HttpCall>, reason: Reason, told: &str) {
    let failure = done.into_output().unwrap_err();
    assert_eq!(failure.reason(), reason, "{failure}");
    assert!(failure.message().contains(told), "{failure}");
}

fn get(url: String) -> HttpCall {
    HttpCall::new("GET", url)
}

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
        let (mut stream, _) = listener.accept().unwrap();
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
