//! What a connection costs on which nothing is said.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Fault;
use crate::host::Host;

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) connections: usize,
    pub(crate) rss_before: u64,
    pub(crate) rss_after: u64,
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "a figure of a bench")]
    pub(crate) fn bytes_each(&self) -> f64 {
        self.rss_after.saturating_sub(self.rss_before) as f64 / self.connections as f64
    }
}

/// Opens as many connections as the host takes, asks once on each, and leaves them open.
pub(crate) fn run(host: &Host) -> Result<Figures, Fault> {
    // What the first request makes is no cost of a connection.
    let warm = ask(host)?;
    let rss_before = rss(host.pid())?;
    let mut open = vec![warm];
    while let Ok(connection) = ask(host) {
        open.push(connection);
    }
    // Where it was this process that had no descriptor left, it needs one now.
    open.pop();
    Ok(Figures {
        connections: open.len(),
        rss_before,
        rss_after: rss(host.pid())?,
    })
}

fn ask(host: &Host) -> Result<TcpStream, Fault> {
    let mut stream = TcpStream::connect(&host.jobs)?;
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: jobs\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut part = [0; 1_024];
    while !answer.ends_with(b"}") {
        let length = stream.read(&mut part)?;
        if length == 0 {
            return Err("the host takes no more connections".into());
        }
        answer.extend_from_slice(part.get(..length).unwrap_or_default());
    }
    // The host keeps three quarters of what it could, so that others come in between.
    let is_kept = !String::from_utf8_lossy(&answer).contains("connection: close");
    if answer.starts_with(b"HTTP/1.1 200") && is_kept {
        Ok(stream)
    } else {
        Err("the host takes no more connections".into())
    }
}

fn rss(pid: u32) -> Result<u64, Fault> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kib: u64 = kib.ok_or("the system does not tell")?.trim().parse()?;
    Ok(kib * 1_024)
}
