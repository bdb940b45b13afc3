//! The baseline of the memory store: the same encoded payloads through a bounded channel to as many
//! workers, which decode them.
#![expect(clippy::disallowed_methods, reason = "a stopwatch reads time")]

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::Fault;
use crate::options::Load;
use crate::order::Order;
use crate::run::WORKERS;

const BOUND: usize = 1_024;

/// So many jobs are sent between two looks at the clock, where batches do not say how many.
const LOOK_EVERY: usize = 64;

/// Sends for so long, and counts what was received until all had been.
pub(crate) fn pass(load: Load, span: Duration) -> Result<(u64, Duration), Fault> {
    let (sender, receiver) = bounded(BOUND);
    let begun = Instant::now();
    let until = begun + span;
    let jobs = thread::scope(|scope| {
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            let receiver = receiver.clone();
            let worker = thread::Builder::new().name(format!("channel-worker-{number}"));
            workers.push(worker.spawn_scoped(scope, move || receive(&receiver))?);
        }
        let mut producers = Vec::new();
        for number in 0..load.producers() {
            let sender = sender.clone();
            let producer = thread::Builder::new().name(format!("channel-producer-{number}"));
            let at_once = load.batch().max(LOOK_EVERY);
            producers.push(producer.spawn_scoped(scope, move || send(&sender, at_once, until))?);
        }
        // The workers end when the last producer has dropped its sender.
        drop(sender);
        for producer in producers {
            producer.join().map_err(|_| "a producer panicked")??;
        }
        let mut jobs = 0;
        for worker in workers {
            jobs += worker.join().map_err(|_| "a worker panicked")??;
        }
        Ok::<_, Fault>(jobs)
    })?;
    Ok((jobs, begun.elapsed()))
}

fn send(sender: &Sender<Vec<u8>>, at_once: usize, until: Instant) -> Result<(), Fault> {
    let mut number = 0;
    while Instant::now() < until {
        for _ in 0..at_once {
            let payload = serde_json::to_vec(&Order::new(number, number))?;
            sender.send(payload)?;
            number += 1;
        }
    }
    Ok(())
}

fn receive(receiver: &Receiver<Vec<u8>>) -> Result<u64, Fault> {
    let mut jobs = 0;
    for payload in receiver {
        let order: Order = serde_json::from_slice(&payload)?;
        black_box(&order);
        jobs += 1;
    }
    Ok(jobs)
}
