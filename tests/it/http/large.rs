//! Requests and answers of any size: what is large is done beside those who serve, and all of it together
//! within a bound of memory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Condvar, Mutex};
use std::thread::scope;

use jobkeep::http::Server;
use jobkeep::{Builder, Job, Manager, MemoryStore, Queue};
use serde::{Deserialize, Deserializer, Serialize};

use super::wire::{Answer, Echo, Told, builder, exchange, get, post, started};
use crate::gate::GatedStore;
use crate::place::PATIENCE;

/// Its decoder waits until it may go on.
#[derive(Serialize)]
struct Waits(String);

#[derive(Default)]
struct Held {
    inside: usize,
    may_go: bool,
}

static HELD: Mutex<Held> = Mutex::new(Held {
    inside: 0,
    may_go: false,
});
static CHANGED: Condvar = Condvar::new();

impl<'de> Deserialize<'de> for Waits {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let text = String::deserialize(value)?;
        let mut held = HELD.lock().unwrap();
        held.inside += 1;
        CHANGED.notify_all();
        drop(CHANGED.wait_timeout_while(held, PATIENCE, |held| !held.may_go));
        Ok(Self(text))
    }
}

impl Job for Waits {
    const NAME: &'static str = "waits";
    type Output = ();
}

fn large(builder: Builder) -> Builder {
    builder.payload_limit(32 << 20).output_limit(32 << 20)
}

#[test]
fn a_host_is_well_while_all_who_decode_are_busy() {
    let manager = large(builder())
        .handle::<Waits>(|_, _| Ok(()))
        .start()
        .unwrap();
    let told = started(&manager, |server| server);
    let to = told.serving.address();
    let body = format!(r#"{{"name":"waits","payload":"{}"}}"#, "x".repeat(100_000));
    scope(|scope| {
        let creating: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| post(to, "/v1/jobs", &body).status))
            .collect();
        let held = HELD.lock().unwrap();
        drop(CHANGED.wait_timeout_while(held, PATIENCE, |held| held.inside < 2));
        for _ in 0..20 {
            assert_eq!(get(to, "/v1/health").status, 200);
        }
        // Small ones come in between.
        let small = r#"{"name":"echo","payload":{"text":"a"}}"#;
        assert_eq!(post(to, "/v1/jobs", small).status, 201);
        HELD.lock().unwrap().may_go = true;
        CHANGED.notify_all();
        for created in creating {
            assert_eq!(created.join().unwrap(), 201);
        }
    });
}

#[test]
fn a_host_is_well_while_all_who_read_the_store_are_busy() {
    let store = GatedStore::new(MemoryStore::new());
    let gate = store.gate();
    let manager = Manager::builder(store).register::<Echo>().start().unwrap();
    let told = started(&manager, |server| server);
    let to = told.serving.address();
    let receipt = manager.enqueue(Echo { text: "a".into() }).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    gate.hold_reads();
    let path = format!("/v1/jobs/{receipt}?wait_ms=1000");
    scope(|scope| {
        let asking: Vec<_> = (0..20).map(|_| scope.spawn(|| get(to, &path))).collect();
        gate.reads_held(2);
        for _ in 0..20 {
            assert_eq!(get(to, "/v1/health").status, 200);
        }
        gate.let_reads();
        for asked in asking {
            assert_eq!(asked.join().unwrap().body["output"], "a");
        }
    });
}

/// Sends a part of a request, and then waits.
struct Begun(TcpStream, Vec<u8>);

impl Begun {
    fn new(to: SocketAddr, request: &[u8], part: usize) -> Self {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&request[..part]).unwrap();
        Self(stream, request[part..].to_vec())
    }

    fn finish(mut self) -> String {
        self.0.write_all(&self.1).unwrap();
        let mut said = String::new();
        self.0.read_to_string(&mut said).unwrap();
        said
    }
}

const HEAD: &str = "POST /v1/jobs HTTP/1.1\r\nhost: jobs\r\nconnection: close\r\n\
                    content-type: application/json\r\n";

fn job(bytes: usize) -> String {
    format!(
        r#"{{"name":"echo","payload":{{"text":"{}"}}}}"#,
        "x".repeat(bytes)
    )
}

fn sized(body: &str) -> Vec<u8> {
    format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn chunked(body: &str) -> Vec<u8> {
    let half = body.len() / 2;
    let (first, second) = body.split_at(half);
    format!(
        "{HEAD}transfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    )
    .into_bytes()
}

#[track_caller]
fn is_full(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (503, Some("full"))
    );
    assert!(answer.head.contains("\r\nretry-after: 1\r\n"), "{answer:?}");
}

/// Waits until that is so: an answer may be here before its request is forgotten there.
fn nothing_is_held(told: &Told) {
    while told.serving.memory() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn bodies_together_take_no_more_memory_than_they_may() {
    let manager = builder().start().unwrap();
    // A quarter of it is for bodies.
    let told = started(&manager, |server| server.memory_limit(400 << 10));
    let to = told.serving.address();
    for first in [sized(&job(90_000)), chunked(&job(90_000))] {
        // All of the first chunk, or of what was announced, is taken when it is here.
        let first = Begun::new(to, &first, 60_000);
        while told.serving.memory() < 58_000 {
            std::thread::yield_now();
        }
        is_full(&exchange(to, &sized(&job(60_000))));
        is_full(&exchange(to, &chunked(&job(80_000))));
        // There is room for what is small, and for who only asks.
        assert_eq!(post(to, "/v1/jobs", &job(1)).status, 201);
        assert_eq!(get(to, "/v1/health").status, 200);
        let said = first.finish();
        assert!(said.starts_with("HTTP/1.1 201 "), "{said}");
        nothing_is_held(&told);
        assert_eq!(exchange(to, &sized(&job(60_000))).status, 201);
        nothing_is_held(&told);
    }
    // What is larger than all of it is let in alone.
    assert_eq!(exchange(to, &sized(&job(500_000))).status, 201);
    nothing_is_held(&told);
    assert_eq!(exchange(to, &chunked(&job(500_000))).status, 201);
}

#[test]
fn answers_together_take_no_more_memory_than_they_may() {
    let manager = large(builder()).start().unwrap();
    let told = started(&manager, |server| server.memory_limit(1 << 20));
    let to = told.serving.address();
    // More than lies in the buffers of sockets.
    let text = "x".repeat(8 << 20);
    let receipt = manager.enqueue(Echo { text }).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    let path = format!("/v1/jobs/{receipt}");
    let ask = format!("GET {path} HTTP/1.1\r\nhost: jobs\r\nconnection: close\r\n\r\n");
    let mut first = Begun::new(to, ask.as_bytes(), ask.len());
    let mut begun = [0; 15];
    first.0.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200 OK");
    is_full(&get(to, &path));
    assert_eq!(post(to, "/v1/jobs", &job(1)).status, 201);
    let said = first.finish();
    assert!(said.len() > 16 << 20);
    nothing_is_held(&told);
    assert_eq!(get(to, &path).status, 200);
}

#[test]
fn a_body_that_is_not_cut_as_it_should_be_is_malformed() {
    let manager = builder().start().unwrap();
    let told = started(&manager, |server| server);
    let to = told.serving.address();
    let long = format!("1;{}\r\n{{\r\n0\r\n\r\n", "x".repeat(20_000));
    for body in ["x\r\n{}\r\n0\r\n\r\n", "1\r\n{}\r\n0\r\n\r\n", &long] {
        let answer = exchange(
            to,
            format!("{HEAD}transfer-encoding: chunked\r\n\r\n{body}").as_bytes(),
        );
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (400, Some("malformed")),
            "{answer:?}"
        );
    }
    for (length, status, code) in [
        (u64::MAX.to_string(), 413, "too_large"),
        ((u64::MAX - 2).to_string(), 413, "too_large"),
        ("18446744073709551616".into(), 400, "malformed"),
        ("-1".into(), 400, "malformed"),
    ] {
        let request = format!("{HEAD}content-length: {length}\r\n\r\n{{}}");
        let answer = exchange(to, request.as_bytes());
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (status, Some(code)),
            "{length}: {answer:?}"
        );
    }
    let many = "x: 1\r\n".repeat(101);
    let answer = exchange(to, format!("{HEAD}{many}\r\n").as_bytes());
    assert_eq!(answer.body["code"], "header_too_large");
}

/// Set in a process that may have few threads.
const FEW: &str = "JOBKEEP_FEW_THREADS";

#[test]
fn a_server_that_lacks_a_thread_says_so_and_leaves_its_manager_as_it_was() {
    if std::env::var_os(FEW).is_some() {
        return serve_under_the_limit();
    }
    let name = "http::large::a_server_that_lacks_a_thread_says_so_and_leaves_its_manager_as_it_was";
    // A limit on memory stands for it: each thread wants more for its stack than that leaves for all.
    let run = Command::new("sh")
        .args([
            "-c",
            "ulimit -v 4194304 && exec \"$0\" --exact \"$1\" --test-threads 1",
        ])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(FEW, "1")
        .env("RUST_MIN_STACK", (600_usize << 20).to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
}

fn serve_under_the_limit() {
    let manager = builder()
        .queue(Queue::new("default").workers(1))
        .start()
        .unwrap();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let error = Server::new(&manager)
        .serve("127.0.0.1:0")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("listen at \"127.0.0.1:0\": start the thread `jobkeep-http-"),
        "{error}"
    );
    assert!(
        error.ends_with("Resource temporarily unavailable (os error 11)"),
        "{error}"
    );
    while threads() > before {
        std::thread::yield_now();
    }
    let error = Server::new(&manager)
        .open()
        .router()
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("route requests to the server: start the thread `jobkeep-http-"),
        "{error}"
    );
    let receipt = manager.enqueue(Echo { text: "a".into() }).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).is_ok());
}
