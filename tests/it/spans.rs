//! Spans of any length: the longest is *no limit*, and the shortest is not nothing.

use std::time::Duration;

use jobkeep::testing::ManualClock;
use jobkeep::{
    Context, Job, JobError, Manager, MemoryStore, NewJob, Policy, Queue, Retention, Run, StateKind,
};
use serde::{Deserialize, Serialize};

use crate::place::PATIENCE;

const TINY: Duration = Duration::from_nanos(1);

/// Says whether its attempt has a time-out.
#[derive(Serialize, Deserialize)]
struct Limited;

impl Job for Limited {
    const NAME: &'static str = "limited";
    type Output = bool;
}

impl Run for Limited {
    fn run(&mut self, ctx: &Context) -> Result<bool, JobError> {
        Ok(ctx.time_left().is_some())
    }
}

/// The same, by its policy.
#[derive(Serialize, Deserialize)]
struct ByPolicy<const TINY: bool>;

impl Job for ByPolicy<true> {
    const NAME: &'static str = "by-policy-tiny";
    const POLICY: Policy = Policy::new().timeout(TINY).backoff(TINY, TINY);
    type Output = bool;
}

impl Job for ByPolicy<false> {
    const NAME: &'static str = "by-policy-max";
    const POLICY: Policy = Policy::new()
        .timeout(Duration::MAX)
        .backoff(Duration::MAX, Duration::MAX);
    type Output = bool;
}

/// A manager all of whose spans are this one, and whose clock stands.
fn manager(span: Duration) -> Manager {
    let retention = Retention::new().successes(span).failures(span);
    Manager::builder(MemoryStore::new())
        .clock(ManualClock::new())
        .register::<Limited>()
        .handle::<ByPolicy<true>>(|_, ctx| Ok(ctx.time_left().is_some()))
        .handle::<ByPolicy<false>>(|_, ctx| Ok(ctx.time_left().is_some()))
        .queue(Queue::new("default").timeout(span))
        .key_retention(span)
        .drop_grace(span)
        .probation(span)
        .retention(retention)
        .start()
        .unwrap()
}

#[test]
fn a_job_has_a_time_out_however_short_or_long_it_is_said() {
    for span in [TINY, Duration::MAX] {
        let manager = manager(span);
        let runs = |job: NewJob<Limited>| {
            let receipt = manager.enqueue(job).unwrap();
            let done = manager.wait(&receipt, Duration::MAX).unwrap();
            done.into_output().unwrap()
        };
        assert!(runs(NewJob::new(Limited)), "{span:?} of the queue");
        let own = NewJob::new(Limited).timeout(span).backoff(span, span);
        assert!(runs(own.key("a")), "{span:?} of the job");
        let none = NewJob::new(Limited).timeout(Duration::ZERO);
        assert!(!runs(none), "zero is as long as it likes");
        manager.pause_and_wait("default", span).unwrap();
        manager.shutdown(span).unwrap();
    }
    let manager = manager(Duration::MAX);
    let tiny = manager.enqueue(ByPolicy::<true>).unwrap();
    assert!(
        manager
            .wait(&tiny, PATIENCE)
            .unwrap()
            .into_output()
            .unwrap()
    );
    let long = manager.enqueue(ByPolicy::<false>).unwrap();
    assert!(
        manager
            .wait(&long, PATIENCE)
            .unwrap()
            .into_output()
            .unwrap()
    );
}

#[test]
fn a_delay_is_not_over_at_once_however_short_and_never_where_it_is_the_longest() {
    for span in [TINY, Duration::MAX] {
        let manager = manager(span);
        for job in [
            NewJob::new(Limited).delay(span),
            NewJob::new(Limited).delay(span).timeout(span),
        ] {
            let receipt = manager.enqueue(job).unwrap();
            let status = manager.status(&receipt).unwrap();
            assert_eq!(status.state(), StateKind::Scheduled, "{span:?}");
        }
    }
    for (span, end) in [
        (TINY, JobError::snooze as fn(Duration) -> JobError),
        (Duration::MAX, JobError::snooze),
        (TINY, |span| JobError::retry_after(span, "not yet")),
        (Duration::MAX, |span| JobError::retry_after(span, "not yet")),
    ] {
        let manager = Manager::builder(MemoryStore::new())
            .clock(ManualClock::new())
            .handle::<Limited>(move |_, _| Err(end(span)))
            .start()
            .unwrap();
        let receipt = manager.enqueue(Limited).unwrap();
        loop {
            let status = manager.status(&receipt).unwrap();
            if !status.history().is_empty() {
                assert_eq!(status.state(), StateKind::Scheduled, "{span:?}");
                break;
            }
            std::thread::yield_now();
        }
    }
}

#[cfg(all(feature = "command", unix))]
#[test]
fn a_program_has_a_time_out_however_short_or_long_it_is_said() {
    use jobkeep::builtin::{Command, Commands};
    let manager = Manager::builder(MemoryStore::new())
        .commands(Commands::of(["/bin/sh"]))
        .start()
        .unwrap();
    let run = |script: &str, span| {
        let command = Command::new("/bin/sh")
            .arguments(["-c", script])
            .timeout(span);
        let receipt = manager.enqueue(NewJob::new(command).attempts(1)).unwrap();
        manager.wait(&receipt, PATIENCE).unwrap().into_output()
    };
    assert!(run("exit 0", Duration::MAX).is_ok());
    let failure = run("exec sleep 600", TINY).unwrap_err();
    assert!(failure.message().contains("time-out of 1 ms"), "{failure}");
}

#[cfg(feature = "http")]
mod http {
    use std::io::Read;
    use std::net::TcpStream;

    use jobkeep::http::{Client, Pool, Server};
    use jobkeep::{Counts, Enqueue};

    use super::*;
    use crate::http::wire::{Echo, builder, get, post, started};

    /// A server all of whose spans are this one.
    fn all(span: Duration) -> impl FnOnce(Server) -> Server {
        move |server| {
            server
                .header_timeout(span)
                .body_timeout(span)
                .idle_timeout(span)
                .longest_wait(span)
                .notice(Duration::ZERO)
        }
    }

    #[test]
    fn a_server_without_limits_of_time_serves() {
        let manager = builder().start().unwrap();
        let told = started(&manager, all(Duration::MAX));
        let to = told.serving.address();
        let job = r#"{"name":"echo","payload":{"text":"a"}}"#;
        // Silent for a moment behind the head, and behind its first answer.
        let body = format!("{job}{}", " ".repeat(600_000));
        for body in [job, &body] {
            let created = post(to, "/v1/jobs", body);
            assert_eq!(created.status, 201);
            let receipt = created.body["receipt"].as_str().unwrap();
            let path = format!("/v1/jobs/{receipt}?wait_ms={}", u64::MAX);
            assert_eq!(get(to, &path).body["state"], "succeeded");
        }
        let mut kept = TcpStream::connect(to).unwrap();
        kept.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut first = [0; 15];
        for _ in 0..2 {
            std::io::Write::write_all(&mut kept, b"GET /v1/health HTTP/1.1\r\n").unwrap();
            std::thread::yield_now();
            std::io::Write::write_all(&mut kept, b"host: jobs\r\n\r\n").unwrap();
            kept.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200 OK");
            let mut byte = [0];
            while byte != *b"}" {
                kept.read_exact(&mut byte).unwrap();
            }
        }
        let report = told.serving.shutdown(Duration::MAX).unwrap();
        assert_eq!(report.handed_back, 0);
    }

    #[test]
    fn a_server_that_waits_for_nobody_harms_nothing() {
        let manager = builder().start().unwrap();
        let told = started(&manager, all(TINY));
        let mut silent = TcpStream::connect(told.serving.address()).unwrap();
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(silent.read_to_end(&mut Vec::new()).unwrap(), 0);
        assert_eq!(manager.counts().unwrap(), Counts::default());
    }

    #[test]
    fn a_client_without_limits_of_time_gets_its_answers() {
        let manager = builder().start().unwrap();
        let told = started(&manager, |server| server);
        let url = format!("http://{}", told.serving.address());
        let client = Client::builder(Pool::host(&url))
            .server("web-1", &url)
            .timeout(Duration::MAX)
            .patience(Duration::MAX)
            .build()
            .unwrap();
        let echo = NewJob::new(Echo { text: "a".into() });
        let receipt = client
            .enqueue(echo.delay(TINY).timeout(Duration::MAX))
            .unwrap();
        let done = client.wait(&receipt, Duration::MAX).unwrap();
        assert_eq!(done.output().unwrap(), "a");
        let _: &dyn Enqueue = &client;
    }
}
