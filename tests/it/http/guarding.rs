use std::sync::mpsc::channel;
use std::time::Duration;

use jobkeep::http::{Role, Server};
use jobkeep::testing::ManualClock;
use jobkeep::{Manager, MemoryStore};

use super::wire::{Echo, Told, get, manager, post, send, started};

const ECHO: &str = r#"{"name":"echo","payload":{"text":"hello"}}"#;
const JSON: &str = "content-type: application/json\r\n";

fn bearer(token: &str) -> String {
    format!("{JSON}authorization: Bearer {token}\r\n")
}

#[test]
fn a_token_does_what_belongs_to_its_roles_and_no_more() {
    let told = started(&manager(), |server| {
        server
            .token("makes", [Role::Create])
            .token("looks", [Role::Read])
            .token("looks-at-all", [Role::ReadAll])
            .token("works", [Role::Operate])
    });
    let to = told.serving.address();
    let created = send(to, "POST", "/v1/jobs", &bearer("makes"), ECHO);
    assert_eq!(created.status, 201);
    let job = format!("/v1/jobs/{}", created.body["receipt"].as_str().unwrap());
    let requests = [
        ("POST", "/v1/jobs".into(), ECHO, &["makes"][..]),
        ("POST", "/v1/batches".into(), r#"{"jobs":[]}"#, &["makes"]),
        (
            "GET",
            format!("{job}?wait_ms=20000"),
            "",
            &["looks", "looks-at-all"],
        ),
        ("POST", format!("{job}/retry"), "", &["works"]),
        ("POST", format!("{job}/cancel"), "", &["works"]),
        (
            "PUT",
            format!("{job}/payload"),
            r#"{"payload":{"text":"b"}}"#,
            &["works"],
        ),
        (
            "GET",
            "/v1/jobs?state=failed".into(),
            "",
            &["works", "looks-at-all"],
        ),
        ("GET", "/v1/stats".into(), "", &["works", "looks-at-all"]),
        ("DELETE", job.clone(), "", &["works"]),
    ];
    for (method, path, body, may) in &requests {
        for token in ["makes", "looks", "looks-at-all", "works"] {
            let answer = send(to, method, path, &bearer(token), body);
            if may.contains(&token) {
                assert!(answer.status != 401 && answer.status != 403, "{answer:?}");
            } else {
                assert_eq!(answer.status, 403, "{method} {path} {token}");
                assert_eq!(answer.body["code"], "forbidden");
            }
        }
        for headers in [
            JSON.into(),
            bearer(""),
            bearer("make"),
            bearer("makes2"),
            format!("{JSON}authorization: Basic makes\r\n"),
            format!("{JSON}authorization: bearermakes\r\n"),
        ] {
            let answer = send(to, method, path, &headers, body);
            assert_eq!(answer.status, 401, "{method} {path} {headers}");
            assert_eq!(answer.body["code"], "unauthorized");
            assert!(answer.head.contains("www-authenticate: bearer"));
        }
    }
    for path in ["/v1/health", "/v1/openapi.json"] {
        assert_eq!(get(to, path).status, 200);
    }
}

#[test]
fn two_tokens_are_valid_while_one_takes_the_place_of_the_other() {
    let told = started(&manager(), |server| {
        server
            .token("yesterday", [Role::Create])
            .token("today", [Role::Create])
    });
    for token in ["yesterday", "today"] {
        let answer = send(
            told.serving.address(),
            "POST",
            "/v1/jobs",
            // The name of a scheme may be written in any case.
            // And one space or more stands behind it.
            &bearer(token).replace("Bearer", "bEARER "),
            ECHO,
        );
        assert_eq!(answer.status, 201);
    }
}

#[test]
fn without_a_token_nobody_from_elsewhere_is_let_in() {
    let manager = manager();
    let refused = Server::new(&manager).serve("0.0.0.0:0").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "listen at \"0.0.0.0:0\": without a token everybody who reaches it could create jobs: give one \
         with `Server::token`, or listen at 127.0.0.1"
    );
    let refused = Server::new(&manager).router().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "route requests to the server: without a token everybody who reaches it could create jobs: give \
         one with `Server::token`, or say `Server::open` where the application checks who asks"
    );
    assert!(Server::new(&manager).open().router().is_ok());
}

#[test]
fn a_token_that_is_none_is_a_fault_and_is_not_shown() {
    for secret in ["", "two words", "umlaut-\u{fc}", "line\n"] {
        let server = Server::new(&manager()).token(secret, [Role::Read]);
        assert!(secret.is_empty() || !format!("{server:?}").contains(secret));
        let refused = server.serve("127.0.0.1:0").unwrap_err().to_string();
        assert_eq!(
            refused,
            "listen at \"127.0.0.1:0\": a token must be non-empty printable ASCII without spaces"
        );
    }
    let twice = Server::new(&manager())
        .token("a", [Role::Read])
        .token("a", [Role::Create]);
    assert!(
        twice
            .serve("127.0.0.1:0")
            .unwrap_err()
            .to_string()
            .contains("given twice")
    );
}

#[test]
fn a_token_creates_no_faster_than_it_may() {
    let clock = ManualClock::new();
    let manager = Manager::builder(MemoryStore::new())
        .clock(clock.clone())
        .register::<Echo>()
        .start()
        .unwrap();
    let told = started(&manager, |server| server.create_rate(2, 3));
    let to = told.serving.address();
    let batch = |jobs: usize| {
        let jobs = vec![ECHO; jobs].join(",");
        post(to, "/v1/batches", &format!(r#"{{"jobs":[{jobs}]}}"#))
    };
    assert_eq!(batch(2).status, 201);
    let refused = batch(2);
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.body["code"], "too_many");
    assert!(refused.head.contains("retry-after: 1"), "{refused:?}");
    assert_eq!(post(to, "/v1/jobs", ECHO).status, 201);
    assert_eq!(post(to, "/v1/jobs", ECHO).status, 429);
    clock.advance(Duration::from_millis(500));
    assert_eq!(post(to, "/v1/jobs", ECHO).status, 201);
    assert_eq!(post(to, "/v1/jobs", ECHO).status, 429);
    // More than ever fit at once pass when all that fit would, and are paid off afterwards.
    clock.advance(Duration::from_millis(1_500));
    assert_eq!(batch(5).status, 201);
    clock.advance(Duration::from_secs(1));
    assert_eq!(post(to, "/v1/jobs", ECHO).status, 429);
    let counts = manager.counts().unwrap();
    assert_eq!(counts.succeeded + counts.ready + counts.running, 9);
}

#[test]
fn after_the_time_that_a_refusal_names_the_same_request_is_accepted() {
    for (rate, burst, jobs) in [(5, 10, 500), (1, 1, 3), (7, 3, 2), (1_000, 10, 9_999)] {
        let clock = ManualClock::new();
        let manager = Manager::builder(MemoryStore::new())
            .clock(clock.clone())
            .register::<Echo>()
            .start()
            .unwrap();
        let told = started(&manager, |server| server.create_rate(rate, burst));
        let batch = |jobs: usize| {
            let jobs = vec![ECHO; jobs].join(",");
            let body = format!(r#"{{"jobs":[{jobs}]}}"#);
            post(told.serving.address(), "/v1/batches", &body)
        };
        assert_eq!(batch(jobs).status, 201);
        for jobs in [jobs, 1, jobs] {
            let mut answer = batch(jobs);
            if answer.status == 429 {
                let wait = answer.body["retry_after"].as_u64().unwrap();
                assert!(wait > 0);
                clock.advance(Duration::from_secs(wait - 1));
                assert_eq!(batch(jobs).status, 429, "{rate} {burst} {jobs}: too long");
                clock.advance(Duration::from_secs(1));
                answer = batch(jobs);
            }
            assert_eq!(answer.status, 201, "{rate} {burst} {jobs}: {answer:?}");
        }
    }
}

#[test]
fn a_stranger_learns_nothing_of_parameters_and_receipts() {
    let told = started(&manager(), |server| server.token("looks", [Role::Read]));
    for path in [
        "/v1/jobs?x",
        "/v1/jobs?state=gone",
        "/v1/jobs/x",
        "/v1/jobs/%ff",
        "/v1/jobs/x?wait_ms=abc",
    ] {
        let answer = get(told.serving.address(), path);
        assert_eq!(answer.body["code"], "unauthorized", "{path}");
    }
}

#[test]
fn lines_of_the_log_hold_no_secret() {
    let (lines, said) = channel();
    let Told { serving, .. } = started(&manager(), |server| {
        let lines = std::sync::Mutex::new(lines);
        server
            .token("s3cret", [Role::Create, Role::Read])
            .log(move |answered| {
                let line = format!("{answered} {answered:?}");
                lines.lock().unwrap().send(line).unwrap();
            })
    });
    let to = serving.address();
    let created = send(to, "POST", "/v1/jobs", &bearer("s3cret"), ECHO);
    let receipt = created.body["receipt"].as_str().unwrap();
    let path = format!("/v1/jobs/{receipt}?wait_ms=20000");
    send(to, "GET", &path, &bearer("s3cret"), "");
    send(
        to,
        "GET",
        &format!("/v1/jobs/{receipt}x"),
        &bearer("s3cret"),
        "",
    );
    send(
        to,
        "GET",
        &format!("/elsewhere/{receipt}"),
        &bearer("s3cret"),
        "",
    );
    send(to, "POST", "/v1/jobs", &bearer("s3cret2"), ECHO);
    let lines: Vec<String> = (0..5).map(|_| said.recv().unwrap()).collect();
    for line in &lines {
        for secret in ["s3cret", "hello", receipt] {
            assert!(!line.contains(secret), "{line}");
        }
    }
    let starts = [
        "POST /v1/jobs 201 in ",
        "GET /v1/jobs/{receipt} 200 in ",
        "GET /v1/jobs/{receipt} 400 bad_receipt in ",
        "GET (no such path) 404 no_such_path in ",
        "POST /v1/jobs 401 unauthorized in ",
    ];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}
