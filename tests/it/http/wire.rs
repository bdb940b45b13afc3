//! A host, and requests to it as any program would send them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use jobkeep::http::{Server, Serving};
use jobkeep::{Context, Job, JobError, Manager, MemoryStore, Run};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize)]
pub(crate) struct Echo {
    pub(crate) text: String,
}

impl Job for Echo {
    const NAME: &'static str = "echo";
    type Output = String;
}

impl Run for Echo {
    fn run(&mut self, _: &Context) -> Result<String, JobError> {
        Ok(self.text.clone())
    }
}

/// A manager named `web-1` on a store in memory.
pub(crate) fn manager() -> Manager {
    Manager::builder(MemoryStore::new())
        .server("web-1")
        .register::<Echo>()
        .start()
        .unwrap()
}

pub(crate) fn host() -> (Manager, Serving) {
    let manager = manager();
    let serving = Server::new(&manager).serve("127.0.0.1:0").unwrap();
    (manager, serving)
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// One request on a connection of its own.
pub(crate) fn send(to: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: jobs\r\nconnection: close\r\ncontent-length: {length}\r\n\
         {headers}\r\n{body}"
    );
    exchange(to, request.as_bytes())
}

pub(crate) fn get(to: SocketAddr, path: &str) -> Answer {
    send(to, "GET", path, "", "")
}

pub(crate) fn post(to: SocketAddr, path: &str, body: &str) -> Answer {
    send(to, "POST", path, "content-type: application/json\r\n", body)
}

/// Sends bytes and reads until the host closes.
pub(crate) fn exchange(to: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    // So that a host that hangs is a failed test and no hanging one.
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(body).unwrap()
    };
    Answer {
        status,
        head: head.to_lowercase(),
        body,
    }
}
