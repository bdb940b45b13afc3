use std::sync::mpsc::channel;
use std::thread::scope;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use jobkeep::http::Server;
use jobkeep::testing::{Fault, FaultyStore, Lasting, Operation};
use jobkeep::{
    Codec, Counts, Job, JobError, Manager, MemoryStore, NewJob, Priority, Queue, Receipt, Retention,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wire::{Answer, Echo, Told, builder, get, post, send, started};
use crate::gate::GatedStore;
use crate::place::{Door, PATIENCE};

const ECHO: &str = r#"{"name":"echo","payload":{"text":"a"}}"#;

fn echo() -> Echo {
    Echo { text: "a".into() }
}

fn serve(manager: &Manager) -> Told {
    started(manager, |server| server)
}

fn job<J>(told: &Told, receipt: &Receipt<J>) -> Answer {
    get(told.serving.address(), &format!("/v1/jobs/{receipt}"))
}

fn ended<J>(told: &Told, receipt: &Receipt<J>) -> Answer {
    let path = format!("/v1/jobs/{receipt}?wait_ms=25000");
    get(told.serving.address(), &path)
}

fn act<J>(told: &Told, method: &str, receipt: &Receipt<J>, act: &str) -> Answer {
    let path = format!("/v1/jobs/{receipt}{act}");
    send(told.serving.address(), method, &path, "", "")
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (status, Some(code)),
        "{answer:?}"
    );
}

/// A host with one worker that says what it does and waits at the door.
fn at_the_door() -> (Manager, Told, Door) {
    let door = Door::new();
    let inside = door.clone();
    let manager = Manager::builder(MemoryStore::new())
        .server("web-1")
        .queue(Queue::new("default").workers(1))
        .handle::<Echo>(move |echo, ctx| {
            ctx.progress(1, 3);
            ctx.log("begun");
            inside.enter(&echo.text);
            match echo.text.as_str() {
                "fails" => Err(JobError::permanent("no such thing")),
                text => Ok(text.to_uppercase()),
            }
        })
        .start()
        .unwrap();
    let told = serve(&manager);
    (manager, told, door)
}

#[test]
fn a_job_that_finishes_while_it_is_asked_for_is_shown_whole() {
    let store = GatedStore::new(MemoryStore::new());
    let (gate, door) = (store.gate(), Door::new());
    let inside = door.clone();
    let manager = Manager::builder(store)
        .handle::<Echo>(move |echo, _| {
            inside.enter(&echo.text);
            Ok(echo.text.clone())
        })
        .start()
        .unwrap();
    let told = serve(&manager);
    let receipt = manager.enqueue(echo()).unwrap();
    assert_eq!(door.arrived(), "a");
    gate.shut();
    door.open(1);
    gate.reached();
    scope(|scope| {
        let mut asking = None;
        // Where finished jobs are, and where the others are.
        gate.until_read(2, || asking = Some(scope.spawn(|| job(&told, &receipt))));
        gate.open();
        let answer = asking.unwrap().join().unwrap();
        assert_eq!(answer.body["state"], "succeeded");
        assert_eq!(answer.body["payload"], json!({"text": "a"}));
        assert_eq!(answer.body["output"], "a");
    });
}

#[test]
fn a_job_is_shown_wherever_it_stands() {
    let (manager, told, door) = at_the_door();
    let running = manager.enqueue(echo()).unwrap();
    door.arrived();
    let waiting = NewJob::new(echo()).priority(Priority::Urgent);
    let waiting = manager.enqueue(waiting).unwrap();
    let later = NewJob::new(echo()).delay(Duration::from_secs(3_600));
    let later = manager.enqueue(later).unwrap();
    let shown = job(&told, &running).body;
    assert_eq!(shown["state"], "running");
    assert_eq!(shown["progress"], json!({"done": 1, "total": 3}));
    assert_eq!(shown["log"], json!(["begun"]));
    assert_eq!(shown["receipt"], running.to_string());
    let shown = job(&told, &waiting).body;
    assert_eq!(
        (&shown["state"], &shown["priority"]),
        (&json!("ready"), &json!("urgent"))
    );
    let shown = job(&told, &later).body;
    assert_eq!(shown["state"], "scheduled");
    assert!(shown["due_ms"].as_u64() > shown["created_ms"].as_u64());
    door.open(2);
    let shown = ended(&told, &running).body;
    assert_eq!(
        (&shown["state"], &shown["output"]),
        (&json!("succeeded"), &json!("A"))
    );
    assert_eq!(shown["history"][0]["log"], json!(["begun"]));
    assert_eq!(shown["history"][0]["end"], json!({"kind": "succeeded"}));
    let fails = manager
        .enqueue(Echo {
            text: "fails".into(),
        })
        .unwrap();
    door.open(1);
    let shown = ended(&told, &fails).body;
    assert_eq!(shown["state"], "failed");
    assert_eq!(
        shown["failure"],
        json!({"reason": "permanent", "message": "no such thing"})
    );
    assert_eq!(shown.get("output"), None);
}

#[test]
fn who_waits_is_told_of_the_end_and_of_the_state_where_the_time_is_over() {
    let (manager, told, door) = at_the_door();
    let receipt = manager.enqueue(echo()).unwrap();
    door.arrived();
    let path = format!("/v1/jobs/{receipt}?wait_ms=1");
    assert_eq!(get(told.serving.address(), &path).body["state"], "running");
    scope(|scope| {
        let waiting = scope.spawn(|| ended(&told, &receipt));
        while told.serving.waiting() == 0 {
            std::thread::yield_now();
        }
        door.open(1);
        assert_eq!(waiting.join().unwrap().body["output"], "A");
    });
}

#[test]
fn more_than_may_wait_are_told_at_once_how_their_jobs_stand() {
    let (manager, _, door) = at_the_door();
    let told = started(&manager, |server| server.long_polls(0));
    let receipt = manager.enqueue(echo()).unwrap();
    door.arrived();
    assert_eq!(ended(&told, &receipt).body["state"], "running");
    door.open(1);
}

#[test]
fn receipts_of_elsewhere_and_of_jobs_that_are_gone_are_told_apart() {
    let (other, here) = (MemoryStore::new(), MemoryStore::new());
    let named = |store: &MemoryStore, server: &str| {
        let builder = Manager::builder(store.clone())
            .server(server)
            .register::<Echo>();
        builder.retention(Retention::keep_all()).start().unwrap()
    };
    let away = named(&other, "web-2").enqueue(echo()).unwrap();
    let replaced = named(&MemoryStore::new(), "web-1").enqueue(echo()).unwrap();
    let manager = named(&here, "web-1");
    let told = serve(&manager);
    let gone = manager.enqueue(echo()).unwrap();
    manager.wait(&gone, PATIENCE).unwrap();
    manager.remove(&gone).unwrap();
    let calls: [(&str, &str); 4] = [
        ("GET", ""),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("DELETE", ""),
    ];
    for (method, act_on) in calls {
        let answer = act(&told, method, &away, act_on);
        refused(&answer, 421, "other_server");
        assert_eq!(
            (&answer.body["server"], &answer.body["ask"]),
            (&json!("web-1"), &json!("web-2"))
        );
        refused(
            &act(&told, method, &replaced, act_on),
            410,
            "store_replaced",
        );
        refused(&act(&told, method, &gone, act_on), 410, "pruned");
    }
    // One changed character, wherever it is.
    let text = gone.to_string();
    for position in 0..text.len() {
        let mut forged = text.clone().into_bytes();
        forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
        let path = format!("/v1/jobs/{}", String::from_utf8(forged).unwrap());
        refused(&get(told.serving.address(), &path), 400, "bad_receipt");
    }
    // The receipt of another job, made of the own one.
    let others = manager.enqueue(echo()).unwrap();
    let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    bytes[26..34].copy_from_slice(&others.number().0.to_be_bytes());
    let end = bytes.len() - 4;
    let sum = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.to_be_bytes());
    let made_up: Receipt<Echo> = BASE64URL_NOPAD.encode(&bytes).parse().unwrap();
    assert_eq!(made_up.number(), others.number());
    for (method, act_on) in calls {
        let answer = act(&told, method, &made_up, act_on);
        refused(&answer, 400, "bad_receipt");
    }
    assert_eq!(act(&told, "GET", &others, "").status, 200);
}

#[test]
fn jobs_are_cancelled_retried_and_removed() {
    let (manager, told, door) = at_the_door();
    let running = manager.enqueue(echo()).unwrap();
    door.arrived();
    let waiting = manager.enqueue(echo()).unwrap();
    assert_eq!(act(&told, "POST", &waiting, "/cancel").status, 204);
    assert_eq!(job(&told, &waiting).body["state"], "cancelled");
    assert_eq!(job(&told, &waiting).body["failure"]["reason"], "cancelled");
    let again = act(&told, "POST", &waiting, "/cancel");
    refused(&again, 409, "illegal_state");
    assert_eq!(again.body["state"], "cancelled");
    refused(&act(&told, "DELETE", &running, ""), 409, "illegal_state");
    refused(
        &act(&told, "POST", &running, "/retry"),
        409,
        "illegal_state",
    );
    assert_eq!(act(&told, "POST", &running, "/cancel").status, 204);
    assert_eq!(job(&told, &running).body["cancel_requested"], true);
    door.open(1);
    assert_eq!(ended(&told, &running).body["state"], "succeeded");
    assert_eq!(act(&told, "POST", &waiting, "/retry").status, 204);
    door.open(1);
    assert_eq!(ended(&told, &waiting).body["state"], "succeeded");
    assert_eq!(act(&told, "DELETE", &waiting, "").status, 204);
    refused(&job(&told, &waiting), 410, "pruned");
}

#[test]
fn jobs_are_listed_page_by_page() {
    let manager = builder()
        .queue(Queue::new("default").workers(0))
        .start()
        .unwrap();
    let told = serve(&manager);
    manager.enqueue_all((0..5).map(|_| echo())).unwrap();
    let mut numbers = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/jobs?state=ready&limit=2{after}");
        let page = get(told.serving.address(), &path).body;
        for job in page["jobs"].as_array().unwrap() {
            assert_eq!(job["name"], "echo");
            assert_eq!(job.get("payload"), None);
            numbers.push(job["number"].as_u64().unwrap());
        }
        let Some(next) = page["next"].as_u64() else {
            break;
        };
        after = format!("&after={next}");
    }
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let stats = get(told.serving.address(), "/v1/stats").body;
    assert_eq!(
        (&stats["ready"], &stats["server"]),
        (&json!(5), &json!("web-1"))
    );
}

#[test]
fn a_full_host_says_so_and_accepts_nothing() {
    let store = GatedStore::new(MemoryStore::new());
    let gate = store.gate();
    let manager = Manager::builder(store)
        .inbox(1)
        .register::<Echo>()
        .start()
        .unwrap();
    let told = serve(&manager);
    gate.shut();
    let first = manager.submit(echo());
    gate.reached();
    let second = manager.submit(echo());
    let answer = post(told.serving.address(), "/v1/jobs", ECHO);
    refused(&answer, 503, "full");
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    gate.open();
    first.wait().unwrap();
    assert_eq!(second.wait().unwrap().number().0, 2);
    // The ends of jobs take room as well.
    let accepted = loop {
        let answer = post(told.serving.address(), "/v1/jobs", ECHO);
        if answer.status != 503 {
            break answer;
        }
    };
    assert_eq!(accepted.body["number"], 3);
}

#[test]
fn a_store_that_refuses_shows_in_the_health() {
    let store = FaultyStore::new(MemoryStore::new());
    let faults = store.faults();
    let manager = Manager::builder(store)
        .server("web-1")
        .register::<Echo>()
        .start()
        .unwrap();
    let told = serve(&manager);
    let health = || get(told.serving.address(), "/v1/health");
    assert_eq!(
        health().body,
        json!({"server": "web-1", "live": true, "ready": true, "state": "working"})
    );
    let full = Fault::next(Operation::Commit).full();
    faults.arm(full.lasting(Lasting::UntilDisarmed));
    let answer = post(told.serving.address(), "/v1/jobs", ECHO);
    refused(&answer, 503, "store_refuses");
    let sick = health();
    assert_eq!(
        (sick.status, &sick.body["state"]),
        (503, &json!("refusing"))
    );
    assert_eq!(sick.body["ready"], false);
    faults.disarm();
    faults.arm(Fault::next(Operation::Commit).unknown());
    while health().body["state"] == "refusing" {
        std::thread::yield_now();
    }
    let answer = post(told.serving.address(), "/v1/jobs", ECHO);
    refused(&answer, 500, "outcome_unknown");
    assert_eq!(health().body["state"], "poisoned");
}

#[test]
fn a_shutdown_says_so_first_and_ends_the_requests_that_wait() {
    let (manager, told, door) = at_the_door();
    let receipt = manager.enqueue(echo()).unwrap();
    door.arrived();
    let to = told.serving.address();
    scope(|scope| {
        let path = format!("/v1/jobs/{receipt}?wait_ms=25000");
        let waiting = scope.spawn(move || get(to, &path));
        while told.serving.waiting() == 0 {
            std::thread::yield_now();
        }
        let (done, ends) = channel();
        scope.spawn(move || done.send(told.serving.shutdown(PATIENCE).unwrap()).unwrap());
        assert_eq!(waiting.join().unwrap().body["state"], "running");
        door.open(1);
        let report = ends.recv_timeout(PATIENCE).unwrap();
        assert!(report.still_running.is_empty());
    });
    assert!(std::net::TcpStream::connect(to).is_err());
    assert!(manager.enqueue(echo()).unwrap_err().is_shut_down());
}

#[test]
fn while_its_notice_passes_a_host_serves_and_is_not_ready() {
    let manager = builder().start().unwrap();
    let server = Server::new(&manager).notice(Duration::from_secs(3));
    let serving = server.serve("127.0.0.1:0").unwrap();
    let to = serving.address();
    scope(|scope| {
        scope.spawn(move || serving.shutdown(PATIENCE).unwrap());
        let health = loop {
            let health = get(to, "/v1/health");
            if health.status == 503 {
                break health;
            }
        };
        assert_eq!(health.body["state"], "shutting_down");
        assert_eq!(post(to, "/v1/jobs", ECHO).status, 201);
    });
}

#[test]
fn a_host_that_is_dropped_leaves_its_manager_alone() {
    let manager = builder().start().unwrap();
    let told = serve(&manager);
    let to = told.serving.address();
    drop(told);
    while std::net::TcpStream::connect(to).is_ok() {
        std::thread::yield_now();
    }
    let receipt = manager.enqueue(echo()).unwrap();
    manager.wait(&receipt, PATIENCE).unwrap();
    assert_ne!(manager.counts().unwrap(), Counts::default());
}

#[test]
fn its_description_names_every_path_and_every_code() {
    let manager = builder().start().unwrap();
    let told = serve(&manager);
    let answer = get(told.serving.address(), "/v1/openapi.json");
    assert!(answer.head.contains("cache-control: no-store"));
    let paths = answer.body["paths"].as_object().unwrap();
    let paths: Vec<_> = paths.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "/v1/batches",
            "/v1/execute",
            "/v1/health",
            "/v1/jobs",
            "/v1/jobs/{receipt}",
            "/v1/jobs/{receipt}/cancel",
            "/v1/jobs/{receipt}/payload",
            "/v1/jobs/{receipt}/retry",
            "/v1/openapi.json",
            "/v1/stats",
        ]
    );
    let source = include_str!("../../../src/http/problem.rs");
    let text = answer.body.to_string();
    for line in source
        .lines()
        .filter(|line| line.contains(" = ") && line.ends_with("\";"))
    {
        let code = line.split('"').nth(1).unwrap();
        // hyper answers these, or axum for a path that is described.
        if !matches!(code, "method_not_allowed" | "header_too_large") {
            assert!(text.contains(&format!("`{code}`")), "{code}");
        }
    }
    let _: Value = answer.body;
}

/// A job, and what became of its type.
#[derive(Serialize, Deserialize)]
struct Size(u32);

impl Job for Size {
    const NAME: &'static str = "size";
    const CODEC: Codec = Codec::Bincode;
    type Output = u32;
}

#[derive(Serialize, Deserialize)]
struct Sizes(Vec<u32>);

impl Job for Sizes {
    const NAME: &'static str = "size";
    const CODEC: Codec = Codec::Bincode;
    type Output = u32;
}

#[test]
fn a_payload_whose_type_has_changed_hides_no_output() {
    let store = MemoryStore::new();
    let builder = Manager::builder(store.clone()).handle::<Size>(|job, _| Ok(job.0));
    let kit = builder.start_for_tests().unwrap();
    let receipt = kit.enqueue(Size(7)).unwrap();
    kit.drain("default").unwrap();
    kit.shutdown(PATIENCE).unwrap();
    let builder = Manager::builder(store).handle::<Sizes>(|_, _| Ok(0));
    let manager = builder.start().unwrap();
    let asked = job(&serve(&manager), &receipt);
    let shown = (&asked.body["payload"], &asked.body["output"]);
    assert_eq!(shown, (&Value::Null, &json!(7)));
}
