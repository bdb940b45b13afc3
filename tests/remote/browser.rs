//! A real browser without a window, driven by its own driver, which speaks `WebDriver`: JSON over HTTP
//! (<https://www.w3.org/TR/webdriver2/>).

use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::load::PATIENCE;

/// The key of an element's name in JSON, by the specification.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// chromedriver, which ends with the test, and its browsers with it.
pub(crate) struct Driver {
    child: Child,
    port: u16,
    /// Where nobody could read it, what it says later would end it.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            // One group with the browsers.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = said.find_map(|line| {
            let line = line.unwrap();
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        Self {
            child,
            port: port.unwrap(),
            _said: said,
        }
    }

    /// A visitor with a browser of their own.
    pub(crate) fn visitor(&self) -> Visitor {
        let folder = TempDir::new().unwrap();
        // It asks for nothing beyond the page.
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", folder.path().display()),
        ];
        let always = json!({
            "goog:chromeOptions": {"args": arguments},
            "timeouts": {"implicit": PATIENCE.as_millis()},
        });
        let agent = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false);
        let mut visitor = Visitor {
            agent: agent.build().into(),
            session: format!("http://127.0.0.1:{}/session", self.port),
            _folder: folder,
        };
        let begun = visitor.post("", &json!({"capabilities": {"alwaysMatch": always}}));
        let id = begun["sessionId"].as_str().unwrap();
        visitor.session = format!("{}/{id}", visitor.session);
        visitor
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        // Already gone is gone as well.
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// One browser, at one page.
pub(crate) struct Visitor {
    agent: Agent,
    session: String,
    _folder: TempDir,
}

impl Visitor {
    pub(crate) fn go_to(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    pub(crate) fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// The text of what this selector finds, as soon as it is there.
    pub(crate) fn text(&self, css: &str) -> String {
        self.find(css);
        let text = self.run(
            "return document.querySelector(arguments[0]).innerText",
            &[css],
        );
        text.as_str().unwrap().into()
    }

    pub(crate) fn has(&self, css: &str) -> bool {
        self.run(
            "return document.querySelector(arguments[0]) !== null",
            &[css],
        ) == true
    }

    pub(crate) fn press(&self, css: &str, keys: &str) {
        let element = self.find(css);
        self.post(&format!("/element/{element}/value"), &json!({"text": keys}));
    }

    /// Clicks on what leads to another page, and waits for that.
    pub(crate) fn click(&self, css: &str) {
        self.run("document.documentElement.dataset.left = ''", &[]);
        let element = self.find(css);
        self.post(&format!("/element/{element}/click"), &json!({}));
        self.find("html:not([data-left])");
    }

    /// What the script returns, a promise being waited for.
    pub(crate) fn run(&self, script: &str, arguments: &[&str]) -> Value {
        let body = json!({"script": script, "args": arguments});
        self.post("/execute/sync", &body)
    }

    /// The driver's name of what this selector finds, as soon as it is there.
    fn find(&self, css: &str) -> String {
        let by = json!({"using": "css selector", "value": css});
        let found = self.post("/element", &by);
        found[ELEMENT].as_str().unwrap().into()
    }

    pub(crate) fn cookies(&self) -> Vec<Value> {
        self.get("/cookie").as_array().unwrap().clone()
    }

    fn get(&self, path: &str) -> Value {
        checked(path, self.answer("GET", path, None))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        checked(path, self.answer("POST", path, Some(body)))
    }

    fn answer(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}{path}", self.session);
        let request = ureq::http::Request::builder().method(method).uri(url);
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request = request.body(body).unwrap();
        let request = self.agent.configure_request(request);
        let request = request.timeout_global(Some(PATIENCE + Duration::from_secs(30)));
        let mut answer = self.agent.run(request.build()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        answer["value"].take()
    }
}

fn checked(path: &str, answer: Value) -> Value {
    assert!(answer.get("error").is_none(), "{path}: {answer}");
    answer
}

impl Drop for Visitor {
    fn drop(&mut self) {
        // The browser would go with its driver anyhow.
        let _ = self.agent.delete(&self.session).call();
    }
}
