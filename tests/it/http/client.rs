//! A client and a real host.

use std::time::Duration;

use jobkeep::http::{Client, Pool, Serving};
use jobkeep::{Enqueue, Error, Job, Receipt};

use super::wire::{Echo, host};

const PATIENCE: Duration = Duration::from_secs(60);

fn client(serving: &Serving) -> Client {
    Client::builder(Pool::host(format!("http://{}", serving.address())))
        .build()
        .unwrap()
}

fn echo(text: &str) -> Echo {
    Echo { text: text.into() }
}

#[test]
fn a_job_sent_to_a_host_runs_there_and_comes_back() {
    let (_manager, serving) = host();
    let client = client(&serving);
    let receipt = client.enqueue(echo("hello")).unwrap();
    assert_eq!(receipt.server(), "web-1");
    let done = client.wait(&receipt, PATIENCE).unwrap();
    assert_eq!(done.output().unwrap(), "hello");
    assert_eq!(done.job().text, "hello");
    assert_eq!(done.attempts(), 1);
    let again = client.completed(&receipt).unwrap().unwrap();
    assert_eq!(again.output().unwrap(), "hello");
}

/// What an application does, wherever its jobs go.
fn round(queue: &dyn Enqueue) -> Result<Vec<String>, Error> {
    let one: Receipt<Echo> = echo("one").execute(queue)?;
    let others = queue.enqueue_all(["two", "three"].map(echo))?;
    let all = [vec![one], others].concat();
    let ends = all.iter().map(|receipt| queue.wait(receipt, PATIENCE));
    ends.map(|end| Ok(end?.into_output().unwrap())).collect()
}

#[test]
fn one_function_serves_a_manager_and_a_client() {
    let (manager, serving) = host();
    let told = ["one", "two", "three"];
    assert_eq!(round(&manager).unwrap(), told);
    assert_eq!(round(&client(&serving)).unwrap(), told);
    assert_eq!(manager.counts().unwrap().succeeded, 6);
}
