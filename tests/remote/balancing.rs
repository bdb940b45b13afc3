mod refused;
mod repeated;

use std::thread::scope;

use jobkeep::http::Client;

use crate::fleet::{Fleet, TOKEN};
use crate::load::{Load, PATIENCE};

const THREADS: usize = 16;
const BATCH: usize = 125;
const JOBS: usize = 10_000;

/// Jobs of the first part, in which a host dies; a host joins before the second.
const FIRST: usize = 6_000;

#[test]
fn every_job_whose_receipt_arrived_runs_though_a_host_is_killed_and_another_joins() {
    let fleet = Fleet::of(4);
    let mut hosts: Vec<_> = (1..=3).map(|number| fleet.start(number)).collect();
    let _balancer = fleet.balance(&[1, 2, 3]);
    let client = fleet.client().build().unwrap();
    let load = Load::default();

    let outstanding = scope(|scope| {
        create(scope, &load, &client, 0..FIRST);
        load.strike(FIRST / 6, 1_000, || drop(hosts.remove(1)))
    });
    assert!(outstanding >= 1_000, "only {outstanding} were outstanding");

    hosts.push(fleet.start(2));
    hosts.push(fleet.start(4));
    fleet.rebalance(&[1, 2, 3, 4]);
    // nginx exchanges its workers when it comes to it.
    let probe = || client.enqueue(jobkeep::NewJob::new(probe())).unwrap();
    while probe().server() != "web-4" {}
    scope(|scope| create(scope, &load, &client, FIRST..JOBS));

    load.all_ran(&client, 0..JOBS);
    let account = load.explain(&client, &["web-1", "web-2", "web-3", "web-4"]);
    println!(
        "{JOBS} jobs from {THREADS} threads; {outstanding} outstanding when web-2 was killed; {} requests \
         without an answer, {} jobs there twice because of that; {:?}",
        account.unanswered, account.twice, account.hosts
    );
    for (server, jobs) in account.hosts {
        assert!(jobs > 0, "{server} has had no job");
    }
}

/// A job that does not count: it fails, and only successes are looked at.
fn probe() -> Probe {
    Probe {
        message: "where does this go?".into(),
    }
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Probe {
    message: String,
}

impl jobkeep::Job for Probe {
    const NAME: &'static str = "fail";
    type Output = ();
}

fn create<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    load: &'scope Load,
    client: &'scope Client,
    numbers: std::ops::Range<usize>,
) {
    let batches: Vec<_> = numbers.step_by(BATCH).collect();
    for thread in 0..THREADS {
        let mine: Vec<_> = batches
            .iter()
            .copied()
            .skip(thread)
            .step_by(THREADS)
            .collect();
        scope.spawn(move || {
            for first in mine {
                load.create(client, first..first + BATCH);
            }
        });
    }
}

#[test]
fn a_host_that_is_asked_for_a_peers_job_says_whose_it_is() {
    let fleet = Fleet::of(2);
    let _hosts = [fleet.start(1), fleet.start(2)];
    let receipt = {
        let _first = fleet.balance(&[1]);
        let client = fleet.client().build().unwrap();
        client.enqueue(probe()).unwrap()
    };
    assert_eq!(receipt.server(), "web-1");
    let _second = fleet.balance(&[2]);
    // One that knows no server by name asks the balancer.
    let stranger = Client::builder(fleet.url()).token(TOKEN).build().unwrap();
    let error = stranger.status(&receipt).unwrap_err();
    assert!(error.is_other_server(), "{error}");
    assert!(error.to_string().contains("web-1"), "{error}");
    // And one that does goes there.
    let client = fleet.client().build().unwrap();
    assert!(client.wait(&receipt, PATIENCE).unwrap().output().is_err());
}

#[test]
fn a_balancer_without_hosts_is_told_from_a_job_that_may_have_been_accepted() {
    let fleet = Fleet::of(1);
    let _balancer = fleet.balance(&[1]);
    let client = fleet.client().patience(std::time::Duration::ZERO);
    let client = client.build().unwrap();
    let error = client.enqueue(probe()).unwrap_err();
    // A balancer does not say whether it had sent the request.
    assert!(error.is_unknown(), "{error}");
    assert!(error.to_string().contains("502"), "{error}");
}
