//! Requests sent by many threads for some time.
#![expect(clippy::disallowed_methods, reason = "a stopwatch reads time")]

use std::time::{Duration, Instant};

use jobkeep::Manager;
use ureq::Agent;

use crate::Fault;
use crate::job::Nothing;

/// How many, in how long.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) taken: Duration,
}

impl Tally {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            taken: self.taken + other.taken,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure of a bench")]
    pub(crate) fn per_s(self) -> f64 {
        self.count as f64 / self.taken.as_secs_f64()
    }
}

/// One request, again and again.
#[derive(Debug)]
pub(crate) struct Requests {
    url: String,
    body: Option<Vec<u8>>,
}

impl Requests {
    pub(crate) fn post(host: &str, path: &str, body: &[u8]) -> Self {
        Self {
            url: format!("http://{host}{path}"),
            body: Some(body.to_vec()),
        }
    }

    pub(crate) fn get(host: &str, path: &str) -> Self {
        Self {
            url: format!("http://{host}{path}"),
            body: None,
        }
    }

    /// Sends it on so many connections at once, each of which waits for its answer.
    pub(crate) fn run(&self, connections: usize, span: Duration) -> Result<Tally, Fault> {
        by_threads(connections, span, |_| {
            let agent: Agent = Agent::config_builder().proxy(None).build().into();
            move || self.send(&agent).map(|_| 1)
        })
    }

    pub(crate) fn send(&self, agent: &Agent) -> Result<Vec<u8>, Fault> {
        let answer = match &self.body {
            Some(body) => agent
                .post(&self.url)
                .content_type("application/json")
                .send(body.as_slice()),
            None => agent.get(&self.url).call(),
        };
        Ok(answer?.body_mut().read_to_vec()?)
    }
}

/// Each of the requests on a connection of its own.
pub(crate) fn apart(requests: &[Requests], span: Duration) -> Result<Tally, Fault> {
    by_threads(requests.len(), span, |place| {
        let agent: Agent = Agent::config_builder().proxy(None).build().into();
        let request = requests.get(place);
        move || request.map_or(Ok(0), |request| request.send(&agent).map(|_| 1))
    })
}

/// Batches without a wire.
pub(crate) fn local(
    manager: &Manager,
    threads: usize,
    batch: usize,
    span: Duration,
) -> Result<Tally, Fault> {
    by_threads(threads, span, |_| {
        move || {
            manager.enqueue_all((0..batch).map(|_| Nothing::new()))?;
            Ok(1)
        }
    })
}

/// Each thread makes what it does, by its place among them, and does it until the time is over.
fn by_threads<A: FnMut() -> Result<u64, Fault>>(
    threads: usize,
    span: Duration,
    make: impl Fn(usize) -> A + Sync,
) -> Result<Tally, Fault> {
    let begun = Instant::now();
    let make = &make;
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|place| {
                scope.spawn(move || {
                    let mut act = make(place);
                    let mut count = 0;
                    while begun.elapsed() < span {
                        count += act()?;
                    }
                    Ok(count)
                })
            })
            .collect();
        let counts = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Fault::from("a thread that sends has panicked")))
        });
        counts.collect::<Result<Vec<u64>, Fault>>()
    })?;
    Ok(Tally {
        count: counts.into_iter().sum(),
        taken: begun.elapsed(),
    })
}
