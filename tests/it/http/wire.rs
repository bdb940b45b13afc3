//! A host, and requests to it as any program would send them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use jobkeep::http::{Server, Serving};
use jobkeep::{Builder, Context, Job, JobError, Manager, MemoryStore, Run};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

#[derive(Debug, Serialize, Deserialize)]
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

/// A type of job that cannot even be decoded without harm.
#[derive(Serialize)]
pub(crate) struct Throws;

impl<'de> Deserialize<'de> for Throws {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("it was to be decoded");
    }
}

impl Job for Throws {
    const NAME: &'static str = "throws";
    type Output = ();
}

/// What a manager named `web-1` on a store in memory is made of.
pub(crate) fn builder() -> Builder {
    Manager::builder(MemoryStore::new())
        .server("web-1")
        .register::<Echo>()
        .handle::<Throws>(|_, _| Ok(()))
}

pub(crate) fn manager() -> Manager {
    builder().start().unwrap()
}

/// A host that serves.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) serving: Serving,
}

/// A host of that manager, as `told`.
pub(crate) fn started(manager: &Manager, told: impl FnOnce(Server) -> Server) -> Told {
    let serving = told(Server::new(manager)).serve("127.0.0.1:0").unwrap();
    Told { serving }
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
