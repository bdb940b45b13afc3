//! The clients in other languages, as a stranger uses them.

use std::path::Path;
use std::process::{Command, Output};

use crate::fleet::{Fleet, TOKEN};

fn python(fleet: &Fleet, token: &str, arguments: &[&str]) -> Output {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clients/jobs.py");
    let mut client = Command::new(client);
    client.arg(fleet.url()).args(arguments);
    client.env("JOBKEEP_TOKEN", token).output().unwrap()
}

#[track_caller]
fn assert_failed(output: &Output, told: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains(told), "{error}");
}

#[test]
fn the_client_in_python_creates_a_job_through_the_balancer_and_prints_its_output() {
    let fleet = Fleet::of(1);
    let _host = fleet.start(1);
    let _balancer = fleet.balance(&[1]);
    let payload = r#"{"hello": ["world", 1, null]}"#;
    let echoed = python(&fleet, TOKEN, &["echo", payload]);
    let told = String::from_utf8_lossy(&echoed.stderr);
    assert!(told.starts_with("accepted by web-1 as job 1"), "{told}");
    assert_eq!(
        String::from_utf8_lossy(&echoed.stdout),
        format!("{payload}\n")
    );
    let servers = format!("http://{}", fleet.address(1));
    let echoed = python(&fleet, TOKEN, &["echo", "2", "--servers", &servers]);
    assert_eq!(String::from_utf8_lossy(&echoed.stdout), "2\n");

    let failing = python(&fleet, TOKEN, &["fail", r#"{"message": "no such photo"}"#]);
    assert_failed(&failing, "job 3 is failed: no such photo");
    assert_failed(&python(&fleet, TOKEN, &["nothing", "1"]), "unknown_name");
    assert_failed(
        &python(&fleet, "another", &["echo", "1"]),
        "401 unauthorized",
    );
}

#[test]
fn the_client_in_python_says_that_a_job_has_not_finished() {
    let fleet = Fleet::of(1);
    let _host = fleet.start(1);
    let _balancer = fleet.balance(&[1]);
    let asked = ["sleep", r#"{"ms": 60000}"#, "--seconds", "0"];
    let waiting = python(&fleet, TOKEN, &asked);
    assert_failed(&waiting, "it has not finished");
}
