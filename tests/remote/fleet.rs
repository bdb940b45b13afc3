//! Hosts and a balancer, as processes that end with the test.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use jobkeep::http::{Client, ClientBuilder};
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "a-token-of-the-test";

/// Ports and files of hosts `web-1` and so on, and of the balancer before them.
pub(crate) struct Fleet {
    folder: TempDir,
    ports: Vec<u16>,
    balancer: u16,
}

/// A process that is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    /// Where nobody could read it, what it says later would end it.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts a host, and returns when it says that it listens.
    pub(crate) fn start(host: &mut Command) -> Self {
        let mut child = host
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        // A harness speaks first, where the host is a test.
        let listens = said.any(|line| line.unwrap().contains("listens at"));
        let running = Self { child, _said: said };
        assert!(listens);
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is gone as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx, whose workers would outlive it if it were killed.
pub(crate) struct Balancer {
    master: Child,
    stop: Command,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Where it cannot be told any more, it is killed.
        if self.stop.status().is_ok_and(|told| told.success()) {
            let _ = self.master.wait();
        }
        let _ = self.master.kill();
    }
}

impl Fleet {
    pub(crate) fn of(hosts: usize) -> Self {
        // All at once, so that no two are the same.
        let taken: Vec<_> = (0..=hosts)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports = taken.iter().map(|port| port.local_addr().unwrap().port());
        let mut ports: Vec<_> = ports.collect();
        Self {
            folder: TempDir::new().unwrap(),
            balancer: ports.pop().unwrap(),
            ports,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.balancer)
    }

    /// A client that knows the balancer and where each of the hosts is, those that do not run yet too.
    pub(crate) fn client(&self) -> ClientBuilder {
        let mut client = Client::builder(self.url()).token(TOKEN);
        for (number, port) in (1..).zip(&self.ports) {
            client = client.server(format!("web-{number}"), format!("http://127.0.0.1:{port}"));
        }
        client
    }

    /// Where host `web-N` listens.
    pub(crate) fn address(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.ports[number - 1])
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts host `web-N` on its file, and returns when it listens.
    pub(crate) fn start(&self, number: usize) -> Running {
        let mut host = Command::new(host());
        host.args(["--server", &format!("web-{number}")])
            .args(["--listen", &self.address(number)])
            .arg("--store")
            .arg(self.folder.path().join(format!("web-{number}.redb")))
            .env("JOBKEEP_TOKEN", TOKEN);
        Running::start(&mut host)
    }

    /// Starts nginx before the hosts of these numbers, by the configuration that the docs show.
    pub(crate) fn balance(&self, hosts: &[usize]) -> Balancer {
        self.configure(hosts);
        let log = self.folder.path().join("nginx.out");
        let master = self.nginx().stderr(fs::File::create(log).unwrap()).spawn();
        let mut stop = self.nginx();
        stop.args(["-s", "stop"]);
        let balancer = Balancer {
            master: master.unwrap(),
            stop,
        };
        // It does not say when it listens.
        while std::net::TcpStream::connect(("127.0.0.1", self.balancer)).is_err() {
            std::thread::yield_now();
        }
        balancer
    }

    /// Has nginx take these hosts instead, without an end of what it is at.
    pub(crate) fn rebalance(&self, hosts: &[usize]) {
        self.configure(hosts);
        let done = self.nginx().args(["-s", "reload"]).status().unwrap();
        assert!(done.success());
    }

    fn nginx(&self) -> Command {
        let mut nginx = Command::new("nginx");
        nginx.arg("-p").arg(self.folder.path());
        nginx.args(["-c", "nginx.conf", "-e", "error.log"]);
        nginx
    }

    fn configure(&self, hosts: &[usize]) {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/host/nginx.conf");
        let example = fs::read_to_string(example).unwrap();
        let hosts: Vec<_> = hosts.iter().map(|number| self.address(*number)).collect();
        let mut hosts = hosts.iter();
        let mut lines = Vec::new();
        let mut last = "";
        for line in example.lines() {
            let is_host = line.trim_start().starts_with("server 127.0.0.1:");
            if is_host {
                last = line;
                lines.extend(hosts.next().map(|host| with_address(line, host)));
                continue;
            }
            if !last.is_empty() {
                // More hosts than the example has.
                lines.extend(hosts.by_ref().map(|host| with_address(last, host)));
                last = "";
            }
            let port = format!("127.0.0.1:{}", self.balancer);
            lines.push(line.replace("127.0.0.1:8080", &port));
        }
        let text = lines.join("\n");
        fs::write(self.folder.path().join("nginx.conf"), text).unwrap();
    }
}

/// The line of a host, with another address.
fn with_address(line: &str, host: &str) -> String {
    let (before, rest) = line.split_once("127.0.0.1:").unwrap();
    let (_, settings) = rest.split_once(' ').unwrap();
    format!("{before}{host} {settings}")
}

/// The example, beside this test.
fn host() -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().unwrap().parent().unwrap();
    let host = built.join("examples/host");
    assert!(
        host.exists(),
        "{} is not built: run scripts/test-remote",
        host.display()
    );
    host
}
