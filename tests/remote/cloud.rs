//! The cloud example, started by its script and used as its visitors do.

use std::fs::{read, read_to_string, write};
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{
    Pid, Signal, kill_process, kill_process_group, test_kill_process, test_kill_process_group,
};
use tempfile::TempDir;
use ureq::Agent;

use crate::browser::{Driver, Visitor};

/// All sizes of the n-th photo are there.
fn done(photo: usize) -> String {
    format!("section:nth-of-type({photo}):has(figure):not(:has(figure:not(.done)))")
}

#[test]
fn sizes_appear_in_the_browser_and_are_there_again_though_a_host_is_killed() {
    let cloud = Cloud::start();
    let driver = Driver::start();
    let visitor = driver.visitor();
    visitor.go_to(&cloud.url("/"));
    upload(&visitor, &photo("rocket.jpg"));
    let sizes = visitor.text(&done(1));
    for size in ["160 × 106", "480 × 320", "640 × 427"] {
        assert!(sizes.contains(size), "{sizes}");
    }
    assert_pictures_show(&visitor);
    visitor.reload();
    assert_eq!(visitor.text(&done(1)), sizes);

    let host = cloud.kill("web-2");
    visitor.reload();
    let away = visitor.text("section figure.waits");
    assert!(away.contains("web-2 is away"), "{away}");
    upload(&visitor, &photo("coffee.png"));
    // The newest is the first, and none of it is with the host that is gone.
    let newest = visitor.text(&done(1));
    assert!(!newest.contains("web-2"), "{newest}");
    host.comes_back();
    // The page shows by itself that it has.
    assert_eq!(visitor.text(&done(2)), sizes);
    assert_pictures_show(&visitor);
    visitor.reload();
    assert_eq!(visitor.text(&done(2)), sizes);

    assert_nobody_else_sees_them(&cloud, &driver, &visitor);
    drop((visitor, driver));
    cloud.interrupt();
}

#[test]
fn everything_ends_where_the_port_of_the_page_of_nginx_or_of_a_host_is_taken() {
    for beyond in [0, 80, 83] {
        let port = free_ports();
        let taken = TcpListener::bind(("127.0.0.1", port + beyond)).unwrap();
        let mut cloud = Cloud::at(port);
        assert!(!cloud.script.wait().unwrap().success(), "{beyond}");
        let group = Pid::from_child(&cloud.script);
        assert!(test_kill_process_group(group).is_err(), "{beyond}");
        drop(taken);
    }
}

fn assert_nobody_else_sees_them(cloud: &Cloud, driver: &Driver, visitor: &Visitor) {
    let picture = visitor.run("return document.images[0].getAttribute('src')", &[]);
    let picture = picture.as_str().unwrap();
    let stranger = driver.visitor();
    stranger.go_to(&cloud.url("/"));
    assert!(stranger.has("form") && !stranger.has("section"));

    let cookies = visitor.cookies();
    let [cookie] = &cookies[..] else {
        panic!("{cookies:?}");
    };
    assert_eq!(cookie["httpOnly"], true);
    let agent: Agent = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .build()
        .into();
    let status = |cookie: String| {
        let request = agent.get(cloud.url(picture)).header("cookie", cookie);
        request.call().unwrap().status().as_u16()
    };
    let [name, value] = ["name", "value"].map(|key| cookie[key].as_str().unwrap());
    assert_eq!(status(format!("{name}={value}")), 200);
    // The signature stands before what it signs, and ends in `=`.
    let (_, receipts) = value.split_once("%3D").unwrap();
    for other in [format!("{name}={receipts}"), format!("{name}=x{value}")] {
        assert_eq!(status(other), 404);
    }
    assert_eq!(status("other=1".into()), 404);
}

#[test]
fn what_is_no_photo_gets_a_sentence() {
    let cloud = Cloud::start();
    let driver = Driver::start();
    let large = cloud.folder.path().join("large.jpg");
    let mut whole = read(photo("rocket.jpg")).unwrap();
    whole.resize((8 << 20) + 1, 0);
    write(&large, whole).unwrap();
    let broken = cloud.folder.path().join("broken.png");
    let whole = read(photo("coffee.png")).unwrap();
    write(&broken, &whole[..whole.len() / 2]).unwrap();
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let visitor = driver.visitor();
    for (file, sentence) in [
        (&text, "This file is no picture that we can read"),
        (&large, "This file is too large"),
    ] {
        visitor.go_to(&cloud.url("/"));
        upload(&visitor, file);
        let told = visitor.text("#sentence");
        assert!(told.starts_with(sentence), "{told}");
        assert!(!visitor.has("section"));
    }
    // It begins as a picture, and the hosts find out.
    upload(&visitor, &broken);
    let told = visitor.text("section figure.failed");
    assert!(told.contains("no JPEG or PNG picture"), "{told}");
    drop((visitor, driver));
    cloud.interrupt();
}

fn upload(visitor: &Visitor, file: &Path) {
    visitor.press("input[type=file]", file.to_str().unwrap());
    visitor.click("button");
}

/// Every image of the page is there, and as large as the page says.
fn assert_pictures_show(visitor: &Visitor) {
    let images = visitor.run(
        "const images = [...document.images]; \
         return Promise.all(images.map(image => image.decode())).then(() => images.map(image => \
             [image.naturalWidth, image.naturalHeight, image.width > 0, \
              Number(image.getAttribute('width')), Number(image.getAttribute('height'))]))",
        &[],
    );
    let images = images.as_array().unwrap();
    assert!(!images.is_empty());
    for image in images {
        let (shown, told) = ([&image[0], &image[1]], [&image[3], &image[4]]);
        assert!(shown == told && image[2] == true, "{image}");
    }
}

fn photo(name: &str) -> PathBuf {
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
    photos.join(name)
}

/// Everything that `scripts/cloud` starts.
struct Cloud {
    script: Child,
    /// Where nobody could read it, what it says later would end it.
    said: Lines<BufReader<ChildStdout>>,
    port: u16,
    folder: TempDir,
}

impl Cloud {
    fn start() -> Self {
        let mut cloud = Self::at(free_ports());
        let is_ready = cloud.said.any(|line| line.unwrap().starts_with("Ready: "));
        assert!(is_ready);
        cloud
    }

    /// Whether or not it can listen there.
    fn at(port: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cloud");
        let mut command = Command::new(script);
        // What cargo tells this test would have the script's cargo build much of it anew.
        for (name, _) in std::env::vars() {
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name);
            }
        }
        let mut script = command
            .args(["--port", &port.to_string()])
            .arg("--dir")
            .arg(folder.path())
            // As a terminal does it, so that Ctrl-C reaches all of it.
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(script.stdout.take().unwrap());
        Self {
            script,
            said: said.lines(),
            port,
            folder,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Kills a host, which is not started again until it may come back.
    fn kill(&self, name: &str) -> Killed {
        let file = self.folder.path().join(format!("{name}.pid"));
        let host = read_to_string(file).unwrap();
        let host = pid(&host);
        let keeper = parent(host);
        kill_process(keeper, Signal::STOP).unwrap();
        kill_process(host, Signal::KILL).unwrap();
        Killed { keeper }
    }

    /// Ctrl-C: nothing is left of it.
    fn interrupt(mut self) {
        let processes: Vec<_> = ["web-1", "web-2", "web-3", "nginx", "cloud"]
            .map(|name| read_to_string(self.folder.path().join(format!("{name}.pid"))))
            .into_iter()
            .map(|text| pid(&text.unwrap()))
            .collect();
        kill_process_group(Pid::from_child(&self.script), Signal::INT).unwrap();
        assert_eq!(self.script.wait().unwrap().code(), Some(130));
        for process in processes {
            assert!(test_kill_process(process).is_err(), "{process:?}");
        }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if self.script.try_wait().is_ok_and(|ended| ended.is_none()) {
            let group = Pid::from_child(&self.script);
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.script.wait();
        }
    }
}

/// A host that is away, and what would start it again.
struct Killed {
    keeper: Pid,
}

impl Killed {
    fn comes_back(self) {
        kill_process(self.keeper, Signal::CONT).unwrap();
    }
}

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

fn parent(process: Pid) -> Pid {
    let stat = read_to_string(format!("/proc/{}/stat", process.as_raw_pid())).unwrap();
    // The name before it, in brackets, may have spaces.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    pid(rest.split_whitespace().nth(1).unwrap())
}

/// The first of some that are free, as the script counts them. The system gives none of these to whoever
/// asks for any, and a test shares them with no other.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let of_this_process = u16::try_from(std::process::id() % 100).unwrap();
    loop {
        let port = 20_000 + 100 * of_this_process + NEXT.fetch_add(5, Ordering::Relaxed) % 80;
        let is_free = |beyond: &u16| TcpListener::bind(("127.0.0.1", port + beyond)).is_ok();
        if [0, 80, 81, 82, 83].iter().all(is_free) {
            return port;
        }
    }
}
