//! A server that does what a test says: answers, hangs up, says nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use jobkeep::Receipt;
use serde_json::{Value, json};

use super::wire::{Echo, manager};

/// What becomes of one request.
pub(crate) enum Step {
    /// It is answered, and the connection kept.
    Say(String),
    /// It is answered, and the connection closed.
    SayAndClose(String),
    /// The connection is closed without an answer.
    HangUp,
    /// No answer comes as long as the client waits for one.
    Silence,
    /// It is answered as soon as its header is there, and the connection closed.
    Interrupt(String),
    /// The connection gets this before any request is read.
    Greet(&'static str),
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// Takes the steps one by one, and no connection after the last.
pub(crate) struct Scripted {
    address: SocketAddr,
    thread: JoinHandle<Vec<Asked>>,
    /// Gets a word for each connection that the server has closed.
    pub(crate) closed: Receiver<()>,
}

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let steps = steps.into_iter().collect::<Vec<_>>();
        let (closing, closed) = channel();
        let play = move || play(&listener, steps, &closing);
        let thread = std::thread::Builder::new().spawn(play).unwrap();
        Self {
            address,
            thread,
            closed,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that came.
    pub(crate) fn asked(self) -> Vec<Asked> {
        self.thread.join().unwrap()
    }
}

fn play(listener: &TcpListener, steps: Vec<Step>, closing: &Sender<()>) -> Vec<Asked> {
    let mut asked = Vec::new();
    let mut kept: Option<BufReader<TcpStream>> = None;
    for step in steps {
        if let Step::Greet(text) = step {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            continue;
        }
        let with_body = !matches!(step, Step::Interrupt(_));
        let (mut stream, request) = next(listener, kept.take(), with_body);
        asked.push(request);
        match step {
            Step::Say(text) => {
                // Who asks may have heard enough.
                let _ = stream.get_mut().write_all(text.as_bytes());
                kept = Some(stream);
            }
            Step::SayAndClose(text) | Step::Interrupt(text) => {
                let _ = stream.get_mut().write_all(text.as_bytes());
                drop(stream);
                let _ = closing.send(());
            }
            Step::Silence => {
                let _ = stream.read(&mut [0]);
            }
            Step::HangUp | Step::Greet(_) => {}
        }
    }
    asked
}

/// The next request, on the connection that was kept or on a new one.
fn next(
    listener: &TcpListener,
    mut kept: Option<BufReader<TcpStream>>,
    with_body: bool,
) -> (BufReader<TcpStream>, Asked) {
    loop {
        let mut stream = kept.take().unwrap_or_else(|| {
            let (stream, _) = listener.accept().unwrap();
            // So that a client that hangs is a failed test and no hanging one.
            let most = Duration::from_secs(60);
            stream.set_read_timeout(Some(most)).unwrap();
            BufReader::new(stream)
        });
        if let Some(asked) = request(&mut stream, with_body) {
            return (stream, asked);
        }
    }
}

/// The request; `None` where the client has closed the connection.
fn request(stream: &mut BufReader<TcpStream>, with_body: bool) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let head = lines.join("\n").to_lowercase();
    let length = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        is_it.then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.filter(|_| with_body).unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let line = lines[0].trim_end_matches(" HTTP/1.1").to_owned();
    Some(Asked {
        line,
        head,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}

/// An answer with more header lines.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

pub(crate) fn json_answer(status: u16, body: &Value) -> String {
    answer(
        status,
        "content-type: application/json\r\n",
        &body.to_string(),
    )
}

/// A refusal by a host.
pub(crate) fn problem(status: u16, code: &str, more: &Value) -> String {
    let mut body = json!({
        "type": "about:blank", "title": code, "status": status, "code": code,
        "detail": "the host says why", "server": "web-1"
    });
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    let headers = "content-type: application/problem+json\r\n";
    answer(status, headers, &body.to_string())
}

/// The receipt of a job `echo` of server `web-1`, as good as any.
pub(crate) fn receipt() -> Receipt<Echo> {
    manager()
        .enqueue(Echo {
            text: String::new(),
        })
        .unwrap()
}

/// The acceptance with that receipt.
pub(crate) fn accepted(receipt: &Receipt<Echo>) -> Value {
    json!({
        "receipt": receipt.to_string(), "server": receipt.server(), "number": receipt.number().0,
        "durability": "memory"
    })
}

pub(crate) fn created(receipt: &Receipt<Echo>) -> String {
    json_answer(201, &accepted(receipt))
}

/// The job of that receipt, as a host shows it.
pub(crate) fn job(receipt: &Receipt<Echo>, state: &str, more: &Value) -> Value {
    let mut job = json!({
        "receipt": receipt.to_string(), "server": "web-1", "number": receipt.number().0,
        "name": "echo", "queue": "default", "priority": "normal", "state": state,
        "created_ms": 1000, "attempts": 0, "interruptions": 0
    });
    let more = more.as_object().unwrap().clone();
    job.as_object_mut().unwrap().extend(more);
    job
}

pub(crate) fn succeeded(receipt: &Receipt<Echo>) -> String {
    let more = json!({
        "finished_ms": 2000, "attempts": 1, "payload": {"text": "left"}, "output": "out"
    });
    json_answer(200, &job(receipt, "succeeded", &more))
}
