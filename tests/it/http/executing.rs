//! Jobs that a queue pushes to another host.

use std::time::Duration;

use jobkeep::http::{Push, Role};
use jobkeep::testing::ManualClock;
use jobkeep::{
    AttemptEnd, Builder, Context, Job, JobError, Manager, MemoryStore, NewJob, Queue, Reason,
    Receipt, Run, StateKind,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wire::{Answer, Told, post, send, started};
use crate::place::PATIENCE;

/// A job that ends as it says.
#[derive(Debug, Serialize, Deserialize)]
struct Ends {
    how: String,
    runs: u32,
}

impl Job for Ends {
    const NAME: &'static str = "ends";
    type Output = String;
}

impl Run for Ends {
    fn run(&mut self, ctx: &Context) -> Result<String, JobError> {
        self.runs += 1;
        ctx.log(format_args!("attempt {}", ctx.attempt()));
        match (self.how.as_str(), self.runs) {
            ("well", _) | ("at the second", 2) => Ok(format!("run {}", self.runs)),
            ("at the second", _) => Err(JobError::retry_after(Duration::ZERO, "not yet")),
            ("for good", _) => Err(JobError::permanent("no such thing")),
            ("cancelled", _) => Err(JobError::cancel("not needed")),
            _ => panic!("it throws"),
        }
    }
}

fn ends(how: &str) -> Ends {
    Ends {
        how: how.into(),
        runs: 0,
    }
}

/// A host that executes, and does not know of any queue but its own.
fn executor(threads: usize) -> (Manager, Told) {
    let builder = Manager::builder(MemoryStore::new()).register::<Ends>();
    serving(builder.executors(threads))
}

/// The host that is built so.
pub(crate) fn serving(builder: Builder) -> (Manager, Told) {
    let manager = builder.start().unwrap();
    let told = started(&manager, |server| {
        server.token("execute-it", [Role::Execute])
    });
    (manager, told)
}

/// A call of that store's job.
pub(crate) fn call(store: &str, job: u64, name: &str, payload: &Value) -> Value {
    json!({
        "store": store, "job": job, "token": "0000000000000001-1", "name": name, "payload": payload,
        "attempt": 1, "deadline_ms": 30_000
    })
}

pub(crate) fn execute(told: &Told, call: &Value) -> Answer {
    let headers = "content-type: application/json\r\nauthorization: Bearer execute-it\r\n";
    let to = told.serving.address();
    send(to, "POST", "/v1/execute", headers, &call.to_string())
}

pub(crate) fn to(told: &Told) -> Push {
    Push::new(format!("http://{}", told.serving.address())).token("execute-it")
}

/// A host that pushes, and has registered nothing.
pub(crate) fn pusher(queue: Queue) -> Builder {
    Manager::builder(MemoryStore::new()).queue(queue)
}

pub(crate) fn default() -> Queue {
    Queue::new("default").workers(4)
}

#[test]
fn a_pushed_job_ends_as_it_ends_on_the_host_that_executes_it() {
    let (_executor, told) = executor(4);
    let manager = pusher(default().push_to(to(&told))).start().unwrap();
    let wait = |how: &str| {
        let receipt = manager.enqueue(NewJob::new(ends(how)).attempts(3)).unwrap();
        manager.wait(&receipt, PATIENCE).unwrap()
    };
    let done = wait("well");
    assert_eq!(
        (done.output().unwrap().as_str(), done.job().unwrap().runs),
        ("run 1", 1)
    );
    assert_eq!(done.history()[0].log, ["attempt 1"]);
    let done = wait("at the second");
    assert_eq!(
        (done.output().unwrap().as_str(), done.attempts()),
        ("run 2", 2)
    );
    assert_eq!(
        done.history()[1].end,
        AttemptEnd::Error(vec!["not yet".into()])
    );
    for (how, reason, message) in [
        ("for good", Reason::Permanent, "no such thing"),
        ("cancelled", Reason::Cancelled, "not needed"),
    ] {
        let failure = wait(how).into_output().unwrap_err();
        assert_eq!((failure.reason(), failure.message()), (reason, message));
    }
    let receipt = manager
        .enqueue(NewJob::new(ends("throws")).attempts(1))
        .unwrap();
    let failure = manager
        .wait(&receipt, PATIENCE)
        .unwrap()
        .into_output()
        .unwrap_err();
    assert_eq!(failure.reason(), Reason::Panicked);
    assert!(failure.message().ends_with("it throws"), "{failure}");
}

/// Waits until the job has been put off once, without an attempt, and says why.
fn put_off(manager: &Manager, receipt: &Receipt<Ends>) -> String {
    loop {
        let status = manager.status(receipt).unwrap();
        if let Some(attempt) = status.history().first() {
            assert_eq!(
                (status.state(), status.attempts()),
                (StateKind::Scheduled, 0)
            );
            let AttemptEnd::NotStarted(why) = &attempt.end else {
                panic!("{attempt:?}");
            };
            return why.clone();
        }
        std::thread::yield_now();
    }
}

#[test]
fn who_is_refused_or_not_reached_spends_no_attempt() {
    let (_executor, told) = executor(0);
    let (_other, unknown) = executor(1);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let cases = [
        (to(&told), "refused with 503 (no_executors): "),
        (
            to(&unknown).token("another"),
            "refused with 401 (unauthorized): ",
        ),
        (Push::new(nowhere), "Connection refused"),
    ];
    for (push, told) in cases {
        // So that it is not sent again before the test has looked.
        let builder = pusher(default().push_to(push)).clock(ManualClock::new());
        let manager = builder.start().unwrap();
        let receipt = manager.enqueue(ends("well")).unwrap();
        let why = put_off(&manager, &receipt);
        assert!(why.contains(told), "{why}");
    }
}

#[test]
fn a_job_of_a_type_that_the_executor_does_not_know_holds_up_no_other() {
    #[derive(Serialize, Deserialize)]
    struct Strange;
    impl Job for Strange {
        const NAME: &'static str = "strange";
        type Output = ();
    }
    let (_executor, told) = executor(2);
    let builder = pusher(default().push_to(to(&told))).clock(ManualClock::new());
    let manager = builder.start().unwrap();
    let strange = manager.enqueue(Strange).unwrap();
    let why = put_off(&manager, &strange.untyped().typed());
    assert!(
        why.starts_with("refused with 422 (unknown_name): "),
        "{why}"
    );
    let receipt = manager.enqueue(ends("well")).unwrap();
    assert!(manager.wait(&receipt, PATIENCE).unwrap().output().is_ok());
}

#[test]
fn what_is_no_call_is_refused_and_nothing_runs() {
    let (_executor, told) = executor(1);
    let call = |change: &str, to: Value| {
        let payload = json!({"how": "well", "runs": 0});
        let mut call = call("00000000000000000000000000000001", 1, "ends", &payload);
        call[change] = to;
        execute(&told, &call)
    };
    for (field, to, status, code) in [
        ("store", json!("x"), 400, "malformed"),
        ("job", json!(-1), 400, "malformed"),
        ("token", json!("1-1"), 400, "malformed"),
        ("token", json!("0000000000000001"), 400, "malformed"),
        ("token", json!("000000000000000G-1"), 400, "malformed"),
        ("token", json!("0000000000000001-"), 400, "malformed"),
        ("token", json!("0000000000000001-+1"), 400, "malformed"),
        (
            "token",
            json!("0000000000000001-99999999999999999999"),
            400,
            "malformed",
        ),
        ("deadline_ms", json!(86_400_001_u64), 400, "malformed"),
        ("else", json!(1), 400, "malformed"),
        ("bincode", json!("AA=="), 400, "malformed"),
        ("name", json!("nobody"), 422, "unknown_name"),
    ] {
        let answer = call(field, to);
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (status, &json!(code)),
            "{field}"
        );
    }
    for (field, to, rule) in [
        (
            "deadline_ms",
            json!(u64::MAX),
            "`deadline_ms` must be at most 86400000: 24 hours",
        ),
        ("store", json!("x"), "`store` must be 32 hexadecimal digits"),
        (
            "token",
            json!("1-1"),
            "`token` must be 16 hexadecimal digits, `-` and a number",
        ),
        (
            "bincode",
            json!("AA=="),
            "give exactly one of `payload` and `bincode`",
        ),
    ] {
        assert_eq!(call(field, to).body["detail"], rule);
    }
    let answer = call("deadline_ms", json!(86_400_000));
    assert_eq!(answer.body["output"], "run 1");
    let answer = call("payload", json!({"how": 1}));
    assert_eq!(
        (answer.status, &answer.body["end"]["kind"]),
        (200, &json!("undecodable"))
    );
    let answer = call("job", json!(2));
    assert_eq!(answer.body["output"], "run 1");
    assert_eq!(answer.body["payload"], json!({"how": "well", "runs": 1}));
    assert_eq!(
        post(told.serving.address(), "/v1/execute", "{}").status,
        401
    );
}

#[test]
fn what_is_not_to_come_over_http_is_not_run_for_other_hosts_either() {
    #[derive(Serialize, Deserialize)]
    struct Local;
    impl Job for Local {
        const NAME: &'static str = "local";
        const ALIASES: &'static [&'static str] = &["inside"];
        const REMOTE: bool = false;
        type Output = ();
    }
    let manager = Manager::builder(MemoryStore::new())
        .handle::<Local>(|_, _| Ok(()))
        .executors(1)
        .start()
        .unwrap();
    let host = |allow: &str| {
        started(&manager, |server| {
            server.token("execute-it", [Role::Execute]).allow(allow)
        })
    };
    let call = |name| call("00000000000000000000000000000001", 1, name, &Value::Null);
    let told = host("another");
    for name in ["local", "inside"] {
        let answer = execute(&told, &call(name));
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (422, &json!("not_remote"))
        );
    }
    assert_eq!(execute(&host("local"), &call("local")).status, 200);
    // The queue that pushes such a job puts it off, and no other one.
    let builder = pusher(default().push_to(to(&told))).clock(ManualClock::new());
    let pushes = builder.start().unwrap();
    let receipt = pushes.enqueue(Local).unwrap();
    let why = put_off(&pushes, &receipt.untyped().typed());
    assert!(why.starts_with("refused with 422 (not_remote): "), "{why}");
}

#[test]
fn a_queue_that_pushes_to_what_is_no_address_is_a_fault() {
    let open = Push::new("http://example.org").token("s3cret");
    assert!(!format!("{open:?}").contains("s3cret"));
    for (push, why) in [
        (
            Push::new("example"),
            "it does not begin with `http://` or `https://`",
        ),
        (
            open,
            "its token would travel readable: use https, or `plain_http(true)`",
        ),
    ] {
        let error = pusher(default().push_to(push)).start().unwrap_err();
        assert!(error.is_config());
        let expected = format!("start the manager: queue `default`: push to another host: {why}");
        assert_eq!(error.to_string(), expected);
    }
}
