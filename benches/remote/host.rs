//! The host, in a process of its own, with a plain axum handler beside it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use jobkeep::http::Server;
use jobkeep::{Manager, RedbStore, Retention};
use serde_json::Value;
use ureq::Agent;

use crate::Fault;
use crate::job::{self, Nothing};
use crate::traffic::Requests;

/// What the plain handler answers: what the host did.
type Same = Arc<Mutex<(u16, Bytes)>>;

/// A host that was started, and is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Host {
    child: Child,
    /// Where jobs are created.
    pub(crate) jobs: String,
    /// Where the same bytes come back.
    pub(crate) plain: String,
}

impl Host {
    /// Starts one that runs so many jobs of others at once.
    pub(crate) fn start(folder: &Path, executors: usize) -> Result<Self, Fault> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--host")
            .arg(folder)
            .args(["--connections", &executors.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.take().ok_or("the host says nothing")?;
        let mut lines = BufReader::new(said).lines();
        let mut line = || {
            lines
                .next()
                .unwrap_or(Err(io::ErrorKind::UnexpectedEof.into()))
        };
        let (jobs, plain) = (line()?, line()?);
        Ok(Self { child, jobs, plain })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Creates a job, waits for its end, and says where to ask for it.
    pub(crate) fn finished_job(&self) -> Result<String, Fault> {
        let agent: Agent = Agent::config_builder().proxy(None).build().into();
        let created = Requests::post(&self.jobs, "/v1/jobs", &job::create()?).send(&agent)?;
        let created: Value = serde_json::from_slice(&created)?;
        let receipt = created.get("receipt").and_then(Value::as_str);
        let path = format!("/v1/jobs/{}", receipt.ok_or("no receipt came back")?);
        let waited = Requests::get(&self.jobs, &format!("{path}?wait_ms=20000")).send(&agent)?;
        let waited: Value = serde_json::from_slice(&waited)?;
        if waited.get("state").and_then(Value::as_str) != Some("succeeded") {
            return Err(format!("the job has not succeeded: {waited}").into());
        }
        Ok(path)
    }

    /// Has the plain handler answer `/ask` and `/execute` with what the host answers to this.
    pub(crate) fn have_plain_answer(&self, asked: &Requests) -> Result<(), Fault> {
        let agent: Agent = Agent::config_builder().proxy(None).build().into();
        let answer = asked.send(&agent)?;
        Requests::post(&self.plain, "/answer", &answer).send(&agent)?;
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Already gone is gone as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The host's process: until its input ends, which it does when the bench dies.
pub(crate) fn run(folder: &Path, executors: usize) -> Result<(), Fault> {
    let manager = Manager::builder(RedbStore::open(folder.join("jobs.redb"))?)
        .server("bench")
        .register::<Nothing>()
        .queue(job::queue())
        .executors(executors)
        .retention(Retention::new())
        .start()?;
    // As many as the system has descriptors for.
    let server = Server::new(&manager).connections(usize::MAX);
    let serving = server.serve("127.0.0.1:0")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let plain = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.spawn(plain_handler(listener));
    let mut out = io::stdout();
    writeln!(out, "{}\n{plain}", serving.address())?;
    out.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    serving.shutdown(Duration::from_secs(1))?;
    Ok(())
}

async fn plain_handler(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let created = r#"{"receipt":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAYmVuY2gAAAAA","server":"bench","number":123456,"durability":"synced"}"#;
    let same: Same = Arc::new(Mutex::new((200, Bytes::new())));
    let router = Router::new()
        .route(
            "/create",
            post(async move |body: Bytes| {
                drop(body);
                answer(201, Bytes::from_static(created.as_bytes()))
            }),
        )
        .route("/answer", post(keep))
        .route("/ask", get(ask))
        .route("/execute", post(execute))
        .with_state(same);
    axum::serve(listener, router).await
}

async fn keep(State(same): State<Same>, body: Bytes) -> StatusCode {
    *same.lock().unwrap_or_else(PoisonError::into_inner) = (200, body);
    StatusCode::NO_CONTENT
}

async fn ask(State(same): State<Same>) -> impl IntoResponse {
    let (status, body) = same.lock().unwrap_or_else(PoisonError::into_inner).clone();
    answer(status, body)
}

async fn execute(same: State<Same>, body: Bytes) -> impl IntoResponse {
    drop(body);
    ask(same).await
}

fn answer(status: u16, body: Bytes) -> impl IntoResponse {
    let kind = HeaderValue::from_static("application/json");
    let kept = HeaderValue::from_static("no-store");
    (
        StatusCode::from_u16(status).unwrap_or_default(),
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)],
        body,
    )
}
