//! A real browser without a window, driven by its own driver.

use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tempfile::TempDir;

use crate::load::PATIENCE;

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
    pub(crate) async fn visitor(&self) -> Visitor {
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
        let options = json!({"goog:chromeOptions": {"args": arguments}});
        let browser = ClientBuilder::new(HttpConnector::new())
            .capabilities(options.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{}", self.port))
            .await
            .unwrap();
        Visitor {
            browser,
            _folder: folder,
        }
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

pub(crate) struct Visitor {
    pub(crate) browser: Client,
    _folder: TempDir,
}

impl Visitor {
    /// What this selector finds, as soon as it is there.
    pub(crate) async fn find(&self, css: &str) -> Element {
        let wait = self.browser.wait().at_most(PATIENCE);
        let wait = wait.every(Duration::from_millis(20));
        let found = wait.for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => {
                let page = self.browser.source().await;
                panic!("{css}: {error}: {page:?}")
            }
        }
    }

    pub(crate) async fn has(&self, css: &str) -> bool {
        let found = self.browser.find_all(Locator::Css(css)).await.unwrap();
        !found.is_empty()
    }
}
