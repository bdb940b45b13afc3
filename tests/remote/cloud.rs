//! The cloud example, started by its script and used as its visitors do.

use std::fs::{read, read_to_string, write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use fantoccini::Locator;
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
    run(async {
        let visitor = driver.visitor().await;
        visitor.browser.goto(&cloud.url("/")).await.unwrap();
        upload(&visitor, &photo("rocket.jpg")).await;
        let sizes = visitor.find(&done(1)).await.text().await.unwrap();
        for size in ["160 × 106", "480 × 320", "640 × 427"] {
            assert!(sizes.contains(size), "{sizes}");
        }
        all_pictures_show(&visitor).await;
        visitor.browser.refresh().await.unwrap();
        assert_eq!(visitor.find(&done(1)).await.text().await.unwrap(), sizes);

        let host = cloud.kill("web-2");
        visitor.browser.refresh().await.unwrap();
        let away = visitor.find("section figure.waits").await;
        let away = away.text().await.unwrap();
        assert!(away.contains("web-2 is away"), "{away}");
        upload(&visitor, &photo("coffee.png")).await;
        // The newest is the first, and none of it is with the host that is gone.
        let newest = visitor.find(&done(1)).await.text().await.unwrap();
        assert!(!newest.contains("web-2"), "{newest}");
        host.comes_back();
        // The page shows by itself that it has.
        assert_eq!(visitor.find(&done(2)).await.text().await.unwrap(), sizes);
        all_pictures_show(&visitor).await;
        visitor.browser.refresh().await.unwrap();
        assert_eq!(visitor.find(&done(2)).await.text().await.unwrap(), sizes);

        no_other_visitor_sees_them(&cloud, &driver, &visitor).await;
        visitor.browser.close().await.unwrap();
    });
    drop(driver);
    cloud.interrupt();
}

#[test]
fn everything_ends_where_the_port_of_the_page_of_nginx_or_of_a_host_is_taken() {
    for beyond in [0, 80, 83] {
        let port = free_port();
        let taken = TcpListener::bind(("127.0.0.1", port + beyond)).unwrap();
        let mut cloud = Cloud::at(port);
        assert!(!cloud.script.wait().unwrap().success(), "{beyond}");
        let group = Pid::from_child(&cloud.script);
        assert!(test_kill_process_group(group).is_err(), "{beyond}");
        drop(taken);
    }
}

async fn no_other_visitor_sees_them(cloud: &Cloud, driver: &Driver, visitor: &Visitor) {
    let picture = visitor.find("section img").await;
    let picture = picture.attr("src").await.unwrap().unwrap();
    let stranger = driver.visitor().await;
    stranger.browser.goto(&cloud.url("/")).await.unwrap();
    assert!(!stranger.has("section").await);
    stranger.browser.close().await.unwrap();

    let cookies = visitor.browser.get_all_cookies().await.unwrap();
    let [cookie] = &cookies[..] else {
        panic!("{cookies:?}");
    };
    assert_eq!(cookie.http_only(), Some(true));
    let agent: Agent = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .build()
        .into();
    let status = |cookie: String| {
        let request = agent.get(cloud.url(&picture)).header("cookie", cookie);
        request.call().unwrap().status().as_u16()
    };
    let (name, value) = (cookie.name(), cookie.value());
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
    run(async {
        let visitor = driver.visitor().await;
        visitor.browser.goto(&cloud.url("/")).await.unwrap();
        for (file, sentence) in [
            (&text, "This file is no picture that we can read"),
            (&large, "This file is too large"),
        ] {
            upload(&visitor, file).await;
            let told = visitor.find("#sentence").await.text().await.unwrap();
            assert!(told.starts_with(sentence), "{told}");
            assert!(!visitor.has("section").await);
            visitor.browser.goto(&cloud.url("/")).await.unwrap();
        }
        // It begins as a picture, and the hosts find out.
        upload(&visitor, &broken).await;
        let told = visitor.find("section figure.failed").await;
        let told = told.text().await.unwrap();
        assert!(told.contains("no JPEG or PNG picture"), "{told}");
        visitor.browser.close().await.unwrap();
    });
    drop(driver);
    cloud.interrupt();
}

async fn upload(visitor: &Visitor, file: &Path) {
    let before = visitor.find("body").await;
    let field = visitor.find("input[type=file]").await;
    field.send_keys(file.to_str().unwrap()).await.unwrap();
    visitor.find("button").await.click().await.unwrap();
    // Another page has come.
    while before.text().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// Every image of the page is there, and as large as the page says.
async fn all_pictures_show(visitor: &Visitor) {
    let look = "const answer = arguments[0]; \
        Promise.all([...document.images].map(image => image.decode())) \
            .then(() => [...document.images].map(image => [image.naturalWidth, image.naturalHeight])) \
            .then(answer, error => answer(String(error)));";
    let seen = visitor.browser.execute_async(look, Vec::new()).await;
    let images = visitor.browser.find_all(Locator::Css("img")).await.unwrap();
    let mut sizes = Vec::new();
    for image in images {
        let width = image.attr("width").await.unwrap().unwrap();
        let height = image.attr("height").await.unwrap().unwrap();
        sizes.push([width.parse::<u32>().unwrap(), height.parse().unwrap()]);
    }
    assert!(!sizes.is_empty());
    assert_eq!(seen.unwrap(), serde_json::json!(sizes));
}

fn run(act: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(act);
}

fn photo(name: &str) -> PathBuf {
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
    photos.join(name)
}

/// Everything that `scripts/cloud` starts.
struct Cloud {
    script: Child,
    port: u16,
    folder: TempDir,
}

impl Cloud {
    fn start() -> Self {
        let cloud = Self::at(free_port());
        for port in cloud.ports() {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                std::thread::yield_now();
            }
        }
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
        let script = command
            .args(["--port", &port.to_string()])
            .arg("--dir")
            .arg(folder.path())
            // As a terminal does it, so that Ctrl-C reaches all of it.
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            script,
            port,
            folder,
        }
    }

    /// Of the page, of nginx and of the hosts.
    fn ports(&self) -> [u16; 5] {
        [0, 80, 81, 82, 83].map(|beyond| self.port + beyond)
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

/// One that is free, and those that the script counts from it.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let beyond = [80, 81, 82, 83].map(|beyond| port.checked_add(beyond));
        let is_free = |port: &Option<u16>| {
            port.is_some_and(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        };
        if beyond.iter().all(is_free) {
            return port;
        }
    }
}
