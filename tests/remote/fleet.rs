//! Hosts and a balancer, as processes that end with the test.
//!
//! Balancers run by the configurations that stand in `examples/host`, with other addresses.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use jobkeep::http::{Client, ClientBuilder};
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "a-token-of-the-test";

/// One that creates nothing.
pub(crate) const READER: &str = "another-of-the-test";

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

impl Running {
    /// Tells it to stop, and returns when it has.
    pub(crate) fn stop(mut self) {
        let number = self.child.id().to_string();
        let told = Command::new("kill").arg(number).status().unwrap();
        assert!(told.success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is gone as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A balancer whose configuration the docs show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
    Apache,
}

impl Kind {
    /// The name of its configuration in `examples/host`.
    fn file(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
            Self::Apache => "apache.conf",
        }
    }

    /// What stands before the address of a host.
    fn host(self) -> &'static str {
        match self {
            Self::Nginx => "server 127.0.0.1:",
            Self::Haproxy => "server web-",
            Self::Apache => "BalancerMember ",
        }
    }

    /// The program, with its configuration in this folder.
    fn command(self, folder: &Path) -> Command {
        let file = folder.join(self.file());
        let mut command;
        match self {
            Self::Nginx => {
                command = Command::new("nginx");
                command.arg("-p").arg(folder).args(["-e", "error.log"]);
                command.arg("-c").arg(file);
            }
            Self::Haproxy => {
                command = Command::new("haproxy");
                command.arg("-f").arg(file);
            }
            Self::Apache => {
                command = Command::new("apache2");
                command.arg("-d").arg(folder).arg("-f").arg(file);
            }
        }
        command
    }

    fn start(self, folder: &Path) -> Command {
        let mut command = self.command(folder);
        if self == Self::Apache {
            command.arg("-DFOREGROUND");
        }
        command
    }

    /// Tells nginx and Apache, whose workers would outlive them if they were killed, to stop.
    fn stop(self, folder: &Path) -> Option<Command> {
        let mut command = self.command(folder);
        match self {
            Self::Nginx => command.args(["-s", "stop"]),
            Self::Apache => command.args(["-k", "stop"]),
            Self::Haproxy => return None,
        };
        Some(command)
    }
}

/// A balancer that runs.
pub(crate) struct Balancer {
    master: Child,
    stop: Option<Command>,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Where it cannot be told any more, it is killed.
        let stop = self.stop.as_mut().map(Command::status);
        if stop.is_some_and(|told| told.is_ok_and(|told| told.success())) {
            let _ = self.master.wait();
        }
        let _ = self.master.kill();
        let _ = self.master.wait();
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
        let folder = TempDir::new().unwrap();
        // The workers of a balancer that root starts are somebody else, and keep bodies there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            folder,
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

    /// Where all of them do.
    pub(crate) fn addresses(&self) -> Vec<String> {
        (1..=self.ports.len())
            .map(|number| self.address(number))
            .collect()
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
            .args(["--token", &format!("read:{READER}")])
            // Five times as long as balancers take to ask again.
            .args(["--notice", "5"])
            .env("JOBKEEP_TOKEN", TOKEN);
        Running::start(&mut host)
    }

    /// Starts nginx before the hosts of these numbers.
    pub(crate) fn balance(&self, hosts: &[usize]) -> Balancer {
        let hosts: Vec<_> = hosts.iter().map(|number| self.address(*number)).collect();
        self.balance_by(Kind::Nginx, &hosts)
    }

    /// Starts a balancer before what listens at these addresses.
    pub(crate) fn balance_by(&self, kind: Kind, hosts: &[String]) -> Balancer {
        self.configure(kind, hosts);
        let folder = self.folder.path();
        let said = fs::File::create(folder.join("balancer.out")).unwrap();
        let mut balancer = Balancer {
            master: kind.start(folder).stderr(said).spawn().unwrap(),
            stop: kind.stop(folder),
        };
        // It does not say when it listens.
        while std::net::TcpStream::connect(("127.0.0.1", self.balancer)).is_err() {
            if let Some(ended) = balancer.master.try_wait().unwrap() {
                let said = fs::read_to_string(folder.join("balancer.out")).unwrap();
                panic!("{kind:?}: {ended}: {said}");
            }
            std::thread::yield_now();
        }
        balancer
    }

    /// Has nginx take these hosts instead, without an end of what it is at.
    pub(crate) fn rebalance(&self, hosts: &[usize]) {
        let hosts: Vec<_> = hosts.iter().map(|number| self.address(*number)).collect();
        self.configure(Kind::Nginx, &hosts);
        let mut reload = Kind::Nginx.command(self.folder.path());
        let done = reload.args(["-s", "reload"]).status().unwrap();
        assert!(done.success());
    }

    fn configure(&self, kind: Kind, hosts: &[String]) {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/host");
        let example = fs::read_to_string(examples.join(kind.file())).unwrap();
        let mut hosts = hosts.iter();
        let mut lines = Vec::new();
        let mut last = "";
        for line in example.lines() {
            let is_host = line.trim_start().starts_with(kind.host());
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
        fs::write(self.folder.path().join(kind.file()), text + "\n").unwrap();
    }
}

/// The line of a host, with another address.
fn with_address(line: &str, host: &str) -> String {
    let (before, rest) = line.split_once("127.0.0.1:").unwrap();
    let settings = rest.trim_start_matches(char::is_numeric);
    format!("{before}{host}{settings}")
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
