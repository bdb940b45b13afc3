//! A host dies, and the client is one that sends a request again by itself where its connection ends without a
//! byte: nothing may be there twice, and nothing that was accepted be lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};
use std::thread::{scope, yield_now};

use jobkeep::http::Client;
use jobkeep::{Receipt, StateKind};

use crate::curl;
use crate::fleet::{Fleet, Kind};
use crate::load::{Numbered, PATIENCE};
use crate::relay::Relays;

/// How often each number is there, when all has run.
fn there(client: &Client, hosts: usize) -> BTreeMap<usize, usize> {
    let mut there = BTreeMap::new();
    for server in (1..=hosts).map(|number| format!("web-{number}")) {
        let jobs = |state, after| client.jobs(&server, state, after, 1_000).unwrap();
        for state in [StateKind::Ready, StateKind::Running] {
            while !jobs(state, None).jobs().is_empty() {
                yield_now();
            }
        }
        let page = jobs(StateKind::Succeeded, None);
        assert_eq!(page.cursor(), None);
        for job in page.jobs() {
            let receipt: Receipt<Numbered> = job.receipt().clone().typed();
            let done = client.wait(&receipt, PATIENCE).unwrap();
            *there.entry(done.into_output().unwrap().n).or_default() += 1;
        }
    }
    there
}

/// Of four jobs one after the other, the host that took the second dies before its answer.
fn an_answer_is_lost(kind: Kind) {
    let fleet = Fleet::of(2);
    let _hosts = [fleet.start(1), fleet.start(2)];
    let relays = Relays::dropping(2);
    let before = fleet
        .addresses()
        .into_iter()
        .map(|host| relays.before(host));
    let _balancer = fleet.balance_by(kind, &before.collect::<Vec<_>>());
    let mut statuses = Vec::new();
    let answered = |_, status| statuses.push(status);
    let numbers = [1, 2, 3, 4];
    curl::create(&fleet.url(), "http1.1", &numbers, fleet.folder(), answered);
    assert_eq!(statuses, [201, 502, 201, 201], "{kind:?}");
    assert_eq!(relays.accepted(), 4);
    let client = fleet.client().build().unwrap();
    let once = numbers.map(|n| (n, 1));
    assert_eq!(there(&client, 2), BTreeMap::from(once), "{kind:?}");
}

#[test]
fn curl_behind_nginx_does_not_repeat_a_job_whose_answer_was_lost() {
    an_answer_is_lost(Kind::Nginx);
}

#[test]
fn curl_behind_haproxy_does_not_repeat_a_job_whose_answer_was_lost() {
    an_answer_is_lost(Kind::Haproxy);
}

#[test]
fn curl_behind_apache_does_not_repeat_a_job_whose_answer_was_lost() {
    an_answer_is_lost(Kind::Apache);
}

/// There a lost answer would be told as a request that nobody had looked at.
#[test]
fn curl_does_not_speak_http_2_with_haproxy() {
    let fleet = Fleet::of(1);
    let _host = fleet.start(1);
    let _balancer = fleet.balance_by(Kind::Haproxy, &fleet.addresses());
    let mut statuses = Vec::new();
    let answered = |_, status| statuses.push(status);
    let version = "http2-prior-knowledge";
    curl::create(&fleet.url(), version, &[1, 2], fleet.folder(), answered);
    assert!(statuses.iter().all(|status| *status != 201), "{statuses:?}");
    let client = fleet.client().build().unwrap();
    assert_eq!(there(&client, 1), BTreeMap::new());
}

const THREADS: usize = 8;
const JOBS: usize = 600;

/// How often each status came, and a host is killed amid it.
fn a_host_is_killed(kind: Kind) {
    let fleet = Fleet::of(3);
    let mut hosts: Vec<_> = (1..=3).map(|number| fleet.start(number)).collect();
    let _balancer = fleet.balance_by(kind, &fleet.addresses());
    let (answers, more) = (Mutex::new(BTreeMap::new()), Condvar::new());
    scope(|scope| {
        for thread in 0..THREADS {
            let (fleet, answers, more) = (&fleet, &answers, &more);
            scope.spawn(move || {
                let numbers: Vec<_> = (thread..JOBS).step_by(THREADS).collect();
                let answered = |n, status: u16| {
                    answers.lock().unwrap().insert(n, status);
                    more.notify_all();
                };
                curl::create(&fleet.url(), "http1.1", &numbers, fleet.folder(), answered);
            });
        }
        let is_early = |answers: &mut BTreeMap<_, _>| answers.len() < JOBS / 3;
        let waited = more.wait_timeout_while(answers.lock().unwrap(), PATIENCE, is_early);
        drop(waited);
        drop(hosts.remove(1));
    });
    hosts.push(fleet.start(2));
    let answers = answers.into_inner().unwrap();
    let client = fleet.client().build().unwrap();
    let there = there(&client, 3);
    let mut unanswered = 0;
    for (n, status) in &answers {
        let times = there.get(n).copied().unwrap_or_default();
        match status {
            201 => assert_eq!(times, 1, "{kind:?}: job {n}"),
            502..=504 => {
                unanswered += 1;
                assert!(times <= 1, "{kind:?}: job {n} is there {times} times");
            }
            other => panic!("{kind:?}: job {n} was answered {other}"),
        }
    }
    println!("{kind:?}: of {JOBS} jobs {unanswered} had no answer of a host");
    assert_eq!(answers.len(), JOBS);
    // No more than were with the host when it died: the others went elsewhere.
    assert!(unanswered <= THREADS, "{kind:?}: {unanswered}");
}

/// A host is told to stop, and goes on until its balancer has asked whether it is well.
fn a_host_is_told_to_stop(kind: Kind) {
    let fleet = Fleet::of(2);
    let mut hosts = vec![fleet.start(1), fleet.start(2)];
    let _balancer = fleet.balance_by(kind, &fleet.addresses());
    let (begun, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let statuses = Mutex::new(Vec::new());
    scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    let first = begun.fetch_add(10, SeqCst);
                    let numbers: Vec<_> = (first..first + 10).collect();
                    let answered = |_, status| statuses.lock().unwrap().push(status);
                    curl::create(&fleet.url(), "http1.1", &numbers, fleet.folder(), answered);
                }
            });
        }
        while statuses.lock().unwrap().len() < 100 {
            yield_now();
        }
        hosts.remove(1).stop();
        is_over.store(true, SeqCst);
    });
    let statuses = statuses.into_inner().unwrap();
    println!("{kind:?}: {} jobs while a host stopped", statuses.len());
    assert!(statuses.iter().all(|status| *status == 201), "{kind:?}");
}

#[test]
fn behind_haproxy_a_host_that_stops_in_order_costs_no_job_its_answer() {
    a_host_is_told_to_stop(Kind::Haproxy);
}

#[test]
fn behind_apache_a_host_that_stops_in_order_costs_no_job_its_answer() {
    a_host_is_told_to_stop(Kind::Apache);
}

#[test]
fn with_curl_and_nginx_nothing_is_lost_or_there_twice_though_a_host_is_killed() {
    a_host_is_killed(Kind::Nginx);
}

#[test]
fn with_curl_and_haproxy_nothing_is_lost_or_there_twice_though_a_host_is_killed() {
    a_host_is_killed(Kind::Haproxy);
}

#[test]
fn with_curl_and_apache_nothing_is_lost_or_there_twice_though_a_host_is_killed() {
    a_host_is_killed(Kind::Apache);
}
