//! Calls whose jobs are told to stop.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use jobkeep::builtin::HttpCall;
use jobkeep::testing::ManualClock;
use jobkeep::{Manager, MemoryStore, NewJob, Reason};

use crate::http_server::{accept, assert_failed, get, local, request};
use crate::place::{HOUR, PATIENCE};

/// How far an answer came that never ends: the last one may end with its connection, and looks whole then.
const BEGINNINGS: [&str; 5] = [
    "",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "HTTP/1.1 200 OK\r\n\r\nhalf",
];

/// A server that begins an answer, and then waits for the end of the connection.
struct Slow {
    url: String,
    began: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Slow {
    fn saying(beginning: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (told, began) = channel();
        let play = move || {
            let mut stream = accept(&listener);
            request(&mut stream);
            stream.write_all(beginning.as_bytes()).unwrap();
            told.send(()).unwrap();
            match stream.read(&mut [0]) {
                Ok(0) => {}
                // It closed before it had read all.
                Err(cause) if cause.kind() == ErrorKind::ConnectionReset => {}
                other => panic!("{other:?}"),
            }
        };
        let thread = Builder::new().spawn(play).unwrap();
        Self { url, began, thread }
    }

    /// A call that would wait for ever.
    fn call(&self) -> HttpCall {
        get(self.url.clone()).timeout(Duration::ZERO)
    }

    fn began(&self) {
        self.began.recv_timeout(PATIENCE).unwrap();
    }

    /// Returns when the connection has ended.
    fn ended(self) {
        self.thread.join().unwrap();
    }
}

#[test]
fn a_cancelled_job_ends_its_connection() {
    for beginning in BEGINNINGS {
        let server = Slow::saying(beginning);
        let manager = Manager::builder(MemoryStore::new())
            .http_calls(local())
            .start()
            .unwrap();
        let receipt = manager.enqueue(server.call()).unwrap();
        server.began();
        manager.cancel(&receipt).unwrap();
        server.ended();
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        assert_eq!(done.attempts(), 1);
        assert_failed(done, Reason::Cancelled, "its job was told to stop");
    }
}

#[test]
fn an_attempt_that_is_over_ends_its_connection() {
    for beginning in BEGINNINGS {
        let (server, clock) = (Slow::saying(beginning), ManualClock::new());
        let manager = Manager::builder(MemoryStore::new())
            .clock(clock.clone())
            .http_calls(local())
            .start()
            .unwrap();
        let job = NewJob::new(server.call()).timeout(HOUR).attempts(1);
        let receipt = manager.enqueue(job).unwrap();
        server.began();
        clock.advance(HOUR);
        server.ended();
        let done = manager.wait(&receipt, PATIENCE).unwrap();
        assert_failed(done, Reason::TimedOut, "");
    }
}

#[test]
fn a_manager_that_shuts_down_ends_the_connections_of_its_jobs_and_repeats_them() {
    for beginning in BEGINNINGS {
        let (server, store) = (Slow::saying(beginning), MemoryStore::new());
        let manager = Manager::builder(store.clone())
            .http_calls(local())
            .start()
            .unwrap();
        let receipt = manager.enqueue(server.call()).unwrap();
        server.began();
        let report = manager.shutdown(Duration::ZERO).unwrap();
        assert_eq!(report.finished, 0);
        server.ended();
        let manager = Manager::builder(store).start().unwrap();
        let status = manager.status(&receipt).unwrap();
        assert_eq!((status.attempts(), status.interruptions()), (0, 1));
    }
}
