//! A server for the calls of jobs, and those jobs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{Builder, JoinHandle};

use jobkeep::builtin::{HttpAnswer, HttpCall, HttpCalls};
use jobkeep::{Completed, Manager, MemoryStore, NewJob, Reason};

use crate::place::PATIENCE;

/// Answers each connection with the next text, and gives back what was asked.
pub(crate) struct Server {
    address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    pub(crate) fn saying(answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Vec<_> = answers.into_iter().collect();
        let answer = move |text: String| {
            let mut stream = accept(&listener);
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

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn asked(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

/// The next client, which is waited for as long as anything here.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A request with its body.
pub(crate) fn request(stream: &mut impl Read) -> String {
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

pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

pub(crate) fn local() -> HttpCalls {
    HttpCalls::to(["127.0.0.1"]).allow_private_addresses()
}

pub(crate) fn run_by(calls: HttpCalls, call: HttpCall) -> Completed<HttpCall> {
    let manager = Manager::builder(MemoryStore::new())
        .http_calls(calls)
        .start()
        .unwrap();
    let receipt = manager.enqueue(NewJob::new(call).attempts(1)).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap()
}

pub(crate) fn output(call: HttpCall) -> HttpAnswer {
    run_by(local(), call).into_output().unwrap()
}

#[track_caller]
pub(crate) fn assert_failed(done: Completed<HttpCall>, reason: Reason, told: &str) {
    let failure = done.into_output().unwrap_err();
    assert_eq!(failure.reason(), reason, "{failure}");
    assert!(failure.message().contains(told), "{failure}");
}

pub(crate) fn get(url: String) -> HttpCall {
    HttpCall::new("GET", url)
}
